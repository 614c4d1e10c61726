"""The part of samples.py that runs inside `odoo shell`, where ``env`` is known."""

from unittest.mock import patch

from measure import bare_queries, env, finish, measure_in_turns, parameters, watch

from odoo.addons.pgbouncer_monitor.models.metrics import exposition

Sample = env["connection.sample"]


def stored_run():
    Sample._cron_sample()
    env.cr.commit()


def run_without_metrics():
    with patch.object(exposition, "library", None):
        stored_run()


def graph(since, bucket, domain, *groupby):
    """What the graph asks for, with the client's context."""
    domain = [("sampled_at", ">=", since), *domain]
    Sample.with_context(fill_temporal=True).formatted_read_group(domain, [bucket, *groupby], ["pressure_max:max"])


def thin_an_hour():
    Sample._gc_minutes()
    env.cr.commit()


watch()
whole, pools = [("database", "=", False)], [("user", "!=", False)]
benchmarks = {
    # The scrape reads what the last run stores.
    "cost": {
        "bare queries": bare_queries,
        "stored run without metrics": run_without_metrics,
        "stored run": stored_run,
    },
    "history": {
        "graph of servers, last hour": lambda: graph("-1H", "minute", whole, "endpoint_id"),
        "graph of pools, last hour": lambda: graph("-1H", "minute", pools, "database", "user"),
        "graph of pools, last day": lambda: graph("-1d", "ten_minutes", pools, "database", "user"),
        "first screen": lambda: env["connection.overview"].get_overview(),
        "list, first page": lambda: Sample.web_search_read([], {"pressure": {}}, limit=80, count_limit=10001),
        "stored run": stored_run,
    },
    "thinning": {"an hour of 20 pools": thin_an_hour},
}
calls = benchmarks[parameters["what"]]
finish(dict(zip(calls, measure_in_turns(calls.values()), strict=True)))
