"""Snapshots of installations for the tests of the rules about pools and limits, and what their lines change."""

from dataclasses import replace

from addon.advice import findings, limits
from addon.advice.snapshot import Console, History, Odoo, PostgreSQL, Snapshot, Watch

FIVE = ("a", "b", "c", "d", "postgres")
ROLE = "odoo"
SETTINGS = {
    "max_client_conn": "1000",
    "default_pool_size": "20",
    "reserve_pool_size": "0",
    "max_db_connections": "0",
    "max_user_connections": "0",
    "pool_mode": "transaction",
}
# A server with two workers and a cron worker, whose pools have at most eight connections: 32 in all.
ODOO = Odoo(user=ROLE, hosts=1, workers=2, max_cron_threads=1, db_maxconn=8)


def database(name, size=20, **values):
    return {"name": name, "database": name, "pool_size": size, "reserve_pool_size": 0, "max_connections": 0} | values


def pool(name, user=ROLE, clients=3, **values):
    return {"database": name, "user": user, "cl_active": clients, "cl_waiting": 0} | values


def console(*names, key=1, settings=(), databases=None, **values):
    """Return a Console with a pool of Odoo for each database."""
    rows = [database(name) for name in names] if databases is None else databases
    defaults = {
        "settings": SETTINGS | dict(settings),
        "reloadable": frozenset(SETTINGS),
        "databases": rows,
        "here": frozenset(row["name"] for row in rows),
        "pools": [pool(row["name"]) for row in rows],
    }
    return Console(key, f"Pooler {key}", **defaults | values)


def installation(*consoles, usable=97, direct=2, odoo=ODOO, watch=None, **values):
    """Return a Snapshot: some sessions are direct ones, some those of PgBouncers."""
    sessions = [{"component": "other"}] * direct + [{"component": "pgbouncer"}] * 50
    defaults = {"usable": usable, "role": ROLE, "sessions": sessions, "history": History(7 * 1440, 0)}
    postgresql = PostgreSQL(**defaults | values)
    return Snapshot({console.key: console for console in consoles}, postgresql, odoo, watch or Watch())


def found(rule, shot, key=1):
    """Return the findings of a rule, and what it needs if it cannot judge."""
    arguments = (shot,) if rule in limits.RULES else (shot.consoles[key], shot)
    result = []
    try:
        for finding in rule(*arguments):
            result.append(finding)
    except findings.Unknown as unknown:
        return result, unknown.needs
    return result, None


def pasted(shot, finding):
    """Return the Snapshot after the lines of a finding were pasted and loaded."""
    consoles = [
        paste(row, finding.steps) if finding.console in (None, row.key) else row for row in shot.consoles.values()
    ]
    return replace(shot, consoles={row.key: row for row in consoles})


def paste(old, steps):
    """Return a Console after its files were changed: what a line does not set follows the settings."""
    settings, users, descriptors = dict(old.settings), {row["name"]: dict(row) for row in old.users}, old.descriptors
    rows = {row["name"]: dict(row) for row in old.databases}
    columns = {"max_db_connections": "max_connections", "max_db_client_connections": "max_client_connections"}
    for step in steps:
        options = [line.split(" = ") for line in step.lines]
        if step.place == "pgbouncer":
            for name, value in options:
                column = {"default_pool_size": "pool_size"}.get(name, columns.get(name, name))
                for row in [*rows.values(), *users.values()]:
                    if str(row.get(column)) == settings.get(name):
                        row[column] = int(value)
                settings[name] = value
        elif step.place in ("databases", "users"):
            for name, text in options:
                values = dict(option.split("=") for option in text.split())
                row = rows[name] if step.place == "databases" else users.setdefault(name, {"name": name})
                row |= {columns.get(option, option): int(value) for option, value in values.items()}
        else:
            descriptors = int(step.lines[1].split("LimitNOFILE=")[1].split("\\n")[0])
    lists = {"databases": list(rows.values()), "users": list(users.values())}
    return replace(old, settings=settings, descriptors=descriptors, **lists)


def only(rule, shot, code=None, key=1):
    """Return the only finding of a rule. After pasting its lines there is none."""
    result, needs = found(rule, shot, key)
    assert ([finding.code for finding in result], needs) == ([code or rule.__name__], None)
    if result[0].steps:
        assert found(rule, pasted(shot, result[0]), key)[0] == []
    return result[0]
