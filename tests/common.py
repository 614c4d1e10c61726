"""Access to the PgBouncer and the PostgreSQL of the tests, and base classes.

`make test` starts the servers and sets the environment variables. Without these, tests that need a server are skipped.
TEST_PGHOST and the like are PostgreSQL itself: Odoo would use PGHOST for its own connection.
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

from ..probes import query
from ..probes.reading import Reading

# Databases in the tests' PgBouncer, all in transaction mode: pools of one server (kiosk: for Odoo's own role), of
# five servers (desk: for Odoo's own role), and one without clients. PgBouncer keeps the pools of earlier tests: clients
# of one role for each.
TINY = "tiny"
KIOSK = "kiosk"
TILL = "till"
DESK = "desk"
QUIET = "quiet"


def variable(name):
    value = os.environ.get(name)
    if not value:
        raise unittest.SkipTest(f"{name} is not set: run the tests by `make test`")
    return value


def connect(**options):
    """Return a connection to PostgreSQL itself, as its superuser, in autocommit mode."""
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
    """Return a connection through PgBouncer, as a role that is not Odoo's."""
    return connect(**{"host": variable("PGBOUNCER_HOST"), "port": variable("PGBOUNCER_PORT"), "user": "shop"} | options)


def psql(command, user="STATS"):
    """Return what psql shows for a console command: a list of dictionaries of strings.

    :param str user: the console's user, STATS or ADMIN
    """
    shown = subprocess.run(
        [
            "psql",
            "--no-psqlrc",
            "--csv",
            f"--host={variable('PGBOUNCER_HOST')}",
            f"--port={variable('PGBOUNCER_PORT')}",
            f"--username={variable(f'PGBOUNCER_{user}')}",
            f"--command={command}",
            "pgbouncer",
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=10,
    )
    return list(csv.DictReader(shown.stdout.splitlines()))


def empty_pools():
    """Close what other tests left in the pools: PostgreSQL counts idle servers as sessions, and PgBouncer takes some
    time to notice that a waiting client is gone."""
    psql("RECONNECT", "ADMIN")

    def are_empty():
        pools = [pool for pool in psql("SHOW POOLS") if pool["database"] not in ("pgbouncer", "postgres")]
        cursor.execute("SELECT FROM pg_stat_activity WHERE usename = 'shop'")
        return not cursor.rowcount and not any(int(pool["cl_waiting"]) for pool in pools)

    with closing(connect()) as superuser, superuser.cursor() as cursor:
        wait_until(are_empty, 30)


def answering(answers, version="9.9"):
    """Return a patch of the probe: consoles with answers that no real one gives.

    :param dict answers: endpoint -> command -> rows; a missing command has no rows
    """

    def run(questions, _timeout):
        now = query.time.time()
        return {
            endpoint_id: Reading(
                version, None, {command: by_id[endpoint_id].get(command, []) for command in commands}, now
            )
            for endpoint_id, (_address, commands) in questions.items()
        }

    by_id = {endpoint.id: of_endpoint for endpoint, of_endpoint in answers.items()}
    return patch.object(query, "run", run)


def endpoint_values(**values):
    return {
        "name": "Test PgBouncer",
        "host": variable("PGBOUNCER_HOST"),
        "port": int(variable("PGBOUNCER_PORT")),
        "user": variable("PGBOUNCER_STATS"),
        "password": variable("PGBOUNCER_STATS_PASSWORD"),
    } | values


def closed_port():
    """Return a TCP port on which no server listens."""
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("timed out")
        time.sleep(0.05)


def forget_silence(case):
    """Share no state of servers with other tests."""
    folder = tempfile.TemporaryDirectory()
    case.addCleanup(folder.cleanup)
    case.patch(type(case.env["connection.endpoint"]), "_gate_folder", lambda _self: Path(folder.name))


class ServerCase(TransactionCase):
    """With an endpoint for the real PgBouncer, and clients that are closed at the end."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["connection.endpoint"].search([]).active = False
        cls.endpoint = cls.env["connection.endpoint"].create(endpoint_values())

    def setUp(self):
        super().setUp()
        self.registry_enter_test_mode()  # roll back what separate cursors write
        # And what is committed.
        self.env.cr.flush()
        self.patch(self.env.cr, "commit", self.env.cr.flush)
        forget_silence(self)

    def client(self, connection):
        self.addCleanup(connection.close)
        return connection

    def silent_server(self):
        """Return the port of a server that accepts connections and sends nothing."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        return server.getsockname()[1]

    def refresh(self):
        """Clear the caches of Odoo and PostgreSQL, as at the start of the next request."""
        self.env.cr.cache.clear()
        self.env.invalidate_all()
        self.env.cr.execute("SELECT pg_stat_clear_snapshot()")


class TourCase(HttpCase):
    """For pages in Chromium. At first, no endpoint is active."""

    def setUp(self):
        super().setUp()
        forget_silence(self)
        self.env["connection.endpoint"].search([]).active = False
        self.refresh()

    def refresh(self):
        """Clear PostgreSQL's snapshot: all tests of a class run in one transaction."""
        self.env.cr.execute("SELECT pg_stat_clear_snapshot()")
