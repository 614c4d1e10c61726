import os
from types import SimpleNamespace
from unittest.mock import patch

import psutil

import odoo
from odoo.exceptions import ValidationError
from odoo.tests import tagged

from ..cases import AlertCase


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

    def test_after_a_restart(self):
        """Once, when all processes are up."""
        server = SimpleNamespace(pid=os.getpid())
        cron = self.env.ref("pgbouncer_monitor.ir_cron_check")

        def is_claimed(seconds):
            """Claim the start a number of seconds from now, as if the process of the tests were a server."""
            with patch.object(odoo.service.server, "server", server), self.clock_forward(seconds):
                return self.env["connection.check"]._claim_start(cron.active)

        cron.active = False
        self.assertFalse(is_claimed(3600))
        cron.active = True
        self.assertFalse(is_claimed(-3600), "it has not finished starting")
        self.assertTrue(is_claimed(3600))
        self.assertFalse(is_claimed(3600), "once")
        with patch.object(psutil.Process, "create_time", lambda _process: 1_000_000):
            self.assertTrue(is_claimed(3600), "it was restarted")

    def test_scheduled_check_whose_job_never_starts(self):
        """It has no verdict on cron, but one on the bus."""
        self.env["connection.check"]._cron_check()
        self.assertFalse(self.env["connection.check"].search([]))
        with self.clock_forward(180):
            self.env["connection.check.run"]._finish_forgotten()
            self.env["connection.check.run"]._finish_forgotten()
        checks = self.env["connection.check"].search([], order="id")
        self.assertEqual(checks.mapped("listener"), ["bus", "cron"])
        self.assertEqual(checks[1].verdict, "unknown")

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
