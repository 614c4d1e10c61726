"""What the figures of a stress test say: runs side by side, and ratios of pooled to direct within one turn."""

from collections import defaultdict
from statistics import median
from typing import NamedTuple

SIDES = ("direct", "pooled")


def decimal(number):
    """Return a ratio with as many digits as it is measured."""
    if number >= 10:
        return f"{number:.1f}"
    return f"{number:.2f}" if number >= 0.1 or not number else f"{number:.2g}"


def number(value):
    """Return a number with three digits, in full above 1,000; "–" for None."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


class Ratio(NamedTuple):
    """Pooled divided by direct: of the turns the lowest, the median and the highest."""

    low: float
    median: float
    high: float

    def __str__(self):
        low, middle, high = map(decimal, self)
        return f"**{middle}**" if low == high else f"**{middle}** ({low} to {high})"


class Pair(NamedTuple):
    """The rows of the same measurement on both sides, in the order of the turns."""

    direct: list
    pooled: list

    def values(self, side, value):
        """Return what a function returns for each row of a side, without None."""
        return [number for row in getattr(self, side) if (number := value(row)) is not None]

    def middle(self, side, value):
        """Return the median of the turns, None if nothing was measured."""
        numbers = self.values(side, value)
        return median(numbers) if numbers else None

    def ratio(self, value):
        """Return the Ratio of a value, None if no turn has it on both sides, or if it is 0 directly."""
        pooled = {row["turn"]: value(row) for row in self.pooled}
        ratios = [
            pooled[row["turn"]] / value(row)
            for row in self.direct
            if value(row) and pooled.get(row["turn"]) is not None
        ]
        return Ratio(min(ratios), median(ratios), max(ratios)) if ratios else None


def pairs(rows, *keys):
    """Return the rows of figures by what was measured: the values of ``keys`` -> Pair, sorted."""
    groups = defaultdict(lambda: {side: [] for side in SIDES})
    for row in sorted(rows or [], key=lambda row: row["turn"]):
        groups[tuple(row[key] for key in keys)][row["side"]].append(row)
    return {key: Pair(**groups[key]) for key in sorted(groups)}


def matrix(figures):
    """Return (workers, has_db_filter, users) -> Pair, those with workers first."""
    found = pairs(figures.get("matrix"), "workers", "has_db_filter", "users")
    return dict(sorted(found.items(), key=lambda item: (-item[0][0], item[0][1:])))


def groups(figures):
    """Return (workers, has_db_filter) -> {users: Pair}, those with workers first."""
    found = defaultdict(dict)
    for (workers, has_db_filter, users), pair in matrix(figures).items():
        found[workers, has_db_filter][users] = pair
    return dict(found)


def clients_at_once(figures):
    """Return the number of clients -> Pair."""
    return {clients: pair for (clients,), pair in pairs((figures.get("raw") or {}).get("at_once"), "clients").items()}


def storms(figures):
    """Return "new" and "kept" -> Pair."""
    found = pairs((figures.get("raw") or {}).get("storm"), "connections")
    return {kind: found[kind,] for kind in ("new", "kept") if (kind,) in found}


def failures(run):
    return sum(run["failures"].values()) if run.get("failures") is not None else None


def per_thousand(*servers):
    """Return a function: run -> CPU seconds of these servers for 1,000 answered requests, or transactions.

    A server that the side does not have counts 0, one that was not measured makes the sum None.
    """

    def value(run):
        answered = run["transactions"] if "transactions" in run else run["rps"] and run["rps"] * run["seconds"]
        used = [
            0 if server == "pgbouncer" and run["side"] == "direct" else (run.get("cpu") or {}).get(server)
            for server in servers
        ]
        return sum(used) / answered * 1000 if answered and None not in used else None

    return value


database_cpu = per_thousand("postgresql", "pgbouncer")


def field(*names):
    """Return a function: row -> the value below these keys, None where one is missing."""

    def value(row):
        for name in names:
            row = row.get(name) if row else None
        return row

    return value
