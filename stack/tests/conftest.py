"""Servers for the tests, in folders of their own that are gone afterwards."""

import contextlib
import shutil
import socket
import tempfile
import threading
from pathlib import Path

import pytest
import requests

from probes.session import Address
from servers import LOCALHOST, STACK, Odoo, Pair, PgBouncer, data_root, free_port, make_folder


@pytest.fixture
def folder():
    make_folder(data_root())
    path = Path(tempfile.mkdtemp(dir=data_root()))
    yield make_folder(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def pair():
    """A PostgreSQL and a PgBouncer, running, for all tests that do not break them."""
    make_folder(data_root())
    root = make_folder(Path(tempfile.mkdtemp(dir=data_root())))
    pair = Pair(root, {"postgresql": free_port(), "pgbouncer": free_port()}, Pair.new_passwords())
    pair.start()
    yield pair
    pair.stop()
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def new_pgbouncer(pair, folder):
    """A function that starts one more PgBouncer, to be broken: its Debian suite, lines of
    ``[databases]``, port, settings -> PgBouncer."""
    started = []

    def new(suite=None, databases=None, port=None, **settings):
        server = PgBouncer(
            folder / f"pgbouncer{len(started)}",
            port or free_port(),
            pair.postgresql,
            pair.passwords,
            databases,
            settings,
            suite,
        )
        started.append(server)
        return server.start()

    yield new
    for server in started:
        server.stop()


@pytest.fixture
def address(pair):
    """A function: server or port, and what differs -> the Address of its console."""

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
    """The port of a web server, which answers what it does not understand in HTTP."""
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


class OdooClient:
    """A signed-in user of a running Odoo, over the web client's own RPC."""

    def __init__(self, odoo, database, login="admin", password="admin"):
        self.session = requests.Session()
        self.session.trust_env = False
        self.url = f"http://{LOCALHOST}:{odoo.port}"
        self._post("/web/session/authenticate", {"db": database, "login": login, "password": password})

    def _post(self, path, params):
        answer = self.session.post(self.url + path, json={"params": params}, timeout=60).json()
        if "error" in answer:
            raise RuntimeError(answer["error"]["data"]["name"] + ": " + answer["error"]["data"]["message"])
        return answer["result"]

    def call(self, model, method, *args, **kwargs):
        params = {"model": model, "method": method, "args": args, "kwargs": kwargs}
        return self._post("/web/dataset/call_kw", params)


@pytest.fixture(scope="session")
def installed(pair):
    """The name of a database with the module, to be used as a template: installed without
    PgBouncer, on an Odoo that knows of none. The installation logs no warning."""
    odoo = direct_odoo(pair, "install")
    odoo.install("installed")
    assert odoo.warnings() == []
    yield "installed"


def direct_odoo(pair, name, **options):
    """An Odoo on PostgreSQL's own port, without workers; not started."""
    folder = STACK / "test-odoo-direct" / name
    shutil.rmtree(folder, ignore_errors=True)
    options = pair.odoo_options() | {"db_port": pair.postgresql.port, "max_cron_threads": 0} | options
    return Odoo(folder, free_port(), free_port(), options)


@pytest.fixture
def new_database(pair, installed):
    """A function: name -> a copy of the installed database under that name."""
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
        return odoo, OdooClient(odoo, name)

    yield new
    for odoo in started:
        odoo.stop()
