from datetime import timedelta

from odoo import fields
from odoo.exceptions import AccessError
from odoo.tests import HttpCase, freeze_time, new_test_user, tagged
from odoo.tools import mute_logger

from ...probes import query
from ..cases import SampleCase


@tagged("-at_install", "post_install")
class TestConnectionOverviewStatus(SampleCase):
    """The answer is made of what is stored: no test here queries a server."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.postgresql.active = False
        cls.env["connection.alert"].search([]).unlink()
        cls.env["connection.check"].search([]).unlink()
        for listener in ("bus", "cron"):
            cls.verdict(listener, "direct", "ok")
        cls.keep(cls.endpoint)

    @classmethod
    def verdict(cls, listener, verdict, level):
        values = {"listener": listener, "verdict": verdict, "level": level, "host": "h"}
        return cls.env["connection.check"].create(values | {"conclusion": {"text": "Seen."}})

    @classmethod
    def keep(cls, endpoint, level="ok", reason=None):
        now = fields.Datetime.now() - timedelta(seconds=30)
        endpoint._keep_reading(
            {"level": level, "pressure": 12.5, "sampled_at": now, "last_seen": now, "reason": reason}
        )

    def status(self, **context):
        self.env.invalidate_all()
        return self.env["connection.overview"].with_context(**context).get_status()

    def alert(self, level="critical", endpoint=None):
        endpoint = endpoint or self.endpoint
        return self.env["connection.alert"].create(
            {
                "endpoint_id": endpoint.id,
                "endpoint_name": endpoint.name,
                "rule": "maxwait",
                "level": level,
                "opened_at": fields.Datetime.now(),
            }
        )

    def test_last_sample(self):
        self.patch(query, "run", lambda *args: self.fail("a server was queried"))
        status = self.status()
        [endpoint] = status["endpoints"]
        self.assertLess(29, endpoint.pop("age"))
        expected = {"id": self.endpoint.id, "name": "Test PgBouncer", "level": "ok", "reason": None, "pressure": 12.5}
        self.assertEqual(endpoint, expected)
        self.assertEqual((status["level"], status["open_alerts"]), ("ok", 0))
        self.assertEqual([check["label"] for check in status["checks"]], ["Bus: Direct", "Cron: Direct"])

    def test_worst_counts(self):
        """Of alerts, endpoints and verdicts."""
        other = self.endpoint.copy({"name": "Other"})
        self.keep(other, "warning", {"rule": "maxwait", "value": 2})
        status = self.status()
        self.assertEqual([row["name"] for row in status["endpoints"]], ["Other", "Test PgBouncer"])
        self.assertEqual(status["level"], "warning")
        self.assertIn("Longest Wait", status["endpoints"][0]["reason"])
        alert = self.alert()
        status = self.status()
        self.assertEqual((status["level"], status["open_alerts"]), ("critical", 1))
        self.assertEqual(status["endpoints"][0]["level"], "critical")
        self.assertIn("Alert, open for", status["endpoints"][0]["reason"])
        alert._close("well")
        self.assertEqual(self.status()["level"], "warning")
        self.verdict("bus", "deaf", "critical")
        status = self.status()
        self.assertEqual((status["level"], status["checks"][0]["level"]), ("critical", "critical"))

    def test_unknown(self):
        """What is old, or was never measured, is not OK."""
        with freeze_time(fields.Datetime.now() + timedelta(minutes=10)):
            status = self.status()
        [endpoint] = status["endpoints"]
        self.assertEqual((endpoint["level"], endpoint["pressure"]), ("unknown", None))
        self.assertIn("Not sampled since", endpoint["reason"])
        self.assertEqual((status["level"], status["overdue"]["level"]), ("warning", "warning"), "the sampler hangs")
        with freeze_time(fields.Datetime.now() + timedelta(days=10)):
            self.keep(self.endpoint)
            status = self.status()
        self.assertEqual((status["endpoints"][0]["level"], status["level"]), ("ok", "unknown"), "the checks are old")
        self.keep(self.endpoint)
        never = self.endpoint.copy({"name": "Never"})
        status = self.status()
        self.assertEqual((status["level"], status["endpoints"][0]["age"]), ("unknown", None))
        (never | self.endpoint).active = False
        self.assertEqual((self.status()["level"], self.status()["endpoints"]), ("unknown", []))

    def test_statements_do_not_grow(self):
        """With 20 endpoints and alerts it costs as many as with one."""

        def measure():
            """Return the number of endpoints and of statements. The first answer fills the registry's caches."""
            self.status()
            before = self.env.cr.sql_log_count
            status = self.status()
            return len(status["endpoints"]), status["more"], self.env.cr.sql_log_count - before

        self.keep(self.endpoint, "warning", {"rule": "maxwait", "value": 2})
        self.alert()
        one, more, statements = measure()
        self.assertEqual((one, more), (1, 0))
        self.assertLess(statements, 30)
        for number in range(19):
            endpoint = self.endpoint.copy({"name": f"PgBouncer {number}"})
            self.keep(endpoint, "warning", {"rule": "maxwait", "value": 2})
            self.alert("warning", endpoint)
        self.env.flush_all()
        self.assertEqual(measure(), (8, 12, statements))

    def test_who_reads_it(self):
        nobody = new_test_user(self.env, "nobody", groups="base.group_user")
        viewer = new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        Overview = self.env["connection.overview"]
        self.env.invalidate_all()
        self.assertEqual(Overview.with_user(viewer).get_status()["level"], "ok")
        with self.assertRaises(AccessError), mute_logger("odoo.addons.base.models.ir_model"):
            Overview.with_user(nobody).get_status()

    def test_preference(self):
        """On at first. A user changes only the own one."""
        viewer = new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        other = new_test_user(self.env, "other", groups="pgbouncer_monitor.group_viewer")
        own = viewer.with_user(viewer)
        self.assertTrue(own.has_connection_light)
        self.assertTrue(self.env["res.users.settings"]._find_or_create_for_user(viewer).has_connection_light)
        own.write({"has_connection_light": False})
        settings = viewer.res_users_settings_id
        self.assertEqual((own.has_connection_light, settings.has_connection_light), (False, False))
        self.assertFalse(settings._res_users_settings_format()["has_connection_light"], "in the session")
        with self.assertRaises(AccessError), mute_logger("odoo.addons.base.models.ir_model"):
            other.with_user(viewer).write({"has_connection_light": False})
        with self.assertRaises(AccessError), mute_logger("odoo.addons.base.models.ir_rule"):
            settings.with_user(other).write({"has_connection_light": True})


@tagged("-at_install", "post_install")
class TestSession(HttpCase):
    def test_who_has_the_light(self):
        """The web client learns it from the page itself."""
        for login, groups in (("nobody", "base.group_user"), ("viewer", "pgbouncer_monitor.group_viewer")):
            new_test_user(self.env, login, groups=groups)
            self.authenticate(login, login)
            info = self.url_open("/web/session/get_session_info", json={}).json()["result"]
            self.assertIs(info["groups"]["pgbouncer_monitor.group_viewer"], login == "viewer")
            self.assertIs(info["user_settings"]["has_connection_light"], True)
