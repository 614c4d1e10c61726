"""Whatever a rule finds, or needs, in any test: there are words for it."""

import pytest
from addon.advice.findings import Finding, Unknown
from words import check_finding, check_unknown


@pytest.fixture(autouse=True)
def made(monkeypatch):
    """Check the words of all that the test makes."""
    found = []
    for kind, check in ((Finding, check_finding), (Unknown, check_unknown)):

        def make(self, *arguments, init=kind.__init__, check=check, **options):
            init(self, *arguments, **options)
            found.append((check, self))

        monkeypatch.setattr(kind, "__init__", make)
    yield
    for check, item in found:
        check(item)
