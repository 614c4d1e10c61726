"""Rules, snapshots and gaps."""

import pytest
from addon.advice import findings, judge
from addon.advice.snapshot import Console, Odoo, PostgreSQL, Snapshot, Watch


def snapshot(*consoles, postgresql=None, odoo=None, watch=None):
    """Return a Snapshot; what is not given is unknown."""
    consoles = {console.key: console for console in consoles}
    return Snapshot(consoles, postgresql or PostgreSQL(), odoo or Odoo(), watch or Watch())


def test_a_console_that_does_not_answer_leaves_a_gap_for_each_rule():
    found, gaps = judge.judge(snapshot(Console(1, "Silent", is_answering=False)))
    of_console = [gap for gap in gaps if gap.console == 1]
    assert not [finding for finding in found if finding.console == 1]
    assert {gap.rule for gap in of_console} == {rule.__name__ for rule in judge.CONSOLE_RULES}
    assert {gap.needs for gap in of_console} == {"console"}


def test_a_missing_setting_is_a_gap():
    _found, gaps = judge.judge(snapshot(Console(1, "Old")))
    assert findings.Gap("endless_queue", 1, "setting", {"setting": "query_wait_timeout"}) in gaps


def test_poolers_are_those_of_this_postgresql_each_process_once():
    here = frozenset({"shop"})
    consoles = [Console(1, "A", here=here), Console(2, "Twin", here=here), Console(3, "Elsewhere")]
    found = snapshot(*consoles, watch=Watch(twins=[[1, 2]])).poolers
    assert [console.key for console in found] == [1]


@pytest.mark.parametrize(
    ("console", "needs"),
    ((Console(1, "Silent", is_answering=False), "console"), (Console(1, "Idle", is_located=False), "servers")),
)
def test_poolers_are_unknown_if_one_may_be_missing(console, needs):
    with pytest.raises(findings.Unknown) as error:
        snapshot(console).poolers  # noqa: B018
    assert (error.value.needs, error.value.figures) == (needs, {"name": console.name})


def test_the_rule_of_a_code(monkeypatch):
    names = ["pool_mode", "pool_mode_user"]
    monkeypatch.setattr(judge, "CONSOLE_RULES", [type(name, (), {}) for name in names])
    for code, rule in (
        ("pool_mode", "pool_mode"),
        ("pool_mode_statement", "pool_mode"),
        ("pool_mode_user", "pool_mode_user"),
        ("pool_mode_user_session", "pool_mode_user"),
        ("pool_model", "pool_model"),
    ):
        assert judge.rule_of(code) == rule


def test_rules_of_an_odoo_server():
    names = {rule.__name__ for rule in (*judge.CONSOLE_RULES, *judge.RULES)}
    assert names > judge.OF_SERVER > {"threaded", "pool_of_odoo", "short_timeout"}
    assert "endless_queue" not in judge.OF_SERVER


def test_a_value_that_was_not_foreseen_costs_one_rule(caplog):
    settings = {"query_wait_timeout": "0", "auth_type": "scram-sha-256", "listen_addr": 7}
    found, gaps = judge.judge(snapshot(Console(1, "Odd", settings=settings, here=frozenset(["shop"]), is_of_odoo=True)))
    assert "endless_queue" in {finding.code for finding in found}
    failed = {gap.rule: gap.figures["error"] for gap in gaps if gap.needs == "failed"}
    assert failed.keys() == {"authentication"}
    assert failed["authentication"].isidentifier(), "without the text of the exception, which all Viewers would read"
    assert [record.args for record in caplog.records] == [("authentication",)]
