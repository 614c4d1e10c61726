"""The pictures of the report: figures -> panels."""

from statistics import median

from . import results
from .claims import group_name, is_resolved
from .plots import DIRECT, FOURTH, POOLED, SIDES, THIRD, Bars, Line, Panel, add_legend, bar_panel, line_panel
from .results import field

LABELS = {"direct": "direct", "pooled": "PgBouncer"}


def has(rows, value):
    """Return whether one of the Pairs has this value."""
    return any(pair.values(side, value) for pair in rows for side in results.SIDES)


def by_users(figures, label, value, limit=None):
    """Return a Panel for each group: a value by the number of users, the median and the range of the turns.

    :param limit: (number, label) of a horizontal line
    """
    panels = []
    for group, pairs in results.groups(figures).items():
        if has(pairs.values(), value):
            lines = []
            for side, look in SIDES.items():
                points = []
                for users, pair in pairs.items():
                    if numbers := pair.values(side, value):
                        points.append((users, median(numbers), min(numbers), max(numbers)))
                lines.append(Line(LABELS[side], points, look))
            panels.append(line_panel(group_name(group), "users", label, lines, sorted(pairs), limit=limit))
    return panels


def cpu(figures):
    """Return a Panel for each group: CPU seconds for 1,000 requests, stacked by server."""
    servers = {"odoo": ("Odoo", THIRD), "postgresql": ("PostgreSQL", DIRECT), "pgbouncer": ("PgBouncer", POOLED)}
    panels = []
    for group, pairs in results.groups(figures).items():
        if has(pairs.values(), results.per_thousand("postgresql")):
            sides = [(users, side) for users in pairs for side in results.SIDES]
            places = [f"{users}, {LABELS[side]}" for users, side in sides]
            stack = [
                Bars(label, [pairs[users].middle(side, results.per_thousand(server)) for users, side in sides], look)
                for server, (label, look) in servers.items()
            ]
            panels.append(bar_panel(f"Users: {group_name(group)}", "CPU s / 1,000 requests", places, [stack]))
    return panels


def clients_at_once(figures):
    """Return the Panel of the clients that connect at once: how many are served, refused, unanswered."""
    pairs = results.clients_at_once(figures)
    if not has(pairs.values(), field("served")):
        return []
    ends = {"served": POOLED, "refused": DIRECT, "unanswered": FOURTH}
    rows = [(clients, side) for clients in pairs for side in results.SIDES]

    def share(clients, side, name):
        number = pairs[clients].middle(side, field(name))
        return None if number is None else 100 * number / clients

    places = [f"{clients:,}, {LABELS[side]}" for clients, side in rows]
    stack = [Bars(name, [share(*row, name) for row in rows], look) for name, look in ends.items()]
    title = "Clients that connect at once"
    return [bar_panel(title, "% of the clients", places, [stack], has_sums=False)]


def storm(figures):
    """Return the Panels of pgbench: transactions/s with new connections, and with kept ones."""
    titles = {"new": "A connection for each transaction", "kept": "Connections are kept"}
    panels = []
    for kind, pair in results.storms(figures).items():
        if has([pair], field("tps")):
            bars = [[Bars(LABELS[side], [pair.middle(side, field("tps"))], look)] for side, look in SIDES.items()]
            panels.append(bar_panel(titles[kind], "pgbench: transactions/s", [""], bars))
    return panels


def sale(figures):
    """Return the Panel of the flash sale: requests, failures, refused requests and alerts on one axis of time."""
    sale = figures.get("sale") or {}
    minutes = sale.get("minutes") or []
    if not minutes:
        return []
    start = minutes[0]["minute"]
    phases = [((phase["started_at"] - start) / 60, LABELS[phase["side"]]) for phase in sale.get("phases") or []]

    def draw(figure):
        rows = [
            ("answered\n/ minute", lambda row: (row["requests"] or 0) - (row["failures"] or 0), POOLED),
            ("failed\n/ minute", lambda row: row["failures"], DIRECT),
            ("refused\nrequests\n(metrics)", lambda row: row["refused"], FOURTH),
            ("alerts open\n(metrics)", lambda row: row["open_alerts"], THIRD),
        ]
        all_axes = figure.subplots(len(rows), 1, sharex=True)
        for axes, (label, value, look) in zip(all_axes, rows, strict=True):
            numbers = [value(row) for row in minutes]
            draw_minutes(axes, numbers, look)
            axes.set_ylabel(label, rotation=0, ha="right", va="center")
            for at, _name in phases[1:]:
                axes.axvline(at, color="#333333", linewidth=1)
        for at, name in phases:
            all_axes[0].annotate(name, (at, 1), (2, 3), xycoords=("data", "axes fraction"), textcoords="offset points")
        for message in sale.get("messages") or []:
            mark_message(all_axes[-1], (message["at"] - start) / 60, is_resolved(message["text"]))
        add_legend(all_axes[-1], above=False)
        all_axes[-1].set_xlabel("minutes since the start")

    return [Panel(draw, 6.2)]


def draw_minutes(axes, numbers, look):
    """Draw a bar for each minute, "?" where nothing is known."""
    places = [number + 0.5 for number in range(len(numbers))]
    axes.bar(places, [number or 0 for number in numbers], 0.9, color=look.colour, hatch=look.hatch, edgecolor="white")
    for place, number in zip(places, numbers, strict=True):
        if number is None:
            axes.annotate("?", (place, 0), ha="center")
    axes.set_ylim(0, max([number or 0 for number in numbers] + [1]) * 1.15)
    axes.margins(x=0)
    axes.locator_params(axis="y", nbins=3, integer=True)


def mark_message(axes, at, is_end):
    """Mark a message in the chatter on the axis of time."""
    label = "message: resolved" if is_end else "message: alert"
    known = axes.get_legend_handles_labels()[1]
    # One at the end of the axis is shown whole.
    style = {"marker": "v" if is_end else "^", "color": "white" if is_end else "black", "clip_on": False}
    height = axes.get_ylim()[1] * (0.9 if is_end else 0.75)
    axes.plot([at], [height], linestyle="", markeredgecolor="black", label="" if label in known else label, **style)
