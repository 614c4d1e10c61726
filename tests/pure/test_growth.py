from unittest import TestCase

from analysis.growth import POOL_SERVERS, databases_here, pool_growth
from analysis.samples import Samples


class TestGrowth(TestCase):
    def test_databases_here(self):
        backends = {1: (5001, "shop"), 2: (None, "shop"), 3: (-1, "shop"), 4: (5004, "b" * 63)}
        cases = (
            (1, 5001, "shop", True, "over TCP"),
            (1, 5002, "shop", False, "another port"),
            (1, 5001, "bot", False, "another role"),
            (2, 5002, "shop", True, "its port is hidden"),
            (3, 5003, "shop", True, "over a unix socket"),
            (4, 5004, "b" * 64, True, "PostgreSQL cuts the name"),
            (9, 5001, "shop", False, "a backend of another PostgreSQL"),
            (None, 5001, "shop", False, "the PID is unknown"),
        )
        for pid, port, user, is_here, reason in cases:
            server = {"database": "alias", "user": user, "remote_pid": pid, "local_port": port}
            self.assertEqual(databases_here([server], backends), {"alias"} if is_here else set(), reason)
        self.assertEqual(databases_here([], backends), set())

    def growth(self, pools, databases, here):
        """:param pools: (database, capacity, servers); databases: (name, capacity, used)"""
        columns = {name: [None] * len(pools) for name in POOL_SERVERS}
        columns |= dict(zip(("database", "capacity", "used"), map(list, zip(*pools, strict=True)), strict=True))
        rows = list(map(list, zip(*databases, strict=True))) or [[], [], []]
        limits = dict(zip(("database", "capacity", "used"), rows, strict=True))
        tables = [Samples(1, {}), Samples(len(pools), columns), Samples(len(databases), limits)]
        return pool_growth(tables, here)

    def test_pool_growth(self):
        pools = [("shop", 20, 5), ("shop", 10, 12), ("till", 5, 1), ("alias", None, 1), ("free", 0, 1)]
        self.assertEqual(self.growth(pools, [], {"shop"}), 15, "a pool that uses its reserve has no room")
        self.assertEqual(self.growth(pools, [], {"shop", "till"}), 19)
        self.assertEqual(self.growth(pools, [], set()), 0)
        self.assertEqual(self.growth(pools, [], {"gone"}), 0)
        self.assertIsNone(self.growth(pools, [], {"alias", "shop"}), "its size is unknown")
        self.assertIsNone(self.growth(pools, [], {"free"}), "without a limit")

    def test_limits_of_databases(self):
        pools = [("shop", 20, 5), ("till", 5, 1)]
        for limit, used, growth in (
            (25, 17, 8),
            (25, 30, 0),
            (100, 17, 15),
            (0, 17, 15),
            (None, 17, 15),
            (9, None, 15),
        ):
            limits = [("shop", limit, used), ("till", 1, 1)]
            self.assertEqual(self.growth(pools, limits, {"shop"}), growth, (limit, used))

    def test_all_servers_count(self):
        columns = {"database": ["shop"], "capacity": [20]} | {name: [1] for name in POOL_SERVERS}
        tables = [None, Samples(1, columns), Samples(0, {name: [] for name in ("database", "capacity", "used")})]
        self.assertEqual(POOL_SERVERS[0], "used")
        self.assertEqual(pool_growth(tables, {"shop"}), 20 - len(POOL_SERVERS))
        self.assertEqual(len(POOL_SERVERS), 7)
