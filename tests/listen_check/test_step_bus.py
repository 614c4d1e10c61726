import json
from unittest.mock import patch

from psycopg2 import sql

from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools import config

from odoo.addons.bus.models.bus import channel_with_db, dispatch

from ...odoo_internals import dispatched
from ...probes import http
from ..common import closed_port, connect
from .cases import StepCase


@tagged("-at_install", "post_install")
class TestBus(StepCase):
    def test_bus_process(self):
        """Without workers it is this process."""
        answer = self.Run.sudo()._answer_as_bus_process(str(self.run_id), self.token, "anybody")
        self.assertNotIn("password", answer["text"])
        words = self.step("pooler") and self.step("bus", answer)
        self.assertIn("answered this browser", words["seen"])
        self.assertEqual(words["level"], "ok")
        [process] = self.figures("bus")["processes"]
        self.assertIsNotNone(process["delay"], "the dispatcher received a notification")
        self.assertFalse([channel for channel in dispatch._channels_to_ws if "pgbouncer_monitor" in str(channel)])

    def test_dispatcher_that_receives_other_notifications_only(self):
        """One of another channel is no proof."""
        with connect() as session:
            session.autocommit = True
            payload = json.dumps([channel_with_db(self.env.cr.dbname, "broadcast")])
            session.cursor().execute(sql.SQL("NOTIFY imbus, {}").format(sql.Literal(payload)))
            self.assertEqual(dispatched(self.env.cr.dbname, ["one", "two"]), {})

    def test_answers_that_are_not_of_the_bus_process(self):
        good = self.Run.sudo()._answer_as_bus_process(str(self.run_id), self.token, "anybody")
        other = self.Run.start()
        for answer in (
            good | {"signature": "0" * 64},
            good | {"text": good["text"].replace('"is_bus": true', '"is_bus": true ')},
            self.Run.sudo()._answer_as_bus_process(str(other["id"]), other["token"], "anybody"),
            {},
            {"text": None, "signature": None},
            "nonsense",
            [],
            7,
        ):
            with self.subTest(answer=str(answer)[:40]):
                self.assertNotIn("is_bus", self.run_record.sudo()._read_answer(answer))

    def test_bus_process_that_cannot_be_queried(self):
        """No process listens at its address."""
        self.step("pooler")
        self.env["ir.config_parameter"].set_param("web.base.url", f"http://127.0.0.1:{closed_port()}")
        self.patch(config, "options", config.options.new_child({"http_port": closed_port()}))
        words = self.step("bus")
        self.assertEqual(words["level"], "unknown")
        self.assertIn("no connection", words["seen"])
        self.assertFalse(self.figures("bus")["processes"])
        self.assertTrue(self.figures("bus")["is_refused"])

    def test_browser(self):
        for answer, level in (
            ([0.01, 0.02, 0.03], "ok"),
            ([0.01, 0.02, None], "critical"),
            ([0.01], "critical"),
            ([], "critical"),
            ([0.01, 0.02, 99], "critical"),
            ([0.01, 0.02, -1], "critical"),
            ([0.01, 0.02, "0.03"], "critical"),
            (None, "unknown"),
        ):
            self.assertEqual(self.step("browser", answer)["level"], level, answer)
        with self.assertRaisesRegex(UserError, "list of seconds"):
            self.step("browser", 5)

    def test_websocket(self):
        """Whether one can be opened is unknown where there is no way to the address."""
        self.env["ir.config_parameter"].set_param("web.base.url", f"http://127.0.0.1:{closed_port()}")
        words = self.step("websocket")
        self.assertEqual((words["level"], self.figures("websocket")["is_open"]), ("unknown", None))
        for status, level, is_open in ((101, "ok", True), (426, "warning", False), (301, "unknown", None)):
            answer = http.Answer(status, {"Location": "https://odoo.example.com"}, b"")
            with patch.object(http, "open_websocket", return_value=answer):
                self.assertEqual(self.step("websocket")["level"], level)
            self.assertIs(self.figures("websocket")["is_open"], is_open)
