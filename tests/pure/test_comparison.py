from analysis import comparison
from analysis.comparison import DAY, HOUR, MINUTE

NOW = 1_000_000


def test_what_is_wrong_with_periods():
    for first, second, seconds, code in (
        (0, HOUR, HOUR, None),
        (HOUR, 0, HOUR, None),  # in any order
        (0, 1, HOUR, None),  # they may overlap
        (0, NOW - 1, HOUR, None),  # a period that lasts
        (0, NOW, HOUR, "future"),
        (NOW, 0, HOUR, "future"),
        (HOUR, HOUR, HOUR, "same"),
        (None, 0, HOUR, "no_start"),
        (0, None, HOUR, "no_start"),
        (0, HOUR, 0, "no_duration"),
        (0, HOUR, -1, "no_duration"),
        (0, HOUR, 400 * DAY, None),
        (0, HOUR, 400 * DAY + 1, "too_long"),
        (0, None, 10**30, "too_long"),
    ):
        assert comparison.problem(first, second, seconds, NOW) == code, (first, second, seconds)


def test_default_length():
    for available, seconds in (
        (0, 600),
        (1300, 600),
        (2500, 1200),
        (2 * HOUR, HOUR),
        (5 * HOUR, 2 * HOUR),
        (2 * DAY, DAY),
        (400 * DAY, DAY),
    ):
        assert comparison.default_seconds(available) == seconds, available


def test_units():
    assert comparison.in_units(2 * DAY) == (2, DAY)
    assert comparison.in_units(36 * HOUR) == (36, HOUR)
    assert comparison.in_units(90 * MINUTE) == (90, MINUTE)


def test_width_of_a_point():
    for seconds, is_merged, width in (
        (MINUTE, False, MINUTE),
        (5 * HOUR, False, MINUTE),
        (5 * HOUR + 1, False, 10 * MINUTE),
        (MINUTE, True, HOUR),
        (12 * DAY, True, HOUR),
        (14 * DAY, False, 6 * HOUR),
        (comparison.MAX_SECONDS, False, 2 * DAY),
    ):
        assert comparison.step(seconds, is_merged) == width, (seconds, is_merged)
        assert seconds / width <= comparison.MAX_POINTS


def test_ratio():
    assert comparison.ratio(2, 5, 0) == 2.5
    assert comparison.ratio(2, 0, 0) == 0
    assert comparison.ratio(0.01, 5, 2) == 500
    for first, second in ((0, 5), (0, 0), (None, 5), (2, None), (None, None), (0.001, 30)):
        assert comparison.ratio(first, second, 2) is None


def test_covered_part():
    assert comparison.covered(0, HOUR, None, 0, 90) == 0
    assert comparison.covered(0, HOUR, 50, 3550, 90) == HOUR
    assert comparison.covered(0, HOUR, 50, 3500, 90) == HOUR, "a sampler runs late"
    assert comparison.covered(0, HOUR, 1800, 1800, 90) == 1890, "half of it"
    assert comparison.covered(1800, HOUR, 0, 1800, 90) == 1800, "a merged hour that began before"


def test_line():
    minute = [(0, 5, 10, 10), (1, None, 76, 76), (3, 7, 142, 142)]
    assert comparison.line(minute, 60, 90) == [[0, 5], [1, None], [3, 7]], "unknown is a gap, a late sample is none"
    gap = [(0, 5, 0, 0), (3, 7, 180, 180)]
    assert comparison.line(gap, 60, 90) == [[0, 5], [2.5, None], [3, 7]]
    hours = [(0, 5, 0, 3600), (1, 7, 3600, 7200)]
    assert comparison.line(hours, 3600, 90) == [[0, 5], [60, 7]]
    assert comparison.line([], 60, 90) == []
