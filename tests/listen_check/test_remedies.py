import os
import socket
from contextlib import closing
from unittest.mock import patch

from odoo.tests import tagged
from odoo.tools import config

from ...models.listen_check.remedy_facts import unused_port
from ...probes.listen import ListenResult
from ...probes.reading import Reading
from ..common import endpoint_values
from ..pure.findings import (
    DELIVERED,
    DIRECT,
    FAILED,
    LOST,
    REJECTED,
    SESSION_POOL,
    TRANSACTION_POOL,
    UNREACHABLE,
    found,
)
from .cases import CheckCase

DEAF = {"bus": LOST, "delay": None, "job": None}
NO_TLS = FAILED | {"outcome": "unreachable", "detail": "server does not support SSL, but SSL was required"}


@tagged("-at_install", "post_install")
class TestRemedies(CheckCase):
    """The words of each remedy."""

    def remedies(self, steps, listener="bus"):
        checks = self.conclude(steps)
        check = checks.filtered(lambda check: check.listener == listener)
        self.assertNotRegex(check.remedy, r"\bNone\b|\bFalse\b|%\(|%s")
        return check.remedies

    def titles(self, steps, listener="bus"):
        return [remedy["title"] for remedy in self.remedies(steps, listener)]

    def deaf(self, pool, **values):
        return found(LOST, pool, **DEAF | values)

    def test_override(self):
        """The line is copied: a line of its own would lose the user or the password of the line *."""
        remedy = self.remedies(self.deaf(TRANSACTION_POOL))[0]
        self.assertIn("append this to the line for postgres", remedy["title"])
        self.assertIn("copy the line * under the name postgres", remedy["title"])
        self.assertEqual(remedy["lines"], "pool_mode=session pool_size=20")
        self.assertIn("RELOAD", remedy["then"])
        remedy = self.remedies(self.deaf(TRANSACTION_POOL | {"max_connections": 2}))[0]
        self.assertEqual(remedy["lines"], "pool_mode=session pool_size=20 max_db_connections=5")

    def test_line_of_the_user(self):
        pool = TRANSACTION_POOL | {"user_pool_mode": "transaction", "default_pool_mode": "session"}
        user, override = self.remedies(self.deaf(pool), "cron")
        self.assertIn("the line for odoo outranks", user["title"])
        self.assertIn("Remove pool_mode=transaction from it.", user["title"])
        self.assertEqual(user["lines"], "pool_mode=transaction")
        self.assertIn("restart PgBouncer", user["then"])
        self.assertEqual(override["lines"], "pool_mode=session pool_size=20")
        user = self.remedies(self.deaf(pool | {"default_pool_mode": "transaction"}), "cron")[0]
        self.assertNotIn("lines", user)
        pool = TRANSACTION_POOL | {"user_pool_size": 2, "pool_size": 2}
        self.assertIn("Set its pool_size to 5.", self.titles(self.deaf(pool), "cron")[0])

    def test_pooler_behind(self):
        outer = SESSION_POOL | {"endpoint": "Outer", "server": ["10.0.0.2", 6433]}
        [title] = self.titles(self.deaf(outer), "cron")
        self.assertIn("In pgbouncer.ini of 10.0.0.2:6433", title)
        [title] = self.titles(self.deaf(outer | {"behind": TRANSACTION_POOL | {"endpoint": "Inner"}}), "cron")
        self.assertIn("PgBouncer “Inner”", title)

    def test_states(self):
        for state, own, line in (
            ("paused", True, "RESUME postgres;"),
            ("paused", False, "RESUME;"),
            ("disabled", True, "ENABLE postgres;"),
        ):
            pool = SESSION_POOL | {"state": state, "is_own_state": own}
            [remedy] = self.remedies(found(UNREACHABLE, pool, bus=UNREACHABLE, delay=None, job=None), "cron")
            self.assertEqual(remedy["lines"], line)

    def test_line_that_does_not_work(self):
        steps = found(UNREACHABLE, SESSION_POOL, bus=UNREACHABLE, delay=None, job=None)
        with patch.object(type(self.env["connection.endpoint"]), "_is_pooled", lambda _self: True):
            [title] = self.titles(steps, "cron")
        self.assertIn(f"a copy of the line for {self.env.cr.dbname}", title)

    def test_standby(self):
        steps = found(REJECTED, TRANSACTION_POOL, bus=REJECTED, delay=None, job=None)
        for listener in ("bus", "cron"):
            [title] = self.titles(steps, listener)
            self.assertIn("on a standby", title)

    def test_unknown_pooler(self):
        lost = LOST | {"is_pooled": False, "route": ["", 5432]}
        [title] = self.titles(found(lost, bus=lost, delay=None, job=None), "cron")
        self.assertIn("a unix socket, port 5432", title)

    def test_alias(self):
        """A direct connection of the bus would listen on another database."""
        alias = TRANSACTION_POOL | {"database": "shop"}
        self.assertEqual(len(self.titles(self.deaf(alias))), 1)
        steps = found(DELIVERED, alias, bus=DIRECT)
        [facts] = self.Check._remedies("bus", ["apart"], steps)
        words = self.Check._remedy_words(facts)
        self.assertIn("remove dbname=shop from the line for postgres", words["title"])
        self.assertIn("restart Odoo", words["then"])

    def test_bus_alt_connection_that_is_wrong(self):
        lost = LOST | {"route": ["db", 6433]}
        steps = found(bus=lost, delay=None)
        steps["configuration"]["bus_route"] = ["db", 6433]
        [remedy] = self.remedies(steps)
        self.assertEqual(remedy["lines"], "imdispatcher_db_host = 10.0.0.1\nimdispatcher_db_port = 5432")
        with patch.dict(os.environ, {"ODOO_IMDISPATCHER_DB_PORT": "6433"}):
            [remedy] = self.remedies(steps)
            self.assertIn("outrank odoo.conf", remedy["title"])
            self.assertIn("ODOO_IMDISPATCHER_DB_PORT=5432", remedy["lines"])
            alt, variables = self.remedies(self.deaf(TRANSACTION_POOL))[1:3]
        self.assertIn("bus_alt_connection", alt["lines"], "it is not loaded yet")
        self.assertEqual(variables["lines"], remedy["lines"])

    def test_alternatives(self):
        """Whoever is in a hurry must not do all of it."""
        override, alt, service, proxy = self.titles(self.deaf(TRANSACTION_POOL))
        self.assertTrue(alt.startswith("Alternative: Connect only") and service.startswith("Alternative: Run"))
        self.assertFalse(override.startswith("Alternative") or proxy.startswith("Alternative"))

    def test_several_processes_of_pgbouncer(self):
        [title] = self.titles(self.deaf(TRANSACTION_POOL | {"is_shared_port": True}), "cron")
        self.assertIn("each PgBouncer that shares its port", title)

    def test_size_of_an_unknown_pool(self):
        steps = found(DELIVERED, None)
        steps["slots"] |= {"bus": "unknown", "here": "unknown"}
        for listener in ("bus", "cron"):
            [title] = self.titles(steps, listener)
            self.assertIn("to the endpoints, so that the check sees the size of its pool", title)

    def test_rejected_role(self):
        steps = found(UNREACHABLE, None, bus=UNREACHABLE, delay=None, job=None)
        with patch.object(type(self.env["connection.endpoint"]), "_is_pooled", lambda _self: False):
            [remedy] = self.remedies(steps, "cron")
        self.assertEqual(remedy["lines"], f'GRANT CONNECT ON DATABASE postgres TO "{self.env.cr._cnx.info.user}";')

    def test_idle_timeout(self):
        """The role is the one of PgBouncer's connection to PostgreSQL."""
        for pool, role in ((SESSION_POOL | {"user": "forced"}, "forced"), (None, self.env.cr._cnx.info.user)):
            steps = found(DELIVERED, pool)
            steps["bus"]["processes"][0]["result"] = DELIVERED | {"idle_timeout": 50.0, "database": "postgres"}
            remedy = next(remedy for remedy in self.remedies(steps) if "ALTER" in remedy.get("lines", ""))
            self.assertEqual(
                remedy["lines"], f'ALTER ROLE "{role}" IN DATABASE "postgres" SET idle_session_timeout = 0;'
            )

    def test_service_that_is_wrong(self):
        override, options = self.remedies(found(bus=LOST | {"route": ["db", 6433]}, delay=None))
        self.assertEqual(override["lines"], "pool_mode=session pool_size=5")
        self.assertEqual(options["lines"], "--db_host=10.0.0.1 --db_port=5432")

    def test_port_of_the_bus_process(self):
        steps = found(live=False, is_open=False)
        steps["bus"]["processes"][0]["port"] = 8172
        [remedy] = self.remedies(steps)
        self.assertIn("proxy_pass http://127.0.0.1:8172;", remedy["lines"])

    def test_port_in_use(self):
        """Another Odoo's gevent process may have the next one."""
        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            port = server.getsockname()[1]
            self.assertGreater(unused_port(port), port)

    def direct(self, **results):
        """Return the remedies of a deaf bus.

        :param results: sslmode, or own -> the result of LISTEN with it
        """
        patched = lambda _self, _own, values: results.get(values["sslmode"] or "own", NO_TLS)  # noqa: E731
        self.patch(config, "options", config.options.new_child({"db_sslmode": "require"}))
        with patch.object(type(self.Check), "_listen_direct", patched):
            return self.remedies(self.deaf(TRANSACTION_POOL))[1:]

    def test_direct_connection_with_another_sslmode(self):
        alt, service, _proxy = self.direct(prefer=DIRECT)
        self.assertIn("\ndb_sslmode = prefer", alt["lines"])
        self.assertIn("--db_sslmode=prefer", service["lines"])
        self.assertIn("TLS is used where the server supports it", alt["then"])
        alt, service, _proxy = self.direct(own=DIRECT)
        self.assertNotIn("sslmode", alt["lines"] + service["lines"] + alt["then"])

    def test_direct_connection_that_does_not_work(self):
        for result in (NO_TLS, DELIVERED, LOST):
            [title] = [remedy["title"] for remedy in self.direct(own=result)]
            self.assertIn("cannot listen on PostgreSQL directly", title)

    def test_nothing_but_the_pooler(self):
        """bus_alt_connection's options are wrong, and PostgreSQL cannot be reached: an override it is."""
        steps = found(bus=LOST | {"route": ["db", 6433]}, delay=None)
        steps["configuration"]["bus_route"] = ["db", 6433]
        with patch.object(type(self.Check), "_listen_direct", lambda *_args: NO_TLS):
            no_direct, override = self.remedies(steps)
        self.assertIn("does not support SSL", no_direct["title"])
        self.assertEqual(override["lines"], "pool_mode=session pool_size=5")


@tagged("-at_install", "post_install")
class TestPoolOfTheRoute(CheckCase):
    """The pool that the step finds."""

    def pool(self, result, *endpoints):
        """Return the pool.

        :param endpoints: an endpoint, and values of its row of SHOW DATABASES
        """
        answered = {}
        for endpoint, values in endpoints:
            row = {"name": "postgres", "database": "postgres", "host": "127.0.0.1", "port": "5432"} | values
            answers = {f"SHOW {what}": [] for what in ("CLIENTS", "POOLS", "USERS", "CONFIG", "STATE")}
            answered[endpoint.id] = Reading("1.24.1", None, answers | {"SHOW DATABASES": [row]}, 0)
        return self.Run._pool("a name", result, answered, "postgres")

    def endpoint_at(self, name, host, port):
        return self.endpoint.create(endpoint_values(name=name, host=host, port=port))

    def test_pool_that_rejects_connections(self):
        """No console shows the client: the endpoint at the route's address has the pool."""
        one, two = (self.endpoint_at(name, name, 6432) for name in ("one.example.com", "two.example.com"))
        found_ones = (one, {}), (two, {"paused": "1"})
        result = ListenResult("unreachable", route=("two.example.com", 6432))
        pool = self.pool(result, *found_ones)
        self.assertEqual((pool["endpoint"], pool["state"], pool["behind"]), ("two.example.com", "paused", None))
        for other in (
            result._replace(route=("three.example.com", 6432)),
            result._replace(outcome="delivered"),
            result._replace(route=None),
        ):
            self.assertIsNone(self.pool(other, *found_ones))

    def test_pgbouncer_behind_a_pgbouncer(self):
        """A loopback address is one of the outer one's host."""
        outer = self.endpoint_at("outer", "db.example.com", 6432)
        inner = self.endpoint_at("inner", "db.example.com", 6433)
        here = self.endpoint_at("here", "127.0.0.1", 6433)
        behind = (inner, {"pool_mode": "statement"}), (here, {"pool_mode": "session"})
        result = ListenResult("unreachable", route=("db.example.com", 6432))
        pool = self.pool(result, (outer, {"port": "6433"}), *behind)
        self.assertEqual((pool["endpoint"], pool["behind"]["endpoint"]), ("outer", "inner"))
        self.assertEqual(pool["behind"]["pool_mode"], "statement")
        pool = self.pool(result, (outer, {"port": "6434"}), *behind)
        self.assertIsNone(pool["behind"])
        pool = self.pool(result, (outer, {"port": "6432"}), *behind)
        self.assertIsNone(pool["behind"], "not itself")
