"""Pools and limits for a plan.

The reasons of ``default_pool_size``:

- ``pool_measured``: by mean_busy, at busy_percent of the pool, and peak_busy
- ``pool_cores``: per_core x cores + waiting
- ``pool_processes``: they give more than ``work``: the transactions that can be open at once
- ``pool_unknown``: neither is known, so it is ``work``
- ``pool_least``: they give less than ``least``, what a pool needs: see `room.Room`
- ``pool_room``: they give more than ``room``, what PostgreSQL has left for it

All of them have the same figures: these, and ``size``, the proposed one; ``total``, which is wanted for all PgBouncers;
``pgbouncers``; and ``wanted``, for each of them, whatever the room is. cores, mean_busy and peak_busy may be None.

The reasons of other figures:

- ``reserve_pool_size``: ``reserve``: size, percent, room (for both)
- ``min_pool_size``: ``min_pool_measured``: mean_busy, pgbouncers, databases, size; ``min_pool_share``: size, percent
- ``max_db_connections``, of each business database: ``database_pools``: size, reserve, login: of auth_query's user,
  which must not wait for the others
- ``postgres_pool_size``: ``postgres_pool``: listeners, at_once (NOTIFYs and health checks), checks, pgbouncers,
  servers: whose listeners may be connected to the same PgBouncer
- ``max_client_conn``: ``clients``: odoo (the ceilings), others, checks, consoles
- ``file_descriptors``: ``descriptors``: max_client_conn, spare, databases, size, postgres, users
- ``max_connections``: ``enough`` or ``raise``: backends (all of the plan), monitoring: those of this addon among them,
  reserved (slots), max_connections (of now)
- If nothing fits, ``default_pool_size`` and what follows from it have no value, and ``no_room``: least, room

The reasons of memory:

- ``memory``: connections, backend_memory, is_measured, shared_buffers, active, work_mem
- ``memory_unknown``: missing, the names of inputs

The reasons of findings are in `findings`, those of errors in `errors`.
"""

from math import ceil

from . import demand
from .errors import errors
from .findings import findings
from .inputs import Figure, Proposal, Reason
from .room import CHECKS, MONITORING, divide, most_at_once, most_servers

__all__ = ["errors", "memory_figure", "propose"]

# Of default_pool_size: for bursts that last longer than reserve_pool_timeout, and to keep open. A judgement.
RESERVE_PERCENT = MIN_PERCENT = 25
# The sampler's console, that of a check, and those of two administrators.
CONSOLES = 4
# What PgBouncer adds to its estimate of file descriptors: check_limits() in its main.c; and the pool of its console.
SPARE_DESCRIPTORS = 10 + 2
# Private memory of the backend of an Odoo worker, as measured with Odoo 19.
BACKEND_MEMORY = int(3.6 * 2**20)


def propose(inputs):
    """Return the Proposal for a plan.

    :param Inputs inputs: without `errors`
    """
    parts, room = demand.components(inputs), divide(inputs)
    figures = {"default_pool_size": _default_pool_size(inputs, room)}
    figures |= _of_pool(inputs, room, figures["default_pool_size"].value)
    listeners = {"listeners": room.listeners, "at_once": room.at_once, "checks": CHECKS}
    listeners |= {"pgbouncers": room.pgbouncers, "servers": most_servers(inputs)}
    figures["postgres_pool_size"] = Figure(room.postgres_pool_size, Reason("postgres_pool", listeners))
    figures["max_client_conn"] = _max_client_conn(parts)
    figures["file_descriptors"] = _file_descriptors(inputs, room, figures)
    figures["max_connections"] = _max_connections(inputs, room, figures)
    direct = {
        "expected": sum(part.expected for part in parts),
        "ceiling": sum(part.ceiling for part in parts),
        "limit": room.limit,
    }
    pooled = _pooled(inputs, parts, room, figures)
    memory = _memories(inputs, parts, direct, pooled)
    return Proposal(figures, direct, pooled, memory, findings(inputs, figures, direct, pooled, memory))


def _default_pool_size(inputs, room):
    """Return the Figure: what is wanted, divided by the PgBouncers, between what a pool needs and what is left."""
    total, code = demand.servers(inputs)
    wanted = ceil(total / room.pgbouncers)
    if wanted < room.least:
        wanted, code = room.least, "pool_least"
    if room.pool < room.least:
        return Figure(None, Reason("no_room", {"least": room.least, "room": room.pool}))
    size = wanted
    if wanted > room.pool:
        size, code = room.pool, "pool_room"
    figures = {"size": size, "total": total, "pgbouncers": room.pgbouncers, "wanted": wanted}
    figures |= {"work": demand.transactions(inputs), "least": room.least, "room": room.pool}
    figures |= {"cores": inputs.cores, "per_core": demand.PER_CORE, "waiting": demand.WAITING}
    figures |= {"mean_busy": inputs.mean_busy, "peak_busy": inputs.peak_busy, "busy_percent": demand.BUSY_PERCENT}
    return Figure(size, Reason(code, figures))


def _of_pool(inputs, room, size):
    """Return the Figures that follow from default_pool_size."""
    names = ("reserve_pool_size", "min_pool_size", "max_db_connections")
    if size is None:
        return dict.fromkeys(names, Figure(None, Reason("no_room", {"least": room.least, "room": room.pool})))
    reserve = min(ceil(size * RESERVE_PERCENT / 100), room.pool - size)
    least, reason = ceil(size * MIN_PERCENT / 100), Reason("min_pool_share", {"size": size, "percent": MIN_PERCENT})
    if inputs.mean_busy is not None:
        shares = {"pgbouncers": room.pgbouncers, "databases": room.databases}
        least = min(ceil(inputs.mean_busy / room.pgbouncers / room.databases), size)
        reason = Reason("min_pool_measured", {"mean_busy": inputs.mean_busy, "size": size} | shares)
    figures = (
        Figure(reserve, Reason("reserve", {"size": size, "percent": RESERVE_PERCENT, "room": room.pool})),
        Figure(least, reason),
        Figure(
            size + reserve + room.login,
            Reason("database_pools", {"size": size, "reserve": reserve, "login": room.login}),
        ),
    )
    return dict(zip(names, figures, strict=True))


def _max_client_conn(parts):
    """Return the Figure: all clients may be connected to the same PgBouncer, and a console counts as a client."""
    pooled = [part for part in parts if part.is_pooled]
    others = sum(part.ceiling for part in pooled if part.code == "other")
    odoo = sum(part.ceiling for part in pooled) - others
    figures = {"odoo": odoo, "others": others, "checks": CHECKS, "consoles": CONSOLES}
    return Figure(sum(figures.values()), Reason("clients", figures))


def _file_descriptors(inputs, room, figures):
    """Return the Figure by the formula of PgBouncer's own estimate: max_client_conn + the pool sizes of all databases x
    users. The users: Odoo's, that of the console, that of auth_query, and one for each other program."""
    size = figures["default_pool_size"].value
    if size is None:
        return Figure(None, figures["default_pool_size"].reason)
    users = 2 + (inputs.auth == "auth_query") + sum(other.is_pooled for other in inputs.others)
    clients = figures["max_client_conn"].value
    value = clients + SPARE_DESCRIPTORS + (room.databases * size + room.postgres_pool_size) * users
    reason = {"max_client_conn": clients, "spare": SPARE_DESCRIPTORS, "databases": room.databases, "size": size}
    reason |= {"postgres": room.postgres_pool_size, "users": users}
    return Figure(value, Reason("descriptors", reason))


def _max_connections(inputs, room, figures):
    """Return the Figure: the present value if it is enough, otherwise the one that is."""
    size, reserve = figures["default_pool_size"].value, figures["reserve_pool_size"].value
    reason = {"reserved": inputs.max_connections - room.limit, "max_connections": inputs.max_connections}
    reason["monitoring"] = MONITORING
    if size is not None and size >= room.target:
        return Figure(inputs.max_connections, Reason("enough", reason | {"backends": room.backends(size + reserve)}))
    backends = room._replace(at_once=most_at_once(inputs)).backends(room.target)
    return Figure(backends + reason["reserved"], Reason("raise", reason | {"backends": backends}))


def _pooled(inputs, parts, room, figures):
    """Return ``pooled`` of the Proposal. If nothing fits: with the least pools. Of what is expected, the pools have
    their reserve: it opens when clients wait longer than reserve_pool_timeout. NOTIFYs take milliseconds."""
    size, reserve = figures["default_pool_size"].value, figures["reserve_pool_size"].value
    if size is None:
        size, reserve = room.least, 0
    busy = min(room.pgbouncers * room.databases * (size + reserve), demand.transactions(inputs))
    lasting = sum(part.listeners if part.is_pooled else part.expected for part in parts)
    return {
        "pools": room.pools(size + reserve),
        "postgres": room.postgres,
        "outside": room.outside,
        "ceiling": room.backends(size + reserve),
        "expected": busy + lasting,
        "limit": room.limit,
    }


def _memories(inputs, parts, direct, pooled):
    """Return ``memory`` of the Proposal."""
    listeners = sum(part.listeners for part in parts)
    connections = min(direct["expected"], direct["limit"])
    return {
        "direct": memory_figure(inputs, connections, max(connections - listeners, 0)),
        "pooled": memory_figure(inputs, pooled["ceiling"], pooled["pools"] + pooled["outside"]),
    }


def memory_figure(inputs, connections, active):
    """Return the Figure of what PostgreSQL needs, in bytes: connections x private memory of a backend +
    shared_buffers + active x work_mem, one sort or hash each.

    :param int active: connections that can run a query
    """
    missing = [name for name in ("shared_buffers", "work_mem") if getattr(inputs, name) is None]
    if missing:
        return Figure(None, Reason("memory_unknown", {"missing": missing}))
    each = inputs.backend_memory or BACKEND_MEMORY
    figures = {"connections": connections, "backend_memory": each, "is_measured": inputs.backend_memory is not None}
    figures |= {"shared_buffers": inputs.shared_buffers, "active": active, "work_mem": inputs.work_mem}
    value = connections * each + inputs.shared_buffers + active * inputs.work_mem
    return Figure(value, Reason("memory", figures))
