import os
import socket
import time
from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace
from unittest.mock import patch

import psutil

import odoo
from odoo import fields
from odoo.exceptions import ValidationError
from odoo.tests import tagged
from odoo.tools import config

from ...models.listen_check import unattended
from ..cases import AlertCase
from ..common import closed_port


@tagged("-at_install", "post_install")
class TestWatch(AlertCase):
    """Checks without a browser, and the alerts that follow from them."""

    def check(self, listener, level, verdict="deaf"):
        values = {"listener": listener, "verdict": verdict, "level": level, "host": "h"}
        values["conclusion"] = {"text": "What was found."}
        return self.env["connection.check"].create(values)

    def sample(self, minute):
        return [message.subject for message in self.minute(minute, self.postgresql)]

    def test_alert(self):
        self.check("bus", "ok", "direct")
        self.assertEqual(self.sample(0), [])
        self.check("bus", "critical")
        self.assertEqual(self.sample(1), [f"Critical: Deaf Bus: {self.postgresql.name}"])
        alert = self.env["connection.alert"].search([("rule", "=", "deaf_bus_samples")])
        self.assertIn("What was found.", alert.situation)
        self.check("bus", "unknown", "unknown")
        self.assertEqual(self.sample(2), [], "whether it is over is unknown")
        self.check("bus", "ok", "session")
        self.assertEqual(self.sample(3), [f"Resolved: Deaf Bus: {self.postgresql.name}"])

    def test_nobody_checks(self):
        """Whether it is over is unknown."""
        bad = self.check("bus", "critical")
        self.assertEqual(len(self.sample(0)), 1)
        bad.checked_at -= timedelta(hours=49)
        self.assertEqual([*self.sample(1), *self.sample(2), *self.sample(3)], [])
        bad.unlink()
        self.assertEqual([*self.sample(4), *self.sample(5), *self.sample(6)], [])
        alert = self.env["connection.alert"].search([("rule", "=", "deaf_bus_samples")])
        self.assertFalse(alert.closed_at)
        self.check("bus", "ok", "direct")
        self.assertEqual(self.sample(7), [f"Resolved: Deaf Bus: {self.postgresql.name}"])

    def test_check_of_another_server(self):
        """It does not end the alert, and the alert names the server."""
        self.check("bus", "critical").port = 8072
        self.assertEqual(len(self.sample(0)), 1)
        self.check("bus", "ok", "direct").port = 8073
        self.assertEqual([*self.sample(1), *self.sample(2)], [])
        alert = self.env["connection.alert"].search([("rule", "=", "deaf_bus_samples")])
        self.assertIn("h:8072: What was found.", alert.situation)
        self.check("bus", "ok", "direct").port = 8072
        self.assertEqual(self.sample(3), [f"Resolved: Deaf Bus: {self.postgresql.name}"])

    def test_both(self):
        self.check("bus", "critical", "unreachable")
        self.check("cron", "critical")
        [subject] = self.sample(0)
        self.assertIn("Deaf Bus", subject)
        self.assertIn("Deaf Cron", subject)

    def test_warning_and_unknown_are_no_alert(self):
        self.check("bus", "warning", "session")
        self.check("cron", "unknown", "unknown")
        self.assertEqual([*self.sample(0), *self.sample(1)], [])

    def due(self, seconds):
        """Return whether a check is due a number of seconds from now, as if the process of the tests were a server;
        and start it if it is."""
        server = SimpleNamespace(pid=os.getpid())
        Check = self.env["connection.check"]
        with patch.object(odoo.service.server, "server", server), self.clock_forward(seconds):
            is_due = Check._is_due()
            if is_due:
                with patch.object(type(Check), "_do_steps", side_effect=InterruptedError), suppress(InterruptedError):
                    Check._check_from_job()
        return is_due

    def test_after_a_start(self):
        """Once, when all processes are up."""
        self.assertFalse(self.due(-3600), "it has not finished starting")
        self.assertTrue(self.due(3600))
        self.assertFalse(self.due(3601), "once")
        restarted_at = time.time() + 3700
        with patch.object(psutil.Process, "create_time", lambda _process: restarted_at):
            self.assertFalse(self.due(3730), "it has not finished starting")
            self.assertTrue(self.due(3800), "it was restarted")
        with patch.dict(config.options, http_port=8070):
            self.assertTrue(self.due(3801), "another server of this host")
        self.assertFalse(self.due(3802))

    def test_each_server_in_each_interval(self):
        """Also when another one runs the scheduled action."""
        self.assertTrue(self.due(3600))
        with patch.object(socket, "gethostname", lambda: "other"):
            self.assertTrue(self.due(3660))
        self.assertFalse(self.due(3600 + 86400), "the scheduled action comes first")
        self.assertTrue(self.due(3600 + 86400 + 61))
        self.assertFalse(self.due(3600 + 86400 + 120))

    def test_after_a_change(self):
        """At once if a pool changed. After a restart, when listeners have had time to connect."""
        self.assertTrue(self.due(3600))
        now = fields.Datetime.now()
        self.postgresql._keep_reading({"changed_at": now + timedelta(seconds=3660)})
        self.assertTrue(self.due(3660))
        self.assertFalse(self.due(3661), "once")
        self.postgresql._keep_reading({"restarted_at": now + timedelta(seconds=3720)})
        self.assertFalse(self.due(3770))
        self.assertTrue(self.due(3781))
        self.assertFalse(self.due(3790), "once")

    def test_switched_off(self):
        self.env.ref("pgbouncer_monitor.ir_cron_check").active = False
        with patch.object(type(self.env["connection.check"]), "_is_due", side_effect=AssertionError):
            self.env["connection.check"]._watch()

    def test_servers_that_are_gone_are_forgotten(self):
        Check, parameters = self.env["connection.check"], self.env["ir.config_parameter"].sudo()
        self.assertTrue(self.due(3600))
        Check._gc_checked()
        of_servers = [("key", "=like", "pgbouncer_monitor.checked.%")]
        self.assertEqual(parameters.search_count(of_servers), 1)
        with self.clock_forward(2 * 86400 + 7200):
            Check._gc_checked()
        self.assertFalse(parameters.search_count(of_servers))

    def test_scheduled_check_whose_job_never_starts(self):
        """It has no verdict on cron, but one on the bus."""
        self.env["connection.check"]._check_from_job()
        self.assertFalse(self.env["connection.check"].search([]))
        with self.clock_forward(300):
            self.env["connection.check.run"]._finish_forgotten()
            self.env["connection.check.run"]._finish_forgotten()
        checks = self.env["connection.check"].search([], order="id")
        self.assertEqual(checks.mapped("listener"), ["bus", "cron"])
        self.assertEqual(checks[1].verdict, "unknown")

    def test_scheduled_check(self):
        """It is done by this process if none serves HTTP."""
        self.patch(config, "options", config.options.new_child({"http_port": closed_port()}))
        with patch.object(unattended, "start_silence") as start:
            self.env["connection.check"]._cron_check()
        start.assert_called_once_with(self.env.cr.dbname)

    def test_settings(self):
        Settings = self.env["res.config.settings"]
        cron = self.env.ref("pgbouncer_monitor.ir_cron_check")
        cron.active = True
        self.assertEqual((Settings.create({}).is_checking, Settings.create({}).check_hours), (True, 24))
        Settings.create({"check_hours": 6}).set_values()
        self.assertEqual(Settings.create({}).check_hours, 6)
        Settings.create({"is_checking": False}).set_values()
        self.assertFalse(cron.active)
        with self.assertRaisesRegex(ValidationError, "at least 1 hour"):
            Settings.create({"is_checking": True, "check_hours": 0})
        cron.write({"active": True, "interval_number": 30, "interval_type": "minutes"})
        Settings.create({}).set_values()
        self.assertEqual((cron.interval_number, cron.interval_type), (30, "minutes"), "what was not changed stays")
        cron.unlink()
        Settings.create({}).set_values()
