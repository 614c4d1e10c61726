import io
import re
import zipfile

from odoo.exceptions import AccessError, ValidationError
from odoo.tests import HttpCase, new_test_user, tagged

from ..common import ServerCase, closed_port, endpoint_values, forget_silence, psql
from .common import CLASSIC


@tagged("-at_install", "post_install")
class TestCompare(ServerCase):
    def compared(self, plan):
        """Return the rows of the comparison, by name."""
        self.refresh()
        plan.action_compare()
        return self.rows(plan)

    def rows(self, plan):
        return {row["name"]: row for group in plan.comparison["groups"] for row in group["rows"]}

    def test_running(self):
        """What PgBouncer and PostgreSQL report stands beside what is proposed, with what must be restarted."""
        plan = self.env["connection.plan"].create(CLASSIC)
        rows = self.compared(plan)
        config = {row["key"]: row["value"] for row in psql("SHOW CONFIG")}
        for name in ("default_pool_size", "max_client_conn", "listen_port", "pool_mode"):
            [running] = rows[name]["running"]
            self.assertEqual((running["server"], running["text"]), (self.endpoint.name, config[name]))
            self.assertEqual(rows[name]["is_same"], config[name] == rows[name]["proposed"])
        self.assertEqual(rows["default_pool_size"]["proposed"], "20")
        self.assertEqual(rows["default_pool_size"]["why"], plan.proposal["figures"]["default_pool_size"]["why"])
        self.assertEqual(rows["listen_port"]["effect"], "After a restart of PgBouncer")
        self.assertEqual(rows["max_client_conn"]["effect"], "After RELOAD")
        [postgres] = (row for row in psql("SHOW DATABASES") if row["name"] == "postgres")
        self.assertEqual(rows["postgres.pool_size"]["running"][0]["text"], postgres["pool_size"])
        self.assertEqual(rows["postgres.pool_mode"]["running"][0]["text"], "session")
        self.assertTrue(rows["postgres.pool_mode"]["is_same"])
        self.env.cr.execute("SHOW max_connections")
        [(max_connections,)] = self.env.cr.fetchall()
        self.assertEqual(rows["max_connections"]["running"][0]["text"], max_connections)
        self.assertFalse(plan.comparison["problems"])
        self.assertIn("PgBouncer: default_pool_size = 20", plan.text)

    def test_no_answer(self):
        """A PgBouncer that does not answer is unknown, with its reason, and the other one is compared."""
        port = closed_port()
        self.env["connection.endpoint"].create(endpoint_values(name="Gone", port=port))
        plan = self.env["connection.plan"].create(CLASSIC)
        rows = self.compared(plan)
        [problem] = plan.comparison["problems"]
        self.assertIn(f"Gone: No server listens at 127.0.0.1:{port}.", problem)
        by_server = {cell["server"]: cell for cell in rows["default_pool_size"]["running"]}
        self.assertEqual(by_server["Gone"]["text"], "unknown")
        self.assertNotEqual(by_server[self.endpoint.name]["text"], "unknown")
        self.assertFalse(rows["default_pool_size"]["is_same"])

    def test_change(self):
        """The comparison is of the plan as it is now."""
        plan = self.env["connection.plan"].create(CLASSIC)
        self.compared(plan)
        plan.cores = 2
        rows = self.rows(plan)
        self.assertEqual(rows["default_pool_size"]["proposed"], "8")
        self.assertFalse(plan.copy().comparison)

    def test_fill_in(self):
        """The button writes what this installation is, in place of what was there, and names what it could not read."""
        plan = self.env["connection.plan"].create(CLASSIC)
        self.refresh()
        values, missing = plan._installation()
        self.refresh()
        plan.action_fill_in()
        self.assertEqual(plan.max_connections, values["max_connections"])
        self.assertEqual(plan.servers, values["servers"])
        self.assertNotIn("Backup", plan.other_ids.mapped("name"))
        self.assertEqual([name for name, _facts in plan.missing], [name for name, _facts in missing])
        for name, facts in missing:
            label, reason = re.escape(plan._input_label(name)), re.escape(plan._missing_text(facts))
            self.assertRegex(plan.missing_text, f"{label}.*: {reason}")

    def test_fill_in_with_errors(self):
        """An installation with an error is filled in all the same, and the error says what to change."""
        plan = self.env["connection.plan"].create(CLASSIC)
        self.patch(type(plan), "_installation", lambda _self: ({"max_connections": 40, "db_maxconn": 64}, []))
        plan.action_fill_in()
        self.assertEqual(plan.error, "db_maxconn: 64 is more than max_connections. Enter at most 40.")
        with self.assertRaises(ValidationError):
            plan.workers = 3


@tagged("-at_install", "post_install")
class TestPlanFiles(HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.plan = cls.env["connection.plan"].create(CLASSIC | {"name": "Käse “1/2”"})
        cls.viewer = new_test_user(cls.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        new_test_user(cls.env, "nobody", groups="base.group_user")

    def setUp(self):
        super().setUp()
        forget_silence(self)

    def fetch(self, login, plan_id=None):
        self.authenticate(login, login)
        return self.url_open(f"/pgbouncer_monitor/plan/{plan_id or self.plan.id}/files.zip", allow_redirects=False)

    def test_zip(self):
        answer = self.fetch("viewer")
        self.assertEqual(answer.headers["Content-Type"], "application/zip")
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            files = {name: archive.read(name).decode() for name in archive.namelist()}
        self.assertEqual(files, self.plan.files)
        self.assertIn("pgbouncer.ini", files)

    def test_who_may_read_it(self):
        self.assertEqual(self.fetch("nobody").status_code, 403)
        self.assertEqual(self.fetch("viewer", plan_id=2**31 - 1).status_code, 404)
        self.authenticate(None, None)
        answer = self.url_open(f"/pgbouncer_monitor/plan/{self.plan.id}/files.zip", allow_redirects=False)
        self.assertIn("/web/login", answer.headers["Location"])

    def test_viewer_writes_nothing(self):
        plan = self.plan.with_user(self.viewer)
        self.assertTrue(plan.files)
        for action in (plan.action_compare, plan.action_fill_in, plan.copy, plan.unlink):
            with self.assertRaises(AccessError):
                action()
        with self.assertRaises(AccessError):
            plan.servers = 1
        with self.assertRaises(AccessError):
            plan.other_ids[0].count = 1
