from unittest import TestCase

from analysis.standstill import DELIBERATE, Facts, likely_reason


class TestStandstill(TestCase):
    def test_likely_reason(self):
        off = {"is_active": False}
        cases = [
            ("deleted", {"exists": False, "is_active": False}),
            ("neutralized", off | {"is_neutralized": True, "is_changed": True}),
            ("off", off | {"is_changed": True, "workers": 0}),
            ("deactivated", off),
            ("running", {"running": [4, 7], "id": 7, "is_recent": True, "failures": 1}),
            ("failing", {"is_recent": True, "failures": 3}),
            ("no_samples", {"is_recent": True, "running": [4]}),
            ("modules", {"waiting": ["sale"], "is_planned": True, "workers": 0}),
            ("outdated", {"is_outdated": True, "failures": 3}),
            ("planned", {"is_planned": True, "running": [4]}),
            # Another server has cron workers.
            ("busy", {"running": [4], "id": 7, "workers": 0, "did_others_run": True}),
            ("skipped", {"did_others_run": True, "workers": 0, "is_served": False}),
            ("no_workers", {"workers": 0, "is_served": False}),
            ("not_served", {"is_served": False, "ended": 2}),
            ("ended", {"ended": 2}),
            ("stopped", {"ended": 1}),
            ("stopped", {"is_neutralized": True}),
        ]
        for code, facts in cases:
            with self.subTest(code, **facts):
                self.assertEqual(likely_reason(Facts(**facts)), code)
        self.assertLess(set(DELIBERATE), {code for code, _facts in cases})
