"""How PostgreSQL is configured for Odoo and its poolers."""

import re
from dataclasses import replace
from math import ceil

from ..planner import demand
from ..planner.quoting import identifier, literal
from ..planner.sizing import memory_figure
from . import pools
from .demand import SYSTEM, ended_early, of_all, time_limits
from .findings import Finding, Step, Unknown
from .remedies import run_psql
from .snapshot import known

# Since which version there are settings.
SINCE = {"idle_session_timeout": 140000, "transaction_timeout": 170000}
# Units of a time in a setting, in seconds. Without one it is in milliseconds.
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86_400, None: 1e-3}
# The words that parse_bool() of PostgreSQL reads as off, in lower case.
OFF = ("off", "of", "false", "fals", "fal", "fa", "f", "no", "n", "0")
# How long a prepared transaction may be open: as long as pgmonitor's critical limit of a transaction that is idle.
PREPARED_SECONDS = 900
# PostgreSQL's own defaults: no remedy proposes less.
RESERVED_CONNECTIONS, MAX_CONNECTIONS = 3, 100


def superuser(snapshot):
    """PostgreSQL's manual, superuser_reserved_connections: the last slots are for superusers, so that an administrator
    can connect. The role of initdb must stay one, or there may be no superuser at all: PostgreSQL 15 allows that, as
    seen, version 16 does not (its release notes)."""
    postgresql = snapshot.postgresql
    if known(postgresql.is_superuser, "postgresql"):
        is_bootstrap, role = known(postgresql.is_bootstrap, "postgresql"), identifier(postgresql.role)
        reserved = postgresql.setting("superuser_reserved_connections")
        evidence = {"role": postgresql.role, "superuser_reserved_connections": reserved}
        lines = [f"ALTER ROLE {role} NOSUPERUSER CREATEDB;"]
        if postgresql.reader == postgresql.role:
            lines.append(f"GRANT pg_monitor TO {role};")
        code, steps = ("superuser_bootstrap", ()) if is_bootstrap else ("superuser", (run_psql(*lines),))
        yield Finding(code, "warning", evidence=evidence, steps=steps)


def no_reserved_connections(snapshot):
    """PostgreSQL's manual, superuser_reserved_connections: the default is 3. With 0, nobody can connect to find out
    what uses all connections."""
    if snapshot.postgresql.setting("superuser_reserved_connections") == 0:
        line = f"ALTER SYSTEM SET superuser_reserved_connections = {RESERVED_CONNECTIONS};"
        step = run_psql(line, apply="postgresql")
        yield Finding("no_reserved_connections", "warning", setting="superuser_reserved_connections", steps=(step,))


def monitor(snapshot):
    """PostgreSQL's manual, pg_stat_activity and pg_monitor: other roles' sessions are hidden without it."""
    postgresql = snapshot.postgresql
    if not known(postgresql.is_monitor, "postgresql"):
        step = run_psql(f"GRANT pg_monitor TO {identifier(postgresql.reader)};")
        yield Finding("monitor", "warning", evidence={"role": postgresql.reader}, steps=(step,))


def track_activities(snapshot):
    """PostgreSQL's manual, track_activities: without it, sessions have no state, query or wait event."""
    postgresql, database = snapshot.postgresql, snapshot.odoo.database
    value, scope = known(postgresql.role_settings, "postgresql").get("track_activities", (None, "server"))
    is_off = value.strip().lower() in OFF if value else not postgresql.setting("track_activities")
    if not is_off:
        return
    if scope == "server":
        steps = (run_psql("ALTER SYSTEM SET track_activities = on;", "SELECT pg_reload_conf();"),)
    else:
        where = "" if scope == "role" else f" IN DATABASE {identifier(database)}"
        line = f"ALTER ROLE {identifier(postgresql.role)}{where} SET track_activities = on;"
        steps = _for_new_sessions(snapshot, line)
    evidence = {"role": postgresql.role, "scope": scope}
    yield Finding("track_activities", "warning", setting="track_activities", evidence=evidence, steps=steps)


def prepared_transactions(snapshot):
    """PostgreSQL's manual, PREPARE TRANSACTION: it should not stay open for long, because it holds its locks, and
    VACUUM cannot remove dead rows. Odoo itself prepares none."""
    rows = known(snapshot.postgresql.prepared, "postgresql")
    rows = sorted((row for row in rows if row["age"] >= PREPARED_SECONDS), key=lambda row: row["database"])
    if rows:
        lines = []
        for row in rows:
            connect = f"\\connect {identifier(row['database'])}"
            lines += [*([] if connect in lines else [connect]), f"ROLLBACK PREPARED {literal(row['gid'])};"]
        databases = tuple(dict.fromkeys(row["database"] for row in rows))
        evidence = {"transactions": ", ".join(row["gid"] for row in rows)}
        figures = {"hours": round(max(row["age"] for row in rows) / 3600, 1)}
        steps = (run_psql(*lines),)
        yield Finding("prepared_transactions", "warning", None, databases, "", evidence, figures, steps)


def idle_session_timeout(snapshot):
    """PostgreSQL's manual, idle_session_timeout: not for connections of poolers. A listener waits in an idle session.
    As measured, it ends directly and in session mode; the dispatcher of the bus then sleeps for up to 50 s."""
    odoo, postgresql = snapshot.odoo, snapshot.postgresql
    settings = {SYSTEM: postgresql.system_settings}
    if odoo.has_job_runner:
        settings[odoo.database] = postgresql.role_settings
    timeouts = {name: _seconds(postgresql, "idle_session_timeout", found) for name, found in settings.items()}
    timeouts = {name: seconds for name, seconds in timeouts.items() if seconds}
    if timeouts:
        lines = [_alter_role(snapshot, name, "idle_session_timeout", 0) for name in timeouts]
        steps, evidence = _for_new_sessions(snapshot, *lines), {"seconds": min(timeouts.values())}
        yield Finding(
            "idle_session_timeout", "warning", None, (*timeouts,), "idle_session_timeout", evidence, {}, steps
        )


def short_timeout(snapshot):
    """PostgreSQL's manual, Client Connection Defaults. A timeout that is shorter than limit_time_real ends requests
    that Odoo allows, and one that is shorter than limit_time_real_cron its jobs.

    See `demand.ended_early`: 0 in the evidence is no limit.
    """
    odoo, postgresql = snapshot.odoo, snapshot.postgresql
    requests, jobs = time_limits(odoo)
    for name in ("statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout"):
        seconds = _seconds(postgresql, name, postgresql.role_settings)
        if found := ended_early(odoo, seconds, is_idle=name.startswith("idle")):
            level, enough = found
            code = "short_timeout" if requests is None or seconds < requests else "short_timeout_jobs"
            evidence = {"setting": name, "seconds": seconds}
            evidence |= {"limit_time_real": requests or 0, "limit_time_real_cron": jobs or 0}
            value = f"{enough}s" if enough else 0
            steps = _for_new_sessions(snapshot, _alter_role(snapshot, odoo.database, name, value))
            yield Finding(code, level, None, (odoo.database,), name, evidence, {}, steps)


def _seconds(postgresql, name, settings):
    """Return a time that applies to sessions of Odoo's role, in seconds; 0 is off.

    :param dict settings: of the role in a database
    :raise Unknown: it could not be read
    """
    if known(postgresql.version, "postgresql") < SINCE.get(name, 0):
        return 0
    text = known(settings, "postgresql").get(name, (None,))[0]
    if text is None:
        return _whole(postgresql.setting(name))
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)?\s*", text)
    if not found:
        raise Unknown("postgresql_setting", {"setting": name})
    return _whole(float(found[1]) * UNITS[found[2]])


def _whole(seconds):
    """Return the same number from the role and from the server: evidence that differs is another finding."""
    return int(seconds) if seconds == int(seconds) else seconds


def _alter_role(snapshot, database, name, value):
    """Return the statement that sets what outranks all that is set for a role, a database, or in postgresql.conf."""
    role, value = identifier(snapshot.postgresql.role), value if value == 0 else literal(value)
    return f"ALTER ROLE {role} IN DATABASE {identifier(database)} SET {name} = {value};"


def _for_new_sessions(snapshot, *lines):
    """Return the Steps with statements that apply to new sessions: poolers must open new ones, too."""
    if snapshot.odoo.is_pooled:
        return run_psql(*lines), Step("console", ("RECONNECT;",), "odoo")
    return (run_psql(*lines, apply="odoo"),)


def connection_limit(snapshot):
    """PostgreSQL's manual, CREATE ROLE and CREATE DATABASE, CONNECTION LIMIT: not for superusers. It is compared with
    what the pools may open together, or else with what Odoo opens directly when all its processes have work."""
    odoo, postgresql = snapshot.odoo, snapshot.postgresql
    limits = {
        "role": known(postgresql.role_limit, "postgresql"),
        "database": known(postgresql.database_limit, "postgresql"),
    }
    limits = {what: limit for what, limit in limits.items() if limit >= 0}
    if not limits or known(postgresql.is_superuser, "postgresql"):
        return
    needed = _pool_connections(snapshot) if known(odoo.is_pooled, "postgresql") else _direct_connections(snapshot)
    for what, name in (("role", postgresql.role), ("database", odoo.database)):
        if limits.get(what, needed[what]) < needed[what]:
            level = "warning" if odoo.is_pooled else "critical"
            evidence, figures = {"object": name, "limit": limits[what]}, {"needed": needed[what]}
            step = run_psql(f"ALTER {what.upper()} {identifier(name)} CONNECTION LIMIT {needed[what]};")
            yield Finding(f"connection_limit_{what}", level, None, (odoo.database,), "", evidence, figures, (step,))
    if odoo.is_pooled:
        known(odoo.route, "pgbouncer")
        pools.require_all(snapshot)


def _pool_connections(snapshot):
    """Return how many connections the pools that are seen may open: those of Odoo's role, and those of its database."""
    needed = {"role": 0, "database": 0}
    for console in snapshot.seen_poolers:
        names = {row["name"] for row in console.databases if row.get("database") == snapshot.odoo.database}
        found = [pool for pool in pools.pools(console) if pool.is_here]
        needed["role"] += pools.most([pool for pool in found if pool.user == snapshot.postgresql.role])
        needed["database"] += pools.most([pool for pool in found if pool.database in names])
    return needed


def _direct_connections(snapshot):
    """Return what Odoo opens directly: for the role, and for the database, where only queue_job's runner listens."""
    inputs = of_all(snapshot)
    parts = demand.components(inputs)
    expected = sum(part.expected for part in parts)
    elsewhere = sum(part.listeners for part in parts if part.code != "queue_job")
    return {"role": expected, "database": ceil((expected - elsewhere) / inputs.databases)}


def memory(snapshot):
    """The Planner's formula of memory, with max_connections: what PostgreSQL needs when all are used. The queries that
    run at once are those of Odoo's processes. Behind PgBouncer its pools limit the connections first."""
    postgresql, is_pooled = snapshot.postgresql, known(snapshot.odoo.is_pooled, "postgresql")
    available, most = known(postgresql.memory, "local"), postgresql.setting("max_connections")
    settings = {name: postgresql.setting(name) for name in ("shared_buffers", "work_mem")}
    inputs = replace(of_all(snapshot), backend_memory=postgresql.backend_memory, **settings)
    active = min(demand.transactions(inputs), most)
    figure = memory_figure(inputs, most, active)
    if figure.value > available:
        each, expected = figure.reason.figures["backend_memory"], _direct_connections(snapshot)["role"]
        fitting = most - ceil((figure.value - available) / each)
        reserved = most - known(postgresql.usable, "postgresql")
        is_enough = not is_pooled and fitting >= max(MAX_CONNECTIONS, expected + reserved)
        line = f"ALTER SYSTEM SET max_connections = {fitting};"
        steps = (run_psql(line, apply="postgresql"),) if is_enough else ()
        evidence = {"max_connections": most} | {name: str(_mebibytes(value)) for name, value in settings.items()}
        figures = {"needed": figure.value, "backend_memory": each, "memory": available}
        figures = {name: _mebibytes(value) for name, value in figures.items()} | {"active": active}
        level = "hint" if is_pooled else "warning"
        yield Finding("memory", level, None, (), "max_connections", evidence, figures, steps)


def _mebibytes(size):
    value = round(size / 2**20, 1)
    return int(value) if value.is_integer() else value


CONSOLE_RULES = ()
RULES = (
    superuser,
    no_reserved_connections,
    monitor,
    track_activities,
    prepared_transactions,
    idle_session_timeout,
    short_timeout,
    connection_limit,
    memory,
)
