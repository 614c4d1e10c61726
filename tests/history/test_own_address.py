import time
from contextlib import closing
from unittest.mock import patch

from odoo.exceptions import ValidationError

from ...probes import postgres, query
from ...probes.reading import Reading
from ..cases import SampleCase
from ..common import closed_port, connect, connect_pooled, variable


class TestOwnAddress(SampleCase):
    """A PostgreSQL endpoint with an address of its own."""

    def setUp(self):
        super().setUp()
        self.postgresql.write(
            {"host": variable("TEST_PGHOST"), "port": int(variable("TEST_PGPORT")), "user": variable("TEST_PGUSER")}
        )

    def test_sees_what_its_role_may_see(self):
        self.client(connect())
        sample = self.take(self.postgresql)
        self.assertEqual((sample.hidden_backends, sample.reason), (0, False))
        self.assertEqual(self.postgresql.action_test()["params"]["type"], "success")

    def test_answer_without_rows(self):
        """A server that answers everything with nothing is not this one."""
        self.postgresql.password = variable("PGBOUNCER_STATS_PASSWORD")
        nothing = Reading("15", None, {query: [] for query in postgres.sample_queries(150000, 3)}, time.time())
        with patch.object(query, "_query", return_value=nothing):
            sample = self.take(self.postgresql)
        self.assertIn("is not the PostgreSQL of this Odoo", sample.reason)
        self.assertTrue(sample.used)

    def test_falls_back_to_odoos_own_connection(self):
        self.grant_monitor()
        for values, problem in (
            ({"port": closed_port()}, "No server listens"),
            ({"port": int(variable("PGBOUNCER_PORT")), "user": "nobody", "password": "x"}, "rejected the role"),
            ({"port": self.silent_server()}, "did not answer"),
        ):
            self.postgresql.write(values)
            sample = self.take(self.postgresql)
            self.assertTrue(sample.used, problem)
            self.assertIn(problem, sample.reason)
            self.assertIn("over Odoo's own connection instead", sample.reason)
            self.assertEqual(sample.level, "ok")
            self.assertIn(problem, self.postgresql.last_error)
            notification = self.postgresql.action_test()["params"]
            self.assertEqual(notification["type"], "danger", "that address does not work")
            self.assertIn(problem, notification["message"])
            self.assertEqual(self.postgresql.action_sample()["params"]["type"], "warning")

    def test_leaves_nothing_behind_in_a_pool(self):
        """An address that is a PgBouncer's: other clients get the same server after us."""
        self.postgresql.write(
            {"port": int(variable("PGBOUNCER_PORT")), "user": "shop", "password": variable("SHOP_PASSWORD")}
        )
        self.assertNotIn("Odoo's own", self.take(self.postgresql).reason)
        with closing(connect_pooled(dbname=self.env.cr.dbname)) as shop, shop.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            self.assertEqual(cursor.fetchone(), ("0",))

    def test_same_server_in_any_time_zone(self):
        self.execute("ALTER ROLE postgres SET timezone TO 'Asia/Kathmandu'")
        self.addCleanup(self.execute, "ALTER ROLE postgres RESET timezone")
        self.assertFalse(self.take(self.postgresql).reason)

    def test_needs_a_role_and_a_port(self):
        for values, problem in (({"port": 0}, "between 1 and 65535"), ({"user": False}, "host and the user")):
            with self.assertRaisesRegex(ValidationError, problem):
                self.postgresql.write(values)
