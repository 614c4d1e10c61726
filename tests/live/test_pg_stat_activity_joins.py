"""The component of a session, and the PgBouncer that it belongs to."""

from odoo.tests import tagged

from ..common import TINY, answering, closed_port, connect, connect_pooled, variable
from .cases import SessionCase

SERVER = {
    "ptr": "0x1",
    "user": "odoo",
    "database": "alias",
    "addr": "192.0.2.1",  # another machine's name for it
    "port": 5432,
    "local_addr": "192.0.2.2",
    "link": "0x2",
}


@tagged("-at_install", "post_install")
class TestSessionJoins(SessionCase):
    def test_component(self):
        """By the name that a program gives itself, which the form shows as the reason."""
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
            self.refresh()
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
        server = SERVER | {"local_port": record.client_port, "remote_pid": record.pid}
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
            self.assertFalse(self.record(connection).pooled_client, "a client without an address")
        with answering({self.endpoint: answer, other: elsewhere}):
            session = self.record(connection)
            self.assertEqual(session.server_count, 2)
            self.assertFalse(session.endpoint_id or session.client_id or session.pool_id or session.pooled_client)
            self.assertIn("Ambiguous", session.component_reason)
            self.assertIn(session, self.Session.search(self.filter("ambiguous")))

    def test_pgbouncer_that_does_not_answer_is_named(self):
        self.endpoint.port = closed_port()
        notices = self.Session.web_search_read([], {})["reading"]["notices"]
        self.assertIn("Its sessions cannot be identified", notices[-1]["text"])
