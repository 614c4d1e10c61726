"""The report of the load on a site of one's own."""

import itertools
from datetime import datetime

from analysis.pressure import severity

from .blocks import Heading, Items, Picture, Table, Text, page_html
from .meters import peak
from .plots import DIRECT, LOOKS, POOLED, Line, Panel, draw_line

STOPPED = {
    "errors": "**It was stopped: more than 5 % of the requests failed.**",
    "interrupted": "**It was interrupted.** The figures are of the time until then.",
}
TASKS = {
    "homepage": "Open the homepage",
    "list": "Open a list",
    "read": "Open a contact",
    "write": "Save a contact",
    "websocket": "Open the websocket",
    "post": "Post a message",
    "chat delivery": "Message arrives (from the post to the websocket)",
}
LEVELS = {"ok": "OK", "unknown": "Unknown", "warning": "Warning", "critical": "Critical"}


def page(figures):
    """Return the page, which needs no other file."""
    return page_html(f"Stress test of {figures['url']}", blocks(figures))


def blocks(figures):
    result = figures["result"]
    found = [Text(summary(figures))]
    if figures["stopped"]:
        found.append(Text(STOPPED[figures["stopped"]]))
    found += [Heading("Minute by minute"), minutes_table(figures), picture(figures)]
    if figures["samples"] is not None:
        found += samples_blocks(figures)
    if result["seconds"]:
        found += [Heading("Requests"), tasks_table(result), Text(unfinished(result))]
    if result["failures"]:
        rows = [[kind, f"{count:,}"] for kind, count in result["failures"].items()]
        found += [Heading("Failures"), Table(["Kind", "Times"], rows, "lr")]
    found += [Heading("How to read it"), Items(NOTES)]
    if figures["not_removed"]:
        found += [Heading("Not removed from the site"), Items(figures["not_removed"])]
    return found


POOLS = 20  # those that waited most
NOTES = [
    "The users arrive in the first fifth of the time. The summary and the table of requests leave this part out.",
    "The machine that sends the load and the network between are part of the response times. Compare two runs from the "
    "same machine, such as before and after a change. A single figure says little.",
    "A percentile is of the requests that were answered and of those that timed out after 30 s. Other failures are "
    "not part of it: an error page is fast.",
    "A sample of the pools is one moment in a minute. The mean number of waiting clients comes from PgBouncer's "
    "counters, and includes the time between samples.",
]


def summary(figures):
    result, started = figures["result"], datetime.fromtimestamp(figures["started_at"])
    took = (figures["ended_at"] - figures["started_at"]) / 60
    if not result["seconds"]:
        return f"It ended after {took:.1f} minutes, before all {figures['users']} users had arrived."
    who = "Four of five were visitors." if figures["has_login"] else "All were visitors: no login was given."
    return (
        f"{figures['users']} users for {took:.1f} minutes, from {started:%Y-%m-%d %H:%M}, on Odoo "
        f"{figures['versions']['odoo']}. {who} {number(result['rps'], 1)} requests per second were answered, half of "
        f"them within {seconds(result['p50'])}, 95 % within {seconds(result['p95'])}. "
        f"{sum(result['failures'].values()) or 'None'} failed."
    )


def unfinished(result):
    return f"Still without an answer in the end: {result['unfinished']:,}."


def number(value, decimals=0):
    return "–" if value is None else f"{value:,.{decimals}f}"


def seconds(value):
    return "–" if value is None else f"{value:.2f}\u00a0s"


def tasks_table(result):
    head = ["Request", "Number", "Failed", "Median", "p95", "p99"]
    rows = [
        [TASKS.get(name, name), number(task["requests"]), number(task["failures"])]
        + [seconds(task[share]) for share in ("p50", "p95", "p99")]
        for name, task in sorted(result["tasks"].items(), key=lambda item: [*TASKS, item[0]].index(item[0]))
    ]
    return Table(head, rows, "lrrrrr")


def of_minute(samples, minute):
    """Return the samples of a minute: of PostgreSQL, and of PgBouncer instances."""
    found = [row for row in samples if minute <= row["at"] < minute + 60 and not row["database"]]
    return [[row for row in found if row["kind"] == kind] for kind in ("postgresql", "pgbouncer")]


def highest(rows, name):
    return peak(row[name] for row in rows)


def minutes_table(figures):
    """Return the requests of each minute, beside the samples."""
    head, align, samples = ["Minute", "Requests", "Failed", "Median", "p95"], "lrrrr", figures["samples"]
    if samples is not None:
        head += ["PostgreSQL: used", "Waiting", "Waiting, mean", "Longest wait", "Refused", "Level"]
        align += "rrrrrl"
    parts = {part["minute"]: part for part in figures["result"]["minutes"]}
    # The last sample is taken after the end. Its counters include the last minute.
    minutes = sorted({*parts, *(int(row["at"]) // 60 * 60 for row in samples or [])})
    rows = []
    for minute in minutes:
        part = parts.get(minute, {"requests": 0, "failures": 0, "p50": None, "p95": None})
        row = [f"{datetime.fromtimestamp(minute):%H:%M}", number(part["requests"]), number(part["failures"])]
        row += [seconds(part["p50"]), seconds(part["p95"])]
        if samples is not None:
            row += sample_cells(*of_minute(samples, minute))
        rows.append(row)
    return Table(head, rows, align)


def sample_cells(postgresql, pgbouncer):
    used, capacity = highest(postgresql, "used"), highest(postgresql, "capacity")
    levels = [row["level"] for row in postgresql + pgbouncer]
    return [
        "–" if used is None else f"{number(used)} of {number(capacity)}",
        number(highest(pgbouncer, "waiting")),
        number(highest(pgbouncer, "waiting_mean"), 1),
        seconds(highest(pgbouncer, "maxwait")),
        number(highest(postgresql, "refused")),
        LEVELS[max(levels, key=severity)] if levels else "–",
    ]


def samples_blocks(figures):
    """Return the pools, those that waited most first."""
    pools = {}
    for row in figures["samples"]:
        if row["user"]:
            pools.setdefault((row["endpoint"], row["database"], row["user"]), []).append(row)
    peaks = {pool: [highest(rows, name) for name in ("waiting", "maxwait", "pressure")] for pool, rows in pools.items()}
    order = sorted(peaks.items(), key=lambda item: [-(value or 0) for value in item[1]])
    found = [Heading("The pools in this time")]
    if not order:
        return [*found, Text("No pool was sampled: there is no endpoint of a PgBouncer, or no sample in this time.")]
    rows = [
        [endpoint, f"{database} / {user}", number(waiting), seconds(wait), number(pressure)]
        for (endpoint, database, user), (waiting, wait, pressure) in order[:POOLS]
    ]
    head = ["PgBouncer", "Pool", "Waiting, peak", "Longest wait", "Pressure, peak (%)"]
    return [*found, Table(head, rows, "llrrr")]


def picture(figures):
    """Return the response times, the failures and the waiting clients over the same minutes."""
    start, timeline, samples = figures["started_at"], figures["result"]["timeline"], figures["samples"]

    def line(label, rows, name, look):
        return Line(label, [((row["at"] - start) / 60, row[name]) for row in rows], look)

    caption = "Response time and failures of each second"
    parts = [
        ("p95 of each second (s)", [line("p95", timeline, "p95", POOLED)]),
        ("Failures in each second", [line("failures", timeline, "failures", DIRECT)]),
    ]
    if samples is not None:
        caption += ", and the clients that waited in PgBouncer when a sample was taken"
        rows = [row for row in samples if row["kind"] == "pgbouncer" and not row["database"]]
        names = sorted({row["endpoint"] for row in rows})
        lines = [
            line(name, [row for row in rows if row["endpoint"] == name], "waiting", look)
            for name, look in zip(names, itertools.cycle(LOOKS[::-1]), strict=False)
        ]
        parts.append(("Waiting for a server connection", lines))

    def draw(figure):
        places = figure.subplots(len(parts), sharex=True)
        for axes, (title, lines) in zip(places, parts, strict=True):
            axes.set_title(title, loc="left")
            for one in lines:
                draw_line(axes, one)
            axes.axvspan(0, figures["ramp"] / 60, color="#eeeeee", zorder=0)
            axes.set_ylim(0, None if any(point[1] for one in lines for point in one.points) else 1)
            if len(lines) > 1:
                axes.legend(fontsize=8)
        places[-1].set_xlabel("Minutes since the start (grey: users arrive)")

    return Picture("site", [Panel(draw, 6)], f"{caption}.")
