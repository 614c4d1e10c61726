"""Each translation is complete, and has the placeholders and tags of the English text."""

import re
from collections import Counter
from pathlib import Path

import polib
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "i18n"
LANGUAGES = ["de", "es", "fr"]
# What Python and JavaScript replace, and the markup of views.
KEPT = re.compile(r"%\(\w+\)[a-z]|%[a-z%]|\$?\{[^}]*\}|</?\w[^>]*>")
# Their values are texts, which are translated.
TEXT_ATTRIBUTES = re.compile(r' (?:title|aria-label|alt|placeholder)="[^"]*"')


def entries(language):
    """Return msgid -> entry."""
    return {entry.msgid: entry for entry in polib.pofile(FOLDER / f"{language}.po") if not entry.obsolete}


def kept(text):
    return Counter(KEPT.findall(TEXT_ATTRIBUTES.sub("", text)))


@pytest.fixture(scope="module")
def template():
    return {entry.msgid for entry in polib.pofile(FOLDER / "pgbouncer_monitor.pot")}


def test_all_languages_are_known():
    assert sorted(path.stem for path in FOLDER.glob("*.po")) == LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_translation(language, template):
    translated = entries(language)
    assert template - set(translated) == set(), "missing terms"
    assert set(translated) - template == set(), "terms that no longer exist"
    assert [text for text, entry in translated.items() if not entry.msgstr.strip()] == [], "not translated"
    assert [text for text, entry in translated.items() if entry.fuzzy] == [], "fuzzy"
    assert [text for text, entry in translated.items() if kept(text) != kept(entry.msgstr)] == [], (
        "other placeholders or tags"
    )
    assert [text for text, entry in translated.items() if margins(text) != margins(entry.msgstr)] == [], (
        "other spaces or line breaks around it"
    )


def margins(text):
    """Return the white space before and after a text."""
    return text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
