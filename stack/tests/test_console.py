"""The console probe against real servers, whole and broken."""

import os
import socket
import threading
import time
from contextlib import closing

import psycopg2
import pytest

from probes import console
from servers import LOCALHOST, PgBouncer, free_port

TIMEOUT = 1.0


def ask(address, command="SHOW POOLS", timeout=TIMEOUT):
    """The one answer, and how long it took in seconds."""
    started = time.monotonic()
    answer = console.show({"only": address}, command, timeout)["only"]
    return answer, time.monotonic() - started


def test_columns_by_name(pair, address):
    answer, _seconds = ask(address(pair.pgbouncer))
    assert answer.version[0].isdigit() and "/" not in answer.version
    [own] = [row for row in answer.rows if row["database"] == "pgbouncer"]
    assert own["user"] == "pgbouncer" and own["cl_active"] == 1 and own["pool_mode"] == "statement"


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"password": "wrong"}, "wrong_password"),
        ({"password": ""}, "no_password"),
        ({"user": "nobody"}, "wrong_password"),
        ({"user": "shop", "password": None}, "not_allowed"),
        ({"sslmode": "require"}, "tls_unavailable"),
        ({"host": "no-such-host.invalid"}, "unresolved"),
        ({"host": "a b"}, "unresolved"),
        ({"host": "."}, "unresolved"),
        ({"host": "/no/such/folder,127.0.0.1"}, "unresolved"),
        ({"host": "/no/such/folder"}, "refused"),
    ],
)
def test_refusals_are_told_apart(pair, address, change, reason):
    if change.get("password", "") is None:
        change = change | {"password": pair.passwords[change["user"]]}
    answer, _seconds = ask(address(pair.pgbouncer, **change))
    assert answer.reason == reason, answer.detail
    assert pair.passwords[PgBouncer.stats] not in repr(answer)


def test_nobody_listens(address):
    answer, seconds = ask(address(free_port()))
    assert answer.reason == "refused"
    assert seconds < TIMEOUT


def test_postgresql_is_not_pgbouncer(pair, address):
    for user in ("nobody", "postgres"):
        answer, _seconds = ask(address(pair.postgresql, user=user, password=pair.passwords["postgres"]))
        assert answer.reason == "not_pgbouncer", answer.detail


def test_a_database_named_pgbouncer_is_not_pgbouncer(pair, address):
    pair.postgresql.execute("CREATE DATABASE pgbouncer")
    try:
        answer, _seconds = ask(address(pair.postgresql, user="postgres", password=pair.passwords["postgres"]))
    finally:
        pair.postgresql.execute("DROP DATABASE pgbouncer")
    assert answer.reason == "not_pgbouncer", answer


@pytest.mark.parametrize("sslmode", ["prefer", "disable"])
def test_web_server_is_not_pgbouncer(address, web_server, sslmode):
    assert ask(address(web_server, sslmode=sslmode))[0].reason == "not_pgbouncer"


def test_tls_required(new_pgbouncer, address, folder, pair):
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    make_certificate(key, certificate, pair.pgbouncer.user)
    server = new_pgbouncer(client_tls_sslmode="require", client_tls_key_file=key, client_tls_cert_file=certificate)
    assert ask(address(server, sslmode="disable"))[0].reason == "tls_required"
    assert ask(address(server, sslmode="verify-full"))[0].reason == "tls_failed"
    assert ask(address(server, sslmode="require"))[0].rows


def make_certificate(key, certificate, user):
    import shutil
    import subprocess

    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=pgbouncer"]
        + ["-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    if user:
        shutil.chown(key, user, user)


def test_frozen_before_and_after(new_pgbouncer, address):
    server = new_pgbouncer()
    server.freeze()
    threads = threading.active_count()
    answer, seconds = ask(address(server))
    assert answer.reason == "timeout"
    assert TIMEOUT <= seconds < TIMEOUT + 0.5
    time.sleep(0.2)
    assert threading.active_count() == threads, "nobody goes on waiting in the background"
    server.thaw()
    assert ask(address(server))[0].rows


def test_frozen_while_it_answers(new_pgbouncer, address, monkeypatch):
    """It logs us in, and hangs before the answer."""
    server = new_pgbouncer()
    wait = console._wait

    def freeze_after_login(connection, deadline):
        wait(connection, deadline)
        if server.process().status() != "stopped":
            server.freeze()

    monkeypatch.setattr(console, "_wait", freeze_after_login)
    answer, seconds = ask(address(server))
    assert answer.reason == "timeout"
    assert seconds < TIMEOUT + 0.5


def test_killed_while_it_answers(new_pgbouncer, address, monkeypatch):
    server = new_pgbouncer()
    wait = console._wait

    def kill_after_login(connection, deadline):
        wait(connection, deadline)
        server.stop()

    monkeypatch.setattr(console, "_wait", kill_after_login)
    answer, seconds = ask(address(server))
    assert answer.reason == "closed", answer.detail
    assert seconds < TIMEOUT


@pytest.mark.parametrize("bytes_each_time", [b"", b"N", b"R"], ids=["silent", "no TLS", "nonsense"])
def test_peer_that_never_comes_to_the_point(address, bytes_each_time):
    """It accepts, and then says nothing, or a byte now and then."""
    with closing(socket.create_server((LOCALHOST, 0))) as server:

        def serve():
            peer, _address = server.accept()
            with closing(peer):
                for _second in range(30):
                    time.sleep(0.1)
                    peer.sendall(bytes_each_time)

        threading.Thread(target=lambda: swallow(serve), daemon=True).start()
        answer, seconds = ask(address(server.getsockname()[1]))
    assert answer.reason in ("timeout", "not_pgbouncer", "other")
    assert seconds < TIMEOUT + 0.5


def swallow(function):
    try:
        function()
    except OSError:
        pass


def test_name_server_that_hangs(address, pair, monkeypatch):
    """Resolution cannot be interrupted: others are not kept waiting for it."""
    resolve = socket.getaddrinfo

    def slow(host, *args, **kwargs):
        if host == "slow":
            time.sleep(5)
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(console.socket, "getaddrinfo", slow)
    started = time.monotonic()
    answers = console.show({1: address(pair.pgbouncer, host="slow"), 2: address(pair.pgbouncer)}, "SHOW POOLS", TIMEOUT)
    assert time.monotonic() - started < TIMEOUT + 0.5
    assert answers[1].reason == "unresolved"
    assert answers[2].rows


def test_side_by_side(new_pgbouncer, pair, address):
    """Three that hang and two that refuse cost one deadline, and the others answer."""
    frozen = [new_pgbouncer() for _number in range(3)]
    for server in frozen:
        server.freeze()
    addresses = {number: address(pair.pgbouncer) for number in range(5)}
    addresses |= {f"frozen {number}": address(server) for number, server in enumerate(frozen)}
    addresses |= {f"refused {number}": address(free_port()) for number in range(2)}
    started = time.monotonic()
    answers = console.show(addresses, "SHOW POOLS", TIMEOUT)
    assert time.monotonic() - started < TIMEOUT + 0.5
    failed = {key: answer.reason for key, answer in answers.items() if isinstance(answer, console.ConsoleError)}
    assert failed == {f"frozen {n}": "timeout" for n in range(3)} | {f"refused {n}": "refused" for n in range(2)}


def test_more_open_files_than_select_can_watch(pair, address):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _number in range(1100)]
    try:
        assert ask(address(pair.pgbouncer))[0].rows
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_nothing_stays_open(pair, address):
    for _number in range(3):
        ask(address(pair.pgbouncer))
        ask(address(pair.pgbouncer, password="wrong"))
    time.sleep(0.2)
    clients = ask(address(pair.pgbouncer), "SHOW CLIENTS")[0].rows
    assert [row["database"] for row in clients] == ["pgbouncer"], "only the one that asks"


def test_environment_of_odoo_is_not_used(pair, address, monkeypatch):
    """PGPASSWORD is the password of Odoo's own database: no other server may get it."""
    monkeypatch.setenv("PGPASSWORD", pair.passwords[PgBouncer.stats])
    monkeypatch.setenv("PGPASSFILE", "/no/such/file")
    assert ask(address(pair.pgbouncer, password=""))[0].reason == "no_password"
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=1000")
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "read-write")
    assert ask(address(pair.pgbouncer))[0].rows


def test_password_file(pair, address, folder, monkeypatch):
    passfile = folder / "pgpass"
    passfile.touch(mode=0o600)
    passfile.write_text(f"localhost:*:pgbouncer:{PgBouncer.stats}:{pair.passwords[PgBouncer.stats]}\n")
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    assert ask(address(pair.pgbouncer, host="localhost", password="", use_passfile=True))[0].rows
    for refused in ({"host": "127.0.0.1", "use_passfile": True}, {"host": "localhost", "use_passfile": False}):
        assert ask(address(pair.pgbouncer, password="", **refused))[0].reason == "no_password"


def test_unix_socket(new_pgbouncer, address, folder, monkeypatch):
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    (folder / "socket").mkdir(mode=0o777)
    (folder / "socket").chmod(0o777)
    server = new_pgbouncer(unix_socket_dir=folder / "socket")
    answer, _seconds = ask(address(server, host=str(folder / "socket")), "SHOW CLIENTS")
    assert answer.rows[0]["addr"] == "unix"


def test_unknown_command(pair, address):
    answer, _seconds = ask(address(pair.pgbouncer), "SHOW NONSENSE")
    assert answer.reason == "other" and "invalid command" in answer.detail


def test_full_pgbouncer_can_be_read(new_pgbouncer, address, pair):
    """At max_client_conn applications are refused; the console is what must still answer."""
    server = new_pgbouncer(max_client_conn=1)
    options = {
        "host": LOCALHOST,
        "port": server.port,
        "dbname": "shop",
        "user": "shop",
        "password": pair.passwords["shop"],
    }
    with closing(psycopg2.connect(**options)):
        with pytest.raises(psycopg2.OperationalError, match="no more connections"):
            psycopg2.connect(**options)
        assert ask(address(server))[0].rows
