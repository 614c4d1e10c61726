"""Start each way of connecting an Odoo, on real servers, and check it: ``topologies.py [NAME] [-v]``.

For each topology it prints the verdicts of the LISTEN check next to the facts: whether a chat message reaches a
browser's websocket, and how long a triggered scheduled action waits.
"""

import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from servers import (
    STACK,
    Odoo,
    Pair,
    data_root,
    free_port,
    make_folder,
)
from sites import Site

# How many topologies run at the same time.
AT_ONCE = 7


@dataclass(frozen=True, eq=False)
class Topology:
    """How an Odoo is connected, and the verdicts that the LISTEN check must return.

    ``postgres`` is the end of PgBouncer's line for the database postgres: None for no line, False for no PgBouncer.
    Odoo does not start with some lines: it then starts in session mode, and ``later`` ("reload" or "restart") is how
    PgBouncer gets the line. ``level`` is the bus's.
    """

    name: str
    bus: str
    cron: str | None
    postgres: str | bool | None = "pool_mode=session"
    level: str = "ok"
    suite: str | None = None
    settings: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)
    is_unix: bool = False
    is_tls: bool = False
    inner: str | None = None
    is_alt: bool = False
    is_bus_apart: bool = False
    is_misled: bool = False
    later: str | None = None

    @property
    def is_live(self):
        """Return whether a chat message must arrive live."""
        return self.bus in ("direct", "session") and self.level != "critical"

    @property
    def is_woken(self):
        """Return whether a triggered job must start at once."""
        return self.cron in ("direct", "session")


def deaf(name, **values):
    return Topology(name, "deaf", "deaf", postgres="", level="critical", **values)


def session(name, **values):
    return Topology(name, "session", "session", **values)


TOPOLOGIES = [
    Topology("no PgBouncer", "direct", "direct", postgres=False),
    deaf("transaction mode"),
    session("transaction mode, postgres in session mode"),
    Topology("bus_alt_connection", "direct", "deaf", postgres="", is_alt=True),
    Topology("a separate gevent service", "direct", "deaf", postgres="", is_bus_apart=True),
    session("session mode", settings={"pool_mode": "session"}, postgres=""),
    Topology(
        "postgres in session mode, too few servers",
        "session",
        None,
        postgres="pool_mode=session pool_size=1",
        level="critical",
        settings={"query_wait_timeout": 5},
        later="reload",
    ),
    Topology(
        "postgres in statement mode", "deaf", "deaf", postgres="pool_mode=statement", level="critical", later="restart"
    ),
    Topology("no database postgres", "unreachable", "unreachable", postgres=None, level="critical", later="restart"),
    Topology("nginx without /websocket", "direct", "direct", postgres=False, level="critical", is_misled=True),
    Topology("no workers", "direct", "direct", postgres=False, options={"workers": 0}),
    deaf("no workers, transaction mode", options={"workers": 0}),
    deaf("PgBouncer in front of a PgBouncer in transaction mode", inner="", settings={"pool_mode": "session"}),
    session("PgBouncer in front of a PgBouncer in session mode", inner="pool_mode=session"),
    deaf("unix socket, transaction mode", is_unix=True, options={"workers": 0}),
    session("unix socket, postgres in session mode", is_unix=True),
    deaf("TLS, transaction mode", is_tls=True, options={"workers": 0}),
    session("TLS, postgres in session mode", is_tls=True),
    deaf("PgBouncer 1.15, transaction mode", suite="bullseye", options={"workers": 0}),
    session("PgBouncer 1.15, postgres in session mode", suite="bullseye"),
    deaf("PgBouncer 1.26, transaction mode", suite="unstable", options={"workers": 0}),
    session("PgBouncer 1.26, postgres in session mode", suite="unstable"),
]


@dataclass
class Result:
    """The verdicts of the check, and the measured delays."""

    topology: Topology
    checks: dict
    chat: float | None
    job: float | None
    seconds: float

    def differences(self):
        """Return a sentence for each result that differs from the topology's."""
        topology, bus, cron = self.topology, self.checks["bus"], self.checks["cron"]
        compared = {
            "bus": (bus["verdict"], topology.bus),
            "level": (bus["level"], topology.level),
            "cron": (cron["verdict"], topology.cron or cron["verdict"]),
            "chat arrives live": (self.chat is not None, topology.is_live),
            "job starts at once": (self.job is not None, topology.is_woken),
        }
        if topology.cron is None:
            del compared["job starts at once"]
        return [
            f"{what}: {actual}, expected {expected}"
            for what, (actual, expected) in compared.items()
            if actual != expected
        ]


def examine(topology, pair, template):
    """Start a topology, measure the delays, and check it as the page does."""
    started = time.monotonic()
    site = Site(topology, pair, template)
    try:
        site.start()
        job, chat = site.job_delay(), site.chat_delay()
        return Result(topology, site.page.check(), chat, job, time.monotonic() - started)
    finally:
        site.stop()


def examine_all(pair, template, topologies=TOPOLOGIES):
    """Yield the Result, or the exception, of each topology, in order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for future in [pool.submit(examine, topology, pair, template) for topology in topologies]:
            yield future.exception() or future.result()


LINE = "{:52} {:12} {:9} {:12} {:9} {:9} {:5}  {}"


def show(topology, result, is_verbose):
    """Print a line, and the texts of the check if they are wanted or wrong. Return whether all is correct."""
    if isinstance(result, Exception):
        print(f"{topology.name}: {result!r}"[-2000:], flush=True)
        return False
    differences = result.differences()
    bus, cron = result.checks["bus"], result.checks["cron"]
    live = ["not live" if delay is None else f"{delay:.2f} s" for delay in (result.chat, result.job)]
    columns = (bus["verdict"], bus["level"], cron["verdict"], *live, f"{result.seconds:.0f}")
    print(LINE.format(topology.name, *columns, "; ".join(differences) or "correct"), flush=True)
    if is_verbose or differences:
        for check in result.checks.values():
            print(check["summary"], check["evidence"], check["remedy"], sep="\n\n", end="\n\n")
    return not differences


def main():
    root = make_folder(Path(tempfile.mkdtemp(dir=make_folder(data_root()))))
    pair = Pair(root, {"postgresql": free_port(), "pgbouncer": free_port()}, Pair.new_passwords())
    pair.postgresql.max_connections = 300
    words = [word for word in sys.argv[1:] if word != "-v"]
    topologies = [topology for topology in TOPOLOGIES if " ".join(words) in topology.name]
    is_correct = []
    try:
        pair.start()
        options = pair.odoo_options() | {"db_port": pair.postgresql.port}
        odoo = Odoo(STACK / "test-topologies/install", free_port(), free_port(), options)
        odoo.install("topology")
        print(LINE.format("topology", "bus", "level", "cron", "chat", "job", "s", ""), flush=True)
        for topology, result in zip(topologies, examine_all(pair, "topology", topologies), strict=True):
            is_correct.append(show(topology, result, "-v" in sys.argv))
    finally:
        pair.stop()
        shutil.rmtree(root, ignore_errors=True)
    sys.exit(not all(is_correct))


if __name__ == "__main__":
    main()
