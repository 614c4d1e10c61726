"""The arithmetic of two periods of equal length. All times are in seconds since the epoch."""

MINUTE, HOUR, DAY = 60, 3600, 86400
MAX_SECONDS = 400 * DAY
# Width of a point in a graph, and how many of them a line has at most.
STEPS = (MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY, 2 * DAY)
MAX_POINTS = 300
# What is left out at the ends of a period, as a share of it, until it is worth a word.
ROUNDING = 0.02


def problem(first, second, seconds, now):
    """Return the code of what is wrong with two periods, None if they can be compared.

    :param first: and ``second``: when they start, None if that is not chosen
    :param seconds: their length
    """
    if seconds <= 0:
        return "no_duration"
    if seconds > MAX_SECONDS:
        return "too_long"
    if first is None or second is None:
        return "no_start"
    if max(first, second) >= now:
        return "future"
    return "same" if first == second else None


def default_seconds(available):
    """Return the length of the periods that are compared at first: a day, or the largest round part of it of which
    there are samples for two periods, if possible.

    :param available: how long there have been samples
    """
    half = min(available / 2, DAY)
    unit = next((unit for unit in (HOUR, 10 * MINUTE) if half >= unit), None)
    return int(half // unit * unit) if unit else 10 * MINUTE


def in_units(seconds):
    """Return a length as a number and its unit, the largest that divides it."""
    unit = next(unit for unit in (DAY, HOUR, MINUTE) if seconds % unit == 0)
    return seconds // unit, unit


def step(seconds, is_merged):
    """Return the width of a point in a graph of periods.

    :param bool is_merged: whether there are only merged hours in a part of them
    """
    shortest = HOUR if is_merged else MINUTE
    return next(width for width in STEPS if width >= shortest and seconds <= width * MAX_POINTS)


def ratio(first, second, decimals):
    """Return second / first, None if that is unknown.

    :param int decimals: that are shown: what is shown as 0 is no base of a ratio
    """
    if first is None or second is None or not round(first, decimals):
        return None
    return second / first


def covered(start, seconds, first, between, gap):
    """Return for how long a period has samples: a number of seconds. A sample stands for the time until the next one,
    and the first one also for the time before it, up to the length of a gap.

    :param first: time of the first sample, None if there is none
    :param between: seconds that all samples stand for, up to a gap each
    :param gap: the longest time between two samples that is no gap
    """
    if first is None:
        return 0
    total = between + min(max(first - start, 0), gap)
    return seconds if total >= seconds * (1 - ROUNDING) else total


def line(buckets, width, gap):
    """Return the points of a line, with a point of None in each gap.

    :param list buckets: number, value (None if it is unknown), the time of its first sample, and the time until which
        its samples stand; in the order of time
    :param width: of a bucket in seconds
    :param gap: the longest time between two samples that is no gap
    :return: a list of minutes since the start of the period, and values
    """
    points, until = [], None
    for number, value, first, end in buckets:
        minute = number * width / MINUTE
        if until is not None and first - until > gap:
            points.append([minute - width / MINUTE / 2, None])
        points.append([minute, value])
        until = end
    return points
