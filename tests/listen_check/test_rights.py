import json
from unittest.mock import patch

from odoo.tests import HttpCase, new_test_user, tagged
from odoo.tools import config, mute_logger

from ...models.listen_check import bus_process
from ...models.listen_check.connection_check_run import ROUTE, TOKEN_HEADER


@tagged("-at_install", "post_install")
class TestRights(HttpCase):
    def setUp(self):
        super().setUp()
        for login in ("viewer", "manager", "other_manager"):
            new_test_user(self.env, login, groups=f"pgbouncer_monitor.group_{login.removeprefix('other_')}")
        new_test_user(self.env, "nobody", groups="base.group_user")

    def post(self, path, **params):
        answer = self.url_open(path, json={"params": params}).json()
        return answer["error"]["data"]["name"] if "error" in answer else answer["result"]

    def get(self, run_id, token, whom="anybody"):
        """Query the bus process."""
        return self.url_open(f"{ROUTE}?run_id={run_id}&whom={whom}", headers={TOKEN_HEADER: token})

    def call_kw(self, model, method, *args):
        return self.post("/web/dataset/call_kw", model=model, method=method, args=args, kwargs={})

    @mute_logger("odoo.http", "odoo.models", "odoo.addons.base.models.ir_model", "odoo.addons.base.models.ir_rule")
    def test_only_managers_check(self):
        denied = "odoo.exceptions.AccessError"
        for login in ("nobody", "viewer"):
            self.authenticate(login, login)
            self.assertEqual(self.call_kw("connection.check", "action_check"), denied)
            self.assertEqual(self.call_kw("connection.check.run", "start"), denied)
        self.authenticate("manager", "manager")
        run = self.call_kw("connection.check.run", "start")
        self.assertTrue(self.call_kw("connection.check.run", "step", [run["id"]], "configuration")["seen"])
        for name in ("token", "steps", "job"):
            self.assertEqual(self.call_kw("connection.check.run", "read", [run["id"]], [name]), denied)
        for method, args in (("create", [[{}]]), ("write", [[1], {"verdict": "direct"}]), ("unlink", [[1]])):
            self.assertEqual(self.call_kw("connection.check", method, *args), denied)
        self.authenticate("other_manager", "other_manager")
        for method, args in (("step", ["configuration"]), ("echo", ["1"]), ("finish", [])):
            self.assertEqual(self.call_kw("connection.check.run", method, [run["id"]], *args), denied)

    @mute_logger("odoo.http")
    def test_bus_process_answers_a_check_only(self):
        self.authenticate("manager", "manager")
        run = self.call_kw("connection.check.run", "start")
        for login in ("manager", "viewer", "nobody", None):
            self.authenticate(login, login)
            for token in ("", "x", "None", "0"):
                self.assertEqual(self.get(run["id"], token).status_code, 403)
            for run_id in (0, -1, 1 << 40, "x", "", "٣", "1.0"):
                self.assertEqual(self.get(run_id, run["token"]).status_code, 403)
        self.authenticate("manager", "manager")
        silence = self.call_kw("connection.check.run", "start")
        with patch.object(bus_process, "start_silence") as start:
            self.assertEqual(self.get(silence["id"], "x", "silence").status_code, 403)
            self.assertFalse(start.called)
            self.assertEqual(self.get(silence["id"], silence["token"], "silence").json(), {})
            start.assert_called_once_with(self.env.cr.dbname)
        answer = self.get(run["id"], run["token"]).json()
        self.assertTrue(json.loads(answer["text"])["is_bus"])
        self.assertNotIn(config["db_password"], str(answer))
        record = self.env["connection.check.run"].browse(run["id"])
        self.env.cr.execute("UPDATE connection_check_run SET create_date = create_date - interval '5 min'")
        record.invalidate_recordset()
        self.assertEqual(self.get(run["id"], run["token"]).status_code, 403, "old")
