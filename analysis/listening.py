"""What the steps of a LISTEN check found -> verdicts, as codes and figures.

A *result* is a `probes.listen.ListenResult` as a dictionary. *Steps* are what each step found, by name:

- ``pooler``: ``result`` of this process, and ``pool``, see `pool_of`
- ``bus``: ``bus``, which is missing if its process was not found: ``result``, and ``delay``, the seconds until its
  dispatcher was called, None if it was not; ``misled``: the reverse proxies that pass /websocket to another process;
  ``is_direct``: the process was reached on its own host only
- ``listeners``: ``deaf``, how many clients of a pool listen without a server; ``queue_job``: its ``result``, or None
- ``slots``: ``level``, see `slots`
- ``cron``, which may be missing: ``result`` in a cron worker, or None; ``delay``, the longest wait of a job in
  seconds; ``is_woken``, see `is_woken`
"""

from typing import NamedTuple

from . import readings
from .bottleneck import pool_size

# A job that starts later was not woken up. Where LISTEN works it starts in less than a second, otherwise when the
# timer of a worker ends, which is up to a minute.
WOKEN_SECONDS = 5
# A client of a pool of the database on which Odoo listens is a listener if it is connected for longer: everything
# else that Odoo does there is short.
LISTENER_SECONDS = 60


class Conclusion(NamedTuple):
    """The verdict on a listener. ``sentences`` are dictionaries: a ``code`` and its figures. ``remedies`` are codes."""

    verdict: str
    level: str
    sentences: list
    remedies: list


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


def pool_of(own_end, pid, database, answers):
    """Return the pool that a connection to a database uses, None if a console does not show the connection.

    :param own_end: address and port of the client's end, None for a unix socket
    :param int pid: of the client's process
    :param dict answers: a console's rows of SHOW, by command
    :return: see `pool_at`
    """
    for client in answers["SHOW CLIENTS"]:
        is_tcp = own_end and (client.get("addr"), client.get("port")) == tuple(own_end)
        is_unix = not own_end and client.get("remote_pid") == pid
        if client.get("database") == database and (is_tcp or is_unix):
            return pool_at(database, client.get("user"), answers)
    return None


def pool_at(database, user, answers):
    """Return the pool of a database and a user. Whether the database has a line of its own or is served by ``*`` is
    not shown.

    :param dict answers: a console's rows of SHOW, by command
    :return: ``name`` of the database in PgBouncer, and ``database``, its name behind it; ``user`` of the pool;
        ``server``, the host and port behind it; ``pool_mode``, ``pool_size``, ``client_idle_timeout``;
        ``max_connections`` of the database, 0 for no limit; what outranks or replaces the line of the database:
        ``user_pool_mode``, ``user_pool_size``, ``default_pool_mode``; ``state``, see `readings.database_state`, and
        ``is_own_state``, False if it is the state of the instance
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
        "max_connections": row.get("max_connections"),
        "client_idle_timeout": settings.get("client_idle_timeout"),
        "user_pool_mode": of_user.get("pool_mode"),
        "user_pool_size": of_user.get("pool_size"),
        "default_pool_mode": default,
        "state": readings.database_state(row, readings.console_state(answers["SHOW STATE"])),
        "is_own_state": bool(row.get("paused") or row.get("disabled")),
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
    if pool["client_idle_timeout"] not in (None, "0"):
        return "cut_off", "warning"
    if size is None:
        return "unknown", "unknown"
    if size <= held:
        return "too_small", "warning"
    return ("enough" if size >= held + at_once else "tight"), "ok"


def route_verdict(result, pool):
    """Return the verdict on a route.

    :param dict pool: of `pool_of`, or None
    """
    if is_delivered(result):
        return "session" if result["is_pooled"] else "direct"
    if result["outcome"] == "blocked" and pool and pool["pool_mode"] == "session":
        return "session"
    return {"lost": "deaf", "unreachable": "unreachable"}.get(result["outcome"], "unknown")


def judge_bus(steps, is_live, is_pooled):
    """Return the Conclusion on the bus.

    :param str is_live: whether notifications reached the last browser that took part: yes, no, or empty
    :param bool is_pooled: whether a pooler is in the path of this process's own connection
    """
    bus, here = steps["bus"].get("bus"), steps["pooler"]
    if not bus:
        return Conclusion("unknown", "unknown", [_step("bus", steps)], ["proxy"])
    result, delay = bus["result"], bus["delay"]
    is_same_route = tuple(result["route"] or ()) == tuple(here["result"]["route"] or ())
    verdict = route_verdict(result, here["pool"] if is_same_route else None)
    if verdict not in ("direct", "session"):
        return _judge_route(verdict, result, is_pooled, is_bus=True)
    if not is_delivered(result):
        return _judge_full_pool(is_working=delay is not None)
    if not can_notify(here["result"]):
        return Conclusion(verdict, "critical", [_failure("cannot_notify", here["result"])], ["override"])
    if delay is None:
        return Conclusion("deaf", "critical", [{"code": "old_connection"}], ["restart"])
    works = {"code": verdict, "delay": delay}
    if steps["bus"]["misled"] or is_live == "no":
        return Conclusion(verdict, "critical", [works, {"code": "not_in_browser"}], ["proxy"])
    if steps["bus"].get("is_direct") and is_live != "yes":
        return Conclusion(verdict, "warning", [works, {"code": "no_browser"}], ["proxy"])
    return _judge_outlook(verdict, works, steps)


def judge_cron(steps, is_pooled):
    """Return the Conclusion on the cron workers. For the parameters see `judge_bus`."""
    here, job = steps["pooler"], steps.get("cron", {})
    result = job.get("result") or here["result"]
    verdict = route_verdict(result, here["pool"])
    if verdict not in ("direct", "session"):
        return _judge_route(verdict, result, is_pooled)
    if not is_delivered(result):
        return _judge_full_pool(is_working=job.get("is_woken"))
    if not job.get("is_woken"):
        return Conclusion("unknown", "unknown", [{"code": "not_woken"}], ["restart"])
    works = {"code": verdict, "delay": job["delay"]}
    queue_job = steps["listeners"].get("queue_job")
    if queue_job and not is_delivered(queue_job["result"]):
        return Conclusion(verdict, "warning", [works, _step("listeners", steps)], ["queue_job"])
    return _judge_outlook(verdict, works, steps)


def _judge_route(verdict, result, is_pooled, is_bus=False):
    """Return the Conclusion on a route over which no notification is received."""
    if verdict == "deaf":
        why = "rejected" if result["reason"] else "pooled" if result["is_pooled"] else "lost"
        around = ["alt_connection", "service", "service_proxy"] if is_bus else []
        return Conclusion(verdict, "critical", [_failure(f"deaf_{why}", result)], ["override", *around])
    if verdict == "unreachable":
        remedies = ["override"] if is_pooled else ["role"]
        return Conclusion(verdict, "critical", [_failure("unreachable", result)], remedies)
    return Conclusion(verdict, "unknown", [_failure("unknown", result)], ["logs"])


def _judge_full_pool(is_working):
    """Return the Conclusion on a session pool that has no servers left."""
    code, level = ("nearly_full", "warning") if is_working else ("full", "critical")
    return Conclusion("session", level, [{"code": code}], ["override"])


def _judge_outlook(verdict, works, steps):
    """Return the Conclusion on a listener that works, but might not continue to."""
    if verdict == "session" and steps["slots"]["level"] != "ok":
        return Conclusion(verdict, "warning", [works, _step("slots", steps)], ["override"])
    if steps["listeners"]["deaf"]:
        return Conclusion(verdict, "warning", [works, _step("listeners", steps)], ["restart"])
    return Conclusion(verdict, "ok", [works], [])


def _failure(code, result):
    return {"code": code, "reason": result["reason"], "detail": result["detail"]}


def _step(name, steps):
    """Return the sentence that says what a step means."""
    return {"code": "step", "step": steps[name] | {"name": name}}
