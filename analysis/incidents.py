"""When samples of a server are an incident, and when the incident is over."""

import math
from typing import NamedTuple

from .pressure import LEVELS, level, severity

# Severity codes: OK, unknown, and those that an alert is about: warning and critical.
OK, UNKNOWN, *BAD = "0123"
# Rules about a queue: a queue of a pool is also one of its database.
QUEUES = ("waiting_samples", "maxwait")

# An incident is over when a value falls below this share of the lowest threshold: a value that moves around a threshold
# is one incident, not many. A judgement of our own, without a source.
HYSTERESIS = 0.9


class Rule(NamedTuple):
    """When a value is bad, when an alert opens, and when it closes."""

    thresholds: tuple  # (warning, critical); one of them may be None: never reached
    samples: int = 1  # an alert opens if a threshold is reached in this number of samples …
    of_samples: int = 1  # … out of this number of the last ones
    good_samples: int = 1  # and closes after this number of good samples in a row
    is_count: bool = False  # the value is a number of samples in a row

    @property
    def lowest(self):
        """The lowest threshold, from which a value is bad."""
        return min(threshold for threshold in self.thresholds if threshold is not None)

    @property
    def limit(self):
        """Below this value an incident may end."""
        limit = HYSTERESIS * self.lowest
        # For a number of samples, one below the threshold is not good yet.
        return math.floor(limit) if self.is_count else limit


def severity_code(value, rule):
    """Return the severity code of a value: UNKNOWN also for a value that is too close to the lowest threshold for an
    incident to end."""
    if bad := severity(level(value, rule.thresholds)):
        return str(bad)
    return OK if value <= 0 or value < rule.limit else UNKNOWN


def violations(tables, rules):
    """Return what violates a rule in the samples of one endpoint, or is too close to that for an incident to end.

    :param list tables: Samples of the instance, of its pools and of its databases
    :param dict rules: name -> Rule
    :return: (rule, database, user) -> (`severity_code`, `Samples.row`)
    """
    is_paused = tables[0].row(0).get("is_paused")
    found, of_pools = {}, {}
    for name, code, row in _suspects(tables, rules):
        database, user = row.get("database"), row.get("user")
        if name == "paused_samples" and database:
            # Databases are paused, not single pools. Unknown while the instance is paused.
            user, code = None, UNKNOWN if is_paused else code
        elif name in QUEUES and user:
            of_pools[name, database] = max(code, of_pools.get((name, database), OK))
        elif name in QUEUES and of_pools.get((name, database), OK) >= code:
            code = UNKNOWN  # reported by its pools
        found[name, database, user] = code, row
    return found


def _suspects(tables, rules):
    """Yield rule, severity code and row of each value that is not OK."""
    for samples in tables:
        for name, values in samples.values.items():
            if rule := rules.get(name):
                limit = rule.limit
                for number, value in enumerate(values):
                    if value is None or value > 0 and value >= limit:  # most are below: one comparison each
                        yield name, severity_code(value, rule), samples.row(number)


class Memory:
    """What the last samples of a server say about the next one: in how many of them a condition held, and how severe
    they were.

    Keys are tuples of texts and None.

    :param dict kept: what ``keep`` returned, None for a server that was not sampled before
    :param float now: the time of this sample, in seconds
    :param float every: the seconds between two samples: a sample that comes earlier repeats the one before
    :param float patience: the seconds after which a sample is missing: whether a condition held in the gap is unknown
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

    def count(self, key, holds):
        """Return in how many samples in a row a condition holds, this one included."""
        if not holds:
            return 0
        self.counts[key] = max(self.before.get(key, 0) + (not self.is_repeat), 1)
        return self.counts[key]

    def count_all(self, name, keys, conditions):
        """Return the `count` of each key.

        :param keys: (database, user) of each sample
        :param conditions: whether the condition holds in each sample
        """
        return [self.count((name, *key), True) if holds else 0 for key, holds in zip(keys, conditions, strict=True)]

    def add(self, found, others, length, uncertain=()):
        """Add this sample to ``histories``: key -> text of the severity codes of the last samples, the newest last. A
        missing key was OK in all of them.

        :param dict found: key -> `severity_code` of what is not OK
        :param str others: the code of all other keys
        :param int length: how many samples are kept
        :param uncertain: keys whose severity is unknown after a gap
        """
        before = dict.fromkeys(uncertain, UNKNOWN * length) if self.is_gap else self.histories
        self.histories = {}
        for key in before.keys() | found.keys():
            past, now = before.get(key, OK).rjust(length, OK), found.get(key, others)
            if self.is_repeat:  # keep the worse of the two
                past, now = past[:-1], max(past[-1], now)
            history = (past + now)[-length:]
            if history.strip(OK):
                self.histories[key] = history

    def keep(self):
        """Return what the next Memory needs, as a dictionary that JSON can hold."""
        return {"judged_at": self.judged_at} | {
            name: [[*key, value] for key, value in getattr(self, name).items()] for name in ("counts", "histories")
        }


def alert_level(history, rule):
    """Return the level of the alert that a history requires, "ok" for none. The newest sample must be bad; unknown
    samples are neither bad nor good."""
    worst = sorted(history[-rule.of_samples :], reverse=True)[rule.samples - 1]
    reached = min(worst, history[-1])
    return LEVELS[int(reached)] if reached in BAD else "ok"


def is_over(history, rule):
    """Return whether an alert ends with the newest sample of a history."""
    return not history[-rule.good_samples :].strip(OK)
