"""The classic case: the workers of several Odoo servers need more connections than PostgreSQL has. Without PgBouncer,
and with the plan's.
"""

import contextlib
import re
import shutil
from contextlib import closing
from dataclasses import replace

import psutil
import psycopg2

from plan_load import TABLE, Backends, Installation, errors, start_thread
from planned import new_planned, odoo_options
from planner import sizing
from planner.inputs import Inputs, Other
from servers import LOCALHOST, STACK, PgBouncer, free_port

# With a connection for each gevent process, besides its listener: it serves a websocket.
CLASSIC = Inputs(servers=5, workers=20, max_cron_threads=0, cores=8, others=(Other("pg_dump", 2), Other("psql", 3)))
# Of an Odoo worker, which shares most of it with the others, and of its backend. Measured: 30 MB.
WORKER_MEMORY = 50 * 2**20
REFUSED = re.compile(r"FATAL: .*(connection slots|too many clients)")


def scaled():
    """Return CLASSIC, or with fewer workers if this machine has no memory for 5 x 20: then PostgreSQL has as many
    connections less, and the shortage is the same."""
    workers = int(psutil.virtual_memory().available / WORKER_MEMORY / CLASSIC.servers)
    missing = max(0, CLASSIC.workers - workers)
    max_connections = CLASSIC.max_connections - CLASSIC.servers * missing
    return replace(CLASSIC, workers=CLASSIC.workers - missing, max_connections=max_connections)


class ClassicCase:
    """The servers of the classic case.

    :param Path folder: for the servers
    :param PostgreSQL postgresql: has the database, and no other clients
    :param dict passwords: of its roles, and of the user of PgBouncer's console
    :param Inputs inputs: the installation
    """

    def __init__(self, folder, postgresql, passwords, database, inputs):
        self.folder, self.postgresql, self.database = folder, postgresql, database
        self.passwords = passwords
        self.inputs = replace(inputs, db_port=postgresql.port, pgbouncer_port=free_port(), stats_user=PgBouncer.stats)
        self.proposal = sizing.propose(self.inputs)

    @property
    def pool_size(self):
        """Return how many servers the pool of the database may have in the plan."""
        names = ("default_pool_size", "reserve_pool_size")
        return sum(self.proposal.figures[name].value for name in names)

    def connect(self, name):
        options = {"user": "odoo", "password": self.passwords["odoo"], "application_name": name}
        return self.postgresql.connect(self.database, **options)

    @contextlib.contextmanager
    def others(self):
        """Connect the other programs. Yield the connections of psql: whatever the measurement needs runs in them,
        because its own connections would take the place of others."""
        with contextlib.ExitStack() as stack:
            connections = {
                other.name: [stack.enter_context(closing(self.connect(other.name))) for _number in range(other.count)]
                for other in self.inputs.others
            }
            for connection in connections["pg_dump"]:
                connection.cursor().execute("BEGIN; SELECT 1")
            yield connections["psql"]

    @contextlib.contextmanager
    def odoo(self, options):
        """Start Odoo, with its websockets. Yield the Installation."""
        login = {"db_name": self.database, "db_user": "odoo", "db_password": self.passwords["odoo"]}
        odoo_folder = STACK / "plan-check/classic"
        shutil.rmtree(odoo_folder, ignore_errors=True)
        installation = Installation(self.folder, odoo_folder, self.postgresql, self.inputs, login | options)
        try:
            installation.start()
            installation.open_sockets()
            yield installation
        finally:
            installation.stop()

    def title(self):
        inputs = self.inputs
        others = ", ".join(f"{other.count} {other.name}" for other in inputs.others)
        return (
            f"{inputs.servers} servers x {inputs.workers} workers, {inputs.servers} gevent processes, {others}, "
            f"max_connections = {inputs.max_connections}"
        )

    def measure_direct(self):
        """Occupy all workers without PgBouncer.

        :return: a dictionary: ``backends`` at the peak, ``failed`` requests, ``refused``: connections, by Odoo's logs,
            ``psql``: the error of one more psql, ``overview``: what the Overview shows at that time
        """
        workers = self.inputs.workers
        with self.odoo({"db_host": LOCALHOST, "db_port": self.postgresql.port}) as installation:
            with self.others() as (locker, counter, psql), watching(counter) as backends, psql.cursor() as cursor:
                lock(locker)
                watched, *pages = installation.pages
                futures = [start_thread(installation.write, watched) for _number in range(workers)]
                installation.wait_until(lambda: backends.waiting == workers, "not all requests run")
                cursor.execute("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' LIMIT 1")
                [of_watched] = cursor.fetchone()
                futures += [start_thread(installation.write, page) for page in pages * workers]
                installation.wait_until(
                    lambda: backends.waiting + ended(futures) == len(futures), "not all requests run"
                )
                found = {"failed": ended(futures), "psql": self.connection_error()}
                # A request of the server with the Overview ends. Its worker is free, and keeps the connection.
                cursor.execute("SELECT pg_cancel_backend(%s)", [of_watched])
                found["overview"] = watched.call("connection.overview", "get_overview")
                unlock(locker)
                errors(futures)
            logs = [odoo.log.read_text() for odoo in installation.odoos]
        return found | {"backends": backends.peak, "refused": sum(len(REFUSED.findall(log)) for log in logs)}

    def connection_error(self):
        """Return the error of one more psql, "" for none."""
        try:
            self.connect("psql").close()
        except psycopg2.OperationalError as error:
            return str(error).strip()
        return ""

    def measure_pooled(self):
        """Occupy all workers with the PgBouncer of the plan.

        :return: a dictionary: ``backends`` at the peak, ``failed`` requests, ``waiting``: clients that wait in
            PgBouncer, ``refused``: connections, by Odoo's logs
        """
        with self.pgbouncer() as (pgbouncer, options), self.odoo(options) as installation:
            with self.others() as (locker, counter, _psql), watching(counter) as backends:
                lock(locker)
                pages = installation.pages * self.inputs.workers
                futures = [start_thread(installation.write, page) for page in pages]
                # All arrive, and the reserve opens when they have waited for reserve_pool_timeout.
                running, total = self.pool_size, len(futures)
                installation.wait_until(
                    lambda: self.clients(pgbouncer) == (running, total - running) or ended(futures),
                    f"PgBouncer does not have {running} of {total} requests running and the others waiting",
                )
                waiting = self.clients(pgbouncer)[1]
                unlock(locker)
                failed = len(errors(futures))
            logs = [odoo.log.read_text() for odoo in installation.odoos]
        refused = sum(len(REFUSED.findall(log)) for log in logs)
        return {"backends": backends.peak, "failed": failed, "waiting": waiting, "refused": refused}

    @contextlib.contextmanager
    def pgbouncer(self):
        """Start PgBouncer with the plan's files. Yield it and the plan's options for odoo.conf."""
        pgbouncer = new_planned(self.folder / "pgbouncer", self.inputs, self.postgresql, self.passwords)
        try:
            yield pgbouncer.start(), odoo_options(pgbouncer.texts)
        finally:
            pgbouncer.stop()

    def clients(self, pgbouncer):
        """Return how many clients of the database have a server connection, and how many wait for one."""
        with closing(pgbouncer.connect(user=PgBouncer.stats)) as console, console.cursor() as cursor:
            cursor.execute("SHOW POOLS")
            names = [column.name for column in cursor.description]
            pools = [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]
        [pool] = [pool for pool in pools if pool["database"] == self.database]
        return pool["sv_active"], pool["cl_waiting"]


def lock(connection):
    """Make all requests wait."""
    connection.cursor().execute(f"BEGIN; LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")


def unlock(connection):
    connection.cursor().execute("ROLLBACK")


def ended(futures):
    """Return how many requests have ended."""
    return sum(future.done() for future in futures)


@contextlib.contextmanager
def watching(connection):
    """Count the client backends in an existing connection. Yield the Backends."""
    backends = Backends(connection)
    try:
        yield backends
    finally:
        backends.close()


LINE = "{:40} {:>9} {:>9}"


def report(case):
    """Measure, and print the figures beside those of the plan. Return whether they agree."""
    results = [report_direct(case), report_pooled(case)]
    print("ok" if all(results) else "WRONG")
    return all(results)


def report_direct(case):
    plan, found = case.proposal.direct, case.measure_direct()
    holders, wanted = found["overview"]["holders"], found["backends"] + found["refused"]
    print(LINE.format("without PgBouncer", "predicted", "measured"))
    print(LINE.format("  connections, with those refused", plan["expected"], wanted))
    print(LINE.format("  backends", plan["limit"], found["backends"]))
    print(LINE.format("  connections refused", plan["expected"] - plan["limit"], found["refused"]))
    print(LINE.format("  requests failed", "", found["failed"]))
    print(f"  psql: {found['psql']}")
    rows = ", ".join(f"{row['label']} {row['count']}" for row in holders["rows"])
    print(f"  Overview: {holders['count']} of {holders['usable']}: {rows}", flush=True)
    is_expected = abs(wanted - plan["expected"]) <= max(2, 0.2 * wanted)
    is_seen = found["backends"] == holders["count"] == plan["limit"]
    return is_expected and is_seen and found["refused"] > 0 and bool(found["psql"])


def report_pooled(case):
    plan, found = case.proposal.pooled, case.measure_pooled()
    waiting = case.inputs.servers * case.inputs.workers - case.pool_size
    print(LINE.format("with the PgBouncer of the plan", "predicted", "measured"))
    print(LINE.format("  backends", plan["expected"], found["backends"]))
    print(LINE.format("  backends at most", plan["ceiling"], found["backends"]))
    print(LINE.format("  connections refused", 0, found["refused"]))
    print(LINE.format("  requests failed", 0, found["failed"]))
    print(LINE.format("  requests waiting in PgBouncer", waiting, found["waiting"]))
    is_expected = abs(found["backends"] - plan["expected"]) <= max(2, 0.2 * found["backends"])
    is_within = found["backends"] <= plan["ceiling"]
    return is_expected and is_within and not found["failed"] + found["refused"]
