"""Plots: panels that matplotlib draws alone, as SVG for a page, or together, as one PNG for the docs.

Colours are of Okabe and Ito's palette, which colour-blind people can distinguish. Each has a marker and a hatch, too.
"""

import io
import re
from collections.abc import Callable
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.figure import Figure

from . import results

# A panel fills the width of a phone: there, text is about 10 pixels high.
WIDTH, HEIGHT = 4.6, 3.3
LEGEND_COLUMNS = 3
# Of a number in a bar, in percent of the plot.
NUMBER_WIDTH = 10
STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#dddddd",
    "hatch.linewidth": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "stress",  # the same figures make the same file
    "font.sans-serif": ["DejaVu Sans"],
}


class Look(NamedTuple):
    colour: str
    marker: str
    hatch: str
    dashes: str


LOOKS = [
    Look("#d55e00", "o", "//", "-"),
    Look("#0072b2", "s", "", "--"),
    Look("#009e73", "^", "..", "-."),
    Look("#cc79a7", "D", "xx", ":"),
]
DIRECT, POOLED, THIRD, FOURTH = LOOKS
SIDES = {"direct": DIRECT, "pooled": POOLED}


class Panel(NamedTuple):
    """
    :param draw: a function that draws on a Figure or SubFigure
    :param float height: in inches
    """

    draw: Callable
    height: float = HEIGHT


class Line(NamedTuple):
    """
    :param list points: (x, y) or (x, y, lowest y, highest y); y may be None
    """

    label: str
    points: list
    look: Look


class Bars(NamedTuple):
    """Bars of one kind: a number for each place, or None."""

    label: str
    numbers: list
    look: Look


def axes_of(figure, title, x, y):
    """Return the labelled axes of a panel that has one plot."""
    axes = figure.subplots()
    axes.set_title(title, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return axes


def draw_line(axes, line):
    points = [
        (point[0], point[1], *(point[2:] or (point[1], point[1]))) for point in line.points if point[1] is not None
    ]
    if not points:
        return
    xs, ys, lows, highs = zip(*points, strict=True)
    look = line.look
    marker = look.marker if len(xs) < 40 else ""
    axes.plot(xs, ys, look.dashes, color=look.colour, marker=marker, label=line.label, linewidth=1.8, markersize=6)
    if (lows, highs) != (ys, ys):
        axes.vlines(xs, lows, highs, color=look.colour, linewidth=1.2)


def add_legend(axes, above=True, left=0.0):
    """Put the legend above the plot, below its title, or below the plot, where it covers nothing.

    :param float left: where it begins, in widths of the plot
    """
    labels = axes.get_legend_handles_labels()[1]
    if not labels:
        return
    place = (
        {"loc": "lower left", "bbox_to_anchor": (left, 1)}
        if above
        else {"loc": "upper left", "bbox_to_anchor": (0, -0.5)}
    )
    axes.legend(**place, ncols=LEGEND_COLUMNS, frameon=False, borderaxespad=0, columnspacing=1, handletextpad=0.5)
    if above:
        axes.set_title(axes.get_title(loc="left"), loc="left", pad=24 if len(labels) <= LEGEND_COLUMNS else 40)


def add_limit(axes, limit):
    """Draw a horizontal line. ``limit`` is its (number, label)."""
    number, label = limit
    axes.axhline(number, color="#333333", linewidth=1)
    axes.annotate(label, (0, number), (4, 3), ("axes fraction", "data"), "offset points", va="bottom", fontsize=9)
    axes.set_ylim(top=max(axes.get_ylim()[1], 1.12 * number))


def line_panel(title, x, y, lines, ticks, limit=None):
    """Return a Panel with lines.

    :param str x: the label of the axis, with its unit
    :param str y: the label of the axis, with its unit
    :param list lines: of Line
    :param list ticks: the places on the x-axis
    :param limit: (number, label) of a horizontal line
    """

    def draw(figure):
        axes = axes_of(figure, title, x, y)
        for line in lines:
            draw_line(axes, line)
        if limit:
            add_limit(axes, limit)
        axes.set_xticks(ticks)
        axes.set_ylim(bottom=0)
        add_legend(axes)

    return Panel(draw)


def bar_panel(title, unit, places, stacks, has_sums=True):
    """Return a Panel with horizontal bars, several at each place if there are several stacks.

    :param str unit: the label of the axis
    :param list places: their names
    :param list stacks: of lists of Bars; the Bars of a list are stacked
    :param bool has_sums: whether each bar has its length behind it; otherwise each part has its own inside
    """
    height = 0.8 / len(stacks)

    def draw(figure):
        axes = axes_of(figure, title, unit, "")
        for number, stack in enumerate(stacks):
            middles = [place + (number - (len(stacks) - 1) / 2) * height for place in range(len(places))]
            sums = draw_stack(axes, middles, stack, height * 0.9, not has_sums)
            for middle, total in zip(middles, sums, strict=True):
                if has_sums or total is None:
                    text = "not measured" if total is None else results.number(total)
                    axes.annotate(text, (total or 0, middle), (3, 0), textcoords="offset points", va="center")
        axes.set_yticks(range(len(places)), places)
        axes.grid(visible=False, axis="y")
        axes.invert_yaxis()
        axes.margins(x=0.18 if has_sums else 0)
        add_legend(axes, left=-0.25)

    return Panel(draw, max(1.5 + 0.33 * len(places) * len(stacks), 2.2))


def draw_stack(axes, ys, stack, height, has_numbers):
    """Draw the Bars of a stack. Return their sums, None where nothing was measured."""
    sums = [None] * len(ys)
    for bars in stack:
        numbers = [number or 0 for number in bars.numbers]
        bases = [total or 0 for total in sums]
        look = bars.look
        axes.barh(ys, numbers, height, bases, color=look.colour, hatch=look.hatch, edgecolor="white", label=bars.label)
        for y, base, number in zip(ys, bases, numbers, strict=True):
            if has_numbers and number:
                box = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85}
                # That of a small part begins at the edge.
                place, text = (max(base + number / 2, NUMBER_WIDTH / 2), y), results.number(number)
                axes.annotate(text, place, ha="center", va="center", fontsize=9, bbox=box)
        sums = [
            total if number is None else (total or 0) + number for total, number in zip(sums, bars.numbers, strict=True)
        ]
    return sums


def svg(panel):
    """Return a panel as an SVG element."""
    with rc_context(STYLE):
        figure = Figure((WIDTH, panel.height), layout="constrained")
        panel.draw(figure)
        output = io.StringIO()
        figure.savefig(output, format="svg", metadata={"Date": None, "Creator": None})
    text = output.getvalue()
    return re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)


def write_png(panels, path):
    """Draw panels in two columns, or a single one, in a PNG file."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    with rc_context(STYLE):
        figure = Figure((WIDTH * columns, max(panel.height for panel in panels) * rows), layout="constrained")
        parts = figure.subfigures(rows, columns, squeeze=False).flat
        for panel, part in zip(panels, parts, strict=False):
            panel.draw(part)
        figure.savefig(path, dpi=110, metadata={"Software": None})
