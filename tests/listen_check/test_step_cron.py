import os
from unittest.mock import patch

from odoo.tests import tagged
from odoo.tools import config

from ..common import closed_port
from ..pure.findings import BLOCKED
from .cases import StepCase


@tagged("-at_install", "post_install")
class TestCron(StepCase):
    def test_job_that_does_not_start(self):
        """There are no cron workers in these tests."""
        self.step("pooler")
        self.assertTrue(self.step("cron")["is_pending"])
        with patch.object(type(self.Run), "_clock", lambda run: run.sudo().job["triggered"][-1] + 5):
            words = self.step("cron")
        self.assertEqual((words["is_pending"], words["level"]), (False, "critical"))
        self.assertIn("did not start within 5 s", words["seen"])

    def test_jobs_that_start(self):
        self.step("pooler")
        self.step("cron")
        for _number in range(config["max_cron_threads"] + 2):
            self.assertTrue(self.run_record.sudo().is_waiting)
            self.start_job()
        words = self.step("cron")
        self.assertEqual(words["level"], "ok")
        self.assertLess(self.figures("cron")["delay"], 5)
        server = self.figures("cron")["server"]
        self.assertEqual((server["port"], server["pid"]), (config["http_port"], os.getpid()))

    def test_each_job_is_started_by_another_worker(self):
        """Each of them may have started it by its timer, so nothing is proven."""
        self.step("pooler")
        self.step("cron")
        for pid in range(config["max_cron_threads"] + 2):
            with patch("os.getpid", lambda pid=pid: pid):
                self.start_job()
        words = self.step("cron")
        self.assertEqual(words["level"], "critical")
        self.assertFalse(self.figures("cron")["is_woken"])

    def test_late_job(self):
        """It is recorded although the verdict is stored already."""
        for name in self.names:
            self.step(name, *([None] if name in ("bus", "browser") else []))
        checks = self.run_record.finish()
        cron = checks.filtered(lambda check: check.listener == "cron")
        self.assertEqual(cron.delay, 0)
        clock = self.Run._clock()
        with patch.object(type(self.Run), "_clock", lambda _run: clock + 43):
            self.start_job()
        self.assertAlmostEqual(cron.delay, 43, delta=1)
        self.assertIn("It started after 43", cron.evidence)
        self.assertEqual(self.run_record.finish(), checks, "once")

    def test_inactive_action(self):
        self.step("pooler")
        self.env.ref("pgbouncer_monitor.ir_cron_listen").active = False
        words = self.step("cron")
        self.assertEqual((words["level"], words["is_pending"]), ("unknown", None))

    def test_no_notify_that_would_block(self):
        """A NOTIFY without a connection for it would keep the request waiting."""
        self.run_record.sudo().steps = {"pooler": {"result": BLOCKED, "pool": None}}
        self.patch(config, "options", config.options.new_child({"db_port": closed_port()}))
        with patch.object(type(self.env["bus.bus"]), "_sendone", side_effect=AssertionError):
            self.assertFalse(self.run_record.echo("1"))
        self.assertIn("NOTIFY", self.step("cron")["seen"])
        self.assertFalse(self.run_record.sudo().is_waiting)
