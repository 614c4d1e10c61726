"""What the parts of the benchmarks share that run inside `odoo shell`, where ``env`` is known."""

import builtins
import json
import os
import time

RUNS = 20
parameters = json.loads(os.environ["BENCH"])
env = builtins.env


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


def finish(results):
    with open(parameters["output"], "w") as output:
        json.dump(results, output)
    raise SystemExit
