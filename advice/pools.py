"""What the pools of PgBouncers can open, and what Odoo demands of them, as the planner computes it."""

from collections import Counter
from dataclasses import replace
from math import ceil
from typing import NamedTuple

from ..planner import demand
from ..planner.inputs import Other
from ..planner.room import most_at_once
from ..planner.statements import AUTH_DBNAME_SINCE
from .demand import SYSTEM, of_server
from .snapshot import known, once


class Pool(NamedTuple):
    """A pool that exists.

    :param str database: its name in PgBouncer
    :param str user: of its servers
    :param bool is_here: whether it connects to this Odoo's PostgreSQL
    :param bool is_system: whether it is the one of postgres, through which Odoo listens
    :param int size: 0 for no limit
    :param bool is_of_user: whether that is the pool_size of the user, which outranks that of the database
    :param int reserve: of it
    :param int database_limit: of servers of all pools of the database, 0 for none
    :param int user_limit: of servers of all pools of the user, 0 for none
    :param int most: servers that it can have
    :param int clients: that are connected now
    """

    database: str
    user: str
    is_here: bool
    is_system: bool
    size: int
    is_of_user: bool
    reserve: int
    database_limit: int
    user_limit: int
    most: int
    clients: int

    @property
    def allowed(self):
        """Return how many servers it can have without its reserve."""
        return min(filter(None, (self.size, self.database_limit, self.user_limit)), default=self.most)


@once
def pools(console):
    """Return the Pools of a PgBouncer.

    PgBouncer's manual, [databases] and [users]: the pool_size of a user outranks that of the database. 0 is no limit,
    but a pool has no more servers than there can be clients. Before 1.23, SHOW USERS lacks a user's own limits.

    :raise Unknown: a size or a limit is not reported
    """
    databases = {row.get("name"): row for row in console.databases}
    users = {row.get("name"): row for row in console.users}
    limits = console.number("max_client_conn"), console.number("max_user_connections")
    # A database that is missing has gone since, with its pools.
    return [
        _pool(console, row, databases[row["database"]], users.get(row.get("user"), {}), *limits)
        for row in console.pools
        if row.get("database") in databases
    ]


def _pool(console, row, database, user, max_client_conn, max_user_connections):
    """Return a Pool.

    :param dict row: of SHOW POOLS; database and user: its rows of SHOW DATABASES and SHOW USERS
    :param int max_client_conn: and max_user_connections: the settings
    """
    own, reserve = user.get("pool_size"), user.get("reserve_pool_size")
    size = known(database.get("pool_size") if own is None else own, "setting", setting="pool_size")
    if reserve is None:
        reserve = database.get("reserve_pool_size", database.get("reserve_pool")) or 0
    user_limit = user.get("max_user_connections")
    if user_limit is None:
        user_limit = max_user_connections
    limits = (database.get("max_connections") or 0, user_limit)
    return Pool(
        row["database"],
        row["user"],
        row["database"] in console.here,
        row["database"] == SYSTEM,
        size,
        own is not None,
        reserve,
        *limits,
        min(filter(None, (max_client_conn, size and size + reserve, *limits))),
        (row.get("cl_active") or 0) + (row.get("cl_waiting") or 0),
    )


def most(found, count=lambda pool: pool.most):
    """Return an upper bound of the servers of Pools of one PgBouncer, with the limits of databases and users.

    :param count: how many servers a Pool can have
    """
    of_databases, of_users = Counter(), Counter()
    for pool in found:
        of_databases[pool.database, pool.database_limit] += count(pool)
        of_users[pool.user, pool.user_limit] += count(pool)
    return min(
        sum(min(total, limit or total) for (_name, limit), total in totals.items())
        for totals in (of_databases, of_users)
    )


@once
def pools_here(snapshot):
    """Return for each of the PgBouncers that are seen its Pools that connect to this PostgreSQL."""
    return [[pool for pool in pools(console) if pool.is_here] for console in snapshot.seen_poolers]


def require_all(snapshot):
    """Check that `pools_here` has the pools of all PgBouncers that are known. One that is not known cannot be noticed:
    it passes the names of Odoo's sessions on, which then look like direct ones.

    :raise Unknown: a console may be one, or only one of several processes at its port answers
    """
    for console in snapshot.poolers:
        known(not console.is_shared_port or None, "clients")


@once
def opened(snapshot):
    """Return how many servers all pools can have in this PostgreSQL."""
    return counted(snapshot, lambda pool: pool.most)


def counted(snapshot, count):
    """Return the same with fewer servers for each Pool. See `most`."""
    return sum(most(found, count) for found in pools_here(snapshot))


def histories(console):
    """Return Pool -> History, of the pools that have one and connect to this PostgreSQL."""
    history = console.samples()
    found = {pool: history.get((pool.database, pool.user)) for pool in pools(console) if pool.is_here}
    return {pool: samples for pool, samples in found.items() if samples}


def lasting(console, database, login):
    """Return how many clients have had a server of a database in session mode for longer than a NOTIFY takes. The
    console that reads has connected last.

    :param str login: of the clients: SHOW CLIENTS has it where SHOW POOLS has a forced user
    """
    now = max(((row.get("connect_time") or "")[:19] for row in console.consoles), default="")
    return sum(
        bool(row.get("link")) and (row.get("connect_time") or now)[:19] < now
        for row in console.clients
        if (row.get("database"), row.get("user")) == (database, login)
    )


@once
def direct(snapshot):
    """Return how many sessions of PostgreSQL are not those of a PgBouncer that is read."""
    sessions = known(snapshot.postgresql.sessions, "postgresql")
    return sum(session["component"] != "pgbouncer" for session in sessions)


@once
def inputs(snapshot):
    """Return the Inputs of a plan for what runs: with the pools, the programs and the direct connections of now.

    :raise Unknown: not all Odoo servers are seen
    """
    consoles, role = snapshot.seen_poolers, snapshot.postgresql.role
    found = [pools(console) for console in consoles]
    databases = (len({pool.database for pool in row if pool.is_here and not pool.is_system}) for row in found)
    programs = sum(pool.clients for row in found for pool in row if not (pool.is_here and pool.user == role))
    is_query = any(console.get("auth_user") for console in consoles)
    has_dbname = all(console.get("auth_dbname") for console in consoles)
    return replace(
        of_server(snapshot.odoo),
        servers=known(snapshot.odoo.hosts, "clients"),
        databases=max([1, *databases]),
        has_queue_job=False,  # its runner's connections are direct ones of now
        others=(Other("direct", direct(snapshot)), Other("pooled", programs, is_pooled=True)),
        max_connections=known(snapshot.postgresql.usable, "postgresql"),
        superuser_reserved_connections=0,
        cores=snapshot.postgresql.cores,
        pgbouncers=max(len(consoles), 1),
        # Without auth_dbname, logins need a server of each database, as before it existed.
        version=AUTH_DBNAME_SINCE if has_dbname else AUTH_DBNAME_SINCE - 1,
        auth="auth_query" if is_query else "userlist",
    )


def share(console, snapshot):
    """Return the Inputs for the Odoo servers that surely use one PgBouncer: an equal share of them, without websockets,
    which may be those of a service that connects directly. None if Odoo does not use it.
    """
    if not _has_odoo(console, snapshot):
        return None
    plan = inputs(snapshot)
    return replace(plan, servers=ceil(plan.servers / max(_used(snapshot), 1)), bus="service", others=())


@once
def _used(snapshot):
    """Return how many PgBouncers Odoo uses."""
    return sum(_has_odoo(console, snapshot) for console in snapshot.seen_poolers)


def _has_odoo(console, snapshot):
    """SHOW POOLS has the user of the servers, as PostgreSQL has: a forced one, not that of the clients."""
    role = snapshot.postgresql.role
    return any(pool.is_here and pool.clients and pool.user == role for pool in pools(console))


def pooled(plan, name):
    """Return the sum of ``expected``, ``ceiling`` or ``listeners`` of what connects through PgBouncer."""
    return sum(getattr(part, name) for part in demand.components(plan) if part.is_pooled)


def reachable(snapshot, plan):
    """Return how many servers the pools can have with the ceiling of the Odoo servers that exist."""
    ceiling, role = pooled(plan, "ceiling"), snapshot.postgresql.role
    return counted(snapshot, lambda pool: min(pool.most, ceiling) if pool.user == role else pool.most)


def busy(snapshot, plan):
    """Return how many servers the pools have when all processes that exist work at the same time: Odoo's transactions,
    listeners and NOTIFYs, and of each other user no more than its clients."""
    plan, role = replace(plan, others=()), snapshot.postgresql.role

    def servers(is_counted):
        return counted(snapshot, lambda pool: min(pool.most, is_counted(pool)))

    listeners = pooled(plan, "listeners") + plan.servers * most_at_once(plan)
    work = servers(lambda pool: pool.most if pool.user == role and not pool.is_system else 0)
    system = servers(lambda pool: pool.most if pool.user == role and pool.is_system else 0)
    others = servers(lambda pool: pool.clients if pool.user != role else 0)
    return min(work, demand.transactions(plan)) + min(system, listeners) + others
