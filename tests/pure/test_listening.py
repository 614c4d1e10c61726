from unittest import TestCase

from findings import (
    BLOCKED,
    SESSION_POOL,
    TRANSACTION_POOL,
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
            ([60], [-20], 0, [60]),  # before it connected
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
