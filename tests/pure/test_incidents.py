import json
from unittest import TestCase

from analysis import incidents
from analysis.samples import Samples


class TestIncidents(TestCase):
    def test_severity_code(self):
        """How near to a threshold a value is still too near for an incident to end."""
        rule = incidents.Rule((75, 90))
        for value, code in ((90, "3"), (89.9, "2"), (75, "2"), (74.9, "1"), (67.5, "1"), (67.4, "0"), (None, "1")):
            self.assertEqual(incidents.severity_code(value, rule), code, value)
        count = incidents.Rule((2, 5), is_count=True)
        for value, code in ((5, "3"), (4, "2"), (2, "2"), (1, "1"), (0, "0")):
            self.assertEqual(incidents.severity_code(value, count), code, value)
        self.assertEqual(incidents.severity_code(0, incidents.Rule((0, None))), "0")
        self.assertEqual(incidents.severity_code(1, incidents.Rule((None, 2), is_count=True)), "1")
        self.assertEqual(incidents.severity_code(0, incidents.Rule((1, None), is_count=True)), "0")

    def test_alert_level(self):
        rule = incidents.Rule((75, 90), samples=2, of_samples=3)
        for history, level in (
            ("002", "ok"),
            ("022", "warning"),
            ("202", "warning"),
            ("220", "ok"),  # the newest is OK
            ("221", "ok"),  # or unknown
            ("032", "warning"),
            ("033", "critical"),
            ("323", "critical"),
            ("212", "warning"),  # unknown is neither bad nor OK
            ("112", "ok"),
            ("2002", "ok"),  # too long ago
        ):
            self.assertEqual(incidents.alert_level(history, rule), level, history)
        self.assertEqual(incidents.alert_level("03", incidents.Rule((75, 90))), "critical", "at once")

    def test_is_over(self):
        rule = incidents.Rule((75, 90), good_samples=3)
        for history, is_over in (("2000", True), ("200", False), ("0100", False), ("0010", False), ("", True)):
            self.assertEqual(incidents.is_over(history, rule), is_over, history)

    def memory(self, kept, now):
        return incidents.Memory(json.loads(json.dumps(kept)), now, every=60, patience=183)

    def test_samples_in_a_row(self):
        memory = self.memory(None, 40)
        self.assertEqual(memory.count(("waits",), True), 1)
        for now, count in ((45, 1), (65, 1), (100, 2), (166, 3), (340, 4), (338, 1), (524, 1), (584, 2)):
            memory = self.memory(memory.keep(), now)
            self.assertEqual(memory.count(("waits",), True), count, now)
        memory = self.memory(memory.keep(), 644)
        self.assertEqual(memory.count(("waits",), False), 0)
        memory = self.memory(memory.keep(), 704)
        self.assertEqual(memory.count(("waits",), True), 1)

    def test_histories(self):
        def add(now, found, others="0"):
            memory = self.memory(self.kept, now)
            memory.add({("pool", None): found} if found else {}, others, 3, uncertain=[("open", "x")])
            self.kept = memory.keep()
            return {key[0]: history for key, history in memory.histories.items()}

        self.kept = None
        self.assertEqual(add(0, "2"), {"pool": "002", "open": "110"}, "unknown before")
        self.assertEqual(add(60, "3"), {"pool": "023", "open": "100"})
        self.assertEqual(add(70, "2"), {"pool": "023", "open": "100"}, "too soon: the worse of the two counts")
        self.assertEqual(add(80, ""), {"pool": "023", "open": "100"})
        self.assertEqual(add(120, "", "1"), {"pool": "231", "open": "001"}, "no answer")
        self.assertEqual(add(180, ""), {"pool": "310", "open": "010"})
        self.assertEqual(add(240, ""), {"pool": "100", "open": "100"})
        self.assertEqual(add(300, ""), {}, "what is OK is not kept")
        add(360, "3")
        self.assertEqual(add(600, "2"), {"pool": "002", "open": "110"}, "after a gap")
        self.assertEqual(add(500, "2"), {"pool": "002", "open": "110"}, "the clock was set back")

    def violations(self, *tables, is_paused=False):
        """:param tables: (columns, values) of pools and of databases: rule -> values"""
        instance = Samples(1, {"is_paused": [is_paused]}, {"pgbouncer_pressure": [50], "paused_samples": [+is_paused]})
        rules = {
            "maxwait": incidents.Rule((1, 5)),
            "paused_samples": incidents.Rule((2, None), is_count=True),
            "pgbouncer_pressure": incidents.Rule((80, 90)),
        }
        tables = [Samples(len(columns["database"]), columns, values) for columns, values in tables]
        found = incidents.violations([instance, *tables], rules)
        return {key: code for key, (code, _row) in found.items()}

    def test_violations(self):
        columns = {"database": ["shop"] * 5, "user": list("abcde")}
        values = {"maxwait": [0.5, 0.9, 1, 7, None], "waiting_samples": [9] * 5}
        expected = {("maxwait", "shop", user): code for user, code in zip("bcde", "1231", strict=True)}
        self.assertEqual(self.violations((columns, values)), expected, "and nothing by a rule that is off")
        instance = Samples.single({"used": 5}, {"maxwait": 6})
        found = incidents.violations([instance], {"maxwait": incidents.Rule((1, 5))})
        self.assertEqual(found, {("maxwait", None, None): ("3", {"used": 5, "values": {"maxwait": 6}})})

    def test_violations_of_a_queue(self):
        """It is in a pool, and so in its database, which only counts if that is worse."""
        pools = {"database": ["shop", "shop"], "user": ["a", "b"]}, {"maxwait": [0, 2]}
        for seconds, code in ((0, None), (2, "1"), (5, "3"), (None, "1")):
            databases = {"database": ["shop", "till"], "user": [None] * 2}, {"maxwait": [seconds, 3]}
            found = self.violations(pools, databases)
            self.assertEqual(found.get(("maxwait", "shop", None)), code, seconds)
            self.assertEqual(found["maxwait", "till", None], "2", "the queue between two samples")
            self.assertEqual(found["maxwait", "shop", "b"], "2")

    def test_violations_of_a_pause(self):
        """A database is paused with all its pools. While the instance is paused, it is unknown whether it is."""
        columns = {"database": ["shop", "shop"], "user": ["a", "b"]}
        for is_paused, expected in (
            (False, {("paused_samples", "shop", None): "2"}),
            (True, {("paused_samples", None, None): "1", ("paused_samples", "shop", None): "1"}),
        ):
            found = self.violations((columns, {"paused_samples": [2, 2]}), is_paused=is_paused)
            self.assertEqual(found, expected)

    def test_count_all(self):
        memory = self.memory(None, 0)
        keys = [("shop", "a"), ("shop", "b")]
        self.assertEqual(memory.count_all("waiting", keys, [True, False]), [1, 0])
        memory = self.memory(memory.keep(), 60)
        self.assertEqual(memory.count_all("waiting", keys, [True, True]), [2, 1])
