from dataclasses import replace
from unittest import TestCase

from plans import CLASSIC, many_plans

from planner.findings import LEVELS
from planner.inputs import Inputs, Other
from planner.sizing import propose

GB = 2**30


def findings(plan):
    """Return code -> (level, field, figures)."""
    return {found.reason.code: (found.level, found.field, found.reason.figures) for found in propose(plan).findings}


class TestFindings(TestCase):
    def test_the_worst_first(self):
        for plan in many_plans():
            levels = [LEVELS.index(found.level) for found in propose(plan).findings]
            self.assertEqual(levels, sorted(levels))

    def test_direct(self):
        shares = {"expected": 110, "ceiling": 6725, "limit": 97, "max_connections": 100, "reserved": 3}
        self.assertEqual(findings(CLASSIC)["direct_exceeded"], ("critical", "", shares))
        exact = findings(replace(CLASSIC, max_connections=113))
        self.assertEqual(exact["direct_exhaustible"][0], "warning", "110 of 110")
        self.assertNotIn("direct_exceeded", exact)
        fits = findings(replace(CLASSIC, max_connections=6728))
        self.assertEqual(fits["direct_fits"][0], "ok")
        self.assertIn("direct_exhaustible", findings(replace(CLASSIC, max_connections=6727)))

    def test_pooled_fits(self):
        shares = {"ceiling": 60, "pools": 25, "postgres": 27, "outside": 8, "monitoring": 3, "limit": 97}
        self.assertEqual(findings(replace(CLASSIC, cores=8))["pooled_fits"], ("ok", "", shares))

    def test_what_must_give_way(self):
        plan = Inputs(servers=2, workers=4, max_cron_threads=1, cores=4)
        for changes, field in (
            ({"max_connections": 10}, "max_connections"),
            ({"bus": "service", "db_maxconn": 64}, "db_maxconn_gevent"),
            ({"bus": "service", "db_maxconn": 64, "max_connections": 12}, "max_connections"),
            ({"others": (Other("reports", 90), Other("psql", 2, is_pooled=True))}, "others"),
            ({"pgbouncers": 20}, "pgbouncers"),
            ({"max_connections": 22, "pgbouncers": 2}, "pgbouncers"),
            ({"max_connections": 22, "databases": 2}, "databases"),
            ({"max_connections": 21, "databases": 2}, "max_connections"),
            ({"bus": "service", "max_connections": 26}, "db_maxconn_gevent"),
            ({"bus": "service", "max_connections": 25}, "max_connections"),
            ({"servers": 10, "max_cron_threads": 4}, "max_cron_threads"),
            ({"databases": 50}, "databases"),
            ({"databases": 50, "pgbouncers": 50}, "max_connections"),
        ):
            level, found, figures = findings(replace(plan, **changes))["pooled_exceeded"]
            self.assertEqual((level, found), ("critical", field), changes)
            enough = replace(plan, **changes | {"max_connections": figures["max_connections"]})
            self.assertIn("pooled_fits", findings(enough), changes)

    def test_what_gives_way_is_not_too_low(self):
        plan = Inputs(servers=2, max_cron_threads=1, gevent_connections=5, bus="service", max_connections=34)
        self.assertEqual(findings(plan)["pooled_exceeded"][1], "db_maxconn_gevent")
        fitting = findings(replace(plan, db_maxconn_gevent=7))
        self.assertIn("pooled_fits", fitting)
        self.assertNotIn("db_maxconn_low", fitting)
        self.assertEqual(findings(replace(plan, max_connections=33))["pooled_exceeded"][1], "max_connections")

    def test_further_databases(self):
        """The line ``*`` serves any database; lines with names do not."""
        plan = replace(CLASSIC, cores=8, pgbouncers=2, max_connections=150)
        level, field, figures = findings(plan)["databases_open"]
        self.assertEqual((level, field), ("ok", "db_names"))
        self.assertEqual((figures["databases"], figures["more"]), (1, 2 * (10 + 3)))
        self.assertIn("databases_open", findings(replace(plan, db_names=("postgres",))))
        self.assertNotIn("databases_open", findings(replace(plan, db_names=("shop",))))
        self.assertNotIn("databases_open", findings(replace(plan, max_connections=15)), "there are no pools")

    def test_no_room_for_a_further_database(self):
        plan = replace(CLASSIC, cores=8, max_connections=60 + 25 + 3)
        figures = {"databases": 1, "more": 25, "ceiling": 60, "limit": 85}
        self.assertEqual(findings(plan)["databases_open"], ("ok", "db_names", figures))
        full = findings(replace(plan, max_connections=87))
        self.assertEqual(full["databases_open"], ("warning", "db_names", figures | {"limit": 84}))

    def test_clients_of_another_host_are_not_encrypted(self):
        found = findings(Inputs(pgbouncer_host="db.example.com"))
        self.assertEqual(found["clients_unencrypted"], ("ok", "pgbouncer_host", {"host": "db.example.com"}))
        for host in ("127.0.0.1", "localhost", "/run/pgbouncer"):
            self.assertNotIn("clients_unencrypted", findings(Inputs(pgbouncer_host=host)), host)

    def test_pgbouncer_that_other_servers_cannot_reach(self):
        plan = Inputs(servers=3, cores=4, pgbouncer_host="127.0.0.1")
        level, field, figures = findings(plan)["pgbouncer_local"]
        self.assertEqual((level, field, figures["host"]), ("warning", "pgbouncer_host", "127.0.0.1"))
        self.assertIn("pgbouncer_local", findings(replace(plan, pgbouncer_host="/run/pgbouncer")))
        for changes in ({"servers": 1}, {"pgbouncers": 3}, {"pgbouncer_host": "10.0.0.7"}, {"pgbouncer_host": "db"}):
            self.assertNotIn("pgbouncer_local", findings(replace(plan, **changes)), changes)

    def test_pool_is_short(self):
        plan = replace(CLASSIC, cores=8, max_connections=32)
        figures = {"size": 10, "wanted": 20, "max_connections": 58}
        self.assertEqual(findings(plan)["pool_short"], ("warning", "max_connections", figures))
        unknown = findings(replace(plan, cores=None))
        self.assertEqual(unknown["cores_unknown"], ("warning", "cores", {"size": 10, "wanted": 100}))
        self.assertNotIn("pool_short", unknown, "it is unknown what the work needs")
        self.assertNotIn("cores_unknown", findings(plan))
        self.assertNotIn("cores_unknown", findings(Inputs()), "each process can have a server")
        self.assertNotIn("pool_short", findings(replace(plan, max_connections=58)))
        self.assertNotIn("pool_short", findings(replace(plan, max_connections=18)), "it does not fit at all")

    def test_memory(self):
        plan = replace(CLASSIC, cores=8, shared_buffers=GB, work_mem=2**22, backend_memory=10**7)
        needed, fixed = GB + 60 * 10**7 + 33 * 2**22, GB + 60 * 10**7
        self.assertNotIn("memory_exceeded", findings(plan), "the memory is unknown")
        self.assertNotIn("memory_exceeded", findings(replace(plan, memory=needed)))
        found = findings(replace(plan, memory=needed - 1))
        self.assertEqual(found["memory_exceeded"], ("warning", "memory", {"needed": needed, "memory": needed - 1}))
        self.assertEqual(found["direct_memory_exceeded"][0], "critical", "97 backends")
        self.assertEqual(findings(replace(plan, memory=fixed))["memory_exceeded"][0], "warning")
        self.assertEqual(findings(replace(plan, memory=fixed - 1))["memory_exceeded"][0], "critical")
        self.assertNotIn("memory_exceeded", findings(replace(plan, memory=fixed, work_mem=None)))

    def test_db_maxconn_is_low(self):
        plan = Inputs(workers=4, max_cron_threads=1, db_maxconn=4)
        self.assertNotIn("db_maxconn_low", findings(plan))
        low = findings(replace(plan, db_maxconn=3))["db_maxconn_low"]
        self.assertEqual(low, ("warning", "db_maxconn", {"value": 3, "needed": 4}), "a listener, a job, a NOTIFY")
        self.assertNotIn("db_maxconn_low", findings(replace(plan, db_maxconn=3, max_cron_threads=0)))
        self.assertIn("db_maxconn_low", findings(replace(plan, db_maxconn=1, max_cron_threads=0)))
        busy = replace(plan, gevent_connections=3)
        self.assertEqual(findings(busy)["db_maxconn_low"][2], {"value": 4, "needed": 5}, "of the gevent process")
        self.assertNotIn("db_maxconn_low", findings(replace(busy, db_maxconn_gevent=5)))
        low = findings(replace(busy, db_maxconn_gevent=4))["db_maxconn_low"]
        self.assertEqual(low, ("warning", "db_maxconn_gevent", {"value": 4, "needed": 5}))

    def test_db_maxconn_of_threads(self):
        plan = Inputs(workers=0, requests=10, max_cron_threads=2, db_maxconn=29)
        self.assertNotIn("db_maxconn_low", findings(plan))
        low = findings(replace(plan, db_maxconn=28))["db_maxconn_low"]
        self.assertEqual(low[2], {"value": 28, "needed": 29}, "10 x 2 + 2 x 4 + 1")
        service = replace(plan, bus="service", db_maxconn_gevent=2)
        self.assertEqual(findings(service)["db_maxconn_low"][1], "db_maxconn_gevent")

    def test_db_maxconn_is_high(self):
        figures = {"value": 64, "enough": 8, "ceiling": 105 * 8 + 5}
        self.assertEqual(findings(CLASSIC)["db_maxconn_high"], ("ok", "db_maxconn", figures))
        self.assertNotIn("db_maxconn_high", findings(replace(CLASSIC, db_maxconn=8)))
        threads = Inputs(servers=2, workers=0, requests=10, max_cron_threads=2)
        self.assertEqual(findings(threads)["db_maxconn_high"][2], {"value": 64, "enough": 58, "ceiling": 116})
        self.assertNotIn("db_maxconn_high", findings(replace(CLASSIC, max_connections=6728)), "it does no harm")

    def test_replica(self):
        plan = Inputs(servers=2, workers=4, max_cron_threads=1, gevent_connections=1, db_maxconn=16)
        figures = {"expected": 12, "ceiling": 12 * 16}
        self.assertEqual(findings(replace(plan, has_replica=True))["replica"], ("ok", "has_replica", figures))
        self.assertNotIn("replica", findings(plan))
