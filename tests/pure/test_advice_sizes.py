"""The rules about the sizes of pools."""

from dataclasses import replace

import pytest
from addon.advice import limits
from addon.advice.snapshot import History
from pools import FIVE, ODOO, ROLE, console, database, found, installation, only, pasted, pool

WEEK = 7 * 1440


def busy(minutes=WEEK, used=20, demand=30, full=10):
    return History(minutes, used, demand, full)


def held(waiting=10):
    """Return the History of a pool of 20 that never had more than 10 servers."""
    return History(WEEK, 10, 30, 0, waiting)


def queued(*histories, databases=None, **values):
    """Return a Console with pools that have these histories."""
    databases = databases or [database(name) for name in "abc"[: len(histories)]]
    history = {(row["name"], ROLE): samples for row, samples in zip(databases, histories, strict=True) if samples}
    return console(databases=databases, history=history, **values)


@pytest.mark.parametrize(
    ("shot", "code", "lines"),
    [
        (installation(queued(busy())), "pool_full", ["a = pool_size=30"]),
        (installation(queued(busy()), cores=2), "pool_full", ["a = pool_size=30"]),
        (installation(queued(busy()), cores=40, odoo=replace(ODOO, hosts=8)), "pool_full", ["a = pool_size=40"]),
        (installation(queued(busy()), cores=40, odoo=replace(ODOO, hosts=None)), "pool_full", ["a = pool_size=30"]),
        (installation(queued(busy()), usable=27), "pool_full", ["a = pool_size=25"]),
        (installation(queued(busy()), history=History(WEEK, 92)), "pool_full", ["a = pool_size=25"]),
        (installation(queued(busy()), usable=22), None, None),
        (installation(queued(busy()), history=History(WEEK, 97)), None, None),
        (installation(queued(busy(full=9))), None, None),
        (installation(queued(held())), None, None),
        (installation(queued(busy(full=None))), None, None),
        (installation(queued(busy(demand=20))), None, None),
        (installation(queued(busy(used=19))), None, None),
        (installation(queued(busy(used=None))), None, None),
        (installation(queued(busy(demand=None))), None, None),
        (installation(queued(busy(minutes=20))), "pool_full", ["a = pool_size=30"]),
        (installation(queued(busy(), here=frozenset())), None, None),
        (installation(queued(busy(), databases=[database("a", 0)])), None, None),
        (installation(queued(busy(), databases=[database("postgres")])), None, None),
        (installation(queued(busy(), None, busy(demand=25))), "pool_full", ["a = pool_size=30", "c = pool_size=25"]),
        (
            installation(queued(busy(), busy()), usable=57),
            "pool_full",
            ["a = pool_size=30", "b = pool_size=25"],
        ),
        (
            installation(queued(busy()), console("a", "b", key=2), usable=72),
            "pool_full",
            ["a = pool_size=25"],
        ),
        (
            installation(queued(busy(), databases=[database("a", reserve_pool_size=5, max_connections=25)])),
            "pool_full",
            ["a = pool_size=30 max_db_connections=35"],
        ),
        (
            installation(queued(busy(), users=[{"name": ROLE, "pool_size": 20, "max_user_connections": 25}])),
            "pool_full",
            [f"{ROLE} = pool_size=30 max_user_connections=30"],
        ),
        (
            installation(queued(held(), databases=[database("a", max_connections=10)])),
            "pool_full_held",
            ["a = max_db_connections=20"],
        ),
        (
            installation(queued(held(), settings={"max_user_connections": "10"}, users=[{"name": ROLE}])),
            "pool_full_held",
            ["max_user_connections = 20"],
        ),
        (
            installation(queued(held(), users=[{"name": ROLE, "max_user_connections": 10}])),
            "pool_full_held",
            [f"{ROLE} = max_user_connections=20"],
        ),
        (installation(queued(held(), databases=[database("a", max_connections=10)]), usable=21), None, None),
        (installation(queued(held(9), databases=[database("a", max_connections=10)])), None, None),
    ],
)
def test_pools_that_queue(shot, code, lines):
    if code:
        finding = only(limits.pool_full, shot, code)
        assert (finding.level, finding.evidence) == ("warning", {}), "other pools may be full in the next reading"
        assert [line for step in finding.steps for line in step.lines] == lines
        assert found(limits.pools_exceed, pasted(shot, finding))[0] == found(limits.pools_exceed, shot)[0] == []
    else:
        assert found(limits.pool_full, shot)[0] == []


def test_two_kinds_of_pools_that_queue():
    shot = installation(queued(busy(), held(), databases=[database("a"), database("b", max_connections=10)]))
    assert [finding.code for finding in found(limits.pool_full, shot)[0]] == ["pool_full", "pool_full_held"]


def test_two_users_that_queue_share_a_line():
    both = console("a", pools=[pool("a"), pool("a", "x")], history={("a", ROLE): busy(), ("a", "x"): busy(demand=25)})
    assert only(limits.pool_full, installation(both)).steps[0].lines == ("a = pool_size=30",)


def test_a_name_without_a_line():
    assert only(limits.pool_full, installation(queued(busy(), databases=[database("a b")]))).steps == ()


@pytest.mark.parametrize("rule", [limits.pool_full, limits.pool_unused])
def test_queues_need_history(rule):
    unread = installation(console(*FIVE, history=None))
    assert found(rule, unread) == ([], "history_unread")
    for history in ({}, {("a", ROLE): History(1000, 1, 1, 0)}, {("other", ROLE): busy()}):
        shot = installation(console(*FIVE, history=history))
        assert found(rule, shot) == ([], "history"), history
    day = installation(console(*FIVE, history={("a", ROLE): History(1440, 1, 1, 0)}))
    assert found(limits.pool_full, day) == ([], None)
    assert found(limits.pool_unused, day) == ([], "history"), "a quiet day"


@pytest.mark.parametrize("history", [None, History(WEEK)])
def test_it_is_unknown_whether_postgresql_has_connections_left(history):
    assert found(limits.pool_full, installation(queued(busy()), history=history)) == ([], "history")
    assert found(limits.pool_full, installation(queued(IDLE), history=history)) == ([], None)


@pytest.mark.parametrize("rule", [limits.pool_full, limits.pool_unused])
def test_a_pgbouncer_of_another_postgresql_needs_no_history(rule):
    for history in (None, {}, {("a", ROLE): busy()}):
        other = console("a", key=2, here=frozenset(), history=history)
        assert found(rule, installation(console(*FIVE), other), 2) == ([], None)


IDLE = History(WEEK, 1, 2, 0)


@pytest.mark.parametrize(
    ("shot", "databases"),
    [
        (installation(queued(IDLE, IDLE, busy(full=0), databases=[database(n, 40) for n in "abc"])), ("a", "b")),
        (installation(queued(IDLE, IDLE, busy(full=0), databases=[database(n, 20) for n in "abc"])), ()),
        (installation(queued(IDLE, databases=[database("a", 20)]), usable=20), ("a",)),
        (installation(queued(replace(IDLE, demand_max=3), databases=[database("a", 20)]), usable=20), ()),
        (installation(queued(replace(IDLE, demand_max=None), databases=[database("a", 20)]), usable=20), ()),
        (installation(queued(IDLE, replace(IDLE, minutes=1440)), usable=20), ("a",)),
        (installation(queued(IDLE, databases=[database("postgres", 20)]), usable=20), ()),
        (installation(queued(IDLE, databases=[database("a", 20)]), usable=20, odoo=replace(ODOO, hosts=5)), ()),
    ],
)
def test_unused_pools(shot, databases):
    if databases:
        finding = only(limits.pool_unused, shot)
        assert (finding.level, finding.databases) == ("hint", databases)
        assert (finding.steps, bool(found(limits.pools_exceed, shot)[0][0].steps)) == ((), True), "lines of one rule"
    else:
        assert found(limits.pool_unused, shot) == ([], None)


def test_lines_for_unused_pools_where_odoo_cannot_fill_them():
    shot = installation(queued(IDLE, IDLE, busy(full=0), databases=[database(n, 40) for n in "abc"]))
    shot = replace(shot, odoo=replace(ODOO, db_maxconn=4))
    assert found(limits.pools_exceed, shot) == ([], None)
    (step,) = only(limits.pool_unused, shot).steps
    assert step.lines == ("a = pool_size=4", "b = pool_size=4"), "1 cron worker x 2 + 2"


def test_all_of_a_thousand_unused_pools_are_one_finding():
    names = [f"db{number}" for number in range(1000)]
    shot = installation(console(*names, history={(name, ROLE): IDLE for name in names}))
    finding = only(limits.pool_unused, shot)
    assert (len(finding.databases), finding.figures["freed"]) == (1000, 16_000)
    assert len(finding.steps[0].lines) == 1000, "the other rule has none: no sizes fit"


def client(name="postgres", user=ROLE, time="2026-11-30 10:00:00 UTC", **values):
    return {"database": name, "user": user, "connect_time": time, "link": "127.0.0.1:5432"} | values


NOW = [{"connect_time": "2026-11-30 09:00:00 UTC"}, {"connect_time": "2026-11-30 12:00:00 UTC"}]


def listening(size, clients=0, **values):
    rows = [database("postgres", size, **{"pool_mode": "session"} | values), database("a")]
    return console(databases=rows, clients=[client()] * clients, consoles=NOW)


@pytest.mark.parametrize(
    ("shot", "level"),
    [
        (installation(listening(1)), "critical"),  # the cron worker's
        (installation(listening(2)), "hint"),
        (installation(listening(3)), "hint"),
        (installation(listening(4)), None),  # and 3 processes that send NOTIFYs
        (installation(listening(4, 3)), "hint"),
        (installation(listening(4, 4)), "critical"),
        (installation(listening(0)), None),
        (installation(listening(1, pool_mode="transaction")), None),
        (installation(listening(1, pool_mode=None)), None),
        (installation(listening(20, max_connections=2)), "hint"),
        (installation(listening(20, max_connections=1)), "critical"),
        (installation(listening(6), odoo=replace(ODOO, hosts=5)), "hint"),
        (installation(listening(6), listening(6), odoo=replace(ODOO, hosts=5)), "hint"),
        (installation(listening(8), odoo=replace(ODOO, hosts=5)), None),
        (installation(listening(8), odoo=replace(ODOO, workers=8)), None),
        (installation(listening(4), odoo=replace(ODOO, workers=8)), "hint"),
        (installation(replace(listening(1), here=frozenset("a"))), None),
        (installation(replace(listening(1), pools=[pool("postgres", "other"), pool("a")])), None),
        (installation(console(databases=[database("p", 1, database="postgres", pool_mode="session")])), None),
        (installation(replace(listening(1), pools=[pool("postgres", ROLE, 0), pool("a", ROLE, 0)])), None),
        (installation(replace(listening(4, 4), consoles=[])), None),
        (installation(replace(listening(4), clients=[client(link="")] * 4)), None),
        (installation(replace(listening(4), clients=[client(time="2026-11-30 12:00:00 UTC")] * 4)), None),
        (installation(replace(listening(4), clients=[client(time=None)] * 4)), None),
        (installation(replace(listening(4), clients=[client("a")] * 4)), None),
    ],
)
def test_servers_for_listeners(shot, level):
    result, needs = found(limits.postgres_slots, shot)
    assert ([finding.level for finding in result], needs) == ([level] * bool(level), None)
    if level:
        assert only(limits.postgres_slots, shot).databases == ("postgres",)


def test_listeners_of_a_login_with_a_forced_user():
    clients, odoo = [client(user="login")] * 4, replace(ODOO, user="login")
    shot = installation(replace(listening(4), clients=clients), odoo=odoo)
    assert only(limits.postgres_slots, shot).level == "critical"


def test_listeners_of_one_of_two_poolers():
    """Two Odoo servers, each with its PgBouncer: each of these has the listeners of one."""
    first, second = listening(4), replace(listening(4), key=2)
    assert found(limits.postgres_slots, installation(first, second, odoo=replace(ODOO, hosts=2))) == ([], None)
    finding = only(limits.postgres_slots, installation(first, odoo=replace(ODOO, hosts=2)))
    assert finding.steps[0].lines == ("postgres = pool_size=9",), "4 listeners, 3 NOTIFYs and 2 checks"
