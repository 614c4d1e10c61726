"""PostgreSQL."""

import os
import signal
import subprocess
from contextlib import closing
from pathlib import Path

import psycopg2

from .process import Server
from .system import LOCALHOST, ServerError, suite_root


def postgresql_program(name, root=Path("/")):
    """Return the path of a program, such as ``initdb``, of the newest installed PostgreSQL."""
    found = sorted(root.glob(f"usr/lib/postgresql/*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    if not found:
        raise ServerError(f"{name} is not installed: run stack/install.sh demo")
    return str(found[-1])


class PostgreSQL(Server):
    """A cluster whose superuser is ``postgres``. It runs without fsync.

    :param int max_connections: None for that of its configuration files, which ALTER SYSTEM can change
    :param str suite: the Debian suite whose PostgreSQL it runs; by default the installed one
    """

    name = "postgresql"
    stop_signal = signal.SIGINT
    start_seconds = 60

    def __init__(self, folder, port, password, max_connections=100, suite=None):
        super().__init__(folder, port)
        self.root = suite_root(suite) if suite else Path("/")
        self.password = password
        self.max_connections = max_connections

    def command(self):
        if not (self.data / "PG_VERSION").exists():
            self._initdb()
        settings = {
            "port": self.port,
            "listen_addresses": LOCALHOST,
            "unix_socket_directories": "",
            "max_connections": self.max_connections,
            "fsync": "off",
            "wal_keep_size": "1GB",  # `copy` needs the WAL that is written meanwhile
            "log_lock_waits": "on",
        }
        options = [f"-c{key}={value}" for key, value in settings.items() if value is not None]
        return [postgresql_program("postgres", self.root), "-D", str(self.data), *options]

    def _initdb(self):
        password = self.write("password", self.password)
        subprocess.run(
            [
                postgresql_program("initdb", self.root),
                f"--pgdata={self.data}",
                "--username=postgres",
                "--auth=scram-sha-256",
                f"--pwfile={password}",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
            check=True,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            **self.identity,
        )
        password.unlink()

    def copy(self, folder, port, is_standby=False):
        """Return another cluster with the roles and databases of this one, which runs.

        :param bool is_standby: whether it will follow this one by streaming replication
        """
        copy = PostgreSQL(folder, port, self.password)
        if is_standby:
            copy.max_connections = self.max_connections  # it cannot be less
        subprocess.run(
            [
                postgresql_program("pg_basebackup", self.root),
                f"--pgdata={copy.data}",
                f"--host={LOCALHOST}",
                f"--port={self.port}",
                "--username=postgres",
                "--checkpoint=fast",
                "--no-sync",
                *(["--write-recovery-conf"] if is_standby else []),
            ],
            check=True,
            cwd=copy.folder,
            env=os.environ | {"PGPASSWORD": self.password},
            **self.identity,
        )
        return copy

    def is_ready(self):
        self.connect().close()
        return True

    def connect(self, dbname="postgres", user="postgres", password=None, **options):
        """Return a psycopg2 connection in autocommit mode."""
        connection = psycopg2.connect(
            host=LOCALHOST,
            port=self.port,
            dbname=dbname,
            user=user,
            password=password or self.password,
            **{"connect_timeout": 5} | options,
        )
        connection.autocommit = True
        return connection

    def execute(self, *statements, dbname="postgres"):
        """Run statements as the superuser. Return the rows of the last one, or None if it returns none."""
        with closing(self.connect(dbname)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description is not None else None
