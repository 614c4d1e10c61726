from unittest import TestCase

from findings import (
    BLOCKED,
    DELIVERED,
    DIRECT,
    FAILED,
    LOST,
    REJECTED,
    SESSION_POOL,
    TRANSACTION_POOL,
    UNREACHABLE,
    VERDICTS,
    found,
    process,
)

from analysis import listening

CLIENT = {"database": "postgres", "user": "odoo", "addr": "h", "port": 5000, "remote_pid": 0}
DATABASE = {"name": "postgres", "database": "postgres", "host": "db", "port": 5432, "pool_size": 20}
DATABASE |= {"max_connections": 0, "paused": 0, "disabled": 0}
CONSOLE = {
    "SHOW CLIENTS": [{"database": "shop", "user": "odoo", "addr": "h", "port": 5000, "remote_pid": 7}, CLIENT],
    "SHOW DATABASES": [{"name": "shop"}, DATABASE],
    "SHOW POOLS": [
        {"database": "postgres", "user": "other", "pool_mode": "statement"},
        {"database": "postgres", "user": "odoo", "pool_mode": "session", "sv_active": 3, "sv_idle": 1},
    ],
    "SHOW USERS": [{"name": "odoo", "pool_size": None}],
    "SHOW CONFIG": [{"key": "so_reuseport", "value": "0"}, {"key": "pool_mode", "value": "transaction"}],
    "SHOW STATE": [{"key": "active", "value": "yes"}],
}


def judge(steps, is_pooled=True):
    """Return the conclusions on the bus and on cron."""
    return listening.judge_bus(steps, is_pooled), listening.judge_cron(steps, is_pooled)


def codes(conclusion):
    return [sentence["code"] for sentence in conclusion.sentences], conclusion.remedies


class TestVerdicts(TestCase):
    def test_verdicts(self):
        for name, (steps, *expected) in VERDICTS.items():
            with self.subTest(name):
                conclusions = judge(steps)
                found_ones = [f"{conclusion.verdict} {conclusion.level}" for conclusion in conclusions]
                self.assertEqual(found_ones, expected)
                for conclusion in conclusions:
                    self.assertTrue(conclusion.sentences)
                    self.assertEqual(conclusion.level == "ok", not conclusion.remedies)

    def test_reasons_of_a_deaf_route(self):
        around = ["override", "alt_connection", "service", "service_proxy"]
        for result, code in (
            (LOST, "deaf_pooled"),
            (REJECTED, "deaf_rejected"),
            (LOST | {"is_pooled": False}, "deaf_lost"),
        ):
            bus, cron = judge(found(result, bus=result, delay=None, job=None))
            self.assertEqual(codes(bus), ([code], around))
            self.assertEqual(codes(cron), ([code], ["override"]), "nothing leads the cron workers around a pooler")
            self.assertEqual(bus.sentences[0]["detail"], result["detail"])

    def test_unreachable(self):
        """Without a pooler, an override in pgbouncer.ini would be useless."""
        steps = found(UNREACHABLE, bus=UNREACHABLE, delay=None, job=None)
        for is_pooled, remedy in ((True, "override"), (False, "role")):
            for conclusion in judge(steps, is_pooled=is_pooled):
                self.assertEqual(codes(conclusion), (["unreachable"], [remedy]))

    def test_figures(self):
        bus, cron = judge(found(DIRECT, bus=DIRECT, job=DIRECT, delay=0.25, waited=0.5))
        self.assertEqual(bus.sentences, [{"code": "direct", "delay": 0.25}])
        self.assertEqual(cron.sentences, [{"code": "direct", "delay": 0.5}])

    def test_bus_process_that_is_not_found(self):
        bus, _cron = judge(found(bus=None))
        self.assertEqual(codes(bus), (["step", "in_browser"], ["proxy"]))
        self.assertEqual(bus.sentences[0]["step"]["name"], "bus")

    def test_nobody_can_notify(self):
        for here in (BLOCKED, FAILED, REJECTED, UNREACHABLE):
            bus, _cron = judge(found(here, bus=DIRECT, job=None))
            self.assertEqual(
                (bus.verdict, bus.level, *codes(bus)), ("direct", "critical", ["cannot_notify"], ["override"])
            )
        bus, _cron = judge(found(LOST, bus=DIRECT, job=None))
        self.assertEqual(bus.level, "ok", "a NOTIFY was sent, though it was lost here")

    def test_old_connections(self):
        bus, cron = judge(found(delay=None, job=None))
        self.assertEqual(codes(bus), (["old_connection"], ["restart"]))
        self.assertEqual(codes(cron), (["not_woken"], ["restart"]))

    def test_reach(self):
        """The bus receives notifications: do browsers?"""
        for live, is_open, websockets, is_proxied, expected in (
            (True, False, 0, True, ("ok", [], [])),
            (None, True, 0, True, ("ok", [], [])),
            (None, False, 3, False, ("ok", [], [])),
            (False, True, 0, True, ("warning", ["not_in_this_browser"], ["browser"])),
            (False, False, 3, True, ("warning", ["not_in_this_browser"], ["browser"])),
            (False, False, 0, False, ("critical", ["not_in_browser"], ["proxy"])),
            (False, None, 0, False, ("critical", ["not_in_browser"], ["proxy"])),
            (None, False, 0, True, ("critical", ["not_in_browser"], ["proxy"])),
            (None, False, 0, False, ("warning", ["no_browser"], ["proxy"])),
            (None, None, 0, True, ("warning", ["no_browser"], ["proxy"])),
        ):
            steps = found(live=live, is_open=is_open)
            steps["bus"]["is_proxied"] = is_proxied
            steps["bus"]["processes"][0]["websockets"] = websockets
            bus, cron = judge(steps)
            level, more, remedies = expected
            with self.subTest((live, is_open, websockets, is_proxied)):
                self.assertEqual((bus.level, *codes(bus)), (level, ["session", *more], remedies))
                self.assertEqual(cron.level, "ok")

    def test_bus_process_that_does_not_run(self):
        for live, is_refused, is_open, verdict in (
            (None, True, False, "deaf critical"),
            (False, True, False, "deaf critical"),
            (None, True, None, "unknown unknown"),
            (None, False, False, "unknown unknown"),
            (True, True, False, "unknown unknown"),
        ):
            steps = found(bus=None, live=live, is_open=is_open)
            steps["bus"]["is_refused"] = is_refused
            bus, _cron = judge(steps)
            self.assertEqual(f"{bus.verdict} {bus.level}", verdict)

    def test_one_of_several_processes(self):
        """The worst counts, whichever was queried first."""
        deaf = process(LOST, None, host="other", pid=8)
        for processes in ([process(), deaf], [deaf, process()]):
            steps = found()
            steps["bus"]["processes"] = processes
            bus, _cron = judge(steps)
            self.assertEqual((bus.verdict, bus.level), ("deaf", "critical"))
            one = {"code": "one_of", "bad": 1, "count": 2, "host": "other", "pid": 8, "port": 8072}
            self.assertEqual(bus.sentences[0], one)

    def test_bus_that_listens_elsewhere(self):
        """It receives its own notifications only: those of messages are sent to another database or server."""
        for elsewhere in ({"database": "other"}, {"started_at": 1_700_000_777.0}):
            bus, _cron = judge(found(bus=DIRECT | elsewhere, delay=None))
            self.assertEqual((bus.verdict, bus.level, *codes(bus)), ("deaf", "critical", ["apart"], ["apart"]))
        bus, _cron = judge(found(bus=DIRECT | {"started_at": None}, delay=None))
        self.assertEqual(codes(bus)[0], ["old_connection"], "where it listens is unknown")

    def test_missed_notifications(self):
        """One that arrives by chance is no proof."""
        steps = found()
        steps["bus"]["processes"][0]["missed"] = 1
        bus, _cron = judge(steps)
        self.assertEqual((bus.verdict, bus.level, codes(bus)[0]), ("deaf", "critical", ["missed"]))

    def test_old_connections_that_still_work(self):
        """Nobody is deaf yet."""
        for conclusion in judge(found(LOST, bus=LOST, job=LOST)):
            self.assertEqual((conclusion.level, codes(conclusion)[0]), ("warning", ["only_old", "deaf_pooled"]))

    def test_outlook(self):
        for level in ("warning", "unknown"):
            steps = found(pool=SESSION_POOL)
            steps["slots"] |= {"here": level, "bus": level}
            for conclusion in judge(steps):
                self.assertEqual((conclusion.level, *codes(conclusion)), ("warning", ["session", "step"], ["override"]))
        steps = found(DIRECT, bus=DIRECT, job=DIRECT)
        steps["slots"] |= {"here": "unknown", "bus": "unknown"}
        self.assertEqual([conclusion.level for conclusion in judge(steps)], ["ok", "ok"], "a direct one needs no pool")
        steps["listeners"]["unasked"] = 1
        for conclusion in judge(steps):
            self.assertEqual(
                (conclusion.level, *codes(conclusion)), ("warning", ["direct", "unasked"], ["each_server"])
            )

    def test_pool_of_each_route(self):
        steps = found(bus=DELIVERED, job=DIRECT)
        steps["slots"] |= {"here": "ok", "bus": "unknown"}
        self.assertEqual([conclusion.level for conclusion in judge(steps)], ["warning", "ok"])

    def test_deaf_cron_workers(self):
        """One worker that receives notifications does not prove it for all. The bus is not concerned."""
        steps = found()
        steps["listeners"]["deaf_cron"] = ["10.0.0.9:4711"]
        bus, cron = judge(steps)
        self.assertEqual((bus.level, cron.level, codes(cron)[0]), ("ok", "warning", ["session", "deaf_workers"]))

    def test_idle_timeout(self):
        """Cron workers are replaced at once, cron threads end."""
        short = DIRECT | {"idle_timeout": 50.0}
        for is_threaded, level in ((False, "ok"), (True, "warning")):
            steps = found(short, bus=short, job=short)
            steps["cron"]["is_threaded"] = is_threaded
            bus, cron = judge(steps)
            self.assertEqual((bus.level, *codes(bus)), ("warning", ["direct", "idle_timeout"], ["idle_timeout"]))
            self.assertEqual(cron.level, level)

    def test_silence(self):
        for outcome, levels in (
            ("delivered", ["ok", "ok"]),
            ("lost", ["warning", "warning"]),
            ("failed", ["warning", "ok"]),  # a cron worker notices that its connection was closed
            ("blocked", ["ok", "ok"]),  # that is about the pool
        ):
            steps = found()
            steps["silence"] = dict.fromkeys(("bus", "cron"), DELIVERED | {"outcome": outcome})
            self.assertEqual([conclusion.level for conclusion in judge(steps)], levels, outcome)

    def test_connection_that_is_cut_again_and_again(self):
        steps = found()
        steps["bus"]["processes"][0]["cuts"] = [[1.0, "closed"]]
        bus, cron = judge(steps)
        self.assertEqual((bus.level, codes(bus)[0], cron.level), ("warning", ["session", "cuts"], "ok"))

    def test_another_pgbouncer_on_the_same_port(self):
        mixed = DELIVERED | {"lost_tries": 3}
        for conclusion in judge(found(bus=mixed, job=mixed)):
            self.assertEqual((conclusion.level, codes(conclusion)[0]), ("warning", ["session", "some_lost"]))

    def test_cron_threads_that_ended(self):
        steps = found(job=None)
        steps["cron"] |= {"ended_threads": 2, "is_woken": False}
        _bus, cron = judge(steps)
        self.assertEqual((cron.verdict, cron.level, codes(cron)[0]), ("deaf", "critical", ["ended_threads"]))

    def test_server_without_cron_workers(self):
        steps = found(job=None)
        steps["cron"]["has_workers"] = False
        _bus, cron = judge(steps)
        self.assertEqual((cron.verdict, cron.level, *codes(cron)), ("unknown", "unknown", ["no_workers"], ["workers"]))
        steps = found(waited=0.2)
        steps["cron"]["has_workers"] = False
        self.assertEqual(judge(steps)[1].level, "ok", "those of another server are")

    def test_queue_job(self):
        for result, level, remedies in ((DELIVERED, "ok", []), (LOST, "warning", ["queue_job"])):
            steps = found()
            steps["listeners"]["queue_job"] = {"result": result}
            bus, cron = judge(steps)
            self.assertEqual((bus.level, cron.level, cron.remedies), ("ok", level, remedies))

    def test_scheduled_check_without_a_job(self):
        steps = found()
        del steps["cron"]
        self.assertEqual(judge(steps)[1].verdict, "unknown")


class TestFigures(TestCase):
    def test_woken(self):
        one, two, three = (["host", 1, 1], ["host", 2, 1], ["host", 1, 2])
        self.assertTrue(listening.is_woken([0.1, 0.2, 0.1], [one, two, one]))
        self.assertFalse(listening.is_woken([0.1, 0.2, 0.1], [one, two, three]), "each by its timer")
        self.assertFalse(listening.is_woken([0.1, 5, 0.1], [one, two, one]), "late")

    def test_slots(self):
        for pool, is_pooled, expected in (
            (None, False, ("unneeded", "ok")),
            (None, True, ("unwatched", "unknown")),
            (None, None, ("unwatched", "unknown")),
            (TRANSACTION_POOL, True, ("unneeded", "ok")),
            (SESSION_POOL, True, ("enough", "ok")),
            (SESSION_POOL | {"pool_size": None}, True, ("unknown", "unknown")),
            (SESSION_POOL | {"pool_size": 3}, True, ("too_small", "warning")),
            (SESSION_POOL | {"pool_size": 4}, True, ("tight", "ok")),
            (SESSION_POOL | {"pool_size": 5}, True, ("enough", "ok")),
        ):
            self.assertEqual(listening.slots(pool, is_pooled, 3, 2), expected)

    def test_blocked(self):
        """A pool that is not full, and gets no server all the same, cannot log in to PostgreSQL."""
        for servers, size, verdict in ((20, 20, "session"), (3, 20, "unreachable"), (None, 20, "session")):
            pool = SESSION_POOL | {"servers": servers, "pool_size": size}
            self.assertEqual(listening.route_verdict(BLOCKED, pool), verdict)
        self.assertEqual(listening.route_verdict(BLOCKED, SESSION_POOL | {"pool_size": None}), "session")

    def test_dispatch(self):
        sent = [(number, 10 + number / 10) for number in range(20)]
        for numbers, expected in (
            ([], (None, 0)),
            ([0, 1, 2], (0.25, 0)),
            ([7, 8, 9], (0.25, 0)),
            ([7, 9], (0.25, 1)),
            ([7], (0.25, 2)),
            ([19], (0.25, 0)),  # the others were not sent yet
            ([16, 19], (0.25, 0)),  # these may still be on their way
        ):
            delay, missed = listening.dispatch(sent, [(number, 10.25 + number / 10) for number in numbers])
            self.assertEqual((delay and round(delay, 6), missed), expected, numbers)
        self.assertEqual(listening.dispatch([], [(3, 1.0)]), (None, 0))

    def test_cuts(self):
        started = 100_000.0
        for losses, restarts, since, expected in (
            ([], [], 0, []),
            ([60], [], 0, [60]),
            ([60, 170], [], 0, [60, 170]),
            ([7200], [], 0, []),  # it lasted for long
            ([7200, 7300], [], 0, [7300]),
            ([60], [100], 0, []),  # a server restarted
            ([60, 1000], [100], 0, [1000]),
            ([60, 170], [], 100, [170]),  # too long ago
        ):
            found_process = {"started_at": started, "losses": [[started + at, "closed"] for at in losses]}
            found_cuts = listening.cuts(found_process, [started + at for at in restarts], started + since)
            self.assertEqual(found_cuts, [(started + at, "closed") for at in expected], (losses, restarts))


class TestPool(TestCase):
    def pool(self, own_end=("h", 5000), pid=7, name="unknown", **answers):
        console = CONSOLE | {f"SHOW {name.upper()}": rows for name, rows in answers.items()}
        return listening.pool_of(name, own_end, pid, "postgres", console)

    def test_pool(self):
        wanted = {
            "name": "postgres",
            "database": "postgres",
            "user": "odoo",
            "server": ("db", 5432),
            "pool_mode": "session",
            "pool_size": 20,
            "max_connections": 0,
            "servers": 4,
            "is_shared_port": False,
            "user_pool_mode": None,
            "user_pool_size": None,
            "default_pool_mode": "transaction",
            "state": "active",
            "is_own_state": False,
        }
        self.assertEqual(self.pool(), wanted)
        self.assertEqual(self.pool(["h", 5000]), wanted)

    def test_client_that_is_not_there(self):
        self.assertIsNone(self.pool(("h", 5001)))
        self.assertIsNone(self.pool(None, 8))
        self.assertIsNone(self.pool(None), "that process is a client of another database")
        self.assertIsNone(self.pool(clients=[]))

    def test_unix_socket(self):
        self.assertEqual(self.pool(None, clients=[CLIENT | {"addr": "unix", "remote_pid": 7}])["pool_mode"], "session")

    def test_pool_of_another_user(self):
        databases = [{"name": "postgres", "force_user": "other", "pool_size": 20}]
        users = [{"name": "other", "pool_size": 3}]
        pool = self.pool(databases=databases, users=users)
        self.assertEqual((pool["pool_mode"], pool["pool_size"]), ("statement", 3))

    def test_rows_that_are_missing(self):
        pool = self.pool(databases=[], pools=[], users=[], config=[], state=[])
        known = {"name": "postgres", "user": "odoo", "server": (None, None), "state": "unknown", "is_own_state": False}
        known |= {"is_shared_port": False}
        self.assertEqual({key: value for key, value in pool.items() if value is not None}, known)

    def test_client_behind_a_proxy(self):
        """It is found by its name."""
        clients = [CLIENT | {"application_name": "check 1234 - 10.0.0.9:5"}]
        self.assertEqual(self.pool(("h", 5001), name="check 1234", clients=clients)["pool_mode"], "session")

    def test_port_of_several_processes(self):
        for value, expected in (("1", True), ("0", False)):
            self.assertEqual(self.pool(config=[{"key": "so_reuseport", "value": value}])["is_shared_port"], expected)

    def test_pool_without_connections(self):
        """Its mode is configured: by the line of the user, then that of the database, then for all."""
        databases, users = [DATABASE | {"pool_mode": "session"}], [{"name": "odoo", "pool_mode": "statement"}]
        self.assertEqual(self.pool(pools=[])["pool_mode"], "transaction")
        self.assertEqual(self.pool(pools=[], databases=databases)["pool_mode"], "session")
        self.assertEqual(self.pool(pools=[], databases=databases, users=users)["pool_mode"], "statement")

    def test_states(self):
        for row, state, expected in (
            ({"paused": 1}, "active", ("paused", True)),
            ({"disabled": 1}, "active", ("disabled", True)),
            ({}, "paused", ("paused", False)),
        ):
            pool = self.pool(databases=[DATABASE | row], state=[{"key": state, "value": "yes"}])
            self.assertEqual((pool["state"], pool["is_own_state"]), expected)
