from unittest import TestCase

from analysis.incidents import Memory, Rule
from analysis.pgbouncer_samples import pgbouncer_samples

POOL = {
    "database": "shop",
    "user": "shop",
    "sv_active": 1,
    "sv_idle": 2,
    "cl_waiting": 0,
    "maxwait": 0,
    "maxwait_us": 0,
}
DATABASE = {"name": "shop", "pool_size": 20, "max_connections": 0, "current_connections": 4, "paused": 0, "disabled": 0}
STATS = {
    "database": "shop",
    "total_xact_count": 10,
    "total_query_count": 20,
    "total_received": 30,
    "total_sent": 40,
    "total_wait_time": 0,
    "total_server_assignment_count": 5,
    "total_xact_time": 0,
    "total_query_time": 0,
}
ANSWERS = {
    "pools": [POOL, POOL | {"database": "pgbouncer", "cl_waiting": None}],
    "databases": [DATABASE],
    "users": [],
    "stats": [STATS, STATS | {"database": "pgbouncer"}],
    "lists": [{"list": "used_clients", "items": 5}],
    "config": [{"key": "max_client_conn", "value": "100"}, {"key": "query_wait_timeout", "value": "120"}],
    "state": [{"key": "active", "value": "yes"}],
}
RULES = {
    "maxwait": Rule((1, 5)),
    "waiting_samples": Rule((2, 5), is_count=True),
    "paused_samples": Rule((1, None), is_count=True),
    "pgbouncer_pressure": Rule((80, 90)),
}
UNREADABLE = {"databases": [{"name": "shop"}], "lists": [], "config": [], "state": []}


class TestPgbouncerSamples(TestCase):
    def tables(self, read_at=100, before=None, kept=None, rules=RULES, **answers):
        answers = {f"SHOW {name.upper()}": rows for name, rows in (ANSWERS | answers).items()}
        self.memory = Memory(kept, read_at, every=60, patience=183)
        tables, self.counters = pgbouncer_samples(answers, read_at, before or {}, rules, self.memory)
        return tables

    def rows(self, *args, **kwargs):
        return [samples.row(number) for samples in self.tables(*args, **kwargs) for number in range(samples.count)]

    def later(self, seconds=60, stats=(), **answers):
        """The samples one interval after the first ones, with these counters."""
        self.tables()
        stats = [STATS | values for values in stats]
        return self.rows(100 + seconds, self.counters, stats=stats, **answers)

    def test_instance_and_pool(self):
        instance, pool = self.rows()
        self.assertEqual((pool["database"], pool["user"], pool["used"], pool["capacity"]), ("shop", "shop", 1, 20))
        self.assertEqual((pool["pressure"], pool["waiting"], pool["maxwait"], pool["sv_idle"]), (5, 0, 0, 2))
        self.assertEqual((pool["level"], pool["reason"], pool["is_paused"]), ("ok", None, False))
        self.assertIsNone(pool["cl_active"], "a column that this version lacks")
        self.assertEqual((instance["used"], instance["capacity"], instance["pressure"]), (5, 100, 5))
        self.assertEqual((instance["waiting"], instance["maxwait"], instance["pool_pressure"]), (0, 0, 5))
        self.assertEqual((instance["level"], instance["is_paused"]), ("ok", False))
        self.assertIsNone(instance["xact_count"], "the first sample")

    def test_no_pools(self):
        [instance] = self.rows(pools=[])
        self.assertEqual((instance["waiting"], instance["maxwait"], instance["pool_pressure"]), (0, 0, None))
        self.assertEqual(instance["level"], "ok")

    def test_pools_without_a_key(self):
        with self.assertRaisesRegex(ValueError, "SHOW POOLS: no column user"):
            self.rows(pools=[{"database": "shop"}])

    def test_size_of_a_user(self):
        users = [{"name": "bot", "pool_size": 2}, {"name": "shop", "pool_size": None}]
        bot = POOL | {"user": "bot", "sv_active": 2, "cl_waiting": 1, "maxwait": None}
        _instance, shop, bot, both = self.rows(pools=[POOL, bot], users=users)
        self.assertEqual((shop["capacity"], bot["capacity"], bot["pressure"]), (20, 2, 150))
        self.assertEqual((both["database"], both["user"], both["waiting"], both["maxwait"]), ("shop", None, 1, None))
        self.assertEqual((both["used"], both["capacity"], both["pressure"]), (4, 0, None))
        self.assertEqual(both["values"]["pgbouncer_pressure"], 0, "no limit")
        self.assertEqual((bot["bottleneck"], shop["bottleneck"], both["bottleneck"]), ("pool_size", None, "pool_size"))

    def test_limit_of_a_database(self):
        limited = [DATABASE | {"max_connections": 5}]
        facts = {"rule": "pgbouncer_pressure", "value": 80}
        for waiting, level, reason in ((1, "warning", facts), (None, "warning", facts), (0, "ok", None)):
            instance, _pool, shop = self.rows(databases=limited, pools=[POOL | {"cl_waiting": waiting}])
            self.assertEqual((shop["used"], shop["capacity"], shop["pressure"]), (4, 5, 80))
            self.assertEqual((shop["level"], shop["reason"]), (level, reason), waiting)
            facts_of_shop = reason and reason | {"database": "shop"}
            self.assertEqual((instance["level"], instance["reason"]), (level, facts_of_shop), waiting)
        unknown = [DATABASE | {"max_connections": 5, "current_connections": None}]
        _instance, _pool, shop = self.rows(databases=unknown, pools=[POOL | {"cl_waiting": 1}])
        self.assertEqual((shop["pressure"], shop["level"]), (None, "unknown"))

    def test_worst_part(self):
        slow = [POOL | {"user": name, "maxwait": seconds, "cl_waiting": 1} for name, seconds in (("a", 1), ("b", 5))]
        instance, *_parts = self.rows(pools=slow)
        facts = {"rule": "maxwait", "value": 5.0, "database": "shop", "user": "b"}
        self.assertEqual((instance["level"], instance["reason"]), ("critical", facts))
        instance, *_parts = self.rows(pools=slow, lists=[{"list": "used_clients", "items": 95}])
        self.assertEqual(instance["reason"], {"rule": "pgbouncer_pressure", "value": 95}, "its own reason comes first")

    def test_growth(self):
        instance, pool = self.later(stats=[{"total_xact_count": 17, "total_wait_time": 120 * 10**6}])
        self.assertEqual((pool["xact_count"], pool["query_count"], pool["wait_time"]), (7, 0, 120))
        self.assertEqual((pool["interval"], pool["waiting_mean"]), (60, 2))
        self.assertEqual((instance["xact_count"], instance["waiting_mean"]), (7, 2))
        self.assertEqual(pool["values"]["waiting_samples"], 1, "a queue between two samples")
        instance, pool = self.later(stats=[{"total_xact_count": 9}])
        self.assertEqual((pool["xact_count"], pool["interval"], instance["interval"]), (None, None, None), "restarted")
        instance, pool = self.later(stats=[{"total_wait_time": 10**12}])
        self.assertEqual((pool["xact_count"], pool["wait_time"], pool["waiting_mean"]), (0, None, None), "impossible")
        self.assertEqual(instance["wait_time"], None)

    def test_durations(self):
        stats = {"total_xact_count": 17, "total_query_count": 40, "total_server_assignment_count": 9}
        times = {"total_xact_time": 14 * 10**6, "total_query_time": 5 * 10**6}
        for row in self.later(stats=[stats | times]):
            self.assertEqual((row["xact_time"], row["query_time"], row["server_assignment_count"]), (14, 5, 4))
            self.assertEqual((row["xact_mean"], row["query_mean"]), (2000, 250))
        for row in self.later(stats=[{}]):
            self.assertEqual((row["xact_time"], row["xact_mean"], row["query_mean"]), (0, None, None), "nothing ran")
        for row in self.later(stats=[{"total_server_assignment_count": None, "total_xact_count": 11}]):
            self.assertEqual((row["server_assignment_count"], row["xact_count"]), (None, 1), "before 1.23")

    def test_clock_put_back(self):
        for xact_time in (None, -1):
            for row in self.later(stats=[{"total_xact_count": 17, "total_xact_time": xact_time}]):
                self.assertEqual((row["xact_count"], row["xact_time"], row["xact_mean"]), (7, None, None))

    def test_highest_times(self):
        """A server is in transactions for 60 s of a minute at most; two readings may be 3 s further apart."""
        for seconds, plausible in ((20 * 63, 20 * 63), (20 * 63 + 1, None)):
            times = {"total_xact_time": seconds * 10**6, "total_query_time": seconds * 10**6}
            for row in self.later(stats=[times]):
                self.assertEqual((row["xact_time"], row["query_time"], row["wait_time"]), (plausible, plausible, 0))
        times = {"total_xact_time": 21 * 63 * 10**6}
        for answers in (
            {"databases": [DATABASE | {"reserve_pool_size": 1}]},
            {"users": [{"name": "shop", "pool_size": 21}]},
            {"databases": [DATABASE | {"pool_size": 0}]},
            {"databases": []},
            {"pools": []},
        ):
            instance, *_parts = self.later(stats=[times], **answers)
            self.assertEqual(instance["xact_time"], 21 * 63, "more servers, or unknown how many")

    def test_highest_waits(self):
        for seconds, timeout, plausible in ((18000, 120, 18000), (18001, 120, None), (18001, 0, 18001)):
            config = [{"key": "max_client_conn", "value": "100"}, {"key": "query_wait_timeout", "value": str(timeout)}]
            instance, _pool = self.later(stats=[{"total_wait_time": seconds * 10**6}], config=config)
            self.assertEqual(instance["wait_time"], plausible)

    def test_long_transaction(self):
        """It is counted when it ends: its time is longer than the interval, but samples have seen it run."""
        databases, before = [DATABASE | {"pool_size": 1}], None
        for minute, active, ended in ((0, 0, 0), (1, 1, 0), (2, 1, 0), (3, 1, 0), (4, 0, 230), (5, 0, 460)):
            stats = [STATS | {"total_xact_count": minute, "total_xact_time": ended * 10**6}]
            _instance, pool = self.rows(
                60 * minute, before, stats=stats, databases=databases, pools=[POOL | {"sv_active": active}]
            )
            before = self.counters
            if minute == 4:
                self.assertEqual((pool["xact_time"], pool["xact_mean"]), (230, 230_000))
        self.assertEqual((pool["xact_time"], pool["xact_mean"]), (None, None), "a clock that was put forward")

    def test_waits_of_transactions(self):
        """A transaction includes its wait for a server: clients in a queue take longer than the servers of the pool."""
        databases = [DATABASE | {"pool_size": 1}]
        for waited, plausible in ((337, 400), (336, None)):
            stats = [{"total_wait_time": waited * 10**6, "total_xact_time": 400 * 10**6}]
            for row in self.later(stats=stats, databases=databases):
                self.assertEqual((row["wait_time"], row["xact_time"]), (waited, plausible))
        before = None
        for minute, waited, ended in ((0, 0, 0), (1, 300, 0), (2, 300, 420)):  # the wait ended a minute earlier
            stats = [STATS | {"total_wait_time": waited * 10**6, "total_xact_time": ended * 10**6}]
            _instance, pool = self.rows(60 * minute, before, stats=stats, databases=databases)
            before = self.counters
        self.assertEqual(pool["xact_time"], 420)

    def test_growth_of_several_pools(self):
        """SHOW STATS does not report the pools of a database."""
        pools = [POOL, POOL | {"user": "bot"}]
        instance, *pools, both = self.later(
            stats=[{"total_xact_count": 17, "total_wait_time": 60 * 10**6}], pools=pools
        )
        self.assertEqual([pool["xact_count"] for pool in pools], [None, None])
        self.assertEqual((both["xact_count"], both["waiting_mean"], instance["xact_count"]), (7, 1, 7))
        self.assertEqual([row["values"]["waiting_samples"] for row in (*pools, both)], [0, 0, 1])

    def test_growth_of_other_databases(self):
        stats = [{"database": "pgbouncer", "total_xact_count": 99}]
        instance, pool = self.later(stats=stats)
        self.assertEqual((pool["interval"], instance["xact_count"]), (None, 0), "the console's own does not count")
        stats = [{}, {"database": "idle", "total_xact_count": 3}]
        self.assertEqual(self.later(stats=stats)[0]["xact_count"], 3, "a database without a pool")
        instance, pool = self.later(stats=[])
        self.assertEqual((instance["xact_count"], pool["xact_count"]), (None, None))

    def test_waiting_in_a_row(self):
        levels, kept = [], None
        for minute, waiting in enumerate((1, 1, 0, 1, 1)):
            pools = [POOL | {"cl_waiting": waiting, "maxwait_us": waiting}, POOL | {"user": "bot"}]
            _instance, pool, _bot, both = self.rows(60 * minute, kept=kept, pools=pools)
            self.assertEqual(both["values"]["waiting_samples"], 0, "each pool has a queue of its own")
            levels.append(pool["level"])
            kept = self.memory.keep()
        self.assertEqual(levels, ["ok", "warning", "ok", "ok", "warning"])

    def test_paused(self):
        instance, pool = self.rows(databases=[DATABASE | {"paused": 1}])
        self.assertEqual((instance["is_paused"], pool["is_paused"], pool["level"]), (False, True, "warning"))
        instance, pool = self.rows(state=[{"key": "suspended", "value": "yes"}])
        self.assertEqual((instance["is_paused"], pool["is_paused"], instance["level"]), (True, True, "warning"))
        self.assertEqual(instance["reason"], {"rule": "paused_samples", "value": 1})

    def test_unreadable_columns(self):
        pool = {"database": "shop", "user": "shop", "cl_waiting": None}
        instance, pool = self.rows(pools=[pool], stats=[{"database": "shop"}], **UNREADABLE)
        for name in ("used", "waiting", "maxwait", "capacity", "pressure"):
            self.assertEqual((instance[name], pool[name]), (None, None), name)
        self.assertEqual((instance["level"], instance["reason"]), ("unknown", {"rule": "pgbouncer_pressure"}))
        self.assertEqual((pool["level"], pool["reason"]), ("unknown", {"rule": "maxwait"}))

    def test_unlimited(self):
        config = [{"key": "max_client_conn", "value": "0"}]
        instance, pool = self.rows(databases=[DATABASE | {"pool_size": 0}], config=config)
        self.assertEqual((pool["pressure"], pool["level"], instance["level"]), (None, "ok", "ok"))
        self.assertEqual(instance["values"]["pgbouncer_pressure"], 0)

    def test_unused_database(self):
        for values, level in (({"sv_active": 0}, "ok"), ({}, "unknown")):
            instance, pool = self.rows(pools=[POOL | values], databases=[])
            self.assertEqual((pool["level"], instance["level"], pool["capacity"]), (level, level, None))
        facts = {"rule": "pressure", "code": "unused_database", "params": {"is_login": False}}
        self.assertEqual(pool["reason"], facts)
        self.assertEqual(instance["reason"], facts | {"database": "shop", "user": "shop"})

    def test_login(self):
        """PgBouncer does not measure how long clients wait for a server that does not answer."""
        pool = POOL | {"sv_active": 0, "sv_idle": 0, "sv_login": 1, "cl_waiting": 1}
        _instance, row = self.rows(pools=[pool])
        self.assertEqual((row["maxwait"], row["bottleneck"], row["level"]), (None, "login", "unknown"))
        self.assertEqual(row["reason"], {"rule": "maxwait", "code": "login"})
        _instance, row = self.rows(pools=[pool], databases=[])
        facts = {"rule": "maxwait", "code": "unused_database", "params": {"is_login": True}}
        self.assertEqual(row["reason"], facts)
        _instance, row = self.rows(pools=[pool], rules=RULES | {"waiting_samples": Rule((1, 2), is_count=True)})
        self.assertEqual((row["level"], row["reason"]["value"]), ("warning", 1), "a threshold is reached anyway")
