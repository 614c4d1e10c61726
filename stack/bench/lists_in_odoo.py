"""The part of lists.py that runs inside `odoo shell`, where ``env`` is known."""

import json
import os
import sys
import time
from contextlib import closing

import psycopg2

RUNS = 30
parameters = json.loads(os.environ["BENCH"])
env = globals()["env"]


def measure(call):
    """Milliseconds of each run; the first one warms up and does not count."""
    times = []
    for _run in range(RUNS + 1):
        env.cr.rollback()
        env.invalidate_all()
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)
    return times[1:]


def bare_pools():
    console = psycopg2.connect(**parameters["console"])
    console.autocommit = True
    with closing(console), console.cursor() as cursor:
        cursor.execute("SHOW POOLS")
        return cursor.fetchall()


def bare_sessions():
    env.cr.execute("SELECT * FROM pg_stat_activity")
    return env.cr.fetchall()


def live_list(model, names, limit):
    specification = {name: {} for name in names}
    return lambda: env[model].web_search_read([], specification, limit=limit)


env["connection.endpoint"].create(parameters["endpoint"])
env.cr.commit()
POOL_FIELDS = ["database", "user", "cl_active", "cl_waiting", "maxwait_age", "sv_active", "sv_idle", "pool_mode"]
SESSION_FIELDS = ["pid", "datname", "usename", "application_name", "state", "xact_age", "wait_event", "blocked_by"]
results = {
    "pools": (len(bare_pools()), measure(bare_pools)),
    "pools, first page": (80, measure(live_list("pgbouncer.pool", POOL_FIELDS, 80))),
    "pools, all": (env["pgbouncer.pool"].search_count([]), measure(live_list("pgbouncer.pool", POOL_FIELDS, None))),
    "sessions": (len(bare_sessions()), measure(bare_sessions)),
    "sessions, first page": (80, measure(live_list("pg.stat.activity", [*SESSION_FIELDS, "query"], 80))),
    "sessions, all": (
        env["pg.stat.activity"].search_count([]),
        measure(live_list("pg.stat.activity", [*SESSION_FIELDS, "query"], None)),
    ),
}
with open(parameters["output"], "w") as output:
    json.dump(results, output)
sys.exit()
