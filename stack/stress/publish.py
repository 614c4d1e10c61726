"""Publish the figures of a full run: ``python -m stress.publish [figures.json]``.

It writes docs/stress.json, and from that docs/stress.md and its pictures.
"""

import json
import sys
from pathlib import Path

from servers import CHECKOUT

from . import report
from .blocks import Code, Heading, Picture, Text, page_markdown
from .plots import write_png

DOCS = CHECKOUT / "docs"
# The pictures of the page: the tables have the rest.
PICTURES = ("requests", "backends", "cpu", "at-once", "sale")
ABOUT = [
    Text(
        "`make stress` measures what pooling gains for an Odoo, and what it does not. It starts its own servers, and"
        " [Locust](https://locust.io) plays the users. This page and its pictures are made from the"
        " [figures](stress.json) that it wrote. No number and no verdict is written by hand."
    )
]
REPEAT = [
    Heading("How to repeat it"),
    Code(
        "make stress           # all of it: half an hour on two cores, 4 GB of memory\n"
        "make stress QUICK=1   # 5 minutes: fewer users and clients, no flash sale"
    ),
    Text(
        "The table on the terminal grows with each measurement. `stress/report.html` is a single file without scripts,"
        " with more pictures than this page and PgBouncer's configuration. It is written even if you stop the run."
        " `stress/figures.json` has the data."
    ),
    Text("For a site of your own, see [Stress test of your own site](stress-own-site.md)."),
]


def slim(figures):
    """Return the figures without what the page does not show: time series, tasks, files and logs with paths."""
    slimmed = figures | {"matrix": [slim_run(run) for run in figures["matrix"]]}
    slimmed["problems"] = list(map(first_line, figures["problems"]))
    plans = [plan | {"pgbouncer_ini": None} for plan in figures["setup"]["servers"]]
    slimmed["setup"] = figures["setup"] | {"servers": plans}
    if sale := figures.get("sale"):
        phases = [slim_run(phase) for phase in sale["phases"]]
        slimmed["sale"] = {"phases": phases, "messages": sale["messages"], "minutes": sale["minutes"]}
    return rounded(slimmed)


def slim_run(run):
    tasks = {name: task for name, task in (run.get("tasks") or {}).items() if name == "chat delivery"}
    slimmed = {name: value for name, value in run.items() if name not in ("timeline", "minutes")} | {"tasks": tasks}
    return slimmed | ({"error": first_line(run["error"])} if run.get("error") else {})


def first_line(error):
    """Return an error without the end of a log that follows."""
    return error.partition("\n")[0]


def rounded(value):
    """Return figures with four decimal places."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return round(value, 4) if isinstance(value, float) else value


def page(figures):
    """Return docs/stress.md."""
    blocks = [block for block in report.results_of(figures) if not isinstance(block, Picture) or block.name in PICTURES]
    return page_markdown(report.TITLE, [*ABOUT, *blocks, *REPEAT])


def publish(figures, docs):
    """Write the figures, the page and its pictures.

    :param Path docs: the folder
    """
    figures = slim(figures)
    (docs / "stress.json").write_text(json.dumps(figures, indent=0, separators=(",", ":")) + "\n")
    (docs / "stress.md").write_text(page(figures))
    for block in report.results_of(figures):
        if isinstance(block, Picture) and block.name in PICTURES:
            write_png(block.panels, docs / f"images/stress-{block.name}.png")


def main():
    source = Path(sys.argv[1]) if sys.argv[1:] else CHECKOUT / "stress/figures.json"
    figures = json.loads(source.read_text())
    if figures["size"] != "full" or figures["ended_early"]:
        sys.exit(f"{source} is not of a full run: it is not published.")
    publish(figures, DOCS)


if __name__ == "__main__":
    main()
