"""An installation whose advice is read: an Odoo, its PostgreSQL, and any number of PgBouncers."""

import contextlib
import itertools
import re
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import requests

from advice_read import NO_SOCKET, SHARED, read
from pasting import Pasting
from planned import PASSWORD, PlannedPgBouncer, minor
from planner import configuration, sizing
from planner.inputs import Inputs
from rpc import OdooClient, wait_for_answer
from servers import (
    LOCALHOST,
    MODULE,
    STACK,
    VERSIONS,
    Odoo,
    PgBouncer,
    data_root,
    free_port,
    make_certificate,
    make_folder,
)
from support import wait_until

# Servers that start at the same time.
AT_ONCE = 8
# The PgBouncer that Odoo connects through.
ROUTE = "route"
# The pools of all PgBouncers of a test fit into PostgreSQL.
SMALL = {"default_pool_size": 5}
MAX_CONNECTIONS = 500
# Of Odoo.
WORKERS = 2


@dataclass(frozen=True, eq=False)
class Case:
    """A PgBouncer, and what is found about it.

    :param str name: of its endpoint
    :param dict found: code -> level of all findings about it
    :param dict settings: of ``[pgbouncer]``; ``databases`` and ``users``: lines of these sections, in which {server} is
        the address of PostgreSQL and {own} Odoo's database
    :param tuple versions: of VERSIONS, those in which it is to be seen; ``version`` is one of them
    :param tuple clients: database and user of clients that are connected, once each
    :param dict history: name of a database -> History of the pool of Odoo's role; others were never busy
    :param bool is_unix: whether the host of its endpoint is the folder of its unix socket
    :param bool has_twin: whether another process listens on its port
    :param prepare: a function of the PgBouncer that changes it before its start
    :param tuple left: the codes that are found after the remedies were applied, too: they are no lines
    """

    name: str
    found: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    databases: dict = field(default_factory=dict)
    users: dict = field(default_factory=dict)
    versions: tuple = tuple(VERSIONS)
    version: str = "1.18"
    clients: tuple = ()
    history: dict = field(default_factory=dict)
    is_unix: bool = False
    has_twin: bool = False
    prepare: Callable | None = None
    left: tuple = ()

    @property
    def gaps(self):
        """Return what is not known of it: (rule, what it needs)."""
        return (NO_SOCKET if not self.is_unix else set()) | (SHARED if self.has_twin else set())


class History(NamedTuple):
    """The samples of a pool of the last 7 days.

    :param int used: the highest number of servers in use, and ``waiting``: of clients
    :param int full_hours: in how many hours clients waited while all servers were in use
    """

    used: int = 1
    waiting: int = 0
    full_hours: int = 0


def make_tls(server):
    """Give a PgBouncer a certificate."""
    key, certificate = server.folder / "key.pem", server.folder / "certificate.pem"
    make_certificate(key, certificate, PgBouncer.user)
    server.settings |= {"client_tls_key_file": key, "client_tls_cert_file": certificate}


@dataclass(frozen=True, eq=False)
class Plan:
    """A PgBouncer with the files of a plan.

    :param str auth: one of planner.inputs.AUTH
    :param bool is_named: whether Odoo's database has a line of its own
    :param dict values: more Inputs
    """

    version: str
    auth: str
    is_named: bool
    values: dict = field(default_factory=dict)

    @property
    def name(self):
        words = ("plan", self.version, self.auth, "named" if self.is_named else "star", *self.values)
        return " ".join(words)


class Installation:
    """An Odoo without a fault, until something is changed.

    :param Pair pair: its PostgreSQL is copied, with its passwords
    :param str template: a database with the module
    """

    database = "advised"

    def __init__(self, pair, template):
        self.passwords, self.template = pair.passwords, template
        self.folder = make_folder(Path(tempfile.mkdtemp(dir=make_folder(data_root()))))
        self.postgresql = pair.postgresql.copy(self.folder / "postgresql", free_port())
        self.postgresql.max_connections = None
        self.configure(max_connections=MAX_CONNECTIONS)
        self.cases, self.pgbouncers, self.endpoints = {}, {}, {}
        self.clients, self.twins = [], []
        self.numbers = itertools.count()
        self.odoo = self.client = None
        self.is_sampling = True
        self.variables = {}

    def configure(self, **settings):
        """Set settings of PostgreSQL where ALTER SYSTEM outranks them. They apply when it restarts."""
        with (self.postgresql.data / "postgresql.conf").open("a") as configuration:
            configuration.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def start(self):
        """Start PostgreSQL, the PgBouncer that Odoo connects through, and Odoo."""
        self.postgresql.start()
        self.postgresql.execute(
            f"CREATE DATABASE {self.database} TEMPLATE {self.template} OWNER odoo", "GRANT pg_monitor TO odoo"
        )
        self.postgresql.execute("UPDATE ir_cron SET nextcall = '2099-01-01'", dbname=self.database)
        pools = {"{own}": History(), "postgres": History()}
        self.cases[ROUTE] = Case(ROUTE, settings={"default_pool_size": 20}, history=pools)
        route = self.pgbouncers[ROUTE] = self.new_pgbouncer(self.cases[ROUTE]).start()
        password = self.passwords["odoo"]
        options = {"db_host": LOCALHOST, "db_port": route.port, "db_user": "odoo", "db_password": password}
        options |= {"workers": WORKERS, "max_cron_threads": 1, "proxy_mode": True, "db_name": self.database}
        self.odoo = Odoo(STACK / "test-advised" / self.folder.name, free_port(), free_port(), options)
        self.odoo.start()
        self.connect()
        self.add_endpoints([ROUTE])
        address = {"host": LOCALHOST, "port": self.postgresql.port, "user": "odoo", "password": password}
        [self.own] = self.client.call("connection.endpoint", "search", [["kind", "=", "postgresql"]])
        self.client.call("connection.endpoint", "write", [self.own], address)
        self.connect_sampler()
        return self

    def connect(self):
        """Log in to Odoo, when it, or its PostgreSQL, has started."""
        wait_for_answer(f"{self.odoo.url}/web/health")
        wait_until(self.is_ready, 30)

    def is_ready(self):
        """Return whether a user can log in. Each worker finds out that its connections were lost."""
        with contextlib.suppress(RuntimeError, requests.RequestException):
            self.client = OdooClient(self.odoo.url, self.database)
            return all(self.client.call("res.users", "search_count", []) for _request in range(2 * WORKERS))

    def connect_sampler(self):
        domain = [["module", "=", MODULE], ["name", "=", "ir_cron_sample"]]
        [found] = self.client.call("ir.model.data", "search_read", domain, ["res_id"])
        self.sampler = found["res_id"]
        self.sample()

    def sample(self):
        self.client.call("ir.cron", "method_direct_trigger", [self.sampler])

    def new_pgbouncer(self, case):
        settings = SMALL | case.settings
        folder = self.new_folder()
        if case.is_unix:
            settings["unix_socket_dir"] = make_folder(folder / "socket", 0o777)
        # PgBouncer may forget a database that only “*” knows just when its only client logs in.
        databases = self.filled({"{own}": "{server}"} | case.databases)
        users = self.filled(case.users)
        servers = (self.postgresql, self.passwords, databases, settings, VERSIONS[case.version], users)
        server = PgBouncer(folder, free_port(), *servers)
        if case.prepare:
            case.prepare(server)
        if case.has_twin:
            self.twins.append(PgBouncer(self.new_folder(), server.port, *servers))
        return server

    def new_folder(self):
        """Return a folder for a PgBouncer. The path of a unix socket must be short."""
        return self.folder / f"pgbouncer{next(self.numbers)}"

    def filled(self, lines):
        """Return lines of a section, filled in."""
        values = {"server": f"host={LOCALHOST} port={self.postgresql.port}", "own": self.database}
        return {name.format(**values): line and line.format(**values) for name, line in lines.items()}

    def new_planned(self, plan):
        """Return a PgBouncer with the files of a plan, whose files for psql were run."""
        ports = {"db_port": self.postgresql.port, "pgbouncer_port": free_port()}
        names = (self.database,) if plan.is_named else ()
        inputs = Inputs(version=minor(plan.version), auth=plan.auth, db_names=names, **ports | plan.values)
        texts = configuration.files(inputs, sizing.propose(inputs))
        suite = VERSIONS[plan.version]
        server = PlannedPgBouncer(self.new_folder(), inputs, texts, self.postgresql, self.passwords, suite)
        server.run_statements(PASSWORD)
        if plan.auth == "auth_query":
            # The role that looks up passwords has its own one in the first file.
            self.looked_up = getattr(self, "looked_up", None) or (server.folder / "userlist.txt").read_text()
            server.write("userlist.txt", self.looked_up)
        return server

    def add(self, cases, plans=()):
        """Start PgBouncers in place of those that were added before, and create their endpoints."""
        self.close_clients()
        old = [name for name in self.pgbouncers if name != ROUTE]
        self.client.call("connection.endpoint", "unlink", [self.endpoints.pop(name) for name in old])
        while self.twins:
            self.twins.pop().kill()
        for name in old:
            self.pgbouncers.pop(name).kill()
            self.cases.pop(name, None)
        self.cases |= {case.name: case for case in cases}
        new = {case.name: self.new_pgbouncer(case) for case in cases}
        new |= {plan.name: self.new_planned(plan) for plan in plans}
        self.pgbouncers |= new
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda server: server.start(), [*new.values(), *self.twins]))
        self.add_endpoints(new)

    def add_endpoints(self, names):
        values = [self.endpoint_values(name, self.pgbouncers[name]) for name in names]
        self.endpoints |= dict(zip(names, self.client.call("connection.endpoint", "create", values), strict=True))
        for name in names:
            if name in self.cases:
                case = self.cases[name]
                pools = dict.fromkeys((name for name, user in case.clients if user == "odoo"), History())
                self.insert_history(self.endpoints[name], pools | case.history)

    def endpoint_values(self, name, server):
        values = {"name": name, "host": LOCALHOST, "port": server.port}
        if isinstance(server, PlannedPgBouncer):
            inputs = server.inputs
            return values | {"host": inputs.pgbouncer_host, "user": inputs.stats_user, "password": PASSWORD}
        if self.cases[name].is_unix:
            values["host"] = str(server.settings["unix_socket_dir"])
        return values | {"user": PgBouncer.stats, "password": self.passwords[PgBouncer.stats]}

    def insert_history(self, endpoint, pools):
        """Store samples of the last 7 days, merged by hours as those of earlier days are.

        :param dict pools: name of a database -> History of the pool of Odoo's role
        """
        rows = ["(NULL, NULL, 1, 0, 0)"]
        rows += [f"('{name.format(own=self.database)}', 'odoo', {', '.join(map(str, pools[name]))})" for name in pools]
        self.postgresql.execute(
            f"""
            INSERT INTO connection_sample (endpoint_id, sampled_at, period, sample_count, interval, level, database,
                                           "user", used, used_max, capacity, waiting_max, pressure_max)
            SELECT {endpoint}, date_trunc('hour', now() AT TIME ZONE 'UTC') - hour * interval '1 hour'
                       + {endpoint} * interval '1 second',
                   'hour', 60, 3600, 'ok', database, "user", used, used, used,
                   CASE WHEN hour <= full_hours THEN waiting ELSE 0 END,
                   CASE WHEN hour <= full_hours THEN 200 ELSE 50 END
              FROM generate_series(1, 167) AS hour,
                   (VALUES {", ".join(rows)}) AS pool(database, "user", used, waiting, full_hours)
            """,
            dbname=self.database,
        )

    def connect_clients(self):
        """Connect the clients of all cases, again if they are connected."""
        self.close_clients()
        for name, case in self.cases.items():
            for database, user in case.clients:
                client = self.pgbouncers[name].connect(database.format(own=self.database), user)
                client.cursor().execute("SELECT 1")
                self.clients.append(client)

    def close_clients(self):
        for client in self.clients:
            client.close()
        self.clients.clear()

    def pools(self, name):
        """Return the databases that have pools in a PgBouncer."""
        with closing(self.pgbouncers[name].connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW POOLS")
            return {database for database, *_others in cursor.fetchall()} - {"pgbouncer"}

    def read(self):
        """Return the Advice of a new reading."""
        self.connect_clients()
        if self.is_sampling:
            self.sample()
        return read(self.client.call, {endpoint: name for name, endpoint in self.endpoints.items()})

    def paste(self, advice):
        """Apply the remedies of all findings, but those about plans. Lines for a console without a name are for that of
        Odoo's PgBouncer."""
        pasting = Pasting(self)
        for name, findings in advice.findings.items():
            server = self.pgbouncers.get(name or ROUTE)
            if server and not isinstance(server, PlannedPgBouncer):
                for step in [step for finding in findings for step in finding["step_facts"] or ()]:
                    pasting.paste(server, step)
        pasting.follow()

    def set_options(self, options, section="options"):
        """Change options of a section of odoo.conf. They apply when Odoo restarts."""
        path = self.odoo.configuration
        text, header = path.read_text(), f"[{section}]\n"
        for name in options:
            text = re.sub(rf"^{name} = .*\n", "", text, flags=re.MULTILINE)
        if header not in text:
            text += header
        lines = "".join(f"{name} = {value}\n" for name, value in options.items())
        path.write_text(text.replace(header, header + lines))

    def set_variables(self, variables):
        """Replace the environment variables that were set before. They apply when Odoo restarts."""
        self.variables = variables
        environment = type(self.odoo).environment
        self.odoo.environment = lambda: environment(self.odoo) | variables

    def end_sessions(self):
        """Make all poolers open new server connections."""
        self.postgresql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'odoo'")

    @contextlib.contextmanager
    def suspended_odoo(self):
        """Suspend Odoo's main process while PgBouncer is restarted: it would end if it had to start a worker then."""
        self.odoo.freeze()
        try:
            yield
        finally:
            self.odoo.thaw()

    def restart_odoo(self):
        self.odoo.kill()
        self.odoo.start()
        self.connect()

    def restart_postgresql(self):
        self.postgresql.stop()
        self.postgresql.start()
        self.connect()

    def stop(self):
        self.close_clients()
        for server in (self.odoo, *self.pgbouncers.values(), *self.twins, self.postgresql):
            if server:
                server.kill()
        if self.odoo:
            shutil.rmtree(self.odoo.folder, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
