"""Servers for the tests, in folders of their own that are gone afterwards."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import psycopg2
import pytest
import requests

from probes.address import Address
from servers import (
    LOCALHOST,
    MODULE,
    STACK,
    Odoo,
    Pair,
    PgBouncer,
    data_root,
    free_port,
    make_folder,
    postgresql_program,
)


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


@contextlib.contextmanager
def starting_pgbouncers(pair, folder):
    """A function that starts one more PgBouncer before a pair's PostgreSQL: its Debian suite, lines of ``[databases]``,
    port, settings -> PgBouncer. All of them are stopped in the end."""
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
def new_pgbouncer(pair, folder):
    """See `starting_pgbouncers`: servers to be broken."""
    with starting_pgbouncers(pair, folder) as new:
        yield new


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


def add_endpoint(client, pair, name, server, **values):
    return client.call(
        "connection.endpoint",
        "create",
        {
            "name": name,
            "host": LOCALHOST,
            "port": getattr(server, "port", server),
            "user": PgBouncer.stats,
            "password": pair.passwords[PgBouncer.stats],
        }
        | values,
    )


@pytest.fixture(scope="session")
def installed(pair):
    """The name of a database with the module, to be used as a template: installed without
    PgBouncer, on an Odoo that knows of none. The installation logs no warning."""
    odoo = direct_odoo(pair, "install")
    odoo.install("installed")
    assert odoo.warnings() == []
    yield "installed"


@pytest.fixture(scope="session")
def copy_installed(pair, installed, tmp_path_factory):
    """A function: (Pair, name) -> a copy of the installed database on other servers, also older ones,
    which is faster than another installation."""
    dump = tmp_path_factory.mktemp("installed") / "dump.sql"
    dump.write_text(run_program("pg_dump", pair.postgresql, installed))

    def copy(other, name):
        other.postgresql.execute(f"CREATE DATABASE {name} OWNER odoo")
        run_program("psql", other.postgresql, "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={dump}", name)

    return copy


def wait_until(condition, seconds=10):
    """What a function says, as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (said := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return said


def run_program(name, server, *arguments):
    """Run a client program of PostgreSQL's as the superuser: what it printed."""
    environment = {"PGHOST": LOCALHOST, "PGPORT": str(server.port), "PGUSER": "postgres", "PGPASSWORD": server.password}
    command = [postgresql_program(name), *arguments]
    return subprocess.run(command, env=os.environ | environment, check=True, capture_output=True, text=True).stdout


def direct_odoo(pair, name, **options):
    """An Odoo on PostgreSQL's own port, without workers; not started."""
    folder = STACK / "test-odoo-direct" / name
    shutil.rmtree(folder, ignore_errors=True)
    options = pair.odoo_options() | {"db_port": pair.postgresql.port, "max_cron_threads": 0} | options
    return Odoo(folder, free_port(), free_port(), options)


# CONSOLE_TIMEOUT of the endpoints, all together, and what a request takes beside it.
RUN_SECONDS = 3 + 1
LINE = re.compile(
    r" (?P<severity>INFO|WARNING|ERROR) \S+ \S+\.connection_sample: connection pressure "
    r'endpoint="(?P<endpoint>[^"]*)" pressure=(?P<pressure>-|[\d.]+)% used=(?P<used>-|\d+)/(?P<capacity>-|\d+) '
    r'waiting=(?P<waiting>-|\d+) maxwait=(?P<maxwait>-|[\d.]+)s level=(?P<level>\w+)(?P<rest> reason=".*")?\s*$',
    re.MULTILINE,
)
FIELDS = ("database", "used", "capacity", "waiting", "pressure", "level", "reason", "interval", "xact_count")
MAX_CONNECTIONS = 30
MAX_CLIENT_CONN = 20
POSTGRESQL = "PostgreSQL of this Odoo"


class Sampler:
    """An Odoo that watches its PostgreSQL and a PgBouncer, and whose cron is run on demand."""

    def __init__(self, pair, odoo, client):
        self.pair, self.odoo, self.client = pair, odoo, client
        self.cron = self.record("ir_cron_sample")

    def record(self, name):
        domain = [["module", "=", MODULE], ["name", "=", name]]
        [found] = self.client.call("ir.model.data", "search_read", domain, ["res_id"])
        return found["res_id"]

    def run(self):
        """Run the cron: name of the endpoint -> its new sample, with its line of the log as ``line``,
        and those of its pools as ``pools``."""
        newest = self.client.call("connection.sample", "search", [], order="id desc", limit=1)
        position = self.odoo.log.stat().st_size
        started = time.monotonic()
        assert self.client.call("ir.cron", "method_direct_trigger", [self.cron]) is True
        self.seconds = time.monotonic() - started
        assert self.seconds < RUN_SECONDS
        domain = [["id", ">", newest[0] if newest else 0]]
        rows = self.client.call("connection.sample", "search_read", domain, ["endpoint_id", "sessions", *FIELDS])
        with self.odoo.log.open() as log:
            log.seek(position)
            lines = {match["endpoint"]: match for match in LINE.finditer(log.read())}
        samples = {row["endpoint_id"][1]: row for row in rows if not row["database"]}
        assert samples.keys() == lines.keys()
        for name, sample in samples.items():
            sample["line"] = lines[name]
            of_endpoint = [row for row in rows if row["endpoint_id"][1] == name]
            sample["pools"] = {row["database"]: row for row in of_endpoint if row["database"]}
            assert lines[name]["level"] == sample["level"]
            for field in ("used", "capacity"):
                told = lines[name][field]
                assert told == "-" if sample[field] is False else float(told) == sample[field]
        return samples

    def look(self):
        """The first screen: what it tells, and name -> card."""
        started = time.monotonic()
        told = self.client.call("connection.overview", "get_overview")
        assert time.monotonic() - started < RUN_SECONDS
        return told, {card["name"]: card for card in told["cards"]}

    def shop(self, server=None, **options):
        return psycopg2.connect(
            host=LOCALHOST,
            port=(server or self.pair.postgresql).port,
            user="shop",
            password=self.pair.passwords["shop"],
            dbname="shop",
            connect_timeout=5,
            **options,
        )


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
        client = OdooClient(odoo, "samples")
        add_endpoint(client, pair, "PgBouncer", pair.pgbouncer)
        yield Sampler(pair, odoo, client)
    finally:
        odoo.stop()
        pair.stop()
        shutil.rmtree(root)


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
