import time
from unittest.mock import patch

from psycopg2.extensions import POLL_OK
from psycopg2.extras import wait_select

from ...probes import query
from ...probes.errors import QueryError
from ..cases import DATABASE, POOL, STATS, UNKNOWN, SampleCase
from ..common import TILL, psql, wait_until


class TestSamplerPools(SampleCase):
    """The samples of a PgBouncer and its pools."""

    def test_pool_is_what_psql_shows(self):
        for _number in range(8):
            self.start("BEGIN")
        time.sleep(0.5)
        whole, *others = self.take()
        [row] = [row for row in psql("SHOW POOLS") if row["database"] == TILL]
        [pool] = [sample for sample in others if sample.database == TILL]
        self.assertEqual((row["sv_active"], row["cl_waiting"]), ("5", "3"))
        self.assertEqual((pool.used, pool.waiting, pool.capacity), (5, 3, 5))
        self.assertEqual(pool.pressure, 160)
        self.assertGreaterEqual(pool.maxwait, 0.5)
        self.assertEqual((pool.user, pool.cl_active, pool.sv_idle), ("shop", 5, 0))
        [clients] = [int(row["items"]) for row in psql("SHOW LISTS") if row["list"] == "used_clients"]
        self.assertEqual((whole.used, whole.capacity, whole.waiting), (clients, 1000, 3))
        self.assertEqual(self.endpoint.pool_pressure, 160)
        self.assertEqual(whole.maxwait, pool.maxwait)
        self.assertRegex(
            self.line,
            rf'^[A-Z]+ connection pressure endpoint="Test PgBouncer" pressure=[\d.]+% used={clients}/1000 waiting=3 '
            rf"maxwait={pool.maxwait:.3f}s level={whole.level}",
        )

    def test_burst_between_two_samples_is_counted(self):
        self.take()
        tills = [self.start("SELECT pg_sleep(0.5)") for _number in range(8)]
        wait_until(lambda: all([till.connection.poll() == POLL_OK for till in tills]))
        whole, *others = self.take()
        [pool] = [sample for sample in others if sample.database == TILL]
        self.assertEqual((whole.waiting, pool.waiting, pool.maxwait), (0, 0, 0), "the queue is gone")
        self.assertAlmostEqual(pool.wait_time, 3 * 0.5, delta=0.4)
        self.assertAlmostEqual(pool.waiting_mean, pool.wait_time / pool.interval, 3)
        self.assertGreaterEqual(whole.wait_time, pool.wait_time)
        self.assertEqual((pool.xact_count, pool.query_count), (8, 8))
        self.assertGreater(pool.received, 8 * len("SELECT pg_sleep(0.5)"))
        # Waits are part of the transactions.
        self.assertAlmostEqual(pool.xact_time, 8 * 0.5 + pool.wait_time, delta=1)
        self.assertAlmostEqual(pool.query_time, 8 * 0.5 + pool.wait_time, delta=1)
        self.assertAlmostEqual(pool.xact_mean, 1000 * pool.xact_time / 8, 1)
        self.assertAlmostEqual(pool.query_mean, 1000 * pool.query_time / 8, 1)

    def test_transaction_over_several_samples(self):
        """It is counted when it begins, and its time when it ends: longer than the interval."""
        [row] = [row for row in psql("SHOW STATS_TOTALS") if row["database"] == TILL]
        assigned = "server_assignment_count" in row  # since 1.23
        self.take()
        started = time.monotonic()
        session = self.start("BEGIN")
        wait_select(session.connection)
        time.sleep(1)
        begun = self.take().filtered(lambda sample: sample.database == TILL)
        self.assertEqual((begun.xact_count, begun.xact_time, begun.xact_mean), (1, 0, UNKNOWN))
        self.assertEqual(begun.server_assignment_count, 1 if assigned else UNKNOWN)
        self.assertLess(begun.query_mean, 1000)
        time.sleep(1)
        session.execute("COMMIT")
        wait_select(session.connection)
        seconds = time.monotonic() - started
        ended = self.take().filtered(lambda sample: sample.database == TILL)
        self.assertEqual((ended.xact_count, ended.query_count, ended.xact_mean), (0, 1, UNKNOWN))
        self.assertTrue(2 <= ended.xact_time <= seconds, ended.xact_time)
        domain = [("id", "in", (begun + ended).ids)]
        [[average]] = self.Sample._read_group(domain, [], ["xact_mean:avg"])
        self.assertAlmostEqual(average, 1000 * ended.xact_time, 1)

    def test_waiting_for_long_is_a_warning_and_then_critical(self):
        levels = []
        for minute, waiting in enumerate((1, 1, 1, 1, 3, 0)):
            with (
                self.console(pools=[POOL | {"cl_waiting": waiting, "maxwait_us": waiting}]),
                self.clock_forward(66 * minute),
            ):
                levels.append(self.take()[1].level)
                levels.append(self.line.split()[0])
        expected = ["ok", "INFO", *["warning", "WARNING"] * 3, "critical", "ERROR", "ok", "INFO"]
        self.assertEqual(levels, expected)
        self.assertEqual(self.endpoint.level, "ok")

    def test_only_samples_in_a_row_count(self):
        """Neither a button that is pressed again and again nor what was before a gap makes it worse."""
        waiting = self.console(pools=[POOL | {"cl_waiting": 1, "maxwait_us": 1}])
        levels = []
        for seconds in (0, 1, 2, 3, 4, 5, 60, 3600, 3660):
            with self.console(pools=[POOL | {"cl_waiting": 1, "maxwait_us": 1}]), self.clock_forward(seconds):
                levels.append(self.take()[1].level)
        self.assertEqual(levels, ["ok"] * 6 + ["warning", "ok", "warning"])
        with self.clock_forward(3720), patch.object(query, "_query", side_effect=QueryError("timeout")):
            self.take()
        with waiting, self.clock_forward(3780):
            self.assertEqual(self.take()[1].level, "ok", "unknown after a sample without an answer")

    def test_queue_between_samples_counts_as_waiting(self):
        levels = []
        for minute, wait_time in enumerate((0, 10**10, 2 * 10**10)):
            with self.console(stats=[STATS | {"total_wait_time": wait_time}]), self.clock_forward(60 * minute):
                levels.append(self.take()[1].level)
        self.assertEqual(levels, ["ok", "ok", "warning"])

    def test_longest_wait(self):
        for microseconds, level in ((999_000, "ok"), (1_000_000, "warning"), (5_000_000, "critical")):
            waiting = {"maxwait": microseconds // 10**6, "maxwait_us": microseconds % 10**6, "cl_waiting": 1}
            with self.console(pools=[POOL | waiting]):
                self.take()  # a queue of one sample
                with self.console():
                    self.take()
                pool = self.take()[1]
                self.assertAlmostEqual(pool.maxwait, microseconds / 1e6, 3)
                self.assertEqual(pool.level, level)
                self.assertEqual("Longest Wait" in (self.endpoint.last_error or ""), level != "ok", "what it was")

    def test_pool_sizes(self):
        """The user's own size goes before the database's; a database with several pools, or with a limit
        of its own, is measured too."""
        pools = [POOL, POOL | {"user": "bot", "sv_active": 2, "cl_waiting": 1}]
        users = [{"name": "bot", "pool_size": "2"}, {"name": "shop", "pool_size": ""}]
        with self.console(pools=pools, users=users):
            _whole, shop, bot, both = self.take()
            with self.console(
                pools=pools, users=users, stats=[STATS | {"total_xact_count": 17, "total_wait_time": 10**6}]
            ):
                counted = self.take()
        self.assertEqual((shop.capacity, shop.pressure), (20, 5))
        self.assertEqual((bot.capacity, bot.pressure), (2, 150))
        self.assertEqual((both.user, both.waiting, both.capacity, both.pressure), (False, 1, UNKNOWN, UNKNOWN))
        # SHOW STATS does not tell the pools apart.
        self.assertEqual(counted.mapped("xact_count"), [7, UNKNOWN, UNKNOWN, 7])
        self.assertEqual(counted[3].wait_time, 1)

        with self.console(databases=[DATABASE | {"max_connections": 5}], pools=[POOL | {"cl_waiting": 1}]):
            whole, _pool, limited = self.take()
        self.assertEqual((limited.used, limited.capacity, limited.pressure, limited.level), (4, 5, 80, "warning"))
        self.assertEqual(whole.level, "warning", "as bad as its worst part")
        self.assertEqual(whole.reason, "shop: PgBouncer Connections: 80 %")
        with self.console(databases=[DATABASE | {"max_connections": 4}]):
            whole, _pool, limited = self.take()
        self.assertEqual((limited.pressure, limited.level, whole.level), (100, "ok", "ok"), "no client waits")

    def test_database_that_is_not_listed(self):
        """SHOW DATABASES omits unused databases that “*” created."""
        for pool, level in ((POOL | {"sv_active": 0}, "ok"), (POOL, "unknown")):
            with self.console(pools=[pool], databases=[]):
                whole, pool = self.take()
                self.assertEqual((pool.level, whole.level, pool.capacity), (level, level, UNKNOWN))

    def test_clients_of_a_pgbouncer(self):
        for clients, level in ((79, "ok"), (80, "warning"), (90, "critical")):
            with self.console(lists=[{"list": "used_clients", "items": clients}]):
                self.assertEqual(self.take()[0].level, level)

    def test_paused_is_not_calm(self):
        with self.console(databases=[DATABASE | {"paused": 1}]):
            whole, pool = self.take()
            self.assertEqual((pool.is_paused, pool.level, whole.level), (True, "warning", "warning"))
            self.assertFalse(whole.is_paused)
        with self.console(state=[{"key": "paused", "value": "yes"}]):
            whole, pool = self.take()
            self.assertEqual((whole.is_paused, pool.is_paused, whole.level), (True, True, "warning"))

    def test_what_the_console_does_not_report_is_unknown(self):
        answers = {
            "pools": [{"database": "shop", "user": "shop", "cl_waiting": "many"}],
            "databases": [{"name": "shop"}],
            "stats": [{"database": "shop"}],
            "lists": [],
            "config": [],
            "state": [],
        }
        with self.console(**answers):
            self.take()
            whole, pool = self.take()
        for name in ("used", "waiting", "maxwait", "capacity", "pressure", "xact_count", "waiting_mean"):
            self.assertEqual(whole[name], UNKNOWN, name)
            self.assertEqual(pool[name], UNKNOWN, name)
        self.assertEqual((whole.level, pool.level), ("unknown", "unknown"))
        self.assertEqual(
            self.line,
            'WARNING connection pressure endpoint="Test PgBouncer" pressure=-% used=-/- waiting=- maxwait=-s '
            'level=unknown reason="Not enough data to determine: PgBouncer Connections"',
        )

    def test_restart_makes_the_interval_unknown(self):
        with self.console(stats=[STATS]):
            self.take()
        with self.console(stats=[STATS | {"total_xact_count": 3}]):
            whole, pool = self.take()
            self.assertEqual((whole.xact_count, whole.interval, pool.waiting_mean), (UNKNOWN, UNKNOWN, UNKNOWN))
            self.assertEqual(pool.level, "ok")
        with self.console(stats=[STATS | {"total_xact_count": 8}]):
            whole, _pool = self.take()
            self.assertEqual(whole.xact_count, 5)
