"""The raw part: clients of PostgreSQL without Odoo, directly and through PgBouncer, in turns.

*At once*: all clients connect at the same moment. Each logs in, runs one short query, and stays connected until all
have ended, as Odoo's workers do.
*Storm*: pgbench with ten clients, which open a connection for each transaction, or keep theirs.

The servers are a PostgreSQL and a PgBouncer of its own: transaction pooling, POOL_SIZE server connections. The clients
share the machine with them.
"""

import base64
import hashlib
import hmac
import os
import re
import resource
import secrets
import selectors
import shutil
import subprocess
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import NamedTuple

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE

from servers import LOCALHOST, VERSIONS, PgBouncer, PostgreSQL, ServerError, free_port, postgresql_program

from .load import percentile
from .meters import NAME, tree_cpu, waiting_clients
from .sides import MAX_CONNECTIONS

POOL_SIZE = 20
# The role and the database of the clients. The role is no superuser: some slots are not for it.
ROLE = DATABASE = "stress_raw"
BACKENDS = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{ROLE}'"
# A client holds its server connection for 10 ms, as long as a short transaction does.
QUERY = "SELECT pg_sleep(0.01)"
# Seconds for all clients of a measurement, from the first connection on.
DEADLINE = 30
# Files beside the sockets of clients: logs, libraries, the other servers.
SPARE_FILES = 500
EVENTS = {POLL_READ: selectors.EVENT_READ, POLL_WRITE: selectors.EVENT_WRITE}
PGBENCH_CLIENTS = 10
PGBENCH_DEADLINE = 120
CONNECTIONS = {"new": ["--connect"], "kept": []}
READINGS_EVERY = 0.05


class Client:
    """A client that connects, runs QUERY, and stays.

    ``end`` is None while it waits, "served", or the message with which it was refused.
    """

    def __init__(self, address):
        self.started = time.monotonic()
        self.seconds = self.end = self.connection = self.cursor = None
        try:
            self.connection = psycopg2.connect(**address, async_=1)
        except psycopg2.OperationalError as error:
            self.finish(short_message(error))

    def advance(self):
        """Go on as far as possible. Return the event to wait for, None if it has ended."""
        try:
            while (state := self.connection.poll()) == POLL_OK and not self.cursor:
                self.cursor = self.connection.cursor()
                self.cursor.execute(QUERY)
            if state != POLL_OK:
                return EVENTS[state]
            self.finish("served")
        except psycopg2.Error as error:
            self.finish(short_message(error))
        return None

    def finish(self, end):
        self.end = end
        self.seconds = time.monotonic() - self.started


def short_message(error):
    """Return a server's message without the address of the server, which differs between the sides."""
    return re.sub(r".*(?:FATAL|ERROR): +|.*failed: ", "", str(error).strip().splitlines()[0])


class Watch(threading.Thread):
    """Reads the pools and the number of backends while clients run. ``peak`` holds the highest values.

    Its connections are open before the clients connect. The one to PostgreSQL takes one of its slots.

    :param pgbouncer: None directly
    """

    def __init__(self, postgresql, pgbouncer):
        super().__init__(daemon=True)
        self.is_over = threading.Event()
        self.peak = {"backends": None, "cl_waiting": None, "maxwait": None}
        self.postgresql = postgresql.connect(application_name=NAME)
        self.console = pgbouncer and pgbouncer.connect(user=PgBouncer.stats)

    def run(self):
        while not self.is_over.wait(READINGS_EVERY):
            with suppress(psycopg2.Error):
                self.read()

    def read(self):
        with self.postgresql.cursor() as cursor:
            cursor.execute(BACKENDS)
            self.raise_peak("backends", cursor.fetchone()[0])
        if self.console:
            with self.console.cursor() as cursor:
                for name, value in waiting_clients(cursor).items():
                    self.raise_peak(name, value)

    def raise_peak(self, name, value):
        self.peak[name] = max(value, self.peak[name] or 0)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error):
        self.is_over.set()
        self.join()
        for connection in filter(None, (self.postgresql, self.console)):
            connection.close()


def run_clients(address, count):
    """Let clients connect at once. Return them when all have ended, or after DEADLINE."""
    clients = []
    with closing(selectors.DefaultSelector()) as waiting:

        def advance(client):
            descriptor = client.connection.fileno()
            if descriptor in waiting.get_map():
                waiting.unregister(descriptor)
            if event := client.advance():
                waiting.register(client.connection.fileno(), event, client)

        started = time.monotonic()
        for _number in range(count):
            clients.append(client := Client(address))
            if not client.end:
                advance(client)
        while waiting.get_map() and (left := started + DEADLINE - time.monotonic()) > 0:
            for key, _events in waiting.select(left):
                advance(key.data)
    for client in clients:
        if client.connection:
            client.connection.close()
    return clients


def at_once(route, count):
    """Measure clients that connect at once. Return the figures, see raw.at_once of figures.json."""
    with Watch(route.postgresql, route.pgbouncer) as watch:
        started = time.monotonic()
        clients = run_clients(route.address, count)
        seconds = time.monotonic() - started
    ends = Counter(client.end for client in clients)
    served, unanswered = ends.pop("served", 0), ends.pop(None, 0)
    times = sorted(client.seconds for client in clients if client.end == "served")
    return {
        "clients": count,
        "served": served,
        "refused": sum(ends.values()),
        "unanswered": unanswered,
        "errors": dict(ends),
        "seconds": seconds,
        "p50": percentile(times, 0.5),
        "p95": percentile(times, 0.95),
        **watch.peak,
    }


def storm(route, connections, seconds):
    """Run pgbench. Return the figures, see raw.storm of figures.json."""
    servers = {"postgresql": route.postgresql, "pgbouncer": route.pgbouncer}
    before = {name: server and tree_cpu(server.process()) for name, server in servers.items()}
    options = ["--select-only", f"--client={PGBENCH_CLIENTS}", f"--time={seconds:.0f}", *CONNECTIONS[connections]]
    output = pgbench(route.address, *options)
    return {
        "connections": connections,
        "transactions": int(re.search(r"transactions actually processed: (\d+)", output)[1]),
        "tps": float(re.search(r"tps = ([\d.]+)", output)[1]),
        "cpu": {name: server and tree_cpu(server.process()) - before[name] for name, server in servers.items()},
    }


def pgbench(address, *options):
    """Run pgbench. Return its output."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    environment = os.environ | {names[name]: str(value) for name, value in address.items()}
    command = [postgresql_program("pgbench"), "--no-vacuum", *options]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PGBENCH_DEADLINE)
    except subprocess.TimeoutExpired as error:
        raise ServerError(f"pgbench takes longer than {PGBENCH_DEADLINE} s") from error
    if done.returncode:
        raise ServerError(f"pgbench failed.\n{done.stderr[-1000:]}")
    return done.stdout


class Route(NamedTuple):
    """How clients connect on a side.

    :param pgbouncer: None directly
    :param dict address: psycopg2's arguments
    """

    side: str
    postgresql: object
    pgbouncer: object
    address: dict


def scram_secret(password):
    """Return a SCRAM secret of one iteration. The usual 4,096 take a client 3 ms, all clients together longer than the
    servers: on a real site each client has a CPU of its own. To a server, the number of iterations makes no difference.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 1)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt, stored, server = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256$1:{salt}${stored}:{server}"


@contextmanager
def routes(folder, clients):
    """Yield both Routes to a new PostgreSQL.

    :param Path folder: for the servers
    :param int clients: how many clients there will be at most
    """
    allow_files(clients + SPARE_FILES)
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    password = secrets.token_urlsafe(18)
    secret = scram_secret(password)
    postgresql = PostgreSQL(folder / "postgresql", free_port(), secrets.token_urlsafe(18), MAX_CONNECTIONS)
    passwords = {ROLE: secret, PgBouncer.stats: secrets.token_urlsafe(18)}
    settings = {"max_client_conn": clients + 100, "default_pool_size": POOL_SIZE}
    # The version of the other parts.
    suite = VERSIONS["1.24"]
    pgbouncer = PgBouncer(folder / "pgbouncer", free_port(), postgresql, passwords, None, settings, suite)
    address = {"host": LOCALHOST, "user": ROLE, "password": password, "dbname": DATABASE}
    direct = Route("direct", postgresql, None, address | {"port": postgresql.port})
    with ExitStack() as stack:
        stack.callback(postgresql.stop)
        postgresql.start()
        postgresql.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{secret}'", f"CREATE DATABASE {DATABASE} OWNER {ROLE}")
        pgbench(direct.address, "--initialize", "--quiet")
        stack.callback(pgbouncer.stop)
        yield [direct, Route("pooled", postgresql, pgbouncer, address | {"port": pgbouncer.port})]


def in_turns(found):
    """Yield the Routes. PgBouncer runs during its turn only: idle, it would keep slots that direct clients need."""
    for route in found:
        wait_for_slots(route.postgresql)
        if route.pgbouncer:
            route.pgbouncer.start()
        yield route
        if route.pgbouncer:
            route.pgbouncer.stop()


def wait_for_slots(postgresql):
    """Wait until the backends of earlier clients have ended, which they do some time after their clients.

    :raise ServerError: they do not
    """
    deadline = time.monotonic() + DEADLINE
    while postgresql.execute(BACKENDS) != [(0,)]:
        if time.monotonic() > deadline:
            raise ServerError(f"backends of clients that have left still run after {DEADLINE} s")
        time.sleep(READINGS_EVERY)


def allow_files(count):
    """Raise the limit of open files of this program, and of the servers that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        try:
            # Root may raise the hard limit, too.
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, count if 0 <= hard < count else hard))
        except ValueError as error:
            raise ServerError(f"the limit of open files is {hard}: {count} are needed (ulimit -n)") from error


def count(size):
    """Return how many results `measure` yields."""
    return (len(size.clients) + len(CONNECTIONS)) * 2 * size.turns


def measure(folder, size):
    """Yield ("at_once" or "storm", figures) for each measurement, the sides in turns.

    :param Path folder: for the servers
    :param Size size: how much is measured
    """
    with routes(folder, max(size.clients)) as found:
        for turn in range(1, size.turns + 1):
            for clients in size.clients:
                for route in in_turns(found):
                    yield "at_once", {"side": route.side, "turn": turn} | at_once(route, clients)
            for connections in CONNECTIONS:
                for route in in_turns(found):
                    yield "storm", {"side": route.side, "turn": turn} | storm(route, connections, size.storm_seconds)
