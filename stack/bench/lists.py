"""What each live list costs beside the bare command whose rows it shows, in one run: with 20, 100 and 1,000 clients,
each in a pool and on a backend of its own. `make bench` prints milliseconds on the server: the median and, in brackets,
the minimum and maximum.
"""

import statistics

from crowd import crowd

from servers import step

COUNTS = (20, 100, 1000)
MODELS = [f"pgbouncer.{name}" for name in ("pool", "client", "server", "database", "stat", "setting", "user")]


def main():
    with crowd(max(COUNTS)) as servers:
        parameters = {"console": servers.console, "endpoint": servers.endpoint, "models": MODELS}
        for count in COUNTS:
            servers.grow(count)
            step("Measuring")
            show(servers.run_in_odoo("lists_in_odoo.py", parameters))


def show(results):
    print(f"{'':20}{'rows':>6}{'bare, ms':>24}{'list, first page, ms':>24}{'list, all rows, ms':>24}")
    for model, (rows, *measured) in results.items():
        columns = (
            f"{statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f})".rjust(24) for times in measured
        )
        print(f"{model:20}{rows:6}{''.join(columns)}", flush=True)


if __name__ == "__main__":
    main()
