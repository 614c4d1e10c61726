"""What the Overview costs with 1,000 clients in as many pools, on as many backends, in one run:
its request, the bare queries whose answers it shows, and two lists. `make bench` prints
milliseconds, the median and in brackets the minimum and maximum; then how long PgBouncer and
Odoo's PostgreSQL backend worked for each of them, on average.
"""

from crowd import crowd
from samples import show

from servers import step

POOLS = 1000


def main():
    with crowd(POOLS) as servers:
        servers.grow(POOLS)
        step("Measuring the Overview")
        parameters = {"console": servers.console, "endpoint": servers.endpoint}
        pid = servers.pair.pgbouncer.process().pid
        measured = servers.run_in_odoo("overview_in_odoo.py", parameters | {"pgbouncer": pid})
        show({name: result["times"] for name, result in measured.items()})
        print(f"{'milliseconds of work':32}{'PgBouncer':>14}{'PostgreSQL':>14}")
        for name, result in measured.items():
            print(f"{name:32}{result['pgbouncer']:14.1f}{result['postgresql']:14.1f}", flush=True)


if __name__ == "__main__":
    main()
