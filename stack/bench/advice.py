"""What it costs to read the advice about an installation with 1,000 pools, on as many backends, without a history and
with a week of samples: beside the bare queries whose answers it judges. `make bench` prints milliseconds, the median
and in brackets the minimum and maximum, and the ratio.
"""

import statistics

from crowd import crowd
from samples import fill, show

from servers import step

POOLS = 1000
DAYS = 7


def main():
    with crowd(POOLS) as servers:
        servers.grow(POOLS)
        measure(servers, "without a history")
        fill(servers, DAYS, POOLS)
        measure(servers, f"with a history of {DAYS} days")


def measure(servers, how):
    step(f"Measuring the advice {how}")
    measured = servers.run_in_odoo("advice_in_odoo.py", {"console": servers.console, "endpoint": servers.endpoint})
    show(measured)
    bare, advice = (statistics.median(measured[name]) for name in ("bare queries", "advice"))
    print(f"{'ratio':32}{advice / bare:28.1f}", flush=True)


if __name__ == "__main__":
    main()
