"""What an uptime monitor reads, and who may."""

from datetime import timedelta

from odoo import fields
from odoo.tests import HttpCase, new_test_user, tagged
from odoo.tools import mute_logger

from ...models.history import connection_sample_overdue
from ..common import forget_silence

ADDRESSES = ("/pgbouncer_monitor/health", "/pgbouncer_monitor/metrics")


@tagged("-at_install", "post_install")
class AddressCase(HttpCase):
    def setUp(self):
        super().setUp()
        forget_silence(self)
        self.env["connection.endpoint"].search([]).active = False
        self.env["connection.alert"].search([]).unlink()
        self.env["connection.check"].search([]).unlink()
        self.endpoint = self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql")
        self.endpoint.active = True
        self.viewer = new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        self.sampled(30)

    def key(self, user, scope="rpc", days=1):
        expiration = fields.Datetime.now() + timedelta(days=1)
        key = self.env["res.users.apikeys"].with_user(user)._generate(scope, "test", expiration)
        self.env.cr.execute(
            "UPDATE res_users_apikeys SET expiration_date = %s WHERE user_id = %s",
            [fields.Datetime.now() + timedelta(days=days), user.id],
        )
        return key

    def get(self, path, key, **options):
        self.env.flush_all()
        self.env.invalidate_all()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return self.url_open(path, headers=headers, **options)

    def sampled(self, seconds, level="ok", **values):
        at = fields.Datetime.now() - timedelta(seconds=seconds)
        values = {"level": level, "pressure": 12.5, "sampled_at": at, "last_seen": at, "reason": None} | values
        self.endpoint._keep_reading(values)


class TestRights(AddressCase):
    @mute_logger("odoo.http", "odoo.addons.base.models.ir_http")
    def test_who_may_read(self):
        users = {
            login: new_test_user(self.env, login, groups=groups)
            for login, groups in (
                ("employee", "base.group_user"),
                ("portal", "base.group_portal"),
                ("archived", "pgbouncer_monitor.group_viewer"),
                ("expired", "pgbouncer_monitor.group_viewer"),
                ("scoped", "pgbouncer_monitor.group_viewer"),
                ("manager", "pgbouncer_monitor.group_manager"),
            )
        }
        keys = {login: self.key(user) for login, user in users.items() if login not in ("expired", "scoped")}
        users["archived"].active = False
        cases = [
            (None, 401),
            ("0" * 40, 401),
            (keys["archived"], 401),
            (self.key(users["expired"], days=-1), 401),
            (self.key(users["scoped"], scope="odoo.plugin.outlook"), 401),
            (keys["employee"], 403),
            (keys["portal"], 403),
            (self.key(self.viewer), 200),
            (keys["manager"], 200),
        ]
        for path in ADDRESSES:
            for key, status in cases:
                answer = self.get(path, key)
                self.assertEqual(answer.status_code, status, (path, key))
                self.assertNotIn("Set-Cookie", answer.headers)
                for word in (self.env.cr.dbname, *users, "19.0", "PostgreSQL of this Odoo") if status != 200 else ():
                    self.assertNotIn(word, f"{answer.text} {answer.headers}")
            self.authenticate("viewer", "viewer")
            # A page of another site cannot read it with the browser's session.
            self.assertEqual(self.get(path, None).status_code, 401)
            self.assertEqual(self.get(path, None, method="POST").status_code, 405)
            self.logout()


class TestHealth(AddressCase):
    def setUp(self):
        super().setUp()
        self.known = self.key(self.viewer)

    def health(self, query="", status=None):
        """Return the answer, and the codes of its reasons."""
        answer = self.get(f"/pgbouncer_monitor/health{query}", self.known)
        health = answer.json()
        codes = [reason["code"] for reason in health["reasons"]]
        self.assertEqual((answer.status_code, health["status"]), (503, "failing") if codes else (200, "ok"))
        return health, codes

    def alert(self, level):
        values = {"endpoint_id": self.endpoint.id, "endpoint_name": self.endpoint.name, "rule": "blocked_age"}
        return self.env["connection.alert"].create(values | {"level": level, "opened_at": fields.Datetime.now()})

    def overdue(self):
        """The scheduled action of the sampler has not run for long: Odoo deactivated it."""
        self.env.cr.execute("UPDATE ir_cron SET active = FALSE, write_date = '2026-01-01', lastcall = '2026-01-02'")

        def jobs(samples):
            self.assertFalse(samples.env.cr.readonly, "a replica has other sessions")
            return {}

        self.patch(type(self.env["connection.sample"]), "_running_jobs", jobs)
        self.patch(connection_sample_overdue, "server_started_at", lambda: None)

    def test_levels_and_alerts(self):
        health, codes = self.health()
        self.assertEqual(codes, [])
        [endpoint] = health["endpoints"]
        self.assertEqual((endpoint["name"], endpoint["level"]), ("PostgreSQL of this Odoo", "ok"))
        self.assertAlmostEqual(endpoint["sample_age"], 30, delta=10)
        self.assertTrue(health["checked_at"].endswith("Z"))
        self.sampled(30, "warning", reason={"rule": "blocked_age", "value": 70})
        alert = self.alert("warning")
        self.assertEqual(self.health()[1], [])
        health, codes = self.health("?fail_on=warning")
        self.assertEqual(codes, ["level", "alert"])
        level, opened = health["reasons"]
        self.assertEqual(level["endpoint"], "PostgreSQL of this Odoo")
        self.assertIn("Blocked", level["text"])
        self.assertEqual(opened["text"], "PostgreSQL of this Odoo: Blocked Sessions")
        alert.level = "critical"
        self.assertEqual(self.health()[1], ["alert"])
        self.sampled(30, "unknown")
        alert.unlink()
        self.assertEqual(self.health("?fail_on=warning")[1], [], "its alert fails, not the unknown level")
        values = {"listener": "bus", "verdict": "deaf", "level": "critical", "host": "h"}
        self.env["connection.check"].create(values | {"conclusion": {"text": "Seen."}})
        health, codes = self.health()
        self.assertEqual((codes, health["reasons"][0]["text"]), (["listener"], "Bus: Deaf"))

    def test_age(self):
        self.sampled(100)
        self.assertEqual(self.health("?max_age=90")[1], ["sample_too_old"])
        self.assertEqual(self.health("?max_age=300.5")[1], [])
        self.sampled(200)
        # The sampler has a bit longer than three intervals, and after the start of Odoo.
        self.assertIn("sample_too_old", self.health()[1])
        self.overdue()
        self.assertEqual(self.health("?max_age=190")[1], ["sampler_overdue", "sample_too_old"])
        self.assertEqual(self.health("?max_age=300.5")[1], [], "longer than three intervals")
        self.env.ref("pgbouncer_monitor.ir_cron_sample").interval_number = 5
        self.assertEqual(self.health()[1], [])
        self.env["connection.reading"].search([]).unlink()
        self.assertEqual(self.health()[1], [], "a new endpoint")
        self.env.cr.execute("UPDATE connection_endpoint SET write_date = '2026-01-01'")
        health, codes = self.health()
        self.assertEqual((codes[-1], health["reasons"][-1]["text"]), ("sample_too_old", "Never sampled."))
        self.endpoint.active = False
        self.assertEqual(self.health()[1], ["no_endpoint"])

    def test_sampler(self):
        """In English, whatever the language of the user. Nothing is posted: the monitor itself notifies."""
        self.sampled(10**6)
        self.overdue()
        self.env["res.lang"]._activate_lang("fr_FR")
        self.viewer.lang = "fr_FR"
        count = self.endpoint.message_ids
        health, codes = self.health()
        self.assertEqual(codes, ["sampler_overdue", "sample_too_old"])
        self.assertIn("Nothing has been sampled since", health["reasons"][0]["text"])
        self.assertIn("Odoo deactivated the scheduled action", health["reasons"][0]["text"])
        self.assertIn("Last sample: 1000", health["reasons"][1]["text"])
        self.assertEqual(self.endpoint.message_ids, count)

    def test_parameters(self):
        for query, text in (
            ("fail_on=ok", "fail_on must be one of: critical, warning."),
            ("max_age=soon", "max_age must be a number of seconds above 0."),
            ("max_age=0", "max_age must"),
            ("max_age=-1", "max_age must"),
            ("max_age=nan", "max_age must"),
            ("max_age=inf", "max_age must"),
        ):
            answer = self.get(f"/pgbouncer_monitor/health?{query}", self.known)
            self.assertEqual(answer.status_code, 400, query)
            self.assertIn(text, answer.text)
            self.assertEqual(answer.headers["Content-Type"], "text/plain; charset=utf-8")
        answer = self.get("/pgbouncer_monitor/health", self.known, method="HEAD")
        self.assertEqual((answer.status_code, answer.text), (200, ""))

    def test_statements_do_not_grow(self):
        def measure():
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            health = self.env["connection.overview"]._health()
            return len(health["endpoints"]), self.env.cr.sql_log_count - before

        self.sampled(30, "critical", reason={"rule": "maxwait", "value": 9})
        self.alert("critical")
        measure()
        one = measure()
        for number in range(9):
            self.endpoint = self.endpoint.create({"name": f"P{number}", "host": "h", "port": 1, "user": "u"})
            self.sampled(30, "critical", reason={"rule": "maxwait", "value": 9})
            self.alert("critical")
        self.env.flush_all()
        measure()
        self.assertEqual(measure(), (10, one[1]))
        self.assertLess(one[1], 30)
