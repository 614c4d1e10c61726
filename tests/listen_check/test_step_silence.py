from unittest.mock import patch

from odoo.tests import tagged
from odoo.tools import config

from ...models.listen_check import step_silence
from ..common import variable
from .cases import StepCase


@tagged("-at_install", "post_install")
class TestSilence(StepCase):
    def setUp(self):
        super().setUp()
        run = self.run_record.sudo()
        run.is_silent = True
        run.steps = {"bus": {"processes": [{"result": {"route": ["elsewhere", 1]}}]}}
        self.patch(config, "options", config.options.new_child({"limit_time_real_cron": 0}))

    def test_page_leaves_it_out(self):
        self.assertNotIn("silence", self.names)

    def test_connection_that_stays_open(self):
        with patch.object(step_silence, "SILENCE_SECONDS", 0.2):
            words = self.step("silence")
        self.assertEqual(words["level"], "ok")
        self.assertIn("Connections stay open", words["means"])
        self.assertIsNone(self.figures("silence")["bus"], "that of the bus has another route")

    def test_connection_that_is_closed(self):
        """PostgreSQL ends it meanwhile."""
        info = {name: variable(f"TEST_PG{name.upper()}") for name in ("host", "port", "user")}
        info |= {"dbname": "postgres", "options": "-c idle_session_timeout=100"}
        self.patch(step_silence, "listener_info", lambda: info)
        self.patch(step_silence, "bus_info", lambda: info)
        self.patch(step_silence, "SILENCE_SECONDS", 1)
        words = self.step("silence")
        self.assertEqual(words["level"], "warning")
        self.assertIn("is closed", words["means"])
        self.assertEqual(self.figures("silence")["cron"]["idle_timeout"], 0.1)

    def test_worker_that_would_be_ended(self):
        """Odoo ends a cron worker that runs for too long."""
        for limits in ({"limit_time_real_cron": 60}, {"limit_time_real_cron": -1, "limit_time_real": 60}):
            self.patch(config, "options", config.options.new_child(limits))
            words = self.step("silence")
            self.assertEqual(words["level"], "unknown")
            self.assertIn("60 s", words["seen"])
