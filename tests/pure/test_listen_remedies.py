from unittest import TestCase

from findings import (
    BLOCKED,
    DELIVERED,
    DIRECT,
    LOST,
    REJECTED,
    SESSION_POOL,
    TRANSACTION_POOL,
    UNREACHABLE,
    found,
)

from analysis import listen_remedies
from analysis.listen_remedies import is_same_address

AROUND = ["alt_connection", "service", "service_proxy"]
APART = LOST | {"route": ["db", 5433]}
LOGIN = UNREACHABLE | {"detail": "server login has been failing"}


def overrides(result, pool, needed=5):
    return [
        (remedy["code"], remedy.get("endpoint"), remedy.get("name"))
        for remedy in listen_remedies.overrides(result, pool, needed)
    ]


class TestOverrides(TestCase):
    def one(self, result, pool, needed=5):
        [remedy] = listen_remedies.overrides(result, pool, needed)
        return remedy

    def test_size(self):
        """There are never fewer servers than now."""
        for size, expected in ((None, 5), (3, 5), (20, 20)):
            self.assertEqual(self.one(LOST, TRANSACTION_POOL | {"pool_size": size})["pool_size"], expected)
        self.assertEqual(self.one(LOST, None)["pool_size"], 5)
        self.assertEqual(self.one(BLOCKED, SESSION_POOL)["code"], "override", "something is wrong with it")

    def test_limit_of_the_database(self):
        """It counts for all pools of the database."""
        for limit, expected in ((None, None), (0, None), (3, 5), (5, None)):
            self.assertEqual(self.one(BLOCKED, SESSION_POOL | {"max_connections": limit})["max_connections"], expected)

    def test_session_mode_already(self):
        """What loses the notifications is behind it."""
        outer = SESSION_POOL | {"endpoint": "outer", "server": ["inner.example.com", 6432]}
        remedy = self.one(LOST, outer)
        self.assertEqual((remedy["code"], remedy["server"]), ("behind", ["inner.example.com", 6432]))
        inner = TRANSACTION_POOL | {"endpoint": "inner"}
        self.assertEqual(overrides(LOST, outer | {"behind": inner}), [("override", "inner", "postgres")])
        both = TRANSACTION_POOL | {"endpoint": "outer", "behind": inner}
        self.assertEqual([endpoint for _code, endpoint, _name in overrides(LOST, both)], ["outer", "inner"])
        small = SESSION_POOL | {"endpoint": "inner", "pool_size": 2}
        self.assertEqual(overrides(BLOCKED, outer | {"behind": small}), [("override", "inner", "postgres")])

    def test_line_of_the_user(self):
        pool = TRANSACTION_POOL | {"user_pool_mode": "transaction"}
        user, override = listen_remedies.overrides(LOST, pool, 5)
        self.assertEqual((user["code"], user["user"], user["pool_mode"]), ("user", "odoo", "transaction"))
        self.assertEqual((user["pool_size"], user["others"], override["code"]), (None, None, "override"))
        user, _override = listen_remedies.overrides(LOST, pool | {"default_pool_mode": "session"}, 5)
        self.assertEqual(user["others"], "transaction", "the other databases keep it")
        pool = SESSION_POOL | {"user_pool_mode": "session", "user_pool_size": 2, "pool_size": 2}
        user, _override = listen_remedies.overrides(BLOCKED, pool, 5)
        self.assertEqual((user["pool_mode"], user["pool_size"]), (None, 5))
        pool |= {"user_pool_size": 7, "pool_size": 7, "pool_mode": "transaction"}
        self.assertEqual(overrides(LOST, pool), [("override", "PgBouncer", "postgres")])

    def test_states(self):
        for state, code in (("paused", "resume"), ("disabled", "enable")):
            pool = SESSION_POOL | {"state": state, "is_own_state": True}
            for result in (UNREACHABLE, BLOCKED):
                self.assertEqual(overrides(result, pool), [(code, "PgBouncer", "postgres")])
            outer = SESSION_POOL | {"endpoint": "outer", "behind": pool}
            self.assertEqual(overrides(LOGIN, outer), [(code, "PgBouncer", "postgres")])
        pool = TRANSACTION_POOL | {"state": "paused", "is_own_state": False}
        self.assertEqual(overrides(BLOCKED, pool)[0], ("resume", "PgBouncer", None), "the instance is paused")
        self.assertEqual(overrides(BLOCKED, pool)[1][0], "override")

    def test_unreachable(self):
        outer = SESSION_POOL | {"endpoint": "outer", "behind": TRANSACTION_POOL}
        self.assertEqual(overrides(UNREACHABLE, outer), [("override", "outer", "postgres")])
        self.assertTrue(self.one(UNREACHABLE, outer)["is_copy"])
        self.assertEqual(
            overrides(LOGIN, outer), [("override", "PgBouncer", "postgres"), ("role", None, None)], "its last one"
        )
        self.assertTrue(self.one(UNREACHABLE, None)["is_copy"])

    def test_not_in_a_pgbouncer(self):
        self.assertEqual(overrides(REJECTED, TRANSACTION_POOL), [("primary", None, None)])
        self.assertEqual(self.one(LOST | {"is_pooled": False}, None), {"code": "between", "where": ["db", 6432]})

    def test_pool_that_nobody_watches(self):
        self.assertEqual(self.one(DELIVERED, None), {"code": "watch", "where": ["db", 6432]})
        self.assertEqual(self.one(DELIVERED | {"is_mixed": True}, None)["code"], "override", "one pool works")


class TestChoice(TestCase):
    def choose(self, codes, steps, bus_route=None, pool=None):
        steps["configuration"]["bus_route"] = bus_route
        steps["pooler"]["pool"] = pool
        return listen_remedies.choose(codes, steps, "postgres")

    def test_bus_like_the_rest_of_odoo(self):
        codes = ["override", *AROUND]
        self.assertEqual(self.choose(codes, found(LOST, bus=LOST)), codes)
        self.assertEqual(self.choose(codes, found(LOST, bus=REJECTED)), ["override"])
        self.assertEqual(self.choose(["proxy"], found(bus=None)), ["proxy"])
        self.assertEqual(self.choose(["apart"], found(LOST, bus=LOST)), AROUND)

    def test_bus_alt_connection(self):
        """Its options are wrong, not the PgBouncer."""
        for codes in (["override", *AROUND], ["role"], ["apart"]):
            self.assertEqual(self.choose(codes, found(bus=APART), ["db", 5433]), ["alt_connection"])
        self.assertEqual(
            self.choose(["override"], found(UNREACHABLE, bus=DIRECT), ["db", 5432]), ["override"], "the bus works"
        )

    def test_service(self):
        self.assertEqual(self.choose(["override", *AROUND], found(bus=APART)), ["override", "service_options"])
        self.assertEqual(self.choose(["role"], found(bus=APART)), ["service_options"])
        self.assertEqual(self.choose(["apart"], found(bus=APART)), ["service_options"])

    def test_alias(self):
        """A direct connection listens on another database."""
        pool = SESSION_POOL | {"behind": SESSION_POOL | {"database": "shop"}}
        self.assertEqual(self.choose(["apart"], found(bus=DIRECT), ["db", 5432], pool), ["alias"])
        self.assertEqual(self.choose(["override", *AROUND], found(bus=LOST), None, pool), ["override"])

    def test_addresses(self):
        for one, other, expected in (
            (["", 6432], ["127.0.0.1", 6432], True),
            ([None, 6432], ["/tmp", 6432], True),
            (["db", 6432], ["db", 6432], True),
            (["db", 6432], ["db", 5432], False),
            (["db", 6432], ["localhost", 6432], False),
        ):
            self.assertEqual(is_same_address(one, other), expected)
