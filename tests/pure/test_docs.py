"""Links of the documentation point to files and headings that exist; no picture is unused, and no finding missing."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
LINK = re.compile(r"\]\(([^)]+)\)")


def links(page):
    """Return the files and headings that a page links to: (path, heading), without those on other sites."""
    found = [link.partition("#") for link in LINK.findall(page.read_text()) if not link.startswith("http")]
    return [((page.parent / path).resolve() if path else page, heading) for path, _hash, heading in found]


def headings(page):
    """Return the headings of a page as they are in links to them."""
    lines = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page):
    for path, heading in links(page):
        assert path.exists()
        assert not heading or heading in headings(path), path.name


def test_every_page_and_picture_is_linked():
    linked = {path for page in PAGES for path, _heading in links(page)}
    expected = {*ROOT.glob("docs/*.md"), *ROOT.glob("docs/images/*")}
    assert expected <= linked


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


def titles():
    """Return the titles of all findings. Their files cannot be imported without Odoo."""
    trees = [ast.parse(path.read_text()) for path in ROOT.glob("models/advice/texts_*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    titles = [call.args[0] for call in calls if getattr(call.func, "id", "") == "Text"]
    return {ast.literal_eval(title.args[0]) for title in titles}


def test_the_tables_of_what_is_checked_have_all_findings():
    text = (ROOT / "docs/advice.md").read_text()
    section = text.partition("\n## What is checked\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
    named = [cell for cell in cells if cell not in ("Finding", "---")]
    assert set(named) == titles()
    assert len(named) == len(set(named)) > 50
