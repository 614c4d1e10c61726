"""Who reads, checks and accepts, by RPC."""

from odoo import fields
from odoo.tests import HttpCase, new_test_user, tagged
from odoo.tools import mute_logger

from ..common import forget_silence

DENIED = "odoo.exceptions.AccessError"


@tagged("-at_install", "post_install")
class TestRights(HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["connection.endpoint"].search([]).active = False
        cls.advice = cls.env["connection.advice"].create(
            {
                "code": "endless_queue",
                "level": "critical",
                "endpoint_id": cls.env.ref("pgbouncer_monitor.connection_endpoint_postgresql").id,
                "evidence_facts": {"query_wait_timeout": 0},
                "found_at": fields.Datetime.now(),
                "read_at": fields.Datetime.now(),
            }
        )
        for login in ("viewer", "manager"):
            new_test_user(cls.env, login, groups=f"pgbouncer_monitor.group_{login}")
        new_test_user(cls.env, "nobody", groups="base.group_user")

    def setUp(self):
        super().setUp()
        forget_silence(self)

    def call(self, method, *args, model="connection.advice"):
        """Return the result, or the name of the exception."""
        params = {"model": model, "method": method, "args": args, "kwargs": {}}
        answer = self.url_open("/web/dataset/call_kw", json={"params": params}).json()
        return answer["error"]["data"]["name"] if "error" in answer else answer["result"]

    @mute_logger("odoo.http", "odoo.models", "odoo.addons.base.models.ir_model")
    def test_rights(self):
        ids, until = self.advice.ids, str(fields.Date.add(fields.Date.today(), days=3))
        for login in ("nobody", "viewer", "manager"):
            self.authenticate(login, login)
            found = self.call("search_read", [], ["name", "evidence", "remedy", "is_accepted"])
            for method in ("get_notices", "action_read"):
                answer = self.call(method)
                is_allowed = login == "manager" or (login, method) == ("viewer", "get_notices")
                self.assertEqual(answer != DENIED, is_allowed, (login, method, answer))
            if login == "nobody":
                self.assertEqual(found, DENIED)
                continue
            self.assertEqual((found[0]["name"], found[0]["is_accepted"]), ("Endless Queue", False))
            if login == "viewer":
                for method, args in (("action_accept", ["r", until]), ("action_revoke", [])):
                    self.assertEqual(self.call(method, ids, *args), DENIED)
                self.assertEqual(
                    self.call("create", [{"advice_ids": [(6, 0, ids)]}], model="connection.advice.acceptance"), DENIED
                )

    @mute_logger("odoo.http", "odoo.models", "odoo.addons.base.models.ir_model")
    def test_nothing_else_is_written(self):
        ids, until = self.advice.ids, str(fields.Date.add(fields.Date.today(), days=3))
        self.authenticate("manager", "manager")
        for method, args in (
            ("write", [ids, {"level": "hint"}]),
            ("write", [ids, {"accepted_until": until}]),
            ("create", [[{"code": "x"}]]),
            ("unlink", [ids]),
        ):
            self.assertEqual(self.call(method, *args), DENIED, method)
        self.assertEqual(self.call("action_accept", ids, " ", until), "odoo.exceptions.UserError")
        self.assertIs(self.call("action_accept", ids, "A test server", until), True)
        self.assertEqual(self.advice.accepted_by.login, "manager")
        self.assertTrue(self.call("search_read", [["is_accepted", "=", True]], ["id"]))
        self.assertIs(self.call("action_revoke", ids), True)
        self.assertFalse(self.call("search_read", [["is_accepted", "=", True]], ["id"]))
