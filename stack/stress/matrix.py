"""Odoo directly on PostgreSQL, and through PgBouncer: the same load on both, in turns."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import requests

from planner import sizing
from servers import ServerError

from .load import Load
from .meters import Meter, total, tree_cpu
from .scene import Scene
from .sides import inputs

# The seconds that a measurement takes besides its load: Locust starts, and the servers become idle.
OTHER_SECONDS = 4
# Both sides are idle when their Odoos use less than this share of a core, for so many seconds.
IDLE_SHARE, IDLE_SECONDS = 0.2, 0.5
# After an overload, requests whose users have left are still being served. Then Odoo is started again.
MOST_SETTLE_SECONDS = 4
# An Odoo that has just started runs its scheduled actions.
MOST_START_SECONDS = 20
# For each worker.
FIRST_PAGES = 4
# What ends a measurement, but not the run.
FAILURES = (ServerError, psycopg2.Error, requests.RequestException, RuntimeError)
RESULT = ("started_at", "seconds", "requests", "rps", "p50", "p95", "p99", "failures", "unfinished", "tasks")
MEASURED = ("backends", "sessions", "refused", "cpu", "memory", "pool", "samples")


def described(inputs, pgbouncer):
    """Return what a plan is, for ``setup`` of figures.json."""
    found = {name: getattr(inputs, name) for name in ("workers", "db_maxconn")}
    pool_size = sizing.propose(inputs).figures["default_pool_size"].value
    return found | {"pool_size": pool_size, "pgbouncer_ini": pgbouncer.texts["pgbouncer.ini"]}


class Matrix:
    """The measurements of a size.

    :param Side direct: and ``pooled``: their PostgreSQLs run
    :param list logins: (login, password) of users
    :param Size size: what is measured
    :ivar list servers: the plans so far, see figures.json
    """

    def __init__(self, direct, pooled, logins, size):
        self.sides, self.pooled, self.logins, self.size = [direct, pooled], pooled, logins, size
        self.scenes, self.servers = {}, []

    @staticmethod
    def count(size):
        """Return how many measurements a size has."""
        return 2 * len(size.workers) * len(size.filters) * len(size.users) * size.turns

    @staticmethod
    def seconds(size):
        """Return about how long one of them takes."""
        return size.warm_up + size.seconds + OTHER_SECONDS

    def run(self):
        """Yield each run, as in figures.json."""
        for workers in self.size.workers:
            self.inputs = inputs(workers)
            self.pooled.start_pgbouncer(self.inputs)
            self.servers.append(described(self.inputs, self.pooled.pgbouncer))
            for has_db_filter in self.size.filters:
                self.has_db_filter = has_db_filter
                with self.odoos():
                    for users in self.size.users:
                        yield from self.take_turns(users)

    @contextlib.contextmanager
    def odoos(self):
        """Start Odoo on both sides, and stop it in the end."""
        try:
            for side in self.sides:
                self.start(side)
                if side.name not in self.scenes:  # its sessions remain
                    scene = Scene(side.url, side.database, self.logins, max(self.size.users))
                    scene.prepare()
                    self.scenes[side.name] = scene
            self.wait_until_idle(MOST_START_SECONDS)
            yield
        finally:
            for side in self.sides:
                side.stop_odoos()

    def start(self, side):
        """Start Odoo, again if it runs. Each worker serves some pages: the first takes seconds."""
        side.stop_odoos()
        side.start_odoos(self.inputs, self.has_db_filter)
        at_once = self.inputs.workers or 1
        with ThreadPoolExecutor(at_once) as pool:
            for _number in range(FIRST_PAGES * at_once):
                pool.submit(requests.get, f"{side.url}/", timeout=30)

    def take_turns(self, users):
        for turn in range(1, self.size.turns + 1):
            for side in self.sides:
                what = {"workers": self.inputs.workers, "has_db_filter": self.has_db_filter, "users": users}
                yield what | {"side": side.name, "turn": turn} | self.measure(side, users)

    def measure(self, side, users):
        """Return the figures of one measurement. If it fails: what went wrong, and no figures."""
        try:
            self.settle()
            scene = self.scenes[side.name]
            with Meter(side) as meter:
                result = Load(scene, users, warm_up=self.size.warm_up, seconds=self.size.seconds).run()
            if ended := side.ended_odoos():
                raise ServerError(f"Odoo has ended.\n{ended[0].log_tail()}")
            found = meter.between(result["started_at"], result["started_at"] + result["seconds"])
            return {name: result[name] for name in RESULT} | found
        except FAILURES as failure:
            return dict.fromkeys([*RESULT, *MEASURED]) | {"error": str(failure).strip()}

    def settle(self):
        """Wait until both sides are idle, and start Odoo again where it does not become idle, or has ended."""
        busy = self.wait_until_idle(MOST_SETTLE_SECONDS)
        again = [side for side in self.sides if side in busy or not side.odoos or side.ended_odoos()]
        for side in again:
            self.start(side)
        if again:
            self.wait_until_idle(MOST_START_SECONDS)

    def wait_until_idle(self, seconds):
        """Return the sides that are still busy after so many seconds."""
        deadline = time.monotonic() + seconds
        while busy := [side for side, share in zip(self.sides, self.shares(), strict=True) if share > IDLE_SHARE]:
            if time.monotonic() > deadline:
                break
        return busy

    def shares(self):
        """Return for each side the share of a core that its Odoos use; 0 for one that has ended."""
        before = [self.used(side) for side in self.sides]
        time.sleep(IDLE_SECONDS)
        return [(self.used(side) - first) / IDLE_SECONDS for side, first in zip(self.sides, before, strict=True)]

    @staticmethod
    def used(side):
        processes = [odoo.process() for odoo in side.odoos]
        return total(tree_cpu(process) for process in processes if process) or 0
