"""The snapshot of a running installation, of real servers on this host."""

import os
import resource
from contextlib import closing
from datetime import timedelta
from types import SimpleNamespace
from unittest.mock import patch

import psycopg2

from odoo import fields
from odoo.sql_db import db_connect
from odoo.tests import tagged
from odoo.tools import config

from ...models.advice import connection_advice_snapshot_odoo
from ...models.planning import connection_plan_fill_servers
from ..cases import SampleCase, insert_samples
from ..common import TILL, closed_port, connect, connect_pooled, psql, variable, wait_until
from .cases import SnapshotCase


@tagged("-at_install", "post_install")
class TestSnapshot(SnapshotCase):
    def query(self, statement):
        with closing(connect()) as superuser, superuser.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def test_console(self):
        """As psql shows it."""
        self.client(connect_pooled(dbname=TILL)).cursor().execute("SELECT 1")
        snapshot, console = self.console_of()
        self.assertEqual((console.name, console.port), (self.endpoint.name, int(variable("PGBOUNCER_PORT"))))
        self.assertEqual(".".join(map(str, console.version)), self.endpoint.version)
        rows = [row for row in psql("SHOW CONFIG") if row["key"] in console.settings]
        self.assertEqual(console.settings, {row["key"]: row["value"] for row in rows})
        reloadable = console.reloadable & console.settings.keys()
        self.assertEqual(reloadable, {row["key"] for row in rows if row["changeable"] == "yes"})
        self.assertIn("query_wait_timeout", console.reloadable)
        self.assertNotIn("listen_port", console.reloadable)
        self.assertNotIn("auth_query", console.settings)
        for name in ("databases", "pools", "clients", "servers"):
            found = getattr(console, name)
            self.assertTrue(found)
            self.assertNotIn("pgbouncer", {row.get("database", row.get("name")) for row in found} - {"name"})
        self.assertIn(self.endpoint.user, {row["user"] for row in console.consoles})
        self.assertLessEqual({TILL, "postgres"}, console.here)
        self.assertTrue(console.is_located)
        self.assertEqual((console.is_of_odoo, snapshot.odoo.route), (True, console.key))
        self.assertEqual(snapshot.poolers, [console])
        limit, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # PgBouncer has that of its parent
        self.assertEqual(console.descriptors, limit)
        self.assertIs(console.is_shared_port, False)
        self.assertEqual(console.history, {})

    def test_console_that_does_not_answer(self):
        silent = self.endpoint.create({"name": "Off", "host": "127.0.0.1", "port": closed_port(), "user": "x"})
        snapshot, console = self.console_of(silent)
        self.assertFalse(console.is_answering)
        self.assertTrue(snapshot.consoles[self.endpoint.id].is_of_odoo)
        self.assertEqual((snapshot.odoo.hosts, snapshot.watch.twins), (None, []))

    def test_two_endpoints_of_one_process(self):
        twin = self.endpoint.copy({"password": variable("PGBOUNCER_STATS_PASSWORD")})
        snapshot, console = self.console_of(twin)
        self.assertEqual([sorted(keys) for keys in snapshot.watch.twins], [[self.endpoint.id, twin.id]])
        self.assertEqual(console.here, snapshot.consoles[self.endpoint.id].here)
        self.assertEqual(len(snapshot.poolers), 1)

    def test_unix_socket_is_of_one_process(self):
        endpoint = self.endpoint.new({"host": "/run/pgbouncer-1", "port": 6432})
        self.assertIs(self.env["connection.advice"]._is_shared_port(endpoint, {"so_reuseport": "1"}, None), False)

    def test_console_without_servers(self):
        """Whether its databases are on this PostgreSQL depends on their addresses."""
        port = int(variable("TEST_PGPORT"))
        for host, here in (("127.0.0.1", {"shop"}), (None, {"shop"}), ("10.255.0.1", set())):
            databases = [{"name": "shop", "host": host, "port": port}, {"name": "pgbouncer", "host": None, "port": 1}]
            settings = [{"key": "so_reuseport", "value": "1"}]
            with self.console(servers=[], clients=[], databases=databases, config=settings):
                snapshot, console = self.console_of()
            self.assertEqual((console.here, console.is_located), (frozenset(here), bool(here)))
            self.assertIsNone(console.is_shared_port, "its process is not known")
            self.assertTrue(console.is_of_odoo, "by its address")
            self.assertIsNone(console.descriptors)
        with self.console(servers=[], clients=[], databases=databases), self.direct():
            self.assertIsNone(self.console_of()[1].is_of_odoo, "only one of several processes may have answered")
        other = [{"database": "shop", "user": "odoo", "remote_pid": 1, "local_port": 1, "ptr": "0x1"}]
        with self.console(servers=other, clients=[], databases=databases):
            snapshot, console = self.console_of()
        self.assertTrue(console.is_located)
        self.assertEqual(snapshot.poolers, [], "of another PostgreSQL")

    def test_pgbouncer_of_another_odoo_server(self):
        """With one on each host, a console is Odoo's if its clients are."""
        rows = [{"name": "shop", "host": "10.255.0.1", "port": 5432}, {"name": "pgbouncer", "host": None, "port": 1}]
        client = {"user": "odoo", "application_name": "odoo-4711", "database": self.env.cr.dbname}
        for change, is_of_odoo in (
            ({}, True),
            ({"database": "postgres"}, True),
            ({"database": "staging"}, False),
            ({"user": "reports"}, False),
            ({"application_name": "psql"}, False),
        ):
            settings = [{"key": "so_reuseport", "value": "0"}]
            with self.console(servers=[], clients=[client | change], databases=rows, config=settings), self.direct():
                self.assertIs(self.console_of()[1].is_of_odoo, is_of_odoo)

    def test_postgresql(self):
        snapshot = self.snapshot().postgresql
        sizes = "pg_size_bytes(current_setting('shared_buffers')), pg_size_bytes(current_setting('work_mem'))"
        [found] = self.query(f"SELECT current_setting('max_connections')::int, {sizes}")
        names = ("max_connections", "shared_buffers", "work_mem")
        self.assertEqual(tuple(map(snapshot.settings.get, names)), found)
        self.assertEqual((snapshot.settings["statement_timeout"], snapshot.settings["track_activities"]), (0, True))
        self.assertEqual((snapshot.role, snapshot.reader, snapshot.host), ("odoo", "odoo", ""))
        self.assertEqual((snapshot.is_superuser, snapshot.is_monitor, snapshot.usable), (False, False, 97))
        self.assertEqual((snapshot.role_settings, snapshot.prepared, snapshot.history.minutes), ({}, [], 0))
        self.assertEqual((snapshot.system_settings, snapshot.is_bootstrap), ({}, False))
        self.assertEqual((snapshot.role_limit, snapshot.database_limit), (-1, -1))
        self.assertEqual(snapshot.settings["port"], int(variable("TEST_PGPORT")))
        self.assertGreater(snapshot.backend_memory, 1 << 20)
        self.assertIn(("odoo", self.env.cr.dbname), {(row["usename"], row["datname"]) for row in snapshot.sessions})

    def catalog(self):
        """As a new transaction sees it."""
        with db_connect(self.env.cr.dbname).cursor() as cr:
            reading = SimpleNamespace(activity={"role": "odoo"})
            return self.env(cr=cr)["connection.advice"]._catalog(reading)

    def test_catalog_sessions(self):
        """Statistics of less than a minute, as in a new cluster, have no average."""
        wait_until(lambda: self.catalog()["catalog_sessions"], 65)
        self.assertGreater(self.snapshot().postgresql.catalog_sessions, 0)

    def test_settings_of_the_role(self):
        """What hides a setting of the server leaves it unknown."""
        self.grant_monitor()
        database = self.env.cr.dbname
        for what, scope in (
            ("ROLE ALL", "all"),
            (f'DATABASE "{database}"', "database"),
            ("ROLE odoo", "role"),
            (f'ROLE odoo IN DATABASE "{database}"', "role in database"),
        ):
            self.execute(f"ALTER {what} SET work_mem = '3MB'")
            self.addCleanup(self.execute, f"ALTER {what} RESET work_mem")
            self.assertEqual(self.catalog()["role_settings"], {"work_mem": ("3MB", scope)})
        self.execute("ALTER ROLE odoo SET shop.secret = 'hunter2'")
        self.addCleanup(self.execute, 'ALTER ROLE odoo RESET "shop.secret"')
        catalog = self.catalog()
        self.assertNotIn("work_mem", catalog["settings"])
        self.assertNotIn("hunter2", str(catalog))
        self.assertTrue(catalog["is_monitor"])

    def test_settings_and_limits_of_the_role_and_the_database(self):
        """Odoo listens on postgres, where other settings may count."""
        database = self.env.cr.dbname
        for command, before in (
            ("ROLE odoo IN DATABASE postgres SET work_mem = '4MB'", "ROLE odoo IN DATABASE postgres RESET ALL"),
            ("ROLE odoo CONNECTION LIMIT 70", "ROLE odoo CONNECTION LIMIT -1"),
            (f'DATABASE "{database}" CONNECTION LIMIT 60', f'DATABASE "{database}" CONNECTION LIMIT -1'),
        ):
            self.execute(f"ALTER {command}")
            self.addCleanup(self.execute, f"ALTER {before}")
        catalog = self.catalog()
        self.assertEqual(catalog["system_settings"], {"work_mem": ("4MB", "role in database")})
        self.assertEqual((catalog["role_limit"], catalog["database_limit"]), (70, 60))
        self.assertIn("work_mem", catalog["settings"])
        self.assertEqual(catalog["role_settings"], {})

    def test_postgresql_that_does_not_answer(self):
        """The rest of the snapshot is there."""
        with patch.object(type(self.env["connection.advice"]), "_catalog", side_effect=psycopg2.OperationalError):
            snapshot, console = self.console_of()
        self.assertEqual((snapshot.postgresql.settings, snapshot.postgresql.prepared), ({}, None))
        self.assertTrue(console.is_of_odoo)
        with patch.object(type(self.env["connection.plan"]), "_read_sessions", side_effect=psycopg2.OperationalError):
            snapshot, console = self.console_of()
        self.assertEqual((snapshot.odoo.is_pooled, snapshot.postgresql.host, snapshot.postgresql.sessions), (None,) * 3)
        self.assertFalse(console.is_located)
        self.assertEqual((snapshot.watch.others, snapshot.watch.is_complete), (None, False))

    def test_odoo(self):
        options = {"workers": 3, "db_maxconn_gevent": None, "dbfilter": "^shop", "imdispatcher_db_port": "5432"}
        options |= {"db_replica_host": "127.0.0.1", "db_replica_port": closed_port()}
        with patch.dict(config.options, options), patch.dict(os.environ, IMDISPATCHER_DB_HOST="db.example.com"):
            odoo = self.snapshot().odoo
        self.assertEqual((odoo.database, odoo.is_pooled, odoo.hosts), (self.env.cr.dbname, True, 1))
        self.assertEqual(odoo.user, "odoo")
        self.assertEqual((odoo.workers, odoo.db_maxconn_gevent, odoo.dbfilter), (3, 0, "^shop"))
        self.assertEqual((odoo.is_alt_set, odoo.alt_variables), (True, {"IMDISPATCHER_DB_HOST": "db.example.com"}))
        self.assertEqual(odoo.replica, ("127.0.0.1", options["db_replica_port"]))
        self.assertIn("refused", odoo.replica_error)
        options["db_replica_port"] = int(variable("TEST_PGPORT"))
        with patch.dict(config.options, options):
            self.assertEqual(self.snapshot().odoo.replica_error, "")
        odoo = self.snapshot().odoo
        self.assertEqual((odoo.replica, odoo.replica_error, odoo.is_alt_set), ((), None, False))
        self.assertEqual(odoo.system_error, "")

    def test_hosts_of_this_database(self):
        """Another Odoo of the cluster does not count, whatever it has."""
        own, session = self.env.cr.dbname, {"pid": 8, "component": "odoo_worker"}
        sessions = [session | {"datname": own, "client_addr": "10.0.0.4"}]
        sessions += [session | {"datname": "staging", "client_addr": "10.0.0.5"}]
        sessions += [session | {"datname": own, "client_addr": "10.0.0.6", "component": "other"}]
        reading = connection_plan_fill_servers.Reading(("", 5432), "odoo", server={"pid": 7}, sessions=sessions)
        self.assertEqual(self.env["connection.advice"]._host_count(reading), 2)
        reading.unread.append({"code": "no_answer"})
        self.assertIsNone(self.env["connection.advice"]._host_count(reading))

    def test_job_runner(self):
        pgbouncer, postgresql = ("localhost", self.endpoint.port), ("10.0.0.9", 5432)
        module = connection_advice_snapshot_odoo
        for address, is_pooled in ((None, True), (pgbouncer, True), (postgresql, False), (("10.0.0.8", 5432), None)):
            with (
                patch.object(module, "needs_job_runner", lambda _env: True),
                patch.object(module, "has_job_runner", lambda: True),
                patch.object(module, "job_runner_address", lambda _name, address=address: address),
                patch.object(type(self.env["connection.advice"]), "_postgresql_addresses", lambda *_args: {postgresql}),
            ):
                odoo = self.snapshot().odoo
            self.assertEqual((odoo.has_job_runner, odoo.job_runner), (True, address))
            self.assertIs(odoo.is_job_runner_pooled, is_pooled)
        with (
            patch.object(module, "needs_job_runner", lambda _env: True),
            patch.object(module, "has_job_runner", lambda: False),
        ):
            odoo = self.snapshot().odoo
        self.assertEqual((odoo.has_job_runner, odoo.is_job_runner_elsewhere), (False, True))
        self.assertIsNone(odoo.is_job_runner_pooled)


class TestHistory(SampleCase):
    def sample(self, minutes, used, waiting=0, endpoint=None, **values):
        endpoint = endpoint or self.endpoint
        return {
            "endpoint_id": endpoint.id,
            "database": "shop",
            "user": "shop",
            "sampled_at": fields.Datetime.to_string(self.now - timedelta(minutes=minutes)),
            "period": "minute",
            "sample_count": 1,
            "level": "ok",
            "interval": 60,
            "capacity": 10,
            "used_max": used,
            "waiting_max": waiting,
            "pressure_max": 10 * (used + waiting),
        } | values

    def pool(self, *samples):
        """Return the History of a pool with these samples, of which each has one of its instance."""
        whole = [sample | {"database": None, "user": None} for sample in samples]
        insert_samples(self.env, *whole, *samples)
        self.refresh()
        return self.env["connection.advice"]._snapshot().consoles[self.endpoint.id].history

    def setUp(self):
        super().setUp()
        self.now = fields.Datetime.now().replace(minute=0, second=0, microsecond=0)
        self.Sample.search([]).sudo().unlink()

    def test_pools(self):
        samples = [self.sample(minute, 3) for minute in range(50)]
        samples += [self.sample(60, 10, 4), self.sample(61, 10), self.sample(62, 2, 9), self.sample(20000, 10, 90)]
        found = self.pool(*samples)[("shop", "shop")]
        self.assertEqual((found.minutes, found.used_max, found.demand_max, found.full_minutes), (53, 10, 14, 1))
        self.assertEqual(found.waiting_minutes, 2, "in one of them the pool was not full")

    def test_merged_hour(self):
        hour = {"period": "hour", "sample_count": 60}
        found = self.pool(self.sample(60, 10, 4, **hour), self.sample(120, 10, 4, pressure_max=100, **hour))
        self.assertEqual((found["shop", "shop"].minutes, found["shop", "shop"].full_minutes), (120, 1))

    def test_not_all_samples_are_read(self):
        """But those of queues are."""
        module = "odoo.addons.pgbouncer_monitor.models.advice.connection_advice_snapshot_history"
        with patch(f"{module}.MAX_SAMPLES", 5000), self.console(pools=[{"database": "shop", "user": "shop"}]):
            samples = [self.sample(minute, 3, waiting=int(minute % 7 == 0)) for minute in range(1, 61)]
            found = self.pool(*samples, self.sample(75, 10, 4))["shop", "shop"]
        self.assertEqual(found.demand_max, 14)
        self.assertIn(found.minutes, range(58, 65))

    def test_postgresql(self):
        samples = [
            self.sample(minute, minute % 21, endpoint=self.postgresql, database=None, user=None)
            for minute in range(1, 90)
        ]
        insert_samples(self.env, *samples)
        self.refresh()
        found = self.env["connection.advice"]._snapshot().postgresql.history
        self.assertEqual((found.minutes, found.used_max), (89, 20))

    def test_history_that_cannot_be_read(self):
        """It is not an empty one."""
        Advice = type(self.env["connection.advice"])
        with patch.object(Advice, "_pool_histories", side_effect=psycopg2.errors.QueryCanceled):
            self.refresh()
            snapshot = self.env["connection.advice"]._snapshot()
        self.assertIsNone(snapshot.consoles[self.endpoint.id].history)
        self.assertEqual(snapshot.postgresql.history.minutes, 0)
