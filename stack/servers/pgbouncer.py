"""PgBouncer."""

import signal
from contextlib import closing
from pathlib import Path

import psycopg2

from .process import Server
from .system import LOCALHOST, suite_root


class PgBouncer(Server):
    """A PgBouncer in transaction mode, with the database ``postgres`` in session mode and SCRAM on both sides.

    :param PostgreSQL postgresql: the server behind it
    :param dict passwords: user -> password in plain text, of all users that may connect
    :param dict databases: lines of ``[databases]``: name -> connection string, or None to remove the line
    :param dict settings: more settings of ``[pgbouncer]``
    :param dict users: lines of ``[users]``
    :param str suite: the Debian suite whose PgBouncer it runs; by default the installed one
    """

    name = "pgbouncer"
    # SIGTERM waits for clients since 1.23; SIGKILL ends every version at once.
    stop_signal = signal.SIGKILL
    admin = "pgbouncer_admin"
    stats = "pgbouncer_stats"

    def __init__(self, folder, port, postgresql, passwords, databases=None, settings=None, suite=None, users=None):
        super().__init__(folder, port)
        self.variables = {}
        self.program = str(suite_root(suite) / "usr/sbin/pgbouncer") if suite else "/usr/sbin/pgbouncer"
        self.postgresql = postgresql
        self.passwords = passwords
        self.databases = databases or {}
        self.settings = settings or {}
        self.users = users or {}

    def lines(self):
        """Return the lines of ``[databases]``: name -> connection string."""
        server = f"host={LOCALHOST} port={self.postgresql.port}"
        lines = {"postgres": f"{server} pool_mode=session", "*": server} | self.databases
        return {name: line for name, line in lines.items() if line}

    def command(self):
        users = self.write(
            "userlist.txt", "".join(f'"{name}" "{password}"\n' for name, password in self.passwords.items())
        )
        settings = {
            "listen_addr": LOCALHOST,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": users,
            "admin_users": self.admin,
            "stats_users": self.stats,
            "pool_mode": "transaction",
            "default_pool_size": 20,
            "max_client_conn": 1000,
        } | self.settings
        configuration = self.write(
            "pgbouncer.ini",
            "[databases]\n"
            + "".join(f"{name} = {line}\n" for name, line in self.lines().items())
            + "\n[users]\n"
            + "".join(f"{name} = {line}\n" for name, line in self.users.items())
            + "\n[pgbouncer]\n"
            + "".join(f"{key} = {value}\n" for key, value in settings.items()),
        )
        return [self.program, str(configuration)]

    def environment(self):
        return super().environment() | self.variables

    def fake_clock(self, offset="+0"):
        """Shift its clock by a number of seconds, for example "-3600".

        It applies from the next start; later calls apply at once. Only the installed version can be shifted: it uses
        the system's C library.
        """
        self.write("clock", f"{offset}\n")
        [library] = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
        self.variables = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def connect(self, dbname="pgbouncer", user=admin, **options):
        """Return a psycopg2 connection through it in autocommit mode; by default to its console."""
        address = {"host": LOCALHOST, "port": self.port, "user": user, "password": self.passwords[user]}
        connection = psycopg2.connect(dbname=dbname, **address | options)
        connection.autocommit = True
        return connection

    def execute(self, command):
        """Run a command in its console. It may take until the last client of a pool leaves."""
        with closing(self.connect()) as connection:
            connection.cursor().execute(command)

    def reload(self):
        """Write its configuration and make it read it."""
        self.command()
        self.process().send_signal(signal.SIGHUP)
