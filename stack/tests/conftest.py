"""Servers for the tests, in folders that are removed afterwards."""

import contextlib
import os
import shutil
import socket
import tempfile
import threading
from functools import partial
from pathlib import Path

import pytest

from installed import Installed
from probes.address import Address
from rpc import OdooClient
from sampling import MAX_CLIENT_CONN, MAX_CONNECTIONS, Sampler
from servers import (
    LOCALHOST,
    VERSIONS,
    Pair,
    PgBouncer,
    data_root,
    free_port,
    make_folder,
)
from support import add_endpoint, direct_odoo, restore, run_program, starting_pgbouncers


@pytest.fixture
def folder():
    make_folder(data_root())
    path = Path(tempfile.mkdtemp(dir=data_root()))
    yield make_folder(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def pair():
    """A running PostgreSQL and PgBouncer, for all tests that do not break them."""
    make_folder(data_root())
    root = make_folder(Path(tempfile.mkdtemp(dir=data_root())))
    pair = Pair(root, {"postgresql": free_port(), "pgbouncer": free_port()}, Pair.new_passwords())
    pair.start()
    yield pair
    pair.stop()
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def new_pgbouncer(pair, folder):
    """See `starting_pgbouncers`: servers that the test may break."""
    with starting_pgbouncers(pair, folder) as new:
        yield new


@pytest.fixture
def address(pair):
    """A function: server or port, and other values -> the Address of its console."""

    def make(server, **values):
        port = getattr(server, "port", server)
        return Address(
            **{
                "host": LOCALHOST,
                "port": port,
                "user": PgBouncer.stats,
                "password": pair.passwords[PgBouncer.stats],
            }
            | values
        )

    return make


@pytest.fixture
def web_server():
    """The port of a web server, which answers unknown requests in HTTP."""
    with socket.create_server((LOCALHOST, 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    peer, _address = server.accept()
                    peer.recv(4096)
                    peer.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                    peer.close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


@pytest.fixture(scope="session")
def kept_dump():
    """The database of an earlier run, as SQL, which is faster than an installation. None without USE_INSTALLED."""
    if not os.environ.get("USE_INSTALLED"):
        return None
    with Installed() as servers:
        return servers.dump()


@pytest.fixture(scope="session")
def installed(pair, kept_dump):
    """The name of a template database with the module, installed by an Odoo that connects without PgBouncer.

    The installation logs no warning.
    """
    if kept_dump:
        restore(kept_dump, pair, "installed")
    else:
        odoo = direct_odoo(pair, "install")
        odoo.install("installed")
        assert odoo.warnings() == []
    return "installed"


@pytest.fixture(scope="session")
def copy_installed(request, kept_dump):
    """A function: (Pair, name) -> a copy of the installed database on other servers, also of other versions.

    It is faster than another installation.
    """
    if not kept_dump:
        pair, installed = map(request.getfixturevalue, ("pair", "installed"))
        kept_dump = run_program("pg_dump", pair.postgresql, installed)
    return partial(restore, kept_dump)


@pytest.fixture(scope="session")
def sampler(copy_installed):
    root = Path(tempfile.mkdtemp(dir=make_folder(data_root())))
    ports = {"postgresql": free_port(), "pgbouncer": free_port()}
    pair = Pair(make_folder(root), ports, Pair.new_passwords())
    pair.postgresql.max_connections = MAX_CONNECTIONS
    pair.pgbouncer.settings = {"max_client_conn": MAX_CLIENT_CONN, "default_pool_size": 3}
    pair.start()
    pair.postgresql.execute("GRANT pg_monitor TO odoo")
    odoo = direct_odoo(pair, "samples", db_name="samples")
    copy_installed(pair, "samples")
    odoo.start()
    try:
        client = OdooClient(odoo.url, "samples")
        add_endpoint(client, pair, "PgBouncer", pair.pgbouncer)
        yield Sampler(pair, odoo, client)
    finally:
        odoo.stop()
        pair.stop()
        shutil.rmtree(root)


@pytest.fixture
def new_database(pair, installed):
    """A function: name -> a copy of the installed database with that name."""
    names = []

    def new(name):
        pair.postgresql.execute(f"CREATE DATABASE {name} TEMPLATE {installed} OWNER odoo")
        names.append(name)
        return name

    yield new
    for name in names:
        pair.postgresql.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def new_odoo(pair, new_database):
    """A function that starts an Odoo on a copy of the database: options -> (Odoo, OdooClient)."""
    started = []

    def new(name, **options):
        odoo = direct_odoo(pair, name, db_name=new_database(name), **options)
        started.append(odoo)
        odoo.start()
        return odoo, OdooClient(odoo.url, name)

    yield new
    for odoo in started:
        odoo.stop()


@pytest.fixture
def watched_pgbouncer(sampler, folder):
    """A function that starts one more PgBouncer in front of the sampler's PostgreSQL: version, lines of
    ``[databases]``, settings -> PgBouncer."""
    with starting_pgbouncers(sampler.pair, folder) as new:
        yield lambda version, databases, **settings: new(VERSIONS[version], databases, **settings)
