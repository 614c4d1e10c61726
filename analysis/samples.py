"""Samples in columns: their level, and the growth of counters between two samples."""

from dataclasses import dataclass, field

from . import pressure
from .pressure import LEVELS, severity


def known(combine, values):
    """Return a function of values, e.g. sum; None if a value is unknown."""
    return None if None in values else combine(values)


@dataclass
class Samples:
    """The samples of an instance, of all its pools, or of all its databases.

    :ivar int count: number of samples
    :ivar dict columns: field of connection.sample -> list with the value of each sample, None for unknown. A missing
        column is unknown or not applicable
    :ivar dict values: rule -> list with the value of each sample that is compared with the thresholds
    """

    count: int
    columns: dict
    values: dict = field(default_factory=dict)

    def row(self, number):
        """Return one sample: field -> value, with its ``values``: rule -> value."""
        row = {name: column[number] for name, column in self.columns.items()}
        return row | {"values": {name: column[number] for name, column in self.values.items()}}

    @classmethod
    def single(cls, row, values):
        """Return Samples of one sample.

        :param dict row: field -> value
        :param dict values: rule -> value
        """
        return cls(1, *({name: [value] for name, value in given.items()} for given in (row, values)))


def judge(samples, rules, unknown=None):
    """Add the columns ``level``, the worst level of the values, and ``reason``: facts, None for OK.

    The facts are the ``rule`` and the ``value`` that reached a threshold; for an unknown level only the ``rule``.

    :param dict rules: name -> incidents.Rule; values without a rule do not count
    :param dict unknown: rule or field -> numbers of the samples whose real value may be higher than the measured one:
        their level is unknown, unless the measured value reached a threshold
    """
    unknown = unknown or {}
    levels, reasons = ["ok"] * samples.count, [None] * samples.count
    for name in dict.fromkeys((*samples.values, *unknown)):
        if rule := name in samples.values and rules.get(name):
            lowest = rule.lowest
            for number, value in enumerate(samples.values[name]):
                if value is None or value >= lowest:  # most are below: one comparison each
                    level = pressure.level(value, rule.thresholds)
                    if severity(level) > severity(levels[number]):
                        levels[number] = level
                        reasons[number] = {"rule": name} if value is None else {"rule": name, "value": value}
        for number in unknown.get(name, ()):
            if levels[number] == LEVELS[0]:
                levels[number], reasons[number] = "unknown", {"rule": name}
    samples.columns |= {"level": levels, "reason": reasons}


def growth(counters, before, times=()):
    """Return the growth of counters since the last reading: (seconds, name -> list), (None, None) if it is unknown.

    :param dict counters: ``read_at``, in seconds, and ``counts``: name -> list of counters
    :param dict before: the same of the last reading, {} if there was none
    :param int times: see `pressure.increase`
    """
    grown = pressure.increase(counters["counts"], before.get("counts"), times)
    interval = grown and counters["read_at"] - before["read_at"]
    return (interval, grown) if interval and interval > 0 else (None, None)
