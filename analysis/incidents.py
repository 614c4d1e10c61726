"""When what the samples of a server show is an incident, and when the incident is over."""

import math
from typing import NamedTuple

from .pressure import LEVELS, level, severity

# Severities as digits: of what is well, what is not known, and what an alert is about.
WELL, UNKNOWN, *BAD = "0123"
# Rules about a queue, which is in a pool, and so in its database, too.
QUEUES = ("waiting_samples", "maxwait")

# An incident is over once a value has fallen to less than this share of the lowest threshold: what
# sways around a threshold is one incident, not many. A judgement, with no source in the field.
HYSTERESIS = 0.9


class Rule(NamedTuple):
    """When a value is bad, when that is an alert, and when the alert is over."""

    thresholds: tuple  # (warning, critical); one of them may be None, for never
    samples: int = 1  # in so many samples …
    of_samples: int = 1  # … of the last so many
    good_samples: int = 1  # over after so many in a row
    is_count: bool = False  # its value is a number of samples in a row

    @property
    def lowest(self):
        """The lowest threshold."""
        return min(threshold for threshold in self.thresholds if threshold is not None)

    @property
    def limit(self):
        """Below this value an incident may end."""
        limit = HYSTERESIS * self.lowest
        # Of a threshold of a few samples, one less is still too near.
        return math.floor(limit) if self.is_count else limit


def severity_code(value, rule):
    """The severity of a value in a history: also of one that is not bad, but too near to the lowest
    threshold for an incident to end, it is not known whether it is well."""
    if bad := severity(level(value, rule.thresholds)):
        return str(bad)
    return WELL if value <= 0 or value < rule.limit else UNKNOWN


def violations(tables, rules):
    """Return what breaks a rule in the samples of one endpoint, or is too near to it for an incident to end.

    :param list tables: Samples of the instance, of its pools and of its databases
    :param dict rules: name -> Rule
    :return: (rule, database, user) -> (`severity_code`, row of `Samples.row`)
    """
    is_paused = tables[0].row(0).get("is_paused")
    found, of_pools = {}, {}
    for name, code, row in _suspects(tables, rules):
        database, user = row.get("database"), row.get("user")
        if name == "paused_samples" and database:
            # A database is paused, never a pool alone. While the instance is, that is unknown.
            user, code = None, UNKNOWN if is_paused else code
        elif name == "pgbouncer_pressure" and database and row["waiting"] == 0:
            continue  # servers that nobody waits for have reached a limit: that hurts nobody
        elif name in QUEUES and user:
            of_pools[name, database] = max(code, of_pools.get((name, database), WELL))
        elif name in QUEUES and of_pools.get((name, database), WELL) >= code:
            code = UNKNOWN  # its pools report who waits
        found[name, database, user] = code, row
    return found


def _suspects(tables, rules):
    """Yield rule, severity code and row of each value that is not surely OK."""
    for samples in tables:
        for name, values in samples.values.items():
            if rule := rules.get(name):
                limit = rule.limit
                for number, value in enumerate(values):
                    if value is None or value > 0 and value >= limit:  # nearly all are below: they cost a comparison
                        yield name, severity_code(value, rule), samples.row(number)


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

    def count_all(self, name, keys, are_so):
        """Return the `count` of each key: in how many samples in a row it has been so.

        :param keys: (database, user) of each sample
        :param are_so: whether it is so, in each of them
        """
        return [self.count((name, *key), True) if is_so else 0 for key, is_so in zip(keys, are_so, strict=True)]

    def add(self, found, others, length, uncertain=()):
        """Add this sample to ``histories``: key -> text of digits, the severities of the last
        samples, the newest last. What is not there was well in all of them.

        :param dict found: key -> `severity_code` of what is not well
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
