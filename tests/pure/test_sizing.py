from dataclasses import replace
from math import ceil
from unittest import TestCase

from plans import CLASSIC, many_plans

from analysis import listening
from planner.demand import components
from planner.inputs import Inputs, Other
from planner.sizing import BACKEND_MEMORY, errors, propose

GB = 2**30
POOL_FIGURES = ("default_pool_size", "reserve_pool_size", "min_pool_size", "max_db_connections", "file_descriptors")


def values(plan):
    return {name: figure.value for name, figure in propose(plan).figures.items()}


def reason(plan, name):
    return propose(plan).figures[name].reason


class TestClassicCase(TestCase):
    def test_direct(self):
        self.assertEqual(propose(CLASSIC).direct, {"expected": 110, "ceiling": 6725, "limit": 97})

    def test_pooled(self):
        plan = replace(CLASSIC, cores=8)
        proposal = propose(plan)
        self.assertEqual(
            values(plan),
            {
                "default_pool_size": 20,  # 2 x 8 + 4
                "reserve_pool_size": 5,
                "min_pool_size": 5,
                "max_db_connections": 25,
                "postgres_pool_size": 27,  # 5 listeners + 20 NOTIFYs + 2 checks
                "max_client_conn": 105 * 64 + 2 + 4,
                "file_descriptors": 6726 + 12 + (20 + 27) * 2,
                "max_connections": 100,
            },
        )
        self.assertEqual(
            proposal.pooled,
            {"pools": 25, "postgres": 27, "outside": 8, "ceiling": 60, "expected": 35, "limit": 97},
        )

    def test_without_cores_and_history(self):
        figure = propose(CLASSIC).figures["default_pool_size"]
        self.assertEqual((figure.value, figure.reason.code), (62, "pool_room"), "97 - 27 - 5 - 3")
        self.assertEqual(propose(CLASSIC).pooled["ceiling"], 97)
        self.assertEqual(reason(CLASSIC, "max_connections").code, "enough", "not each worker needs a server")


class TestPoolSize(TestCase):
    def pool(self, **changes):
        plan = replace(Inputs(servers=4, workers=20, max_cron_threads=0, gevent_connections=0, cores=8), **changes)
        figure = propose(plan).figures["default_pool_size"]
        return figure.value, figure.reason.code

    def test_by_cores(self):
        self.assertEqual(self.pool(), (20, "pool_cores"))
        self.assertEqual(self.pool(cores=2), (8, "pool_cores"))
        self.assertEqual(self.pool(pgbouncers=2), (10, "pool_cores"), "they share it")
        self.assertEqual(self.pool(pgbouncers=3), (7, "pool_cores"))
        self.assertEqual(self.pool(databases=2), (20, "pool_cores"), "one database may need all of it")

    def test_by_history(self):
        self.assertEqual(self.pool(mean_busy=21.0), (30, "pool_measured"), "21 / 0.7")
        self.assertEqual(self.pool(mean_busy=21.1), (31, "pool_measured"))
        self.assertEqual(self.pool(mean_busy=21.0, peak_busy=31), (31, "pool_measured"))
        self.assertEqual(self.pool(mean_busy=21.0, peak_busy=29), (30, "pool_measured"))
        self.assertEqual(self.pool(peak_busy=21), (21, "pool_measured"))
        self.assertEqual(self.pool(mean_busy=2.0, peak_busy=9), (20, "pool_cores"), "a quiet week")
        self.assertEqual(self.pool(mean_busy=2.0, peak_busy=9, cores=None), (9, "pool_measured"))

    def test_no_more_than_processes_can_use(self):
        self.assertEqual(self.pool(servers=1, workers=6), (6, "pool_processes"))
        self.assertEqual(self.pool(servers=1, workers=6, peak_busy=40), (6, "pool_processes"))
        self.assertEqual(self.pool(servers=1, workers=6, cores=None), (6, "pool_unknown"))

    def test_jobs_must_not_wait_for_each_other(self):
        """A job holds two servers, and needs a third one for a moment."""
        self.assertEqual(self.pool(cores=1, max_cron_threads=2), (18, "pool_least"), "8 x 2 + 2")
        self.assertEqual(self.pool(cores=1, max_cron_threads=2, pgbouncers=4), (6, "pool_least"))
        self.assertEqual(self.pool(cores=1, max_cron_threads=2, pgbouncers=3), (10, "pool_least"), "of 2 servers")
        self.assertEqual(self.pool(cores=7, max_cron_threads=2), (18, "pool_cores"), "just enough")
        self.assertEqual(self.pool(mean_busy=0, cores=None), (2, "pool_least"))

    def test_servers_are_not_divided(self):
        """One of two PgBouncers has two of three servers, and with them four cron workers."""
        plan = {"servers": 3, "workers": 4, "max_cron_threads": 2, "pgbouncers": 2, "cores": 2, "max_connections": 60}
        self.assertEqual(self.pool(**plan), (10, "pool_least"), "4 x 2 + 2")

    def test_no_more_than_there_is(self):
        self.assertEqual(self.pool(max_connections=31), (15, "pool_room"), "31 - 3 - (4 + 4 + 2) - 3")
        self.assertEqual(self.pool(max_connections=31, reserved_connections=5), (10, "pool_room"))
        self.assertEqual(self.pool(max_connections=31, others=(Other("psql", 5),)), (10, "pool_room"))
        self.assertEqual(self.pool(max_connections=31, databases=2), (7, "pool_room"))
        self.assertEqual(self.pool(max_connections=31, db_names=("a", "b", "c")), (5, "pool_room"))
        twice = ("a", "b", "a", "postgres", "c")
        self.assertEqual(self.pool(max_connections=31, db_names=twice), (5, "pool_room"), "each has one line")
        query = {"max_connections": 31, "auth": "auth_query"}
        self.assertEqual(self.pool(**query), (14, "pool_room"), "logins go to postgres")
        self.assertEqual(self.pool(**query, version=18), (13, "pool_room"), "and to the database itself")

    def test_transactions_before_notifies(self):
        for connections, size, at_once in (
            (52, 20, 20),  # 52 - 3 - 4 listeners - 2 checks - 3 of the addon
            (51, 20, 19),
            (36, 20, 4),
            (35, 19, 4),
            (18, 2, 4),
            (17, None, 4),
        ):
            plan = replace(CLASSIC, servers=4, others=(), cores=8, max_connections=connections)
            self.assertEqual(values(plan)["default_pool_size"], size, connections)
            self.assertEqual(values(plan)["postgres_pool_size"], 4 + at_once + 2, connections)
        shared = replace(CLASSIC, servers=4, others=(), cores=8, max_connections=63, pgbouncers=2)
        self.assertEqual(values(shared)["postgres_pool_size"], 4 + 12 + 2, "63 - 3 - 3 - 2 x (10 + 4 + 2)")

    def test_more_connections_are_never_less(self):
        for plan in (replace(CLASSIC, cores=8), CLASSIC, Inputs(servers=3, pgbouncers=3, databases=2, cores=4)):
            before = (0, 0)
            for connections in range(60, 140):
                figures = values(replace(plan, max_connections=connections, db_maxconn=8))
                sizes = (figures["default_pool_size"] or 0, figures["postgres_pool_size"])
                self.assertTrue(sizes[0] >= before[0] and sizes[1] >= before[1], (plan, connections))
                before = sizes

    def test_nothing_known(self):
        """The pool has what is left, but aims at PgBouncer's default."""
        plan = replace(CLASSIC, servers=4, others=())
        for connections, size, at_once in ((100, 68, 20), (52, 20, 20), (51, 20, 19), (35, 19, 4)):
            proposal = propose(replace(plan, max_connections=connections))
            self.assertEqual(proposal.figures["default_pool_size"].value, size)
            self.assertEqual(proposal.figures["postgres_pool_size"].value, 4 + at_once + 2)

    def test_reason_has_the_numbers(self):
        plan = Inputs(servers=4, workers=20, max_cron_threads=0, gevent_connections=0, max_connections=31, cores=8)
        self.assertEqual(
            reason(plan, "default_pool_size").figures,
            {"size": 15, "total": 20, "pgbouncers": 1, "wanted": 20, "work": 80, "least": 2, "room": 15}
            | {"cores": 8, "per_core": 2, "waiting": 4, "mean_busy": None, "peak_busy": None, "busy_percent": 70},
        )

    def test_nothing_fits(self):
        plan = Inputs(max_connections=10)
        figures = propose(plan).figures
        for name in POOL_FIGURES:
            self.assertEqual((figures[name].value, figures[name].reason.code), (None, "no_room"), name)
        self.assertEqual(figures["default_pool_size"].reason.figures, {"least": 6, "room": -5})
        self.assertEqual(propose(plan).pooled["ceiling"], 9 + 6 + 3, "with the smallest pools")

    def test_reserve_is_what_is_left(self):
        plan = replace(CLASSIC, cores=8)
        self.assertEqual(values(replace(plan, max_connections=63))["reserve_pool_size"], 5)
        self.assertEqual(values(replace(plan, max_connections=60))["reserve_pool_size"], 2)
        self.assertEqual(values(replace(plan, max_connections=53))["reserve_pool_size"], 0)
        small = values(replace(plan, cores=1))
        self.assertEqual((small["reserve_pool_size"], small["min_pool_size"]), (2, 2), "a quarter of 6")
        large = values(replace(plan, cores=48, max_connections=500))
        self.assertEqual((large["reserve_pool_size"], large["min_pool_size"]), (25, 25), "a quarter of 100")

    def test_servers_that_stay_open(self):
        plan = replace(CLASSIC, mean_busy=5.0, peak_busy=20, pgbouncers=2, databases=2, max_connections=200)
        self.assertEqual(values(plan)["min_pool_size"], 2, "5 / 2 / 2")
        self.assertEqual(reason(plan, "min_pool_size").code, "min_pool_measured")
        self.assertEqual(values(replace(CLASSIC, mean_busy=60.0, max_connections=53))["min_pool_size"], 31)

    def test_a_login_does_not_wait_for_the_others(self):
        plan = replace(CLASSIC, cores=8, auth="auth_query")
        self.assertEqual(values(plan)["max_db_connections"], 20 + 5, "with auth_dbname it is in postgres")
        self.assertEqual(propose(plan).pooled["ceiling"], 60 + 1)
        old = replace(plan, version=18)
        self.assertEqual(values(old)["max_db_connections"], 20 + 5 + 1)
        self.assertEqual(propose(old).pooled["ceiling"], 60 + 2)


class TestPostgresPool(TestCase):
    def test_size(self):
        plan = Inputs(servers=2, workers=4, max_cron_threads=2)
        self.assertEqual(values(plan)["postgres_pool_size"], 6 + 6 + 2)
        self.assertEqual(values(replace(plan, bus="alt"))["postgres_pool_size"], 4 + 6 + 2, "cron workers listen there")
        service = replace(plan, bus="service", db_maxconn_gevent=4)
        self.assertEqual(values(service)["postgres_pool_size"], 4 + 6 + 2)
        self.assertEqual(values(replace(plan, workers=0, requests=10))["postgres_pool_size"], 6 + 12 + 2)
        figures = {"listeners": 6, "at_once": 6, "checks": 2, "pgbouncers": 1, "servers": 2}
        self.assertEqual(reason(plan, "postgres_pool_size"), ("postgres_pool", figures))

    def test_several_pgbouncers(self):
        """Each has room for the listeners of the servers that it serves while another one is down."""
        plan = Inputs(servers=5, workers=4, max_cron_threads=2, max_connections=500)
        for pgbouncers, servers in ((1, 5), (2, 5), (3, 3), (5, 2), (7, 1)):
            proposal = propose(replace(plan, pgbouncers=pgbouncers))
            size = servers * 3 + 6 + 2
            self.assertEqual(proposal.figures["postgres_pool_size"].value, size)
            self.assertEqual(proposal.figures["postgres_pool_size"].reason.figures["servers"], servers)
            self.assertEqual(proposal.pooled["postgres"], pgbouncers * size)

    def test_listen_check_does_not_warn(self):
        for plan in many_plans():
            pool = {"pool_mode": "session", "pool_size": values(plan)["postgres_pool_size"]}
            listeners = sum(part.listeners for part in components(plan) if part.is_pooled)
            listeners = ceil(listeners / max(plan.pgbouncers - 1, 1))
            held = max(plan.max_cron_threads + 1, listeners)
            at_once = max(plan.workers, 1) + plan.max_cron_threads
            code, level = listening.slots(pool, True, held, at_once)
            self.assertIn(code, ("enough", "tight"), plan)
            self.assertEqual(level, "ok")


class TestClients(TestCase):
    def test_max_client_conn(self):
        others = (Other("backup", 2), Other("reports", 5, is_pooled=True))
        plan = Inputs(servers=2, workers=4, max_cron_threads=1, db_maxconn=16, db_maxconn_gevent=8, others=others)
        self.assertEqual(values(plan)["max_client_conn"], 2 * 5 * 16 + 2 * 8 + 5 + 6)
        self.assertEqual(
            reason(plan, "max_client_conn").figures,
            {"odoo": 176, "others": 5, "checks": 2, "consoles": 4},
        )
        self.assertEqual(values(replace(plan, bus="service"))["max_client_conn"], 2 * 5 * 16 + 5 + 6)

    def test_file_descriptors(self):
        plan = Inputs(servers=1, workers=4, max_cron_threads=1, cores=1, databases=2, db_maxconn=2)
        self.assertEqual(values(plan)["default_pool_size"], 6)
        clients, postgres = 12 + 6, 2 + 5 + 2
        self.assertEqual(values(plan)["file_descriptors"], clients + 12 + (2 * 6 + postgres) * 2)
        query = replace(plan, auth="auth_query", others=(Other("reports", 5, is_pooled=True), Other("backup", 1)))
        self.assertEqual(values(query)["file_descriptors"], clients + 5 + 12 + (2 * 6 + postgres) * 4)


class TestMaxConnections(TestCase):
    def test_enough(self):
        plan = replace(CLASSIC, cores=8)
        self.assertEqual(
            reason(plan, "max_connections"),
            ("enough", {"backends": 60, "monitoring": 3, "reserved": 3, "max_connections": 100}),
        )

    def test_raise(self):
        plan = replace(CLASSIC, cores=8, max_connections=39, reserved_connections=2)
        self.assertEqual(values(plan)["max_connections"], 20 + 27 + 8 + 5)
        self.assertEqual(
            reason(plan, "max_connections"),
            ("raise", {"backends": 55, "monitoring": 3, "reserved": 5, "max_connections": 39}),
        )

    def test_raise_for_several_pgbouncers(self):
        plan = replace(CLASSIC, cores=8, max_connections=50, pgbouncers=3)
        self.assertEqual(values(plan)["max_connections"], 3 * 7 + 3 * (3 + 22) + 8 + 3)

    def test_raise_without_cores_and_history(self):
        plan = replace(CLASSIC, max_connections=18)
        self.assertIsNone(values(plan)["default_pool_size"])
        self.assertEqual(values(plan)["max_connections"], 20 + 27 + 8 + 3, "with PgBouncer's own default")
        few = Inputs(servers=1, workers=2, max_cron_threads=0, max_connections=8)
        self.assertEqual(values(few)["max_connections"], 3 + 5 + 3 + 3)

    def test_more_room_helps(self):
        for plan in many_plans():
            enough = values(plan)["max_connections"]
            raised = propose(replace(plan, max_connections=enough))
            self.assertEqual(raised.figures["max_connections"].value, enough, plan)
            self.assertEqual(raised.figures["max_connections"].reason.code, "enough", plan)
            self.assertIsNotNone(raised.figures["default_pool_size"].value, plan)


class TestBounds(TestCase):
    def test_what_fits_is_within_the_limit(self):
        for plan in many_plans():
            self.assertEqual(errors(plan), [])
            proposal = propose(plan)
            figures = {name: figure.value for name, figure in proposal.figures.items()}
            pooled, direct = proposal.pooled, proposal.direct
            self.assertEqual(pooled["ceiling"], pooled["pools"] + pooled["postgres"] + pooled["outside"])
            self.assertLessEqual(pooled["expected"], pooled["ceiling"], plan)
            self.assertLessEqual(direct["expected"], direct["ceiling"], plan)
            if figures["default_pool_size"] is None:
                self.assertGreater(pooled["ceiling"], pooled["limit"], plan)
                continue
            self.assertLessEqual(pooled["ceiling"], pooled["limit"], plan)
            names = max(plan.databases, len(plan.db_names))
            self.assertEqual(pooled["pools"], plan.pgbouncers * names * figures["max_db_connections"])
            login = plan.auth == "auth_query"
            self.assertEqual(pooled["postgres"], plan.pgbouncers * (figures["postgres_pool_size"] + login))
            self.assertGreaterEqual(figures["default_pool_size"], 2)
            self.assertLessEqual(figures["min_pool_size"], figures["default_pool_size"])
            self.assertGreaterEqual(figures["reserve_pool_size"], 0)


class TestMemory(TestCase):
    def test_memory(self):
        plan = replace(CLASSIC, cores=8, memory=16 * GB, shared_buffers=4 * GB, work_mem=2**22)
        memory = propose(plan).memory
        self.assertEqual(memory["direct"].value, 97 * BACKEND_MEMORY + 4 * GB + 92 * 2**22)
        self.assertEqual(memory["pooled"].value, 60 * BACKEND_MEMORY + 4 * GB + 33 * 2**22)
        self.assertEqual(
            memory["pooled"].reason,
            (
                "memory",
                {"connections": 60, "backend_memory": 3774873, "is_measured": False}
                | {"shared_buffers": 4 * GB, "active": 33, "work_mem": 2**22},
            ),
        )
        few = propose(replace(plan, max_connections=7)).memory["direct"]
        self.assertEqual(few.value, 4 * BACKEND_MEMORY + 4 * GB, "less than there are listeners")
        measured = propose(replace(plan, backend_memory=10**7)).memory["pooled"]
        self.assertEqual(measured.value, 60 * 10**7 + 4 * GB + 33 * 2**22)
        self.assertTrue(measured.reason.figures["is_measured"])

    def test_unknown(self):
        plan = replace(CLASSIC, work_mem=2**22)
        for figure in propose(plan).memory.values():
            self.assertIsNone(figure.value)
            self.assertEqual(figure.reason, ("memory_unknown", {"missing": ["shared_buffers"]}))
