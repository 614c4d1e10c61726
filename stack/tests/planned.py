"""Servers that run with the files of a plan, as they are. Only the paths are others."""

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
from planner import configuration
from servers import LOCALHOST, Odoo, PgBouncer, ServerError, free_port
from sites import Site

# How long to wait for what psql shows.
TERMINAL_SECONDS = 20


class Terminal:
    """psql in a terminal of its own, as a superuser."""

    def __init__(self, server):
        self.fd, terminal = pty.openpty()
        command = ["setsid", "--ctty", "psql", "--no-psqlrc", "--username=postgres", "postgres"]
        environment = {"PGHOST": LOCALHOST, "PGPORT": str(server.port), "PGPASSWORD": server.password}
        environment |= {"PAGER": "cat", "TERM": "dumb", "LC_ALL": "C.UTF-8", "PSQL_HISTORY": "/dev/null"}
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
        self.psql = subprocess.Popen(command, env=os.environ | environment, **streams, **server.identity)
        os.close(terminal)
        self.shown = b""

    def type_after(self, prompt, text):
        """Type a text when psql has shown a prompt, after what was typed before.

        :raise ServerError: it does not show it, or shows an error
        """
        start, deadline = len(self.shown), time.monotonic() + TERMINAL_SECONDS
        while prompt not in self.shown[start:].decode(errors="replace"):
            if select.select([self.fd], [], [], 1)[0]:
                self.shown += os.read(self.fd, 65536)
            if time.monotonic() > deadline or b"ERROR" in self.shown or b"invalid command" in self.shown:
                raise ServerError(f"psql showed:\n{self.shown.decode(errors='replace')}")
        os.write(self.fd, text.encode())

    def close(self):
        os.close(self.fd)
        self.psql.wait(TERMINAL_SECONDS)


def paste(text, server, password):
    """Paste statements into psql.

    :param str password: the answer if it prompts. Before it does, it drops what was typed.
    """
    with closing(Terminal(server)) as terminal:
        terminal.type_after("=# ", text)
        if '\\password "' in text:
            terminal.type_after("Enter new password", f"{password}\n")
            terminal.type_after("Enter it again", f"{password}\n")
            terminal.type_after("=# ", "")
        terminal.type_after("", "\\echo END\n")
        terminal.type_after("\nEND", "")


class PlannedPgBouncer(PgBouncer):
    """A PgBouncer that runs with the files of a plan.

    :param dict texts: the files
    """

    def __init__(self, folder, inputs, texts, postgresql, passwords, suite):
        super().__init__(folder, inputs.pgbouncer_port, postgresql, passwords, suite=suite)
        self.inputs, self.texts = inputs, texts
        self.write("userlist.txt", "")  # as Debian's package does

    def moved(self, text):
        """Return a text with the paths of this server."""
        for path, folder in (
            ("/etc/pgbouncer", self.folder),
            ("/var/run/postgresql", self.data),
            ("/var/log/postgresql", self.data),
        ):
            text = text.replace(path, str(folder))
        return text

    def paste_statements(self, password):
        """Paste the files for psql.

        :param str password: for the user in stats_users
        """
        for name in ("roles.sql", "auth_query.sql", "userlist.sql"):
            if text := self.texts.get(name):
                paste(self.moved(text), self.postgresql, password)

    @property
    def limit(self):
        return re.search(r"^LimitNOFILE=(\d+)$", self.texts["pgbouncer.service"], re.MULTILINE)[1]

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
        server.paste_statements(self.password)
        self.pgbouncer = self.add(server)

    def start_odoos(self):
        inputs = self.inputs
        options = self.pair.odoo_options() | {"db_name": self.database, "proxy_mode": True}
        options |= {"workers": inputs.workers, "max_cron_threads": inputs.max_cron_threads}
        parser = RawConfigParser()
        parser.read_string(self.texts["odoo.conf"])
        options |= parser["options"]
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
