import socket
import time
from unittest.mock import patch

from odoo.tests import tagged
from odoo.tools import mute_logger

from ...models.overview import connection_overview_now
from ..common import KIOSK, connect, connect_pooled, wait_until
from .common import OverviewCase


@tagged("-at_install", "post_install")
class TestConnectionOverviewNow(OverviewCase):
    def test_lock_tree(self):
        first, second, third = self.lock_tree()
        with patch.object(connection_overview_now, "MIN_AGE", 60):
            self.assertEqual(self.overview()["blocked"]["trees"], [], "too short")
        time.sleep(1.1)
        self.set_rule("blocked_age", warning=0, critical=1000)
        overview = self.overview()
        [tree] = [tree for tree in overview["blocked"]["trees"] if tree["nodes"][0]["pid"] == first]
        nodes = [(node["pid"], node["depth"]) for node in tree["nodes"]]
        self.assertEqual(nodes, [(first, 0), (second, 1), (third, 2)])
        root, *waiting = tree["nodes"]
        self.assertEqual((root["blocks"], root["state"], root["action"]), (2, "idle in transaction", "terminate"))
        self.assertIn("first", root["who"])
        self.assertTrue(all(node["blocked_age"] and node["action"] == "cancel" for node in waiting))
        self.assertEqual(self.env["pg.stat.activity"].browse(root["id"]).pid, first)
        self.assertEqual((overview["blocked"]["count"], overview["blocked"]["level"]), (2, "warning"))
        self.assertIn("pg_advisory_xact_lock(702)", waiting[1]["query"])

    def test_many_wait_for_one(self):
        holder = self.client(connect(user="odoo"))
        holder.cursor().execute("BEGIN; SELECT pg_advisory_xact_lock(701)")
        waiting = [self.waiter("SELECT pg_advisory_xact_lock(701)") for _number in range(8)]

        def blocked():
            self.refresh()
            return self.env["pg.stat.activity"].search_count([("blocked_by", "!=", False)]) == len(waiting)

        wait_until(blocked)
        time.sleep(1.1)
        [tree] = self.overview()["blocked"]["trees"]
        self.assertEqual((tree["nodes"][0]["blocks"], len(tree["nodes"]), tree["more"]), (8, 6, 3))
        self.assertEqual(self.count(tree["link"]), 9)
        self.assertEqual(tree["nodes"][0]["pid"], holder.info.backend_pid)

    def test_longest_idle_in_transaction(self):
        idle = self.client(connect(user="odoo", application_name="idle"))
        idle.cursor().execute("BEGIN; SELECT 1")
        with patch.object(connection_overview_now, "MIN_AGE", 60):
            self.assertEqual(self.overview()["idle_in_transaction"]["sessions"], [], "too short")
        time.sleep(1.1)
        self.set_rule("idle_in_transaction_age", warning=1, critical=1000)
        overview = self.overview()
        for name in ("idle_in_transaction", "transactions"):
            [session] = overview[name]["sessions"]
            self.assertEqual((session["pid"], session["action"]), (idle.info.backend_pid, "terminate"))
        self.assertEqual(overview["idle_in_transaction"]["level"], "warning")
        self.assertEqual(overview["transactions"]["level"], "ok")

    def test_client_behind_a_pool(self):
        client = self.client(connect_pooled(dbname=KIOSK, user="odoo"))
        client.cursor().execute("BEGIN; SELECT 1")
        time.sleep(1.1)
        [session] = self.overview()["idle_in_transaction"]["sessions"]
        host, port = socket.fromfd(client.fileno(), socket.AF_INET, socket.SOCK_STREAM).getsockname()
        self.assertEqual((session["client"], session["pool"]), (f"{host}:{port}", f"{KIOSK}/odoo"))
        self.assertEqual(self.env["pgbouncer.client"].browse(session["client_id"]).port, port)
        self.assertIn("PgBouncer Pool: Test PgBouncer", [row["label"] for row in self.overview()["holders"]["rows"]])

    def test_hidden_sessions(self):
        """Odoo's role may not see the sessions of the role shop: it is unknown whether they wait."""
        self.assertEqual(self.overview()["hidden"], 0)
        self.client(connect(user="shop", dbname="shop"))
        overview = self.overview()
        self.assertEqual(overview["hidden"], 1)
        self.assertIn("GRANT pg_monitor TO odoo;", [notice["remedy"] for notice in overview["notices"]])
        self.assertEqual(self.card(self.postgresql, overview)["level"], "unknown")

    def test_sessions_that_cannot_be_read(self):
        """If PostgreSQL does not answer in time, the page shows the rest and the reason."""
        limits = "SELECT pg_sleep(10)"
        Session = self.env.registry["pg.stat.activity"]
        with patch.object(Session, "_activity", lambda self: self.env.cr.execute(limits)), mute_logger("odoo.sql_db"):
            overview = self.overview()
        self.assertIn("statement timeout", overview["problem"])
        self.assertEqual(self.card(self.postgresql, overview)["level"], "ok")
        self.assertNotIn("holders", overview)

    def test_process_without_a_visible_type(self):
        """A role without privileges sees neither type nor role of background processes."""
        Session = self.env["pg.stat.activity"]
        launcher = Session.search([("usesysid", "=", False), ("is_hidden", "=", True)], limit=1)
        self.assertFalse(launcher.backend_type)
        shown = self.env["connection.overview"]._session(launcher, launcher.pid, {})
        self.assertEqual((shown["who"], shown["client"]), ("background process", None))
        self.client(connect(user="shop", dbname="shop"))
        self.refresh()
        hidden = Session.search([("usename", "=", "shop"), ("is_hidden", "=", True)], limit=1)
        shown = self.env["connection.overview"]._session(hidden, hidden.pid, {})
        self.assertEqual((shown["who"], shown["client"]), ("shop/shop", None), "the client's address is hidden")

    def test_rule_that_is_off_makes_no_level(self):
        for name in ("postgresql_pressure", "blocked_age", "xact_age"):
            self.set_rule(name, is_on=False)
        overview = self.overview()
        levels = [overview[name]["level"] for name in ("holders", "blocked", "transactions")]
        self.assertEqual(levels, [None] * 3, "not OK, either")
        self.postgresql.active = False
        self.assertIsNone(self.overview()["holders"]["level"])
