"""What the parts of the benchmarks share that run inside `odoo shell`, where ``env`` is known."""

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
    """Milliseconds of each run; the first one warms up and does not count."""
    times = []
    for _run in range(RUNS + 1):
        env.cr.rollback()
        env.invalidate_all()
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)
    return times[1:]


def watch():
    """Have Odoo watch the PgBouncer of the benchmark."""
    if not env["connection.endpoint"].search([("name", "=", "Bench")]):
        env["connection.endpoint"].create(parameters["endpoint"])
        env.cr.commit()


def list_specification(model):
    """What the list view asks for: the columns that it shows, with the names of what they belong to."""
    arch = etree.fromstring(env[model].get_view(view_type="list")["arch"])
    names = [node.get("name") for node in arch.iter("field") if node.get("optional") != "hide"]
    relational = {"fields": {"display_name": {}}}
    return {name: relational if env[model]._fields[name].type == "many2one" else {} for name in names}


def bare_queries(*more_commands):
    """What a sample asks, and more of the console."""
    console = psycopg2.connect(**parameters["console"])
    console.autocommit = True
    with closing(console), console.cursor() as cursor:
        for command in (*SAMPLE_COMMANDS, *more_commands):
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
