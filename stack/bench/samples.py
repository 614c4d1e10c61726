"""Measure what a run of the sampler costs, and whether a long history slows down the sampler or the graphs.

1. With 1 to 1,000 pools and backends: the bare queries of a run, the run with everything that it stores, the run
   without the metrics for Prometheus, a scrape of these metrics, and one of the same servers by Prometheus's two
   exporters.
2. With the minutes of 20 pools for one day, and for a year without merging: the graphs and the run, the bytes of a
   sample, and the time to merge an hour.

`make bench` prints milliseconds: the median, and in brackets the minimum and maximum.
"""

import json
import statistics
import subprocess
import time
from contextlib import closing, contextmanager

import requests
from crowd import DATABASE, crowd

from rpc import OdooClient, wait_for_answer
from servers import LOCALHOST, STACK, free_port, step

# Pools, and client backends of PostgreSQL, including those of the pools.
SIZES = ((1, 1), (3, 20), (20, 20), (100, 100), (1000, 1000))
POOLS = 1000
SCRAPES = 20
FEW_POOLS = 20
DAYS = 365


def main():
    with crowd(POOLS) as servers:
        costs(servers)
        for client in servers.clients[FEW_POOLS:]:
            client.close()
        fill(servers, 1)
        day = measure(servers, "history")
        fill(servers, DAYS)
        year = measure(servers, "history")
        print(f"{'':32}{'a day':>28}{'a year':>28}{'ratio':>8}")
        for name in day:
            ratio = statistics.median(year[name]) / statistics.median(day[name])
            print(f"{name:32}{line(day[name])}{line(year[name])}{ratio:8.1f}")
        with closing(servers.pair.postgresql.connect(DATABASE)) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*), pg_relation_size('connection_sample') / count(*), "
                "pg_indexes_size('connection_sample') / count(*) FROM connection_sample"
            )
            print("{} samples, {} bytes each in the table and {} in its indexes".format(*cursor.fetchone()))
        show(measure(servers, "thinning"))


def costs(servers):
    """Print the cost of a run and of a scrape, with few and with many pools."""
    heads = ("  bare", "   run", "no metrics", "exporters", "scrape", "run/bare", "run/no metrics", "exporters/scrape")
    print("medians in ms".ljust(28) + "".join(head.rjust(len(head) + 2) for head in heads))
    with (
        postgres_exporter(servers) as postgresql,
        pgbouncer_exporter(servers) as pgbouncer,
        own_metrics(servers) as own,
    ):
        for pools, backends in SIZES:
            servers.grow(pools)
            with servers.backends(backends - pools):
                results = measure(servers, "cost")
                *both, scrape = map(statistics.median, scrapes((postgresql, {}), (pgbouncer, {}), own))
            names = ("bare queries", "stored run", "stored run without metrics")
            bare, run, without = (statistics.median(results[name]) for name in names)
            figures = (bare, run, without, sum(both), scrape, run / bare, run / without, sum(both) / scrape)
            cells = [format(figure, f"{len(head) + 2}.2f") for head, figure in zip(heads, figures, strict=True)]
            print(f"{pools} pools, {backends} backends".ljust(28) + "".join(cells), flush=True)


def measure(servers, what):
    parameters = {"what": what, "console": servers.console, "endpoint": servers.endpoint}
    return servers.run_in_odoo("samples_in_odoo.py", parameters)


def fill(servers, days, pools=FEW_POOLS):
    """Samples of every minute of so many days up to now."""
    step(f"Filling a history of {days} days")
    with closing(servers.pair.postgresql.connect(DATABASE)) as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE connection_sample")
        cursor.execute("SET session_replication_role = replica")  # no trigger for each row
        cursor.execute(
            """
            INSERT INTO connection_sample (
                   endpoint_id, database, "user", sampled_at, period, sample_count, interval, level, is_paused,
                   capacity, used, used_max, waiting, waiting_max, maxwait, pressure, pressure_max, waiting_mean,
                   wait_time, xact_count, query_count, received, sent, cl_active, cl_active_cancel_req,
                   cl_waiting_cancel_req, sv_active_cancel, sv_being_canceled, sv_idle, sv_used, sv_tested, sv_login,
                   xact_time, query_time, xact_mean, query_mean, server_assignment_count)
            SELECT endpoint.id, CASE WHEN series > 2 THEN 'shop' || series END, CASE WHEN series > 2 THEN 'shop' END,
                   minute, 'minute', 1, 60, 'ok', false, 20, used, used, 0, 0, 0, 5 * used, 5 * used, 0.1, 6, 12345,
                   34567, 123456789, 987654321, 30, 0, 0, 0, 0, 5, 0, 0, 0, 300, 200, 24.3, 5.8, 12345
              FROM generate_series(now() AT TIME ZONE 'UTC' - %s * interval '1 day', now() AT TIME ZONE 'UTC',
                                   interval '1 minute') AS minute,
                   generate_series(1, %s) AS series,
                   LATERAL (SELECT (series * extract(minute FROM minute))::int %% 20 AS used) AS used,
                   LATERAL (SELECT id FROM connection_endpoint
                             WHERE kind = CASE series WHEN 1 THEN 'postgresql' ELSE 'pgbouncer' END) AS endpoint
            """,
            [days, pools + 2],  # each endpoint's own sample comes on top of those of its pools
        )
        cursor.execute("VACUUM ANALYZE connection_sample")


def scrapes(*pages):
    """Return for each page the milliseconds of each scrape. In turns, see `measure_in_turns`.

    :param pages: address and headers of each
    """
    times = [[] for _page in pages]
    for _scrape in range(SCRAPES + 1):
        for (url, headers), found in zip(pages, times, strict=True):
            started = time.perf_counter()
            answer = requests.get(url, timeout=60, proxies={"http": ""}, headers=headers, stream=True)
            answer.raise_for_status()
            answer.raw.read()  # as it was sent: to decompress it is the client's work
            found.append((time.perf_counter() - started) * 1000)
    return [found[1:] for found in times]


@contextmanager
def running(command, port, **options):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    url = f"http://{LOCALHOST}:{port}/metrics"
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                requests.get(url, timeout=60, proxies={"http": ""})
                break
            except requests.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        yield url
    finally:
        process.kill()
        process.wait()


@contextmanager
def own_metrics(servers):
    """Yield the address of the addon's metrics, and the headers with a key."""
    servers.odoo.start()
    try:
        wait_for_answer(f"{servers.odoo.url}/web/login")
        key = OdooClient(servers.odoo.url, DATABASE).new_key("admin")
        yield f"{servers.odoo.url}/pgbouncer_monitor/metrics", {"Authorization": f"Bearer {key}"}
    finally:
        servers.odoo.stop()


def postgres_exporter(servers):
    port, postgresql = free_port(), servers.pair.postgresql
    source = f"postgresql://postgres:{postgresql.password}@{LOCALHOST}:{postgresql.port}/postgres?sslmode=disable"
    program = str(STACK / "exporters/usr/bin/prometheus-postgres-exporter")
    return running([program, f"--web.listen-address={LOCALHOST}:{port}"], port, env={"DATA_SOURCE_NAME": source})


def pgbouncer_exporter(servers):
    port, endpoint = free_port(), servers.endpoint
    dsn = f"postgresql://{endpoint['user']}:{endpoint['password']}@{LOCALHOST}:{endpoint['port']}/pgbouncer"
    configuration = STACK / "bench-odoo" / "exporter.json"  # JSON is YAML, too
    settings = {"exporter_host": LOCALHOST, "exporter_port": port, "pgbouncers": [{"dsn": dsn}]}
    configuration.write_text(json.dumps(settings))
    return running([str(STACK / "exporters/venv/bin/pgbouncer-exporter"), f"--config={configuration}"], port)


def line(times):
    return f"{statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f})".rjust(28)


def show(results):
    for name, times in results.items():
        print(f"{name:32}{line(times)}", flush=True)


if __name__ == "__main__":
    main()
