"""The columns of sessions, their filters, and the notices about those that cannot be seen."""

import datetime

from psycopg2.extras import wait_select

from odoo.tests import tagged

from ...models.live import pg_stat_activity_query
from ..common import connect, variable, wait_until
from .cases import SessionCase


@tagged("-at_install", "post_install")
class TestPgStatActivity(SessionCase):
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
        self.refresh()
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

    def test_background_processes_are_no_client_backends(self):
        self.as_superuser("GRANT pg_monitor TO odoo;")
        clients = self.Session.search(self.filter("client_backends"))
        others = self.Session.search([]) - clients
        self.assertIn("checkpointer", others.mapped("backend_type"))
        self.assertEqual(set(clients.mapped("backend_type")), {"client backend"})

    def test_hidden_session_is_shown_as_hidden(self):
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

    def test_processes_of_postgresql_are_no_connections(self):
        """The launcher of logical replication has a role, and hides its type."""
        [launcher] = self.Session.search([("usesysid", "!=", False), ("datid", "=", False), ("is_hidden", "=", True)])
        self.assertFalse(launcher.component)
        self.assertNotIn(launcher, self.Session.search(self.filter("client_backends")))
        cursor = self.client(connect()).cursor()
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
        self.refresh()
        self.assertIn(f"{cursor.fetchone()[0]} of 97 connections", self.Session.get_notices()[0]["text"])

    def test_rows_equal_the_database(self):
        """What the list shows is what a second, independent session counts."""
        cursor = self.client(connect(user=variable("TEST_PGUSER"))).cursor()
        cursor.execute("SELECT array_agg(pid) FROM pg_stat_activity WHERE usename = 'odoo'")
        self.refresh()
        self.assertLessEqual(set(cursor.fetchone()[0]), set(self.Session.search([]).mapped("pid")))

    def test_cards_and_lists_cut_queries(self):
        """Grouped, too: groups of cards come with their rows."""
        self.patch(pg_stat_activity_query, "QUERY_BYTES", 100)
        connection, session = self.session()
        connection.cursor().execute("SELECT %s", ["x" * 500])
        self.refresh()
        domain, specification = [("id", "=", session.id)], {"query": {}}
        [row] = self.Session.web_search_read(domain, specification)["records"]
        self.env.invalidate_all()
        options = {"auto_unfold": True, "unfold_read_specification": specification}
        [group] = self.Session.web_read_group(domain, ["datname"], [], **options)["groups"]
        self.assertEqual(group["__records"], [row])
        self.assertEqual(len(row["query"]), 101)  # and an ellipsis
        self.refresh()
        [full] = session.web_read(specification)
        self.assertGreater(len(full["query"]), 500)
