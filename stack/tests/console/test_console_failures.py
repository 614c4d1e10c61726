"""The console probe against servers that hang, end, or send garbage."""

import os
import socket
import threading
import time
from contextlib import closing

import pytest

from probes import query
from probes.errors import QueryError
from probing import TIMEOUT, read, refusal, run_each
from servers import (
    LOCALHOST,
    free_port,
)


def test_frozen_before_and_after(new_pgbouncer, address):
    server = new_pgbouncer()
    server.freeze()
    threads = threading.active_count()
    answer, seconds = refusal(address(server))
    assert answer.reason == "timeout"
    assert TIMEOUT <= seconds < TIMEOUT + 0.5
    time.sleep(0.2)
    assert threading.active_count() <= threads, "nobody goes on waiting in the background"
    server.thaw()
    assert read(address(server))


def test_frozen_while_it_answers(new_pgbouncer, address, monkeypatch):
    """It accepts the login and hangs before the answer."""
    server = new_pgbouncer()
    wait = query.wait

    def freeze_after_login(connection, deadline):
        wait(connection, deadline)
        if server.process().status() != "stopped":
            server.freeze()

    monkeypatch.setattr(query, "wait", freeze_after_login)
    answer, seconds = refusal(address(server))
    assert answer.reason == "timeout"
    assert seconds < TIMEOUT + 0.5


def test_killed_while_it_answers(new_pgbouncer, address, monkeypatch):
    server = new_pgbouncer()
    wait = query.wait

    def kill_after_login(connection, deadline):
        wait(connection, deadline)
        server.stop()

    monkeypatch.setattr(query, "wait", kill_after_login)
    answer, seconds = refusal(address(server))
    assert answer.reason == "closed", answer.detail
    assert seconds < TIMEOUT


@pytest.mark.parametrize("bytes_each_time", [b"", b"N", b"R"], ids=["silent", "no TLS", "nonsense"])
def test_peer_that_never_responds(address, bytes_each_time):
    """It accepts the connection and sends nothing, or a byte now and then."""
    with closing(socket.create_server((LOCALHOST, 0))) as server:

        def serve():
            peer, _address = server.accept()
            with closing(peer):
                for _second in range(30):
                    time.sleep(0.1)
                    peer.sendall(bytes_each_time)

        threading.Thread(target=lambda: swallow(serve), daemon=True).start()
        answer, seconds = refusal(address(server.getsockname()[1]))
    assert answer.reason in ("timeout", "wrong_server", "other")
    assert seconds < TIMEOUT + 0.5


def swallow(function):
    try:
        function()
    except OSError:
        pass


def test_name_server_that_hangs(address, pair, monkeypatch):
    """Name resolution cannot be interrupted: other servers do not wait for it."""
    resolve = socket.getaddrinfo

    def slow(host, *args, **kwargs):
        if host == "slow":
            time.sleep(5)
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(query.socket, "getaddrinfo", slow)
    started = time.monotonic()
    addresses = {1: address(pair.pgbouncer, host="slow"), 2: address(pair.pgbouncer)}
    answers = run_each(addresses)
    assert time.monotonic() - started < TIMEOUT + 0.5
    assert answers[1].reason == "unresolved"
    assert answers[2].answers


def test_in_parallel(new_pgbouncer, pair, address):
    """Three that hang and two that refuse cost one deadline, and the others are read."""
    frozen = [new_pgbouncer() for _number in range(3)]
    for server in frozen:
        server.freeze()
    addresses = {number: address(pair.pgbouncer) for number in range(5)}
    addresses |= {f"frozen {number}": address(server) for number, server in enumerate(frozen)}
    addresses |= {f"refused {number}": address(free_port()) for number in range(2)}
    started = time.monotonic()
    answers = run_each(addresses)
    assert time.monotonic() - started < TIMEOUT + 0.5
    failed = {key: answer.reason for key, answer in answers.items() if isinstance(answer, QueryError)}
    assert failed == {f"frozen {n}": "timeout" for n in range(3)} | {f"refused {n}": "refused" for n in range(2)}


def test_more_open_files_than_select_can_watch(pair, address):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _number in range(1100)]
    try:
        assert read(address(pair.pgbouncer))
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_nothing_stays_open(pgbouncer, address):
    for _number in range(3):
        read(address(pgbouncer))
        refusal(address(pgbouncer, password="wrong"))
    time.sleep(0.2)
    clients = read(address(pgbouncer), "SHOW CLIENTS")
    assert [row["database"] for row in clients] == ["pgbouncer"], "only the one that asks"
