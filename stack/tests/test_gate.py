"""Processes share what they know of a server that does not respond."""

import json
import multiprocessing
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import pytest

from hostile import HostileConsole, table
from probes import gate
from probes.errors import QueryError
from probes.reading import Reading, pack
from servers import LOCALHOST, PgBouncer

TIMEOUT = 1.0
COMMANDS = ["SHOW POOLS"]


class SilentServer:
    """Accepts connections and never responds."""

    def __init__(self):
        self.connections = []
        self.socket = socket.create_server((LOCALHOST, 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                self.connections.append(self.socket.accept()[0])
            except OSError:
                return

    def close(self):
        self.socket.close()


@pytest.fixture
def silent():
    with closing(SilentServer()) as server:
        yield server


def read(folder, address, commands=COMMANDS, **options):
    return gate.run({1: (address, commands)}, TIMEOUT, folder, **options)[1]


def seconds_of(function):
    started = time.monotonic()
    return function(), time.monotonic() - started


def in_processes(count, function, *arguments):
    """Run a function in ``count`` processes at the same time. Return the results."""
    with multiprocessing.get_context("fork").Pool(count) as pool:
        return [result.get(20) for result in [pool.apply_async(function, arguments) for _number in range(count)]]


def reason(folder, address):
    return read(folder, address).reason


def test_one_process_waits_for_all(folder, silent, address):
    where = address(silent.port)
    results, seconds = seconds_of(partial(in_processes, 8, reason, folder, where))
    assert results == ["timeout"] * 8 and seconds < TIMEOUT + 1
    assert len(silent.connections) == 1
    error, seconds = seconds_of(partial(read, folder, where))
    assert error.reason == "timeout" and seconds < 0.1 and time.time() - error.since < TIMEOUT + 2
    assert len(silent.connections) == 1


def test_pause_grows_and_one_tries_again(folder, silent, address, monkeypatch):
    monkeypatch.setattr(gate, "FIRST_PAUSE", 0.2)
    monkeypatch.setattr(gate, "LONGEST_PAUSE", 0.8)
    where, pauses, since = address(silent.port), [], set()
    for _failure in range(4):
        read(folder, where)
        outage = gate.Server(folder, where).outage()
        assert outage.is_resting
        pauses.append(outage.pause)
        since.add(outage.since)
        time.sleep(max(outage.until - time.monotonic(), 0) + 0.05)
    assert pauses == [0.2, 0.4, 0.8, 0.8] and len(since) == 1
    tried = len(silent.connections)
    with ThreadPoolExecutor(6) as executor:
        results = list(executor.map(lambda _number: seconds_of(partial(read, folder, where)), range(6)))
    assert len(silent.connections) == tried + 1
    assert sorted(seconds > 0.5 for _error, seconds in results) == [False] * 5 + [True], "only one waits"


def test_forced_reading_ends_it(folder, new_pgbouncer, address):
    server = new_pgbouncer()
    where = address(server)
    server.freeze()
    assert read(folder, where).reason == "timeout"
    server.thaw()
    assert read(folder, where).since, "not before the pause is over"
    assert isinstance(read(folder, where, is_forced=True), Reading)
    assert isinstance(read(folder, where), Reading)
    server.freeze()
    assert read(folder, where, is_forced=True).reason == "timeout"
    server.thaw()
    assert read(folder, where).since, "its failure is remembered, too"


def test_seen_again_within_fifteen_seconds(folder, new_pgbouncer, address):
    """Lists that are refreshed every five seconds show it again after a long outage."""
    server = new_pgbouncer()
    where = address(server)
    server.freeze()
    for _failure in range(5):
        read(folder, where, is_forced=True)
    server.thaw()
    started = time.monotonic()
    while isinstance(read(folder, where), QueryError):
        time.sleep(5)
    assert time.monotonic() - started < 15


def slow_console(delay):
    def answer(_command):
        time.sleep(delay)
        return table([b"database", b"user"], [[b"shop", b"shop"]])

    return HostileConsole(answer)


def rows(folder, address, commands=COMMANDS):
    return read(folder, address, commands).answers


def test_readers_share_one_reading(folder, address):
    with slow_console(0.3) as server:
        answers = in_processes(6, rows, folder, address(server.port))
        assert answers == [{"SHOW POOLS": [{"database": "shop", "user": "shop"}]}] * 6
        assert server.connections == 1
        rows(folder, address(server.port))
        assert server.connections == 2, "nobody waited: it is read anew"


def test_other_commands_are_asked(folder, address):
    with slow_console(0.2) as server, ThreadPoolExecutor(2) as executor:
        first = executor.submit(rows, folder, address(server.port))
        time.sleep(0.1)
        assert rows(folder, address(server.port), ["SHOW STATS"]).keys() == {"SHOW STATS"}
        assert first.result().keys() == {"SHOW POOLS"} and server.connections == 2


def test_killed_process_blocks_nobody(folder, silent, address):
    where = address(silent.port)
    process = multiprocessing.get_context("fork").Process(target=read, args=(folder, where))
    process.start()
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert read(folder, where).reason == "timeout"
    assert len(silent.connections) == 2


@pytest.mark.parametrize("garbage", ["", "{", "[]", "[1, 1, null, {}]", "[1, 1, 1e300, {}]", "\0", "[" * 9999])
def test_garbage(folder, pair, address, garbage):
    where = address(pair.pgbouncer)
    read(folder, where)
    path = gate.Server(folder, where).path
    for kind in ("outage", "answer"):
        path.with_suffix(f".{kind}").write_text(garbage)
    assert isinstance(read(folder, where), Reading)


def test_without_a_folder(pair, address, silent):
    nowhere = "/proc/nowhere"
    assert isinstance(read(nowhere, address(pair.pgbouncer)), Reading)
    assert [read(nowhere, address(silent.port)).reason for _time in range(2)] == ["timeout"] * 2
    assert len(silent.connections) == 2


def test_each_way_of_reaching_it_is_another(folder, pair, address):
    wrong = address(pair.pgbouncer, password="wrong")
    assert read(folder, wrong).reason == "wrong_password"
    assert read(folder, wrong).since
    assert isinstance(read(folder, address(pair.pgbouncer)), Reading)
    kept = b"".join(path.read_bytes() for path in folder.iterdir()) + str(list(folder.iterdir())).encode()
    assert pair.passwords[PgBouncer.stats].encode() not in kept and b'wrong"' not in kept
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir() if path.suffix)


def test_reader_who_waited_in_vain_does_not_call_it_dead(folder, address):
    """Each needs other commands: it waits for one reading, not for all of them in turn."""
    with slow_console(0.3) as server, ThreadPoolExecutor(6) as executor:
        where = address(server.port)
        commands = [[f"SHOW {number}"] for number in range(6)]
        answers = list(executor.map(lambda of_reader: read(folder, where, of_reader), commands))
        assert [list(answer.answers) for answer in answers] == commands
        assert gate.Server(folder, where).outage() is None


def test_pause_of_another_boot(folder, silent, address):
    """The host's monotonic clock starts at 0 with each boot."""
    where = address(silent.port)
    read(folder, where)
    outage = gate.Server(folder, where).outage()
    gate.Server(folder, where)._write("outage", outage._replace(until=time.monotonic() + 3600))
    read(folder, where)
    assert len(silent.connections) == 2, "no pause of an hour"


def test_all_at_a_time(folder, pair, silent, address):
    """One that hangs costs its own deadline, and the other servers are read."""
    questions = {key: (address(where), COMMANDS) for key, where in (("silent", silent.port), ("good", pair.pgbouncer))}
    results, seconds = seconds_of(partial(gate.run, questions, TIMEOUT, folder))
    assert results["silent"].reason == "timeout" and results["good"].answers and seconds < TIMEOUT + 0.5
    assert gate.run({}, TIMEOUT, folder) == {}
    json.dumps(pack(results["good"]))
