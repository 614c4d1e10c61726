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

    thresholds: tuple  # (warning, critical); None for what is never reached
    samples: int = 1  # in so many samples …
    of_samples: int = 1  # … of the last so many
    good_samples: int = 1  # over after so many in a row
    is_count: bool = False  # its value is a number of samples in a row


def severity_code(value, rule):
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
