"""What an administrator should know of a plan.

The reasons, with their figures:

- Without PgBouncer, one of ``direct_exceeded``: refused on a busy day; ``direct_exhaustible``: PostgreSQL can be
  exhausted; ``direct_fits``: expected, ceiling, limit, max_connections, reserved. The limit is that of clients that are
  not superusers
- With PgBouncer, ``pooled_fits``: ceiling, pools, postgres, outside, monitoring: those of this addon among them,
  limit; or ``pooled_exceeded``: the same with the smallest pools, and max_connections, the value that is enough
- ``databases_open``: databases, more: what each further database adds, as the line ``*`` serves all of them; ceiling,
  limit: of the planned ones. A warning if there is no room for one more
- ``pool_short``: size, wanted, max_connections: the pool is smaller than the work needs, so clients wait
- ``cores_unknown``: size, wanted: the pool takes all that PostgreSQL has left, because it is unknown what it needs
- ``pgbouncer_local``: servers, pgbouncers, host: the other servers cannot connect to it
- ``clients_unencrypted``: host: Odoo connects to it without TLS. Not a warning: nearly every plan with several servers
  has this finding
- ``memory_exceeded`` with PgBouncer, ``direct_memory_exceeded`` without: needed, memory, in bytes; critical if it is
  exceeded even without work_mem
- ``db_maxconn_low``: value, needed: a process fails with "The Connection Pool Is Full"
- ``db_maxconn_high``: value, enough, ceiling: of all connections without PgBouncer, if it were lower
- ``replica``: expected, ceiling, against the limit of the replica
"""

from dataclasses import replace

from . import demand
from .hosts import is_local
from .inputs import Finding, Reason
from .room import MONITORING, divide

# The worst first.
LEVELS = ("critical", "warning", "ok")
# A lower db_maxconn than this is not worth a proposal.
USUAL_DB_MAXCONN = 8


def findings(inputs, figures, direct, pooled, memory):
    """Return the Findings of a plan, the worst first.

    :param Inputs inputs: without errors
    :param dict figures: of the Proposal, as direct, pooled and memory
    """
    found = [_direct(inputs, direct), _pooled(inputs, figures, pooled)]
    found += [_pool_short(inputs, figures), _pgbouncer_local(inputs), _clients_unencrypted(inputs)]
    found += [_memory(inputs, memory["pooled"], "memory_exceeded")]
    found += [_memory(inputs, memory["direct"], "direct_memory_exceeded")]
    found += [*_db_maxconn(inputs, direct), _databases_open(inputs, figures, pooled), _replica(inputs)]
    return sorted(filter(None, found), key=lambda finding: LEVELS.index(finding.level))


def _finding(level, code, field="", **figures):
    return Finding(level, field, Reason(code, figures))


def _direct(inputs, direct):
    reserved = inputs.max_connections - direct["limit"]
    figures = direct | {"max_connections": inputs.max_connections, "reserved": reserved}
    if direct["expected"] > direct["limit"]:
        return _finding("critical", "direct_exceeded", **figures)
    if direct["ceiling"] > direct["limit"]:
        return _finding("warning", "direct_exhaustible", **figures)
    return _finding("ok", "direct_fits", **figures)


def _pooled(inputs, figures, pooled):
    shares = {name: pooled[name] for name in ("ceiling", "pools", "postgres", "outside", "limit")}
    shares["monitoring"] = MONITORING
    if figures["default_pool_size"].value is not None:
        return _finding("ok", "pooled_fits", **shares)
    enough = figures["max_connections"].value
    return _finding("critical", "pooled_exceeded", _gives_way(inputs), **shares, max_connections=enough)


def _gives_way(inputs):
    """Return the input that makes the plan fit if it is as small as it may be."""
    without_others = tuple(other for other in inputs.others if other.is_pooled)
    for field, value in (
        ("db_maxconn_gevent", _gevent_needs(inputs)),
        ("max_cron_threads", 1),
        ("others", without_others),
        ("pgbouncers", 1),
        ("databases", 1),
    ):
        smaller = replace(inputs, **{field: value})
        if smaller != inputs and _fits(smaller):
            return field
    return "max_connections"


def _fits(inputs):
    room = divide(inputs)
    return room.pool >= room.least


def _pool_short(inputs, figures):
    pool = figures["default_pool_size"]
    if pool.reason.code != "pool_room":
        return None
    sizes = {"size": pool.value, "wanted": pool.reason.figures["wanted"]}
    if demand.servers(inputs)[1] == "pool_unknown":
        return _finding("warning", "cores_unknown", "cores", **sizes)
    enough = figures["max_connections"].value
    return _finding("warning", "pool_short", "max_connections", **sizes, max_connections=enough)


def _pgbouncer_local(inputs):
    if inputs.servers <= inputs.pgbouncers or not is_local(inputs.pgbouncer_host):
        return None
    figures = {"servers": inputs.servers, "pgbouncers": inputs.pgbouncers, "host": inputs.pgbouncer_host}
    return _finding("warning", "pgbouncer_local", "pgbouncer_host", **figures)


def _clients_unencrypted(inputs):
    if is_local(inputs.pgbouncer_host):
        return None
    return _finding("ok", "clients_unencrypted", "pgbouncer_host", host=inputs.pgbouncer_host)


def _memory(inputs, figure, code):
    if None in (inputs.memory, figure.value) or figure.value <= inputs.memory:
        return None
    queries = figure.reason.figures["active"] * inputs.work_mem
    level = "critical" if figure.value - queries > inputs.memory else "warning"
    return _finding(level, code, "memory", needed=figure.value, memory=inputs.memory)


def _db_maxconn(inputs, direct):
    """Yield what is wrong with the size of Odoo's pools."""
    needs = pools_needed(inputs)
    for field, needed in needs.items():
        if getattr(inputs, field) < needed:
            yield _finding("warning", "db_maxconn_low", field, value=getattr(inputs, field), needed=needed)
    enough = max(USUAL_DB_MAXCONN, 2 * needs["db_maxconn"])
    if inputs.db_maxconn > enough and direct["ceiling"] > direct["limit"]:
        ceiling = sum(part.ceiling for part in demand.components(replace(inputs, db_maxconn=enough)))
        yield _finding("ok", "db_maxconn_high", "db_maxconn", value=inputs.db_maxconn, enough=enough, ceiling=ceiling)


def pools_needed(inputs):
    """Return field -> the connections that a process needs at the same time: for a request or a job, one more each for
    a NOTIFY, and the listeners.

    Odoo itself counts two connections for a request (``ThreadedWSGIServerReloadable``).
    """
    job = demand.JOB_CONNECTIONS + 1
    if inputs.workers:
        needed = 1 + job if inputs.max_cron_threads else 2
    else:
        needed = 2 * inputs.requests + (1 + job) * inputs.max_cron_threads + 1
    needs = {"db_maxconn": needed}
    if inputs.workers or inputs.bus == "service":
        field = "db_maxconn_gevent" if inputs.db_maxconn_gevent else "db_maxconn"
        needs[field] = max(needs.get(field, 0), _gevent_needs(inputs))
    return needs


def _gevent_needs(inputs):
    return 2 + inputs.gevent_connections


def _databases_open(inputs, figures, pooled):
    each = figures["max_db_connections"].value
    if inputs.named_databases or each is None:
        return None
    sizes = {"databases": inputs.databases, "more": inputs.pgbouncers * each}
    sizes |= {"ceiling": pooled["ceiling"], "limit": pooled["limit"]}
    level = "warning" if sizes["ceiling"] + sizes["more"] > sizes["limit"] else "ok"
    return _finding(level, "databases_open", "db_names", **sizes)


def _replica(inputs):
    parts = demand.replica_components(inputs)
    if not parts:
        return None
    expected, ceiling = sum(part.expected for part in parts), sum(part.ceiling for part in parts)
    return _finding("ok", "replica", "has_replica", expected=expected, ceiling=ceiling)
