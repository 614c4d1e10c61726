"""What the panels of values show in the steady state of test_prometheus.py, from what the servers show."""

import pytest

from sampling import POSTGRESQL

LEVELS = {"ok": 0, "warning": 1, "critical": 2}
DATABASES = ("pool_size", "reserve_pool", "current_connections", "max_connections", "paused", "disabled")
# A series is named by the first of these labels that it has.
LABELS = ("name", "database", "version", "endpoint")


def named(series):
    """Return the values of series by their names. One without labels has the name None."""
    return {next((labels[name] for name in LABELS if name in labels), None): value for labels, value in series}


def columns(table, names):
    """Return key -> value for each of these columns of a table: key -> row."""
    return [{key: row[name] for key, row in table.items()} for name in names]


def fleet_panels(samples, endpoint, waiting, longest_wait, alerts, age):
    """Return the title of each panel of the fleet -> for each of its expressions, name of the series -> value.

    :param dict samples: endpoint -> its last sample
    :param str endpoint: the PgBouncer of which this number of clients waits, the first of them for ``longest_wait`` s
    :param dict alerts: endpoint -> number of open alerts
    :param age: of all samples
    """
    consoles = samples.keys() - {POSTGRESQL}
    used, capacities = columns(samples, ("used", "capacity"))
    queues = {name: waiting if name == endpoint else 0 for name in consoles}
    waits = {name: longest_wait if name == endpoint else 0 for name in consoles}
    levels = {name: LEVELS[sample["level"]] for name, sample in samples.items()}
    shares = {name: pytest.approx(sample["pressure"] / 100) for name, sample in samples.items()}
    return {
        "fleet: Worst level": [{None: 2}],
        "fleet: Without an answer": [{None: 0}],
        "fleet: Waiting clients": [{None: waiting}],
        "fleet: Open alerts": [{None: sum(alerts.values())}],
        "fleet: Refused in an hour": [{None: 0}],
        "fleet: Oldest sample": [{None: age}],
        "fleet: Endpoints": [levels, shares, used, capacities, queues, waits, alerts, dict.fromkeys(samples, age)],
    }


def pgbouncer_panels(pools, databases, waiting, longest_wait, **numbers):
    """Return the same of the dashboard of one PgBouncer, which is critical.

    :param dict pools: database -> row of SHOW POOLS
    :param dict databases: name -> row of SHOW DATABASES
    :param numbers: ``endpoint``, ``version``, number of ``clients``, ``max_client_conn``
    """
    pressures = {
        database: pytest.approx((row["sv_active"] + row["cl_waiting"]) / databases[database]["pool_size"])
        for database, row in pools.items()
    }
    used = columns(pools, ("cl_active", "cl_waiting", "sv_active"))
    return {
        "pgbouncer: Answers": [{numbers["endpoint"]: 1}],
        "pgbouncer: Version": [{numbers["version"]: 1}],
        "pgbouncer: Clients": [{numbers["endpoint"]: numbers["clients"] / numbers["max_client_conn"]}],
        "pgbouncer: Waiting clients": [{None: waiting}],
        "pgbouncer: Longest wait": [{None: longest_wait}],
        "pgbouncer: Level": [{None: 2}],
        # The last one is 1 for the mode in its label.
        "pgbouncer: Pools": [dict.fromkeys(pools, 0), pressures, *used, dict.fromkeys(pools, 1)],
        "pgbouncer: Databases": columns(databases, DATABASES),
    }
