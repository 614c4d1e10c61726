"""The part of samples.py that runs inside `odoo shell`, where ``env`` is known."""

from contextlib import closing, suppress

import psycopg2.errors
from measure import env, finish, measure, parameters

from odoo.addons.pgbouncer_monitor.models.connection_endpoint import SAMPLE_COMMANDS
from odoo.addons.pgbouncer_monitor.probes import postgres

Sample = env["connection.sample"]


def bare_queries():
    console = psycopg2.connect(**parameters["console"])
    console.autocommit = True
    with closing(console), console.cursor() as cursor:
        for command in SAMPLE_COMMANDS:
            with suppress(psycopg2.errors.ProtocolViolation):  # not in this version
                cursor.execute(command)
                cursor.fetchall()
    env.cr.execute("SELECT pg_stat_clear_snapshot()")
    _begin, _timeout, *queries, _commit = postgres.sample_queries(env.cr._cnx.server_version, 3)
    for query in queries:
        env.cr.execute(query)
        env.cr.fetchall()


def stored_run():
    Sample._cron_sample()
    env.cr.commit()


def graph(since, bucket, domain, *groupby):
    """What the graph asks for, with the client's context."""
    domain = [("sampled_at", ">=", since), *domain]
    Sample.with_context(fill_temporal=True).formatted_read_group(domain, [bucket, *groupby], ["pressure_max:max"])


def thin_an_hour():
    Sample._gc_minutes()
    env.cr.commit()


if not env["connection.endpoint"].search([("kind", "=", "pgbouncer")]):
    env["connection.endpoint"].create(parameters["endpoint"])
    env.cr.commit()
whole, pools = [("database", "=", False)], [("user", "!=", False)]
benchmarks = {
    "cost": {"bare queries": bare_queries, "stored run": stored_run},
    "history": {
        "graph of servers, last hour": lambda: graph("-1H", "minute", whole, "endpoint_id"),
        "graph of pools, last hour": lambda: graph("-1H", "minute", pools, "database", "user"),
        "graph of pools, last day": lambda: graph("-1d", "ten_minutes", pools, "database", "user"),
        "endpoints with their charts": lambda: env["connection.endpoint"].search([]).mapped("pressure_chart"),
        "list, first page": lambda: Sample.web_search_read([], {"pressure": {}}, limit=80, count_limit=10001),
        "stored run": stored_run,
    },
    "thinning": {"an hour of 20 pools": thin_an_hour},
}
finish({name: measure(call) for name, call in benchmarks[parameters["what"]].items()})
