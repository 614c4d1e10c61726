"""What the rules of one file find."""

from importlib import import_module

from addon.advice.findings import Unknown


def found(room, snapshot, name=None):
    """Return the Findings of the rules of a file that are called once, or of one of them.

    A rule that cannot judge has none.
    """
    return [result for result in _results(room, snapshot, name) if not isinstance(result, str)]


def gaps(room, snapshot, name=None):
    """Return what these rules need."""
    return [result for result in _results(room, snapshot, name) if isinstance(result, str)]


def _results(room, snapshot, name):
    for rule in import_module(f"addon.advice.{room}").RULES:
        if name in (None, rule.__name__):
            try:
                yield from rule(snapshot)
            except Unknown as unknown:
                yield unknown.needs
