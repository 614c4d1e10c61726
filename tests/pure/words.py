"""The texts of findings, without Odoo, and what is missing in them."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

PLACEHOLDER = re.compile(r"%\((\w+)\)s")
# What all texts get, beside the evidence and the figures of a finding.
GIVEN = {"name", "databases"}


def _read():
    """Return the module `advice_texts`, whose texts are strings here."""
    tools, package = ModuleType("odoo.tools"), ModuleType("advice_words")
    tools.LazyTranslate = lambda _module: str
    package.__path__ = [str(Path(__file__).parents[2] / "models/advice")]
    with patch.dict(sys.modules, {"odoo": ModuleType("odoo"), "odoo.tools": tools, "advice_words": package}):
        return importlib.import_module("advice_words.advice_texts")


WORDS = _read()


def missing(text, values):
    """Return what a text needs and does not get.

    :param values: names
    :raise ValueError: the text has a % that is no placeholder
    """
    if "%" in PLACEHOLDER.sub("", text).replace("%%", ""):
        raise ValueError(text)
    return set(PLACEHOLDER.findall(text)) - GIVEN - set(values)


def check_finding(finding):
    """Check that the models have words for a Finding."""
    values = {*finding.evidence, *finding.figures}
    assert finding.code in WORDS.TEXTS, f"{finding.code} has no text"
    for part, text in WORDS.TEXTS[finding.code]._asdict().items():
        assert not missing(text, values), (finding.code, part)
    for step in finding.steps:
        assert step.place in WORDS.PLACES and step.apply in WORDS.APPLY, step


def check_unknown(unknown):
    """Check that the models have words for an Unknown."""
    assert unknown.needs in WORDS.NEEDS, f"{unknown.needs} has no text"
    assert not missing(WORDS.NEEDS[unknown.needs], unknown.figures), unknown.needs
