"""What the rules find about the pool modes of Odoo's databases."""

from dataclasses import replace

import pytest
from addon.advice import pool_modes
from addon.planner import sizing
from addon.planner.inputs import Inputs
from consoles import ODOO, check_fault, console, found, pool, row, snapshot

OVERRIDE = [{"name": "odoo", "pool_mode": "transaction"}]
TRANSACTION = [row("postgres"), row("shop")]
MISSING = replace(ODOO, system_error="connection to server failed: FATAL:  no such database: postgres")
LISTENING = replace(ODOO, has_job_runner=True, is_job_runner_pooled=True)


def session(*names, **values):
    """Return the values of a console with databases in session mode."""
    return {"databases": [row("postgres", pool_mode="session"), *(row(name, pool_mode="session") for name in names)]}


# Name -> console, Odoo, what is found: see `check_fault`.
FAULTS = {
    "statement": (
        console(databases=[row("postgres", pool_mode="statement"), row("shop", pool_mode="statement")]),
        ODOO,
        {
            "pool_mode_statement": (
                "critical",
                ("shop", "postgres"),
                ["shop = pool_mode=transaction", "postgres = pool_mode=session"],
            )
        },
    ),
    "statement by default": (
        console({"pool_mode": "statement"}),
        ODOO,
        {"pool_mode_statement": ("critical", ("shop",), ["pool_mode = transaction"])},
    ),
    "statement by default, with other databases": (
        console({"pool_mode": "statement"}, databases=[*console().databases, row("other")]),
        ODOO,
        {"pool_mode_statement": ("critical", ("shop",), ["shop = pool_mode=transaction"])},
    ),
    "session": (
        console(**session("shop")),
        ODOO,
        {"pool_mode_session": ("warning", ("shop",), ["shop = pool_mode=transaction"])},
    ),
    "session by default": (
        console({"pool_mode": "session"}, databases=TRANSACTION),
        ODOO,
        {
            "pool_mode_session": (
                "warning",
                ("shop",),
                ["pool_mode = transaction", "postgres = pool_mode=session"],
            )
        },
    ),
    "session for another database of Odoo's role": (
        console(**session("blog"), pools=[pool("blog")], here=frozenset(["blog"])),
        ODOO,
        {"pool_mode_session": ("warning", ("blog",), ["blog = pool_mode=transaction"])},
    ),
    "session for an alias that Odoo uses": (
        console(
            databases=[row("postgres", pool_mode="session"), row("alias", database="shop", pool_mode="session")],
            pools=[pool("alias")],
            here=frozenset(["alias"]),
        ),
        replace(ODOO, db_names=("alias",)),
        {"pool_mode_session": ("warning", ("alias",), ["alias = pool_mode=transaction"])},
    ),
    "session for a name that has no line": (
        console(**session("größe"), pools=[pool("größe")], here=frozenset(["größe"])),
        ODOO,
        {
            "pool_mode_session": (
                "warning",
                ("größe",),
                ["* = pool_mode=transaction", "postgres = pool_mode=session"],
            )
        },
    ),
    "session for the role": (
        console(users=[{"name": "odoo", "pool_mode": "session"}], databases=TRANSACTION),
        ODOO,
        {"pool_mode_session": ("warning", ("shop",), ["odoo =", "postgres = pool_mode=session"])},
    ),
    "transaction for the role": (
        console(users=OVERRIDE),
        ODOO,
        {"pool_mode_postgres": ("critical", ("postgres",), ["odoo ="])},
    ),
    "session for the login": (
        console(users=[{"name": "login", "pool_mode": "session"}], databases=TRANSACTION),
        replace(ODOO, user="login"),
        {"pool_mode_session": ("warning", ("shop",), ["login =", "postgres = pool_mode=session"])},
    ),
    "session for a forced user": (
        console(
            users=[{"name": "odoo", "pool_mode": "session"}, {"name": "login", "pool_mode": "transaction"}],
            databases=[row("postgres"), row("shop", force_user="odoo")],
        ),
        replace(ODOO, user="login"),
        {
            "pool_mode_session": ("warning", ("shop",), ["login =", "odoo =", "postgres = pool_mode=session"]),
            "pool_mode_postgres": ("critical", ("postgres",), ["login =", "odoo =", "postgres = pool_mode=session"]),
        },
    ),
    "deaf": (
        console(databases=TRANSACTION),
        ODOO,
        {"pool_mode_postgres": ("critical", ("postgres",), ["postgres = pool_mode=session"])},
    ),
    "deaf cron workers beside bus_alt_connection": (
        console(databases=TRANSACTION),
        replace(ODOO, has_alt=True, is_alt_set=True),
        {"pool_mode_postgres": ("critical", ("postgres",), ["postgres = pool_mode=session"])},
    ),
    "deaf bus without cron workers": (
        console(databases=TRANSACTION),
        replace(ODOO, max_cron_threads=0, has_alt=True),
        {"pool_mode_postgres": ("critical", ("postgres",), ["postgres = pool_mode=session"])},
    ),
    "deaf without workers": (
        console(databases=TRANSACTION),
        replace(ODOO, workers=0),
        {"pool_mode_postgres": ("critical", ("postgres",), ["postgres = pool_mode=session"])},
    ),
    "without postgres": (
        console(databases=[row("shop", host="10.0.0.7", port=5433)]),
        MISSING,
        {"postgres_missing": ("critical", ("postgres",), ["postgres = host='10.0.0.7' port=5433 pool_mode=session"])},
    ),
    "without postgres, with a user for all clients": (
        console({"auth_type": "any"}, databases=[row("shop", force_user="my 'odoo")], pools=[]),
        replace(MISSING, system_error="FATAL:  bouncer config error", max_cron_threads=0),
        {
            "postgres_missing": (
                *("critical", ("postgres",)),
                ["postgres = host='127.0.0.1' user='my ''odoo' pool_mode=session"],
            )
        },
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_its_remedy_ends_it(name):
    check_fault(*FAULTS[name])


# What is no fault: console, Odoo.
ORDINARY = {
    "session by default, transaction in the lines": (
        console({"pool_mode": "session"}, databases=[row("postgres"), row("shop", pool_mode="transaction")]),
        ODOO,
    ),
    "session for a forced user, where section [users] does not apply": (
        console(
            users=[{"name": "odoo", "pool_mode": "session"}],
            databases=[row("postgres", pool_mode="session"), row("shop", force_user="odoo")],
            version=(1, 18, 0),
        ),
        replace(ODOO, user="login"),
    ),
    "session for a role that is not the login": (
        console(users=[{"name": "odoo", "pool_mode": "session"}]),
        replace(ODOO, user="login"),
    ),
    "session for a backup": (
        console(
            databases=[*console().databases, row("backup", database="shop", pool_mode="session")],
            pools=[pool("backup")],
            here=frozenset(["backup", "shop"]),
        ),
        ODOO,
    ),
    "session for a backup with Odoo's role, in a PgBouncer of its own": (
        console({"pool_mode": "session"}, databases=TRANSACTION, of_odoo=False),
        ODOO,
    ),
    "session for another program": (
        console(databases=[*console().databases, row("x", pool_mode="session")], pools=[pool("x", user="x")]),
        ODOO,
    ),
    "session on another PostgreSQL": (
        console(databases=[*console().databases, row("x", pool_mode="session")], pools=[pool("x")]),
        ODOO,
    ),
    "session for another name of postgres": (
        console(
            databases=[*console().databases, row("bus", database="postgres", pool_mode="session")],
            pools=[pool("bus")],
            here=frozenset(["bus"]),
        ),
        replace(ODOO, db_names=("bus",)),
    ),
    "session for queue_job": (console(**session("shop")), LISTENING),
    "session for queue_job in another database": (
        console(**session("shop")),
        replace(LISTENING, has_job_runner=False, server_wide_modules=("web", "queue_job")),
    ),
    "no listener": (
        console(databases=TRANSACTION),
        replace(ODOO, max_cron_threads=0, has_alt=True, is_alt_set=True),
    ),
    "a bus of its own": (
        console(databases=TRANSACTION, clients=[{"database": "shop", "addr": "unix"}]),
        replace(ODOO, max_cron_threads=0),
    ),
    "another Odoo's, without postgres": (console(databases=[row("shop")], of_odoo=False), MISSING),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_no_fault(name):
    one, odoo = ORDINARY[name]
    assert found(one, odoo=odoo) == ({}, [])


def test_a_backup_may_need_session_mode():
    """An Odoo that may connect through this PgBouncer does not."""
    findings, gaps = found(console(**session("shop"), of_odoo=None))
    assert not findings
    assert ("pool_mode_session", "processes") in {(gap.rule, gap.needs) for gap in gaps}


def test_a_runner_whose_route_is_unknown():
    gaps = found(console(**session("shop")), odoo=replace(LISTENING, is_job_runner_pooled=None))[1]
    assert [(gap.rule, gap.needs) for gap in gaps] == [("pool_mode_session", "postgresql")]
    elsewhere = replace(ODOO, is_job_runner_elsewhere=True)
    gaps = found(console(**session("shop")), odoo=elsewhere)[1]
    assert [(gap.rule, gap.needs) for gap in gaps] == [("pool_mode_session", "runner")]
    direct = replace(LISTENING, is_job_runner_pooled=False)
    assert "pool_mode_session" in found(console(**session("shop")), odoo=direct)[0]


def test_the_database_postgres_is_not_listed():
    """The line ``*`` may serve it, or it is missing."""
    one, expected = console(databases=[row("shop")]), [("pool_mode_postgres", {"setting": "[databases] postgres"})]
    for error in ("", "timeout expired"):
        findings, gaps = found(one, odoo=replace(ODOO, system_error=error))
        assert not findings
        assert [(gap.rule, gap.figures) for gap in gaps] == expected
    needs = {gap.rule: gap.needs for gap in found(one)[1]}
    assert needs == {"postgres_missing": "postgresql", "pool_mode_postgres": "postgresql"}


def test_the_error_without_postgres_may_change_in_an_accepted_finding():
    finding = found(console(databases=[row("shop")]), odoo=MISSING)[0]["postgres_missing"]
    assert (finding.evidence, finding.figures) == ({"database": "shop"}, {"error": MISSING.system_error})


def test_listeners_connect_again():
    """RELOAD does not repair those that connected in transaction mode."""
    [step] = found(console(databases=TRANSACTION))[0]["pool_mode_postgres"].steps
    assert step.apply == "restart"
    one = console({"pool_mode": "session"}, databases=TRANSACTION)
    assert [step.apply for step in found(one)[0]["pool_mode_session"].steps] == ["reload", "reload"]


def lines_of_postgres(size, **values):
    """Return the lines that put a pool of postgres of a size into session mode, with 97 connections for 2 servers."""
    one = console(
        {"max_client_conn": "100", "max_user_connections": "0"},
        databases=[row("postgres", pool_size=size), row("shop", pool_size=20)],
    )
    whole = snapshot(one, replace(ODOO, hosts=2))
    whole = replace(whole, postgresql=replace(whole.postgresql, **{"usable": 97, "sessions": []} | values))
    [finding] = pool_modes.pool_mode_postgres(one, whole)
    [step] = finding.steps
    return step.lines


def test_the_pool_of_postgres_is_large_enough_for_its_listeners():
    """As the planner would do: 3 listeners and up to 4 NOTIFYs of each server, and a check."""
    plan = Inputs(servers=2, workers=4, max_connections=97, superuser_reserved_connections=0, version=18)
    enough = sizing.propose(plan).figures["postgres_pool_size"].value
    assert enough > 6
    assert lines_of_postgres(enough - 1) == (f"postgres = pool_mode=session pool_size={enough}",)
    for size in (enough, 0, None):
        assert lines_of_postgres(size) == ("postgres = pool_mode=session",)
    assert lines_of_postgres(1, usable=None) == ("postgres = pool_mode=session",)
