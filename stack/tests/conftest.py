"""Servers for the tests, in folders of their own that are gone afterwards."""

import shutil
import tempfile
from pathlib import Path

import pytest

from probes.console import Address
from servers import LOCALHOST, Pair, PgBouncer, data_root, free_port, make_folder


@pytest.fixture
def folder():
    make_folder(data_root(), mode=0o755)
    path = Path(tempfile.mkdtemp(dir=data_root()))
    yield make_folder(path, mode=0o755)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def pair():
    """A PostgreSQL and a PgBouncer, running, for all tests that do not break them."""
    make_folder(data_root(), mode=0o755)
    root = Path(tempfile.mkdtemp(dir=data_root()))
    pair = Pair(root, {"postgresql": free_port(), "pgbouncer": free_port()}, Pair.new_passwords())
    pair.postgresql.start()
    pair.create_roles()
    pair.pgbouncer.start()
    yield pair
    pair.pgbouncer.stop()
    pair.postgresql.stop()
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def new_pgbouncer(pair, folder):
    """A function that starts one more PgBouncer, to be broken: settings -> PgBouncer."""
    started = []

    def new(**settings):
        server = PgBouncer(
            folder / f"pgbouncer{len(started)}", free_port(), pair.postgresql, pair.passwords, settings=settings
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
