import time
from unittest.mock import patch

from odoo.tests import tagged

from ...probes import query
from ...probes.console import CONSOLE_TIMEOUT
from ..common import TINY, ServerCase, answering, closed_port, connect_pooled, psql, variable, wait_until

SPECIFICATION = {"database": {}, "user": {}, "cl_waiting": {}, "endpoint_id": {"fields": {"display_name": {}}}}


@tagged("-at_install", "post_install")
class TestPgbouncerPool(ServerCase):
    def setUp(self):
        super().setUp()
        self.Pool = self.env["pgbouncer.pool"]

    def fill_tiny_pool(self):
        """One client holds the only server of the pool, another waits for it."""
        holder = self.client(connect_pooled(dbname=TINY))
        holder.cursor().execute("BEGIN")
        waiter = self.client(connect_pooled(dbname=TINY, async_=True, connect_timeout=None))
        wait_until(lambda: waiter.poll() == 0)
        waiter.cursor().execute("SELECT 1")
        wait_until(lambda: any(row["database"] == TINY and row["cl_waiting"] == "1" for row in psql("SHOW POOLS")))

    def test_rows_equal_psql(self):
        self.fill_tiny_pool()
        shown = psql("SHOW POOLS")
        columns = [name for name in shown[0] if not name.startswith("maxwait")]
        self.assertEqual(
            [{name: str(pool[name]) for name in columns} for pool in self.Pool.search([], order="database, user")],
            [
                {name: row[name] for name in columns}
                for row in sorted(shown, key=lambda row: (row["database"], row["user"]))
            ],
        )

    def test_pool_size(self):
        self.client(connect_pooled(dbname=TINY))
        sizes = {pool.database: pool.pool_size for pool in self.Pool.search([("database", "=", TINY)])}
        self.assertEqual(sizes, {TINY: 1})

    def test_filter_group_sort_and_export(self):
        self.fill_tiny_pool()
        waiting = self.Pool.search([("cl_waiting", ">", 0)])
        self.assertEqual(waiting.mapped("database"), [TINY])
        self.assertEqual(self.Pool.search([], order="cl_waiting desc", limit=1), waiting)
        groups = {
            group["database"]: group["cl_waiting:sum"]
            for group in self.Pool.web_read_group([], ["database"], ["cl_waiting:sum"])["groups"]
        }
        self.assertEqual(groups, {row["database"]: int(row["cl_waiting"]) for row in psql("SHOW POOLS")})
        exported = waiting.export_data(["endpoint_id", "database", "cl_waiting", "pool_mode"])["datas"]
        self.assertEqual(exported, [["Test PgBouncer", TINY, 1, "transaction"]])

    def test_database_that_show_databases_leaves_out(self):
        """One that “*” made, with a force_user: the pool of a client is unknown."""
        answers = {
            "SHOW POOLS": [{"database": "shop", "user": "forced"}],
            "SHOW CLIENTS": [{"ptr": "0x1", "database": "shop", "user": "somebody"}],
            "SHOW STATE": [{"key": "paused", "value": "yes"}],
        }
        with answering({self.endpoint: answers}):
            self.assertEqual(self.Pool.search([]).state, "paused")
            self.assertFalse(self.env["pgbouncer.client"].search([]).pool_id)

    def test_longest_wait_counts_microseconds(self):
        """Under heavy queueing maxwait, in whole seconds, stays 0."""
        self.fill_tiny_pool()
        time.sleep(0.2)
        pool = self.Pool.search([("database", "=", TINY), ("user", "=", "shop")])
        self.assertAlmostEqual(pool.maxwait_age, pool.maxwait + pool.maxwait_us / 1e6, places=3)
        self.assertGreater(pool.maxwait_age, 0.1)

    def test_id_is_the_same_in_the_next_request(self):
        self.client(connect_pooled(dbname=TINY))
        before = {(pool.database, pool.user): pool.id for pool in self.Pool.search([])}
        self.refresh()
        after = {(pool.database, pool.user): pool.id for pool in self.Pool.search([], order="id desc")}
        self.assertEqual(before, after)
        self.assertEqual(len(set(before.values())), len(before))
        self.assertLess(max(before.values()), 2**52)

    def test_same_pool_of_two_endpoints_is_two_rows(self):
        second = self.endpoint.copy({"name": "Again", "password": variable("PGBOUNCER_STATS_PASSWORD")})
        pools = self.Pool.search([("database", "=", "pgbouncer")])
        self.assertEqual(len(set(pools.ids)), 2)
        self.assertEqual(pools.endpoint_id, self.endpoint | second)

    def test_one_request_queries_once(self):
        with patch.object(query, "run", wraps=query.run) as run:
            self.Pool.web_search_read([], SPECIFICATION, limit=1)
        self.assertEqual(len([questions for (questions, _timeout), _options in run.call_args_list if questions]), 1)

    def test_views_open_without_a_query(self):
        with patch.object(query, "run") as run:
            self.Pool.get_views([(False, "list"), (False, "search")])
            self.Pool.fields_get()
        run.assert_not_called()

    def test_archived_endpoint_is_not_queried(self):
        self.endpoint.active = False
        result = self.Pool.web_search_read([], SPECIFICATION)
        self.assertEqual((result["records"], result["reading"]["notices"]), ([], []))

    def test_column_that_the_version_lacks_is_empty_not_zero(self):
        rows = [{"database": "d", "user": "u", "sv_idle": 0, "new_column": 1}]
        with answering({self.endpoint: {"SHOW POOLS": rows}}):
            result = self.Pool.web_search_read([], {"cl_waiting": {}, "sv_idle": {}, "maxwait_age": {}})
            exported = self.Pool.search([]).export_data(["cl_waiting", "sv_idle"])["datas"]
            self.assertFalse(self.Pool.search([("cl_waiting", "=", 0)]))
        [row] = result["records"]
        self.assertIs(row["cl_waiting"], False)
        self.assertIs(row["maxwait_age"], False)
        self.assertEqual(row["sv_idle"], 0)
        self.assertIsNot(row["sv_idle"], False)
        self.assertEqual(exported, [["", 0]])

    def test_answer_that_does_not_fit_is_unknown(self):
        """An unexpected answer must not break the list."""
        other = self.endpoint.copy({"name": "Other"})
        row = {"database": "d", "user": "u", "cl_waiting": "many", "sv_idle": "7", "maxwait": "", "maxwait_us": 1}
        answers = {self.endpoint: {"SHOW POOLS": [row]}, other: {"SHOW POOLS": [{"pool": "p"}]}}
        specification = {name: {} for name in ("cl_waiting", "sv_idle", "maxwait", "maxwait_age")}
        with answering(answers):
            result = self.Pool.web_search_read([], specification)
        [row] = result["records"]
        self.assertEqual([row[name] for name in specification], [False, 7, False, False])
        [notice] = result["reading"]["notices"]
        self.assertIn("could not be read", notice["text"])
        self.assertIn("no column database, user", notice["text"])

    def test_unreadable_endpoints_are_named_and_the_others_stay(self):
        """In parallel: two that hang cost one deadline."""
        postgresql = int(variable("TEST_PGPORT"))
        broken = {
            "Refused": ({"port": closed_port()}, "No server listens"),
            "Silent": ({"port": self.silent_server()}, "did not answer within"),
            "Silent too": ({"port": self.silent_server()}, "did not answer within"),
            "Wrong password": ({"password": "wrong"}, "rejected the user"),
            "PostgreSQL": ({"port": postgresql}, "is not PgBouncer"),
            "No stats user": ({"user": "shop"}, "may not use the console"),
            "No such host": ({"host": "no-such-host.invalid"}, "cannot be resolved"),
        }
        for name, (values, _text) in broken.items():
            self.endpoint.copy({"name": name, "password": variable("PGBOUNCER_STATS_PASSWORD")} | values)
        started = time.monotonic()
        result = self.Pool.web_search_read([], SPECIFICATION)
        self.assertLess(time.monotonic() - started, CONSOLE_TIMEOUT + 1)
        self.assertIn(
            ("pgbouncer", self.endpoint.id), {(row["database"], row["endpoint_id"]["id"]) for row in result["records"]}
        )
        notices = {notice["text"].split(":")[0]: notice for notice in result["reading"]["notices"]}
        self.assertEqual(set(notices), set(broken))
        for name, (_values, text) in broken.items():
            self.assertIn(text, notices[name]["text"])
            self.assertTrue(notices[name]["remedy"], name)

    def test_grouped_list_has_notices(self):
        self.endpoint.port = closed_port()
        result = self.Pool.web_read_group([], ["database"])
        self.assertFalse(result["groups"])
        self.assertIn("No server listens", result["reading"]["notices"][0]["text"])

    def test_export_has_notices(self):
        pool = self.Pool.search([("database", "=", "pgbouncer")])
        self.assertEqual(pool.export_data(["database", "cl_waiting"])["datas"], [["pgbouncer", 0]])
        self.endpoint.copy({"name": "Lost", "port": closed_port()})
        self.refresh()
        rows = self.Pool.search([("database", "=", "pgbouncer")]).export_data(["database", "cl_waiting"])["datas"]
        self.assertEqual(rows[0], ["pgbouncer", 0])
        self.assertIn("Lost: No server listens", rows[1][0])
