"""When alerts open, get worse and end."""

import time

from odoo.tools import mute_logger

from ..cases import DATABASE, DOWN, GAP, POOL, SAMPLER, STATS, AlertCase
from ..common import TILL, closed_port, connect, connect_pooled

WARNING, CRITICAL, RESOLVED = "Warning: Longest Wait", "Critical: Longest Wait", "Resolved: Longest Wait"

# maxwait of a pool, minute by minute; None: not reported; GAP: no sample is taken; DOWN: no answer.
# With the installed rule: warning from 1, critical from 5, in 2 of the last 3 samples, resolved after 3.
SEQUENCES = {
    "below": ([0.9, 0.999, 0.999, 0.9], {}),
    "boundary": ([0.999, 1, 1], {2: WARNING}),
    "critical boundary": ([4.999, 4.999, 5, 5], {1: WARNING, 3: CRITICAL}),
    "one spike": ([0, 9, 0, 0, 9, 0, 0], {}),
    "two of three": ([0, 2, 0, 2], {3: WARNING}),
    "it lasts": ([2] * 20, {1: WARNING}),
    "from ok to critical": ([0, 6, 6, 6], {2: CRITICAL}),
    "worse": ([2, 2, 6, 6, 6], {1: WARNING, 3: CRITICAL}),
    "better is no news": ([6, 6, 2, 2, 2, 2], {1: CRITICAL}),
    "bad again is no news": ([6, 6, 2, 2, 6, 6], {1: CRITICAL}),
    "resolved": ([2, 2, 0, 0, 0, 0], {1: WARNING, 4: RESOLVED}),
    "good for one sample only": ([2, 2, 0, 2, 0, 0, 2, 0, 0, 0], {1: WARNING, 9: RESOLVED}),
    "flapping": ([2, 0] * 10, {2: WARNING}),
    "around the threshold": ([1.01, 0.95] * 10, {2: WARNING}),
    "nine tenths is too near": ([2, 2, 0.9, 0.9, 0.9, 0.9], {1: WARNING}),
    "below nine tenths": ([2, 2, 0.899, 0.899, 0.899], {1: WARNING, 4: RESOLVED}),
    "unknown before": ([None, None, 2, 2], {3: WARNING}),
    "unknown between bad ones": ([2, None, 2], {2: WARNING}),
    "too much unknown between bad ones": ([2, None, None, 2], {}),
    "unknown is not good": ([2, 2, 0, 0, None, 0, 0, 0], {1: WARNING, 7: RESOLVED}),
    "unknown does not resolve": ([2, 2, *[None] * 10], {1: WARNING}),
    "a missing sample": ([2, GAP, 2], {2: WARNING}),
    "a gap between bad ones": ([2, GAP, GAP, GAP, GAP, 2, 2], {6: WARNING}),
    "a gap in an incident": ([2, 2, GAP, GAP, GAP, GAP, 2, 2, 2], {1: WARNING}),
    "a gap is not good": ([2, 2, 0, 0, GAP, GAP, GAP, GAP, 0, 0, 0], {1: WARNING, 10: RESOLVED}),
    "again": ([2, 2, *[0] * 9, 2, 2], {1: WARNING, 4: RESOLVED, 12: WARNING}),
    "again at once": ([2, 2, 0, 0, 0, 2, 2, 0, 0, 0], {1: WARNING, 4: RESOLVED, 6: WARNING, 9: RESOLVED}),
    "no answer once": ([0, DOWN, 0, DOWN, 0], {}),
    "no answer twice": ([0, DOWN, DOWN, DOWN, 0, 0, 0], {2: "Critical: No Answer", 6: "Resolved: No Answer"}),
    "no answer in an incident": ([2, 2, DOWN, 0, 0, 0], {1: WARNING, 5: RESOLVED}),
}


class TestRules(AlertCase):
    def test_sequences(self):
        for name, (seconds, expected) in SEQUENCES.items():
            with self.subTest(name):
                self.env["connection.reading"].search([("endpoint_id", "=", self.endpoint.id)]).unlink()
                self.Alert.search([]).sudo().unlink()
                self.assertEqual(self.waited(*seconds), expected)

    def test_waiting_clients(self):
        """A short queue is normal, one that stays is not; a busy pool is healthy."""
        posted = {}
        for number, waiting in enumerate((0, 7, 0, 7, 7, 7, 7, 7, 0, 0, 0)):
            for message in self.minute(number, pools=[POOL | {"sv_active": 20, "cl_waiting": waiting}]):
                posted[number] = message.subject.partition(":")[0]
        self.assertEqual(posted, {4: "Warning", 7: "Critical", 10: "Resolved"})
        alert = self.Alert.search([])
        self.assertEqual((alert.rule, alert.database, alert.user), ("waiting_samples", "shop", "shop"))
        self.assertEqual((alert.level, alert.worst_value, alert.ending), ("critical", 5, "well"))
        self.assertAlmostEqual(alert.duration, 360, delta=5)
        worse, resolved = self.messages()[-2:]
        self.assertIn("<br>5 samples in a row (Critical from 5)<br>", worse.body)
        self.assertIn("Servers in use: 20 of 20. Clients waiting: 7", worse.body)
        self.assertIn("raise its pool_size", worse.body, "the advice")
        self.assertRegex(resolved.body, r"shop/shop: lasted 6 min \d s<br>Opened: .*, last violation: ")
        self.assertAlmostEqual((alert.last_bad_at - alert.opened_at).total_seconds(), 180, delta=5)
        self.assertIn("5 samples in a row", resolved.body)

    def test_clients_of_an_instance(self):
        def clients(minute, used):
            return self.minute(minute, lists=[{"list": "used_clients", "items": used}]).mapped("subject")

        self.assertEqual([clients(0, 79), clients(1, 80)], [[], []])
        self.assertEqual(clients(2, 80), ["Warning: PgBouncer Connections: Test PgBouncer"])
        self.assertIn("Clients connected: 80 of 100", self.messages().body)

    def test_limit_of_a_database(self):
        databases = [DATABASE | {"max_connections": 10, "current_connections": 9}]
        for minute in range(3):
            self.assertFalse(self.minute(minute, databases=databases), "they may be idle: nobody waits")
        pools = [POOL | {"cl_waiting": 1}]
        self.minute(3, databases=databases, pools=pools)
        message = self.minute(4, databases=databases, pools=pools)
        self.assertRegex(message.body, r"<li>shop: open since [^<]*<br>90 % \(Critical from 90 %\)<br>")
        self.assertIn("Servers connected: 9 (limit: 10)", message.body)

    def test_paused(self):
        pools = [POOL, POOL | {"user": "other"}]
        [message] = self.minute(0, pools=pools, databases=[DATABASE | {"paused": 1}])
        self.assertEqual(message.body.count("<li>"), 1, "the database, not its pools")
        self.assertRegex(message.body, r"<li>shop: open since [^<]*<br>1 sample \(Warning from 1\)<br>")
        [message] = self.minute(1, pools=pools)
        self.assertEqual(message.subject, "Resolved: Paused: Test PgBouncer")
        paused = {"pools": pools, "databases": [DATABASE | {"paused": 1}], "state": [{"key": "paused", "value": "yes"}]}
        [message] = self.minute(10, **paused)
        self.assertRegex(message.body, r"<li>Open since [^<]*<br>1 sample \(Warning from 1\)<br>", "the instance")
        self.assertEqual(message.body.count("<li>"), 1)

    def test_paused_database_and_then_all(self):
        """The state of the database is unknown while the instance is paused: the alert stays open."""
        database = [DATABASE | {"paused": 1}]
        self.minute(0, databases=database)
        self.minute(1, databases=database, state=[{"key": "paused", "value": "yes"}])
        self.assertEqual(set(self.Alert.search([]).mapped("closed_at")), {False})

    def test_queue_of_a_database_with_several_pools(self):
        """The alert is about a pool if that pool waits in each sample. It is about the database if its pools
        take turns, and the counters show that clients wait all the time."""

        def wait(minute, *users):
            pools = [POOL | {"user": user, "cl_waiting": 3 * (user in users)} for user in ("a", "b")]
            self.waited_for += 200e6 * bool(users)
            stats = [STATS | {"total_wait_time": int(self.waited_for)}]
            return self.minute(minute, pools=pools, stats=stats).mapped("body")

        self.waited_for = 0
        wait(-1)

        wait(0, "a")
        [body] = wait(1, "a")
        self.assertRegex(body, "<li>shop/a: open since [^<]*<br>2 samples")
        self.assertEqual(body.count("<li>"), 1)
        for minute in range(2, 10):
            wait(minute)
        self.assertFalse(wait(10, "a"))
        [body] = wait(11, "b")
        self.assertRegex(body, "<li>shop: open since [^<]*<br>2 samples")
        self.assertEqual(body.count("<li>"), 1)
        self.assertFalse(wait(12, "a"))
        self.assertFalse(self.Alert.search([("database", "=", "shop"), ("user", "=", False)]).closed_at)

    def test_threshold_changed_during_an_incident(self):
        self.assertEqual(self.waited(2, 2), {1: WARNING})
        self.set_rule("maxwait", warning=3)
        messages = [self.minute(number, pools=[self.pool(2)]).mapped("subject") for number in range(2, 5)]
        self.assertEqual(messages, [[], [], ["Resolved: Longest Wait: Test PgBouncer"]])
        self.set_rule("maxwait", warning=0.1, critical=1)
        [message] = self.minute(20, pools=[self.pool(2)]) + self.minute(21, pools=[self.pool(2)])
        self.assertIn("Critical", message.subject)
        self.set_rule("maxwait", self.endpoint, is_on=False)
        [message] = self.minute(22, pools=[self.pool(2)])
        self.assertIn("Resolved", message.subject)
        self.assertIn("The rule was switched off", message.body)
        self.assertFalse(self.endpoint.open_alert_count)

    def test_rule_with_more_samples_than_are_remembered(self):
        self.waited(2, 2)
        self.set_rule("maxwait", samples=30, of_samples=40, good_samples=50)
        self.assertFalse(self.minute(2, pools=[self.pool(2)]))

    def test_frequent_samples_do_not_make_it_worse(self):
        for second in range(0, 30, 5):
            self.assertFalse(self.minute(second / 60, pools=[self.pool(9, cl_waiting=9)]))
        self.assertEqual(self.minute(1, pools=[self.pool(9, cl_waiting=9)]).mapped("subject")[0][:8], "Critical")

    def test_blocked_sessions(self):
        self.set_rule("blocked_age", warning=0.2)
        self.client(connect(dbname="shop", application_name="culprit")).cursor().execute(
            "BEGIN; SELECT pg_advisory_xact_lock(4711)"
        )
        self.start("SELECT 'a secret', pg_advisory_xact_lock(4711)")
        time.sleep(0.3)
        self.grant_monitor()
        self.take(self.postgresql)
        self.Alert._notify()
        [message] = self.messages(self.postgresql)
        self.assertIn("Warning: Blocked Sessions", message.subject)
        self.assertRegex(message.body, r"(?s)culprit.*?It blocks others.*?Waits for PID", "the culprit comes first")
        self.assertNotIn("secret", message.body)
        alert = self.Alert.search([("rule", "=", "blocked_age")])
        self.assertGreaterEqual(alert.worst_value, 0.2)
        self.assertIn("a secret", alert.queries)

    def test_hidden_blocked_sessions(self):
        """Locks are visible to every role."""
        self.client(connect(dbname="shop")).cursor().execute("BEGIN; SELECT pg_advisory_xact_lock(4711)")
        self.start("SELECT pg_advisory_xact_lock(4711)")
        time.sleep(0.3)
        sample = self.take(self.postgresql)
        self.assertGreaterEqual(sample.hidden_backends, 2)
        self.assertGreaterEqual(sample.blocked_age, 0.2)

    def test_alert_about_a_visible_session_closes_beside_hidden_ones(self):
        self.set_rule("idle_in_transaction_age", warning=0.2, good_samples=1)
        self.client(connect()).cursor().execute("BEGIN; SELECT txid_current()")
        idle = self.client(connect(user="odoo"))
        idle.cursor().execute("BEGIN; SELECT txid_current()")
        time.sleep(0.3)
        self.take(self.postgresql)
        alert = self.Alert.search([("rule", "=", "idle_in_transaction_age")])
        self.assertTrue(alert)
        self.assertNotIn("sessions of other roles", alert.queries)
        idle.cursor().execute("ROLLBACK")
        with self.clock_forward(60):
            self.assertEqual(self.take(self.postgresql).level, "unknown")
        self.assertTrue(alert.closed_at)

    def test_old_transaction(self):
        self.grant_monitor()
        self.set_rule("xact_age", warning=0.2, samples=1, of_samples=1)
        self.client(connect(user="odoo", application_name="sleeper")).cursor().execute("BEGIN; SELECT txid_current()")
        time.sleep(0.3)
        self.take(self.postgresql)
        self.Alert._notify()
        [message] = self.messages(self.postgresql)
        self.assertIn("Warning: Oldest Transaction", message.subject)
        self.assertIn("sleeper", message.body)

    def test_postgresql_pressure(self):
        self.set_rule("postgresql_pressure", warning=0.1, samples=1, of_samples=1)
        sample = self.take(self.postgresql)
        self.Alert._notify()
        [message] = self.messages(self.postgresql)
        self.assertIn(f"Connections in use: {sample.used:.0f} of 97", message.body)

    def test_pool_growth(self):
        """Connections in use, plus those that the pools can still open."""
        self.set_rule("pool_growth", warning=0.1, samples=1, of_samples=1)
        for _number in range(2):
            self.client(connect_pooled(dbname=TILL)).cursor().execute("BEGIN")
        both = self.postgresql + self.endpoint
        with mute_logger(SAMPLER):
            self.Sample._sample(both)
        growth = 0
        for pool in self.Sample.search([("endpoint_id", "=", self.endpoint.id), ("user", "!=", False)]):
            servers = pool.used + pool.sv_idle + pool.sv_used + pool.sv_tested + pool.sv_login
            growth += max(pool.capacity - servers, 0) if servers else 0
        self.assertGreaterEqual(growth, 3)
        alert = self.Alert.search([("rule", "=", "pool_growth")])
        used = self.postgresql.used
        self.assertAlmostEqual(alert.worst_value, (used + growth) / 0.97, 3)
        self.endpoint.port = closed_port()
        for minute in (1, 2, 3, 4):
            with mute_logger(SAMPLER), self.clock_forward(60 * minute):
                self.Sample._sample(both)
        self.assertFalse(alert.closed_at, "unknown")
