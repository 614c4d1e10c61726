import logging
import time
from contextlib import closing
from unittest.mock import patch

from odoo.exceptions import UserError

from ...models.history.connection_sample import _logger
from ...probes import query
from ...probes.errors import QueryError
from ..cases import UNKNOWN, SampleCase
from ..common import closed_port, connect, variable, wait_until


class TestSampler(SampleCase):
    """Endpoints are sampled in parallel, by one worker, whatever a server does."""

    def test_postgresql(self):
        self.grant_monitor()
        with closing(connect()) as superuser, superuser.cursor() as cursor:
            self.client(connect(dbname="shop")).cursor().execute("BEGIN; SELECT pg_advisory_xact_lock(4711)")
            self.start("SELECT pg_advisory_xact_lock(4711)")
            time.sleep(0.5)
            sample = self.take(self.postgresql)
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
            self.assertEqual(sample.used, cursor.fetchone()[0])
        self.assertEqual(sample.capacity, 97, "max_connections without those reserved for superusers")
        self.assertAlmostEqual(sample.pressure, sample.used / 0.97, 3)
        self.assertGreaterEqual(sample.idle_in_transaction_backends, 1)
        self.assertEqual(sample.blocked_backends, 1)
        self.assertEqual(sample.hidden_backends, 0)
        self.assertGreaterEqual(sample.xact_age, 0.5)
        self.assertGreaterEqual(sample.idle_in_transaction_age, 0.5)
        self.assertEqual((sample.waiting, sample.maxwait), (UNKNOWN, UNKNOWN), "PostgreSQL has no queue")
        self.assertEqual(
            self.line,
            f'INFO connection pressure endpoint="PostgreSQL of this Odoo" pressure={sample.pressure:.1f}% '
            f"used={sample.used:.0f}/97 waiting=- maxwait=-s level=ok",
        )
        self.assertEqual(self.postgresql.level, "ok")
        self.assertEqual(self.postgresql.last_seen, sample.sampled_at)

    def test_hidden_sessions_are_counted_and_not_guessed(self):
        self.client(connect()).cursor().execute("BEGIN; SELECT txid_current()")
        sample = self.take(self.postgresql)
        with closing(connect()) as superuser, superuser.cursor() as cursor:
            cursor.execute("SELECT count(*) - 1 FROM pg_stat_activity WHERE backend_type = 'client backend'")
            self.assertEqual(sample.used, cursor.fetchone()[0])
        self.assertGreaterEqual(sample.hidden_backends, 1)
        for name in ("active_backends", "idle_in_transaction_backends", "blocked_backends", "idle_in_transaction_age"):
            self.assertEqual(sample[name], UNKNOWN, name)
        self.assertEqual(sample.level, "unknown", "a hidden session may have been idle for an hour")
        self.assertIn("GRANT pg_monitor TO odoo;", sample.reason)
        self.set_rule("xact_age", is_on=False)
        self.set_rule("idle_in_transaction_age", warning=False, critical=False)
        self.assertEqual(self.take(self.postgresql).level, "ok", "no rule needs it")
        self.set_rule("postgresql_pressure", warning=0, critical=0)
        self.set_rule("idle_in_transaction_age", warning=60)
        sample = self.take(self.postgresql)
        self.assertEqual(sample.level, "critical")
        self.assertEqual(sample.reason, f"PostgreSQL Connections: {round(sample.pressure, 2):g} %")

    def test_sessions_opened_between_samples(self):
        self.take(self.postgresql)
        for _number in range(5):
            connect().close()
        opened = []

        def are_counted():  # PostgreSQL's statistics come with a delay
            opened.append(self.take(self.postgresql).sessions)
            return sum(opened) >= 5

        wait_until(are_counted)

    def test_idle_in_transaction(self):
        self.grant_monitor()
        self.set_rule("idle_in_transaction_age", warning=0.2)
        self.client(connect(user="odoo")).cursor().execute("BEGIN; SELECT txid_current()")
        time.sleep(0.3)
        self.assertEqual(self.take(self.postgresql).level, "warning")
        self.assertTrue(self.line.startswith("WARNING "))

    def test_reset_of_the_statistics(self):
        self.take(self.postgresql)
        self.take(self.postgresql)
        with closing(connect(dbname=self.env.cr.dbname)) as superuser, superuser.cursor() as cursor:
            cursor.execute("SELECT pg_stat_reset()")
        wait_until(lambda: self.take(self.postgresql).interval is False)
        self.assertNotEqual(self.take(self.postgresql).interval, UNKNOWN, "the next one is good again")

    def test_no_answer_is_a_sample(self):
        seen = self.take()[0].sampled_at
        # A PgBouncer that is frozen, killed or full is for the tests that have one of their own.
        with patch.object(query, "_query", side_effect=QueryError("timeout")):
            [sample] = self.take()
        self.assertEqual((sample.level, sample.pressure, sample.used), ("unknown", UNKNOWN, UNKNOWN))
        self.assertIn("did not answer", sample.reason)
        self.assertIn("pressure=-% used=-/- waiting=- maxwait=-s level=unknown reason=", self.line)
        self.assertTrue(self.line.startswith("WARNING "))
        self.assertNotIn(variable("PGBOUNCER_STATS_PASSWORD"), self.line)
        self.assertEqual(self.endpoint.level, "unknown")
        self.assertEqual(self.endpoint.last_seen, seen, "when it answered last")
        self.assertIn("did not answer", self.endpoint.last_error)
        self.assertEqual(self.take()[0].level, "ok", "by itself")
        self.assertFalse(self.endpoint.last_error)

    def test_another_address_is_another_server(self):
        self.take()
        self.take()
        self.assertNotEqual(self.endpoint.level, "unknown")
        self.endpoint.port = closed_port()
        self.assertEqual((self.endpoint.level, self.endpoint.sampled_at), ("unknown", False))

    def cron(self):
        """Run it as Odoo does: the lines of its log."""
        with self.assertLogs(_logger, logging.INFO) as logs:
            self.assertIs(self.env.ref("pgbouncer_monitor.ir_cron_sample").method_direct_trigger(), True)
        return [record.getMessage() for record in logs.records]

    def test_cron_samples_all_in_parallel(self):
        silent = [self.endpoint.copy({"name": f"Silent {i}", "port": self.silent_server()}) for i in range(4)]
        archived = self.endpoint.copy({"name": "Archived", "active": False})
        started = time.monotonic()
        self.assertEqual(len(self.cron()), 6)
        self.assertLess(time.monotonic() - started, 4)
        endpoints = self.Sample.search([("sampled_at", ">=", "-1M")]).endpoint_id
        self.assertLessEqual(self.endpoint.union(self.postgresql, *silent), endpoints)
        self.assertNotIn(archived, endpoints)

    def test_cron_without_endpoints(self):
        (self.endpoint + self.postgresql).active = False
        self.assertIs(self.env.ref("pgbouncer_monitor.ir_cron_sample").method_direct_trigger(), True)

    def test_endpoint_that_fails_does_not_cost_the_others(self):
        """Missing privileges, and an unexpected answer."""
        self.execute_here("REVOKE EXECUTE ON FUNCTION pg_stat_clear_snapshot() FROM PUBLIC")
        self.addCleanup(self.execute_here, "GRANT EXECUTE ON FUNCTION pg_stat_clear_snapshot() TO PUBLIC")
        pgbouncer, postgresql = self.cron()
        self.assertIn("permission denied for function pg_stat_clear_snapshot", postgresql)
        self.assertIn("level=unknown", postgresql)
        self.assertIn("level=ok", pgbouncer)
        with self.console(pools=[{"database": ["no", "text"]}]):
            [sample] = self.take_with_traceback()
        self.assertEqual(sample.level, "unknown")
        self.assertIn("SHOW POOLS: no column user", sample.reason)
        self.assertEqual(self.take()[0].level, "ok")

    def take_with_traceback(self):
        newest = self.Sample.search([], order="id desc", limit=1).id
        with self.assertLogs(_logger, logging.ERROR):
            self.Sample._sample(self.endpoint)
        return self.Sample.search([("endpoint_id", "=", self.endpoint.id), ("id", ">", newest)])

    def execute_here(self, statement):
        """As the superuser, in Odoo's database."""
        with closing(connect(dbname=self.env.cr.dbname)) as superuser, superuser.cursor() as cursor:
            cursor.execute(statement)

    def test_sampled_by_one_worker_at_a_time(self):
        with closing(connect(dbname=self.env.cr.dbname)) as other, other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtext('connection_endpoint'), %s)", [self.endpoint.id])
            self.assertFalse(self.Sample._sample(self.endpoint))
            with self.assertRaisesRegex(UserError, "right now"):
                self.endpoint.action_sample()
            cursor.execute("SELECT pg_advisory_unlock_all()")
        self.assertEqual(self.endpoint.action_sample()["params"]["type"], "success")

    def test_old_sample_is_unknown(self):
        self.take()
        self.assertEqual(self.endpoint.level, "ok")
        self.assertIn(self.endpoint, self.env["connection.endpoint"].search([("level", "=", "ok")]))
        with self.clock_forward(600):
            self.env.invalidate_all()
            self.assertEqual(self.endpoint.level, "unknown")
            self.assertIn("Not sampled since", self.endpoint.last_error)
            self.assertNotIn(self.endpoint, self.env["connection.endpoint"].search([("level", "=", "ok")]))
            self.assertIn("Not sampled since", str(self.Sample.get_notices()))
            # The clock stays there: what was counted was counted in that long time.
            whole = self.take()[0]
            self.assertAlmostEqual(whole.interval, 600, delta=5)
            self.assertEqual(self.endpoint.level, "ok")
        whole = self.take()[0]
        self.assertEqual((whole.interval, whole.xact_count), (UNKNOWN, UNKNOWN), "the clock went back")
        self.assertNotEqual(self.take()[0].interval, UNKNOWN)
