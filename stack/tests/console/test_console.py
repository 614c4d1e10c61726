"""The console probe against real servers: how it connects, and the reason if it cannot."""

import os
import pwd
import socket
import subprocess
import time
from contextlib import closing
from functools import partial

import psycopg2
import pytest

from probes import query
from probing import TIMEOUT, read, refusal
from servers import (
    LOCALHOST,
    VERSIONS,
    PgBouncer,
    free_port,
    make_certificate,
    make_folder,
)


def test_columns_by_name(pgbouncer, suite, address):
    reading = query.run({"only": (address(pgbouncer), ["SHOW POOLS"])}, TIMEOUT)["only"]
    assert VERSIONS[reading.version.rpartition(".")[0]] == suite
    [own] = [row for row in reading.answers["SHOW POOLS"] if row["database"] == "pgbouncer"]
    assert own["user"] == "pgbouncer" and own["cl_active"] == "1" and own["pool_mode"] == "statement"


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
def test_refusals_are_distinguished(pgbouncer, pair, address, change, reason):
    if change.get("password", "") is None:
        change = change | {"password": pair.passwords[change["user"]]}
    answer, _seconds = refusal(address(pgbouncer, **change))
    assert answer.reason == reason, answer.detail
    assert pair.passwords[PgBouncer.stats] not in repr(answer)


def test_no_process_listens(address):
    answer, seconds = refusal(address(free_port()))
    assert answer.reason == "refused"
    assert seconds < TIMEOUT


def test_postgresql_is_not_pgbouncer(pair, address):
    for user in ("nobody", "postgres"):
        answer, _seconds = refusal(address(pair.postgresql, user=user, password=pair.passwords["postgres"]))
        assert answer.reason == "wrong_server", answer.detail


def test_a_database_named_pgbouncer_is_not_pgbouncer(pair, address):
    pair.postgresql.execute("CREATE DATABASE pgbouncer")
    try:
        answer, _seconds = refusal(address(pair.postgresql, user="postgres", password=pair.passwords["postgres"]))
    finally:
        pair.postgresql.execute("DROP DATABASE pgbouncer")
    assert answer.reason == "wrong_server", answer


@pytest.mark.parametrize("sslmode", ["prefer", "disable"])
def test_web_server_is_not_pgbouncer(address, web_server, sslmode):
    assert refusal(address(web_server, sslmode=sslmode))[0].reason == "wrong_server"


def test_tls_required(pgbouncer, new_pgbouncer, address, folder):
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    make_certificate(key, certificate, pgbouncer.user)
    server = new_pgbouncer(client_tls_sslmode="require", client_tls_key_file=key, client_tls_cert_file=certificate)
    assert refusal(address(server, sslmode="disable"))[0].reason == "tls_required"
    assert refusal(address(server, sslmode="verify-full"))[0].reason == "tls_failed"
    assert read(address(server, sslmode="require"))


def test_certificates(new_pgbouncer, address, folder, monkeypatch):
    """auth_type = cert: libpq's default files hold the trusted issuer and the client's certificate."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    make_certificate(key, certificate, PgBouncer.user)
    own_key, own_certificate = folder / "own_key.pem", folder / "own_certificate.pem"
    make_certificate(own_key, own_certificate, name=PgBouncer.stats, issuer=(key, certificate))
    server = new_pgbouncer(
        auth_type="cert",
        client_tls_sslmode="verify-full",
        client_tls_key_file=key,
        client_tls_cert_file=certificate,
        client_tls_ca_file=certificate,
    )
    monkeypatch.setenv("PGSSLROOTCERT", str(certificate))
    monkeypatch.setenv("PGSSLCERT", str(own_certificate))
    monkeypatch.setenv("PGSSLKEY", str(own_key))
    verified = address(server, sslmode="verify-ca", password="", is_trusted=True)
    assert read(verified)
    assert refusal(address(server, sslmode="verify-ca", password=""))[0].reason == "tls_failed", "not for everybody"
    own_key.chmod(0o644)
    assert refusal(verified)[0].reason == "tls_failed"
    own_key.chmod(0o600)
    monkeypatch.setenv("PGSSLROOTCERT", str(own_certificate))
    assert refusal(verified)[0].reason == "tls_failed", "another issuer"


@pytest.mark.parametrize("auth_type", ["md5", "plain", "trust", "any"])
def test_other_kinds_of_login(new_pgbouncer, address, auth_type):
    assert read(address(new_pgbouncer(auth_type=auth_type)))


def test_peer(new_pgbouncer, address, folder):
    """Over a unix socket the operating system identifies the user."""
    rules = folder / "hba.conf"
    rules.write_text("local all all peer\n")
    me = pwd.getpwuid(os.geteuid()).pw_name
    users = folder / "users.txt"
    users.write_text(f'"{me}" ""\n')
    sockets = make_folder(folder / "socket", 0o777)
    server = new_pgbouncer(
        auth_type="hba", auth_hba_file=rules, auth_file=users, stats_users=me, unix_socket_dir=sockets
    )
    assert read(address(server, host=str(sockets), user=me, password=""))


def test_environment_of_odoo_is_not_used(pgbouncer, pair, address, monkeypatch):
    """PGPASSWORD is the password of Odoo's database: it is not sent to other servers."""
    monkeypatch.setenv("PGPASSWORD", pair.passwords[PgBouncer.stats])
    monkeypatch.setenv("PGPASSFILE", "/no/such/file")
    assert refusal(address(pgbouncer, password=""))[0].reason == "no_password"
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=1000")
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "read-write")
    assert read(address(pgbouncer))


def test_password_file(pgbouncer, pair, address, folder, monkeypatch):
    passfile = folder / "pgpass"
    passfile.touch(mode=0o600)
    passfile.write_text(f"localhost:*:pgbouncer:{PgBouncer.stats}:{pair.passwords[PgBouncer.stats]}\n")
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    assert read(address(pgbouncer, host="localhost", password="", is_trusted=True))
    for refused in ({"host": "127.0.0.1", "is_trusted": True}, {"host": "localhost", "is_trusted": False}):
        assert refusal(address(pgbouncer, password="", **refused))[0].reason == "no_password"


def test_unix_socket(new_pgbouncer, address, folder, monkeypatch):
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    (folder / "socket").mkdir(mode=0o777)
    (folder / "socket").chmod(0o777)
    server = new_pgbouncer(unix_socket_dir=folder / "socket")
    reading = query.run({"only": (address(server, host=str(folder / "socket")), ["SHOW CLIENTS"])}, TIMEOUT)["only"]
    assert reading.answers["SHOW CLIENTS"][0]["addr"] == "unix"
    assert reading.started_at == pytest.approx(server.process().create_time(), abs=0.1)
    reading = query.run({"only": (address(server), ["SHOW CLIENTS"])}, TIMEOUT)["only"]
    assert reading.started_at is None, "unknown over TCP"


def test_name_in_another_encoding(pgbouncer, pair, address):
    """A client may use any application name: SHOW CLIENTS remains readable."""
    environment = dict(os.environ, PGAPPNAME=os.fsdecode(b"Kass\xe9"), PGPASSWORD=pair.passwords["shop"])
    target = f"host={LOCALHOST} port={pgbouncer.port} user=shop dbname=shop"
    command = ["psql", "--no-psqlrc", "--command=SELECT pg_sleep(30)", target]
    start = partial(subprocess.Popen, command, env=environment, stdout=subprocess.DEVNULL)
    client = start()
    try:
        deadline = time.monotonic() + 5
        while not (rows := [row for row in read(address(pgbouncer), "SHOW CLIENTS") if row["database"] == "shop"]):
            assert time.monotonic() < deadline
            if client.poll() is not None:  # 1.24 rejects this name now and then
                client = start()
        assert rows[0].get("application_name", "Kass\\xe9") == "Kass\\xe9"
    finally:
        client.kill()
        client.wait()


def test_login_that_waits_for_postgresql(address, suite, pair, folder):
    """With auth_query, for a user who is not in the auth_file, while PostgreSQL does not respond."""
    with closing(socket.create_server((LOCALHOST, 0))) as silent:
        settings = {"auth_user": "postgres", "auth_query": "SELECT usename, passwd FROM pg_shadow WHERE usename=$1"}
        if suite not in ("bullseye", "bookworm"):
            settings["auth_dbname"] = "users"
        databases = {"users": f"host={LOCALHOST} port={silent.getsockname()[1]}"}
        passwords = {"postgres": "x"}
        server = PgBouncer(folder / "one", free_port(), pair.postgresql, passwords, databases, settings, suite)
        server.start()
        try:
            assert refusal(address(server))[0].reason == "silent_login"
            assert refusal(address(server, sslmode="disable"))[0].reason == "timeout", "as if it were frozen"
        finally:
            server.stop()


def test_unknown_command(pgbouncer, address):
    """Only that command is rejected: the connection stays open and the others are answered."""
    commands = ["SHOW NONSENSE", "SHOW POOLS", "RELOAD", "SHOW LISTS"]
    answers = query.run({"only": (address(pgbouncer), commands)}, TIMEOUT)["only"].answers
    assert answers["SHOW NONSENSE"].reason == "unknown_command"
    assert answers["RELOAD"].reason == "admin_needed"
    assert answers["SHOW POOLS"] and answers["SHOW LISTS"]


def test_full_pgbouncer_can_be_read(new_pgbouncer, address, pair):
    """At max_client_conn applications are rejected, and the console still responds."""
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
        assert read(address(server))
