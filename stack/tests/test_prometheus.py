"""A real Prometheus reads the metrics: what it has equals what the servers show, each expression of the dashboards, the
rules and public boards returns series, and alerts fire.

A steady state is made by real clients: some hold all servers of a pool, others wait.
"""

import contextlib
import subprocess
import time
from functools import partial
from types import SimpleNamespace

import psycopg2.extras
import pytest
import yaml

from expressions import clients, dashboard_expressions, panels_of_values, rule_expressions, scaled
from panels import fleet_panels, named, pgbouncer_panels
from sampling import POSTGRESQL, endpoint
from scraping import new_prometheus, shipped
from servers import CHECKOUT, LOCALHOST
from support import starting_pgbouncers, wait_until

BOARDS = yaml.safe_load((CHECKOUT / "stack/tests/public_boards.yml").read_text())
HOLDING, WAITING, CAPACITY = 2, 4, 50
TILL = "Till"
COUNT = "pg_stat_activity_count"
LISTENERS = {"bus": ("direct", "ok"), "cron": ("deaf", "critical")}
# Column of SHOW POOLS -> series.
POOLS = {
    "cl_active": "client_active",
    "cl_waiting": "client_waiting",
    "sv_active": "server_active",
    "sv_idle": "server_idle",
    "sv_used": "server_used",
    "sv_tested": "server_testing",
    "sv_login": "server_login",
}
# Column of SHOW STATS -> series.
STATS = {
    "total_xact_count": "sql_transactions_pooled",
    "total_query_count": "queries_pooled",
    "total_received": "received_bytes",
    "total_sent": "sent_bytes",
}


def promtool(*arguments, text=None):
    ended = subprocess.run(["promtool", *map(str, arguments)], input=text, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def rows(connection, statement):
    with contextlib.closing(connection), connection.cursor(cursor_factory=psycopg2.extras.DictCursor) as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


@pytest.fixture(scope="module")
def watched(sampler):
    """The ``sampler``, one more PgBouncer ``till`` whose clients wait, and the ``prometheus`` that has scraped it."""
    folder = sampler.pair.pgbouncer.folder.parent
    server = f"host={LOCALHOST} port={sampler.pair.postgresql.port} dbname=shop"
    databases = {"till": f"{server} max_db_connections={HOLDING}", "kiosk": server}
    login = {"user": "shop", "password": sampler.pair.passwords["shop"]}
    with contextlib.ExitStack() as stack:
        new = stack.enter_context(starting_pgbouncers(sampler.pair, folder))
        # An idle server stays "idle", it does not become "used".
        settings = {"query_wait_timeout": 0, "server_check_delay": 3600}
        till = new(databases=databases, default_pool_size=5, max_client_conn=CAPACITY, **settings)
        stack.enter_context(endpoint(sampler, TILL, till))
        prometheus = scrape(folder / "prometheus", sampler.client, scaled(shipped("rules.yml")), "1s")
        stack.callback(prometheus.stop)
        stack.enter_context(judged(sampler))
        stack.enter_context(clients(till, "kiosk", holding=1, **login))
        sampler.run()
        wait_until(lambda: prometheus.query("pgbouncer_stats_totals_queries_pooled_total"))
        serve(till, "kiosk", **login)
        stack.enter_context(clients(till, "till", HOLDING, WAITING, **login))
        wait_until(lambda: show_pools(till)["till"]["cl_waiting"] == WAITING)
        samples = sampler.run()
        wait_until(lambda: prometheus.query('pgbouncer_pools_client_waiting_connections{database="till"} > 0'))
        yield SimpleNamespace(till=till, prometheus=prometheus, sampler=sampler, samples=samples)


def scrape(folder, client, rules, every):
    return new_prometheus(folder, client.url, client.new_key("admin"), rules, every).start()


@contextlib.contextmanager
def judged(sampler):
    """Store a LISTEN check of each listener, where a real one takes a minute, and read the advice. Forget both in the
    end, with the alerts: other tests use this Odoo."""
    execute = partial(sampler.pair.postgresql.execute, dbname="samples")
    for listener, (verdict, level) in LISTENERS.items():
        row = f"'{listener}', '{verdict}', '{level}', now() AT TIME ZONE 'UTC'"
        execute(f"INSERT INTO connection_check (listener, verdict, level, checked_at) SELECT {row}")
    sampler.client.call("connection.advice", "action_read")
    yield
    execute(*(f"DELETE FROM connection_{table}" for table in ("check", "advice", "alert")))
    execute("UPDATE connection_reading SET counters = NULL")  # the next sample would open them again


def serve(pgbouncer, database, **login):
    """Let a client do some transactions, and leave."""
    with contextlib.closing(pgbouncer.connect(database, **login)) as client:
        for _number in range(20):
            client.cursor().execute("SELECT 1")


def show_pools(pgbouncer):
    """Return database -> row of SHOW POOLS, of the user shop."""
    return {row["database"]: row for row in rows(pgbouncer.connect(), "SHOW POOLS") if row["user"] == "shop"}


def test_promtool(watched):
    folder = CHECKOUT / "prometheus"
    for command in (
        ("check", "rules", folder / "rules.yml"),
        ("check", "config", "--syntax-only", folder / "scrape.yml"),
        ("test", "rules", folder / "rules_test.yml"),
    ):
        code, output = promtool(*command)
        assert code == 0, output
    key = (watched.prometheus.folder / "key").read_text()
    url = f"{watched.sampler.client.url}/pgbouncer_monitor/metrics"
    metrics = watched.sampler.client.session.get(url, headers={"Authorization": f"Bearer {key}"}).text
    # It objects to a name of postgres_exporter.
    _code, output = promtool("check", "metrics", text=metrics)
    assert output == f'{COUNT} non-histogram and non-summary metrics should not have "_count" suffix\n'


def test_values_are_those_of_show_pools(watched):
    pools = show_pools(watched.till)
    assert (pools["till"]["cl_active"], pools["till"]["cl_waiting"]) == (HOLDING, WAITING)
    for column, name in POOLS.items():
        series = watched.prometheus.query(f'pgbouncer_pools_{name}_connections{{endpoint="{TILL}", user="shop"}}')
        assert {labels["database"]: value for labels, value in series} == {
            database: row[column] for database, row in pools.items()
        }, column
        assert {labels["instance"] for labels, _value in series} == {TILL}


def test_counters_are_those_of_show_stats(watched):
    stats = {row["database"]: row for row in rows(watched.till.connect(), "SHOW STATS")}
    stats.pop("pgbouncer")
    for column, name in STATS.items():
        for family in ("stats", "stats_totals"):
            selector = f'{{endpoint="{TILL}", database!="pgbouncer"}}'
            series = watched.prometheus.query(f"pgbouncer_{family}_{name}_total{selector}")
            expected = {database: row[column] for database, row in stats.items()}
            assert {labels["database"]: value for labels, value in series} == expected, column


def test_longest_wait(watched):
    [(_labels, maxwait)] = watched.prometheus.query('pgbouncer_pools_client_maxwait_seconds{database="till"}')
    [(_labels, age)] = watched.prometheus.query(f'odoo_connection_sample_age_seconds{{endpoint="{TILL}"}}')
    row = show_pools(watched.till)["till"]
    waited_now = row["maxwait"] + row["maxwait_us"] / 1e6
    assert 0 < maxwait < waited_now
    assert waited_now - maxwait == pytest.approx(age, abs=5)


def test_values_are_those_of_pg_stat_activity(watched):
    postgresql = watched.sampler.pair.postgresql
    statement = "SELECT state, count(*) FROM pg_stat_activity WHERE datname = 'shop' GROUP BY state"
    expected = dict(postgresql.execute(statement))
    assert expected == {"idle": 1, "idle in transaction": HOLDING + 1}
    series = watched.prometheus.query('pg_stat_activity_count{datname="shop"} > 0')
    assert {labels["state"]: value for labels, value in series} == expected
    [(labels, value)] = watched.prometheus.query("pg_settings_max_connections")
    assert (labels["instance"], value) == (POSTGRESQL, int(postgresql.execute("SHOW max_connections")[0][0]))


def test_databases(watched):
    def value(name):
        [(_labels, value)] = watched.prometheus.query(f'pgbouncer_databases_{name}{{name="till"}}')
        return value

    [row] = [row for row in rows(watched.till.connect(), "SHOW DATABASES") if row["name"] == "till"]
    for name in ("pool_size", "max_connections", "current_connections", "paused", "disabled"):
        assert value(name) == row[name]
    assert value("max_connections") == HOLDING


def test_verdicts_of_the_listen_check(watched):
    series = watched.prometheus.query("odoo_connection_listen_ok")
    assert {labels["listener"]: value for labels, value in series} == {"bus": 1, "cron": 0}


def test_each_expression_of_the_dashboards_has_data(watched):
    found = [(*pair, watched.prometheus.query(pair[1])) for pair in dashboard_expressions(TILL)]
    assert [pair for *pair, series in found if not series] == []
    shown = {(title, value) for title, _expression, series in found for _labels, value in series}
    assert ("pgbouncer: Server connections and max_db_connections", HOLDING) in shown
    means = [named(series) for title, _expression, series in found if title == "pgbouncer: Waiting between samples"]
    [*_others, between] = [series for title, _expression, series in found if title == "fleet: Waiting clients"]
    assert named(between)[TILL] == pytest.approx(sum(value for mean in means for value in mean.values()))


def test_panels_show_what_the_servers_show(watched):
    def table(command, key):
        return {row[key]: row for row in rows(watched.till.connect(), command) if row[key] != "pgbouncer"}

    prometheus = watched.prometheus
    [(_labels, longest_wait)] = prometheus.query('pgbouncer_pools_client_maxwait_seconds{database="till"}')
    queue = {"waiting": WAITING, "longest_wait": longest_wait}  # see test_longest_wait
    alerts = dict.fromkeys(watched.samples, 0) | {POSTGRESQL: 1}  # that of the cron, which is deaf
    expected = fleet_panels(watched.samples, TILL, **queue, alerts=alerts, age=pytest.approx(0, abs=60))
    expected |= pgbouncer_panels(
        show_pools(watched.till),
        table("SHOW DATABASES", "name"),
        **queue,
        endpoint=TILL,
        version=rows(watched.till.connect(), "SHOW VERSION")[0][0].removeprefix("PgBouncer "),
        clients=table("SHOW LISTS", "list")["used_clients"]["items"],
        max_client_conn=CAPACITY,
    )
    shown = {title: [*map(named, map(prometheus.query, texts))] for title, texts in panels_of_values(TILL)}
    assert shown == expected


def test_each_expression_of_the_rules_has_data(watched):
    without = [name for name, expression in rule_expressions() if not watched.prometheus.query(expression)]
    assert without == ["OdooDeafJobQueue"], "no job needs queue_job"


def board_expressions():
    for board in BOARDS["boards"]:
        selector = ", ".join(f'{label}=~".+"' for label in board["labels"])
        for name in board.get("gauges", ()):
            yield f"{name}{{{selector}}}"
        for name in (*board.get("counters", ()), *board.get("derivatives", ())):
            yield f"rate({name}{{{selector}}}[1m])"
        for time_total, count in board.get("quotients", ()):
            yield f"increase({time_total}{{{selector}}}[1m]) / clamp_min(increase({count}{{{selector}}}[1m]), 1)"
        if sums := board.get("saturation"):
            labels = ", ".join(sums["without"])
            yield f"sum without ({labels}) ({' + '.join(sums['sum'])}) / clamp_min({sums['by']}, 1)"
        if compared := board.get("compared"):
            labels = ", ".join(compared["by"])
            sides = [f"sum by ({labels}) ({name})" for name in (compared["left"], *compared["right"])]
            yield f"{sides[0]} / ({' - '.join(sides[1:])})"


def test_public_boards_have_data(watched):
    assert [text for text in board_expressions() if not watched.prometheus.query(text)] == []
    assert [name for name in BOARDS["without_data"] if watched.prometheus.query(name)] == []


def test_public_saturation_rule_is_wrong(watched):
    """It takes max_user_connections for a limit of 1 if there is none: one server is enough."""
    [saturation] = [text for text in board_expressions() if "pgbouncer_config_max_user_connections, 1)" in text]
    assert watched.prometheus.query(f"100 * {saturation} > 90")
    [(_labels, limit)] = watched.prometheus.query(f'pgbouncer_config_max_user_connections{{endpoint="{TILL}"}}')
    assert limit == 0


def test_alerts_fire_while_clients_wait(watched):
    """``for`` is in seconds here: four minutes of waiting are four seconds."""

    def firing():
        return {
            (alert["labels"]["alertname"], alert["labels"]["severity"], alert["labels"].get("database"))
            for alert in watched.prometheus.alerts()
            if alert["state"] == "firing"
        }

    waits = {("OdooWaitingClients", severity, "till") for severity in ("warning", "critical")}
    wait_until(lambda: waits <= firing(), 20)
    limit = {("OdooPgBouncerConnections", "critical", "shop")}
    assert limit <= firing(), "all of max_db_connections are used, and clients wait"
    assert ("OdooDeafCron", "critical", None) in firing()
    [alert] = [
        alert
        for alert in watched.prometheus.alerts()
        if (alert["labels"]["alertname"], alert["labels"]["severity"]) == ("OdooWaitingClients", "critical")
    ]
    assert alert["annotations"]["description"] == (
        f"{TILL}, database till: waiting clients: {WAITING}. Pages load slowly or not at all. End sessions that are "
        "not needed, or raise pool_size."
    )


def test_alerts_fire_when_samples_are_missing(watched):
    """The last samples are dated back: the test does not wait for three minutes. One endpoint has none."""
    sampler, prometheus = watched.sampler, watched.prometheus
    date_back = "UPDATE connection_reading SET sampled_at = sampled_at - interval '4 minutes'"
    forget = f"UPDATE connection_reading SET sampled_at = NULL FROM connection_endpoint WHERE name = '{TILL}'"
    of_endpoint = " AND connection_endpoint.id = endpoint_id"
    sampler.pair.postgresql.execute(date_back, forget + of_endpoint, dbname="samples")
    alerts = (("OdooSamplerSilent", POSTGRESQL), ("OdooEndpointWithoutMetrics", TILL))
    wait_until(lambda: all(fires(prometheus, *alert) for alert in alerts), 20)
    assert prometheus.query("pgbouncer_up or pg_up") == [], "nobody knows"
    assert not fires(prometheus, "OdooEndpointWithoutMetrics", POSTGRESQL), "one alert is enough"
    sampler.run()
    wait_until(lambda: not any(fires(prometheus, *alert) for alert in alerts), 20)


def fires(prometheus, name, label):
    return any(
        alert["labels"]["alertname"] == name and alert["state"] == "firing" and label in alert["labels"].values()
        for alert in prometheus.alerts()
    )


@pytest.mark.long
def test_alert_fires_while_clients_wait_as_shipped(watched):
    with started(watched, watched.sampler.client, "shipped") as prometheus:
        wait_until(lambda: prometheus.query("ALERTS"))
        began = time.monotonic()
        wait_until(lambda: fires(prometheus, "OdooWaitingClients", "till"), 100)
        assert 55 < time.monotonic() - began < 75, "for: 1m"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_alert_fires_when_cron_stops_as_shipped(watched, new_odoo):
    """Odoo's own cron takes the samples. Odoo is then restarted without cron workers."""
    odoo, client = new_odoo("cron", max_cron_threads=1)
    with started(watched, client, "cron") as prometheus:
        wait_until(lambda: prometheus.query("pg_up"), 150)
        odoo.stop()
        odoo.write("odoo.conf", odoo.configuration.read_text().replace("max_cron_threads = 1", "max_cron_threads = 0"))
        odoo.start()
        age = f'odoo_connection_sample_age_seconds{{endpoint="{POSTGRESQL}"}}'
        wait_until(lambda: prometheus.query(f"{age} > 170"), 200)
        assert not fires(prometheus, "OdooSamplerSilent", POSTGRESQL)
        wait_until(lambda: fires(prometheus, "OdooSamplerSilent", POSTGRESQL), 100)
        [(_labels, seconds)] = prometheus.query(age)
        assert 180 + 60 <= seconds < 180 + 75, "three intervals, and for: 1m"
        assert not fires(prometheus, "OdooMetricsDown", "pgbouncer_monitor"), "Odoo answers"
        odoo.stop()
        wait_until(lambda: fires(prometheus, "OdooMetricsDown", "pgbouncer_monitor"), 220)


@contextlib.contextmanager
def started(watched, client, name):
    """A Prometheus with the rules as they are shipped."""
    prometheus = scrape(watched.prometheus.folder.parent / name, client, shipped("rules.yml"), "2s")
    try:
        yield prometheus
    finally:
        prometheus.stop()
