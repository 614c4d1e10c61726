"""How many connections the pools and limits allow, compared with what there is and with the history.

No rule judges ``min_pool_size`` 0, PgBouncer's default: it costs logins after a quiet time, and no server reports how
long one takes. Nor ``listen_backlog``: over TCP, a client that finds the queue full tries again after a second. By
default, none of 1,000 at once was refused.
"""

from dataclasses import replace

from ..planner import demand
from ..planner.room import CHECKS, LEAST_AT_ONCE, divide, least_servers, most_at_once
from ..planner.sizing import SPARE_DESCRIPTORS, propose
from . import pools
from .demand import SYSTEM
from .findings import Finding, Step, Unknown
from .pool_modes import pool_mode
from .remedies import set_pgbouncer
from .sizes import resize, set_lines
from .snapshot import known, once

DAY_MINUTES = 1440
# The default limit of open files of a service: DefaultLimitNOFILE of systemd, the soft one, which PgBouncer keeps.
SERVICE_DESCRIPTORS = 1024
# In the last 7 days. A queue of a few minutes, such as after a restart, is what a pooler is for. A judgement.
FULL_MINUTES = 10
# A pool that never needed more of its size is unused.
UNUSED_PERCENT = 10


def pools_exceed(snapshot):
    """PgBouncer's manual, default_pool_size: for each pair of user and database; so all pools, with their reserves and
    of all PgBouncers, share PostgreSQL's max_connections with what connects directly. Six processes of 1,500 each
    against 5,000 are a published outage of 88 minutes.

    Critical if the processes that exist exceed it when all of them work, by the figures of `planner.demand`.
    """
    usable = known(snapshot.postgresql.usable, "postgresql")
    direct, opened = pools.direct(snapshot), pools.opened(snapshot)
    if opened + direct <= usable:
        pools.require_all(snapshot)
        known(snapshot.odoo.hosts, "clients")  # otherwise there may be a PgBouncer that is not seen
        return
    level, steps = "warning", ()
    if snapshot.odoo.hosts is not None:
        plan = pools.inputs(snapshot)
        if pools.reachable(snapshot, plan) + direct <= usable:
            return
        level = "critical" if pools.busy(snapshot, plan) + direct > usable else level
        steps = _smaller_pools(snapshot, plan)
    names = _names(pool for found in pools.pools_here(snapshot) for pool in found)
    figures = {"pools": opened, "direct": direct, "total": opened + direct, "poolers": len(snapshot.seen_poolers)}
    yield Finding("pools_exceed", level, None, names, "default_pool_size", {"usable": usable}, figures, steps)


def _smaller_pools(snapshot, plan):
    """Return the Steps, for each PgBouncer, with which the pools fit as the planner's would; none if nothing fits. If
    one of them also serves another PostgreSQL, whose pools keep their sizes, each database here gets a line.

    max_db_connections limits the pools of all users of a database together, whatever pool_size a user has.
    """
    figures, room = propose(plan).figures, divide(plan)
    names = ("default_pool_size", "reserve_pool_size", "max_db_connections")
    settings = {name: figures[name].value for name in names}
    size, _reserve, most = settings.values()
    if size is None:
        return ()
    lines, consoles = {}, snapshot.seen_poolers
    is_alone = all(console.here.issuperset(row["name"] for row in console.databases) for console in consoles)
    system = {"pool_size": room.postgres_pool_size, "max_db_connections": room.postgres_pool_size + room.postgres_login}
    for console in consoles:
        usual = (console.number("default_pool_size"), console.number("max_db_connections"))
        for pool in filter(lambda pool: pool.is_here, pools.pools(console)):
            values = system if pool.is_system else {"pool_size": size, "max_db_connections": most}
            own = (pool.size, pool.database_limit)
            if own != usual:
                pairs = zip(values.values(), own, strict=True)
                values = dict(zip(values, (min(filter(None, pair)) for pair in pairs), strict=True))
            if pool.is_system or own != usual or not is_alone:
                lines[pool.database] = values
    if not is_alone:
        return set_lines("databases", lines)
    # Where one of them must be restarted, the words ask for it.
    strictest = min(consoles, key=lambda console: console.reloadable.issuperset(settings))
    return (set_pgbouncer(strictest, **settings), *set_lines("databases", lines))


def pool_full(console, snapshot):
    """Pools whose clients wait while all of their servers work, and PostgreSQL has connections left. The size that is
    proposed is the planner's: by the highest demand and the cores, see `planner.demand.servers`.

    ``pool_full_held``: max_db_connections or max_user_connections hold the pool back, not its own size.
    """
    if not _has_pools(console):
        return
    found = pools.histories(console)
    minutes = {pool: _full_minutes(pool, history) for pool, history in found.items()}
    full = {pool: found[pool] for pool in minutes if minutes[pool] >= FULL_MINUTES}
    if not full:
        _need_days(found, 1)
        return
    plan = None if snapshot.odoo.hosts is None else pools.inputs(snapshot)
    left, usable = _left(snapshot), snapshot.postgresql.usable
    grown = {"pool_full": {}, "pool_full_held": {}}
    for pool, history in full.items():
        is_held = pool.allowed < pool.size
        wanted = pool.size if is_held else _wanted(snapshot, plan, pool, history)
        size = min(wanted, pool.most + left - pool.reserve)
        if size > pool.allowed and size >= pool.size:
            grown["pool_full_held" if is_held else "pool_full"][pool] = size
            left -= size + pool.reserve - pool.most
    for code, sizes in grown.items():
        if sizes:
            figures = {"minutes": max(minutes[pool] for pool in sizes), "usable": usable}
            figures["demand"] = max(full[pool].demand_max or 0 for pool in sizes)
            # Of those that are full now: no evidence, because others may be in the next reading.
            figures |= {"size": max(pool.size for pool in sizes), "allowed": min(pool.allowed for pool in sizes)}
            steps = resize(console, sizes)
            yield Finding(code, "warning", console.key, _names(sizes), "pool_size", {}, figures, steps)


def _full_minutes(pool, history):
    """Return how long clients waited because of the present size of a pool, or of the limits that hold it back. If it
    has been enlarged since, it never used all of that."""
    if pool.is_system or not pool.size or (history.used_max or 0) < pool.allowed:
        return 0
    return (history.waiting_minutes if pool.allowed < pool.size else history.full_minutes) or 0


def _left(snapshot):
    """Return the connections of PostgreSQL that one PgBouncer can add to its pools: those that neither the pools of all
    can open, nor were used in the last 7 days, divided by the PgBouncers."""
    usable = known(snapshot.postgresql.usable, "postgresql")
    used = known(snapshot.postgresql.history, "history", days=1).used_max
    taken = max(pools.opened(snapshot) + pools.direct(snapshot), known(used, "history", days=1))
    return (usable - taken) // max(len(snapshot.seen_poolers), 1)


def _wanted(snapshot, plan, pool, history):
    """Return the size that a pool needs for the highest demand.

    :param Inputs plan: None if not all Odoo servers are seen
    """
    peak = history.demand_max or 0
    if plan is None or pool.user != snapshot.postgresql.role:
        return peak
    return max(peak, demand.servers(replace(plan, peak_busy=peak))[0])


def _has_pools(console):
    """Return whether a PgBouncer has pools here: without one there will never be a history."""
    return any(pool.is_here for pool in pools.pools(console))


def _names(found):
    return tuple(sorted({pool.database for pool in found}))


def _need_days(found, days):
    """Raise Unknown if there are no samples of so many days, of which an eighth may be missing.

    :param dict found: of `pools.histories`
    """
    if max((history.minutes for history in found.values()), default=0) < days * DAY_MINUTES * 7 / 8:
        raise Unknown("history", {"days": days})


def pool_unused(console, snapshot):
    """Pools that never used a tenth of their size in 7 days, while the sum of all pools exceeds what PostgreSQL has:
    otherwise a large pool costs nothing, because PgBouncer opens servers on demand. It has no lines where
    `pools_exceed` has lines for all pools: they would be other ones for the same databases."""
    usable = known(snapshot.postgresql.usable, "postgresql")
    if not _has_pools(console) or pools.opened(snapshot) + pools.direct(snapshot) <= usable:
        return
    found, least = pools.histories(console), divide(pools.inputs(snapshot)).least
    _need_days(found, 7)
    sizes = {
        pool: max(least, history.demand_max)
        for pool, history in found.items()
        if history.minutes >= 7 * DAY_MINUTES * 7 / 8 and not pool.is_system and history.demand_max is not None
        if history.demand_max * 100 <= pool.size * UNUSED_PERCENT and max(least, history.demand_max) * 2 <= pool.size
    }
    if sizes:
        evidence = {"percent": UNUSED_PERCENT}
        figures = {"count": len(sizes), "freed": sum(pool.size - size for pool, size in sizes.items())}
        steps = () if _is_resized(snapshot) else resize(console, sizes)
        yield Finding("pool_unused", "hint", console.key, _names(sizes), "pool_size", evidence, figures, steps)


@once
def _is_resized(snapshot):
    return any(finding.steps for finding in pools_exceed(snapshot))


def jobs_block(console, snapshot):
    """``IrCron._process_jobs``: a cron worker that runs a job has a connection with the lock on it, and one for the
    job. If the pool has no more servers than there are cron workers, each can have one and wait for another.

    Measured with two cron workers, and all jobs due: with 1 and with 2 servers none ran, until query_wait_timeout ended
    their connections; with 3 all ran. Requests wait, too.
    """
    cron_workers, role = snapshot.odoo.max_cron_threads, snapshot.postgresql.role
    found = [pool for pool in pools.pools(console) if pool.is_here and pool.user == role and not pool.is_system]
    small = [pool for pool in found if pool.clients and pool.most <= cron_workers]
    if small:
        evidence = {"most": min(pool.most for pool in small), "max_cron_threads": cron_workers}
        steps = resize(console, dict.fromkeys(small, least_servers(cron_workers)))
        yield Finding("jobs_block", "critical", console.key, _names(small), "pool_size", evidence, steps=steps)


def postgres_slots(console, snapshot):
    """PgBouncer's manual, pool_mode: in session mode, a client keeps its server until it disconnects. So each listener
    holds a server of postgres, and a NOTIFY or a health check needs another one: see `planner.room`.

    Critical if listeners take all of them: each request that sends a NOTIFY waits until query_wait_timeout.
    """
    share = pools.share(console, snapshot)
    if share is None:
        return
    planned, at_once = pools.pooled(share, "listeners"), min(LEAST_AT_ONCE, most_at_once(share))
    for pool in pools.pools(console):
        is_own = pool.is_here and pool.is_system and pool.user == snapshot.postgresql.role
        if not is_own or not pool.size or pool_mode(console, snapshot, pool.database) != "session":
            continue
        listeners = max(planned, pools.lasting(console, pool.database, snapshot.odoo.user))
        if pool.allowed < listeners + at_once:
            level = "critical" if pool.allowed <= listeners else "hint"
            enough = max(divide(pools.inputs(snapshot)).postgres_pool_size, listeners + at_once + CHECKS)
            figures = {"listeners": listeners, "at_once": at_once, "enough": enough}
            evidence, names, steps = {"size": pool.allowed}, (pool.database,), resize(console, {pool: enough})
            yield Finding("postgres_slots", level, console.key, names, "pool_size", evidence, figures, steps)


def client_limit(console, snapshot):
    """PgBouncer's manual, max_client_conn, and since 1.24 max_user_client_connections and max_db_client_connections: at
    the limit, a client is refused. A process of Odoo opens up to db_maxconn connections: see `planner.demand`.

    Critical if a busy day exceeds it: what `planner.demand` expects. Of one of several databases, only that counts:
    the processes share their connections between them.
    """
    share = pools.share(console, snapshot)
    if share is None:
        return
    of_one = replace(share, databases=1)
    bounds = {name: pools.pooled(share, name) for name in ("ceiling", "expected")}
    enough = propose(pools.inputs(snapshot)).figures["max_client_conn"].value
    limit = console.number("max_client_conn")
    if limit < bounds["ceiling"]:
        steps = (set_pgbouncer(console, max_client_conn=enough), *_descriptor_steps(console, enough))
        yield _client_limit("client_limit", console, "max_client_conn", limit, bounds, steps)
    user, name = snapshot.odoo.user, "max_user_client_connections"
    limit = next((row.get(name) for row in console.users if row.get("name") == user), None)
    if limit and limit < bounds["ceiling"]:
        steps = set_lines("users", {user: {name: enough}})
        yield _client_limit("client_limit_user", console, name, limit, bounds, steps)
    bounds = {name: pools.pooled(of_one, name) for name in bounds}
    yield from _database_limits(console, bounds, "ceiling" if share == of_one else "expected", enough)


def _database_limits(console, bounds, bound, enough):
    limits = {
        row["name"]: limit
        for row in console.databases
        if (limit := row.get("max_client_connections")) and limit < bounds[bound]
        if row["name"] in console.here and row["name"] != SYSTEM
    }
    if limits:
        name = "max_db_client_connections"
        steps = set_lines("databases", {database: {name: enough} for database in limits})
        if {str(limit) for limit in limits.values()} == {console.get(name)}:
            steps = (set_pgbouncer(console, **{name: enough}),)
        names = tuple(sorted(limits))
        yield _client_limit("client_limit_database", console, name, min(limits.values()), bounds, steps, names)


def _client_limit(code, console, setting, limit, bounds, steps, names=()):
    level = "critical" if limit < bounds["expected"] else "warning"
    return Finding(code, level, console.key, names, setting, {"setting": setting, "limit": limit}, bounds, steps)


def descriptors(console, snapshot):
    """PgBouncer's manual, max_client_conn: each client and each server needs a file descriptor. Without one, it accepts
    no connection at all, not even those of its console (measured). Of the servers, those of pools that exist count.

    Critical if the clients that exist can exceed it: Odoo's ceiling, and those of other programs now.
    """
    limit, clients = known(console.descriptors, "unix_socket"), console.number("max_client_conn")
    needed = _descriptors(console, clients)
    if needed <= limit:
        return
    level = "warning"
    if snapshot.odoo.hosts is not None and (share := pools.share(console, snapshot)):
        role, found = snapshot.postgresql.role, pools.pools(console)
        others = sum(pool.clients for pool in found if not (pool.is_here and pool.user == role))
        existing = min(clients, pools.pooled(share, "ceiling") + others)
        level = "critical" if _descriptors(console, existing) > limit else level
    evidence, figures = {"limit": limit, "max_client_conn": clients}, {"needed": needed}
    steps = _descriptor_steps(console, clients)
    yield Finding("descriptors", level, console.key, (), "max_client_conn", evidence, figures, steps)


def _descriptors(console, clients):
    """Return how many descriptors a PgBouncer needs with so many clients: a pool has no more servers than these."""
    if clients != console.number("max_client_conn"):
        console = replace(console, settings=console.settings | {"max_client_conn": str(clients)})
    return clients + SPARE_DESCRIPTORS + pools.most(pools.pools(console))


def _descriptor_steps(console, clients):
    """Return the Steps that allow as many files as so many clients need; none if the limit is enough. One that is
    unknown is taken for that of a service: a higher limit costs nothing."""
    needed = _descriptors(console, clients)
    limit = SERVICE_DESCRIPTORS if console.descriptors is None else console.descriptors
    if needed <= limit:
        return ()
    folder = "/etc/systemd/system/pgbouncer.service.d"
    lines = (
        f"mkdir -p {folder}",
        f"printf '[Service]\\nLimitNOFILE={needed}\\n' > {folder}/limits.conf",
        "systemctl daemon-reload",
    )
    return (Step("shell", lines, "restart"),)


CONSOLE_RULES = (pool_full, pool_unused, jobs_block, postgres_slots, client_limit, descriptors)
RULES = (pools_exceed,)
