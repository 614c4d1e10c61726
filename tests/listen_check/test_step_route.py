import os
from unittest.mock import patch

from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools import config

from .cases import StepCase


@tagged("-at_install", "post_install")
class TestRoute(StepCase):
    def test_order(self):
        wanted = "configuration pooler listen bus websocket browser listeners slots cron".split()
        self.assertEqual(self.names, wanted)
        for name in ("unlink", "", None, ["pooler"]):
            with self.assertRaisesRegex(UserError, "no step"):
                self.step(name)
        for name in ("listen", "slots", "cron"):
            with self.assertRaisesRegex(UserError, "in order"):
                self.step(name)
        with self.assertRaisesRegex(UserError, "in order"):
            self.run_record.finish()

    def test_route(self):
        self.assertIn(f":{config['db_port']}", self.step("configuration")["seen"])
        words = self.step("pooler")
        self.assertIn("It is Test PgBouncer, and the pool is in session mode.", words["means"])
        self.assertEqual(self.figures("pooler")["pool"]["pool_size"], 20)
        words = self.step("listen")
        self.assertEqual(words["level"], "ok")
        self.assertRegex(words["seen"], r"^Notification received after [\d.]+ ms")
        self.assertFalse(words["is_pending"])

    def test_pooler_that_is_not_an_endpoint(self):
        self.endpoint.active = False
        self.assertIn("none of the endpoints", self.step("pooler")["means"])

    def test_endpoint_that_does_not_answer(self):
        """The verdict does not depend on it."""
        self.endpoint.port = self.silent_server()
        self.step("pooler")
        self.assertEqual(self.figures("pooler")["result"]["outcome"], "delivered")
        self.step("bus")
        words = self.step("listeners")
        self.assertEqual(words["level"], "warning")
        self.assertIn("did not answer", words["means"])

    def test_settings_without_effect(self):
        with patch.dict(os.environ, {"IMDISPATCHER_DB_PORT": "5432"}):
            words = self.step("configuration")
        self.assertEqual(words["level"], "warning")
        self.assertIn("ODOO_IMDISPATCHER_DB_PORT", words["means"])
        self.patch(config, "options", config.options.new_child({"imdispatcher_db_host": "db"}))
        self.assertIn("is not loaded", self.step("configuration")["means"])
