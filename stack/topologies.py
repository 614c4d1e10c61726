"""Start each way of connecting an Odoo, on real servers, and check it:
``topologies.py [NAME] [--at-once] [--table FILE] [-v]``.

For each topology and moment it prints the verdicts of the LISTEN check next to the facts: whether a chat message
reaches every browser's websocket, and whether a triggered scheduled action starts at once. The moments are at once, and
after two times of silence.
"""

import argparse
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
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
from topology import SILENCES, Seen
from topology_list import TOPOLOGIES

# How many topologies exist at the same time, those seen at once only and those with silences; how many of these start,
# and how many are measured.
BUSY, SILENT, STARTING, MEASURED = 4, 40, 3, 8
MAX_CONNECTIONS = 800
CHECKS = {
    "browser": "check",
    "blocked": "check",
    "rpc": "check_without_browser",
    "scheduled": "check_scheduled",
}


class Examination:
    """Start topologies, measure the truth, and check them."""

    def __init__(self, pair, template, moments):
        self.pair, self.template, self.moments = pair, template, moments
        self.starting, self.measured = threading.Semaphore(STARTING), threading.Semaphore(MEASURED)
        self.is_ended = threading.Event()

    def examine_all(self, topologies):
        """Yield a list of Seen, or the exception, of each topology, in order."""
        # While some are silent, others are seen at once.
        pools = [ThreadPoolExecutor(BUSY), ThreadPoolExecutor(SILENT)]
        # Those that take the longest are the first.
        by_time = sorted(topologies, key=lambda topology: (topology.is_long, len(topology.silences)), reverse=True)
        futures = {
            topology: pools[min(self.moments, len(topology.silences)) > 1].submit(self.examine, topology)
            for topology in by_time
        }
        try:
            for topology in topologies:
                yield futures[topology].exception() or futures[topology].result()
        finally:
            self.is_ended.set()
            for pool in pools:
                pool.shutdown(cancel_futures=True)

    def examine(self, topology):
        site = Site(topology, self.pair, self.template)
        try:
            with self.starting:
                site.start()
            return list(self.look(site))
        finally:
            site.stop()

    def look(self, site):
        """Yield what is seen at each moment."""
        for moment, seconds in enumerate(site.topology.silences[: self.moments]):
            silent_since = time.monotonic()
            if self.is_ended.wait(seconds):  # interrupted
                return
            # Quiet connections do not wait.
            with nullcontext() if site.topology.is_alone else self.measured:
                seen = see(site, moment, time.monotonic() - silent_since if seconds else 0)
                if seen.is_slow(site.topology):
                    seen = replace(see(site, moment, seen.silence), is_repeated=True)
                yield seen


def see(site, moment, silence):
    """Return what is seen. What is live before and after the checks is live. The chat is last: silence begins then."""
    topology, users, started = site.topology, site.users, time.monotonic()
    chat, job = topology.chat[moment], topology.job[moment]
    chats, jobs = [users.chat_delay(chat)], [users.job_delay(job)]
    checks = [getattr(site.page, CHECKS[name])() for name in topology.checked_by]
    if job is None:
        jobs.append(users.job_delay(job))
    chats.append(users.chat_delay(chat))
    delays = [None if None in found else max(found) for found in (chats, jobs)]
    return Seen(moment, silence, time.monotonic() - started, *delays, checks)


def examine_all(pair, template, topologies, moments=1):
    """See `Examination`."""
    return Examination(pair, template, moments).examine_all(topologies)


LINE = "{:54} {:>6} {:8} {:8} {:12} {:9} {:12} {:9} {}"
HEADER = ("topology", "silent", "chat", "job", "bus", "level", "cron", "level", "")


def show(topology, seen, is_verbose):
    """Print a line, and the texts of the checks if they are wanted or wrong. Return whether all is correct."""
    truth = ["dead" if delay is None else f"{delay:.2f} s" for delay in (seen.chat, seen.job)]
    for checks in seen.checks:
        words = [checks[listener][name] for listener in ("bus", "cron") for name in ("verdict", "level")]
        result = "; ".join(seen.errors(topology, checks)) or "correct"
        result += ", seen twice" * seen.is_repeated
        print(LINE.format(topology.name, f"{seen.silence:.0f} s", *truth, *words, result), flush=True)
        if is_verbose:
            for check in checks.values():
                print(check["summary"], check["evidence"], check["remedy"], sep="\n\n", end="\n\n")
    return not seen.differences(topology)


def at_moments(texts):
    """Return texts, one for each moment, as one text."""
    return texts[0] if len(set(texts)) == 1 else " → ".join(texts)


def table_row(topology, seen):
    """Return a line of the table in Markdown. Of several checks it has the last one's verdicts."""
    chat, job = (
        at_moments(["dead" if delay is None else "live" for delay in delays])
        for delays in ([one.chat for one in seen], [one.job for one in seen])
    )
    bus, cron = (
        at_moments([f"{one.checks[-1][listener]['verdict']}, {one.checks[-1][listener]['level']}" for one in seen])
        for listener in ("bus", "cron")
    )
    return f"| {topology.name} | chat {chat}; job {job} | {bus} | {cron} |"


def run(pair, options):
    """Examine topologies and print what is seen. Return how many are wrong, and the rows of the table."""
    topologies = [topology for topology in TOPOLOGIES if re.search(options.name, topology.name)]
    moments = 1 if options.at_once else len(SILENCES)
    wrong, rows = 0, []
    print(LINE.format(*HEADER), flush=True)
    for topology, seen in zip(topologies, examine_all(pair, "topology", topologies, moments), strict=True):
        if isinstance(seen, Exception):
            print(f"{topology.name}: {seen!r}"[-2000:], flush=True)
            wrong += 1
        else:
            wrong += not all([show(topology, one, options.v) for one in seen])
            rows.append(table_row(topology, seen))
    print(f"{len(topologies)} topologies, {wrong} of them wrong")
    return wrong, rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", default="", help="a regular expression: only topologies whose names match")
    parser.add_argument("--at-once", action="store_true", help="without silence")
    parser.add_argument("--table", type=Path, help="write a table in Markdown to this file")
    parser.add_argument("-v", action="store_true", help="print the texts of the checks")
    options = parser.parse_args()
    # As an exception, so that the servers are stopped.
    signal.signal(signal.SIGTERM, lambda *_args: sys.exit("terminated"))
    root = make_folder(Path(tempfile.mkdtemp(dir=make_folder(data_root()))))
    pair = Pair(root, {"postgresql": free_port(), "pgbouncer": free_port()}, Pair.new_passwords())
    pair.postgresql.max_connections = MAX_CONNECTIONS
    try:
        pair.start()
        direct = pair.odoo_options() | {"db_port": pair.postgresql.port}
        Odoo(STACK / "test-topologies/install", free_port(), free_port(), direct).install("topology")
        wrong, rows = run(pair, options)
    finally:
        pair.stop()
        shutil.rmtree(root, ignore_errors=True)
    if options.table:
        moments = " → ".join(["at once", *(f"after {seconds} s" for seconds in SILENCES[1:])])
        head = [f"| topology | truth, {moments} of silence | bus | cron |", "| --- | --- | --- | --- |"]
        options.table.write_text("\n".join([*head, *rows, ""]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
