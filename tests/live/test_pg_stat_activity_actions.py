"""Cancel and terminate sessions."""

import psycopg2
from psycopg2.extras import wait_select

from odoo.tests import tagged
from odoo.tools import html2plaintext

from ..common import connect, wait_until
from .cases import SessionCase


@tagged("-at_install", "post_install")
class TestSessionActions(SessionCase):
    def press(self, method, *sessions):
        """Press a button: the type of its notification, and its text, which is also in the chatter."""
        selected = self.Session.browse([session.id for session in sessions])
        params = getattr(selected, method)()["params"]
        self.env.invalidate_all()
        endpoint = self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql")
        posted = [html2plaintext(message.body) for message in endpoint.message_ids[: len(sessions)]]
        self.assertEqual(posted[::-1], params["message"].splitlines())
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

    def test_session_that_cannot_be_identified_is_left_alone(self):
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
