from unittest import TestCase

from analysis.incidents import Rule
from analysis.postgresql_samples import ACTIVITY_COLUMNS, postgresql_samples

ROW = {
    "role": "odoo",
    "max_connections": 100,
    "superuser_reserved_connections": 3,
    "reserved_connections": 0,
    "started_at": 1.0,
    "notification_queue_usage": 0.5,
    "client_backends": 12,
    "hidden_backends": 0,
    "untracked_backends": 0,
    "track": None,
    "active_backends": 2,
    "idle_backends": 9,
    "idle_in_transaction_backends": 1,
    "blocked_backends": 0,
    "xact_age": 4.5,
    "idle_in_transaction_age": None,
    "blocked_age": 0,
}
RULES = {"postgresql_pressure": Rule((75, 90)), "xact_age": Rule((60, 600)), "blocked_age": Rule((5, 30))}
SESSIONS = {
    "datid": "1",
    "stats_reset": None,
    "sessions": 10,
    "sessions_abandoned": 1,
    "sessions_fatal": 0,
    "sessions_killed": None,
}


class TestPostgresqlSamples(TestCase):
    def sample(self, rules=RULES, **values):
        [instance], _counters = postgresql_samples(ROW | values, [], 100, {}, rules)
        return instance.row(0)

    def test_sample(self):
        sample = self.sample()
        self.assertEqual((sample["used"], sample["capacity"], sample["level"], sample["reason"]), (12, 97, "ok", None))
        self.assertAlmostEqual(sample["pressure"], 1200 / 97)
        self.assertEqual([sample[name] for name in ACTIVITY_COLUMNS], [2, 9, 1, 0, 4.5, 0], "no session is idle: 0 s")
        self.assertEqual((sample["blocked_age"], sample["notification_queue_usage"]), (0, 0.5))
        self.assertEqual(sample["values"]["xact_age"], 4.5)
        self.assertNotIn("sessions", sample)

    def test_level(self):
        sample = self.sample(xact_age=90)
        self.assertEqual((sample["level"], sample["reason"]), ("warning", {"rule": "xact_age", "value": 90}))
        self.assertEqual(self.sample(client_backends=97)["level"], "critical")
        sample = self.sample(max_connections=None)
        self.assertEqual((sample["level"], sample["reason"]), ("unknown", {"rule": "postgresql_pressure"}))

    def test_hidden_sessions(self):
        for values, code, params in (
            ({"hidden_backends": 3}, "hidden", {"count": 3, "role": "odoo"}),
            ({"untracked_backends": 2, "track": "ALTER;"}, "untracked", {"count": 2, "remedy": "ALTER;"}),
            ({"hidden_backends": 1, "untracked_backends": 2}, "hidden", {"count": 1, "role": "odoo"}),
        ):
            sample = self.sample(**values)
            self.assertEqual(sample["level"], "unknown", "one of them may be older")
            self.assertEqual(sample["reason"], {"rule": "xact_age", "code": code, "params": params})
            self.assertFalse(sample.keys() & set(ACTIVITY_COLUMNS))
            self.assertEqual(sample["values"]["xact_age"], 4.5, "what is visible is judged")
            self.assertEqual(self.sample(xact_age=600, **values)["reason"], {"rule": "xact_age", "value": 600})
            self.assertEqual(self.sample({"blocked_age": Rule((5, 30))}, **values)["level"], "ok", "no rule needs it")

    def test_number_of_hidden_sessions_is_unknown(self):
        sample = self.sample(hidden_backends=None)
        self.assertEqual((sample["level"], sample["reason"]), ("unknown", {"rule": "xact_age"}))

    def growth(self, databases, reset=None, read_at=160):
        _instance, before = postgresql_samples(ROW, [SESSIONS], 100, {}, RULES)
        databases = [SESSIONS | {"stats_reset": reset} | values for values in databases]
        [instance], _counters = postgresql_samples(ROW, databases, read_at, before, RULES)
        return [instance.row(0).get(name) for name in ("interval", "sessions", "sessions_abandoned", "sessions_killed")]

    def test_growth(self):
        new = {"datid": "2", "sessions": 5, "sessions_killed": 1}
        self.assertEqual(self.growth([{"sessions": 17}, new]), [60, 12, 1, None])
        self.assertEqual(self.growth([{"sessions": 9}]), [None] * 4, "it went down")
        self.assertEqual(self.growth([{"sessions": 17}], reset=150.0), [None] * 4, "the statistics were reset")
        self.assertEqual(self.growth([{"sessions": 17}], read_at=90), [None] * 4, "the clock went back")
