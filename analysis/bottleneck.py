"""The limit that keeps a pool from opening a server while its clients wait.

- ``paused``: its database or the instance is paused
- ``max_db_connections`` or ``max_user_connections``: the limit is reached
- ``login``: none of its servers has logged in, PostgreSQL does not answer
- ``pool_size``: it has all servers that its size allows
- ``reserve_pool``: it has all servers that its size and its reserve allow
"""

from . import readings

# Columns of SHOW POOLS: servers that have logged in.
LOGGED_IN = ("sv_active", "sv_active_cancel", "sv_being_canceled", "sv_idle", "sv_used", "sv_tested")


def pool_size(database, user):
    """Return how many servers a pool may have without its reserve, None if unknown.

    The user's own pool_size (SHOW USERS, since 1.23) takes precedence over that of the database.

    :param dict database: the row of SHOW DATABASES
    :param dict user: the row of SHOW USERS
    """
    own = user.get("pool_size")
    return database.get("pool_size") if own is None else own


def reserve_size(database, user):
    """Return how many servers the reserve of a pool allows, None if unknown. For the parameters see `pool_size`."""
    own = user.get("reserve_pool_size")
    return database.get("reserve_pool_size", database.get("reserve_pool")) if own is None else own


def servers(pool):
    """Return how many servers of a pool have logged in, None if that is unknown."""
    counts = [pool.get(name, 0) for name in LOGGED_IN]
    return None if None in counts else sum(counts)


def servers_of_users(pools):
    """Return how many servers each user's pools have, logged in or not; None if that is unknown.

    :param pools: the rows of SHOW POOLS
    """
    totals = {}
    for pool in pools:
        known, opened = totals.get(pool.get("user"), 0), servers(pool)
        counts = (known, opened, pool.get("sv_login"))
        totals[pool.get("user")] = None if None in counts else sum(counts)
    return totals


def bottleneck(pool, database, user, of_user, settings, state):
    """Return what keeps a pool from opening another server, None if nothing does or if unknown.

    :param dict pool: a row of SHOW POOLS with its ``database`` and ``user``; without waiting clients None is returned
    :param dict database: its row of SHOW DATABASES, {} if there is none
    :param dict user: its row of SHOW USERS, {} if there is none
    :param int of_user: how many servers all pools of this user have, see `servers_of_users`
    :param dict settings: SHOW CONFIG, name -> text
    :param str state: `readings.database_state`
    """
    if not pool.get("cl_waiting"):
        return None
    if state == "paused":
        return "paused"
    opened, size = servers(pool), pool_size(database, user)
    if _is_reached(database.get("current_connections"), database.get("max_connections")):
        return "max_db_connections"
    limit = user.get("max_user_connections")
    if limit is None:
        limit = readings.whole(settings.get("max_user_connections"))
    if _is_reached(user.get("current_connections", of_user), limit):
        return "max_user_connections"
    if opened == 0:
        # Before 1.23 SHOW USERS lacks the user's own limit, which servers in other pools may have reached.
        return "login" if pool.get("sv_login") or of_user == 0 else None
    if opened is None or not size or opened + (pool.get("sv_login") or 0) < size:
        return None  # an unknown number of logins may be 0
    reserve = reserve_size(database, user)
    return "reserve_pool" if reserve and opened >= size + reserve else "pool_size"


def _is_reached(count, limit):
    """Return whether a limit is reached; 0 is no limit."""
    return bool(limit) and count is not None and count >= limit
