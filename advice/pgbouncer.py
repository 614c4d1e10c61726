"""How one PgBouncer is configured: pool modes, timeouts, and what leaks from one client to the next."""

from ..planner.quoting import identifier
from . import pool_modes
from .addresses import is_local
from .demand import ended_early
from .findings import Finding, Step
from .pool_modes import SYSTEM, is_of_odoo, odoo_databases, serves_odoo, system_database
from .remedies import set_pgbouncer
from .sizes import set_lines

# PgBouncer's own defaults, in all versions.
QUERY_WAIT_TIMEOUT = 120
SERVER_LIFETIME = 3600
SERVER_IDLE_TIMEOUT = 600
SERVER_CHECK_DELAY = 30
MAX_PACKET_SIZE = 2_147_483_647
RESET_QUERY = "DISCARD ALL"
# Odoo closes a connection of its own pool that was idle for so many seconds (``MAX_IDLE_TIMEOUT`` in its sql_db.py).
ODOO_IDLE_TIMEOUT = 600
# What Odoo accepts in one request (``DEFAULT_MAX_CONTENT_LENGTH`` in its http.py). base_import stores an uploaded file
# in a row.
ODOO_UPLOAD = 128 * 1024**2
# Below this, not even the clicks of one user find the same server connection again.
SHORT_LIFE = 10
# In a host list, since this version: before, PgBouncer takes the list for one name.
HOST_LIST_SINCE = (1, 17)


def _setting(console, code, level, name, value, remedy, figures=None):
    """Return a Finding about a setting, which the remedy sets to another value."""
    evidence, step = {name: value}, set_pgbouncer(console, **{name: remedy})
    return Finding(code, level, console.key, (), name, evidence, figures or {}, (step,))


def _longest_wait(odoo):
    """Return a query_wait_timeout: PgBouncer's default, or half of the time of a request if that is shorter."""
    if not odoo.workers or not odoo.limit_time_real or odoo.limit_time_real >= QUERY_WAIT_TIMEOUT:
        return QUERY_WAIT_TIMEOUT
    return max(1, odoo.limit_time_real // 2)


def endless_queue(console, snapshot):
    """PgBouncer's manual, query_wait_timeout: 0 disables it, and clients are queued indefinitely."""
    name = "query_wait_timeout"
    if console.number(name) == 0 and serves_odoo(console, snapshot):
        yield _setting(console, "endless_queue", "warning", name, 0, _longest_wait(snapshot.odoo))


def long_queue(console, snapshot):
    """``process_timeout`` of Odoo's service/server.py: a worker is killed (SIGKILL) when a request takes longer than
    limit_time_real, also while it waits in PgBouncer's queue, which would return an error later."""
    name, odoo = "query_wait_timeout", snapshot.odoo
    if odoo.workers and console.number(name) > odoo.limit_time_real > 0 and serves_odoo(console, snapshot):
        figures = {"limit_time_real": odoo.limit_time_real}
        yield _setting(console, "long_queue", "warning", name, console.number(name), _longest_wait(odoo), figures)


def cut_off(console, snapshot):
    """PgBouncer's manual, query_timeout, transaction_timeout (since 1.25), idle_transaction_timeout: the client is
    disconnected. Odoo has limits of its own; what it allows should not be cut off: see `demand.ended_early`. A
    transaction of Odoo is idle while Python computes, wkhtmltopdf prints or a payment provider is queried.
    """
    for name in ("query_timeout", "idle_transaction_timeout", "transaction_timeout"):
        if name == "transaction_timeout" and name not in console.settings:
            continue
        timeout = console.number(name)
        found = ended_early(snapshot.odoo, timeout, is_idle=name.startswith("idle"))
        if found and serves_odoo(console, snapshot):
            level, enough = found
            code = f"cut_off_{name}" if enough else f"cut_off_{name}_unlimited"
            yield _setting(console, code, level, name, timeout, enough, {"limit": enough})


def idle_clients(console, snapshot):
    """PgBouncer's manual, client_idle_timeout: larger than the client's own lifetime of connections, and only for
    problems of the network. Odoo's is ODOO_IDLE_TIMEOUT.

    Measured in 1.15 to 1.26: Odoo's pool replaces a connection that was closed when it is borrowed again. A request or
    a job that works without SQL after a COMMIT fails. A listener in session mode is not closed.
    """
    name = "client_idle_timeout"
    timeout, request = console.number(name), snapshot.odoo.limit_time_real
    if 0 < timeout < ODOO_IDLE_TIMEOUT and serves_odoo(console, snapshot):
        level = "warning" if not request or timeout < request else "hint"
        yield _setting(console, "idle_clients", level, name, timeout, 0, {"lifetime": ODOO_IDLE_TIMEOUT})


def servers_used_once(console, snapshot):
    """PgBouncer's manual, server_lifetime: with 0 a server connection is used once, then closed. Measured: 60 to 90
    transactions per second instead of 8,000 to 20,000.

    It can be set for a database, since 1.23, but 0 means unset there: SHOW DATABASES has the value that applies.
    """
    name = "server_lifetime"
    if console.number(name) or not serves_odoo(console, snapshot):
        return
    values = {row["name"]: row.get(name) for row in console.databases}
    if not all(values[database] for database in (*odoo_databases(console, snapshot), *system_database(console))):
        yield _setting(console, "servers_used_once", "critical", name, 0, SERVER_LIFETIME)


def short_lived_servers(console, snapshot):
    """PgBouncer's manual, server_lifetime and server_idle_timeout: a server is closed when it is older, or idle for
    longer. Each new one costs PostgreSQL a process, a login, and the caches of its catalogs."""
    defaults = {"server_lifetime": SERVER_LIFETIME, "server_idle_timeout": SERVER_IDLE_TIMEOUT}
    values = {name: console.number(name) for name in defaults}
    short = {name: value for name, value in values.items() if 0 < value < SHORT_LIFE}
    if short and serves_odoo(console, snapshot):
        step = set_pgbouncer(console, **{name: defaults[name] for name in short})
        evidence = {"settings": [f"{name} = {value}" for name, value in short.items()]}
        yield Finding("short_lived_servers", "hint", console.key, (), next(iter(short)), evidence, steps=(step,))


def _names_in_mode(console, mode):
    """Return the names of the databases that are in a pool mode for one of the users of their pools."""
    return tuple(sorted({row["database"] for row in console.pools if row.get("pool_mode") == mode}))


def leaking_sessions(console, snapshot):
    """PgBouncer's manual, server_reset_query: it resets a server in session mode when its client leaves. Without
    UNLISTEN the next client gets the notifications of a listener that left. Session locks stay, such as that of
    queue_job's runner, which no other runner can get."""
    query = console.text("server_reset_query")
    names = _names_in_mode(console, "session")
    is_reset = any(word in query.upper() for word in ("DISCARD ALL", "UNLISTEN"))
    if names and not is_reset and serves_odoo(console, snapshot):
        step = set_pgbouncer(console, server_reset_query=RESET_QUERY)
        evidence = {"server_reset_query": query}
        code = "leaking_sessions" if query else "leaking_sessions_empty"
        yield Finding(code, "warning", console.key, names, "server_reset_query", evidence, steps=(step,))


def extra_query(console, snapshot):
    """PgBouncer's manual, server_reset_query_always: a workaround for applications that use session features in
    transaction mode. server_check_delay: with 0, server_check_query is run each time. Measured with SELECTs of one row:
    server_reset_query_always costs 20 to 60 % of the transactions per second, server_check_delay = 0 up to 45 %."""
    is_reset = console.number("server_reset_query_always") and console.text("server_reset_query")
    is_check = console.number("server_check_delay") == 0 and console.text("server_check_query")
    if not _names_in_mode(console, "transaction") or not ((is_reset or is_check) and serves_odoo(console, snapshot)):
        return
    if is_reset:
        yield _setting(console, "extra_query_reset", "hint", "server_reset_query_always", 1, 0)
    if is_check:
        yield _setting(console, "extra_query_check", "hint", "server_check_delay", 0, SERVER_CHECK_DELAY)


def small_packets(console, snapshot):
    """PgBouncer's manual, max_packet_size: the longest query, or row of a result. Measured: PgBouncer closes the
    connection of a client that sends a longer one."""
    name = "max_packet_size"
    if console.number(name) < ODOO_UPLOAD and serves_odoo(console, snapshot):
        yield _setting(console, "small_packets", "warning", name, console.number(name), MAX_PACKET_SIZE)


def keepalive_off(console, _snapshot):
    """PgBouncer's manual, tcp_keepalive: on by default. Without it PgBouncer never notices that a host vanished: a
    listener in session mode, or a transaction, keeps its server for good."""
    if console.number("tcp_keepalive"):
        return
    hosts = [*(row.get("addr") for row in console.clients), *(row.get("host") for row in console.databases)]
    if not all(is_local(host) for host in hosts if host):
        yield _setting(console, "keepalive_off", "warning", "tcp_keepalive", 0, 1)


def several_hosts(console, snapshot):
    """PgBouncer's manual, host: with a list, connections are made in a round-robin manner, to all of them. Odoo writes,
    which a standby refuses. With load_balance_hosts=disable, since 1.24, another host is used only after a failure."""
    rows = [row for row in console.databases if "," in (row.get("host") or "") and console.version >= HOST_LIST_SINCE]
    if not (rows := [row for row in rows if row.get("load_balance_hosts") != "disable"]):
        return
    names = [*odoo_databases(console, snapshot), *system_database(console)]
    if rows := [row for row in rows if row["name"] in names]:
        evidence = {"hosts": sorted({row["host"] for row in rows})}
        names = tuple(row["name"] for row in rows)
        yield Finding("several_hosts", "warning", console.key, names, evidence=evidence)


def disabled_databases(console, snapshot):
    """PgBouncer's manual, DISABLE: new clients are refused. It survives RELOAD. Odoo's own database only: others may be
    disabled on purpose."""
    if not is_of_odoo(console):
        return
    own = (SYSTEM, snapshot.odoo.database)
    names = tuple(row["name"] for row in console.databases if row.get("name") in own and row.get("disabled"))
    if names:
        step = Step("console", tuple(f"ENABLE {identifier(name)};" for name in names))
        yield Finding("disabled_databases", "critical", console.key, names, steps=(step,))


def forgotten_databases(console, _snapshot):
    """PgBouncer's manual, autodb_idle_timeout. If PgBouncer checks while the only client of a database that only ``*``
    serves logs in, it counts the database as unused. Measured in 1.15, 1.24 and 1.26: SHOW DATABASES omits it, and its
    client is disconnected after that time, although it works, unless another one logs in before."""
    timeout, listed = console.number("autodb_idle_timeout"), {row["name"] for row in console.databases}
    # The console that reads has connected last: what is newer was not there yet when the databases were read.
    now = max(((row.get("connect_time") or "")[:19] for row in console.consoles), default="")
    clients = [row for row in console.clients if (row.get("connect_time") or now)[:19] < now]
    names = {row["database"] for row in clients} - listed
    if timeout and names:
        modes = {row["database"]: row.get("pool_mode") or console.text("pool_mode") for row in console.pools}
        lines = {
            row["database"]: {"host": row["addr"], "port": row["port"], "pool_mode": modes[row["database"]]}
            for row in console.servers
            if row["database"] in names & modes.keys() and row["addr"] != "unix"
        }
        evidence, steps = {"autodb_idle_timeout": timeout}, set_lines("databases", lines)
        yield Finding(
            *("forgotten_databases", "warning", console.key, tuple(sorted(names)), "autodb_idle_timeout", evidence),
            steps=steps,
        )


CONSOLE_RULES = (
    *pool_modes.CONSOLE_RULES,
    endless_queue,
    long_queue,
    cut_off,
    idle_clients,
    servers_used_once,
    short_lived_servers,
    leaking_sessions,
    extra_query,
    small_packets,
    keepalive_off,
    several_hosts,
    disabled_databases,
    forgotten_databases,
)
RULES = ()
