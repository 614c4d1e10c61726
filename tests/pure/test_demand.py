from dataclasses import replace
from unittest import TestCase

from plans import CLASSIC, many_plans

from planner.demand import components, replica_components, transactions
from planner.inputs import Inputs, Other


def shown(parts):
    """Return code -> (processes, expected, ceiling, listeners, whether it is pooled)."""
    return {part.code: (part.count, part.expected, part.ceiling, part.listeners, part.is_pooled) for part in parts}


class TestComponents(TestCase):
    def test_classic_case(self):
        parts = components(CLASSIC)
        self.assertEqual(
            [(part.code, part.name, part.count, part.expected) for part in parts],
            [("http", "", 100, 100), ("gevent", "", 5, 5), ("other", "backup", 2, 2), ("other", "psql", 3, 3)],
        )
        self.assertEqual(sum(part.expected for part in parts), 110)
        self.assertEqual(sum(part.ceiling for part in parts), 105 * 64 + 5)

    def test_reason_has_the_numbers(self):
        http = components(CLASSIC)[0].reason
        self.assertEqual(http.code, "http")
        self.assertEqual(
            http.figures,
            {"servers": 5, "processes": 20, "per_process": 1, "pool": 64, "listeners": 0}
            | {"expected": 100, "ceiling": 6400},
        )

    def test_workers(self):
        plan = Inputs(servers=2, workers=4, max_cron_threads=2, db_maxconn=16, db_maxconn_gevent=8)
        self.assertEqual(
            shown(components(plan)),
            {
                "http": (8, 8, 128, 0, True),
                "cron": (4, 16, 64, 4, True),
                "gevent": (2, 4, 16, 2, True),
            },
        )
        several = shown(components(replace(plan, databases=3)))
        self.assertEqual(several["http"][1], 24, "a worker keeps a connection to each database")
        self.assertEqual(several["cron"][1], 16, "a cron worker closes those of one database before the next")

    def test_a_small_pool_is_the_limit(self):
        plan = Inputs(servers=1, workers=2, databases=5, max_cron_threads=1, gevent_connections=9, db_maxconn=2)
        self.assertEqual(
            shown(components(plan)),
            {"http": (2, 4, 4, 0, True), "cron": (1, 2, 2, 1, True), "gevent": (1, 2, 2, 1, True)},
        )

    def test_threads_share_one_pool(self):
        plan = Inputs(servers=3, workers=0, requests=10, max_cron_threads=2, db_maxconn=64)
        self.assertEqual(shown(components(plan)), {"threaded": (3, 3 * (10 + 2 * 2 + 3), 3 * 64, 9, True)})
        small = replace(plan, db_maxconn=8)
        self.assertEqual(shown(components(small)), {"threaded": (3, 24, 24, 9, True)})
        self.assertEqual(shown(components(replace(plan, db_maxconn=1)))["threaded"][3], 3, "no more listen than fit")
        self.assertEqual(shown(components(replace(plan, databases=3)))["threaded"][1], 3 * (30 + 4 + 3))

    def test_bus_variants(self):
        plan = Inputs(servers=2, workers=4, gevent_connections=1)
        alt = shown(components(replace(plan, bus="alt")))
        self.assertEqual(alt["gevent"], (2, 2, 128, 0, True))
        self.assertEqual(alt["bus"], (2, 2, 2, 2, False), "apart from the pool of its process")
        service = shown(components(replace(plan, bus="service")))
        self.assertEqual(service["gevent"], (2, 4, 128, 2, False))
        self.assertNotIn("bus", service)

    def test_bus_variants_without_workers(self):
        plan = Inputs(workers=0, requests=5, max_cron_threads=1, gevent_connections=1)
        self.assertEqual(
            shown(components(replace(plan, bus="alt"))),
            {"threaded": (1, 8, 64, 1, True), "bus": (1, 1, 1, 1, False)},
        )
        self.assertEqual(
            shown(components(replace(plan, bus="service"))),
            {"threaded": (1, 8, 64, 1, True), "gevent": (1, 2, 64, 1, False)},
        )

    def test_queue_job(self):
        plan = Inputs(servers=3, databases=2, has_queue_job=True)
        self.assertEqual(shown(components(plan))["queue_job"], (3, 2, 4, 2, False), "one runner has the lock")
        self.assertNotIn("queue_job", shown(components(Inputs())))

    def test_what_is_not_there_is_not_listed(self):
        plan = Inputs(max_cron_threads=0, others=(Other("psql", 0),))
        self.assertEqual(list(shown(components(plan))), ["http", "gevent"])

    def test_expected_is_never_more_than_the_ceiling(self):
        for plan in many_plans():
            for part in [*components(plan), *replica_components(plan)]:
                self.assertLessEqual(part.expected, part.ceiling, part)
                self.assertLessEqual(part.listeners, part.expected, part)


class TestReplica(TestCase):
    def test_replica(self):
        plan = Inputs(servers=2, workers=4, databases=3, max_cron_threads=1, gevent_connections=1, db_maxconn=16)
        self.assertEqual(replica_components(plan), [])
        plan = replace(plan, has_replica=True)
        self.assertEqual(
            shown(replica_components(plan)),
            {"http": (8, 24, 128, 0, False), "cron": (2, 2, 32, 0, False), "gevent": (2, 2, 32, 0, False)},
        )
        codes = [part.reason.code for part in replica_components(plan)]
        self.assertEqual(codes, ["replica_http", "replica_cron", "replica_gevent"])
        self.assertEqual(shown(components(replace(plan, has_replica=False)))["cron"][1], 8)
        self.assertEqual(shown(components(plan))["cron"][1], 6, "jobs check the registry on the replica")

    def test_without_workers(self):
        plan = Inputs(workers=0, requests=5, max_cron_threads=2, has_replica=True)
        self.assertEqual(shown(replica_components(plan)), {"threaded": (1, 5, 64, 0, False)})
        service = replace(plan, bus="service", db_maxconn_gevent=4)
        self.assertEqual(shown(replica_components(service))["gevent"], (1, 1, 4, 0, False))
        self.assertNotIn("cron", shown(replica_components(Inputs(max_cron_threads=0, has_replica=True))))


class TestTransactions(TestCase):
    def test_transactions(self):
        plan = Inputs(servers=2, workers=4, max_cron_threads=1, gevent_connections=3, databases=5)
        self.assertEqual(transactions(plan), 2 * (4 + 2 + 3), "a worker serves one database at a time")
        self.assertEqual(transactions(replace(plan, bus="service")), 2 * (4 + 2))
        self.assertEqual(transactions(replace(plan, workers=0, requests=7)), 2 * (7 + 2))
        others = (Other("backup", 2), Other("reports", 3, is_pooled=True))
        self.assertEqual(transactions(replace(plan, others=others)), 18 + 3)
