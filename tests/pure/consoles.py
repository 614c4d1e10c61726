"""A PgBouncer for the tests of the rules about it, and the lines of remedies pasted into it."""

import re
from dataclasses import replace

from addon.advice import judge, pgbouncer
from addon.advice.snapshot import Console, Odoo, PostgreSQL, Snapshot, Watch

# PgBouncer's defaults that all versions have, but the pool mode.
SETTINGS = {
    "pool_mode": "transaction",
    "query_wait_timeout": "120",
    "query_timeout": "0",
    "idle_transaction_timeout": "0",
    "client_idle_timeout": "0",
    "server_lifetime": "3600",
    "server_idle_timeout": "600",
    "server_reset_query": "DISCARD ALL",
    "server_reset_query_always": "0",
    "server_check_query": "select 1",
    "server_check_delay": "30",
    "max_packet_size": "2147483647",
    "tcp_keepalive": "1",
    "autodb_idle_timeout": "3600",
}
NEW = {"transaction_timeout": "0", "server_check_query": "<empty>"}
ODOO = Odoo(database="shop", user="odoo", workers=4)


def row(name, **values):
    """Return a row of SHOW DATABASES."""
    return {"name": name, "host": "127.0.0.1", "database": name, "pool_mode": None, "disabled": 0} | values


def pool(database, user="odoo", mode="transaction"):
    return {"database": database, "user": user, "pool_mode": mode}


def console(settings=(), *, of_odoo=True, **values):
    """Return a Console without a fault, for the databases postgres and shop."""
    rows = [row("postgres", pool_mode="session"), row("shop")]
    defaults = {
        "version": (1, 24, 1),
        "databases": rows,
        "users": [{"name": "odoo", "pool_mode": None}, {"name": "other", "pool_mode": "statement"}],
        "pools": [pool("shop"), pool("postgres", mode="session")],
        "clients": [{"database": "postgres", "addr": "unix"}, {"database": "shop", "addr": "127.0.0.1"}],
        "here": frozenset(["postgres", "shop"]),
        "reloadable": frozenset(SETTINGS | NEW),
    }
    return Console(1, "PgBouncer", is_of_odoo=of_odoo, settings=SETTINGS | dict(settings), **defaults | values)


def snapshot(one, odoo=ODOO, role="odoo"):
    return Snapshot({1: one}, PostgreSQL(role=role), odoo, Watch())


def found(one, **values):
    """Return code -> Finding of a console, and what could not be judged."""
    findings, gaps = judge.judge(snapshot(one, **values))
    names = {rule.__name__ for rule in pgbouncer.CONSOLE_RULES}
    own = {finding.code: finding for finding in findings if judge.rule_of(finding.code) in names}
    return own, [gap for gap in gaps if gap.rule in names]


def unquoted(text):
    """Return a value of a line of [databases], as PgBouncer reads it."""
    return text[1:-1].replace("''", "'") if text.startswith("'") else text


def paste(one, finding):
    """Return the Console after the lines of a remedy were pasted."""
    settings = dict(one.settings)
    databases = {entry["name"]: dict(entry) for entry in one.databases}
    users = {entry["name"]: dict(entry) for entry in one.users}
    for step in finding.steps:
        for line in step.lines:
            if step.place == "console":
                databases[re.fullmatch(r'ENABLE "(.*)";', line)[1]]["disabled"] = 0
                continue
            name, value = re.fullmatch(r"(.+?) = ?(.*)", line).groups()
            options = {key: unquoted(text) for key, text in re.findall(r"(\w+)=('(?:[^']|'')*'|\S+)", value)}
            options = {key: int(text) if text.isdigit() else text for key, text in options.items()}
            if step.place == "pgbouncer":
                settings[name] = value
            elif step.place == "users":
                users[name] = {"name": name, "pool_mode": None} | options
            else:
                named = databases.values() if name == "*" else [databases.setdefault(name, row(name))]
                for entry in named:
                    entry.update(options)
    return replace(one, settings=settings, databases=list(databases.values()), users=list(users.values()))


def check_fault(one, odoo, expected):
    """Check what is found, as code -> (level, databases, lines of the remedy), and that pasting the lines ends it."""
    findings, gaps = found(one, odoo=odoo)
    assert not gaps
    assert {
        code: (finding.level, finding.databases, [line for step in finding.steps for line in step.lines])
        for code, finding in findings.items()
    } == expected
    for finding in findings.values():
        assert finding.console == 1
        assert finding.evidence or finding.code == "disabled_databases"
        shown = {key: value for key, value in finding.evidence.items() if isinstance(value, int | float)}
        seen = dict.fromkeys(shown, 0) if finding.databases else {key: float(one.settings[key]) for key in shown}
        assert shown == seen
        one = paste(one, finding)
    assert found(one, odoo=odoo) == ({}, [])
