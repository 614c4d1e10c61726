"""The part of overview.py that runs inside `odoo shell`, where ``env`` is known."""

import json
from pathlib import Path

from measure import PAGE, RUNS, bare_queries, env, finish, list_specification, measure, parameters, watch

from odoo.addons.pgbouncer_monitor.probes.console import SAMPLE_COMMANDS


def bare():
    bare_queries([*SAMPLE_COMMANDS, "SHOW CLIENTS"])
    env.cr.execute("SELECT * FROM pg_stat_activity")
    env.cr.fetchall()


def overview():
    json.dumps(env["connection.overview"].get_overview())


def two_lists():
    for model in ("pg.stat.activity", "pgbouncer.pool"):
        env.cr.cache.clear()  # as two requests
        env[model].web_search_read([], list_specification(model), limit=PAGE)


def worked(pid):
    """Return for how many milliseconds a process has run on a CPU."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def measure_with_servers(call):
    """Return the times of `measure`, and the mean CPU time of each server for one call."""
    env.cr.execute("SELECT pg_backend_pid()")
    pids = {"pgbouncer": parameters["pgbouncer"], "postgresql": env.cr.fetchone()[0]}
    before = {name: worked(pid) for name, pid in pids.items()}
    times = measure(call)
    # The first call warms up, and works, too.
    return {"times": times} | {name: (worked(pid) - before[name]) / (RUNS + 1) for name, pid in pids.items()}


watch()
finish(
    {
        "bare queries": measure_with_servers(bare),
        "Overview": measure_with_servers(overview),
        "two lists: sessions, pools": measure_with_servers(two_lists),
    }
)
