"""The number of servers that pools of PgBouncer may still open to one PostgreSQL."""

from . import readings
from .pgbouncer_samples import POOL_COLUMNS

# Columns that add up to the servers of a pool.
POOL_SERVERS = ("used", *(name for name in POOL_COLUMNS if name.startswith("sv_")))


def databases_here(servers, backends):
    """Return the names of PgBouncer's databases that have a server connection to this PostgreSQL.

    :param list servers: the rows of SHOW SERVERS
    :param dict backends: PID -> (client port, role); the port is -1 for a unix socket, None if it is hidden
    """
    return {
        server.get("database")
        for server in servers
        if (backend := backends.get(server.get("remote_pid")))
        and backend[0] in (None, -1, server.get("local_port"))
        and backend[1] == readings.identifier(server.get("user"))
    }


def pool_growth(tables, here):
    """Return the number of servers that the pools of one PgBouncer may still open without their reserves, None if it
    is unknown or unlimited.

    :param list tables: the Samples of the instance, its pools and its databases
    :param set here: the names of the databases that count
    """
    _instance, pools, databases = tables
    columns = pools.columns
    servers = zip(*(columns[name] for name in POOL_SERVERS), strict=True)
    room = dict.fromkeys(here, 0)
    for name, capacity, opened in zip(columns["database"], columns["capacity"], servers, strict=True):
        if name in here:
            if not capacity:  # 0 is no limit
                return None
            room[name] += max(capacity - sum(filter(None, opened)), 0)
    columns = databases.columns
    for name, capacity, used in zip(columns["database"], columns["capacity"], columns["used"], strict=True):
        if name in here and capacity and used is not None:
            room[name] = min(room[name], max(capacity - used, 0))
    return sum(room.values())
