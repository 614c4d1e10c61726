"""Odoo servers whose connections are counted, and a load that makes them open all that they need.

Requests, jobs and websockets hold their connections while they wait for a lock. So all of them run at the same time, on
a slow machine, too.
"""

import contextlib
import json
import re
import threading
import time
from concurrent.futures import Future
from contextlib import closing

import requests

from page import Page
from rpc import wait_for_answer
from servers import LOCALHOST, Nginx, Odoo, ServerError, free_port, make_folder

# What requests and jobs read, and what websockets read.
MODEL, TABLE, BUS_TABLE = "res.country.group", "res_country_group", "bus_bus"
JOBS = 2
# How long it may take until all requests have a connection or have failed.
SLOW_MACHINE_SECONDS = 240

# Runs in `odoo shell`: a server action and jobs that read the table, and no other job.
SETUP = f"""
env["ir.cron"].search([]).active = False
action = {{"model_id": env["ir.model"]._get_id({MODEL!r}), "state": "code"}}
action["code"] = "model.search_read([], ['name'])"
env["ir.actions.server"].create(action | {{"name": "Plan"}})
job = {{"interval_number": 1, "interval_type": "weeks", "nextcall": "2099-01-01"}}
env["ir.cron"].create([action | job | {{"name": f"Plan {{number}}"}} for number in range({JOBS})])
env.cr.commit()
"""


class Backends:
    """The client backends of a PostgreSQL, counted until it is closed.

    ``peak`` is the highest count; ``waiting`` is how many wait for a lock now.

    :param connection: to the PostgreSQL, in autocommit mode
    :param str condition: SQL: which of them
    """

    def __init__(self, connection, condition="true"):
        self.connection, self.condition = connection, condition
        self.peak = self.waiting = 0
        self.is_closed = threading.Event()
        self.thread = threading.Thread(target=self.count, daemon=True)
        self.thread.start()

    def count(self):
        with closing(self.connection), self.connection.cursor() as cursor:
            while not self.is_closed.wait(0.1):
                cursor.execute(
                    "SELECT count(*), count(*) FILTER (WHERE wait_event_type = 'Lock') FROM pg_stat_activity"
                    f" WHERE backend_type = 'client backend' AND {self.condition}"
                )
                count, self.waiting = cursor.fetchone()
                self.peak = max(self.peak, count)

    def close(self):
        self.is_closed.set()
        self.thread.join()


class Installation:
    """Odoo servers with one database, each behind a reverse proxy of its own.

    :param Path folder: for the reverse proxies; ``odoo_folder``: for the Odoo servers
    :param PostgreSQL postgresql: has the database; ``replica``: its standby, if Odoo uses one
    :param Inputs inputs: what the servers are
    :param dict options: of odoo.conf, among them where they connect to
    """

    def __init__(self, folder, odoo_folder, postgresql, inputs, options, replica=None):
        self.inputs, self.database = inputs, options["db_name"]
        self.postgresql, self.replica = postgresql, replica
        self.is_interrupted = threading.Event()
        # A request may wait for longer than a worker is allowed to.
        options = {"proxy_mode": True, "limit_time_real": 3600, "limit_time_cpu": 3600} | options
        options |= {name: getattr(inputs, name) for name in ("workers", "max_cron_threads", "db_maxconn")}
        if replica:
            options |= {"db_replica_host": LOCALHOST, "db_replica_port": replica.port}
        self.odoos, self.proxies, self.pages, self.sockets = [], [], [], []
        for number in range(inputs.servers):
            odoo = Odoo(odoo_folder / str(number), free_port(), free_port(), options)
            options = options | {"data_dir": odoo.data} if not self.odoos else options
            self.odoos.append(odoo)
            bus_port = odoo.gevent_port if inputs.workers else odoo.port
            proxy_folder = make_folder(folder / f"{self.database}-{number}")
            self.proxies.append(Nginx(proxy_folder, free_port(), [odoo.port], [bus_port]))

    def start(self):
        for server in [*self.odoos, *self.proxies]:
            server.start()
        for proxy in self.proxies:
            wait_for_answer(f"{proxy.url}/websocket/health")
        self.log_in()

    def stop(self):
        for server in [*self.proxies, *self.odoos]:
            server.kill()

    def log_in(self):
        """Log in at each server. Odoo ends the session of a request that gets no connection."""
        self.pages = [Page(proxy.url, self.database) for proxy in self.proxies]
        for page in self.pages:
            page.timeout = SLOW_MACHINE_SECONDS
        [self.action] = self.pages[0].call("ir.actions.server", "search", [["name", "=", "Plan"]])

    def open_sockets(self):
        """Open as many websockets at each server as its bus process serves at the same time."""
        for page in self.pages:
            for _number in range(self.inputs.gevent_connections):
                page.open_socket()
                self.sockets.append(page.socket)

    def write(self, page):
        """Read the table in a request that needs the primary."""
        return page.call("ir.actions.server", "run", [self.action])

    def read(self, page):
        """Read the table in a request that a replica can serve."""
        return page.call(MODEL, "search_read", [], ["name"])

    def wake_cron(self):
        """Make a job due for each cron worker."""
        self.postgresql.execute(
            "UPDATE ir_cron SET nextcall = '2020-01-01' WHERE id IN ("
            f"SELECT id FROM ir_cron WHERE active ORDER BY id LIMIT {self.inputs.max_cron_threads})",
            dbname=self.database,
        )
        self.postgresql.execute(f"NOTIFY cron_trigger, '{self.database}'")

    def wake_bus(self):
        """Make each websocket read the bus."""
        for socket in self.sockets:
            socket.send(json.dumps({"event_name": "subscribe", "data": {"channels": [], "last": 0}}))

    @contextlib.contextmanager
    def locked(self, table):
        """Lock a table, of the replica as well."""
        with closing(self.postgresql.connect(self.database)) as connection, connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            self.wait_for_replica()
            yield

    def wait_for_replica(self):
        if not self.replica:
            return
        # A transaction that writes: the WAL is sent up to its end.
        self.postgresql.execute("SELECT pg_logical_emit_message(true, 'plan', '')")
        [(position,)] = self.postgresql.execute("SELECT pg_current_wal_lsn()")
        reached = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
        self.wait_until(lambda: self.replica.execute(reached) == [(True,)], "the replica does not follow")

    def wait_until(self, condition, problem):
        """Wait until a function returns true.

        :raise ServerError: it does not in SLOW_MACHINE_SECONDS, or the wait is interrupted
        """
        deadline = time.monotonic() + SLOW_MACHINE_SECONDS
        while not condition():
            if self.is_interrupted.wait(0.1) or time.monotonic() > deadline:
                raise ServerError(f"{self.database}: {problem}")


class Load:
    """The load of an Installation with one server, and what PostgreSQL and its replica have then.

    :param str name: how the application_name of Odoo's connections begins
    """

    def __init__(self, installation, name):
        self.installation = installation
        servers = [installation.postgresql, *([installation.replica] if installation.replica else [])]
        self.counters = [Backends(server.connect(), f"application_name LIKE '{name}%'") for server in servers]

    def measure(self):
        """Occupy all that can be busy at the same time: websockets, jobs, requests.

        :return: the highest number of backends of PostgreSQL, and of its replica; and how many requests failed
        """
        installation, inputs = self.installation, self.installation.inputs
        try:
            # Before the requests: Odoo closes a websocket that is silent for a minute.
            installation.open_sockets()
            if inputs.workers:
                with installation.locked(BUS_TABLE):
                    installation.wake_bus()
                    self.wait_for(inputs.gevent_connections)
            failed = self.send(installation.write, inputs.max_cron_threads)
            failed += self.send(installation.read)
        finally:
            for counter in self.counters:
                counter.close()
        return [counter.peak for counter in self.counters], failed

    def send(self, request, jobs=0):
        """Send a request to each worker, while jobs run. Return how many fail."""
        installation, inputs = self.installation, self.installation.inputs
        count = inputs.workers or inputs.requests
        with installation.locked(TABLE):
            if jobs:
                installation.wake_cron()
                self.wait_for(jobs=jobs)
            futures = [start_thread(request, page) for page in installation.pages * count]
            self.wait_for(count, futures, jobs)
        return len(errors(futures))

    def wait_for(self, count=0, futures=(), jobs=0):
        """Wait until this number of requests and jobs waits for the lock, or has failed."""

        def are_there():
            failed = sum(future.done() for future in futures)
            failed += failed_jobs(self.installation.odoos[0]) if jobs else 0
            return failed + sum(counter.waiting for counter in self.counters) >= count + jobs

        self.installation.wait_until(are_there, f"of {count} requests and {jobs} jobs, not all run")


def failed_jobs(odoo):
    """Return how many jobs have failed."""
    return len(re.findall(r"Job '.*' \(\d+\) failed|Exception in cron", odoo.log.read_text()))


def start_thread(function, *arguments):
    """Call a function in a thread of its own. Return its Future."""
    future = Future()

    def run():
        try:
            future.set_result(function(*arguments))
        except (requests.RequestException, RuntimeError) as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def errors(futures):
    """Wait for requests. Return the errors of those that failed."""
    found = [future.exception(SLOW_MACHINE_SECONDS) for future in futures]
    return [error for error in found if error]
