"""Plans for the tests of planner/."""

from itertools import product

from planner.inputs import AUTH, BUS, Inputs, Other

# Five servers x 20 workers, five gevent processes that only listen, a backup and psql against 100 connections.
CLASSIC = Inputs(
    servers=5,
    workers=20,
    max_cron_threads=0,
    gevent_connections=0,
    others=(Other("backup", 2), Other("psql", 3)),
)


def many_plans():
    """Yield plans of every kind, small and large."""
    sizes = ((1, 0, 10), (1, 4, 10), (5, 0, 30), (5, 20, 10), (40, 8, 10))
    kinds = product(sizes, (0, 2), BUS, AUTH, (1, 3), ((1, ()), (4, ("a", "b"))))
    for number, ((servers, workers, requests), cron, bus, auth, pgbouncers, (databases, names)) in enumerate(kinds):
        yield Inputs(
            servers=servers,
            workers=workers,
            requests=requests,
            max_cron_threads=cron,
            gevent_connections=number % 3,
            databases=databases,
            db_names=names,
            db_maxconn=(64, 8, 2)[number % 3],
            db_maxconn_gevent=(0, 4)[number % 2],
            has_queue_job=number % 5 == 0,
            has_replica=number % 7 == 0,
            others=((), (Other("backup", 2), Other("reports", 5, is_pooled=True)))[number % 2],
            max_connections=(100, 400)[number % 2],
            reserved_connections=number % 4,
            cores=(None, 8, 2)[number % 3],
            mean_busy=(None, 6.5, 0)[number % 3] if number % 4 else None,
            peak_busy=(None, 30)[number % 2] if number % 4 else None,
            pgbouncers=pgbouncers,
            bus=bus,
            auth=auth,
        )
