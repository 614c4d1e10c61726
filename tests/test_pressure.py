import json

from odoo.tests import BaseCase, tagged

from .. import pressure


@tagged("-at_install", "post_install")
class TestPressure(BaseCase):
    def test_pressure(self):
        self.assertEqual(pressure.pressure(60, 20), 300)
        self.assertEqual(pressure.pressure(0, 20), 0)
        self.assertIsNone(pressure.pressure(60, 0), "no limit")
        self.assertIsNone(pressure.pressure(None, 20))
        self.assertIsNone(pressure.pressure(60, None))

    def test_postgresql_capacity(self):
        self.assertEqual(pressure.postgresql_capacity(100, 3), 97)
        self.assertEqual(pressure.postgresql_capacity(100, 3, 7), 90)
        self.assertIsNone(pressure.postgresql_capacity(5, 3, 2), "reserved slots leave none")
        self.assertIsNone(pressure.postgresql_capacity(None, 3))

    def test_level(self):
        for value, level in ((74.9, "ok"), (75, "warning"), (90, "critical"), (None, "unknown")):
            self.assertEqual(pressure.level(value, (75, 90)), level)
        self.assertEqual(pressure.level(1000, (None, None)), "ok", "never")
        self.assertEqual(pressure.level(91, (None, 90)), "critical")
        self.assertEqual(pressure.level(0, (0, 5)), "ok")
        self.assertEqual(pressure.level(0.1, (0, 5)), "warning", "0 is anything above 0")

    def test_severity(self):
        levels = sorted(["critical", "ok", "warning", "unknown"], key=pressure.severity)
        self.assertEqual(levels, ["ok", "unknown", "warning", "critical"], "what is unknown may hide anything")

    def test_increase(self):
        before = {"shop": [10, 100]}
        self.assertEqual(pressure.increase({"shop": [12, 100]}, before), {"shop": [2, 0]})
        self.assertEqual(pressure.increase({"shop": [12, 100], "new": [3, 4]}, before), {"shop": [2, 0], "new": [3, 4]})
        self.assertIsNone(pressure.increase({"shop": [12, 99]}, before), "restarted")
        self.assertIsNone(pressure.increase({"shop": [9, 100], "other": [1, 1]}, before), "all of it restarted")
        self.assertEqual(pressure.increase({"shop": [12, None]}, before), {"shop": [2, None]}, "that one is missing")
        self.assertEqual(pressure.increase({"shop": [12, 99]}, before, times=1), {"shop": [2, None]}, "its clock")
        self.assertIsNone(pressure.increase({"shop": [12, 100]}, None), "nothing before")

    def test_waiting_between_samples(self):
        self.assertEqual(pressure.mean_waiting(100, 50), 2)
        self.assertIsNone(pressure.mean_waiting(None, 50))
        self.assertIsNone(pressure.mean_waiting(100, 0))
        self.assertIsNone(pressure.mean_waiting(100, -60), "the clock was set back")

    def test_digit(self):
        """How near to a threshold a value is still too near for an incident to end."""
        rule = pressure.Rule((75, 90))
        for value, digit in ((90, "3"), (89.9, "2"), (75, "2"), (74.9, "1"), (67.5, "1"), (67.4, "0"), (None, "1")):
            self.assertEqual(pressure.digit(value, rule), digit, value)
        count = pressure.Rule((2, 5), is_count=True)
        for value, digit in ((5, "3"), (4, "2"), (2, "2"), (1, "1"), (0, "0")):
            self.assertEqual(pressure.digit(value, count), digit, value)
        self.assertEqual(pressure.digit(0, pressure.Rule((0, None))), "0")
        self.assertEqual(pressure.digit(1, pressure.Rule((None, 2), is_count=True)), "1")
        self.assertEqual(pressure.digit(0, pressure.Rule((1, None), is_count=True)), "0")

    def test_alert_level(self):
        rule = pressure.Rule((75, 90), samples=2, of_samples=3)
        for history, level in (
            ("002", "ok"),
            ("022", "warning"),
            ("202", "warning"),
            ("220", "ok"),  # the newest is well
            ("221", "ok"),  # or nobody knows how it is
            ("032", "warning"),
            ("033", "critical"),
            ("323", "critical"),
            ("212", "warning"),  # what is unknown is not bad, nor well
            ("112", "ok"),
            ("2002", "ok"),  # too long ago
        ):
            self.assertEqual(pressure.alert_level(history, rule), level, history)
        self.assertEqual(pressure.alert_level("03", pressure.Rule((75, 90))), "critical", "at once")

    def test_is_over(self):
        rule = pressure.Rule((75, 90), good_samples=3)
        for history, is_over in (("2000", True), ("200", False), ("0100", False), ("0010", False), ("", True)):
            self.assertEqual(pressure.is_over(history, rule), is_over, history)

    def memory(self, kept, now):
        return pressure.Memory(json.loads(json.dumps(kept)), now, every=60, patience=183)

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
        self.assertEqual(add(0, "2"), {"pool": "002", "open": "110"}, "nobody knows how it was before")
        self.assertEqual(add(60, "3"), {"pool": "023", "open": "100"})
        self.assertEqual(add(70, "2"), {"pool": "023", "open": "100"}, "too soon: the worse of the two counts")
        self.assertEqual(add(80, ""), {"pool": "023", "open": "100"})
        self.assertEqual(add(120, "", "1"), {"pool": "231", "open": "001"}, "no answer")
        self.assertEqual(add(180, ""), {"pool": "310", "open": "010"})
        self.assertEqual(add(240, ""), {"pool": "100", "open": "100"})
        self.assertEqual(add(300, ""), {}, "what is well is not remembered")
        add(360, "3")
        self.assertEqual(add(600, "2"), {"pool": "002", "open": "110"}, "after a gap")
        self.assertEqual(add(500, "2"), {"pool": "002", "open": "110"}, "the clock was set back")
