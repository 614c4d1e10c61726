"""What a run shows on the terminal: a table that grows row by row, and the time left."""

import sys
import time
from operator import itemgetter

from .results import database_cpu, failures

LINE = "{:22} {:>5} {:8} {:>4} {:>10} {:>8} {:>8} {:>8} {:>9}"
HEADER = ("plan", "users", "side", "turn", "requests/s", "p95", "failures", "backends", "CPU/1,000")

# Erases the line of a terminal from the cursor on.
ERASE = "\x1b[K"


class Progress:
    """What is done, and the time left: each part takes as long as its measurements have taken so far.

    :param dict parts: name -> how many measurements it has, and how many seconds one takes until one is measured
    """

    def __init__(self, parts):
        self.parts = parts
        self.spent = {name: [] for name in parts}
        self.started_at = time.monotonic()

    def start(self):
        """The next measurement begins."""
        self.started_at = time.monotonic()

    def add(self, part):
        """A measurement of a part has ended, and the next one begins."""
        self.spent[part].append(time.monotonic() - self.started_at)
        self.start()

    def left(self):
        """Return the seconds left."""
        seconds = 0
        for name, (count, expected) in self.parts.items():
            spent = self.spent[name]
            seconds += max(count - len(spent), 0) * (sum(spent) / len(spent) if spent else expected)
        return seconds

    def __str__(self):
        done = sum(map(len, self.spent.values()))
        count = sum(count for count, _expected in self.parts.values())
        left = self.left()
        about = f"{round(left / 60)} min" if left >= 90 else f"{round(left)} s"
        return f"{done} of {count}, about {about} left"


class Screen:
    """The terminal: lines, and on a terminal the progress below the last one.

    :param Progress progress: of the run
    """

    def __init__(self, progress):
        self.progress = progress
        self.is_terminal = sys.stdout.isatty()

    def start(self):
        self.progress.start()

    def show(self, text, is_last=False):
        """Print a line.

        :param bool is_last: whether the progress follows, if the output goes to a file
        """
        if self.is_terminal:
            print(f"\r{ERASE}{text}\n{self.progress}", end="", flush=True)
        else:
            print(text, f"  {self.progress}" if is_last else "", flush=True)

    def end(self):
        """Leave the line with the progress."""
        if self.is_terminal:
            print()

    def done(self, part, text):
        """Print the line of a measurement."""
        self.progress.add(part)
        self.show(text, is_last=part != "matrix")


def number(value, digits=0, unit=""):
    """Return a number as text, "-" if it is unknown."""
    return "-" if value is None else f"{value:,.{digits}f}{unit}"


def plan(run):
    """Return the name of a plan."""
    workers = f"{run['workers']} workers" if run["workers"] else "threaded"
    return f"{workers}, dbfilter" if run["has_db_filter"] else workers


def matrix_row(run):
    """Return the line of a run of the matrix."""
    what = [plan(run), run["users"], run["side"], run["turn"]]
    if "error" in run:
        return LINE.format(*what, *["-"] * 5) + f"  {run['error'].splitlines()[0]}"
    found = [number(run["rps"], 1), number(run["p95"], 2, " s"), number(failures(run)), number(run["backends"])]
    return LINE.format(*what, *found, number(database_cpu(run), 2, " s"))


def ratio_row(direct, pooled):
    """Return the line with the ratios of a turn."""

    def ratio(value):
        before, after = value(direct), value(pooled)
        return number(after / before, 2) if before and after is not None else "-"

    found = [ratio(value) for value in (itemgetter("rps"), itemgetter("p95"), itemgetter("backends"), database_cpu)]
    return LINE.format("", "", "ratio", "", *found[:2], "", *found[2:])


def raw_row(kind, row):
    """Return the line of a measurement of the raw part."""
    if kind == "storm":
        what = f"storm, {row['connections']} connections"
        return f"{what:28} {row['side']:8} turn {row['turn']}  {number(row['tps'])} transactions/s"
    found = f"{number(row['served'])} served, {number(row['refused'])} refused, p95 {number(row['p95'], 2, ' s')}"
    return f"{row['clients']:,} clients at once".ljust(28) + f" {row['side']:8} turn {row['turn']}  {found}"


def sale_row(sale):
    """Return the line of the last phase of the sale."""
    phase = sale["phases"][-1]
    found = f"{number(phase['rps'], 1)} requests/s, p95 {number(phase['p95'], 2, ' s')}, "
    found += f"{number(failures(phase))} failures, {number(phase['refused'])} connections refused"
    return f"sale, {phase['workers']} workers".ljust(28) + f" {phase['side']:8} {found}"
