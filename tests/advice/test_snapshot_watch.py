"""The snapshot of how this addon watches, and of connections to other databases."""

import time
from datetime import timedelta
from types import SimpleNamespace
from unittest.mock import patch

from odoo import fields
from odoo.tests import tagged

from ...advice import judge
from ...models.advice import connection_advice_snapshot_watch
from ...odoo_internals import listener_info
from ...probes import listen, once
from ...probes.errors import QueryError
from ..common import closed_port, connect
from .cases import SnapshotCase

# What the query for other databases reads.
TABLES = """
CREATE TABLE ir_module_module AS SELECT 'pgbouncer_monitor' AS name, 'installed' AS state;
CREATE TABLE ir_model_data AS
    SELECT 'pgbouncer_monitor' AS module, 'ir.cron' AS model, 'ir_cron_sample' AS name, 7 AS res_id;
CREATE TABLE ir_cron AS SELECT 7 AS id, true AS active;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO odoo;
"""
# What a new installation cannot show.
EXPECTED_GAPS = {("pool_full", "history")}


@tagged("-at_install", "post_install")
class TestWatch(SnapshotCase):
    def test_watch(self):
        watch = self.snapshot().watch
        self.assertEqual((watch.is_sampler_on, watch.interval, watch.has_address), (True, 60, False))
        self.assertEqual((watch.is_postgresql_on, watch.limit), (True, 20))
        self.env.ref("pgbouncer_monitor.ir_cron_sample").active = False
        self.take()
        address = {"host": "127.0.0.1", "port": closed_port(), "user": "odoo"}
        self.postgresql.write(address)
        watch = self.snapshot().watch
        self.assertEqual((watch.is_sampler_on, watch.has_address, watch.address_error), (False, False, "refused"))
        self.assertLess(watch.sample_age, 60)

    def test_archived_postgresql(self):
        self.postgresql.active = False
        self.assertEqual((self.snapshot().watch.is_postgresql_on, self.snapshot().watch.has_address), (False, None))

    def test_sample_age(self):
        """Neither a new sampler is late, nor one whose Odoo server was off."""
        self.env["connection.reading"].search([]).unlink()
        cron, now = self.env.ref("pgbouncer_monitor.ir_cron_sample"), fields.Datetime.now()
        age, module = self.env["connection.advice"]._sample_age, connection_advice_snapshot_watch

        def is_about(minutes):
            self.assertAlmostEqual(age() / 60, minutes, delta=0.5)

        changed_at = now - timedelta(minutes=50)
        self.env.cr.execute("UPDATE ir_cron SET write_date = %s WHERE id = %s", [changed_at, cron.id])
        self.env.invalidate_all()
        with patch.object(module, "server_started_at", lambda: None):
            is_about(50)
        self.postgresql._keep_reading({"sampled_at": now - timedelta(minutes=30)})
        with patch.object(module, "server_started_at", lambda: now - timedelta(minutes=5)):
            is_about(5)
        with patch.object(module, "server_started_at", lambda: now - timedelta(minutes=90)):
            is_about(30)

    def test_gaps_of_a_healthy_installation(self):
        """What these servers do not show, by its need. All else is judged."""
        self.take()
        _findings, gaps = judge.judge(self.snapshot())
        self.assertEqual({(gap.rule, gap.needs) for gap in gaps}, EXPECTED_GAPS)

    def test_other_databases_that_are_sampled(self):
        self.addCleanup(self.execute, "DROP DATABASE IF EXISTS snapshot_other WITH (FORCE)")
        self.execute("CREATE DATABASE snapshot_other")
        session = self.client(connect(dbname="snapshot_other"))
        sessions = [{"pid": 7, "usename": "odoo", "datname": self.env.cr.dbname}]
        sessions += [{"pid": 8, "usename": "odoo", "datname": name} for name in ("snapshot_other", "postgres", None)]
        sessions += [{"pid": 9, "usename": "shop", "datname": "nonexistent"}]
        reading = SimpleNamespace(server={"pid": 7}, sessions=sessions)
        for statement, others, is_complete in (
            ("SELECT 1", [], True),
            (TABLES, ["snapshot_other"], True),
            ("UPDATE ir_cron SET active = false", [], True),
            ("REVOKE SELECT ON ir_cron FROM odoo", [], False),
        ):
            session.cursor().execute(statement)
            connected = once.queries(self.env["connection.advice"]._sampling_questions(reading))
            self.assertEqual(self.env["connection.advice"]._others(reading, connected), (others, is_complete))

    def test_not_all_databases_are_examined(self):
        sessions = [{"pid": number, "usename": "odoo", "datname": f"shop{number:02}"} for number in range(30)]
        reading = SimpleNamespace(server={"pid": 7}, sessions=sessions)
        Advice = self.env["connection.advice"]
        questions = Advice._sampling_questions(reading)
        self.assertEqual(len(questions), 20)
        connected = dict.fromkeys(questions, {"is_sampling": False})
        self.assertEqual(Advice._others(reading, connected), ([], False))
        del reading.sessions[20:]
        self.assertEqual(Advice._others(reading, connected), ([], True))

    def test_one_deadline_for_all_connections(self):
        """Databases that do not answer cost the others nothing."""
        info, silent = listener_info(), {"host": "127.0.0.1", "port": self.silent_server(), "user": "x", "dbname": "x"}
        statement, started = "SELECT 1 AS one", time.monotonic()
        answers = once.queries({"own": (info, statement)} | dict.fromkeys(range(4), (silent, statement)))
        self.assertLess(time.monotonic() - started, once.SECONDS + 1)
        self.assertEqual(answers.pop("own"), {"one": 1})
        self.assertEqual({answer.reason for answer in answers.values()}, {"timeout"})

    def test_one_failed_attempt_is_none(self):
        failing = [QueryError("refused"), listen._open]

        def connect_then(*arguments):
            attempt = failing.pop(0)
            if isinstance(attempt, QueryError):
                raise attempt
            return attempt(*arguments)

        with patch.object(listen, "_open", connect_then):
            self.assertEqual(once.queries({1: (listener_info(), "SELECT 1 AS one")}), {1: {"one": 1}})

    def test_one_deadline_for_own_queries(self):
        """The later ones have what the earlier ones have left."""
        Advice, limits = self.env["connection.advice"], []
        for seconds in (9, 1, -1):
            Advice._within_limit(time.monotonic() + seconds, lambda: limits.append(self.shown("statement_timeout")))
        self.assertEqual(limits[::2], ["3s", "100ms"])
        self.assertRegex(limits[1], r"^9\d\dms$|^1s$")

    def shown(self, name):
        self.env.cr.execute("SELECT current_setting(%s)", [name])
        return self.env.cr.fetchone()[0]
