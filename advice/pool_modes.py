"""The pool modes of Odoo's databases."""

from ..planner.quoting import database_error, literal
from ..planner.room import divide
from . import pools
from .demand import SYSTEM
from .findings import Finding, Step, Unknown
from .remedies import set_databases, set_pgbouncer
from .snapshot import known

# PgBouncer's messages, always in English, if it has no such database; the second one with auth_type = any.
NOT_SERVED = ("no such database", "bouncer config error")
# Since this version, section [users] applies to the user of force_user. Measured in 1.15 and 1.18: it does not.
USERS_FORCED_SINCE = (1, 23)


def is_of_odoo(console):
    """Return whether Odoo servers connect through a console.

    :raise Unknown: it may be one of several processes behind its port, whose clients are not seen
    """
    return known(console.is_of_odoo, "processes", name=console.name)


def odoo_databases(console, snapshot):
    """Return the business databases of a console that are Odoo's, sorted.

    They have a pool of Odoo's role. An alias counts only if Odoo connects by it: other aliases are for other programs,
    such as a backup in session mode. So is a PgBouncer through which no Odoo server connects, whatever its names are.

    :raise Unknown: Odoo's role is unknown
    """
    if console.is_of_odoo is False:
        return []
    odoo, role = snapshot.odoo, known(snapshot.postgresql.role or None, "postgresql")
    real = {row.get("name"): row.get("database") for row in console.databases}
    own = {odoo.database, *odoo.db_names}
    found = {row.get("database") for row in console.pools if row.get("user") == role} & console.here
    found = {name for name in found if name in own or real.get(name) == name}
    if console.is_of_odoo:
        found.add(odoo.database)
    return sorted(name for name in found & real.keys() if real[name] != SYSTEM)


def system_database(console):
    """Return [postgres] if Odoo connects to it through this console, else nothing."""
    return [SYSTEM] if console.is_of_odoo and console.database(SYSTEM) else []


def serves_odoo(console, snapshot):
    """Return whether clients of a console are Odoo's.

    :raise Unknown: see `is_of_odoo`
    """
    if console.is_of_odoo is None and odoo_databases(console, snapshot):
        return True
    return is_of_odoo(console)


def _pool_user(snapshot, row):
    """Return the user of Odoo's pool in a database: the forced one, or Odoo's login."""
    return row.get("force_user") or snapshot.odoo.user


def _modes(console, snapshot):
    """Return name of a database -> the pool mode of Odoo's pool in it, and the section that sets it.

    PgBouncer's manual: that of the user outranks that of the database, which outranks the default.
    """
    of_users = {row.get("name"): row.get("pool_mode") for row in console.users}
    default, modes = console.text("pool_mode"), {}
    for row in console.databases:
        mode = row.get("pool_mode")
        modes[row.get("name")] = (mode, "databases") if mode else (default, "pgbouncer")
        if not row.get("force_user") or console.version >= USERS_FORCED_SINCE:
            if of_user := of_users.get(_pool_user(snapshot, row)):
                modes[row.get("name")] = (of_user, "users")
    return modes


def pool_mode(console, snapshot, database):
    """Return the pool mode of Odoo's pool in a database. One without a line of its own has that of all."""
    return _modes(console, snapshot).get(database, (console.text("pool_mode"),))[0]


def _slots(console, snapshot):
    """Return what the line of postgres needs beside session mode: the size that the planner would propose, if its pool
    is smaller. Nothing if that is unknown."""
    try:
        enough = divide(pools.inputs(snapshot)).postgres_pool_size
    except Unknown:
        return {}
    return {"pool_size": enough} if 0 < (console.database(SYSTEM).get("pool_size") or 0) < enough else {}


def _steps(console, snapshot):
    """Return the Steps that put Odoo's databases into transaction mode, and the database postgres into session mode.

    The default is changed only if nothing but these databases depends on it. A name that has no line of its own,
    because PgBouncer cannot read it there, is served by the line ``*``. RELOAD does not repair listeners that connected
    in transaction mode: measured in all versions, they listen only after they have connected again.
    """
    names, default, steps = odoo_databases(console, snapshot), console.text("pool_mode"), []
    before = _modes(console, snapshot)
    was_session = before.get(SYSTEM, (None,))[0] == "session"
    set_here = [name for name in (*names, SYSTEM) if before.get(name, (None, None))[1] == "users"]
    if set_here:
        users = sorted({_pool_user(snapshot, console.database(name)) for name in set_here})
        steps.append(Step("users", tuple(f"{user} =" for user in users), "reload"))
    modes = {row.get("name"): row.get("pool_mode") for row in console.databases}
    inheriting = [name for name in names if not modes[name]] if default != "transaction" else []
    wrong = [name for name in names if modes[name] not in (None, "transaction")]
    if any(not modes[name] for name in modes.keys() - {*names, SYSTEM}):
        wrong = sorted(wrong + inheriting)
    elif inheriting:
        steps.append(set_pgbouncer(console, pool_mode="transaction"))
        default = "transaction"
    lines = list(dict.fromkeys("*" if database_error(name) else name for name in wrong))
    if lines:
        steps.append(set_databases(lines, pool_mode="transaction"))
    if SYSTEM in modes and ("*" in lines or (modes[SYSTEM] or default) != "session"):
        apply, slots = ("reload", {}) if was_session else ("restart", _slots(console, snapshot))
        steps.append(set_databases([SYSTEM], apply, pool_mode="session", **slots))
    return tuple(steps)


def _findings(console, snapshot, code, level, wrong_mode, names):
    """Yield a Finding about those of the databases that are in a pool mode."""
    modes = _modes(console, snapshot)
    names = tuple(name for name in names if modes[name][0] == wrong_mode)
    if names:
        sections = sorted({f"[{modes[name][1]}]" for name in names})
        evidence = {"pool_mode": wrong_mode, "sections": sections}
        yield Finding(code, level, console.key, names, "pool_mode", evidence, steps=_steps(console, snapshot))


def pool_mode_statement(console, snapshot):
    """PgBouncer's manual, pool_mode: transactions of several statements are refused. Measured: psycopg2's first
    statement, which begins one, closes the connection, in all versions."""
    names = [*odoo_databases(console, snapshot), *system_database(console)]
    yield from _findings(console, snapshot, "pool_mode_statement", "critical", "statement", names)


def pool_mode_session(console, snapshot):
    """PgBouncer's manual, pool_mode: a server is released when its client disconnects. Odoo keeps its connections for
    ten minutes (``MAX_IDLE_TIMEOUT`` of its sql_db.py), so each of them keeps a server.

    queue_job's runner, if it connects through a pooler, needs session mode: it listens on the business databases.
    """
    odoo = snapshot.odoo
    if odoo.has_job_runner or odoo.is_job_runner_elsewhere or "queue_job" in odoo.server_wide_modules:
        if odoo.is_runner_pooled():
            return
    names = odoo_databases(console, snapshot)
    for finding in _findings(console, snapshot, "pool_mode_session", "warning", "session", names):
        is_of_odoo(console)  # a backup with Odoo's role needs session mode
        yield finding


def _is_missing(console, snapshot):
    """Return whether Odoo connects through this console, and it does not have the database postgres.

    A line ``*`` is only reported as the databases that it serves.
    """
    if not is_of_odoo(console) or console.database(SYSTEM):
        return False
    error = known(snapshot.odoo.system_error, "postgresql")
    return any(text in error for text in NOT_SERVED)


def postgres_missing(console, snapshot):
    """Odoo connects to postgres to listen (``WorkerCron.start``, ``ImDispatch.loop``), to notify, and with db_name when
    it starts (``_create_empty_database``). Measured without it: with db_name Odoo does not start; without, each cron
    worker dies at once, and no job runs."""
    if _is_missing(console, snapshot):
        odoo = snapshot.odoo
        row = console.database(odoo.database)
        options = {"host": row.get("host"), "port": row.get("port"), "user": row.get("force_user")}
        options = {
            name: literal(value) if isinstance(value, str) else value for name, value in options.items() if value
        }
        step = set_databases([SYSTEM], **options, pool_mode="session")
        evidence, figures = {"database": odoo.database}, {"error": odoo.system_error}
        yield Finding("postgres_missing", "critical", console.key, (SYSTEM,), "", evidence, figures, (step,))


def pool_mode_postgres(console, snapshot):
    """PgBouncer's feature table: LISTEN never works in transaction mode. Odoo's cron workers and cron threads listen on
    the database postgres by Odoo's own route. So does its bus, unless bus_alt_connection redirects it, or a process
    that connects directly serves it: then there is no client of postgres while there are no cron workers."""
    odoo = snapshot.odoo
    if not is_of_odoo(console):
        return
    has_bus = not (odoo.has_alt and odoo.is_alt_set) and any(row.get("database") == SYSTEM for row in console.clients)
    if (odoo.max_cron_threads or has_bus) and not _is_missing(console, snapshot):
        known(console.database(SYSTEM) or None, "setting", setting=f"[databases] {SYSTEM}")
        yield from _findings(console, snapshot, "pool_mode_postgres", "critical", "transaction", [SYSTEM])


CONSOLE_RULES = (pool_mode_statement, pool_mode_session, postgres_missing, pool_mode_postgres)
