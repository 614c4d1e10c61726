"""Connection pressure: how much is asked of a server, in percent of what it can give.

Plain functions, without I/O and without Odoo. None is "unknown" everywhere: nothing that
could not be read becomes a number or an "ok".
"""

import math
from typing import NamedTuple

# From harmless to worst. What is unknown may hide anything, so it is worse than "ok".
LEVELS = ("ok", "unknown", "warning", "critical")
# Severities as digits: of what is well, what is not known, and what an alert is about.
WELL, UNKNOWN, *BAD = "0123"

# An incident is over once a value has fallen to less than this share of the lowest threshold: what
# sways around a threshold is one incident, not many. A judgement, with no source in the field.
HYSTERESIS = 0.9


class Rule(NamedTuple):
    """When a value is bad, when that is an alert, and when the alert is over."""

    thresholds: tuple  # (warning, critical); None for what is never reached
    samples: int = 1  # in so many samples …
    of_samples: int = 1  # … of the last so many
    good_samples: int = 1  # over after so many in a row
    is_count: bool = False  # its value is a number of samples in a row


def postgresql_capacity(max_connections, superuser_reserved_connections, reserved_connections=0):
    """How many connections PostgreSQL has for ordinary roles: what is neither kept for
    superusers nor, since version 16, for pg_use_reserved_connections.

    PostgreSQL does not start with more reserved slots than there are: such an answer is unknown.
    """
    if max_connections is None or superuser_reserved_connections is None:
        return None
    capacity = max_connections - superuser_reserved_connections - (reserved_connections or 0)
    return capacity if capacity > 0 else None


def pressure(demand, capacity):
    """Demand in percent of capacity: above 100 somebody waits. None if either is unknown, or
    if there is no limit, which is how PgBouncer reads a limit of 0."""
    if demand is None or not capacity:
        return None
    return 100.0 * demand / capacity


def level(value, thresholds):
    """The level of a measured value.

    :param thresholds: (warning, critical); each of them may be None, for never. A threshold of 0
        is reached by whatever is more than 0.
    """
    if value is None:
        return "unknown"
    warning, critical = thresholds
    if value > 0 and critical is not None and value >= critical:
        return "critical"
    return "warning" if value > 0 and warning is not None and value >= warning else "ok"


def severity(level):
    """A number that is the higher the worse a level is."""
    return LEVELS.index(level)


def increase(now, before, times=0):
    """How much counters grew between two readings of one server.

    :param dict now: name -> list of counters, each of which only grows; None for one that is unknown
    :param dict before: those of the reading before; None if there was none
    :param int times: how many of them, the last ones, are measured by the server's clock: if that was put back,
        they go down
    :return: name -> list of differences, None for one that is unknown. A name that is new has counted from 0 since.
        None if a counter went down: the server or its statistics were started anew, and what was counted in between
        cannot be known.
    """
    if before is None:
        return None
    increases = {}
    for name, values in now.items():
        old = before.get(name, [0] * len(values))
        grown = [None if None in pair else pair[0] - pair[1] for pair in zip(values, old, strict=True)]
        if any(growth is not None and growth < 0 for growth in grown[: len(grown) - times]):
            return None
        increases[name] = [None if growth is None or growth < 0 else growth for growth in grown]
    return increases


def mean_waiting(waited_seconds, interval):
    """How many clients waited on average: the seconds that all of them together waited, per
    second. It sees a queue that came and went between two looks (Little's law).

    PgBouncer counts a wait when it ends, so a long one counts where it ended.
    """
    if waited_seconds is None or not interval or interval <= 0:
        return None
    return waited_seconds / interval


def digit(value, rule):
    """The severity of a value in a history: also of one that is not bad, but too near to the lowest
    threshold for an incident to end, it is not known whether it is well."""
    if bad := severity(level(value, rule.thresholds)):
        return str(bad)
    limit = HYSTERESIS * min(threshold for threshold in rule.thresholds if threshold is not None)
    # Of a threshold of a few samples, one less is still too near.
    limit = math.floor(limit) if rule.is_count else limit
    return WELL if value <= 0 or value < limit else UNKNOWN


class Memory:
    """What the last samples of a server tell about the next one: in how many of them something
    has been so, and how bad they were.

    Keys are tuples of texts and None.

    :param dict kept: what ``keep`` returned; None if there is nothing
    :param float now: the time of this sample, in seconds
    :param float every: the seconds between two samples: looks that follow each other more quickly
        do not make more of it
    :param float patience: the seconds after which a sample is missing: after a gap nobody knows
        whether something was so all the time
    """

    def __init__(self, kept, now, every, patience):
        elapsed = now - kept["judged_at"] if kept else math.inf
        self.is_gap = not 0 <= elapsed <= patience
        self.is_repeat = not self.is_gap and elapsed < every / 2
        self.judged_at = kept["judged_at"] if self.is_repeat else now
        self.before, self.histories = (
            ({}, {})
            if self.is_gap
            else ({tuple(key): value for *key, value in kept[name]} for name in ("counts", "histories"))
        )
        self.counts = {}

    def count(self, key, is_so):
        """:return: in how many samples in a row it has been so, this one included"""
        if not is_so:
            return 0
        self.counts[key] = max(self.before.get(key, 0) + (not self.is_repeat), 1)
        return self.counts[key]

    def add(self, found, others, length, uncertain=()):
        """Add this sample to ``histories``: key -> text of digits, the severities of the last
        samples, the newest last. What is not there was well in all of them.

        :param dict found: key -> `digit` of what is not well
        :param str others: the digit of all that is not found
        :param int length: how many samples are remembered
        :param uncertain: keys of which nobody knows after a gap whether they were well
        """
        before = dict.fromkeys(uncertain, UNKNOWN * length) if self.is_gap else self.histories
        self.histories = {}
        for key in before.keys() | found.keys():
            past, now = before.get(key, WELL).rjust(length, WELL), found.get(key, others)
            if self.is_repeat:  # the worse of the two counts
                past, now = past[:-1], max(past[-1], now)
            history = (past + now)[-length:]
            if history.strip(WELL):
                self.histories[key] = history

    def keep(self):
        """:return: what JSON can hold"""
        return {"judged_at": self.judged_at} | {
            name: [[*key, value] for key, value in getattr(self, name).items()] for name in ("counts", "histories")
        }


def alert_level(history, rule):
    """The level of an alert that the samples of a history, the newest of them included, call for:
    "ok" for none. What is unknown is neither bad nor good."""
    worst = sorted(history[-rule.of_samples :], reverse=True)[rule.samples - 1]
    reached = min(worst, history[-1])
    return LEVELS[int(reached)] if reached in BAD else "ok"


def is_over(history, rule):
    """Whether an alert ends with the newest sample of a history."""
    return not history[-rule.good_samples :].strip(WELL)
