import time
from datetime import timedelta
from types import SimpleNamespace
from unittest.mock import patch

import psutil
import psycopg2

from odoo import fields
from odoo.exceptions import AccessError
from odoo.tests import HttpCase, new_test_user, tagged
from odoo.tools import config, mute_logger

from ...models.planning import connection_plan_fill, connection_plan_fill_servers
from ...probes.console import CONSOLE_TIMEOUT
from ..cases import SampleCase, insert_samples
from ..common import TILL, connect, connect_pooled, psql, variable

PGBOUNCER = {"pgbouncers", "version", "bus", "auth", "stats_user", "mean_busy", "peak_busy"}
# What only PgBouncer knows of its clients.
CLIENTS = {"servers", "databases", "other_ids"}


class FillCase(SampleCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.Plan = cls.env["connection.plan"]

    def fill(self):
        """Return the values, and the missing fields with their facts, except the load: no server reports it."""
        self.refresh()
        values, missing = self.Plan._installation()
        self.assertEqual(values.keys() & dict(missing).keys(), set())
        self.assertEqual(len(missing), len(dict(missing)))
        missing = dict(missing)
        load = "gevent_connections" if config["workers"] else "requests"
        self.assertEqual(missing.pop(load), {"code": "not_reported"})
        return values, missing

    def setting(self, name):
        with connect() as superuser, superuser.cursor() as cursor:
            cursor.execute("SELECT pg_size_bytes(current_setting(%s))", [name])
            return cursor.fetchone()[0]

    def direct(self):
        """Odoo's own connection, as if there were no pooler in its path."""
        pid = self.env["connection.endpoint"]._own_connection("pg_backend_pid()")
        return patch.object(connection_plan_fill_servers, "protocol_pid", lambda _cr: pid)


class TestFill(FillCase):
    def test_everything_that_can_be_read(self):
        """Of real servers on this host, as psql shows them."""
        with patch.dict(config.options, workers=3, max_cron_threads=1, db_maxconn=8, db_maxconn_gevent=5):
            values, missing = self.fill()
        self.assertEqual(missing, dict.fromkeys(("mean_busy", "peak_busy"), {"code": "no_history"}))
        inputs = ("workers", "max_cron_threads", "db_maxconn", "db_maxconn_gevent")
        self.assertEqual([values[name] for name in inputs], [3, 1, 8, 5])
        self.assertEqual((values["has_replica"], values["has_queue_job"]), (False, False))
        self.assertEqual((values["servers"], values["databases"]), (1, 1))
        self.assertEqual(values["db_names"], self.env.cr.dbname)
        for name in ("shared_buffers", "work_mem"):
            self.assertEqual(values[name], self.setting(name))
        limits = ("max_connections", "superuser_reserved_connections", "reserved_connections")
        self.assertEqual([values[name] for name in limits], [100, 3, 0])
        self.assertEqual(values["memory"], psutil.virtual_memory().total)
        self.assertIn(values["cores"], range(1, psutil.cpu_count() + 1))
        self.assertIn(values["backend_memory"], range(1 << 20, 30 << 20))
        self.assertEqual((values["pgbouncers"], values["bus"], values["auth"]), (1, "session", "userlist"))
        version = self.endpoint.version
        self.assertEqual(f"1.{values['version']}", ".".join(version.split(".")[:2]))
        [row] = [row for row in psql("SHOW DATABASES") if row["name"] == TILL]
        self.assertEqual((values["db_host"], str(values["db_port"])), (row["host"], row["port"]))
        self.assertEqual(values["pgbouncer_port"], self.endpoint.port)
        self.assertEqual((values["stats_user"], values["db_user"]), (self.endpoint.user, "odoo"))

    def test_plan_that_is_filled_in(self):
        plan = self.Plan.create({"name": "Today", "max_connections": 80, "other_ids": [(0, 0, {"name": "old"})]})
        plan.action_fill_in()
        self.env.invalidate_all()
        self.assertEqual((plan.max_connections, plan.other_ids.mapped("name")), (100, []))
        self.assertEqual(plan._inputs().db_names, (self.env.cr.dbname,))
        self.assertEqual(
            plan.missing_text,
            "Concurrent Requests: No server reports it.\n"
            "Busy Server Connections (Mean), Busy Server Connections (Peak): "
            "Not enough samples in the last 7 days: 30 minutes of one hour are needed.",
        )

    def test_options_of_odoo(self):
        options = {"db_replica_host": "replica", "db_maxconn_gevent": None, "db_name": ["a", "b", "c"]}
        with (
            patch.dict(config.options, options),
            patch.object(connection_plan_fill, "needs_job_runner", lambda _env: True),
        ):
            values, _missing = self.fill()
        self.assertEqual((values["has_replica"], values["has_queue_job"]), (True, True))
        self.assertEqual((values["db_maxconn_gevent"], values["databases"]), (0, 3))
        self.assertEqual(values["db_names"], "a\nb\nc")
        with patch.dict(config.options, db_name=[]):
            values, _missing = self.fill()
        self.assertEqual((values["databases"], values["db_names"]), (1, ""), "those that are connected")

    def test_programs_beside_odoo(self):
        for name in ("pg_dump", "pg_dump", "Metabase"):
            self.client(connect(application_name=name))
        for name in ("reports", "reports", ""):
            self.client(connect_pooled(dbname=TILL, application_name=name))
        self.client(connect(application_name="pgbouncer_monitor"))
        self.client(connect_pooled(dbname=TILL, application_name="pgbouncer_monitor"))
        self.client(connect(application_name="odoo-4711"))
        self.client(connect(user="odoo"))  # as Odoo behind a PgBouncer that forgets its name
        values, missing = self.fill()
        self.assertNotIn("other_ids", missing)
        others = [command[2] for command in values["other_ids"] if command[2]]
        found = {(other["name"], other["is_pooled"]): other["count"] for other in others}
        named = "reports" if self.endpoint.version > "1.18" else "shop"
        self.assertEqual(found["pg_dump", False], 2)
        self.assertEqual(found["Metabase", False], 1)
        self.assertGreaterEqual(found[named, True], 2)
        self.assertFalse({name for name, _pooled in found} & {"pgbouncer_monitor", "odoo-4711", "odoo"})

    def test_no_endpoint_of_a_pgbouncer(self):
        self.endpoint.active = False
        values, missing = self.fill()
        names = PGBOUNCER | CLIENTS | {"db_host", "db_port"}
        self.assertEqual(missing, dict.fromkeys(names, {"code": "no_pgbouncer"}))
        self.assertEqual(values["pgbouncer_port"], int(variable("PGBOUNCER_PORT")), "as Odoo connects to it")
        with self.direct():
            values, missing = self.fill()
        names = PGBOUNCER | {"pgbouncer_host", "pgbouncer_port"}
        self.assertEqual(missing, dict.fromkeys(names, {"code": "no_pgbouncer"}))
        self.assertEqual((values["db_host"], values["db_port"]), ("127.0.0.1", int(variable("PGBOUNCER_PORT"))))
        text = self.Plan._missing_text(missing["version"])
        self.assertEqual(text, "No active endpoint is a PgBouncer that connects to this PostgreSQL.")

    def test_pgbouncer_of_another_postgresql(self):
        with self.console(servers=[{"database": "shop", "user": "odoo", "remote_pid": 1, "local_port": 1}]):
            values, missing = self.fill()
        self.assertEqual(missing.keys(), PGBOUNCER | CLIENTS | {"db_host", "db_port"})
        self.assertIn("max_connections", values)

    def test_host_behind_nat(self):
        """Servers see this Odoo by an address that its host does not have, directly or at a PgBouncer."""
        sessions = [{"pid": 7, "client_addr": "172.17.0.9"}, {"pid": 8, "client_addr": "10.0.0.4"}]
        client = {"ptr": "0x1", "link": "0x2", "addr": "172.17.0.9", "port": 5001}
        server = {"ptr": "0x2", "link": "0x1", "remote_pid": 7}
        consoles = {self.endpoint: {"SHOW SERVERS": [server], "SHOW CLIENTS": [client]}}
        pooler = SimpleNamespace(key=self.endpoint)
        reading = SimpleNamespace(server={"pid": 7}, sessions=sessions, consoles=consoles, poolers=[pooler])
        connections = [("shop", address, "10.0.0.1") for address in ("172.17.0.9", "10.0.0.4")]
        for reading.is_pooled in (True, False):
            self.assertEqual(self.Plan._hosts(reading, connections), {"", "10.0.0.4"})

    def test_odoo_beside_a_pgbouncer(self):
        """It is connected to PostgreSQL directly."""
        with self.direct():
            values, _missing = self.fill()
        self.assertEqual((values["pgbouncer_host"], values["pgbouncer_port"]), (self.endpoint.host, self.endpoint.port))

    def test_pgbouncer_that_does_not_answer(self):
        """It costs the deadline once. Nothing that it might change is filled in."""
        self.endpoint.create(
            {"name": "Silent", "host": "127.0.0.1", "port": self.silent_server(), "user": "x", "password": "secret"}
        )
        started = time.monotonic()
        values, missing = self.fill()
        self.assertLess(time.monotonic() - started, CONSOLE_TIMEOUT + 2)
        for name in ("pgbouncers", "servers", "databases", "other_ids"):
            text = self.Plan._missing_text(missing[name])
            self.assertRegex(text, r"^Silent: .* did not answer within 3\.0 s")
            self.assertNotIn("secret", text)
        self.assertEqual((values["max_connections"], values["workers"]), (100, config["workers"]))
        self.assertIn("version", values, "the other one answered")

    def test_postgresql_on_another_host(self):
        later = SimpleNamespace(create_time=lambda: time.time() + 3600)
        for seen in (
            {"side_effect": psutil.NoSuchProcess(1)},
            {"side_effect": psutil.AccessDenied(1)},
            {"return_value": later},
        ):
            with patch.object(psutil, "Process", **seen):
                values, missing = self.fill()
            for name in ("cores", "memory", "backend_memory"):
                self.assertEqual(missing[name], {"code": "not_local"})
            self.assertEqual(values["shared_buffers"], self.setting("shared_buffers"))
        text = self.Plan._missing_text(missing["cores"])
        self.assertEqual(text, "PostgreSQL does not run on this host, or its processes are not visible to Odoo.")

    def test_memory_that_may_not_be_read(self):
        with patch.object(psutil.Process, "memory_info", side_effect=psutil.AccessDenied(1)):
            values, missing = self.fill()
        self.assertEqual(missing["backend_memory"], {"code": "not_permitted"})
        self.assertIn("memory", values)
        with patch.object(psutil.Process, "memory_info", side_effect=psutil.NoSuchProcess(1)):
            _values, missing = self.fill()
        self.assertIn("backend_memory", missing, "all have ended")

    def test_postgresql_that_does_not_answer(self):
        """Nothing of it is filled in, and nothing fails."""
        with (
            patch.object(connection_plan_fill_servers, "CONSOLE_TIMEOUT", 0.2),
            patch.object(type(self.Sample), "_backends", lambda model: model.env.cr.execute("SELECT pg_sleep(60)")),
            mute_logger("odoo.sql_db"),
        ):
            values, missing = self.fill()
        for name in ("backend_memory", "servers", "databases", "other_ids", "pgbouncers", "version", "peak_busy"):
            self.assertEqual(missing[name]["code"], "no_answer")
            self.assertTrue(self.Plan._missing_text(missing[name]))
        self.assertEqual(values["max_connections"], 100)
        with patch.object(type(self.Plan), "_read_sessions", side_effect=psycopg2.OperationalError("gone")):
            _values, missing = self.fill()  # the transaction goes on
        for name in ("shared_buffers", "work_mem", "cores", "memory", "backend_memory"):
            self.assertEqual(missing[name]["error"]["detail"], "gone")

    def test_other_reasons(self):
        config_rows = [{"key": "so_reuseport", "value": "1"}, {"key": "pool_mode", "value": "transaction"}]
        self.client(connect_pooled(dbname=TILL)).cursor().execute("SELECT 1")
        real = psql("SHOW SERVERS")
        rows = [{"name": TILL, "host": None, "port": "5432", "pool_mode": None}]
        with self.console(servers=real, config=config_rows, databases=rows, clients=[]):
            values, missing = self.fill()
        texts = {name: self.Plan._missing_text(facts) for name, facts in missing.items()}
        self.assertIn("so_reuseport", texts["pgbouncers"])
        self.assertIn("PgBouncer 9.9 is not supported", texts["version"])
        self.assertIn("unix socket", texts["db_host"])
        self.assertEqual(values["db_port"], 5432)
        self.assertIn("session mode", texts["bus"])
        self.assertEqual(texts["auth"], "PgBouncer uses auth_type = ?.")

    def test_how_pgbouncer_authenticates(self):
        self.client(connect_pooled(dbname=TILL)).cursor().execute("SELECT 1")
        real = {"servers": psql("SHOW SERVERS"), "databases": psql("SHOW DATABASES"), "clients": []}
        for settings, auth in (
            ({"auth_type": "md5", "auth_file": "userlist.txt", "auth_user": ""}, "userlist"),
            ({"auth_type": "scram-sha-256", "auth_file": "userlist.txt", "auth_user": "pgbouncer"}, "auth_query"),
            ({"auth_type": "ldap", "auth_file": "userlist.txt"}, None),
            ({"auth_type": "md5", "auth_file": ""}, None),
        ):
            with self.console(config=[{"key": key, "value": value} for key, value in settings.items()], **real):
                values, missing = self.fill()
            self.assertEqual(values.get("auth"), auth)
            self.assertEqual("auth" in missing, not auth)

    def test_bus_alt_connection(self):
        with patch.object(connection_plan_fill_servers, "alt_connection", lambda: True):
            self.assertEqual(self.fill()[0]["bus"], "alt")


class TestFillFromHistory(FillCase):
    def setUp(self):
        super().setUp()
        self.Sample.search([]).sudo().unlink()
        self.hour = fields.Datetime.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
        session = self.client(connect_pooled(dbname=TILL))
        session.cursor().execute("SELECT 1")  # this PgBouncer has a connection to this PostgreSQL

    def pool(self, minutes, seconds, used, waiting=0, **values):
        """A minute of a pool, in which servers were busy for a number of seconds."""
        return {
            "endpoint_id": self.endpoint.id,
            "database": "shop",
            "user": "shop",
            "sampled_at": fields.Datetime.to_string(self.hour + timedelta(minutes=minutes)),
            "period": "minute",
            "sample_count": 1,
            "level": "ok",
            "interval": 60,
            "xact_time": seconds,
            "wait_time": 0,
            "used_max": used,
            "waiting_max": waiting,
        } | values

    def busy(self, *samples):
        if samples:
            insert_samples(self.env, *samples)
        values, _missing = self.fill()
        self.Sample.search([]).sudo().unlink()
        return values.get("mean_busy"), values.get("peak_busy")

    def test_busiest_hour_and_highest_demand(self):
        quiet = [self.pool(minute, 60, 2) for minute in range(60)]
        busy = [self.pool(60 + minute, 240, 4) for minute in range(40)]
        other = [self.pool(60 + minute, 30, 1, 2, database="till", user="bot") for minute in range(40)]
        mean, peak = self.busy(*quiet, *busy, *other, self.pool(5, 60, 3, 9))
        self.assertAlmostEqual(mean, 4.5, 4)
        self.assertEqual(peak, 2 + 3 + 9)

    def test_waits_are_not_busy(self):
        """The time of a transaction includes its wait for a server."""
        mean, peak = self.busy(*(self.pool(minute, 600, 5, 5, wait_time=300) for minute in range(30)))
        self.assertAlmostEqual(mean, 5, 4)
        self.assertEqual(peak, 10)
        mean, _peak = self.busy(*(self.pool(minute, 0, 0, wait_time=300) for minute in range(30)))
        self.assertEqual(mean, 0, "waits for logins")

    def test_too_little_or_too_old(self):
        few = [self.pool(minute, 600, 5) for minute in range(29)]
        self.assertEqual(self.busy(*few), (None, 5))
        old = [self.pool(minute - 8 * 24 * 60, 600, 5) for minute in range(60)]
        self.assertEqual(self.busy(*old), (None, None))
        self.assertEqual(self.busy(), (None, None))

    def test_unknown_is_neither_0_nor_counted(self):
        known = [self.pool(minute, 60, 2) for minute in range(30)]
        untimed = [self.pool(30 + minute, None, 9) for minute in range(30)]
        uncounted = [self.pool(30, 60, 50, user="bot"), self.pool(30, 60, None, user="other")]
        mean, peak = self.busy(*known, *untimed, *uncounted)
        self.assertAlmostEqual(mean, 1, 4)
        self.assertEqual(peak, 9)
        self.assertEqual(self.busy(*untimed), (None, 9))

    def test_pools_of_one_database(self):
        """Only the sample of the database has counters; its server connections are those of the pools."""
        nothing = dict.fromkeys(("interval", "xact_time", "wait_time"))
        samples = []
        for minute in range(30):
            samples += [self.pool(minute, 120, 12, 1, user=None)]
            samples += [self.pool(minute, 0, 2, 1, user=name, **nothing) for name in ("shop", "bot")]
        mean, peak = self.busy(*samples)
        self.assertAlmostEqual(mean, 2, 4)
        self.assertEqual(peak, 6)

    def test_listeners_are_not_work(self):
        """Each of them keeps a server of the pool of postgres."""
        listeners = [self.pool(minute, 3600, 60, database="postgres", user="odoo") for minute in range(30)]
        self.assertEqual(self.busy(*listeners), (None, None))
        work = [self.pool(minute, 60, 2) for minute in range(30)]
        self.assertEqual(self.busy(*listeners, *work), (1, 2))

    def test_merged_hours_and_other_endpoints(self):
        hour = self.pool(0, 7200, 8, 2, period="hour", sample_count=60, interval=3600)
        other = self.endpoint.create(
            {"name": "Elsewhere", "host": "127.0.0.1", "port": 1, "user": "x", "password": "x", "active": False}
        )
        instance = self.pool(0, 7200, 90, database=None, user=None, interval=3600)
        self.assertEqual(self.busy(hour, instance, hour | {"endpoint_id": other.id}), (2, 10))

    def test_databases_on_another_postgresql(self):
        rows = [row for row in psql("SHOW DATABASES") if row["name"] == TILL]
        rows.append(rows[0] | {"name": "shop", "port": "1"})
        samples = [self.pool(minute, 600, 9) for minute in range(30)]
        samples += [self.pool(minute, 60, 1, database=TILL) for minute in range(30)]
        with self.console(servers=psql("SHOW SERVERS"), databases=rows, clients=[]):
            self.assertEqual(self.busy(*samples), (1, 1))


@tagged("-at_install", "post_install")
class TestRights(HttpCase):
    @mute_logger("odoo.http", "odoo.models", "odoo.addons.base.models.ir_model")
    def test_only_managers_fill_in(self):
        for login in ("viewer", "manager"):
            new_test_user(self.env, f"plan_{login}", groups=f"pgbouncer_monitor.group_{login}")
        plan = self.env["connection.plan"].create({"name": "Today"})

        def call(login, method, *args):
            self.authenticate(f"plan_{login}", f"plan_{login}")
            params = {"model": "connection.plan", "method": method, "args": args, "kwargs": {}}
            answer = self.url_open("/web/dataset/call_kw", json={"params": params}).json()
            return answer["error"]["data"]["name"] if "error" in answer else answer.get("result")

        denied = "odoo.exceptions.AccessError"
        self.assertEqual(call("viewer", "action_fill_in", plan.ids), denied)
        self.env.invalidate_all()
        self.assertFalse(plan.missing)
        self.assertEqual(call("viewer", "read", plan.ids, ["name"])[0]["name"], "Today")
        for login in ("viewer", "manager"):
            for method in ("_installation", "_read_servers", "_missing_text"):
                self.assertEqual(call(login, method), denied, "not for RPC")
        call("manager", "action_fill_in", plan.ids)
        self.env.invalidate_all()
        self.assertTrue(plan.missing)
        with self.assertRaises(AccessError):
            plan.with_user(self.env.ref("base.public_user")).action_fill_in()
