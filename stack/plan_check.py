"""Compare the planner's figures with those of real servers: ``plan_check.py [measured|classic]``.

1. *Predicted is measured*: Odoo in several configurations, under a load that occupies each worker, cron worker and
   websocket. The highest number of backends of PostgreSQL and of its replica must not exceed the ceiling, and must be
   the expected one, with a tolerance of 20 % or 2.
2. *The classic case*: five Odoo servers with 20 workers each against ``max_connections = 100``, without PgBouncer and
   with the plan's. See `plan_classic`.
"""

import argparse
import contextlib
import itertools
import shutil
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent / "tests"))
import plan_classic
from plan_load import SETUP, Installation, Load
from planner import demand
from planner.inputs import Inputs
from servers import STACK, Odoo, Pair, data_root, free_port, make_folder, step

TEMPLATE = "plan"
# How many configurations are measured at the same time.
AT_ONCE = 3


class Row(NamedTuple):
    """What is predicted for the backends of a PostgreSQL, and what is measured.

    :param str server: "primary" or "replica", "alone" for a PostgreSQL without one
    :param int failed: requests that fail because the pool of a process is full
    """

    inputs: Inputs
    server: str
    expected: int
    measured: int
    ceiling: int
    failed: int

    @property
    def is_correct(self):
        tolerance = max(2, 0.2 * self.measured)
        return self.measured <= self.ceiling and abs(self.expected - self.measured) <= tolerance

    def __str__(self):
        inputs = self.inputs
        numbers = [inputs.workers, inputs.max_cron_threads, inputs.db_maxconn, self.server]
        numbers += [self.expected, self.measured, self.ceiling, self.failed, "ok" if self.is_correct else "WRONG"]
        return LINE.format(*numbers)


LINE = "{:>7} {:>5} {:>10} {:8} {:>8} {:>8} {:>8} {:>7} {}"
HEADER = ("workers", "cron", "db_maxconn", "server", "expected", "measured", "ceiling", "failed", "")


def configurations():
    """Return the Inputs that are measured."""
    options = itertools.product((0, 2, 4), (1, 2), (8, 64), (False, True))
    names = ("workers", "max_cron_threads", "db_maxconn", "has_replica")
    return [Inputs(**dict(zip(names, values, strict=False)), requests=10, gevent_connections=2) for values in options]


class Measurements:
    """Measure configurations on a PostgreSQL, several at the same time.

    :param Path folder: for other servers
    :param PostgreSQL replica: the standby
    :param dict options: of odoo.conf: where PostgreSQL is
    :param str template: a database with SETUP
    """

    def __init__(self, folder, postgresql, replica, options, template=TEMPLATE):
        self.folder, self.postgresql, self.replica = folder, postgresql, replica
        self.options, self.template = options, template
        self.databases = Queue()
        for number in range(AT_ONCE):
            self.databases.put(f"{template}_{number}")
        self.running = []

    def measure_all(self, configurations):
        """Yield the Rows of configurations, in order."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            futures = [pool.submit(self.measure, inputs) for inputs in configurations]
            try:
                for future in futures:
                    yield from future.result()
            finally:
                for future in futures:
                    future.cancel()
                for installation in list(self.running):
                    installation.is_interrupted.set()

    def measure(self, inputs):
        """Return the Rows of a configuration."""
        database = self.databases.get()
        drop = f"DROP DATABASE IF EXISTS {database} WITH (FORCE)"
        self.postgresql.execute(drop, f"CREATE DATABASE {database} TEMPLATE {self.template} OWNER odoo")
        options = self.options | {"db_name": database, "db_app_name": f"{database}-{{pid}}"}
        replica = self.replica if inputs.has_replica else None
        odoo_folder = STACK / "plan-check" / database
        shutil.rmtree(odoo_folder, ignore_errors=True)
        installation = Installation(self.folder, odoo_folder, self.postgresql, inputs, options, replica)
        self.running.append(installation)
        try:
            installation.start()
            measured, failed = Load(installation, f"{database}-").measure()
        finally:
            installation.stop()
            self.running.remove(installation)
            self.postgresql.execute(drop)
            self.databases.put(database)
        return list(rows(inputs, measured, failed))


def rows(inputs, measured, failed):
    components = [demand.components(inputs), demand.replica_components(inputs)]
    servers = ("primary", "replica") if inputs.has_replica else ("alone",)
    for server, found, number in zip(servers, components, measured, strict=False):
        expected, ceiling = (sum(getattr(one, name) for one in found) for name in ("expected", "ceiling"))
        yield Row(inputs, server, expected, number, ceiling, failed)


@contextlib.contextmanager
def running_servers():
    """Start a PostgreSQL with the template, and its standby. Yield what Measurements needs."""
    root = make_folder(Path(tempfile.mkdtemp(dir=make_folder(data_root()))))
    pair = Pair(root, {"postgresql": free_port(), "pgbouncer": free_port()}, Pair.new_passwords())
    pair.postgresql.max_connections = 400
    started = [pair.postgresql]
    try:
        pair.postgresql.start()
        pair.create_roles()
        direct = pair.odoo_options() | {"db_port": pair.postgresql.port}
        odoo = Odoo(STACK / "plan-check/install", free_port(), free_port(), direct)
        odoo.install(TEMPLATE)
        odoo.run("shell", "-d", TEMPLATE, "--no-http", input=SETUP.encode())
        started.append(pair.postgresql.copy(root / "replica", free_port(), is_standby=True))
        yield root, pair.postgresql, started[-1].start(), direct
    finally:
        for server in reversed(started):
            server.stop()
        shutil.rmtree(root, ignore_errors=True)


def check_measured(servers):
    """Print a line for each configuration. Return whether all are correct."""
    step(f"Predicted is measured: {len(configurations())} configurations")
    print(LINE.format(*HEADER))
    is_correct = True
    for row in Measurements(*servers).measure_all(configurations()):
        print(row, flush=True)
        is_correct &= row.is_correct
    return is_correct


def check_classic(servers):
    """Print what happens in the classic case. Return whether it is what is predicted."""
    folder, postgresql, _replica, options = servers
    inputs = plan_classic.scaled()
    copy = postgresql.copy(folder / "classic", free_port())
    copy.max_connections = inputs.max_connections
    passwords = Pair.new_passwords() | {"postgres": postgresql.password, "odoo": options["db_password"]}
    try:
        copy.start().execute("GRANT pg_monitor TO odoo")
        case = plan_classic.ClassicCase(folder, copy, passwords, TEMPLATE, inputs)
        step(f"The classic case: {case.title()}")
        return plan_classic.report(case)
    finally:
        copy.stop()


CHECKS = {"measured": check_measured, "classic": check_classic}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", choices=CHECKS, help="only one of the two")
    name = parser.parse_args().name
    # As an exception, so that the servers are stopped.
    signal.signal(signal.SIGTERM, lambda *_args: sys.exit("terminated"))
    step("Starting PostgreSQL and a replica, and installing the module")
    with running_servers() as servers:
        checks = [CHECKS[name]] if name else CHECKS.values()
        results = [check(servers) for check in checks]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
