"""The words for the reasons of a plan, by code, and for what has no figures. Imports no models.

The codes and their figures are those of `planner`: see the docstrings of its modules.
"""

from odoo.tools import LazyTranslate

from ...planner.demand import JOB_CONNECTIONS
from ...tools import format_number

# pylint: disable=prefer-env-translation  # no environment here: ``env._`` translates the texts when they are shown
_lt = LazyTranslate(__name__)

COMPONENTS = {
    "http": _lt("HTTP Workers"),
    "threaded": _lt("Multi-Threaded Odoo"),
    "cron": _lt("Cron Workers"),
    "gevent": _lt("Gevent (longpolling)"),
    "bus": _lt("bus_alt_connection"),
    "queue_job": _lt("Job Queue"),
}

# A formula has each name before its number, so that the words are right for one and for many.
DEMAND = {
    "http": _lt(
        "Servers %(servers)s x workers %(processes)s x connections %(per_process)s = %(expected)s, one per "
        "database. A worker may open db_maxconn = %(pool)s."
    ),
    "cron": _lt(
        "Servers %(servers)s x cron workers %(processes)s x connections %(per_process)s = %(expected)s. A worker needs "
        "one to listen, one to lock the job, one to run it, and one to check the registry, unless a replica serves "
        "that. It may open db_maxconn = %(pool)s."
    ),
    "gevent": _lt(
        "Servers %(servers)s x connections %(per_process)s = %(expected)s. Listeners per process: %(listeners)s. "
        "Each process may open %(pool)s."
    ),
    "bus": _lt("Servers %(servers)s: the listener of the bus, apart from the pool of its process."),
    "threaded": _lt(
        "Servers %(servers)s x connections %(per_process)s = %(expected)s. A server needs requests %(requests)s x "
        "databases %(databases)s + 2 x cron threads %(max_cron_threads)s + listeners %(listeners)s, and may open "
        "db_maxconn = %(pool)s."
    ),
    "queue_job": _lt(
        "Databases %(databases)s: one runner listens on each. The runners of other servers connect for a moment to "
        "take over: at most %(ceiling)s."
    ),
    "other": _lt("As entered."),
    "replica_http": _lt(
        "Servers %(servers)s x workers %(processes)s x connections %(per_process)s = %(expected)s, one per "
        "database. A worker may open db_maxconn = %(pool)s there, too."
    ),
    "replica_cron": _lt(
        "Servers %(servers)s x cron workers %(processes)s = %(expected)s. A worker checks the registry, and may open "
        "db_maxconn = %(pool)s there, too."
    ),
    "replica_gevent": _lt(
        "Servers %(servers)s x connections %(per_process)s = %(expected)s. The process may open %(pool)s there, too."
    ),
    "replica_threaded": _lt(
        "Servers %(servers)s x connections %(per_process)s = %(expected)s. A server may open db_maxconn = %(pool)s "
        "there, too."
    ),
}

FIGURES = {
    "pool_measured": _lt(
        "%(wanted)s by history: busy server connections %(mean_busy)s on average, which should be at most "
        "%(busy_percent)s%% of a pool, and %(peak_busy)s at the peak. PostgreSQL has %(room)s left."
    ),
    "pool_measured_shared": _lt(
        "%(wanted)s for each PgBouncer of %(pgbouncers)s, by history: busy server connections %(mean_busy)s on "
        "average, which should be at most %(busy_percent)s%% of the pools, and %(peak_busy)s at the peak. PostgreSQL "
        "has %(room)s left for each pool."
    ),
    "pool_cores": _lt(
        "CPU cores %(cores)s x %(per_core)s + %(waiting)s = %(wanted)s, within the %(room)s that PostgreSQL has left."
    ),
    "pool_cores_shared": _lt(
        "(CPU cores %(cores)s x %(per_core)s + %(waiting)s) / PgBouncers %(pgbouncers)s = %(wanted)s, within the "
        "%(room)s that PostgreSQL has left for each pool."
    ),
    "pool_processes": _lt(
        "Open transactions: at most %(work)s at the same time. A larger pool would be of no use. PostgreSQL has "
        "%(room)s left."
    ),
    "pool_processes_shared": _lt(
        "Open transactions: at most %(work)s at the same time, shared by PgBouncers %(pgbouncers)s. Larger pools would "
        "be of no use. PostgreSQL has %(room)s left for each pool."
    ),
    "pool_unknown": _lt(
        "%(wanted)s: neither CPU cores nor history are known. Open transactions: at most %(work)s at the same time. "
        "PostgreSQL has %(room)s left."
    ),
    "pool_least": _lt(
        "Minimum %(wanted)s: each cron worker that runs a job holds two connections. In a smaller pool they would wait "
        "for each other. PostgreSQL has %(room)s left."
    ),
    "pool_least_no_cron": _lt("Minimum %(wanted)s. PostgreSQL has %(room)s left."),
    "pool_room": _lt("PostgreSQL has %(size)s left for a pool. Wanted: %(wanted)s."),
    "no_room": _lt("PostgreSQL has %(room)s left for a pool. Minimum: %(least)s."),
    "reserve": _lt(
        "%(percent)s%% of default_pool_size %(size)s, for clients that wait longer than reserve_pool_timeout. Together "
        "they fit into the %(room)s that PostgreSQL has left."
    ),
    "min_pool_measured": _lt(
        "Kept open: busy server connections on average %(mean_busy)s / PgBouncers %(pgbouncers)s / databases "
        "%(databases)s."
    ),
    "min_pool_share": _lt("Kept open: %(percent)s%% of default_pool_size %(size)s."),
    "database_pools": _lt(
        "Limit of all pools of a database: default_pool_size %(size)s + reserve_pool_size %(reserve)s + logins by "
        "auth_query %(login)s."
    ),
    "postgres_pool": _lt(
        "Listeners %(listeners)s + simultaneous NOTIFYs and health checks %(at_once)s + LISTEN checks %(checks)s. Each "
        "listener keeps a server."
    ),
    "clients": _lt(
        "Odoo %(odoo)s + other programs %(others)s + LISTEN checks %(checks)s + consoles %(consoles)s. Odoo: all that "
        "its processes may open through PgBouncer."
    ),
    "descriptors": _lt(
        "PgBouncer's own estimate: max_client_conn %(max_client_conn)s + (databases %(databases)s x default_pool_size "
        "%(size)s + pool of postgres %(postgres)s) x users %(users)s + %(spare)s."
    ),
    "enough": _lt("Unchanged: %(max_connections)s is enough for backends %(backends)s + reserved %(reserved)s."),
    "raise": _lt("Backends %(backends)s + reserved %(reserved)s. Now it is %(max_connections)s."),
    "memory": _lt(
        "Connections %(connections)s x %(backend_memory)s + shared_buffers %(shared_buffers)s + active connections "
        "%(active)s x work_mem %(work_mem)s."
    ),
    "memory_typical": _lt(
        "Connections %(connections)s x %(backend_memory)s, a typical value of Odoo, + shared_buffers "
        "%(shared_buffers)s + active connections %(active)s x work_mem %(work_mem)s."
    ),
    "memory_unknown": _lt("Unknown. Enter %(missing)s."),
    "postgres_pool_shared": _lt(
        "Listeners %(listeners)s + simultaneous NOTIFYs and health checks %(at_once)s + LISTEN checks %(checks)s. Each "
        "listener keeps a server. While a PgBouncer is down, another one serves up to this number of Odoo servers: "
        "%(servers)s."
    ),
}

FINDINGS = {
    "direct_exceeded": _lt(
        "Connections: %(expected)s expected, %(limit)s available. Without PgBouncer, PostgreSQL refuses %(refused)s."
    ),
    "direct_exhaustible": _lt(
        "Connections: %(expected)s expected, %(limit)s available. But up to %(ceiling)s can be opened: without "
        "PgBouncer, PostgreSQL can run out of connections."
    ),
    "direct_fits": _lt("Connections: at most %(ceiling)s, %(limit)s available. They fit without PgBouncer, too."),
    "pooled_fits": _lt("With PgBouncer, PostgreSQL has at most %(ceiling)s connections."),
    "pooled_exceeded": _lt(
        "With PgBouncer, even the smallest pools need %(ceiling)s connections. Lower “%(field)s”, or raise "
        "max_connections to %(max_connections)s."
    ),
    "pooled_exceeded_raise": _lt(
        "With PgBouncer, even the smallest pools need %(ceiling)s connections. Raise max_connections to "
        "%(max_connections)s."
    ),
    "pool_short": _lt(
        "default_pool_size is %(size)s, but %(wanted)s would be needed: clients wait at peaks. Raise max_connections "
        "to %(max_connections)s to make room for them."
    ),
    "cores_unknown": _lt(
        "default_pool_size takes the %(size)s that PostgreSQL has left, because the need is unknown. Enter the CPU "
        "cores of PostgreSQL's host, or the busy server connections of the history."
    ),
    "memory_exceeded": _lt(
        "With PgBouncer, PostgreSQL may need %(needed)s of memory, but its host has %(memory)s. Lower work_mem or "
        "shared_buffers, or add memory."
    ),
    "direct_memory_exceeded": _lt(
        "Without PgBouncer, PostgreSQL may need %(needed)s of memory, but its host has %(memory)s."
    ),
    "pgbouncer_local": _lt(
        "Only the host of PgBouncer can connect to %(host)s. Odoo servers: %(servers)s, PgBouncers: %(pgbouncers)s. "
        "Enter a host that all servers can connect to, or plan a PgBouncer for each."
    ),
    "clients_unencrypted": _lt(
        "Connections from Odoo to PgBouncer at %(host)s are not encrypted by these files. For TLS, set "
        "client_tls_sslmode, client_tls_key_file and client_tls_cert_file in pgbouncer.ini."
    ),
    "db_maxconn_low": _lt(
        "%(field)s is %(value)s, but a process may need %(needed)s at the same time, and then fails with “The "
        "Connection Pool Is Full”. Raise it."
    ),
    "db_maxconn_high": _lt(
        "Optional: db_maxconn = %(enough)s in odoo.conf. It is per process, and a process needs no more; at most "
        "%(ceiling)s connections can then be opened without PgBouncer."
    ),
    "replica": _lt(
        "Connections to the replica: %(expected)s expected, at most %(ceiling)s. They count against its own "
        "max_connections."
    ),
    "databases_open_full": _lt(
        "One more database: up to %(total)s connections, %(limit)s available. Enter “%(field)s”."
    ),
    "databases_open": _lt(
        "Planned databases: %(databases)s. The line * also serves others, and PgBouncer may open %(more)s more "
        "connections for each. Enter the names of databases to exclude others."
    ),
}

ERRORS = {
    "below": _lt("enter at least %(minimum)s, not %(value)s."),
    "above": _lt("enter at most %(maximum)s, not %(value)s."),
    "unknown_choice": _lt("choose one of %(choices)s."),
    "no_slots": _lt(
        "%(max_connections)s leaves no connection: enter more than the reserved connections (%(reserved)s)."
    ),
    "larger_than_postgresql": _lt("%(value)s is more than max_connections. Enter at most %(max_connections)s."),
    "larger_than_memory": _lt("%(value)s is not less than the RAM (%(memory)s)."),
    "busier_than_postgresql": _lt("%(value)s is more than PostgreSQL has for clients. Enter at most %(limit)s."),
    "unwritable_address": _lt(
        "PgBouncer and PostgreSQL would use the same port on the same host. Enter a port other than PostgreSQL's."
    ),
    "unwritable_bus_port": _lt("the bus would need port %(text)s. Enter at most 65534."),
    "unwritable_http_port": _lt("%(text)s is the HTTP port, and the gevent process needs a port of its own."),
    "unwritable_empty": _lt("enter a value."),
    "unwritable_control": _lt("remove the control characters."),
    "unwritable_surrogate": _lt("remove the characters that UTF-8 cannot encode."),
    "unwritable_blank": _lt("remove the spaces around “%(text)s”: configuration files drop them."),
    "unwritable_literal": _lt("“%(text)s” cannot be used: Odoo reads it in odoo.conf as unset."),
    "unwritable_list": _lt("enter one name, not “%(text)s”: PgBouncer reads it as several."),
    "unwritable_long": _lt("“%(text)s” is too long. PostgreSQL's names have at most 63 bytes."),
    "unwritable_quotes": _lt("“%(text)s” is too long for the userlist.txt of this version of PgBouncer."),
    "unwritable_characters": _lt(
        "PgBouncer cannot have a line for “%(text)s”. Leave the names empty: the line * serves every database."
    ),
    "unwritable_console": _lt("remove “%(text)s”: it is PgBouncer's own console."),
}

# Of the settings that are no figures.
SETTINGS = {
    "logfile": _lt("As in Debian's package."),
    "pidfile": _lt("As in Debian's package."),
    "listen_addr": _lt("Where Odoo connects to it."),
    "listen_port": _lt("Where Odoo connects to it."),
    "unix_socket_dir": _lt("The directory of its unix socket."),
    "auth_type": _lt("The passwords of PostgreSQL's roles, which PgBouncer passes on."),
    "auth_file": _lt("The secrets of its users."),
    "auth_user": _lt("The role that queries the secrets."),
    "auth_query": _lt("The query for the secret of a user."),
    "auth_dbname": _lt("The database in which secrets are queried."),
    "stats_users": _lt("This addon reads the console as this user."),
    "pool_mode": _lt("A server is used for one transaction, then by the next client."),
    "postgres.pool_mode": _lt("LISTEN needs session mode."),
    "db_host": _lt("Odoo connects to PgBouncer."),
    "db_port": _lt("Odoo connects to PgBouncer."),
}
TEXTS = DEMAND | FIGURES | FINDINGS | ERRORS

UNITS = ("B", "kB", "MB", "GB", "TB")
SIZES = ("backend_memory", "shared_buffers", "work_mem", "memory")
SIZE_CODES = ("memory_exceeded", "direct_memory_exceeded", "larger_than_memory")


def format_size(env, size):
    """Return a size in bytes with a unit, as in postgresql.conf."""
    power = 0
    while abs(size) >= 1024 and power < len(UNITS) - 1:
        size, power = size / 1024, power + 1
    return f"{format_number(env, size, 1)} {UNITS[power]}"


def reason_text(env, reason, label):
    """Return a Reason in words.

    :param label: function that returns the label of an input, or of the field that must give way
    """
    figures = dict(reason.figures)
    variant = f"{reason.code}{_variant(reason)}"
    template = env._(TEXTS[variant if variant in TEXTS else reason.code])
    if reason.code == "direct_exceeded":
        figures["refused"] = figures["expected"] - figures["limit"]
    if reason.code == "databases_open":
        figures["total"] = figures["ceiling"] + figures["more"]
    if reason.code == "no_room":
        figures["room"] = max(figures["room"], 0)
    return template % {name: _figure_text(env, reason, name, value, label) for name, value in figures.items()}


def _variant(reason):
    if reason.figures.get("input") == "max_connections" and reason.code == "pooled_exceeded":
        return "_raise"
    if reason.code == "databases_open" and sum(map(reason.figures.get, ("ceiling", "more"))) > reason.figures["limit"]:
        return "_full"
    if reason.code == "pool_least" and reason.figures["least"] <= JOB_CONNECTIONS:
        return "_no_cron"
    if reason.figures.get("pgbouncers", 1) > 1:
        return "_shared"
    return "_typical" if reason.figures.get("is_measured") is False else ""


def _figure_text(env, reason, name, value, label):
    if name == "missing":
        return ", ".join(map(label, value))
    if name == "choices":
        return ", ".join(map(str, value))
    if isinstance(value, str):
        return value
    if name in SIZES or reason.code in SIZE_CODES or reason.figures.get("unit") == "bytes":
        return format_size(env, value)
    return format_number(env, value)


def setting(env, name):
    """Return why a setting that is no figure is proposed."""
    return env._(SETTINGS[name]) if name in SETTINGS else ""
