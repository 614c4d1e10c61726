"""What the forms of live rows read."""

from unittest.mock import patch

import psycopg2

from odoo.exceptions import AccessError
from odoo.tests import new_test_user, tagged

from ..common import answering, closed_port
from .cases import SessionCase

CLIENTS = {"SHOW CLIENTS": [{"ptr": "0x1", "database": "shop", "user": "shop"}]}


@tagged("-at_install", "post_install")
class TestLiveForm(SessionCase):
    def ask(self, record, endpoint=None):
        """Return the row, or False; the words about its absence; and the notices about what could not be read."""
        self.refresh()
        answer = record.web_read_live({"display_name": {}}, endpoint.id if endpoint else False)
        self.assertTrue(answer["reading"]["read_at"])
        [row] = answer["records"] or [False]
        return row, answer["reading"]["absence"], answer["reading"]["notices"]

    def test_session(self):
        viewer = new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        connection, record = self.session()
        row = {"id": record.id, "display_name": str(record.pid)}
        self.assertEqual(self.ask(record.with_user(viewer)), (row, False, []))
        another = self.Session.browse(record.id - (1 << 22))  # as if its PID had belonged to an earlier session
        self.assertEqual(self.ask(another), (False, "This session has ended.", []))
        self.assertEqual(self.ask(record)[0], row)
        pid = record.pid
        connection.close()
        self.wait_for_end(pid)
        self.assertEqual(self.ask(record.with_user(viewer)), (False, "This session has ended.", []))

    def wait_for_end(self, pid):
        for _attempt in range(100):
            self.refresh()
            if not self.Session.search_count([("pid", "=", pid)]):
                return
        self.fail("The session did not end")

    def test_session_of_a_primary_that_cannot_be_read(self):
        """A request on a standby that does not reach the primary: whether the session has ended is unknown."""

        def refuse():
            raise psycopg2.OperationalError("too many clients")

        _connection, record = self.session()
        self.patch(type(self.Session), "_is_on_standby", lambda _self: True)
        with patch.object(self.env.registry, "cursor", refuse):
            row, absence, [notice] = self.ask(record)
        self.assertEqual((row, absence), (False, "It is unknown whether it still exists."))
        self.assertIn("too many clients", notice["text"])

    def test_rights(self):
        _connection, record = self.session()
        nobody = new_test_user(self.env, "nobody", groups="base.group_user")
        for rows in (record, record.browse(1), self.env["pgbouncer.client"].browse(1)):
            for specification in ({"display_name": {}}, {}):
                with self.assertRaises(AccessError):
                    rows.with_user(nobody).web_read_live(specification)
        viewer = new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        with self.assertRaises(AccessError):
            record.with_user(viewer).web_read_live({"query": {}})

    def test_client(self):
        """It is gone only if its own PgBouncer answers."""
        lost = self.env["connection.endpoint"].create({"name": "Lost", "host": "127.0.0.1", "port": closed_port()})
        with answering({self.endpoint: CLIENTS, lost: {}}):
            self.refresh()
            client = self.env["pgbouncer.client"].search([])
            self.assertTrue(self.ask(client)[0])
        gone = "This client has disconnected."
        self.assertEqual(self.ask(client, self.endpoint), (False, gone, []))
        # After a reload of the page, its endpoint is not known, and Lost may have it.
        for endpoint in (None, lost):
            row, absence, [notice] = self.ask(client, endpoint)
            self.assertEqual((row, absence), (False, "It is unknown whether it still exists."))
            self.assertRegex(notice["text"], "^Lost: No server listens")
        lost.active = False
        self.assertEqual(self.ask(client), (False, gone, []))
        row, absence, [notice] = self.ask(client, lost)
        self.assertIn("not queried", notice["text"])

    def test_command_that_the_version_lacks(self):
        """Such a PgBouncer has no such row: it is no reason to doubt."""
        with answering({self.endpoint: {}}, version="1.18.0"):
            self.assertEqual(
                self.ask(self.env["pgbouncer.peer"].browse(1)),
                (False, "PgBouncer no longer reports this row.", []),
            )


@tagged("-at_install", "post_install")
class TestUnreported(SessionCase):
    """Columns that no PgBouncer in the list reports."""

    def unreported(self, model, answers):
        self.refresh()
        with answering(answers):
            return set(self.env[model].web_search_read([], {"id": {}})["reading"]["unreported"])

    def test_columns(self):
        other = self.endpoint.copy()
        old, new = {"ptr": "0x1"}, {"ptr": "0x1", "id": "1", "application_name": "", "prepared_statements": None}
        old_only = {self.endpoint: {"SHOW CLIENTS": [old]}, other: {}}
        lacking = self.unreported("pgbouncer.client", old_only)
        self.assertLessEqual({"socket_id", "application_name", "prepared_statements"}, lacking)
        self.assertFalse({"ptr", "endpoint_id", "pool_id", "server_id", "wait_age"} & lacking)
        # Empty values are no lack of a column.
        both = self.unreported("pgbouncer.client", old_only | {other: {"SHOW CLIENTS": [new]}})
        self.assertEqual(lacking - both, {"socket_id", "application_name", "prepared_statements"})
        self.assertEqual(self.unreported("pgbouncer.client", {self.endpoint: {}, other: {}}), set())

    def test_state(self):
        """Before 1.19 only a database's own pause is known."""
        for databases, states, is_unreported in (
            ([{"name": "a", "paused": "0", "disabled": "0"}], [], True),
            ([{"name": "a", "paused": "1", "disabled": "0"}], [], False),
            ([{"name": "a", "paused": "0", "disabled": "0"}], [{"key": "active", "value": "yes"}], False),
        ):
            databases.append({"name": "b", "paused": "0", "disabled": "0"})
            pools = [{"database": database["name"], "user": "u"} for database in databases]
            answers = {"SHOW DATABASES": databases, "SHOW STATE": states, "SHOW POOLS": pools}
            for model in ("pgbouncer.database", "pgbouncer.pool"):
                lacking = self.unreported(model, {self.endpoint: answers})
                self.assertEqual("state" in lacking, is_unreported, (model, answers))
            self.assertNotIn("bottleneck", lacking)
            self.assertIn("pool_size", lacking)
        for database in databases:
            database["pool_size"] = "0"
        self.assertNotIn("pool_size", self.unreported("pgbouncer.pool", {self.endpoint: answers}), "of SHOW DATABASES")
