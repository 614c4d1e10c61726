"""What the steps of a LISTEN check found -> facts that the verdicts are made of.

A *result* is a `probes.listen.ListenResult` as a dictionary. *Steps* are what each step found, by name:

- ``pooler``: ``result`` of this process, and ``pool``, see `pool_of`
- ``bus``: ``processes``, each with its ``host``, ``pid`` and ``port``, its ``result`` and ``pool``; ``delay`` and
  ``missed`` of its dispatcher, see `dispatch`; ``losses``, see `cuts`; ``websockets``, how many it serves. And
  ``is_proxied``: whether one of them was reached at web.base.url; ``is_refused``: nothing listens where Odoo's own
  bus process should
- ``websocket``: ``is_open``, whether a websocket could be opened at web.base.url; None if that is unknown
- ``browser``: ``is_live``, whether notifications reached the browser; None if no browser took part
- ``silence``, which may be missing: ``bus`` and ``cron``, each the ``result`` after a silence, or None
- ``listeners``: ``unasked``, how many listeners of Odoo were seen that nothing is known of; ``deaf_cron``, the names
  of cron workers that listen without a server
- ``slots``: the levels of the pools of this process, ``here``, and of the ``bus``, see `slots`
- ``cron``, which may be missing: ``result`` in a cron worker, or None; ``delay``, the longest wait of a job in
  seconds; ``is_woken``, see `is_woken`; ``ended_threads``; ``has_workers``: whether this Odoo server has any
- ``queue_job``, which is missing without that module: see `listen_verdicts.judge_queue_job`
"""

from . import readings
from .bottleneck import pool_size

# A job that starts later was not woken up. Where LISTEN works it starts in less than a second, otherwise when the
# timer of a worker ends, which is up to a minute.
WOKEN_SECONDS = 5
# A connection of Odoo to the database on which it listens is a listener if it lasts longer: everything else that Odoo
# does there takes milliseconds, unless it waits for a server.
LISTENER_SECONDS = 2
# The servers of a pool that are logged in.
SERVERS = ("sv_active", "sv_idle", "sv_used", "sv_tested")
# How many notifications must arrive without a gap: a single one may be fetched by chance.
IN_A_ROW = 3
# A notification may take so long.
ARRIVAL_SECONDS = 0.5
# A connection that was lost earlier than this after its start was probably idle for too long: a restart of a server
# ends older ones, as a rule. A judgement of our own, without a source.
SHORT_LIFE = 3600
# How long Odoo's dispatcher waits before it connects again: TIMEOUT in its bus.
RETRY_SECONDS = 50
# A restart and the losses that it causes are seen within this time of each other.
RESTART_SECONDS = 180


def is_delivered(result):
    """Return whether a result proves that LISTEN works."""
    return result["outcome"] == "delivered"


def can_notify(result):
    """Return whether a result proves that a NOTIFY can be sent."""
    return is_delivered(result) or (result["outcome"] == "lost" and not result["reason"])


def is_woken(delays, workers):
    """Return whether at least one of several jobs was started by a notification. A worker starts one job at most by
    its timer, so there must be more jobs than workers.

    :param list delays: seconds that each job waited
    :param list workers: who started each job: lists of host, PID and thread
    """
    return max(delays) < WOKEN_SECONDS and len(set(map(tuple, workers))) < len(workers)


def pool_of(name, own_end, pid, database, answers):
    """Return the pool that a connection to a database uses, None if a console does not show the connection.

    :param str name: its ``application_name``, which PgBouncer shows since 1.18, and which passes proxies
    :param own_end: address and port of the client's end, None for a unix socket
    :param int pid: of the client's process
    :param dict answers: a console's rows of SHOW, by command
    :return: see `pool_at`
    """
    for client in answers["SHOW CLIENTS"]:
        is_named = name in (client.get("application_name") or "")
        is_tcp = own_end and (client.get("addr"), client.get("port")) == tuple(own_end)
        is_unix = not own_end and client.get("remote_pid") == pid
        if client.get("database") == database and (is_named or is_tcp or is_unix):
            return pool_at(database, client.get("user"), answers)
    return None


def pool_at(database, user, answers):
    """Return the pool of a database and a user. Whether the database has a line of its own or is served by ``*`` is
    not shown.

    :param dict answers: a console's rows of SHOW, by command
    :return: ``name`` of the database in PgBouncer, and ``database``, its name behind it; ``user`` of the pool;
        ``server``, the host and port behind it; ``pool_mode``, ``pool_size``, ``servers``, how many it has;
        ``max_connections`` of the database, 0 for no limit; what outranks or replaces the line of the database:
        ``user_pool_mode``, ``user_pool_size``, ``default_pool_mode``; ``state``, see `readings.database_state`, and
        ``is_own_state``, False if it is the state of the instance; ``is_shared_port``: whether other processes of
        PgBouncer may listen on its port
    """
    row = next((row for row in answers["SHOW DATABASES"] if row.get("name") == database), {})
    user = row.get("force_user") or user
    pools = [found for found in answers["SHOW POOLS"] if (found.get("database"), found.get("user")) == (database, user)]
    of_user = next((found for found in answers["SHOW USERS"] if found.get("name") == user), {})
    settings = readings.by_key(answers["SHOW CONFIG"])
    default = settings.get("pool_mode")
    configured = (of_user.get("pool_mode") or row.get("pool_mode") or default) if row else None
    return {
        "name": database,
        "database": row.get("database"),
        "user": user,
        "server": (row.get("host"), row.get("port")),
        "pool_mode": pools[0].get("pool_mode") if pools else configured,
        "pool_size": pool_size(row, of_user),
        "servers": sum(pools[0].get(name) or 0 for name in SERVERS) if pools else None,
        "max_connections": row.get("max_connections"),
        "user_pool_mode": of_user.get("pool_mode"),
        "user_pool_size": of_user.get("pool_size"),
        "default_pool_mode": default,
        "state": readings.database_state(row, readings.console_state(answers["SHOW STATE"])),
        "is_own_state": bool(row.get("paused") or row.get("disabled")),
        "is_shared_port": settings.get("so_reuseport") not in (None, "0"),
    }


def slots(pool, is_pooled, held, at_once):
    """Return whether a session pool is large enough for listeners: a code and a level.

    :param dict pool: of `pool_of`, or None
    :param bool is_pooled: whether there is a pooler at all, None for unknown
    :param int held: how many servers listeners occupy permanently
    :param int at_once: how many more connections may be needed for a moment
    """
    if not pool or pool["pool_mode"] != "session":
        return ("unneeded", "ok") if pool or is_pooled is False else ("unwatched", "unknown")
    size = pool["pool_size"]
    if size is None:
        return "unknown", "unknown"
    if size <= held:
        return "too_small", "warning"
    return ("enough" if size >= held + at_once else "tight"), "ok"


def is_stopped(pool):
    """Return whether a pool is paused or disabled."""
    return bool(pool) and pool["state"] in ("paused", "disabled")


def route_verdict(result, pool):
    """Return the verdict on a route.

    :param dict pool: of `pool_of`, or None
    """
    if is_delivered(result):
        return "session" if result["is_pooled"] else "direct"
    if result["outcome"] == "blocked" and is_stopped(pool):
        return "unreachable"
    if result["outcome"] == "blocked" and pool and pool["pool_mode"] == "session":
        # A pool that gets no more servers, although it may have more, cannot log in to PostgreSQL.
        size, servers = pool["pool_size"], pool["servers"]
        is_full = None in (size, servers) or servers >= min(size, pool["max_connections"] or size)
        return "session" if is_full else "unreachable"
    return {"lost": "deaf", "unreachable": "unreachable"}.get(result["outcome"], "unknown")


def dispatch(sent, called):
    """Return how a dispatcher received notifications that were sent to it one after the other.

    :param sent: pairs: number, and when it was sent
    :param called: pairs: number, and when it was received, by the same clock
    :return: the longest delay in seconds, None if nothing arrived; and how many were missed after the first one that
        arrived
    """
    sent, called = dict(sent), dict(called)
    if not called or not sent:
        return None, 0
    row = sorted(number for number in sent if number >= min(called))[:IN_A_ROW]
    due = max(sent.values()) - ARRIVAL_SECONDS
    missed = [number for number in row if number not in called and sent[number] < due]
    return max((called[number] - sent[number] for number in row if number in called), default=0.0), len(missed)


def cuts(process, restarts, since):
    """Return the losses of a dispatcher's connection that will probably happen again: each costs RETRY_SECONDS.

    :param dict process: ``started_at``, and ``losses``: pairs of the time and a message. All times are in seconds since
        the epoch
    :param restarts: when PostgreSQL or a PgBouncer restarted: a connection that was made before was lost by that
    :param float since: earlier ones do not count
    """
    found, connected_at = [], process["started_at"]
    for at, message in process["losses"]:
        is_short = at - connected_at < SHORT_LIFE
        is_explained = any(connected_at < restart and abs(at - restart) < RESTART_SECONDS for restart in restarts)
        connected_at = at + RETRY_SECONDS
        if at >= since and is_short and not is_explained:
            found.append((at, message))
    return found


def concerned(steps):
    """Return the process of the bus that a verdict is about: the first one that is not all right, otherwise the first;
    None if none answered."""
    processes = steps["bus"]["processes"]
    return next(iter([*(found for found in processes if not is_working(found)), *processes]), None)


def is_working(process):
    """Return whether a process of the bus receives notifications, over new connections, too."""
    return process["delay"] is not None and not process["missed"] and is_delivered(process["result"])
