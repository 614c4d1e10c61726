"""What the steps of a LISTEN check found -> verdicts, as codes and figures. For *steps* and *results* see
`listening`."""

from typing import NamedTuple

from .listening import can_notify, is_delivered, is_stopped, route_verdict
from .pressure import severity


class Conclusion(NamedTuple):
    """The verdict on a listener. ``sentences`` are dictionaries: a ``code`` and its figures. ``remedies`` are codes."""

    verdict: str
    level: str
    sentences: list
    remedies: list


def judge_bus(steps, is_pooled):
    """Return the Conclusion on the bus.

    :param bool is_pooled: whether a pooler is in the path of this process's own connection
    """
    processes = steps["bus"]["processes"]
    if not processes:
        return _judge_missing_bus(steps)
    conclusions = [_judge_process(process, steps, is_pooled) for process in processes]
    worst = max(conclusions, key=lambda conclusion: severity(conclusion.level))
    if worst.level == "critical":
        if len(processes) > 1:
            bad = [conclusion.level == "critical" for conclusion in conclusions]
            process = processes[bad.index(True)]
            names = {name: process[name] for name in ("host", "pid", "port")}
            one = {"code": "one_of", "bad": sum(bad), "count": len(processes)} | names
            worst = worst._replace(sentences=[one, *worst.sentences])
        return worst
    return _worse(worst, _judge_reach(worst, steps))


def _judge_missing_bus(steps):
    """Return the Conclusion if no process of the bus answered."""
    is_live, facts = steps["browser"]["is_live"], steps["bus"]
    if not is_live and facts["is_refused"] and steps["websocket"]["is_open"] is False:
        return Conclusion("deaf", "critical", [{"code": "no_process"}], ["bus_process"])
    sentences = [_step("bus", steps), *([{"code": "in_browser"}] if is_live else [])]
    return Conclusion("unknown", "unknown", sentences, ["proxy"])


def _judge_process(process, steps, is_pooled):
    """Return the Conclusion on one process of the bus, whether browsers reach it or not."""
    here, result, delay = steps["pooler"], process["result"], process["delay"]
    verdict = route_verdict(result, process["pool"])
    is_usable = verdict in ("direct", "session")
    if is_usable and not is_delivered(result):
        return _judge_full_pool(is_working=delay is not None)
    if is_usable and not can_notify(here["result"]):
        return Conclusion(verdict, "critical", [_failure("cannot_notify", here["result"])], ["override"])
    if process["missed"]:
        missed = {"code": "missed", "missed": process["missed"]}
        return Conclusion("deaf", "critical", [missed], _route_remedies(verdict, result, is_pooled, is_bus=True))
    if not is_usable:
        bad = _judge_route(verdict, result, is_pooled, process["pool"], is_bus=True)
        return _only_old(bad) if delay is not None and can_notify(here["result"]) else bad
    if delay is None:
        if is_apart(result, here["result"]):
            apart = {"code": "apart", "bus": _place(result), "here": _place(here["result"])}
            return Conclusion("deaf", "critical", [apart], ["apart"])
        if process["cuts"]:  # a restart helps until the next one
            cuts = {"code": "cuts", "cuts": process["cuts"]}
            return Conclusion("deaf", "critical", [{"code": "old_connection"}, cuts], ["keep_open"])
        return Conclusion("deaf", "critical", [{"code": "old_connection"}], ["restart"])
    return _judge_outlook(verdict, {"code": verdict, "delay": delay}, steps, process)


def _judge_reach(conclusion, steps):
    """Return the Conclusion on the way from the bus to the browsers."""
    verdict, sentences = conclusion.verdict, conclusion.sentences
    is_live, is_open = steps["browser"]["is_live"], steps["websocket"]["is_open"]
    if is_live:
        return conclusion
    is_used = any(process["websockets"] for process in steps["bus"]["processes"])
    if is_open or is_used:
        if is_live is None:
            return conclusion
        return Conclusion(verdict, "warning", [*sentences, {"code": "not_in_this_browser"}], ["browser"])
    if is_live is False or (is_open is False and steps["bus"]["is_proxied"]):
        return Conclusion(verdict, "critical", [*sentences, {"code": "not_in_browser"}], ["proxy"])
    return Conclusion(verdict, "warning", [*sentences, {"code": "no_browser"}], ["proxy"])


def judge_cron(steps, is_pooled):
    """Return the Conclusion on the cron workers. For the parameters see `judge_bus`."""
    here, job = steps["pooler"], steps.get("cron", {})
    result = job.get("result") or here["result"]
    verdict = route_verdict(result, here["pool"])
    if job.get("ended_threads"):
        ended = {"code": "ended_threads", "ended": job["ended_threads"]}
        return Conclusion("deaf", "critical", [ended], ["restart"])
    if verdict not in ("direct", "session"):
        bad = _judge_route(verdict, result, is_pooled, here["pool"])
        return _only_old(bad) if job.get("is_woken") else bad
    if not is_delivered(result):
        return _judge_full_pool(is_working=job.get("is_woken"))
    if not job.get("is_woken"):
        if not job.get("has_workers", True):
            return Conclusion("unknown", "unknown", [{"code": "no_workers"}], ["workers"])
        return Conclusion("unknown", "unknown", [{"code": "not_woken"}], ["idle"])
    works = {"code": verdict, "delay": job["delay"]}
    return _judge_outlook(verdict, works, steps)


def is_apart(result, other):
    """Return whether two results are of different databases, or of different servers."""
    if result["started_at"] is None or other["started_at"] is None:
        return False
    return _place(result)["database"] != _place(other)["database"] or result["started_at"] != other["started_at"]


def _place(result):
    return {name: result[name] for name in ("database", "server")}


def _worse(one, other):
    return max(one, other, key=lambda conclusion: severity(conclusion.level))


def _only_old(bad):
    """Return the Conclusion on a listener that receives notifications over a connection that could not be made now."""
    if bad.verdict == "unknown":
        return bad
    return Conclusion(bad.verdict, "warning", [{"code": "only_old"}, *bad.sentences], bad.remedies)


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


def _judge_route(verdict, result, is_pooled, pool=None, is_bus=False):
    """Return the Conclusion on a route over which no notification is received."""
    remedies = _route_remedies(verdict, result, is_pooled, is_bus)
    if verdict == "unreachable" and is_stopped(pool):
        stopped = {"code": pool["state"], "name": pool["name"], "endpoint": pool["endpoint"]}
        return Conclusion(verdict, "critical", [stopped], remedies)
    if verdict == "deaf":
        why = "rejected" if result["reason"] else "pooled" if result["is_pooled"] else "lost"
        return Conclusion(verdict, "critical", [_failure(f"deaf_{why}", result)], remedies)
    if verdict == "unreachable":
        return Conclusion(verdict, "critical", [_failure("unreachable", result)], remedies)
    return Conclusion(verdict, "unknown", [_failure("unknown", result)], remedies)


def _route_remedies(verdict, result, is_pooled, is_bus):
    if verdict == "unreachable":
        return ["override"] if is_pooled else ["role"]
    if verdict == "unknown":
        return ["logs"]
    return ["override", *(["alt_connection", "service", "service_proxy"] if is_bus else [])]


def _judge_full_pool(is_working):
    """Return the Conclusion on a session pool that has no servers left."""
    code, level = ("nearly_full", "warning") if is_working else ("full", "critical")
    return Conclusion("session", level, [{"code": code}], ["override"])


def _judge_outlook(verdict, works, steps, process=None):
    """Return the Conclusion on a listener that works, but might not continue to.

    :param dict process: of the bus; None for the cron workers
    """
    result = process["result"] if process else steps["cron"]["result"]
    listener = "bus" if process else "cron"
    silence = steps.get("silence", {}).get(listener)
    slots = steps["slots"]["bus" if process else "here"]
    listeners, timeout = steps["listeners"], result["idle_timeout"]
    doubts = (
        (timeout, {"code": "idle_timeout", "seconds": timeout}, "idle_timeout"),
        (silence and silence["outcome"] in ("lost", "failed"), {"code": "silence"}, "keep_open"),
        (process and process["cuts"], {"code": "cuts", "cuts": process and process["cuts"]}, "keep_open"),
        (_is_mixed(result, steps["pooler"]["result"]), {"code": "mixed"}, "override"),
        (verdict == "session" and slots != "ok", _step("slots", steps), "override"),
        (not process and listeners["deaf_cron"], {"code": "deaf_workers", "names": listeners["deaf_cron"]}, "restart"),
        (listeners["unasked"], {"code": "unasked", "count": listeners["unasked"]}, "each_server"),
    )
    found = [(sentence, remedy) for is_found, sentence, remedy in doubts if is_found]
    if not found:
        return Conclusion(verdict, "ok", [works], [])
    sentences, remedies = zip(*found, strict=True)
    return Conclusion(verdict, "warning", [works, *sentences], list(dict.fromkeys(remedies)))


def _is_mixed(result, here):
    """Return whether connections over the same route differ: of a listener that works, and of this process."""
    is_same_route = tuple(result["route"]) == tuple(here["route"] or ())
    return result["is_mixed"] or here["is_mixed"] or (is_same_route and not is_delivered(here))


def _failure(code, result):
    return {"code": code, "reason": result["reason"], "detail": result["detail"]}


def _step(name, steps):
    """Return the sentence that says what a step means."""
    return {"code": "step", "step": steps[name] | {"name": name}}
