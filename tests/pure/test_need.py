from unittest import TestCase

from planner.inputs import Inputs
from planner.need import MIN_SECONDS, need

# Four workers, two cron workers with four connections each, and the gevent process with two.
EXPECTED, CEILING = 4 + 8 + 2, 7 * 64


class TestNeed(TestCase):
    def code(self, capacity, peak, seconds=MIN_SECONDS, **values):
        return need(Inputs(**values), capacity, peak, seconds).code

    def test_without_a_sample_nothing_is_known(self):
        self.assertEqual(self.code(97, None), "unmeasured")
        self.assertEqual(self.code(None, 5), "unmeasured")

    def test_a_peak_counts_however_short_the_history_is(self):
        self.assertEqual(self.code(100, 75, 60), "peak")
        self.assertEqual(self.code(100, 74, 60), "early")

    def test_settings_count_however_short_the_history_is(self):
        self.assertEqual(self.code(100, 5, 60, workers=65), "settings")
        self.assertEqual(self.code(100, 5, workers=64), "room")

    def test_a_day_without_a_peak_is_enough(self):
        self.assertEqual(self.code(97, 20, MIN_SECONDS - 1), "early")
        self.assertEqual(self.code(97, 20), "room")

    def test_figures(self):
        figures = {"peak": 20, "capacity": 97, "expected": EXPECTED, "ceiling": CEILING}
        self.assertEqual(need(Inputs(), 97, 20, MIN_SECONDS).figures, figures)
