"""What an endpoint that does not respond costs the other users of an Odoo with two workers.

Ten users have a list open that refreshes every five seconds. Another user reads records of other modules several
times a second: first while PgBouncer responds, then while it accepts connections and does not respond. `make bench`
prints the median, the 95th percentile and the maximum in milliseconds, then how long it takes until a list shows the
rows of a console that works again.
"""

import statistics
import threading
import time

import crowd

from rpc import OdooClient
from servers import Odoo, Pair, data_root, free_port, make_folder, step
from support import add_endpoint

DATABASE = "bench_silent"
LISTS = 10
LIST_SECONDS = 5
MEASURED_SECONDS = 40
PAUSE = 0.05


class Others:
    """Ten users with an open list, and one who reads other records."""

    def __init__(self, odoo):
        self.odoo = odoo
        self.is_over = threading.Event()
        self.lists = [
            threading.Thread(target=self.keep_list_open, args=[number], daemon=True) for number in range(LISTS)
        ]

    def start(self):
        for thread in self.lists:
            thread.start()

    def keep_list_open(self, number):
        client = OdooClient(self.odoo.url, DATABASE)
        time.sleep(LIST_SECONDS * number / LISTS)
        while not self.is_over.is_set():
            read_list(client)
            time.sleep(LIST_SECONDS)

    def work(self):
        """Return the milliseconds of each request."""
        client, times = OdooClient(self.odoo.url, DATABASE), []
        until = time.monotonic() + MEASURED_SECONDS
        while time.monotonic() < until:
            started = time.perf_counter()
            client.call("res.partner", "search_read", [], ["name"], limit=10)
            times.append((time.perf_counter() - started) * 1000)
            time.sleep(PAUSE)
        return times


def read_list(client):
    return client.call("pgbouncer.pool", "web_search_read", [], {"database": {}})["records"]


def show(name, times):
    p95 = statistics.quantiles(times, n=20)[-1]
    print(f"{name:32}{statistics.median(times):10.0f}{p95:10.0f}{max(times):10.0f}", flush=True)
    return p95


def main():
    root = make_folder(data_root() / "bench-silent")
    pair = Pair(root, {"postgresql": free_port(), "pgbouncer": free_port()}, Pair.new_passwords())
    options = pair.odoo_options() | {"db_port": pair.postgresql.port, "workers": 2, "max_cron_threads": 0}
    odoo = Odoo(crowd.STACK / "bench-odoo-silent", free_port(), free_port(), options | {"db_name": DATABASE})
    others = Others(odoo)
    try:
        pair.start()
        if not pair.postgresql.execute(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"):
            step("Installing the module")
            odoo.install(DATABASE)
        odoo.start()
        client = OdooClient(odoo.url, DATABASE)
        client.call(
            "connection.endpoint", "unlink", client.call("connection.endpoint", "search", [["kind", "=", "pgbouncer"]])
        )
        add_endpoint(client, pair, "Bench", pair.pgbouncer)
        others.start()
        print(f"{'milliseconds of other requests':32}{'median':>10}{'p95':>10}{'worst':>10}")
        calm = show("the console responds", others.work())
        pair.pgbouncer.freeze()
        silent = show("the console does not respond", others.work())
        print(f"p95, silent / calm: {silent / calm:.1f}")
        pair.pgbouncer.thaw()
        started = time.monotonic()
        while not read_list(client):
            time.sleep(LIST_SECONDS)
        print(f"the list has rows again after {time.monotonic() - started:.1f} s")
    finally:
        others.is_over.set()
        odoo.stop()
        pair.stop()


if __name__ == "__main__":
    main()
