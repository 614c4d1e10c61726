"""Reports as lists of blocks, which become a self-contained HTML page or a page of the docs in Markdown.

Texts are Markdown with `code`, **bold** and [links](target) only; headings, tables and pictures are blocks.
"""

import html
import re
import textwrap
from typing import NamedTuple

from .plots import svg


class Heading(NamedTuple):
    text: str
    level: int = 2


class Text(NamedTuple):
    text: str


class Items(NamedTuple):
    texts: list


class Code(NamedTuple):
    text: str


class Table(NamedTuple):
    """Cells are Markdown, as texts are, and can have several lines.

    :param str align: a letter for each column: l or r
    """

    head: list
    rows: list
    align: str


class Picture(NamedTuple):
    """
    :param str name: its file in the docs is docs/images/stress-<name>.png
    :param list panels: of plots.Panel
    :param str caption: what it shows, also for those who do not see it
    """

    name: str
    panels: list
    caption: str


STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; }
* { box-sizing: border-box; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 76rem; margin: 0 auto; padding: 1rem; }
body { overflow-wrap: break-word; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
p, li { max-width: 46rem; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; min-width: 4rem; }
th, td { text-align: start; }
th { background: var(--soft); vertical-align: bottom; } .r { text-align: end; white-space: nowrap; }
 .wide { min-width: 18rem; }
pre { overflow-x: auto; padding: .6rem; background: var(--soft); font-size: .85rem; } code { font-size: .9em; }
figure { margin: 1.5rem 0; } figcaption { font-size: .9rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: .5rem; }
.panels svg { width: 100%; max-width: 34rem; height: auto; background: #fff; break-inside: avoid; }
@media (max-width: 40rem) {
  table { font-size: .8rem; } th, td { padding: .25rem .4rem; min-width: 0; } .wide { min-width: 12rem; }
  :is(td, th):first-child { min-width: 7rem; max-width: 8.5rem; }
}
@page { size: landscape; margin: 1cm; }
@media print {
  .panels { grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); }
  body { max-width: none; padding: 0; font-size: 10pt; } .table { overflow: visible; }
  table { font-size: 8pt; } th, td { min-width: 0; padding: .15rem .3rem; } .wide { min-width: 0; }
  tr, figure { break-inside: avoid; } h2, h3 { break-after: avoid; }
}
"""
# A cell with more characters is prose: its column must not become narrow.
PROSE = 40


def inline_html(text):
    """Return a Markdown text as HTML."""
    text = html.escape(text).replace(" %", "\N{NO-BREAK SPACE}%").replace("\n", "<br>")
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"\[([^\]]+)\]\(([^)]+)\)", r'<a href="\2">\1</a>', text)


def table_html(table):
    is_wide = [any(len(row[number]) > PROSE for row in table.rows) for number in range(len(table.head))]
    names = [
        f"{'r' * (align == 'r')} {'wide' * wide}".strip() for align, wide in zip(table.align, is_wide, strict=True)
    ]
    classes = [f' class="{name}"' if name else "" for name in names]

    def line(tag, cells):
        return "".join(f"<{tag}{name}>{inline_html(cell)}</{tag}>" for name, cell in zip(classes, cells, strict=True))

    rows = "\n".join(f"<tr>{line('td', row)}</tr>" for row in table.rows)
    # The box scrolls: it must be reachable by the keyboard.
    return (
        f'<div class="table" tabindex="0"><table><thead><tr>{line("th", table.head)}</tr></thead>'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


def block_html(block):
    match block:
        case Heading(text, level):
            return f"<h{level}>{inline_html(text)}</h{level}>"
        case Text(text):
            return f"<p>{inline_html(text)}</p>"
        case Items(texts):
            return "<ul>" + "".join(f"<li>{inline_html(text)}</li>" for text in texts) + "</ul>"
        case Code(text):
            return f"<pre>{html.escape(text)}</pre>"
        case Table():
            return table_html(block)
        case Picture(_name, panels, caption):
            drawn = "".join(svg(panel) for panel in panels)
            return f'<figure><div class="panels">{drawn}</div><figcaption>{inline_html(caption)}</figcaption></figure>'


def page_html(title, blocks):
    """Return a page without scripts that needs no other file."""
    body = "\n".join(map(block_html, blocks))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body>\n<h1>{html.escape(title)}</h1>\n{body}\n</body></html>\n"
    )


def wrap(text, indent=""):
    """Return a text in lines as long as those of the other docs."""
    return textwrap.fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def block_markdown(block):
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Text(text):
            return wrap(text)
        case Items(texts):
            return "\n".join(wrap(f"- {text}", "  ") for text in texts)
        case Code(text):
            return f"```\n{text.rstrip()}\n```"
        case Table(head, rows, align):
            rule = ["---:" if letter == "r" else "---" for letter in align]
            lines = [[cell.replace("|", r"\|").replace("\n", "<br>") for cell in row] for row in [head, rule, *rows]]
            return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        case Picture(name, _panels, caption):
            return f"![{caption}](images/stress-{name}.png)"


def page_markdown(title, blocks):
    return "\n\n".join([f"# {title}", *map(block_markdown, blocks)]) + "\n"
