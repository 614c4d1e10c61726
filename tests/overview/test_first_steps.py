import os
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import AccessError
from odoo.service.model import call_kw
from odoo.tests import new_test_user, tagged
from odoo.tools import mute_logger

from ...models.endpoint import connection_endpoint_route
from ...models.endpoint.connection_endpoint import PASSWORD_VARIABLE
from ..cases import insert_samples
from ..common import TourCase, endpoint_values
from .common import OverviewCase
from .test_overview_tours import relay

STEPS = "odoo.addons.pgbouncer_monitor.models.overview.connection_overview_steps"


class TestFirstSteps(OverviewCase):
    """The tests' Odoo is connected through a PgBouncer."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        groups = "pgbouncer_monitor.group_manager"
        cls.manager = new_test_user(cls.env, "steps", groups=groups, email="me@shop.test", name="Steps")
        cls.env["connection.check"].search([]).unlink()
        cls.Overview = cls.env["connection.overview"].with_user(cls.manager)

    def steps(self):
        """Return name -> step of the Manager, None if there are none."""
        steps = self.overview(self.manager)["steps"]
        return steps and {step["name"]: step for step in steps}

    def press(self, step, label):
        """Press a button of a step. Return the action."""
        [(model, method, arguments)] = [button["call"] for button in step["buttons"] if button["label"] == label]
        return call_kw(self.env[model].with_user(self.manager), method, arguments, {})

    def test_all_is_to_do_then_done_then_gone(self):
        cron = self.env.ref("pgbouncer_monitor.ir_cron_sample")
        self.endpoint.active = False
        steps = self.steps()
        self.assertEqual({step["state"] for step in steps.values()}, {"todo"})
        self.assertEqual(steps["pg_monitor"]["lines"][0]["lines"], "GRANT pg_monitor TO odoo;")
        self.assertIn("every minute", steps["sampled"]["text"])
        cron.active = False
        self.assertIn("disabled in the Settings", self.steps()["sampled"]["text"])
        cron.active = True
        self.press(steps["sampled"], "Sample Now")
        self.press(steps["pgbouncer"], "Unarchive Test PgBouncer")
        self.press(steps["recipients"], "Follow All Endpoints")
        self.grant_monitor()
        steps = self.steps()
        self.assertEqual({name for name, step in steps.items() if step["state"] == "todo"}, {"checked"})
        self.assertIn("By e-mail: Steps", steps["recipients"]["text"])
        values = {"level": "ok", "host": "h", "conclusion": {"text": "It hears."}}
        for listener in self.env["connection.check"]._listeners():
            self.assertTrue(self.steps())
            self.env["connection.check"].create(values | {"listener": listener, "verdict": "direct"})
        self.assertIsNone(self.steps())
        self.env["connection.check"].search([]).unlink()
        self.assertIsNone(self.steps(), "they do not come back")

    def test_a_sample_without_an_answer_is_not_done(self):
        now = fields.Datetime.now()
        self.postgresql._keep_reading({"sampled_at": now, "last_seen": False, "reason": {"text": "It was frozen."}})
        step = self.steps()["sampled"]
        self.assertEqual((step["state"], step["text"]), ("todo", "It was frozen."))
        self.postgresql.active = False
        step = self.steps()["sampled"]
        self.assertIn("archived", step["text"])
        self.assertEqual(self.press(step, "Open PostgreSQL of this Odoo")["res_id"], self.postgresql.id)

    def test_only_managers_have_steps_and_all_of_them_dismiss(self):
        viewer = new_test_user(self.env, "onlooker", groups="pgbouncer_monitor.group_viewer")
        self.assertIsNone(self.overview(viewer)["steps"])
        for method in ("dismiss_steps", "follow_all"):
            with self.assertRaises(AccessError):
                getattr(self.Overview.with_user(viewer), method)()
        endpoint = self.endpoint.with_user(viewer)
        for call in (endpoint.action_add_pgbouncer, endpoint.action_unarchive_and_open):
            with self.assertRaises(AccessError):
                call()
        self.Overview.dismiss_steps()
        note = self.postgresql.message_ids[0]
        self.assertIn("First Steps on the Overview: on → off", note.body)
        self.assertEqual(note.author_id, self.manager.partner_id)
        self.assertIsNone(self.steps())
        self.assertIsNone(self.overview()["steps"], "of the administrator, too")
        self.env["res.config.settings"].create({"are_steps_shown": True}).execute()
        self.assertTrue(self.steps())
        self.env["ir.config_parameter"].set_param("pgbouncer_monitor.are_steps_shown", "false")
        self.assertIsNone(self.steps(), "set by hand")

    def test_pooler_is_found_and_called_pgbouncer_only_if_it_says_so(self):
        address = self.endpoint.host, self.endpoint.port
        self.endpoint.unlink()
        step = self.steps()["pgbouncer"]
        self.assertEqual(step["title"], "Odoo's pooler is not watched")
        self.assertNotIn("PgBouncer", step["text"].partition(". ")[0])
        context = self.press(step, "Watch It as PgBouncer")["context"]
        self.assertEqual((context["default_host"], context["default_port"]), address)
        self.assertIs(context["default_user"], False, "an invalid form is not saved when the page is left")
        self.assertEqual(step["lines"][0]["lines"], "stats_users = odoo_monitor")
        with patch.object(connection_endpoint_route, "pgbouncer_version", lambda _cr: "1.26.1"):
            step = self.steps()["pgbouncer"]
        self.assertEqual(step["title"], "A PgBouncer was found")
        self.assertIn("through PgBouncer 1.26.1 at", step["text"])
        self.assertTrue(self.press(step, "Watch This PgBouncer"))
        self.assertIn("An administrator must enter the password", step["then"])

    def test_no_second_endpoint_for_one_pgbouncer(self):
        """Whatever the spelling of its address is."""
        for host in ("localhost", "LOCALHOST", "127.0.0.1", "/var/run/pgbouncer"):
            self.endpoint.write({"host": host, "active": False})
            action = self.env["connection.endpoint"].action_add_pgbouncer()
            self.assertEqual((action["context"], self.endpoint.active), ({}, False), "an empty list adds a new one")
            action = self.press(self.steps()["pgbouncer"], "Unarchive Test PgBouncer")
            self.assertEqual((action["res_id"], self.endpoint.active), (self.endpoint.id, True), host)
        self.endpoint.host = "127.1.2.3"  # where nobody listens
        step = self.steps()["pgbouncer"]
        self.assertIn("does not answer", step["text"])
        self.assertEqual(self.press(step, "Open Test PgBouncer")["res_id"], self.endpoint.id)

    def test_watched_behind_another_address(self):
        """As behind a load balancer: what counts is who holds the backend."""
        port, stop = relay((self.endpoint.host, self.endpoint.port))
        self.addCleanup(stop)
        self.endpoint.write(endpoint_values(port=port))
        step = self.steps()["pgbouncer"]
        self.assertEqual((step["state"], step["text"]), ("done", "Odoo is connected through Test PgBouncer."))

    def test_settings(self):
        cron = self.env.ref("pgbouncer_monitor.ir_cron_sample")
        cron.active = False
        self.manager.group_ids += self.env.ref("base.group_system")
        action = self.press(self.steps()["sampled"], "Settings")
        self.assertEqual(action["xml_id"], "pgbouncer_monitor.connection_settings_action")

    def test_without_a_pooler(self):
        with patch.object(connection_endpoint_route, "protocol_pid", self.backend_pid):
            with self.console():
                step = self.steps()["pgbouncer"]
            self.assertEqual((step["state"], step["text"]), ("done", "Watched: Test PgBouncer."))
            self.endpoint.active = False
            step = self.steps()["pgbouncer"]
            self.assertEqual((step["title"], step["has_need"]), ("No PgBouncer to watch", True))
            action = self.env["connection.endpoint"].with_user(self.manager).action_add_pgbouncer()
            self.assertEqual(action["context"], {}, "PostgreSQL's address is not PgBouncer's")

    def backend_pid(self, _cr):
        return self.env["connection.endpoint"]._own_connection("pg_backend_pid()")

    def test_who_follows_without_alerts_gets_them(self):
        subtype, comments = self.env.ref("pgbouncer_monitor.mt_alert"), self.env.ref("mail.mt_comment")
        for endpoint in self.postgresql | self.endpoint:
            endpoint.message_subscribe(self.manager.partner_id.ids, comments.ids)
        self.press(self.steps()["recipients"], "Follow All Endpoints")
        for endpoint in self.postgresql | self.endpoint:
            [follower] = endpoint.message_follower_ids.filtered(lambda one: one.partner_id == self.manager.partner_id)
            self.assertEqual(follower.subtype_ids, subtype | comments)
        self.assertNotIn("Follow All Endpoints", str(self.steps()["recipients"]["buttons"]))

    def test_recipients_cost_the_same_for_20_endpoints(self):
        def measure():
            endpoints = self.env["connection.endpoint"].search([])
            self.Overview._step_recipients(dict.fromkeys(endpoints))  # fills the registry's caches
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            step = self.Overview._step_recipients(dict.fromkeys(endpoints))
            return step, self.env.cr.sql_log_count - before

        self.Overview.follow_all()
        _step, statements = measure()
        for number in range(20):
            self.endpoint.copy({"name": f"PgBouncer {number}"})
        self.Overview.follow_all()
        step, of_many = measure()
        self.assertEqual((step["state"], of_many), ("done", statements))
        self.endpoint.message_unsubscribe(self.endpoint.message_partner_ids.ids)
        self.endpoint.responsible_id = self.env.ref("base.user_admin")  # who has no e-mail address
        step = self.Overview._step_recipients(dict.fromkeys(self.env["connection.endpoint"].search([])))
        self.assertIn("Nobody would receive the alerts of Test PgBouncer.", step["text"], "one differs")

    def test_nobody_would_be_told(self):
        self.manager.email = False
        self.postgresql.message_unsubscribe(self.postgresql.message_partner_ids.ids)
        self.endpoint.active = False
        self.postgresql.responsible_id = self.manager
        step = self.steps()["recipients"]
        self.assertEqual(step["state"], "todo")
        self.assertIn("No e-mail address: Steps.", step["text"])
        self.assertTrue(self.press(step, "My Preferences"))
        self.manager.notification_type = "inbox"
        step = self.steps()["recipients"]
        self.assertEqual((step["state"], step["text"]), ("done", "In Odoo: Steps."))
        self.postgresql.active = False
        self.assertEqual(self.steps()["recipients"]["text"], "No endpoint is active.")

    @mute_logger(STEPS, "odoo.sql_db")
    def test_a_step_that_fails_costs_only_itself(self):
        def fail(overview, _measured):
            overview.env.cr.execute("SELECT 1/0")

        self.patch(type(self.env["connection.overview"]), "_step_pg_monitor", fail)
        steps = self.steps()
        self.assertEqual(steps["pg_monitor"]["state"], "unknown")
        self.assertIn("division by zero", steps["pg_monitor"]["text"])
        self.assertEqual(steps["pgbouncer"]["state"], "done")

    def test_whether_a_pgbouncer_would_help(self):
        self.assertIsNone(self.overview()["need"], "it has one")
        self.endpoint.active = False
        self.assertIsNone(self.overview()["need"], "a pooler is in the path")
        self.patch(type(self.env["connection.endpoint"]), "_is_pooled", lambda _self: False)
        self.env["connection.sample"].search([]).unlink()
        self.assertIn("has not been sampled yet", self.overview()["need"])
        with mute_logger("odoo.sql_db"):
            need = self.env["connection.overview"]._need({"id": "none", "capacity": 97})
        self.assertIn("invalid input syntax", need, "a failure costs only this line")
        sample = {"endpoint_id": self.postgresql.id, "period": "minute", "sample_count": 1, "level": "ok"}
        now = fields.Datetime.now()
        insert_samples(self.env, sample | {"sampled_at": fields.Datetime.to_string(now), "used_max": 7})
        self.assertIn("after a day of samples", self.overview()["need"])
        need = self.env["connection.overview"]._need({"id": self.postgresql.id, "capacity": None})
        self.assertEqual(need, "Not enough data to determine: PostgreSQL Connections", "one failed reading")
        ago = fields.Datetime.to_string(fields.Datetime.subtract(now, days=2))
        insert_samples(self.env, sample | {"sampled_at": ago, "used_max": 9})
        need = self.overview()["need"]
        self.assertIn("would not help here now", need)
        self.assertIn("up to 9 of PostgreSQL's 97 connections", need)
        insert_samples(self.env, sample | {"sampled_at": ago, "used_max": 90})
        self.assertIn("would help here: it lets", self.overview()["need"])


@tagged("-at_install", "post_install")
class TestFirstStepsTour(TourCase):
    def setUp(self):
        super().setUp()
        self.env["connection.endpoint"].search([("kind", "=", "pgbouncer")]).unlink()
        self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql").active = True
        self.env.ref("base.user_admin").write({"email": False, "notification_type": "email"})
        check = {"level": "ok", "host": "h", "conclusion": {"text": "It hears."}, "verdict": "direct"}
        self.env["connection.check"].search([]).unlink()
        self.env["connection.check"].create([check | {"listener": listener} for listener in ("bus", "cron")])

    def test_newcomer(self):
        """Through the PgBouncer of this Odoo, which is not watched yet."""
        values = endpoint_values()
        password = patch.dict(os.environ, {PASSWORD_VARIABLE: values["password"]})
        self.startPatcher(password)
        tour = "pgbouncer_monitor_first_steps"
        self.start_tour("/odoo/connection-overview", tour, login="admin", timeout=120)
        endpoint = self.env["connection.endpoint"].search([("kind", "=", "pgbouncer")])
        self.assertEqual((endpoint.host, endpoint.port), (values["host"], values["port"]))
        self.assertFalse(self.env["connection.settings"]._value("are_steps_shown"))
