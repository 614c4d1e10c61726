"""What happened to a server between two readings: whether it restarted, and whether the pools of a database changed.

*Memory* is what the next reading is compared with: a dictionary that JSON can hold, {} before the first reading. The
changes are a set of "restart" and "pools". What is unknown is no change, and its last known value is kept.
"""

from . import readings
from .bottleneck import pool_size
from .readings import CONSOLE


def postgresql_changes(row, before):
    """Return the memory of a PostgreSQL, and its changes.

    :param dict row: the answer to ``postgres.ACTIVITY``
    :param dict before: the memory
    """
    started_at = row["started_at"]
    if started_at is None:
        return before, set()
    is_restarted = before.get("started_at", started_at) != started_at
    return {"started_at": started_at}, {"restart"} if is_restarted else set()


def pgbouncer_changes(answers, database, before):
    """Return the memory of a PgBouncer, and its changes.

    :param dict answers: typed rows, by command
    :param str database: whose pools are compared
    :param dict before: the memory
    """
    settings = readings.by_key(answers["SHOW CONFIG"])
    # Processes that share a port (so_reuseport) answer in turn: only their peer_id tells them apart.
    peer = settings.get("peer_id") or "0"
    if peer == "0" and settings.get("so_reuseport") not in (None, "0"):
        return before, set()
    known = before.get(peer, {})
    sessions, then = _console_sessions(answers), known.get("sessions")
    pools, pools_then = _pools(answers, database), known.get("pools", {})
    changes = set()
    # Each reading is a session of the console, so the counter of the same process has grown.
    if None not in (sessions, then) and sessions <= then:
        changes.add("restart")
    for user, values in pools.items():
        pairs = list(zip(values, pools_then.get(user, values), strict=True))
        if any(None not in pair and pair[0] != pair[1] for pair in pairs):
            changes.add("pools")
        pools[user] = [past if value is None else value for value, past in pairs]
    memory = {"sessions": then if sessions is None else sessions, "pools": pools_then | pools}
    return before | {peer: memory}, changes


def _console_sessions(answers):
    """Return how many sessions of the console PgBouncer has counted since its start, None if unknown. Unlike those of
    other databases, this counter does not begin anew when a database is removed."""
    rows = (row for row in answers["SHOW STATS"] if row.get("database") == CONSOLE)
    return next(rows, {}).get("total_xact_count")


def _pools(answers, database):
    """Return user -> [pool mode, pool size] of a database, None for what is unknown."""
    of_database = next((row for row in answers["SHOW DATABASES"] if row.get("name") == database), {})
    users = {row.get("name"): row for row in answers["SHOW USERS"]}
    return {
        row["user"]: [row.get("pool_mode"), pool_size(of_database, users.get(row["user"], {}))]
        for row in answers["SHOW POOLS"]
        if row["database"] == database
    }
