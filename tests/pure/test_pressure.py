from unittest import TestCase

from analysis import pressure


class TestPressure(TestCase):
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
        self.assertEqual(pressure.increase({"shop": [12, 99]}, before, times={1}), {"shop": [2, None]}, "its clock")
        self.assertEqual(pressure.increase({"shop": [12, 100, 7]}, before), {"shop": [2, 0, None]}, "a new counter")
        self.assertIsNone(pressure.increase({"shop": [12, 100]}, None), "nothing before")

    def test_mean_duration(self):
        self.assertEqual(pressure.mean_duration(3, 2), 1500)
        self.assertIsNone(pressure.mean_duration(0, 2), "they run")
        self.assertIsNone(pressure.mean_duration(3, 0), "it began before")
        self.assertIsNone(pressure.mean_duration(None, 2))
        self.assertIsNone(pressure.mean_duration(3, None))

    def test_waiting_between_samples(self):
        self.assertEqual(pressure.mean_waiting(100, 50), 2)
        self.assertIsNone(pressure.mean_waiting(None, 50))
        self.assertIsNone(pressure.mean_waiting(100, 0))
        self.assertIsNone(pressure.mean_waiting(100, -60), "the clock was set back")
