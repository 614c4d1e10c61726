"""Functions for the parts of the benchmarks that run in `odoo shell`, which has ``env``."""

import builtins
import json
import os
import time
from contextlib import closing, suppress

import psycopg2.errors
from lxml import etree

from odoo.addons.pgbouncer_monitor.probes import postgres
from odoo.addons.pgbouncer_monitor.probes.console import SAMPLE_COMMANDS

RUNS = 20
# Rows on the first page of a list.
PAGE = 80
parameters = json.loads(os.environ["BENCH"])
env = builtins.env


def measure(call):
    """Return the milliseconds of each run. The first run is a warm-up and is left out."""
    return measure_in_turns([call])[0]


def measure_in_turns(calls):
    """Return for each call what `measure` returns, of runs in turns: what else the machine does changes in between."""
    times = [[] for _call in calls]
    for _run in range(RUNS + 1):
        for call, found in zip(calls, times, strict=True):
            env.cr.rollback()
            env.invalidate_all()
            started = time.perf_counter()
            call()
            found.append((time.perf_counter() - started) * 1000)
    return [found[1:] for found in times]


def watch():
    """Create the endpoint of the benchmark's PgBouncer."""
    if not env["connection.endpoint"].search([("name", "=", "Bench")]):
        env["connection.endpoint"].create(parameters["endpoint"])
        env.cr.commit()


def list_specification(model):
    """Return what the list view requests: the columns that it shows, with the names of related records."""
    arch = etree.fromstring(env[model].get_view(view_type="list")["arch"])
    names = [node.get("name") for node in arch.iter("field") if node.get("optional") != "hide"]
    relational = {"fields": {"display_name": {}}}
    return {name: relational if env[model]._fields[name].type == "many2one" else {} for name in names}


def bare_queries(commands=SAMPLE_COMMANDS):
    """Run console commands, and the other queries of a sample."""
    console = psycopg2.connect(**parameters["console"])
    console.autocommit = True
    with closing(console), console.cursor() as cursor:
        for command in commands:
            with suppress(psycopg2.errors.ProtocolViolation):  # not in this version
                cursor.execute(command)
                cursor.fetchall()
    env.cr.execute("SELECT pg_stat_clear_snapshot()")
    _begin, _timeout, *queries, _commit = postgres.sample_queries(env.cr._cnx.server_version, 3)
    for query in queries:
        env.cr.execute(query)
        env.cr.fetchall()


def finish(results):
    with open(parameters["output"], "w") as output:
        json.dump(results, output)
    raise SystemExit
