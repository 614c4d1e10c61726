"""What the servers of a side do under load: a series of readings, and what they amount to in a period."""

import contextlib
import re
import threading
import time

import psutil
import psycopg2

from analysis.pressure import severity
from servers import MODULE, PgBouncer

# Seconds between readings. With 100 backends, reading the processor time of all takes about 15 ms of CPU, and their
# memory 0.2 s, because the kernel walks through the pages of each.
EVERY, CPU_EVERY, MEMORY_EVERY = 0.5, 2, 8
# A period whose start or end is farther from the next reading is unknown.
STALE = 3
# How long a query of the meter may take, in seconds.
QUERY_SECONDS = 2
# The application_name of the meter, which does not count itself.
NAME = "stress meter"
# Lines of the logs: a client got no connection.
REFUSED = {
    "postgresql": re.compile(rb"FATAL: .*(?:connection slots|too many clients)"),
    "pgbouncer": re.compile(rb"WARNING .*pooler error: "),
}
CLIENTS = f"""
    SELECT count(*) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND application_name <> '{NAME}'
"""
SESSIONS = "SELECT sum(sessions)::bigint FROM pg_stat_database"
# The addon's scheduled action becomes due, unless it runs.
# Due since now: from a time long ago, Odoo would count the minutes one by one, for seconds.
WAKE = f"""
    UPDATE ir_cron SET nextcall = now() AT TIME ZONE 'UTC' WHERE id IN (
        SELECT id FROM ir_cron WHERE id IN (
            SELECT res_id FROM ir_model_data WHERE module = '{MODULE}' AND name = 'ir_cron_sample'
        ) FOR NO KEY UPDATE SKIP LOCKED
    )
"""
SAMPLES = """
    SELECT extract(epoch FROM s.sampled_at)::float8 AS at, e.kind, s.used, s.capacity, s.waiting, s.maxwait,
        s.refused, s.pressure, s.level
    FROM connection_sample s JOIN connection_endpoint e ON e.id = s.endpoint_id
    WHERE s.database IS NULL AND s.period = 'minute'
        AND s.sampled_at >= to_timestamp(%s) AT TIME ZONE 'UTC'
    ORDER BY s.id
"""


def tree(process):
    """Return a psutil.Process and its descendants; [] if it has ended, or is None."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)] if process else []
    return []


def tree_cpu(process):
    """Return the CPU seconds of a psutil.Process and its descendants, None if it has ended. Descendants that have ended
    count, too: the kernel adds their time to that of the parent that reaped them."""
    seconds = []
    for each in tree(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            seconds.append(times.user + times.system + times.children_user + times.children_system)
    return sum(seconds) if seconds else None


def tree_memory(process):
    """Return the memory of a psutil.Process and its descendants in bytes, in which a shared page counts once (PSS);
    None if it cannot be read."""
    kilobytes = 0
    for each in tree(process):
        with contextlib.suppress(OSError):  # it has just ended
            with open(f"/proc/{each.pid}/smaps_rollup") as file:
                found = re.search(r"^Pss: +(\d+) kB", file.read(), re.MULTILINE)
            kilobytes += int(found[1]) if found else 0
    return kilobytes * 1024 or None


class LogLines:
    """Counts the lines of a server's log that match, from now on."""

    def __init__(self, server, pattern):
        self.path, self.pattern = server.log, pattern
        self.position = self.path.stat().st_size
        self.count = 0

    def read(self):
        with self.path.open("rb") as log:
            log.seek(self.position)
            lines, end, _rest = log.read().rpartition(b"\n")
        self.position += len(lines) + len(end)
        self.count += len(self.pattern.findall(lines))
        return self.count


class Meter:
    """Reads the servers of a Side twice a second, from ``with`` to its end.

    Its two connections to PostgreSQL are a superuser's, opened before the load, so that they do not wait. They take two
    of its slots. Each reading is two queries of about a millisecond, and one in PgBouncer's console.

    ``readings`` are dictionaries: ``at``; ``backends``: of clients; ``pool``: ``cl_waiting`` of all pools, and the
    longest ``maxwait``; ``memory`` of PostgreSQL; and counters: ``sessions``, ``refused``, ``cpu``: server -> seconds.
    What was not read is None, or missing in ``cpu``.

    :param Side side: its servers run
    :param wake_every: seconds after which the addon's scheduled action is made due; None: it runs as it is installed
    """

    def __init__(self, side, wake_every=4):
        self.side, self.wake_every = side, wake_every
        self.readings, self.samples = [], []
        self.is_closed = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self):
        side = self.side
        options = {"application_name": NAME, "options": f"-c statement_timeout={QUERY_SECONDS}s"}
        servers = {"postgresql": [side.postgresql], "odoo": side.odoos}
        self.logs = [LogLines(side.postgresql, REFUSED["postgresql"])]
        self.connections = [side.postgresql.connect(**options), side.postgresql.connect(side.database, **options)]
        if side.pgbouncer:
            servers["pgbouncer"] = [side.pgbouncer]
            self.logs.append(LogLines(side.pgbouncer, REFUSED["pgbouncer"]))
            self.connections.append(side.pgbouncer.connect(user=PgBouncer.stats))
        self.cursors = [connection.cursor() for connection in self.connections]
        self.processes = {name: [server.process() for server in each] for name, each in servers.items()}
        self.started_at = self.woken_at = time.time()
        self.due = {"cpu": 0, "memory": 0}
        self.readings.append(self.read())
        self.thread.start()
        return self

    def __exit__(self, *_error):
        self.is_closed.set()
        self.thread.join(2 * QUERY_SECONDS)
        if self.thread.is_alive():  # a server does not answer: its figures end with the last reading
            return
        self.due = {"cpu": 0, "memory": 0}
        self.readings.append(self.read())
        with contextlib.suppress(psycopg2.Error):
            self.samples = rows(self.cursors[1], SAMPLES, [self.started_at])
        for connection in self.connections:
            connection.close()

    def watch(self):
        while not self.is_closed.wait(EVERY):
            self.readings.append(self.read())
            if self.wake_every and time.time() - self.woken_at >= self.wake_every:
                self.woken_at = time.time()
                self.wake()

    def wake(self):
        """Make the addon's scheduled action due, and notify Odoo's cron workers, as Odoo does."""
        with contextlib.suppress(psycopg2.Error):
            self.cursors[1].execute(WAKE)
            self.cursors[0].execute("SELECT pg_notify('cron_trigger', %s)", [self.side.database])

    def read(self):
        return {
            "at": time.time(),
            "backends": self.query(CLIENTS),
            "sessions": self.query(SESSIONS),
            "refused": sum(log.read() for log in self.logs),
            "cpu": self.read_cpu() if self.is_due("cpu", CPU_EVERY) else {},
            "memory": tree_memory(self.processes["postgresql"][0]) if self.is_due("memory", MEMORY_EVERY) else None,
            "pool": self.read_pools(),
        }

    def is_due(self, name, seconds):
        """Return whether something that is read less often is read now."""
        if time.time() < self.due[name]:
            return False
        self.due[name] = time.time() + seconds
        return True

    def read_cpu(self):
        return {name: total(map(tree_cpu, found)) for name, found in self.processes.items() if found}

    def query(self, query):
        """Return a number from PostgreSQL, None if it does not answer."""
        with contextlib.suppress(psycopg2.Error):
            self.cursors[0].execute(query)
            return self.cursors[0].fetchone()[0]
        return None

    def read_pools(self):
        """Return `waiting_clients`, None without PgBouncer, or if it does not answer."""
        if len(self.cursors) == 3:
            with contextlib.suppress(psycopg2.Error):
                return waiting_clients(self.cursors[2])
        return None

    def between(self, start, end):
        """Return the figures of a period, as in a run of figures.json; after the meter has ended."""
        return summary(self.readings, start, end) | {"samples": sampled(self.samples, start, end)}


def rows(cursor, query, parameters=None):
    """Return the rows of a query as dictionaries."""
    cursor.execute(query, parameters)
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def waiting_clients(cursor):
    """Return how many clients wait in PgBouncer, and how long one of them has waited at most.

    :param cursor: of the console
    """
    pools = rows(cursor, "SHOW POOLS")
    longest = max(pool["maxwait"] + pool["maxwait_us"] / 1e6 for pool in pools)
    return {"cl_waiting": sum(pool["cl_waiting"] for pool in pools), "maxwait": longest}


def peak(values):
    """Return the highest of the values that are known, None without one."""
    return max((value for value in values if value is not None), default=None)


def total(numbers):
    """Return the sum, None if a number is unknown."""
    numbers = list(numbers)
    return None if None in numbers else sum(numbers)


def summary(readings, start, end):
    """Return what readings amount to between two instants: the peaks of gauges, the growth of counters."""
    within = [reading for reading in readings if start <= reading["at"] <= end]
    servers = {name for reading in readings for name in reading["cpu"]}

    def growth(series):
        known = [(at, value) for at, value in series if value is not None]
        ends = [value_at(known, instant) for instant in (start, end)]
        return None if None in ends else ends[1] - ends[0]

    def counted(name):
        found = growth([(reading["at"], reading[name]) for reading in readings])
        return None if found is None else round(found)

    cpu = {name: growth([(reading["at"], reading["cpu"].get(name)) for reading in readings]) for name in servers}
    pools = [reading["pool"] for reading in within if reading["pool"]]
    return {
        "backends": peak(reading["backends"] for reading in within),
        "sessions": counted("sessions"),
        "refused": counted("refused"),
        "cpu": {name: cpu.get(name) for name in ("postgresql", "pgbouncer", "odoo")},
        "memory": {
            "postgresql": peak(reading["memory"] for reading in readings if start <= reading["at"] <= end + STALE)
        },
        "pool": {name: peak(pool[name] for pool in pools) for name in ("cl_waiting", "maxwait")} if pools else None,
    }


def value_at(series, instant):
    """Return a counter at an instant, None if no reading is near: on the line between the readings before and after.

    :param list series: of (instant, value)
    """
    before = [point for point in series if point[0] <= instant][-1:]
    after = [point for point in series if point[0] > instant][:1]
    near = [point for point in before + after if abs(point[0] - instant) <= STALE]
    if len(near) < 2:
        return near[0][1] if near else None
    (at, value), (next_at, next_value) = near
    return value + (next_value - value) * (instant - at) / (next_at - at)


def sampled(samples, start, end):
    """Return what the addon has stored between two instants, see figures.json."""
    # The time of a sample is stored in whole seconds.
    samples = [sample for sample in samples if start - 1 < sample["at"] <= end]
    of_postgresql, of_pgbouncer = (
        [sample for sample in samples if sample["kind"] == kind] for kind in ("postgresql", "pgbouncer")
    )

    return {
        "taken": len(of_postgresql),
        "used_max": peak(sample["used"] for sample in of_postgresql),
        "capacity": peak(sample["capacity"] for sample in of_postgresql),
        "waiting_max": peak(sample["waiting"] for sample in of_pgbouncer),
        "maxwait": peak(sample["maxwait"] for sample in of_pgbouncer),
        "pressure_max": peak(sample["pressure"] for sample in samples),
        "level": max((sample["level"] for sample in samples), key=severity, default=None),
        "reason": None if of_postgresql else "Odoo's scheduled action stored no sample in this time",
    }
