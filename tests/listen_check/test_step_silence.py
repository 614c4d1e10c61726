from unittest.mock import patch

from odoo import fields
from odoo.tests import tagged

from ...models.listen_check import silence, step_silence
from ..common import variable
from ..pure.findings import found
from .cases import StepCase


@tagged("-at_install", "post_install")
class TestSilence(StepCase):
    def silent_step(self, seconds):
        """Do the step after so many seconds of silence."""
        run = self.run_record.sudo()
        run.steps = {"bus": {"processes": [{"result": {"route": ["elsewhere", 1]}}]}}
        with patch.object(silence, "SILENCE_SECONDS", seconds):
            run.silence = silence.probe_silence() | {"at": "2026-01-01 00:00:00"}
        return self.step("silence")

    def test_connection_that_stays_open(self):
        words = self.silent_step(0.2)
        self.assertEqual(words["level"], "ok")
        self.assertIn("Connections stay open", words["means"])
        self.assertIsNone(self.figures("silence")["bus"], "that of the bus has another route")

    def test_connection_that_is_closed(self):
        """PostgreSQL ends it meanwhile."""
        info = {name: variable(f"TEST_PG{name.upper()}") for name in ("host", "port", "user")}
        info |= {"dbname": "postgres", "options": "-c idle_session_timeout=100"}
        self.patch(silence, "listener_info", lambda: info)
        self.patch(silence, "bus_info", lambda: info)
        words = self.silent_step(1)
        self.assertEqual(words["level"], "warning")
        self.assertIn("is closed", words["means"])
        self.assertEqual(self.figures("silence")["cron"]["idle_timeout"], 0.1)

    def test_other_checks_repeat_it(self):
        """Until Odoo is restarted."""
        self.assertNotIn("silence", self.names)
        result = found()["pooler"]["result"]
        facts = {"level": "ok", "at": "2026-01-01 00:00:00", "bus": None, "cron": result}
        bus = self.Check._conclude(found() | {"silence": facts})[0]
        bus.host = self.Run._host()
        for hours, expected in ((1, True), (-1, False)):
            started_at = fields.Datetime.subtract(fields.Datetime.now(), hours=hours)
            with patch.object(step_silence, "server_started_at", lambda at=started_at: at):
                names = [step["name"] for step in self.Run.start()["steps"]]
            self.assertEqual("silence" in names, expected)
