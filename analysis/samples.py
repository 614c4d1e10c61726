"""Samples in columns: how they are judged, and by how much counters grew between two of them."""

from dataclasses import dataclass, field

from . import pressure
from .pressure import LEVELS, severity


def known(combine, values):
    """Return what a function such as sum makes of values, None if one of them is unknown."""
    return None if None in values else combine(values)


@dataclass
class Samples:
    """The samples of an instance, of all its pools, or of all its databases.

    :ivar int count: how many samples there are
    :ivar dict columns: field of connection.sample -> list with the value of each sample, None for unknown; a column
        that is missing is unknown, or not applicable, in all of them
    :ivar dict values: rule -> list with the value of each sample that the rule judges
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

    The facts are the ``rule``, and the ``value`` that reached a threshold. Without a value the level is unknown.

    :param dict rules: name -> incidents.Rule; a value that has no rule is not judged
    :param dict unknown: rule, or field -> numbers of the samples in which the real value may be higher than the
        measured one: their level is unknown, unless the measured value has reached a threshold
    """
    unknown = unknown or {}
    levels, reasons = ["ok"] * samples.count, [None] * samples.count
    for name in dict.fromkeys((*samples.values, *unknown)):
        if rule := name in samples.values and rules.get(name):
            lowest = rule.lowest
            for number, value in enumerate(samples.values[name]):
                if value is None or value >= lowest:  # nearly all are below: they cost one comparison
                    level = pressure.level(value, rule.thresholds)
                    if severity(level) > severity(levels[number]):
                        levels[number] = level
                        reasons[number] = {"rule": name} if value is None else {"rule": name, "value": value}
        for number in unknown.get(name, ()):
            if levels[number] == LEVELS[0]:
                levels[number], reasons[number] = "unknown", {"rule": name}
    samples.columns |= {"level": levels, "reason": reasons}


def growth(counters, before, times=0):
    """Return by how much counters grew since they were read before: (seconds, name -> list); (None, None) if that is
    unknown.

    :param dict counters: ``read_at``, in seconds, and ``counts``: name -> list of counters
    :param dict before: the same of the last time, {} if there was none
    :param int times: see `pressure.increase`
    """
    grown = pressure.increase(counters["counts"], before.get("counts"), times)
    interval = grown and counters["read_at"] - before["read_at"]
    return (interval, grown) if interval and interval > 0 else (None, None)
