import logging
import time
from contextlib import closing
from datetime import timedelta
from unittest.mock import patch

from psycopg2.errors import UniqueViolation
from psycopg2.extensions import POLL_OK

from odoo import fields
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Command
from odoo.tests import freeze_time, new_test_user
from odoo.tools import mute_logger

from ...models.history.connection_sample import _logger
from ...probes import postgres, session
from ..cases import DATABASE, POOL, STATS, UNKNOWN, SampleCase
from ..common import TILL, closed_port, connect, connect_pooled, psql, variable, wait_until


class TestSampler(SampleCase):
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
        self.assertEqual((sample.waiting, sample.maxwait), (UNKNOWN, UNKNOWN), "nobody queues for PostgreSQL")
        self.assertEqual(
            self.line,
            f'INFO connection pressure endpoint="PostgreSQL of this Odoo" pressure={sample.pressure:.1f}% '
            f"used={sample.used:.0f}/97 waiting=- maxwait=-s level=ok",
        )
        self.assertEqual(self.postgresql.level, "ok")
        self.assertEqual(self.postgresql.last_seen, sample.sampled_at)

    def test_sessions_that_may_not_be_seen_are_counted_and_not_guessed(self):
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
        self.assertEqual(self.take(self.postgresql).level, "ok", "nobody asks for it")
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

    def test_pool_is_what_psql_shows(self):
        for _number in range(8):
            self.start("BEGIN")
        time.sleep(0.5)
        whole, *others = self.take()
        [row] = [row for row in psql("SHOW POOLS") if row["database"] == TILL]
        [pool] = [sample for sample in others if sample.database == TILL]
        self.assertEqual((row["sv_active"], row["cl_waiting"]), ("5", "3"))
        self.assertEqual((pool.used, pool.waiting, pool.capacity), (5, 3, 5))
        self.assertEqual(pool.pressure, 160)
        self.assertGreaterEqual(pool.maxwait, 0.5)
        self.assertEqual((pool.user, pool.cl_active, pool.sv_idle), ("shop", 5, 0))
        [clients] = [int(row["items"]) for row in psql("SHOW LISTS") if row["list"] == "used_clients"]
        self.assertEqual((whole.used, whole.capacity, whole.waiting), (clients, 1000, 3))
        self.assertEqual(self.endpoint.pool_pressure, 160)
        self.assertEqual(whole.maxwait, pool.maxwait)
        self.assertRegex(
            self.line,
            rf'^[A-Z]+ connection pressure endpoint="Test PgBouncer" pressure=[\d.]+% used={clients}/1000 waiting=3 '
            rf"maxwait={pool.maxwait:.3f}s level={whole.level}",
        )

    def test_burst_between_two_samples_is_seen(self):
        self.take()
        tills = [self.start("SELECT pg_sleep(0.5)") for _number in range(8)]
        wait_until(lambda: all([till.connection.poll() == POLL_OK for till in tills]))
        whole, *others = self.take()
        [pool] = [sample for sample in others if sample.database == TILL]
        self.assertEqual((whole.waiting, pool.waiting, pool.maxwait), (0, 0, 0), "the queue is gone")
        self.assertAlmostEqual(pool.wait_time, 3 * 0.5, delta=0.4)
        self.assertAlmostEqual(pool.waiting_mean, pool.wait_time / pool.interval, 3)
        self.assertGreaterEqual(whole.wait_time, pool.wait_time)
        self.assertEqual((pool.xact_count, pool.query_count), (8, 8))
        self.assertGreater(pool.received, 8 * len("SELECT pg_sleep(0.5)"))

    def test_waiting_for_long_is_a_warning_and_then_critical(self):
        levels = []
        for minute, waiting in enumerate((1, 1, 1, 1, 3, 0)):
            with (
                self.console(pools=[POOL | {"cl_waiting": waiting, "maxwait_us": waiting}]),
                self.clock_forward(66 * minute),
            ):
                levels.append(self.take()[1].level)
                levels.append(self.line.split()[0])
        expected = ["ok", "INFO", *["warning", "WARNING"] * 3, "critical", "ERROR", "ok", "INFO"]
        self.assertEqual(levels, expected)
        self.assertEqual(self.endpoint.level, "ok")

    def test_only_samples_in_a_row_count(self):
        """Neither a button that is pressed again and again nor what was before a gap makes it worse."""
        waiting = self.console(pools=[POOL | {"cl_waiting": 1, "maxwait_us": 1}])
        levels = []
        for seconds in (0, 1, 2, 3, 4, 5, 60, 3600, 3660):
            with self.console(pools=[POOL | {"cl_waiting": 1, "maxwait_us": 1}]), self.clock_forward(seconds):
                levels.append(self.take()[1].level)
        self.assertEqual(levels, ["ok"] * 6 + ["warning", "ok", "warning"])
        with self.clock_forward(3720), patch.object(session, "_ask", side_effect=session.SessionError("timeout")):
            self.take()
        with waiting, self.clock_forward(3780):
            self.assertEqual(self.take()[1].level, "ok", "after an unknown sample nobody knows")

    def test_queue_that_is_over_at_each_look_counts_as_waiting(self):
        levels = []
        for minute, wait_time in enumerate((0, 10**10, 2 * 10**10)):
            with self.console(stats=[STATS | {"total_wait_time": wait_time}]), self.clock_forward(60 * minute):
                levels.append(self.take()[1].level)
        self.assertEqual(levels, ["ok", "ok", "warning"])

    def test_longest_wait(self):
        for microseconds, level in ((999_000, "ok"), (1_000_000, "warning"), (5_000_000, "critical")):
            waiting = {"maxwait": microseconds // 10**6, "maxwait_us": microseconds % 10**6, "cl_waiting": 1}
            with self.console(pools=[POOL | waiting]):
                self.take()  # a queue of one sample
                with self.console():
                    self.take()
                pool = self.take()[1]
                self.assertAlmostEqual(pool.maxwait, microseconds / 1e6, 3)
                self.assertEqual(pool.level, level)
                self.assertEqual("Longest Wait" in (self.endpoint.last_error or ""), level != "ok", "what it was")

    def test_pool_sizes(self):
        """The user's own size goes before the database's; a database with several pools, or with a limit
        of its own, is measured too."""
        pools = [POOL, POOL | {"user": "bot", "sv_active": 2, "cl_waiting": 1}]
        users = [{"name": "bot", "pool_size": "2"}, {"name": "shop", "pool_size": ""}]
        with self.console(pools=pools, users=users):
            _whole, shop, bot, both = self.take()
            with self.console(
                pools=pools, users=users, stats=[STATS | {"total_xact_count": 17, "total_wait_time": 10**6}]
            ):
                counted = self.take()
        self.assertEqual((shop.capacity, shop.pressure), (20, 5))
        self.assertEqual((bot.capacity, bot.pressure), (2, 150))
        self.assertEqual((both.user, both.waiting, both.capacity, both.pressure), (False, 1, UNKNOWN, UNKNOWN))
        # SHOW STATS does not tell the pools apart.
        self.assertEqual(counted.mapped("xact_count"), [7, UNKNOWN, UNKNOWN, 7])
        self.assertEqual(counted[3].wait_time, 1)

        with self.console(databases=[DATABASE | {"max_connections": 5}]):
            whole, _pool, limited = self.take()
        self.assertEqual((limited.used, limited.capacity, limited.pressure, limited.level), (4, 5, 80, "warning"))
        self.assertEqual(whole.level, "warning", "as bad as its worst part")
        self.assertEqual(whole.reason, "shop: PgBouncer Connections: 80 %")

    def test_database_that_is_not_listed(self):
        """PgBouncer leaves out those that its “*” made and nobody uses."""
        for pool, level in ((POOL | {"sv_active": 0}, "ok"), (POOL, "unknown")):
            with self.console(pools=[pool], databases=[]):
                whole, pool = self.take()
                self.assertEqual((pool.level, whole.level, pool.capacity), (level, level, UNKNOWN))

    def test_clients_of_a_pgbouncer(self):
        for clients, level in ((79, "ok"), (80, "warning"), (90, "critical")):
            with self.console(lists=[{"list": "used_clients", "items": clients}]):
                self.assertEqual(self.take()[0].level, level)

    def test_paused_is_not_calm(self):
        with self.console(databases=[DATABASE | {"paused": 1}]):
            whole, pool = self.take()
            self.assertEqual((pool.is_paused, pool.level, whole.level), (True, "warning", "warning"))
            self.assertFalse(whole.is_paused)
        with self.console(state=[{"key": "paused", "value": "yes"}]):
            whole, pool = self.take()
            self.assertEqual((whole.is_paused, pool.is_paused, whole.level), (True, True, "warning"))

    def test_what_the_console_does_not_tell_is_unknown(self):
        answers = {
            "pools": [{"database": "shop", "user": "shop", "cl_waiting": "many"}],
            "databases": [{"name": "shop"}],
            "stats": [{"database": "shop"}],
            "lists": [],
            "config": [],
            "state": [],
        }
        with self.console(**answers):
            self.take()
            whole, pool = self.take()
        for name in ("used", "waiting", "maxwait", "capacity", "pressure", "xact_count", "waiting_mean"):
            self.assertEqual(whole[name], UNKNOWN, name)
            self.assertEqual(pool[name], UNKNOWN, name)
        self.assertEqual((whole.level, pool.level), ("unknown", "unknown"))
        self.assertEqual(
            self.line,
            'WARNING connection pressure endpoint="Test PgBouncer" pressure=-% used=-/- waiting=- maxwait=-s '
            'level=unknown reason="The server did not tell enough to judge: PgBouncer Connections"',
        )

    def test_restart_makes_the_interval_unknown(self):
        with self.console(stats=[STATS]):
            self.take()
        with self.console(stats=[STATS | {"total_xact_count": 3}]):
            whole, pool = self.take()
            self.assertEqual((whole.xact_count, whole.interval, pool.waiting_mean), (UNKNOWN, UNKNOWN, UNKNOWN))
            self.assertEqual(pool.level, "ok")
        with self.console(stats=[STATS | {"total_xact_count": 8}]):
            whole, _pool = self.take()
            self.assertEqual(whole.xact_count, 5)

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
        with patch.object(session, "_ask", side_effect=session.SessionError("timeout")):
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

    def test_cron_measures_all_side_by_side(self):
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

    def test_one_that_cannot_be_measured_does_not_cost_the_others(self):
        """Rights that are gone, and an answer that nobody foresaw."""
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

    def test_measured_by_one_worker_at_a_time(self):
        with closing(connect(dbname=self.env.cr.dbname)) as other, other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtext('connection_endpoint'), %s)", [self.endpoint.id])
            self.assertFalse(self.Sample._sample(self.endpoint))
            with self.assertRaisesRegex(UserError, "right now"):
                self.endpoint.action_sample()
            cursor.execute("SELECT pg_advisory_unlock_all()")
        self.assertEqual(self.endpoint.action_sample()["params"]["type"], "success")

    def test_old_sample_is_no_present(self):
        self.take()
        self.assertEqual(self.endpoint.level, "ok")
        self.assertIn(self.endpoint, self.env["connection.endpoint"].search([("level", "=", "ok")]))
        with self.clock_forward(600):
            self.env.invalidate_all()
            self.assertEqual(self.endpoint.level, "unknown")
            self.assertIn("was not measured since", self.endpoint.last_error)
            self.assertNotIn(self.endpoint, self.env["connection.endpoint"].search([("level", "=", "ok")]))
            self.assertIn("was not measured since", str(self.Sample.get_notices()))
            # The clock stays there: what was counted was counted in that long time.
            whole = self.take()[0]
            self.assertAlmostEqual(whole.interval, 600, delta=5)
            self.assertEqual(self.endpoint.level, "ok")
        whole = self.take()[0]
        self.assertEqual((whole.interval, whole.xact_count), (UNKNOWN, UNKNOWN), "the clock went back")
        self.assertNotEqual(self.take()[0].interval, UNKNOWN)


class TestOwnAddress(SampleCase):
    """PostgreSQL asked over an address of its own."""

    def setUp(self):
        super().setUp()
        self.postgresql.write(
            {"host": variable("TEST_PGHOST"), "port": int(variable("TEST_PGPORT")), "user": variable("TEST_PGUSER")}
        )

    def test_sees_what_its_role_may_see(self):
        self.client(connect())
        sample = self.take(self.postgresql)
        self.assertEqual((sample.hidden_backends, sample.reason), (0, False))
        self.assertEqual(self.postgresql.action_test()["params"]["type"], "success")

    def test_answer_without_rows(self):
        """A server that answers everything with nothing is not this one."""
        self.postgresql.password = variable("PGBOUNCER_STATS_PASSWORD")
        nothing = session.Reading("15", None, {query: [] for query in postgres.sample_queries(150000, 3)}, time.time())
        with patch.object(session, "_ask", return_value=nothing):
            sample = self.take(self.postgresql)
        self.assertIn("is not the PostgreSQL of this Odoo", sample.reason)
        self.assertTrue(sample.used)

    def test_if_it_fails_odoos_own_connection_tells(self):
        self.grant_monitor()
        for values, problem in (
            ({"port": closed_port()}, "Nobody listens"),
            ({"port": int(variable("PGBOUNCER_PORT")), "user": "nobody", "password": "x"}, "refuses the role"),
            ({"port": self.silent_server()}, "did not answer"),
        ):
            self.postgresql.write(values)
            sample = self.take(self.postgresql)
            self.assertTrue(sample.used, problem)
            self.assertIn(problem, sample.reason)
            self.assertIn("Odoo's own connection told instead", sample.reason)
            self.assertEqual(sample.level, "ok")
            self.assertIn(problem, self.postgresql.last_error)
            notification = self.postgresql.action_test()["params"]
            self.assertEqual(notification["type"], "danger", "that address does not work")
            self.assertIn(problem, notification["message"])
            self.assertEqual(self.postgresql.action_sample()["params"]["type"], "warning")

    def test_leaves_nothing_behind_in_a_pool(self):
        """An address that is a PgBouncer's: other clients get the same server after us."""
        self.postgresql.write(
            {"port": int(variable("PGBOUNCER_PORT")), "user": "shop", "password": variable("SHOP_PASSWORD")}
        )
        self.assertNotIn("Odoo's own", self.take(self.postgresql).reason)
        with closing(connect_pooled(dbname=self.env.cr.dbname)) as shop, shop.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            self.assertEqual(cursor.fetchone(), ("0",))

    def test_same_server_in_any_time_zone(self):
        self.execute("ALTER ROLE postgres SET timezone TO 'Asia/Kathmandu'")
        self.addCleanup(self.execute, "ALTER ROLE postgres RESET timezone")
        self.assertFalse(self.take(self.postgresql).reason)

    def test_needs_a_role_and_a_port(self):
        for values, problem in (({"port": 0}, "between 1 and 65535"), ({"user": False}, "host and the user")):
            with self.assertRaisesRegex(ValidationError, problem):
                self.postgresql.write(values)


class TestThresholds(SampleCase):
    def setUp(self):
        super().setUp()
        self.grant_monitor()

    def settings(self, **values):
        settings = self.env["res.config.settings"].create(values)
        self.env.flush_all()  # the web client saves in one request, and executes in the next
        self.env.invalidate_all()
        settings.execute()
        return self.env["res.config.settings"].create({})

    def test_zero_and_empty_stay(self):
        settings = self.settings(minute_days=False, sample_days=30, reminder_hours=0.5)
        self.assertEqual((settings.minute_days, settings.sample_days, settings.reminder_hours), (False, 30, 0.5))
        settings = self.settings(reminder_hours=False)
        self.assertEqual((settings.minute_days, settings.reminder_hours), (UNKNOWN, UNKNOWN), "the others too")

    def test_rules_are_in_force(self):
        settings = self.env["res.config.settings"].create({})
        [rule] = settings.connection_rule_ids.filtered(lambda rule: rule.rule == "postgresql_pressure")
        self.assertEqual((rule.warning, rule.critical), (75, 90))

        def level(warning, critical):
            self.settings(connection_rule_ids=[Command.update(rule.id, {"warning": warning, "critical": critical})])
            return self.take(self.postgresql).level

        self.assertEqual(level(0, 90), "warning", "0 is anything above 0")
        self.assertEqual(level(False, 90), "ok")
        self.assertEqual(level(False, 0.5), "critical")
        self.set_rule("postgresql_pressure", self.postgresql, critical=99)
        self.assertEqual(self.take(self.postgresql).level, "ok")
        own = self.postgresql.rule_ids
        self.assertEqual((own.warning, own.samples, own.of_samples), (UNKNOWN, 2, 3), "the rest as in the common one")
        own.is_on = False
        rule.is_on = True
        self.assertEqual(self.take(self.postgresql).level, "ok", "off for this endpoint")
        own.unlink()
        self.assertEqual(self.take(self.postgresql).level, "critical", "the common one again")

    def test_what_is_no_setting_is_refused(self):
        for values in ({"sample_minutes": 0}, {"minute_days": 0}, {"reminder_hours": 0}):
            with self.assertRaises(ValidationError, msg=values):
                self.env["res.config.settings"].create(values)

    def test_what_is_no_rule_is_refused(self):
        for values in (
            {"warning": -1},
            {"warning": float("nan")},
            {"critical": float("inf")},
            {"warning": 6, "critical": 5},
            {"samples": 0},
            {"samples": 3, "of_samples": 2},
            {"of_samples": 61},
            {"good_samples": 0},
        ):
            with self.assertRaises(ValidationError, msg=values):
                self.set_rule("maxwait", **values)
        with self.assertRaisesRegex(ValidationError, "does not apply to PostgreSQL of this Odoo"):
            self.set_rule("maxwait", self.postgresql)
        self.set_rule("maxwait", self.endpoint)
        with self.assertRaises(UniqueViolation), mute_logger("odoo.sql_db"), self.env.cr.savepoint():
            self.env["connection.rule"].create({"rule": "maxwait", "endpoint_id": self.endpoint.id})
        common = self.env["connection.rule"].search([("rule", "=", "maxwait"), ("endpoint_id", "=", False)])
        with self.assertRaisesRegex(UserError, "Switch it off"):
            common.unlink()
        for values in ({"endpoint_id": self.endpoint.id}, {"rule": "xact_age"}):
            with self.assertRaisesRegex(UserError, "Add a separate rule"):
                common.write(values)

    def test_interval(self):
        cron = self.env.ref("pgbouncer_monitor.ir_cron_sample")
        self.settings(sample_minutes=5)
        self.assertEqual((cron.interval_number, cron.interval_type, cron.active), (5, "minutes", True))
        settings = self.settings(is_sampling=False)
        self.assertEqual((cron.active, settings.is_sampling, settings.sample_minutes), (False, False, 5))
        cron.unlink()
        self.env["res.config.settings"].create({}).execute()


class TestHistory(SampleCase):
    START = fields.Datetime.to_datetime("2026-03-02 10:00:00")

    def add(self, minutes, **values):
        """A sample so many minutes after START."""
        return {
            "endpoint_id": self.endpoint.id,
            "sampled_at": fields.Datetime.to_string(self.START + timedelta(minutes=minutes)),
            "period": "minute",
            "sample_count": 1,
            "level": "ok",
        } | values

    def insert(self, *samples):
        self.Sample.search([]).sudo().unlink()
        self.Sample._insert(list(samples))

    def thin(self, now):
        with freeze_time(now):
            while self.Sample._gc_minutes()[1]:
                pass
        self.env.invalidate_all()
        return self.Sample.search([], order="sampled_at, database desc, id")

    def test_hours(self):
        """The minutes of old hours become means, maxima and sums; nothing is lost or counted twice."""
        self.insert(
            self.add(0, used=2, used_max=2, pressure=10, pressure_max=10, maxwait=0)
            | {"interval": 60, "wait_time": 6, "xact_count": 5},
            self.add(1, used=4, used_max=4, pressure=30, pressure_max=30, maxwait=2)
            | {"interval": 60, "wait_time": 60, "waiting_mean_max": 1, "xact_count": 1},
            self.add(2, level="unknown", reason="It was frozen."),
            self.add(3, level="warning", used=3, used_max=3, pressure=20, pressure_max=20, maxwait=0),
            self.add(5, database="shop", user="shop", used=1),
            self.add(60, used=7),
        )
        self.assertEqual(len(self.thin(self.START + timedelta(days=7, minutes=59))), 6, "not before the hour is over")
        whole, pool, later = self.thin(self.START + timedelta(days=7, minutes=60))
        self.assertEqual((whole.period, whole.sampled_at, whole.sample_count), ("hour", self.START, 4))
        self.assertEqual((whole.used, whole.used_max), (3, 4))
        self.assertEqual((whole.pressure, whole.pressure_max, whole.maxwait), (20, 30, 2))
        self.assertEqual((whole.xact_count, whole.interval, whole.wait_time), (6, 120, 66))
        self.assertAlmostEqual(whole.waiting_mean, 66 / 120, 4)
        self.assertEqual(whole.waiting_mean_max, 1)
        self.assertEqual((whole.level, whole.reason), ("warning", "It was frozen."))
        self.assertEqual((pool.database, pool.user, pool.used, pool.xact_count), ("shop", "shop", 1, UNKNOWN))
        self.assertEqual((later.period, later.used), ("minute", 7))

    def test_late_sample_joins_its_hour(self):
        self.insert(self.add(0, used=1), self.add(1, used=2))
        now = self.START + timedelta(days=8)
        self.thin(now)
        self.Sample._insert([self.add(2, used=6)])
        [hour] = self.thin(now)
        self.assertEqual((hour.sample_count, hour.used), (3, 3))

    def test_settable(self):
        self.insert(self.add(0), self.add(1))
        self.env["res.config.settings"].create({"minute_days": False, "sample_days": False}).execute()
        self.assertEqual(len(self.thin(self.START + timedelta(days=4000))), 2)
        with freeze_time(self.START + timedelta(days=4000)):
            self.assertEqual(self.Sample._gc_samples(), (0, 0))
            self.env["res.config.settings"].create({"sample_days": 4001}).execute()
            self.assertEqual(self.Sample._gc_samples(), (0, 0))
            self.env["res.config.settings"].create({"sample_days": 3999}).execute()
            self.assertEqual(self.Sample._gc_samples(), (2, 0))
        self.assertFalse(self.Sample.search([]))

    def groups(self, bucket="minute", tz="UTC"):
        Sample = self.Sample.with_context(fill_temporal=True, tz=tz)
        groups = Sample.formatted_read_group([], [bucket], ["used:max"])
        return [(group[bucket][-5:], group["used:max"]) for group in groups]

    def test_graph_has_gaps_where_samples_are_missing(self):
        self.insert(self.add(0, used=1), self.add(1, used=0), self.add(4, used=3), self.add(5), self.add(6, used=5))
        expected = [("10:00", 1), ("10:01", 0), ("10:02", UNKNOWN), ("10:03", UNKNOWN), ("10:04", 3)]
        expected += [("10:05", UNKNOWN), ("10:06", 5)]
        groups = self.groups()
        self.assertEqual(groups, expected)
        self.assertNotEqual(groups[1][1], UNKNOWN, "0 is not unknown")

    def test_sample_that_comes_some_seconds_late_is_no_gap(self):
        """A scheduled action every 66 seconds leaves out a minute now and then."""
        self.insert(*(self.add(1.1 * number, used=number) for number in range(20)))
        self.assertEqual([used for _minute, used in self.groups()], list(range(20)))

    def test_longer_interval_is_no_gap(self):
        self.env.ref("pgbouncer_monitor.ir_cron_sample").interval_number = 5
        self.insert(*(self.add(minute, used=minute) for minute in (0, 5, 10, 20)))
        used = [used for _minute, used in self.groups()]
        self.assertEqual((used[:3], used[3:-1], used[-1]), ([0, 5, 10], [UNKNOWN] * 9, 20))

    def test_times_are_the_users(self):
        self.insert(self.add(0, used=1), self.add(14, used=2), self.add(16, used=3))
        self.assertEqual(self.groups("minute", "Asia/Kathmandu")[0], ("15:45", 1))
        self.assertEqual(self.groups("ten_minutes"), [("10:00", 1), ("10:10", 3)])
        self.assertEqual(self.groups("hour", "America/New_York"), [("05:00", 3)])
        Sample = self.Sample.with_context(tz="Asia/Kathmandu")
        first, second = Sample.formatted_read_group([], ["ten_minutes"], ["__count"])
        self.assertEqual(second["ten_minutes"], "2026-03-02 15:55")
        self.assertEqual(Sample.search(second["__extra_domain"]).mapped("used"), [3, 2], "what a click opens")
        self.assertEqual(Sample.search(first["__extra_domain"]).ten_minutes, "2026-03-02 10:00", "in UTC")

    def test_hour_that_a_clock_passes_twice(self):
        """On 25 October 2026 at 3 o'clock, Berlin's clocks are set back to 2."""
        night, later = {"sampled_at": "2026-10-25 00:30:00"}, {"sampled_at": "2026-10-25 01:30:00"}
        self.insert(self.add(0, used=1) | night, self.add(0, used=2) | later)
        groups = self.Sample.with_context(tz="Europe/Berlin").formatted_read_group([], ["hour"], ["used:max"])
        labels = [(group["hour"], group["used:max"]) for group in groups]
        self.assertEqual(labels, [("2026-10-25 02:00 CEST", 1), ("2026-10-25 02:00 CET", 2)])

    def test_hours_are_no_gaps(self):
        self.insert(*(self.add(60 * number, used=number, period="hour") for number in (0, 1, 3)))
        self.assertEqual([used for _minute, used in self.groups("hour")], [0, 1, UNKNOWN, 3])
        used = [used for _minute, used in self.groups()]
        self.assertEqual(used[:3] + used[-1:], [0, 1, UNKNOWN, 3])

    def test_means_of_hours_and_minutes(self):
        """A sample of an hour weighs as much as the samples that it stands for."""
        self.insert(self.add(0, used=10, period="hour", sample_count=60), self.add(60, used=71), self.add(61))
        [[used]] = self.Sample._read_group([], [], ["used:avg"])
        self.assertEqual(used, 11)

    def test_unknown_is_empty_when_exported(self):
        self.insert(self.add(0))
        [row] = self.Sample.search([]).export_data(["level", "used", "xact_count", "pressure"])["datas"]
        self.assertEqual(row, ["OK", "", "", ""])

    def test_is_read_by_viewers_and_written_by_nobody(self):
        self.insert(self.add(0))
        viewer = new_test_user(self.env, "history_viewer", groups="pgbouncer_monitor.group_viewer")
        as_viewer = self.Sample.with_user(viewer)
        self.assertEqual(as_viewer.search_count([]), 1)
        self.assertFalse(any(as_viewer.has_access(operation) for operation in ("create", "write", "unlink")))
        endpoint = self.endpoint.with_user(viewer)
        self.assertEqual(endpoint.level, "unknown")
        manager = new_test_user(self.env, "history_manager", groups="pgbouncer_monitor.group_manager")
        self.assertFalse(self.env["connection.reading"].with_user(manager).has_access("read"))
        self.assertFalse(any(self.Sample.with_user(manager).has_access(operation) for operation in ("write", "unlink")))
