from unittest import TestCase

from analysis.incidents import Rule
from analysis.samples import Samples, growth, judge, known

RULES = {"maxwait": Rule((1, 5)), "pgbouncer_pressure": Rule((None, 90))}


class TestSamples(TestCase):
    def judged(self, unknown=None, rules=RULES, **values):
        samples = Samples(len(next(iter(values.values()))), {}, values)
        judge(samples, rules, unknown)
        return samples.columns["level"], samples.columns["reason"]

    def test_known(self):
        self.assertEqual(known(sum, [1, 2]), 3)
        self.assertIsNone(known(max, [1, None]))

    def test_row(self):
        samples = Samples(2, {"used": [1, 2], "waiting": [3, None]}, {"maxwait": [4, 5]})
        self.assertEqual(samples.row(1), {"used": 2, "waiting": None, "values": {"maxwait": 5}})
        single = Samples.single({"used": 1}, {"maxwait": 2})
        self.assertEqual((single.count, single.row(0)), (1, {"used": 1, "values": {"maxwait": 2}}))

    def test_level_and_reason(self):
        levels, reasons = self.judged(maxwait=[0.9, 1, 5, None])
        self.assertEqual(levels, ["ok", "warning", "critical", "unknown"])
        values = [{"rule": "maxwait", "value": 1}, {"rule": "maxwait", "value": 5}]
        self.assertEqual(reasons, [None, *values, {"rule": "maxwait"}])

    def test_worst_value_counts(self):
        levels, reasons = self.judged(maxwait=[2, 2, None, None], pgbouncer_pressure=[89, 90, 90, None])
        self.assertEqual(levels, ["warning", "critical", "critical", "unknown"])
        self.assertEqual(
            [facts["rule"] for facts in reasons],
            ["maxwait", "pgbouncer_pressure", "pgbouncer_pressure", "maxwait"],
            "the first of those that are as bad",
        )

    def test_value_without_a_rule(self):
        self.assertEqual(self.judged(xact_age=[None, 1000]), (["ok", "ok"], [None, None]))
        self.assertEqual(self.judged(maxwait=[9], rules={}), (["ok"], [None]))

    def test_threshold_zero(self):
        self.assertEqual(self.judged(maxwait=[0, 0.1], rules={"maxwait": Rule((0, None))})[0], ["ok", "warning"])

    def test_value_that_may_be_higher(self):
        levels, reasons = self.judged({"maxwait": [0, 1], "pressure": [1, 2]}, maxwait=[0, 1, 0])
        self.assertEqual(levels, ["unknown", "warning", "unknown"])
        self.assertEqual(reasons, [{"rule": "maxwait"}, {"rule": "maxwait", "value": 1}, {"rule": "pressure"}])

    def test_no_samples(self):
        self.assertEqual(self.judged(maxwait=[]), ([], []))

    def test_growth(self):
        before = {"read_at": 100, "counts": {"shop": [1, 2]}}
        self.assertEqual(growth({"read_at": 160, "counts": {"shop": [3, 2]}}, before), (60, {"shop": [2, 0]}))
        for read_at, counts, reason in ((100, [3, 2], "at the same time"), (160, [0, 2], "restarted")):
            self.assertEqual(growth({"read_at": read_at, "counts": {"shop": counts}}, before), (None, None), reason)
        self.assertEqual(growth(before, {}), (None, None), "the first sample")
        counters = {"read_at": 160, "counts": {"shop": [3, 1]}}
        self.assertEqual(growth(counters, before, times={1}), (60, {"shop": [2, None]}), "the clock was put back")
