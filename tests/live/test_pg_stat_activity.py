import datetime
from ast import literal_eval

import psycopg2
from lxml import etree
from psycopg2.extras import wait_select

from odoo.fields import Domain
from odoo.tests import tagged
from odoo.tools import html2plaintext

from ..common import TINY, ServerCase, answering, closed_port, connect, connect_pooled, variable, wait_until


@tagged("-at_install", "post_install")
class TestPgStatActivity(ServerCase):
    def setUp(self):
        super().setUp()
        self.Session = self.env["pg.stat.activity"]

    def session(self, **options):
        """A session of Odoo's own role, which that role may see, and its record."""
        connection = self.client(connect(user="odoo", **options))
        return connection, self.record(connection)

    def record(self, connection):
        self.look_again()
        return self.Session.search([("pid", "=", connection.info.backend_pid)])

    def filter(self, name):
        arch = etree.fromstring(self.env.ref("pgbouncer_monitor.pg_stat_activity_view_search").arch)
        return Domain(literal_eval(arch.find(f".//filter[@name='{name}']").get("domain")))

    def test_columns_equal_the_view(self):
        connection, record = self.session(application_name="nightly backup")
        cursor = connection.cursor()
        cursor.execute(
            """SELECT pid, datname, usename, application_name, host(client_addr), client_port, backend_type,
                      backend_start AT TIME ZONE 'UTC'
                 FROM pg_stat_activity WHERE pid = pg_backend_pid()"""
        )
        self.assertEqual(
            (
                record.pid,
                record.datname,
                record.usename,
                record.application_name,
                record.client_addr,
                record.client_port,
                record.backend_type,
                record.backend_start,
            ),
            cursor.fetchone(),
        )
        record = self.record(connection)
        self.assertIn("host(client_addr)", record.query)
        self.assertEqual(record.state, "idle")

    def test_ages_are_seconds_and_unknown_is_not_zero(self):
        connection, record = self.session()
        self.assertIs(record.xact_age, False, "an idle session has no transaction")
        connection.cursor().execute("BEGIN; SELECT pg_sleep(1.2)")
        record = self.record(connection)
        self.assertEqual(record.state, "idle in transaction")
        self.assertGreater(record.xact_age, 1.1)
        self.assertLess(record.xact_age, 60)
        self.assertGreaterEqual(record.backend_age, record.xact_age)
        self.assertLess(record.state_age, 1.1, "it became idle after it had slept")
        self.assertLess(abs(record.xact_start - datetime.datetime.utcnow()).total_seconds(), 60)

    def test_id_means_pid_and_start(self):
        connection, record = self.session()
        self.assertEqual(self.record(connection), record)
        self.assertLess(record.id, 2**52)
        self.assertEqual(len(set(self.Session.search([]).ids)), self.Session.search_count([]))
        connection.close()
        self.look_again()
        self.assertFalse(record.exists())

    def test_blocked_session_names_its_blocker(self):
        holder, _record = self.session()
        holder.cursor().execute("BEGIN; SELECT pg_advisory_xact_lock(4242)")
        waiter = self.client(connect(user="odoo", async_=True, connect_timeout=None))
        while waiter.poll():
            pass
        waiter.cursor().execute("SELECT pg_advisory_xact_lock(4242)")
        for _attempt in range(100):
            record = self.record(waiter)
            if record.blocked_by:
                break
        self.assertEqual(record.blocked_by, str(holder.info.backend_pid))
        self.assertEqual(record.wait_event_type, "Lock")
        for name in ("blocked", "waiting", "active", "client_backends"):
            self.assertIn(record, self.Session.search(self.filter(name)), name)
        self.assertFalse(self.record(holder).blocked_by)
        third = self.client(connect(user="odoo", async_=True, connect_timeout=None))
        wait_select(third)
        cursor = third.cursor()
        cursor.execute("SELECT pg_advisory_xact_lock(4242)")
        wait_until(lambda: str(waiter.info.backend_pid) in (self.record(third).blocked_by or ""))
        root = self.record(third).action_open_blockers()["res_id"]
        self.assertEqual(root, self.record(holder).id, "not the one that waits before it in the queue")

    def test_filters(self):
        connection, _record = self.session()
        connection.cursor().execute("BEGIN")
        record = self.record(connection)
        self.assertIn(record, self.Session.search(self.filter("idle_in_transaction")))
        self.assertNotIn(record, self.Session.search(self.filter("active")))
        self.assertNotIn(record, self.Session.search(self.filter("current_database")), "it is in postgres")
        self.env.cr.execute("SELECT pg_backend_pid()")
        own = self.Session.search([("pid", "=", self.env.cr.fetchone()[0])])
        self.assertEqual(own.state, "active")
        self.assertIn(own, self.Session.search(self.filter("current_database")))

    def test_background_processes_are_told_apart(self):
        self.as_superuser("GRANT pg_monitor TO odoo;")
        clients = self.Session.search(self.filter("client_backends"))
        others = self.Session.search([]) - clients
        self.assertIn("checkpointer", others.mapped("backend_type"))
        self.assertEqual(set(clients.mapped("backend_type")), {"client backend"})

    def as_superuser(self, grant):
        superuser = self.client(connect())
        superuser.cursor().execute(grant)
        self.addCleanup(superuser.cursor().execute, "REVOKE pg_monitor FROM odoo")
        self.look_again()

    def test_hidden_session_does_not_look_like_nothing(self):
        other = self.client(connect(user="shop", dbname="shop"))
        other.cursor().execute("BEGIN; SELECT 'secret'")
        record = self.record(other)
        self.assertTrue(record.is_hidden)
        self.assertIs(record.xact_age, False)
        self.assertNotIn("secret", record.query)
        self.assertIn(record, self.Session.search(self.filter("client_backends")))
        [_used, notice] = self.Session.web_search_read([], {})["reading"]["notices"]
        self.assertIn("may not see", notice["text"])
        self.assertEqual(notice["remedy"], "GRANT pg_monitor TO odoo;")

        self.as_superuser(notice["remedy"])
        record = self.record(other)
        self.assertFalse(record.is_hidden)
        self.assertIn("secret", record.query)
        [used] = self.Session.web_search_read([], {})["reading"]["notices"]
        self.assertEqual(used["type"], "info")

    def test_statement_with_a_password_is_withheld(self):
        connection, _record = self.session()
        connection.cursor().execute("SELECT 'p4ss' AS stored_password")
        self.assertEqual(self.record(connection).query, "<withheld>")

    def test_group_and_pivot(self):
        self.session(application_name="grouped")
        groups = self.Session.formatted_read_group(
            [("application_name", "=", "grouped")], ["usename", "backend_start:hour"], ["__count", "backend_age:max"]
        )
        self.assertEqual([(group["usename"], group["__count"]) for group in groups], [("odoo", 1)])

    def press(self, method, *sessions):
        """Press a button; the kind of its notification, and what it says and the chatter keeps."""
        selected = self.Session.browse([session.id for session in sessions])
        params = getattr(selected, method)()["params"]
        self.env.invalidate_all()
        endpoint = self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql")
        said = [html2plaintext(message.body) for message in endpoint.message_ids[: len(sessions)]]
        self.assertEqual(said[::-1], params["message"].splitlines())
        return params["type"], params["message"]

    def test_cancel(self):
        connection = self.client(connect(user="odoo", async_=True, connect_timeout=None))
        wait_select(connection)
        cursor = connection.cursor()
        cursor.execute("SELECT pg_sleep(60)")
        wait_until(lambda: self.record(connection).wait_event == "PgSleep")
        kind, message = self.press("action_cancel", self.record(connection))
        self.assertEqual(kind, "success")
        self.assertIn(
            f"pg_cancel_backend({connection.info.backend_pid}): the signal was sent. Session of odoo", message
        )
        with self.assertRaises(psycopg2.errors.QueryCanceled):
            wait_select(connection)
        self.assertTrue(self.record(connection), "the session lives on")

    def test_record_is_no_markup(self):
        """A client may call itself anything."""
        _connection, record = self.session(application_name="<i>till</i>")
        self.press("action_terminate", record)
        endpoint = self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql")
        self.assertIn("application &lt;i&gt;till&lt;/i&gt;", endpoint.message_ids[0].body)

    def test_terminate(self):
        connection, record = self.session()
        kept, _record = self.session()
        [second, second_record] = self.session()
        self.assertEqual(self.press("action_terminate", record, second_record)[0], "success")
        wait_until(lambda: not self.record(connection) and not self.record(second))
        with self.assertRaises(psycopg2.OperationalError):
            connection.cursor().execute("SELECT 1")
        self.assertTrue(self.record(kept))
        kind, message = self.press("action_terminate", record)
        self.assertEqual(kind, "danger")
        self.assertIn("nothing was done, because this session is gone", message)

    def test_cancel_of_a_session_that_runs_nothing(self):
        connection, _record = self.session()
        connection.cursor().execute("BEGIN")
        kind, message = self.press("action_cancel", self.record(connection))
        self.assertEqual(kind, "danger")
        self.assertIn("it runs no query now: it is idle in transaction", message)

    def test_processes_of_postgresql_are_left_alone(self):
        self.as_superuser("GRANT pg_monitor TO odoo;")
        [process] = self.Session.search([("backend_type", "=", "checkpointer")])
        self.assertIn("it is no client's session: checkpointer", self.press("action_terminate", process)[1])

    def test_processes_of_postgresql_are_no_connections(self):
        """The launcher of logical replication has a role, and hides its type."""
        [launcher] = self.Session.search([("usesysid", "!=", False), ("datid", "=", False), ("is_hidden", "=", True)])
        self.assertFalse(launcher.component)
        self.assertNotIn(launcher, self.Session.search(self.filter("client_backends")))
        cursor = self.client(connect()).cursor()
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
        self.look_again()
        self.assertIn(f"{cursor.fetchone()[0]} of 97 connections", self.Session.get_notices()[0]["text"])

    def test_form_of_an_ended_session_is_left(self):
        _connection, record = self.session()
        action = record.with_context(is_session_form=True).action_terminate()["params"]["next"]
        self.assertEqual((action["type"], action["res_model"]), ("ir.actions.act_window", "pg.stat.activity"))

    def test_another_session_with_that_pid_is_left_alone(self):
        connection, record = self.session()
        earlier = self.Session.browse(record.id - (1 << 22))  # as if it had started a second before
        kind, message = self.press("action_terminate", earlier)
        self.assertEqual(kind, "danger")
        self.assertIn("nothing was done", message)
        self.assertTrue(self.record(connection))

    def test_own_request_is_left_alone(self):
        self.env.cr.execute("SELECT pg_backend_pid()")
        own = self.Session.search([("pid", "=", self.env.cr.fetchone()[0])])
        self.assertIn("works on your own request", self.press("action_terminate", own)[1])

    def test_session_that_cannot_be_told_for_sure_is_left_alone(self):
        """Of a hidden session only the PID is known."""
        other = self.client(connect(user="shop", dbname="shop"))
        self.assertIn("may not see when", self.press("action_terminate", self.record(other))[1])
        other.cursor().execute("SELECT 1")

    def test_refusal_names_the_grant(self):
        self.as_superuser("GRANT pg_monitor TO odoo;")
        other = self.client(connect(user="shop", dbname="shop"))
        kind, message = self.press("action_terminate", self.record(other))
        self.assertEqual(kind, "danger")
        self.assertIn("GRANT pg_signal_backend TO odoo;", message)
        other.cursor().execute("SELECT 1")

    def test_component(self):
        """By the name that a program gives itself; the form says so."""
        for name, component in {
            "odoo-4242": "odoo_listener",
            "psql": "interactive",
            "pgAdmin 4 - DB:shop": "interactive",
            "DBeaver 24.1 - Main": "interactive",
            "pg_dump": "backup",
            "pgBackRest [backup]": "backup",
            "barman_streaming_backup": "backup",
            "my psql-like thing": "other",
            "": "other",
        }.items():
            _connection, record = self.session(application_name=name)
            self.assertEqual((name, record.component), (name, component))
            self.assertIn(name, record.component_reason)
        _connection, record = self.session(application_name="odoo-4242", dbname="template1")
        self.assertEqual(record.component, "odoo_worker")
        self.as_superuser("GRANT pg_monitor TO odoo;")
        processes = self.Session.search([("backend_type", "in", ("checkpointer", "walwriter"))])
        self.assertEqual(set(processes.mapped("component")), {False})

    def test_component_of_a_hidden_session(self):
        other = self.client(connect(user="shop", dbname="shop", application_name="mystery"))
        self.assertEqual(self.record(other).component, "unknown")
        other = self.client(connect(user="shop", dbname="shop", application_name="psql"))
        self.assertEqual(self.record(other).component, "interactive")

    def test_pooled_session(self):
        """Also when its PgBouncer is watched through two endpoints."""
        self.endpoint.copy({"name": "Again", "password": variable("PGBOUNCER_STATS_PASSWORD")})
        client = self.client(connect_pooled(dbname=TINY))
        cursor = client.cursor()
        cursor.execute("BEGIN; SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
        for grant in (None, "GRANT pg_monitor TO odoo;"):
            if grant:
                self.as_superuser(grant)
            self.look_again()
            [session] = self.Session.search([("pid", "=", pid)])
            self.assertEqual((session.component, session.server_count), ("pgbouncer", 1))
            self.assertIn(f"PID {pid}", session.component_reason)
            self.assertEqual(session.pooled_client, session.client_id.display_name.split()[-1])
            self.assertEqual(session.pool_id.database, TINY)
        groups = dict(self.Session._read_group([("pid", "=", pid)], ["component"], ["__count"]))
        self.assertEqual(groups, {"pgbouncer": 1})

    def test_ambiguous_session(self):
        """Two clusters may have the same PID, and two PgBouncers the same port."""
        connection, record = self.session()
        server = {
            "ptr": "0x1",
            "user": "odoo",
            "database": "alias",
            "addr": "192.0.2.1",  # another machine's name for it
            "port": 5432,
            "local_addr": "192.0.2.2",
            "local_port": record.client_port,
            "remote_pid": record.pid,
            "link": "0x2",
        }
        client = {"ptr": "0x2", "link": "0x1", "addr": "192.0.2.3", "port": 4242, "remote_pid": 0}
        other = self.endpoint.copy({"name": "Other"})
        database = {"name": "alias", "database": "postgres"}

        def watched(**changes):
            return {"SHOW SERVERS": [server | changes], "SHOW CLIENTS": [client], "SHOW DATABASES": [database]}

        answer = watched()
        elsewhere = watched(local_addr="192.0.2.9")
        another_port = watched(local_port=1)
        with answering({self.endpoint: answer, other: another_port}):
            session = self.record(connection)
            self.assertEqual((session.endpoint_id, session.pooled_client), (self.endpoint, "192.0.2.3:4242"))
        for other_session in ({"local_port": 1}, {"user": "shop"}, {"database": "shop"}, {"addr": "unix"}):
            with answering({self.endpoint: watched(**other_session), other: another_port}):
                self.assertFalse(self.record(connection).server_count, other_session)
        with answering({self.endpoint: watched(link="0x9"), other: another_port}):
            session = self.record(connection)
            self.assertEqual((session.server_count, session.pooled_client), (1, False), "the two lists disagree")
        nameless = {"SHOW CLIENTS": [{"ptr": "0x2", "link": "0x1"}]}
        with answering({self.endpoint: answer | nameless, other: another_port}):
            self.assertFalse(self.record(connection).pooled_client, "a client of whom nothing more is said")
        with answering({self.endpoint: answer, other: elsewhere}):
            session = self.record(connection)
            self.assertEqual(session.server_count, 2)
            self.assertFalse(session.endpoint_id or session.client_id or session.pool_id or session.pooled_client)
            self.assertIn("cannot be told", session.component_reason)
            self.assertIn(session, self.Session.search(self.filter("ambiguous")))

    def test_pgbouncer_that_does_not_answer_is_named(self):
        self.endpoint.port = closed_port()
        notices = self.Session.web_search_read([], {})["reading"]["notices"]
        self.assertIn("Its sessions cannot be told from others", notices[-1]["text"])

    def test_database_is_really_asked(self):
        """What the list shows is what a second, independent session counts."""
        cursor = self.client(connect(user=variable("TEST_PGUSER"))).cursor()
        cursor.execute("SELECT array_agg(pid) FROM pg_stat_activity WHERE usename = 'odoo'")
        self.look_again()
        self.assertLessEqual(set(cursor.fetchone()[0]), set(self.Session.search([]).mapped("pid")))
