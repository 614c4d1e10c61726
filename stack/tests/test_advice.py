"""The findings about real servers: each rule finds its fault, and nothing else is found. Their remedies end them."""

import socket
from types import SimpleNamespace

import psutil
import pytest

from advice_cases import CASES, QUICK
from advice_faults import FAULTS
from advice_read import NO_SERVERS, NO_SOCKET, expected
from advised import ROUTE, Installation, Plan
from planner.inputs import AUTH
from servers import LOCALHOST, VERSIONS

# PgBouncers that are read at the same time.
AT_ONCE = 40
PLANS = [Plan(version, auth, is_named) for version in VERSIONS for auth in AUTH for is_named in (True, False)]
# An address of this host that other hosts may reach.
ADDRESSES = [
    found.address
    for addresses in psutil.net_if_addrs().values()
    for found in addresses
    if found.family == socket.AF_INET and found.address != LOCALHOST
]
PLANS += [
    Plan(version, "userlist", True, {"pgbouncer_host": address}) for version in VERSIONS for address in ADDRESSES[:1]
]


class Installations:
    """One installation for all tests, and another one after a test that failed."""

    def __init__(self, pair, template):
        self.pair, self.template, self.used = pair, template, None

    def start(self):
        if not self.used:
            self.used = Installation(self.pair, self.template)
            self.used.start()
        return self.used

    def stop(self):
        if self.used:
            self.used.stop()
        self.used = None


@pytest.fixture(scope="module")
def installations(pair, installed):
    installations = Installations(pair, installed)
    yield installations
    installations.stop()


@pytest.fixture(scope="module")
def seen(request, installations):
    """What was read of all PgBouncers: ``before`` and ``after`` the remedies were applied."""
    items = [item for item in request.session.items if item.module is request.module]
    chosen = [item.callspec.params for item in items if hasattr(item, "callspec")]
    chosen = [next(iter(params.values())) for params in chosen if params.keys() <= {"case", "plan"}]
    chosen, seen = list(dict.fromkeys(chosen)), {}
    site = installations.start()
    for start in range(0, len(chosen), AT_ONCE):
        part = chosen[start : start + AT_ONCE]
        plans = [plan for plan in part if isinstance(plan, Plan)]
        site.add([case for case in part if case not in plans], plans)
        before = site.read()
        site.paste(before)
        seen |= dict.fromkeys(part, SimpleNamespace(before=before, after=site.read()))
    return seen


def marked(case, is_long):
    return pytest.param(case, id=case.name, marks=pytest.mark.long if is_long else ())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", [marked(case, case.name not in QUICK) for case in CASES])
def test_case(seen, case):
    """Exactly the findings of the case, and none after its remedies were applied."""
    before, after = seen[case].before, seen[case].after
    assert before.levels(case.name) == expected(case.version, case.found)
    left = {code: level for code, level in case.found.items() if code in case.left}
    assert after.levels(case.name) == expected(case.version, left)
    assert before.gaps_of(case.name) == case.gaps


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_plan(seen, plan):
    """The planner and the advice agree."""
    assert seen[plan].before.levels(plan.name) == expected(plan.version, {})
    assert seen[plan].before.gaps_of(plan.name) == NO_SOCKET


def test_installation(seen):
    """What is found about the installation itself."""
    for found in seen.values():
        for advice in (found.before, found.after):
            assert advice.levels(ROUTE) == {"vulnerable_version": "warning"}
            assert advice.levels() == {}
            assert advice.gaps_of() <= NO_SERVERS


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [marked(fault, fault.is_long) for fault in FAULTS])
def test_fault(installations, fault):
    """Exactly the findings of the faults, and none after its remedies were applied."""
    site = installations.start()
    try:
        site.add([])
        fault.break_it(site)
        before = site.read()
        site.paste(before)
        if fault.fix:
            fault.fix(site)
        after = site.read()
        assert before.levels() == fault.found
        version = site.cases[ROUTE].version
        assert before.levels(ROUTE) == ({} if fault.is_unwatched else expected(version, fault.route))
        assert after.levels() == {}
        assert after.levels(ROUTE) == expected(version, {})
        assert after.gaps_of() == set()
    except BaseException:
        installations.stop()  # what is left of the fault would be found by the next test
        raise
