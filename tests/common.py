"""What the tests share: the real PgBouncer and PostgreSQL that the environment names.

`make test` starts them and sets these variables; without them the tests that need a server
are skipped. TEST_PGHOST and its like are PostgreSQL itself: Odoo would take PGHOST for its own.
"""

import csv
import os
import socket
import subprocess
import tempfile
import time
import unittest
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import psycopg2

from odoo.tests import HttpCase, TransactionCase

from ..probes import session

# Aliases in the test's PgBouncer, all in transaction mode: pools of one server (that of the kiosk for
# Odoo's own role), of five, and one that nobody uses.
TINY = "tiny"
KIOSK = "kiosk"
TILL = "till"
QUIET = "quiet"


def variable(name):
    value = os.environ.get(name)
    if not value:
        raise unittest.SkipTest(f"{name} is not set: run the tests by `make test`")
    return value


def connect(**options):
    """A connection to PostgreSQL itself, as its superuser, in autocommit mode."""
    connection = psycopg2.connect(
        **{
            "host": variable("TEST_PGHOST"),
            "port": variable("TEST_PGPORT"),
            "user": variable("TEST_PGUSER"),
            "dbname": "postgres",
            "connect_timeout": 5,
        }
        | options
    )
    if not options.get("async_"):
        connection.autocommit = True
    return connection


def connect_pooled(**options):
    """A connection through PgBouncer, as the role of a shop that is not Odoo's."""
    return connect(**{"host": variable("PGBOUNCER_HOST"), "port": variable("PGBOUNCER_PORT"), "user": "shop"} | options)


def psql(command):
    """What psql shows for a console command: a list of dictionaries of strings."""
    shown = subprocess.run(
        [
            "psql",
            "--no-psqlrc",
            "--csv",
            f"--host={variable('PGBOUNCER_HOST')}",
            f"--port={variable('PGBOUNCER_PORT')}",
            f"--username={variable('PGBOUNCER_STATS')}",
            f"--command={command}",
            "pgbouncer",
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=10,
    )
    return list(csv.DictReader(shown.stdout.splitlines()))


def answering(answers, version="9.9"):
    """Consoles that answer what no real one does: a patch of the probe.

    :param dict answers: endpoint -> command -> rows; a command that is not there has none
    """

    def run(questions, _timeout):
        now = session.time.time()
        return {
            endpoint_id: session.Reading(
                version, None, {command: by_id[endpoint_id].get(command, []) for command in commands}, now
            )
            for endpoint_id, (_address, commands) in questions.items()
        }

    by_id = {endpoint.id: of_endpoint for endpoint, of_endpoint in answers.items()}
    return patch.object(session, "run", run)


def endpoint_values(**values):
    return {
        "name": "Test PgBouncer",
        "host": variable("PGBOUNCER_HOST"),
        "port": int(variable("PGBOUNCER_PORT")),
        "user": variable("PGBOUNCER_STATS"),
        "password": variable("PGBOUNCER_STATS_PASSWORD"),
    } | values


def closed_port():
    """A TCP port on which nobody listens."""
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        time.sleep(0.05)


def forget_silence(case):
    """Let no test know which servers did not answer another one."""
    folder = tempfile.TemporaryDirectory()
    case.addCleanup(folder.cleanup)
    case.patch(type(case.env["connection.endpoint"]), "_gate_folder", lambda _self: Path(folder.name))


class ServerCase(TransactionCase):
    """Brings an endpoint for the real PgBouncer, and clients that are closed by the end."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["connection.endpoint"].search([]).active = False
        cls.endpoint = cls.env["connection.endpoint"].create(endpoint_values())

    def setUp(self):
        super().setUp()
        self.registry_enter_test_mode()  # what is written by a cursor of its own must not stay
        # What is committed before it cannot be taken back must not stay, either.
        self.env.cr.flush()
        self.patch(self.env.cr, "commit", self.env.cr.flush)
        forget_silence(self)

    def client(self, connection):
        self.addCleanup(connection.close)
        return connection

    def silent_server(self):
        """The port of a server that accepts connections and never says a word."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        return server.getsockname()[1]

    def look_again(self):
        """What the next request sees: nothing is remembered, neither by us nor by PostgreSQL."""
        self.env.cr.cache.clear()
        self.env.invalidate_all()
        self.env.cr.execute("SELECT pg_stat_clear_snapshot()")


class TourCase(HttpCase):
    """For pages in Chromium. Nothing is watched at first."""

    def setUp(self):
        super().setUp()
        forget_silence(self)
        self.env["connection.endpoint"].search([]).active = False
        self.look_again()

    def look_again(self):
        """Within the class's one transaction PostgreSQL shows the sessions of the first look."""
        self.env.cr.execute("SELECT pg_stat_clear_snapshot()")
