"""Addresses of consoles, and the environment variables of libpq that apply to them."""

import resource

import pytest

from probes import process, query
from probes.reading import Reading
from servers import free_port


@pytest.mark.parametrize(
    "name, value",
    [
        ("PGGEQO", "off"),
        ("PGCHANNELBINDING", "require"),
        ("PGREQUIREAUTH", "gss"),
        ("PGSERVICE", "other"),
        ("PGOPTIONS", "-c geqo=off"),
        ("PGTZ", "UTC"),
        ("PGNEVERHEARDOF", "x"),
    ],
)
def test_environment(pair, address, monkeypatch, folder, name, value):
    """Only the documented variables of Odoo's environment affect a connection to a console."""
    services = folder / "services.conf"
    services.write_text("[other]\nhost=192.0.2.1\nport=1\nsslmode=verify-full\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    monkeypatch.setenv(name, value)
    for command, where in (("SHOW VERSION", address(pair.pgbouncer)), ("SHOW NONSENSE", address(pair.pgbouncer))):
        reading = query.run({1: (where, [command])}, 3)[1]
        assert isinstance(reading, Reading), reading
    assert reading.answers["SHOW NONSENSE"].reason == "unknown_command"
    assert query.run({1: (address(free_port()), ["SHOW POOLS"])}, 3)[1].reason == "refused"


def test_abstract_socket(new_pgbouncer, address):
    server = new_pgbouncer(unix_socket_dir=f"@pgbouncer_monitor_{free_port()}")
    reading = query.run({1: (address(server, host=server.settings["unix_socket_dir"]), ["SHOW CLIENTS"])}, 3)[1]
    assert reading.answers["SHOW CLIENTS"][0]["addr"] == "unix"
    assert reading.started_at == pytest.approx(server.process().create_time(), abs=0.1)


def test_process(new_pgbouncer, address):
    """Known over a unix socket, or by the configuration file that it was started with."""
    server = new_pgbouncer(unix_socket_dir=f"@pgbouncer_monitor_{free_port()}")
    where = address(server, host=server.settings["unix_socket_dir"])
    reading = query.run({1: (where, ["SHOW CONFIG"])}, 3)[1]
    [conffile] = [row["value"] for row in reading.answers["SHOW CONFIG"] if row["key"] == "conffile"]
    assert reading.pid == process.find_pgbouncer(conffile) == server.process().pid
    limit, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert process.open_files(reading.pid) == limit
    server.stop()
    assert process.find_pgbouncer(conffile) is None
    assert process.open_files(2**31 - 1) is None
