"""Servers that run with the files of a plan, as they are. Only the paths are others."""

import contextlib
import os
import pty
import re
import select
import shlex
import subprocess
import time
from configparser import RawConfigParser
from contextlib import closing

import psycopg2

from broken import Service, paste_location
from planner import configuration, quoting, sizing, statements
from servers import LOCALHOST, VERSIONS, Odoo, PgBouncer, ServerError, free_port
from sites import Site

# Of the user in stats_users.
PASSWORD = 'pass\'word "of" 100% ü'
# How long a command in a terminal may take.
TERMINAL_SECONDS = 60


def minor(version):
    return int(version.partition(".")[2])


def remove_statements(pair, inputs):
    """Remove what the files for psql have created."""
    for name in ("postgres", *inputs.db_names):
        pair.postgresql.execute(f"DROP SCHEMA IF EXISTS {statements.SCHEMA} CASCADE", dbname=name)
    for name in (inputs.stats_user, *([statements.AUTH_USER] if inputs.auth == "auth_query" else [])):
        pair.postgresql.execute(f"DROP ROLE IF EXISTS {quoting.identifier(name)}")


def run_in_terminal(command, password, environment, identity):
    """Run a shell command in a terminal of its own, and answer its prompts with a password.

    :return: what the terminal has shown, and how many prompts were answered
    :raise ServerError: the command failed
    """
    fd, terminal = pty.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    words = ["setsid", "--ctty", "sh", "-c", command]
    process = subprocess.Popen(words, env=os.environ | environment, **streams, **identity)
    os.close(terminal)
    shown, answered, deadline = b"", 0, time.monotonic() + TERMINAL_SECONDS
    with contextlib.suppress(OSError):  # at the end of the last process in the terminal
        while time.monotonic() < deadline:
            if select.select([fd], [], [], 1)[0]:
                shown += os.read(fd, 65536)
            if len(re.findall(rb"Enter new password|Enter it again", shown)) > answered:
                answered += 1
                os.write(fd, f"{password}\n".encode())
    os.close(fd)
    text = shown.decode(errors="replace")
    if process.wait(TERMINAL_SECONDS):
        raise ServerError(f"{command} showed:\n{text}")
    return text, answered


def odoo_options(texts):
    """Return the options of odoo.conf in the files of a plan."""
    parser = RawConfigParser()
    parser.read_string(texts["odoo.conf"])
    return dict(parser["options"])


class PlannedPgBouncer(PgBouncer):
    """A PgBouncer that runs with the files of a plan.

    :param dict texts: the files
    """

    def __init__(self, folder, inputs, texts, postgresql, passwords, suite):
        super().__init__(folder, inputs.pgbouncer_port, postgresql, passwords, suite=suite)
        self.inputs, self.texts = inputs, texts
        # Debian's package creates it. Another user may have changed its mode.
        self.write("userlist.txt", "").chmod(0o644)

    def moved(self, text):
        """Return a text with the paths of this server."""
        for path, folder in (
            ("/etc/pgbouncer", self.folder),
            ("/var/run/postgresql", self.data),
            ("/var/log/postgresql", self.data),
        ):
            text = text.replace(path, str(folder))
        return text

    def run_statements(self, password):
        """Run the files for psql as their first lines show it, also if they ran before.

        :param str password: for the user in stats_users
        :return: what the terminal has shown, and how many prompts were answered
        """
        results = [
            self.run_file(name, password)
            for name in ("roles.sql", "auth_query.sql", "userlist.sql")
            if name in self.texts
        ]
        return "".join(shown for shown, _count in results), sum(count for _shown, count in results)

    def run_file(self, name, password=""):
        """Run a file for psql in a terminal. See `run_in_terminal`."""
        text = self.moved(self.texts[name])
        command = text.partition("\n")[0].removeprefix("-- On the host of PgBouncer: ")
        assert command == statements.command(self.inputs, name)
        path = self.write(name, text)
        # This cluster has no unix socket, and the process runs as PgBouncer's user anyway.
        command = command.replace("sudo -u postgres ", "").replace(f"-h {shlex.quote(self.inputs.db_host)} ", "")
        command = command.replace(f"< {name}", f"< {shlex.quote(str(path))}")
        environment = {"PGHOST": LOCALHOST, "PGPASSWORD": self.postgresql.password, "LC_ALL": "C.UTF-8"}
        return run_in_terminal(command, password, environment, self.postgresql.identity)

    @property
    def limit(self):
        return re.search(r"^LimitNOFILE=(\d+)$", self.texts["limits.conf"], re.MULTILINE)[1]

    def command(self):
        path = self.write("pgbouncer.ini", self.moved(self.texts["pgbouncer.ini"]))
        return ["prlimit", f"--nofile={self.limit}", self.program, str(path)]

    def warnings(self):
        """Return the lines of its log that are warnings or worse."""
        return [line for line in self.log.read_text().splitlines() if re.search(r"\] (WARNING|ERROR|FATAL) ", line)]

    def expected_descriptors(self):
        """Return how many file descriptors it may use, as it reports when it starts."""
        return int(re.search(r"max expected fd use: (\d+)", self.log.read_text())[1])

    def connect_stats(self, password):
        """Return a connection to its console, as the user in stats_users."""
        address = {"host": LOCALHOST, "port": self.port, "dbname": "pgbouncer"}
        connection = psycopg2.connect(user=self.inputs.stats_user, password=password, **address)
        connection.autocommit = True
        return connection

    def show_config(self, password):
        """Return setting -> (value, whether RELOAD changes it)."""
        with closing(self.connect_stats(password)) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW CONFIG")
            columns = [column.name for column in cursor.description]
            rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        return {row["key"]: (row["value"], row["changeable"] == "yes") for row in rows}


def new_planned(folder, inputs, postgresql, passwords):
    """Return a PgBouncer 1.24 with the files of a plan, after those for psql have run. It is not started.

    :param dict passwords: with that of ``inputs.stats_user``
    """
    texts = configuration.files(inputs, sizing.propose(inputs))
    pgbouncer = PlannedPgBouncer(folder, inputs, texts, postgresql, passwords, VERSIONS["1.24"])
    pgbouncer.run_statements(passwords[inputs.stats_user])
    return pgbouncer


class PlannedSite(Site):
    """A site whose configuration is that of a plan.

    :param topology: with ``plan``, a function: ports of PostgreSQL, PgBouncer and gevent -> (Inputs, Proposal)
    :param str password: of the user in stats_users
    """

    def __init__(self, topology, pair, template, password):
        super().__init__(topology, pair, template)
        self.password = password

    def start_pgbouncers(self):
        gevent_port = free_port()
        while free_port(gevent_port + 1) != gevent_port + 1:
            gevent_port = free_port()
        self.inputs, self.proposal = self.topology.plan(self.postgresql.port, free_port(), gevent_port)
        self.texts = configuration.files(self.inputs, self.proposal)
        server = PlannedPgBouncer(
            self.folder / "pgbouncer",
            self.inputs,
            self.texts,
            self.postgresql,
            self.passwords,
            self.topology.suite,
        )
        server.run_statements(self.password)
        self.pgbouncer = self.add(server)

    def start_odoos(self):
        inputs = self.inputs
        options = self.pair.odoo_options() | {"db_name": self.database, "proxy_mode": True}
        options |= {"workers": inputs.workers, "max_cron_threads": inputs.max_cron_threads}
        options |= odoo_options(self.texts)
        self.odoo = self.add(Odoo(self.odoo_folder / "odoo", inputs.http_port, inputs.gevent_port, options))
        self.odoos, self.buses = [self.odoo], []
        if unit := self.texts.get("odoo-bus.service"):
            words = shlex.split(re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)[1])
            start, *words = [str(self.odoo.configuration) if word == "/etc/odoo/odoo.conf" else word for word in words]
            assert start == "/usr/bin/odoo"
            port = configuration.bus_port(inputs)
            self.buses.append(self.add(Service(self.odoo_folder / "odoo-bus", port, [*self.odoo.odoo()[:2], *words])))
        self.bus_ports = [configuration.bus_port(inputs)]
        self.wait_for_bus()

    def start_proxy(self):
        super().start_proxy()
        paste_location(self.proxy, self.texts["nginx.conf"])
        self.proxy.kill()
        self.proxy.start()

    def add_endpoint(self, server, host=LOCALHOST):
        values = {"name": server.folder.name, "host": host, "port": server.port, "user": self.inputs.stats_user}
        return self.page.call("connection.endpoint", "create", values | {"password": self.password})
