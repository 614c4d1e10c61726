"""What a LISTEN check found, and the codes of its remedies -> what there is to change, as codes and figures.

A *pool* is that of `listening.pool_at`, with ``endpoint``, the name of its PgBouncer, and ``behind``: the pool of the
PgBouncer that it connects to, None if that is no endpoint. The *chain* is a pool and those behind it.
"""

from .listening import concerned, is_delivered

# Ways to connect the bus to PostgreSQL itself, in Odoo's own configuration.
DIRECT = ("alt_connection", "service", "service_proxy")
# The state of a database -> the remedy.
STATES = {"paused": "resume", "disabled": "enable"}


def is_loopback(host):
    """Return whether a host is this one, or a unix socket on it."""
    return host in ("", "localhost", "::1") or host.startswith(("127.", "/", "@"))


def is_same_address(one, other):
    """Return whether two hosts and ports are the same server, without resolving names."""
    hosts = ["" if is_loopback(host or "") else host for host, _port in (one, other)]
    return hosts[0] == hosts[1] and one[1] == other[1]


def chain(pool):
    """Return a pool and those behind it, Odoo's first."""
    pools = []
    while pool:
        pools.append(pool)
        pool = pool.get("behind")
    return pools


def is_alias(pool, database):
    """Return whether connections to a database reach another one."""
    return any((link.get("database") or database) != database for link in chain(pool))


def is_standby(result):
    """Return whether PostgreSQL rejected LISTEN because it is a standby."""
    return "LISTEN during recovery" in (result["detail"] or "")


def bus_way(steps):
    """Return how the bus is connected: None like the rest of Odoo, ``alt`` by bus_alt_connection, or ``service``, as a
    process with its own configuration."""
    bus = concerned(steps)
    if not bus or tuple(bus["result"]["route"] or ()) == tuple(steps["pooler"]["result"]["route"] or ()):
        return None
    return "alt" if steps["configuration"]["bus_route"] else "service"


def choose(codes, steps, database):
    """Return the codes of the remedies of the bus that fit the way in which it is connected.

    :param list codes: of a `listen_verdicts.Conclusion`; ``apart`` if it listens elsewhere
    :param str database: on which Odoo listens
    """
    if is_alias(steps["pooler"]["pool"], database):
        if "apart" in codes:
            return ["alias"]
        # A direct connection would listen on another database.
        return [code for code in codes if code not in DIRECT]
    bus, way = concerned(steps), bus_way(steps)
    if "apart" in codes:
        return {"alt": ["alt_connection"], "service": ["service_options"], None: list(DIRECT)}[way]
    if not way or is_delivered(bus["result"]):
        return [code for code in codes if code not in DIRECT] if bus and is_standby(bus["result"]) else codes
    if way == "alt":
        return ["alt_connection"]
    return [*(code for code in codes if code == "override" and bus["result"]["is_pooled"]), "service_options"]


def overrides(result, pool, needed):
    """Return what to change in the PgBouncers of a route, so that notifications arrive.

    :param dict result: of the route, see `probes.listen.ListenResult`
    :param dict pool: of the route, None if no endpoint shows it
    :param int needed: how many servers the pool needs
    :return: dictionaries with ``code``:

        - ``resume`` or ``enable`` a database ``name``, None for all
        - ``user``: the line of a ``user`` outranks that of the database, with its ``pool_mode``, or None; ``others`` is
          the mode that the other databases would get
        - ``override``: append session mode and ``pool_size`` to the line ``name``, and ``max_connections`` unless it is
          None; ``is_copy``: the line must first be made, of one that works; ``is_shared_port``: other processes may
          need it, too
        - ``behind``: the same, in an unknown pooler at ``server``
        - ``role``: PostgreSQL may reject Odoo's role
        - ``primary``: this is a standby
        - ``watch``: the session pool at ``where`` works, but no endpoint shows its size
        - ``between``: no PgBouncer, but something else loses the notifications at ``where``

        those of PgBouncer with ``endpoint``, its name, None if unknown
    """
    pools = chain(pool)
    if is_standby(result):
        return [{"code": "primary"}]
    if result["outcome"] == "lost" and result["is_pooled"] is False:
        return [{"code": "between", "where": result["route"]}]
    remedies = [_state(link) for link in pools if link["state"] in STATES]
    if result["outcome"] == "unreachable" and not remedies:
        return _of_unreachable(result, pools, needed)
    if not pools:
        return [_of_unknown_pool(result, needed)]
    for link in pools:
        if link["pool_mode"] not in ("session", None) or _is_small(link, needed):
            remedies += [*_of_user(link, needed), _override(link, needed)]
    if result["outcome"] == "lost" and all(link["pool_mode"] == "session" for link in pools):
        last = pools[-1]
        where = {"server": last["server"], "is_shared_port": False}
        remedies.append(_override(last, needed) | where | {"code": "behind"})
    return remedies or [_override(pools[0], needed)]


def _of_unknown_pool(result, needed):
    if is_delivered(result) and not result["is_mixed"]:
        return {"code": "watch", "where": result["route"]}
    return _override(None, needed)


def _of_unreachable(result, pools, needed):
    # The first one has no line, or what it connects to rejects it.
    is_missing = "no such database" in result["detail"]
    copy = _override(pools[0 if is_missing else -1] if pools else None, needed, is_copy=True)
    return [copy] if is_missing else [copy, {"code": "role"}]


def _state(pool):
    name = pool["name"] if pool["is_own_state"] else None
    return {"code": STATES[pool["state"]], "name": name, "endpoint": pool["endpoint"]}


def _override(pool, needed, is_copy=False):
    facts = {"code": "override", "is_copy": is_copy, "pool_size": needed, "max_connections": None}
    if not pool:
        return facts | {"endpoint": None, "name": None, "is_shared_port": False}
    facts["pool_size"] = max(needed, pool["pool_size"] or 0)  # never fewer servers than now
    if _is_limited(pool, needed):
        facts["max_connections"] = needed
    return facts | {name: pool[name] for name in ("endpoint", "name", "is_shared_port")}


def _is_small(pool, needed):
    return (pool["pool_size"] or 0) < needed or _is_limited(pool, needed)


def _is_limited(pool, needed):
    """Return whether the database may have fewer servers than needed."""
    return 0 < (pool["max_connections"] or 0) < needed


def _of_user(pool, needed):
    """Return the remedy for a line of [users] that outranks the one of the database."""
    mode = pool["user_pool_mode"] if pool["user_pool_mode"] != "session" else None
    size = pool["user_pool_size"]
    if mode is None and (size is None or size >= needed):
        return []
    return [
        {
            "code": "user",
            "user": pool["user"],
            "pool_mode": mode,
            "pool_size": None if size is None or size >= needed else needed,
            "others": mode if mode != pool["default_pool_mode"] else None,
            "endpoint": pool["endpoint"],
        }
    ]
