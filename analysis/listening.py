"""What the steps of a LISTEN check found -> verdicts, as codes and figures.

A *result* is a `probes.listen.ListenResult` as a dictionary. *Steps* are what each step found, by name:

- ``pooler``: ``result`` of this process, and ``pool``, see `pool_of`
- ``bus``: ``bus``, which is missing if its process was not found: ``result``, and ``delay``, the seconds until its
  dispatcher was called, None if it was not; ``misled``: the reverse proxies that pass /websocket to another process;
  ``is_direct``: the process was reached on its own host only
- ``listeners``: ``deaf``, how many clients of a pool listen without a server
- ``slots``: ``level``, see `slots`
- ``cron``, which may be missing: ``result`` in a cron worker, or None; ``delay``, the longest wait of a job in
  seconds; ``is_woken``, see `is_woken`
- ``queue_job``, which is missing without that module: see `judge_queue_job`
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
    :return: ``pool_mode``, ``pool_size``, ``client_idle_timeout`` and ``server``, the host and port behind the pool
    """
    for client in answers["SHOW CLIENTS"]:
        is_tcp = own_end and (client.get("addr"), client.get("port")) == tuple(own_end)
        is_unix = not own_end and client.get("remote_pid") == pid
        if client.get("database") == database and (is_tcp or is_unix):
            break
    else:
        return None
    of_database = next((row for row in answers["SHOW DATABASES"] if row.get("name") == database), {})
    user = of_database.get("force_user") or client.get("user")
    pools = [row for row in answers["SHOW POOLS"] if (row.get("database"), row.get("user")) == (database, user)]
    of_user = next((row for row in answers["SHOW USERS"] if row.get("name") == user), {})
    return {
        "pool_mode": pools[0].get("pool_mode") if pools else None,
        "pool_size": pool_size(of_database, of_user),
        "client_idle_timeout": readings.by_key(answers["SHOW CONFIG"]).get("client_idle_timeout"),
        "server": (of_database.get("host"), of_database.get("port")),
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
    return _judge_outlook(verdict, works, steps)


def judge_queue_job(found):
    """Return the Conclusion on queue_job's runner.

    :param dict found: of the step: ``result`` on the route of this server's own runner and its ``pool``, both None if
        this server has none; ``runner``, a `probes.runner.RunnerResult` as a dictionary; and ``is_here``, whether that
        is this server's own
    """
    result, runner = found["result"], found["runner"]
    is_working = bool(runner["seconds"]) and None not in runner["seconds"]
    works = {"code": "elsewhere", "delay": max(runner["seconds"], default=0) if is_working else 0}
    if not result:
        return _judge_job_runner(runner) or Conclusion("unknown", "unknown", [works], ["check_elsewhere"])
    verdict = route_verdict(result, found["pool"])
    if verdict == "unknown":
        return Conclusion(verdict, "unknown", [_failure("unknown", result)], ["runner_log"])
    if not is_delivered(result):
        why = _judge_route(verdict, result, False).sentences if verdict != "session" else [{"code": "full"}]
        if is_working:
            return Conclusion(verdict, "warning", [*why, works | {"code": "still_working"}], ["queue_job"])
        return Conclusion(verdict, "critical", why, ["queue_job"])
    if conclusion := _judge_job_runner(runner, has_own=True):
        return conclusion
    works["code"] = verdict if found["is_here"] else f"standby_{verdict}"
    if verdict == "session" and not found["pool"]:
        return Conclusion(verdict, "warning", [works, {"code": "unwatched"}], ["queue_job"])
    return Conclusion(verdict, "ok", [works], [])


def _judge_job_runner(runner, has_own=False):
    """Return the Conclusion on the runner that holds the lock, None if it receives notifications.

    :param bool has_own: whether this server has a runner
    """
    if runner["pid"] is None and not runner["reason"]:
        return Conclusion("deaf", "critical", [{"code": "no_runner"}], ["runner_log" if has_own else "load_runner"])
    if runner["is_hidden"]:
        return Conclusion("unknown", "unknown", [{"code": "hidden"}], ["see_runner"])
    if not runner["seconds"]:
        busy = [{"code": "busy"}]
        return Conclusion("unknown", "unknown", [_failure("unknown", runner)] if runner["reason"] else busy, ["again"])
    if None in runner["seconds"]:
        remedies = ["end_holder"] if has_own else ["queue_job", "end_holder"]
        return Conclusion("deaf", "critical", [{"code": "not_reacting"}], remedies)
    return None


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
