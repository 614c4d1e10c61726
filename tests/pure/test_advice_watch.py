"""The rules about the watch itself."""

import pytest
from addon.advice import judge, watch
from addon.advice.snapshot import Console, Odoo, PostgreSQL, Snapshot, Watch

# All is watched, once, and Odoo goes through a pool that is watched.
WATCH = {
    "is_sampler_on": True,
    "is_postgresql_on": True,
    "sample_age": 65.0,
    "has_address": True,
    "others": [],
    "is_complete": True,
    "limit": 50,
}
ODOO = {"host": "pool.example", "port": 6432, "is_pooled": True, "route": 1}
POOL = Console(1, "Pool", is_shared_port=False)


def judged(consoles=(POOL,), odoo=(), **facts):
    """Return the findings and gaps of these rules, with some facts changed."""
    consoles = {console.key: console for console in consoles}
    snapshot = Snapshot(consoles, PostgreSQL(), Odoo(**ODOO | dict(odoo)), Watch(**WATCH | facts))
    found, gaps = judge.judge(snapshot)
    rules = {rule.__name__ for rule in (*watch.RULES, *watch.CONSOLE_RULES)}
    found = [finding for finding in found if finding.code.startswith(tuple(rules))]
    return found, {(gap.rule, gap.needs) for gap in gaps if gap.rule in rules}


def levels(*arguments, **facts):
    """Return code -> level of what is found."""
    return {finding.code: finding.level for finding in judged(*arguments, **facts)[0]}


def test_a_complete_watch_has_no_finding():
    assert judged() == ([], set())


@pytest.mark.parametrize(
    "facts, expected",
    [
        ({"is_sampler_on": False}, {"sampler_off": "critical"}),
        ({"is_sampler_on": False, "sample_age": 9e9}, {"sampler_off": "critical"}),
        ({"is_sampler_on": False, "others": ["watch"]}, {}),
        ({"sample_age": 180.0}, {}),
        ({"sample_age": 181.0}, {"sampler_late": "warning"}),
        ({"sample_age": 181.0, "interval": 300}, {}),
        ({"sample_age": 3600.0}, {"sampler_late": "warning"}),
        ({"sample_age": 3601.0}, {"sampler_late": "critical"}),
        ({"is_postgresql_on": False, "has_address": False}, {"unwatched_postgresql": "warning"}),
        ({"has_address": False}, {"own_address": "warning"}),
        ({"has_address": False, "address_error": "refused"}, {"own_address_error": "warning"}),
        ({"others": ["b", "a"]}, {"watched_twice": "hint"}),
        ({"others": ["b"], "is_complete": False}, {"watched_twice": "hint"}),
    ],
)
def test_watch(facts, expected):
    found, gaps = judged(**facts)
    assert {finding.code: finding.level for finding in found} == expected
    assert not gaps


@pytest.mark.parametrize(
    "facts, figures",
    [({"others": ["b", "a"]}, {"others": "a, b"}), ({"address_error": "refused"}, {"error": "refused"})],
)
def test_what_is_measured_may_change_in_an_accepted_finding(facts, figures):
    [finding], _gaps = judged(**facts)
    assert (finding.evidence, finding.figures) == ({}, figures)


def test_what_is_said_about_a_late_sampler():
    [late], _gaps = judged(sample_age=600.0)
    assert (late.code, late.evidence, late.figures) == ("sampler_late", {"interval": 60}, {"minutes": 10})
    [no_cron], _gaps = judged(sample_age=600.0, odoo={"max_cron_threads": 0})
    assert no_cron.code == "sampler_late_cron"
    assert no_cron.evidence == {"interval": 60, "max_cron_threads": 0}
    assert levels(odoo={"max_cron_threads": 0}) == {}, "another Odoo server runs it"


@pytest.mark.parametrize(
    "odoo, facts",
    [
        ({"is_pooled": False, "route": None}, {}),
        ({"is_pooled": False, "route": None}, {"has_address": False}),
    ],
)
def test_a_direct_odoo_needs_no_address_and_no_pooler(odoo, facts):
    assert judged(odoo=odoo, **facts) == ([], set())


def test_an_unwatched_pooler():
    [finding], gaps = judged(odoo={"route": None})
    assert (finding.code, finding.level) == ("unwatched_pooler", "warning")
    assert finding.evidence == {"host": "pool.example", "port": "6432"}
    assert not gaps
    assert levels((), odoo={"route": None}) == {"unwatched_pooler": "warning"}


def test_a_console_that_does_not_answer_may_be_the_pooler():
    found, gaps = judged((Console(1, "Silent", is_answering=False),), odoo={"route": None})
    assert not found
    assert ("unwatched_pooler", "console") in gaps


def test_twins():
    consoles = [Console(key, name, is_shared_port=False) for key, name in ((3, "B"), (2, "A"), (7, "C"))]
    [finding], _gaps = judged(consoles, twins=[[3, 2]])
    assert (finding.code, finding.level, finding.console) == ("twins", "warning", 2)
    assert finding.evidence == {"endpoints": "A, B"}


@pytest.mark.parametrize(
    "host, is_shared_port, expected",
    [
        ("10.0.0.5", True, {"shared_port": "warning"}),
        ("10.0.0.5", False, {}),
        ("/run/pgbouncer-1", False, {}),
    ],
)
def test_shared_port(host, is_shared_port, expected):
    found, gaps = judged((Console(1, "Pool", host, 6432, is_shared_port=is_shared_port),))
    assert {finding.code: finding.level for finding in found} == expected
    assert all(finding.evidence == {"host": host, "port": "6432"} for finding in found)
    assert not gaps


@pytest.mark.parametrize(
    "facts, odoo, gaps",
    [
        (
            {"is_sampler_on": None},
            {},
            {("sampler_off", "postgresql"), ("sampler_late", "postgresql"), ("watched_twice", "postgresql")},
        ),
        ({"sample_age": None}, {}, {("sampler_late", "postgresql")}),
        ({"is_postgresql_on": None}, {}, {("unwatched_postgresql", "postgresql"), ("own_address", "postgresql")}),
        ({"has_address": None}, {}, {("own_address", "postgresql")}),
        ({}, {"is_pooled": None}, {("own_address", "postgresql"), ("unwatched_pooler", "postgresql")}),
        ({"others": None}, {}, {("watched_twice", "postgresql")}),
        ({"is_complete": False}, {}, {("watched_twice", "databases")}),
        ({"is_sampler_on": False, "others": None, "is_complete": False}, {}, {("sampler_off", "postgresql")}),
        ({"is_sampler_on": False, "is_complete": False}, {}, {("sampler_off", "databases")}),
    ],
)
def test_what_is_unknown_is_a_gap(facts, odoo, gaps):
    assert judged(odoo=odoo, **facts) == ([], gaps)


def test_a_port_that_may_be_shared_is_a_gap():
    assert judged((Console(1, "Pool"),)) == ([], {("shared_port", "processes")})
