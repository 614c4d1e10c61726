import json
import re
from pathlib import Path

from odoo import fields
from odoo.exceptions import AccessError
from odoo.tests import HttpCase, new_test_user, tagged
from odoo.tools import mute_logger
from odoo.tools.misc import file_path

from .common import answering, connect, forget_silence

LIVE_MODELS = (
    "pg.stat.activity",
    "pgbouncer.pool",
    "pgbouncer.client",
    "pgbouncer.server",
    "pgbouncer.database",
    "pgbouncer.stat",
    "pgbouncer.setting",
    "pgbouncer.user",
    "pgbouncer.peer",
)
STORED_MODELS = (
    "connection.endpoint",
    "connection.sample",
    "connection.rule",
    "connection.alert",
    "connection.check",
    "connection.advice",
    "connection.plan",
    "connection.plan.other",
    "connection.refusal",
)
# For administrators alone.
SYSTEM_MODELS = ("connection.metrics", "connection.refusal.folder", "connection.refusal.total")
MODELS = (*LIVE_MODELS, *STORED_MODELS)
# Buttons that change something.
ACTIONS = (
    ("pg.stat.activity", "action_cancel"),
    ("pg.stat.activity", "action_terminate"),
    ("pgbouncer.database", "action_reconnect"),
    ("pgbouncer.database", "action_pause"),
    ("pgbouncer.database", "action_resume"),
    ("connection.endpoint", "action_reload"),
    ("connection.endpoint", "action_reconnect"),
    ("connection.endpoint", "action_pause"),
    ("connection.endpoint", "action_resume"),
    ("connection.endpoint", "action_send_test_alert"),
    ("connection.alert", "action_acknowledge"),
    ("connection.plan", "action_fill_in"),
    ("connection.plan", "action_compare"),
)


@tagged("-at_install", "post_install")
class TestAccess(HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["connection.endpoint"].search([]).active = False
        cls.endpoint = cls.env["connection.endpoint"].create(
            {"name": "Somewhere", "host": "127.0.0.1", "port": 1, "user": "u", "password": "p4ss"}
        )
        cls.alert = cls.env["connection.alert"].create(
            {
                "endpoint_id": cls.endpoint.id,
                "endpoint_name": cls.endpoint.name,
                "rule": "blocked_age",
                "level": "critical",
                "opened_at": fields.Datetime.now(),
                "evidence_facts": {"html": "PID 1"},
                "queries_facts": {"html": "SELECT 'a secret'"},
            }
        )
        cls.plan = cls.env["connection.plan"].create({"name": "Today"})
        cls.nobody = new_test_user(cls.env, "nobody", groups="base.group_user,base.group_allow_export")
        cls.viewer = new_test_user(cls.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        cls.manager = new_test_user(cls.env, "manager", groups="pgbouncer_monitor.group_manager")

    def setUp(self):
        super().setUp()
        forget_silence(self)

    def call_kw(self, model, method, *args, **kwargs):
        """Return what the web client gets: the result, or the name of the exception."""
        answer = self.url_open(
            "/web/dataset/call_kw",
            json={"params": {"model": model, "method": method, "args": args, "kwargs": kwargs}},
        ).json()
        return answer["error"]["data"]["name"] if "error" in answer else answer["result"]

    def json_2(self, user, model, method, **body):
        expiration = fields.Datetime.add(fields.Datetime.now(), days=1)
        key = self.env["res.users.apikeys"].with_user(user)._generate("rpc", "test", expiration)
        return self.url_open(
            f"/json/2/{model}/{method}",
            data=json.dumps(body),
            headers={"Authorization": f"bearer {key}", "Content-Type": "application/json"},
        )

    @mute_logger("odoo.http", "odoo.models", "odoo.addons.base.models.ir_model")
    def test_nobody_else_reads_anything(self):
        self.authenticate("nobody", "nobody")
        for model in (*MODELS, "connection.comparison"):
            with self.assertRaises(AccessError):
                self.env[model].with_user(self.nobody).search([])
            for method, args in (
                ("web_search_read", [[], {}]),
                ("web_read_group", [[], ["id"], []]),
                ("search_count", [[]]),
                ("read", [[1], ["id"]]),
                ("export_data", [[1], ["display_name"]]),
            ):
                self.assertEqual(self.call_kw(model, method, *args), "odoo.exceptions.AccessError", (model, method))
            if model in (*LIVE_MODELS, "connection.sample", "connection.alert", "connection.refusal"):
                for method in ("get_notices", "get_empty_help"):
                    self.assertEqual(self.call_kw(model, method), "odoo.exceptions.AccessError", (model, method))
            self.assertEqual(self.json_2(self.nobody, model, "search_read", domain=[]).status_code, 403, model)
        for model, method, args in (
            ("connection.endpoint", "action_test", [[self.endpoint.id]]),
            ("connection.overview", "get_overview", []),
            ("connection.overview", "get_card", [self.endpoint.id]),
            ("connection.overview", "get_status", []),
        ):
            self.assertEqual(self.call_kw(model, method, *args), "odoo.exceptions.AccessError", method)

    @mute_logger("odoo.http", "odoo.models", "odoo.addons.base.models.ir_model")
    def test_models_of_administrators(self):
        """Metrics name all databases and users."""
        self.env["connection.metrics"].create(
            {"endpoint_id": self.endpoint.id, "label": "l", "sampled_at": fields.Datetime.now(), "content": b"\xff"}
        )
        for login in ("nobody", "viewer", "manager", "admin"):
            self.authenticate(login, login)
            for model in SYSTEM_MODELS:
                for method, args in (("search_read", [[]]), ("web_search_read", [[], {}]), ("search_count", [[]])):
                    answer = self.call_kw(model, method, *args)
                    is_refused = answer == "odoo.exceptions.AccessError"
                    self.assertEqual(is_refused, login != "admin", (login, model, method, answer))
        self.assertEqual(self.call_kw("connection.metrics", "search_read", [])[0]["label"], "l")

    @mute_logger("odoo.http", "odoo.models", "odoo.addons.base.models.ir_model")
    def test_viewer_sees_no_query_and_changes_nothing(self):
        self.authenticate("viewer", "viewer")
        result = self.call_kw("pg.stat.activity", "web_search_read", [], {"pid": {}, "state": {}}, limit=1)
        self.assertEqual(len(result["records"]), 1)
        self.assertNotIn("query", self.call_kw("pg.stat.activity", "fields_get"))
        for method, args in (
            ("web_search_read", [[], {"query": {}}]),
            ("search_count", [[("query", "ilike", "select")]]),
            ("web_read_group", [[], ["query"], []]),
            ("search_read", [[], ["query"]]),
        ):
            self.assertEqual(self.call_kw("pg.stat.activity", method, *args), "odoo.exceptions.AccessError", method)
        self.assertEqual(
            self.json_2(self.viewer, "pg.stat.activity", "search_read", domain=[], fields=["query"]).status_code, 403
        )
        arch = self.call_kw("pg.stat.activity", "get_views", [[False, "list"], [False, "form"]])
        self.assertNotIn('name="query"', str(arch["views"]))
        for method, args in (
            ("write", [[self.endpoint.id], {"host": "elsewhere"}]),
            ("create", [[{"name": "n", "host": "h", "user": "u"}]]),
            ("unlink", [[self.endpoint.id]]),
            ("action_test", [[self.endpoint.id]]),
            ("action_sample", [[self.endpoint.id]]),
            ("action_remove_password", [[self.endpoint.id]]),
        ):
            self.assertEqual(self.call_kw("connection.endpoint", method, *args), "odoo.exceptions.AccessError", method)

    @mute_logger("odoo.http", "odoo.models", "odoo.addons.base.models.ir_model")
    def test_only_managers_act_on_servers(self):
        row = {"name": "shop", "paused": 0, "disabled": 0}
        self.startPatcher(answering({self.endpoint: {"SHOW DATABASES": [row]}}))
        self.env.cr.cache.clear()
        self.env.cr.execute("SELECT pg_stat_clear_snapshot()")
        session = connect(user="odoo")
        self.addCleanup(session.close)
        domain = [("pid", "=", session.info.backend_pid)]
        ids = {
            "pg.stat.activity": self.env["pg.stat.activity"].search(domain).id,
            "pgbouncer.database": self.env["pgbouncer.database"].search([]).id,
            "connection.endpoint": self.endpoint.id,
            "connection.alert": self.alert.id,
            "connection.plan": self.plan.id,
        }
        for login in ("nobody", "viewer"):
            self.authenticate(login, login)
            for model, method in ACTIONS:
                answer = self.call_kw(model, method, [ids[model]])
                self.assertEqual(answer, "odoo.exceptions.AccessError", (login, model, method))
        session.cursor().execute("SELECT 1")  # it was not terminated
        self.assertFalse(self.alert.acknowledged_at)

    @mute_logger("odoo.http", "odoo.models", "odoo.addons.base.models.ir_model")
    def test_nobody_reads_a_password_by_rpc(self):
        self.authenticate("admin", "admin")
        for specification in ({"stored_password": {}},):
            self.assertEqual(
                self.call_kw("connection.endpoint", "web_search_read", [], specification),
                "odoo.exceptions.AccessError",
            )
        result = self.call_kw("connection.endpoint", "read", [self.endpoint.id])
        self.assertNotIn("p4ss", str(result))
        admin = self.env.ref("base.user_admin")
        answer = self.json_2(admin, "connection.endpoint", "search_read", domain=[], fields=["stored_password"])
        self.assertEqual(answer.status_code, 403)

    def test_manager_sees_queries(self):
        self.authenticate("manager", "manager")
        result = self.call_kw("pg.stat.activity", "web_search_read", [["query", "ilike", "pg_stat"]], {"query": {}})
        self.assertIn("pg_stat_activity", result["records"][0]["query"])

    @mute_logger("odoo.http", "odoo.models", "odoo.addons.base.models.ir_model")
    def test_queries_of_an_alert_are_for_managers(self):
        self.authenticate("viewer", "viewer")
        self.assertIn("PID 1", self.call_kw("connection.alert", "read", [self.alert.id])[0]["evidence"])
        for name in ("queries", "queries_facts"):
            for method, args in (
                ("read", [[self.alert.id], [name]]),
                ("web_search_read", [[], {name: {}}]),
                ("search_count", [[(name, "ilike", "secret")]]),
                ("web_read_group", [[], [name], []]),
            ):
                answer = self.call_kw("connection.alert", method, *args)
                self.assertEqual(answer, "odoo.exceptions.AccessError", (name, method))
            self.assertNotIn(name, self.call_kw("connection.alert", "fields_get"))
        self.assertNotIn("secret", str(self.call_kw("connection.alert", "read", [self.alert.id])))
        self.authenticate("manager", "manager")
        [read] = self.call_kw("connection.alert", "read", [self.alert.id], ["queries"])
        self.assertIn("a secret", read["queries"])

    @mute_logger("odoo.http", "odoo.models", "odoo.addons.base.models.ir_model")
    def test_who_writes_alerts_and_rules(self):
        rule = self.env["connection.rule"].search([("rule", "=", "maxwait")])
        for login in ("viewer", "manager", "admin"):
            self.authenticate(login, login)
            for method, args in (("write", [[self.alert.id], {"level": "ok"}]), ("unlink", [[self.alert.id]])):
                answer = self.call_kw("connection.alert", method, *args)
                self.assertEqual(answer, "odoo.exceptions.AccessError", (login, method))
            answer = self.call_kw("connection.rule", "write", [rule.id], {"warning": 2})
            self.assertEqual(answer, "odoo.exceptions.AccessError" if login == "viewer" else True, login)

    @mute_logger("odoo.http", "odoo.models", "odoo.addons.base.models.ir_model")
    def test_who_writes_plans(self):
        """Managers make plans. Viewers read them, with all that is computed."""
        other = {"plan_id": self.plan.id, "name": "BI"}
        for login in ("nobody", "viewer", "manager"):
            self.authenticate(login, login)
            for model, method, args in (
                ("connection.plan", "create", [{"name": "Tomorrow"}]),
                ("connection.plan", "write", [[self.plan.id], {"workers": 2}]),
                ("connection.plan", "copy", [[self.plan.id]]),
                ("connection.plan.other", "create", [other]),
            ):
                answer = self.call_kw(model, method, *args)
                self.assertEqual(answer == "odoo.exceptions.AccessError", login != "manager", (login, method, answer))
            answer = self.call_kw("connection.plan", "read", [self.plan.id], ["demand", "proposal", "files", "text"])
            self.assertEqual(answer == "odoo.exceptions.AccessError", login == "nobody", answer)
            answer = self.call_kw("connection.plan", "web_search_read", [], {"verdict": {}, "files": {}})
            self.assertEqual(answer == "odoo.exceptions.AccessError", login == "nobody", answer)

    def test_plan_by_rpc(self):
        """A script creates a plan and reads it. An error is a sentence, whatever the number."""
        manager = self.manager
        answer = self.json_2(manager, "connection.plan", "create", vals_list=[{"name": "Script", "workers": 8}])
        fields_ = ["demand", "proposal", "files"]
        [plan] = self.json_2(manager, "connection.plan", "read", ids=answer.json(), fields=fields_).json()
        self.assertEqual(plan["demand"][0]["expected"], 8)
        self.assertIn("pgbouncer.ini", plan["files"])
        self.assertGreater(plan["proposal"]["figures"]["default_pool_size"]["value"], 0)
        for number in (-1, 10**12, 10**30):
            with mute_logger("odoo.http"):
                answer = self.json_2(manager, "connection.plan", "create", vals_list=[{"name": "x", "workers": number}])
            self.assertEqual(answer.status_code, 422)
            self.assertIn("HTTP Workers: enter at ", answer.json()["message"])

    @mute_logger("odoo.http", "odoo.models", "odoo.addons.base.models.ir_model", "odoo.sql_db")
    def test_live_rows_cannot_be_written(self):
        self.authenticate("manager", "manager")
        for model in LIVE_MODELS:
            for method, args in (("create", [[{}]]), ("write", [[1], {}]), ("unlink", [[1]])):
                self.assertEqual(self.call_kw(model, method, *args), "odoo.exceptions.AccessError", (model, method))

    @mute_logger("odoo.http", "odoo.models", "odoo.addons.base.models.ir_model")
    def test_log_of_actions_cannot_be_deleted(self):
        self.authenticate("manager", "manager")
        answer = self.call_kw("connection.endpoint", "unlink", [self.endpoint.id])
        self.assertEqual(answer, "odoo.exceptions.AccessError")
        self.authenticate("admin", "admin")
        postgresql = self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql")
        answer = self.call_kw("connection.endpoint", "unlink", [postgresql.id])
        self.assertEqual(answer, "odoo.exceptions.UserError")
        answer = self.call_kw("connection.endpoint", "action_pause", [postgresql.id])
        self.assertEqual(answer, "odoo.exceptions.UserError")

    def test_archived_endpoint_is_never_queried(self):
        """Not even with active_test=False, as in a neutralised copy."""
        self.endpoint.active = False
        with answering({}):
            for model in LIVE_MODELS:
                self.env[model].with_context(active_test=False).search([])

    def test_administrators_are_managers(self):
        self.assertTrue(self.env.ref("base.user_admin").has_group("pgbouncer_monitor.group_manager"))
        self.assertFalse(self.nobody.has_group("pgbouncer_monitor.group_viewer"))
        self.assertFalse(self.viewer.has_group("pgbouncer_monitor.group_manager"))

    def test_menus(self):
        """Viewers have the app, with all screens but the Settings. Of several menus with one action, Odoo opens an
        address in the app of the lowest id."""
        Menu = self.env["ir.ui.menu"]
        app = self.env.ref("pgbouncer_monitor.pgbouncer_monitor_menu_root")
        technical = self.env.ref("pgbouncer_monitor.technical_menu_root")
        settings = self.env.ref("pgbouncer_monitor.connection_settings_menu")

        def screens(root, user):
            visible = Menu.with_user(user)._visible_menu_ids(debug=True)
            if root.id not in visible:  # then nothing below it is shown
                return Menu
            return Menu.search([("id", "child_of", root.id), ("id", "in", visible), ("action", "!=", False)])

        admin = self.env.ref("base.user_admin")
        of_admin = screens(app, admin)
        self.assertEqual(of_admin - screens(app, self.viewer), settings)
        self.assertEqual(of_admin - screens(app, self.manager), settings)
        doubled = {menu.action for menu in screens(technical, admin)}
        self.assertEqual({menu.action for menu in of_admin - settings}, doubled)
        for menu in of_admin:
            first = Menu.search([("action", "=", f"{menu.action._name},{menu.action.id}")], order="id", limit=1)
            self.assertEqual(first, menu)
            self.assertTrue(menu.action.path, menu.name)
        self.assertTrue(app.web_icon_data)
        self.assertFalse(screens(app, self.nobody))
        settings = self.env.ref("base.menu_administration")
        self.assertNotIn(settings.id, Menu.with_user(self.viewer)._visible_menu_ids(debug=True))

    def test_models_of_the_app(self):
        """The web client has a list of the models whose screens are in the app."""
        own = [("module", "=", "pgbouncer_monitor"), ("model", "=", "ir.actions.act_window")]
        actions = self.env["ir.actions.act_window"].browse(self.env["ir.model.data"].search(own).mapped("res_id"))
        screens = actions.filtered(lambda action: action.target != "new" and action.res_model != "res.config.settings")
        code = Path(file_path("pgbouncer_monitor/static/src/app/app_service.js")).read_text()
        [listed] = re.findall(r"new Set\(\[(.*?)\]\)", code, re.DOTALL)
        self.assertEqual(set(re.findall(r'"(.*?)"', listed)), set(screens.mapped("res_model")))
