import logging
import os
import socket
import tempfile
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock, patch

import psycopg2
from psycopg2.pool import PoolError
from werkzeug.test import EnvironBuilder

import odoo.http
import odoo.sql_db
from odoo import fields
from odoo.exceptions import UserError
from odoo.sql_db import ConnectionPool
from odoo.tests import TransactionCase, new_test_user, tagged
from odoo.tools import file_open, format_datetime, mute_logger

from ... import recorder
from ...analysis.refusals import KINDS
from ...models.history import connection_refusal
from ...odoo_internals import database_info
from ...probes import refusals
from ..cases import UNKNOWN, SampleCase
from ..common import closed_port, connect

HOST = socket.gethostname()


def new_folder(case):
    folder = tempfile.TemporaryDirectory()
    case.addCleanup(folder.cleanup)
    return Path(folder.name)


@tagged("-at_install", "post_install")
class TestRefusals(SampleCase):
    """What Odoo's processes counted is in the sample of PostgreSQL, in History, in an alert, and on the Overview."""

    def setUp(self):
        super().setUp()
        self.grant_monitor()
        self.Refusal = self.env["connection.refusal"]
        self.Refusal.search([]).unlink()
        self.use(new_folder(self))

    def use(self, folder):
        self.folder = folder
        self.patch(connection_refusal, "refusals_folder", lambda: folder)

    def refuse(self, kind, count, host=HOST):
        with patch.object(socket, "gethostname", lambda: host):
            refusals.append(self.folder, kind, count)

    def total(self, host, kind):
        return {(host, kind): total for host, kind, total in self.Refusal._totals()}[host, kind]

    def unreadable(self):
        """The counts cannot be read."""
        return patch.object(connection_refusal, "refusals_folder", lambda: Path("/dev/null/refusals"))

    def card(self):
        overview = self.env["connection.overview"].get_overview()
        return next(card for card in overview["cards"] if card["kind"] == "postgresql")

    def test_counts_of_hosts_and_kinds(self):
        self.refuse("closed", 7)
        self.assertEqual(self.take(self.postgresql).refused, UNKNOWN, "they are not of this minute")
        self.assertEqual(self.take(self.postgresql).refused, 0)
        self.assertEqual((self.total(HOST, "closed"), self.card()["refused"]), (0, None))
        self.refuse("closed", 2)
        self.refuse("pool_full", 11)
        self.refuse("closed", 1, "other")
        sample = self.take(self.postgresql)
        self.assertEqual((sample.refused, self.take(self.postgresql).refused), (14, 0))
        rows = self.Refusal.search([("sampled_at", "=", sample.sampled_at)])
        counts = {(HOST, "closed"): 2, (HOST, "pool_full"): 11, ("other", "closed"): 1}
        self.assertEqual({(row.host, row.kind): row.count for row in rows}, counts)
        for (host, kind), count in counts.items():
            self.assertEqual(self.total(host, kind), count)
        self.assertIn("db_maxconn", rows.filtered(lambda row: row.kind == "pool_full").remedy)
        (self.folder / HOST / "closed").write_bytes(b"." * 8)
        self.assertEqual(self.take(self.postgresql).refused, UNKNOWN, "the files of a backup")
        self.refuse("closed", 1)
        self.assertEqual(self.take(self.postgresql).refused, 1)
        self.assertEqual(self.total(HOST, "closed"), 3, "a total never goes down")
        with self.clock_forward(600), self.assertRaises(KeyError, msg="nobody has read it for long"):
            self.total(HOST, "closed")

    def test_alert_and_overview(self):
        self.take(self.postgresql)
        read_at = self.env["connection.refusal.folder"].search([]).read_at
        self.refuse("pool_full", 11)
        self.refuse("closed", 3, "other")
        with self.clock_forward(60), self.unreadable():
            self.take(self.postgresql)
        with self.clock_forward(120):
            self.take(self.postgresql)
            refused = self.card()["refused"]
        alert = self.env["connection.alert"].search([("rule", "=", "refused_requests"), ("closed_at", "=", False)])
        self.assertEqual((alert.level, alert.worst), ("critical", "14 requests"))
        lines = [f"{HOST}: Odoo's Connection Pool Is Full: 11 requests", "other: Connection Closed: 3 requests"]
        self.assertEqual(alert.situation.split("UTC: ")[1].splitlines(), [f"Counted since {read_at} UTC", *lines])
        self.assertRegex(alert.advice, "Pool Is Full: Raise db_maxconn .* Connection Closed: A server was restarted")
        since = format_datetime(self.env, read_at)
        self.assertEqual(refused["text"], f"Requests refused since {since}: 14", "not since the sample in between")
        self.assertEqual(refused["lines"], lines)
        self.assertEqual(sum(self.Refusal.search(refused["link"]["domain"]).mapped("count")), 14)
        context = alert.action_open_value()["context"]
        self.assertEqual(context["graph_measure"], "refused")
        self.assertEqual([line["value"] for line in context["incident"]["thresholds"]], [1, 10])
        with self.clock_forward(600):
            self.assertIsNone(self.card()["refused"], "the sample is too old")

    def test_new_host(self):
        """A host with a data folder of its own is read when it takes a sample: late, but nothing is lost."""
        self.take(self.postgresql)
        first = self.folder
        self.use(new_folder(self))
        self.refuse("closed", 5)
        self.assertEqual(self.take(self.postgresql).refused, 5)
        self.use(new_folder(self))
        self.refuse("closed", 50)
        identity = self.folder / refusals.IDENTITY
        identity.write_text(f"{identity.read_text().split()[0]} 1000")  # of 1970
        self.assertEqual(self.take(self.postgresql).refused, UNKNOWN, "a host of before")
        self.use(first)
        self.refuse("closed", 2)
        self.assertEqual((self.take(self.postgresql).refused, self.total(HOST, "closed")), (2, 7))
        with self.clock_forward(refusals.FORGET_SECONDS + 60):
            self.take(self.postgresql)
        self.assertEqual(len(self.env["connection.refusal.folder"].search([])), 1, "the others are forgotten")
        self.assertEqual(self.total(HOST, "closed"), 7)

    def test_unknown_is_no_zero(self):
        self.take(self.postgresql)
        self.assertEqual(self.Refusal._notices(), [])
        with self.unreadable(), self.assertLogs(connection_refusal._logger, logging.WARNING) as logs:
            self.assertEqual(self.take(self.postgresql).refused, UNKNOWN)
        self.assertIn("/dev/null", logs.output[0])
        text = "Refused requests: unknown. Not a directory: see the warning in Odoo's log."
        viewer = new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        self.assertEqual(self.card()["refused"]["text"], text)
        self.assertEqual([notice["text"] for notice in self.Refusal.with_user(viewer).get_notices()], [text])
        self.assertFalse(self.env["connection.alert"].search([("rule", "=", "refused_requests")]))
        self.env.ref("pgbouncer_monitor.ir_cron_sample").write_date = "2020-01-01"
        with self.clock_forward(600):
            [notice] = self.Refusal.with_user(viewer).get_notices()
        self.assertRegex(notice["text"], "^Nothing has been sampled since")

    def test_copy(self):
        """What a copy of the database knows of the counts is the other one's."""
        self.take(self.postgresql)
        self.refuse("closed", 4)
        self.take(self.postgresql)
        self.refuse("closed", 3)
        self.env["ir.config_parameter"].set_param("database.uuid", "of a copy")
        self.assertEqual(self.take(self.postgresql).refused, UNKNOWN)
        self.refuse("closed", 2)
        self.assertEqual((self.take(self.postgresql).refused, self.total(HOST, "closed")), (2, 2))
        self.refuse("closed", 1)
        with file_open("pgbouncer_monitor/data/neutralize.sql") as script:
            self.env.cr.execute(script.read())
        self.env.invalidate_all()
        self.assertEqual(self.Refusal._totals(), [])
        self.postgresql.active = True
        self.assertEqual(self.take(self.postgresql).refused, UNKNOWN)

    def test_merged_and_deleted_like_samples(self):
        self.take(self.postgresql)
        self.refuse("closed", 2)
        self.take(self.postgresql)
        self.refuse("closed", 3)
        self.take(self.postgresql)
        old = fields.Datetime.now().replace(minute=0, second=0) - timedelta(days=20)
        mine = self.Sample.search([("endpoint_id", "=", self.postgresql.id)])
        (self.Sample.search([]) - mine).unlink()
        mine.sudo().write({"sampled_at": old})
        self.env.flush_all()
        self.Sample._gc_minutes()
        self.env.invalidate_all()
        self.assertEqual(self.Sample.search([("endpoint_id", "=", self.postgresql.id)]).refused, 5)
        self.Refusal.search([])[0].sampled_at = fields.Datetime.now() - timedelta(days=500)
        self.Refusal._gc_refusals()
        self.assertEqual(self.Refusal.search([]).mapped("count"), [2])

    def test_viewer(self):
        self.take(self.postgresql)
        self.refuse("closed", 2)
        self.take(self.postgresql)
        viewer = new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        [row] = self.Refusal.with_user(viewer).web_search_read([], {"count": {}, "remedy": {}})["records"]
        self.assertEqual(row["count"], 2)


@tagged("-at_install", "post_install")
class TestRecorder(TransactionCase):
    """Each refused request counts once, and nothing else does."""

    def setUp(self):
        super().setUp()
        self.folder = new_folder(self)
        self.patch(recorder, "refusals_folder", lambda: self.folder)
        self.patch(logging.getLogger("odoo"), "handlers", [recorder.RECORDER])  # errors would fail the run
        self.patch(logging.getLogger("odoo"), "propagate", False)
        for name in ("odoo.sql_db", "odoo.http"):
            self.patch(logging.getLogger(name), "level", logging.INFO)

    def counts(self):
        return refusals.read(self.folder, KINDS).counts[HOST]

    def log(self, function, *loggers):
        """Log the exception of a function, as Odoo does."""
        try:
            function()
        except Exception:
            for name in loggers or ("odoo.http",):
                logging.getLogger(name).exception("Exception during request handling.")

    def connect(self, **options):
        ConnectionPool(1).borrow(database_info(self.env.cr.dbname) | options)

    def test_connection_refused(self):
        self.log(lambda: self.connect(port=closed_port()), "odoo.http", "odoo.addons.bus.websocket")
        self.assertEqual(self.counts(), {"unreachable": 1}, "once, in however many records")

        def raise_another():
            try:
                self.connect(port=closed_port())
            except psycopg2.Error as error:
                raise ValueError("Cannot get registry") from error

        self.log(raise_another)
        self.assertEqual(self.counts(), {"unreachable": 2})
        self.log(lambda: self.connect(password="wrong"))
        self.assertEqual(self.counts(), {"unreachable": 2, "other": 1})

    def test_database_that_does_not_exist(self):
        """Whoever invents a name is refused nothing."""
        for options in ({}, {"password": "wrong"}):
            self.log(lambda options=options: self.connect(database="unheard_of", **options))
        self.assertEqual(self.counts(), {})
        self.log(lambda: self.connect(database="unheard_of", port=closed_port()))
        self.assertEqual(self.counts(), {"unreachable": 1}, "it has nothing to do with the name")

    def test_error_for_the_user(self):
        """Odoo logs it as a warning, without its traceback."""
        error = UserError("Try again later")
        try:
            self.connect(port=closed_port())
        except psycopg2.Error as cause:
            error.__cause__ = cause
        logging.getLogger("odoo.http").warning(error)
        self.assertEqual(self.counts(), {"unreachable": 1})

    def test_pool_is_full(self):
        pool = ConnectionPool(1)
        self.addCleanup(pool.close_all)
        pool.borrow(database_info(self.env.cr.dbname))
        self.log(lambda: pool.borrow(database_info(self.env.cr.dbname)))
        self.assertEqual(self.counts(), {"pool_full": 1})
        self.log(lambda: (_ for _ in ()).throw(PoolError("The Connection Pool Is Full")))
        self.assertEqual(self.counts(), {"pool_full": 1}, "the pool of an addon")

    def test_connection_closed(self):
        cr = odoo.sql_db.db_connect(self.env.cr.dbname).cursor()
        cr.execute("SELECT pg_backend_pid()")
        with closing(connect()) as superuser, superuser.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", cr.fetchone())
        self.log(lambda: cr.execute("SELECT 1"))
        self.log(cr.commit)
        self.assertEqual(self.counts(), {"closed": 1}, "the second is about the same connection")
        with mute_logger("odoo.sql_db"):
            cr.close()

    def test_not_a_refusal(self):
        cr = odoo.sql_db.db_connect(self.env.cr.dbname).cursor()
        with closing(cr):
            for query in ("SELECT nonsense /* query_wait_timeout, too many clients already */", "SET a.b TO 1; SELECT"):
                self.log(lambda query=query: cr.execute(query))
                cr.rollback()
            cr.execute("SET LOCAL statement_timeout = 10")
            self.log(lambda: cr.execute("SELECT pg_sleep(1)"))
        self.log(lambda: psycopg2.connect(host="127.0.0.1", port=closed_port()))
        self.log(lambda: self.connect(port=closed_port()), f"{recorder.ADDON}.models.history.connection_sample")
        logging.getLogger("odoo.http").error("%s: no exception", "query_wait_timeout")
        logging.getLogger("odoo.http").error("%(a)s", {"a": 1})
        cr = odoo.sql_db.db_connect(self.env.cr.dbname).cursor()
        connection = cr._cnx
        cr.close()
        connection.close()
        self.log(lambda: cr.execute("SELECT 1"))  # a cursor that is used after its end
        self.assertEqual(self.counts(), {})

    def test_only_refusals_wait_for_the_disk(self):
        with patch.object(recorder.RECORDER, "lock", MagicMock()) as lock:
            for level in (logging.INFO, logging.ERROR):
                logging.getLogger("odoo.sql_db").log(level, "A message", exc_info=ValueError("An error"))
            lock.__enter__.assert_not_called()
            self.log(lambda: self.connect(port=closed_port()))
            lock.__enter__.assert_called_once()

    def test_request_without_a_database(self):
        """Odoo logs a failed connection as information, and serves the request without a database."""
        for path, values, expected in (
            ("/web/health", {}, 0),
            ("/web/static/img/logo.png", {}, 0),
            ("/web/login", {"session": {}, "db": "named"}, 0),
            ("/web/login", {}, 0),
            ("/web/login", {"session": {}, "db": None}, 1),  # its controller needs the list, too
            ("/shop", {}, 2),
        ):
            sent = SimpleNamespace(path=path, environ=EnvironBuilder(path).get_environ())
            with patch.object(odoo.http, "request", SimpleNamespace(httprequest=sent, **values)):
                for _time in range(2):
                    with suppress(psycopg2.Error):
                        self.connect(port=closed_port())
            self.assertEqual(self.counts().get("unreachable", 0), expected, path)

    def test_full_disk(self):
        """Counting fails with one warning, and what was not written is written later."""
        good, self.folder = self.folder, self.folder / "file"
        self.folder.write_text("")
        with self.assertLogs(recorder.__name__, logging.WARNING) as logs:
            self.log(lambda: self.connect(port=closed_port()))
            self.log(lambda: self.connect(port=closed_port()))
        self.assertEqual(len(logs.records), 1)
        self.folder = good
        self.log(lambda: self.connect(port=closed_port()))
        self.assertEqual(self.counts(), {"unreachable": 3})
        self.assertFalse(recorder.RECORDER.pending)

    def test_children_count_their_own(self):
        """A process that is forked inherits what its parent could not write, and must not write it again."""
        recorder.RECORDER.pending["closed"] = 5
        self.addCleanup(recorder.RECORDER.pending.clear)
        pid = os.fork()
        if not pid:
            os._exit(len(recorder.RECORDER.pending))
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
