"""The servers of a topology."""

import contextlib
import re
import shutil
import tempfile
import threading
from pathlib import Path

import psycopg2

from page import BlockedPage, Page
from rpc import wait_for_answer
from servers import (
    LOCALHOST,
    STACK,
    Firewall,
    Nginx,
    Odoo,
    OdooBus,
    PgBouncer,
    PostgreSQL,
    StickyProxy,
    TcpProxy,
    data_root,
    free_port,
    make_certificate,
    make_folder,
)
from users import Users

# How long a connection may be quiet before a firewall forgets it.
FIREWALL_SECONDS = 50


class Site:
    """The servers of a topology, with their own database.

    :param Pair pair: its PostgreSQL, or a copy of that, has the database; its roles and passwords are used
    :param str template: a database with the module
    """

    def __init__(self, topology, pair, template):
        self.topology, self.pair, self.template = topology, pair, template
        self.database = "site_" + re.sub(r"\W+", "_", topology.name.lower())
        self.postgresql, self.passwords = pair.postgresql, pair.passwords
        self.folder = make_folder(Path(tempfile.mkdtemp(dir=make_folder(data_root()))))
        self.odoo_folder = STACK / "test-topologies" / self.database
        self.servers, self.connections = [], []

    def start(self):
        topology = self.topology
        self.create_database()
        if topology.postgres is not False:
            self.start_pgbouncers()
        self.start_odoos()
        self.start_proxy()
        page_class = BlockedPage if "blocked" in topology.checked_by else Page
        self.page = page_class(self.url, self.database)
        for server in self.servers:
            if isinstance(server, PgBouncer) and topology.is_watched:
                self.add_endpoint(server)
        self.users = Users(self.page, self.bus_ports)
        if topology.later:
            self.change_later()
        if topology.after:
            self.page.open_socket()  # now the bus listens
            topology.after(self)
        return self

    def create_database(self):
        if self.topology.is_alone:
            self.postgresql = self.add(self.postgresql.copy(self.folder / "postgresql", free_port()))
        execute = self.postgresql.execute
        execute(f"CREATE DATABASE {self.database} TEMPLATE {self.template} OWNER odoo")
        # No job is due: only a triggered job wakes a cron worker before its timer (60 s).
        execute("UPDATE ir_cron SET nextcall = '2099-01-01'", dbname=self.database)
        if self.topology.role_setting:
            execute(f"ALTER ROLE odoo SET {self.topology.role_setting}")

    def start_odoos(self):
        topology = self.topology
        options = self.pair.odoo_options() | {"db_name": self.database, "proxy_mode": True}
        options |= {"workers": 2, "max_cron_threads": 1} | topology.options
        route = self.route("direct" if topology.postgres is False else topology.route)
        if topology.alt:
            alt = self.route(topology.alt)
            route |= {
                "server_wide_modules": "base,rpc,web,bus_alt_connection",
                "imdispatcher_db_host": alt["db_host"],
                "imdispatcher_db_port": alt["db_port"],
            }
        shutil.rmtree(self.odoo_folder, ignore_errors=True)
        self.odoo = self.add(Odoo(self.odoo_folder / "odoo", free_port(), free_port(), options | route))
        self.odoos, self.buses, shared = [self.odoo], [], {"data_dir": self.odoo.data}
        if topology.second_host:
            second = options | self.route(topology.second_host) | shared
            folder = self.odoo_folder / "second"
            self.odoos.append(self.add(Odoo(folder, free_port(), free_port(), second, "second-host")))
        for number, name in enumerate(topology.buses):
            port, folder = free_port(), self.odoo_folder / f"bus-{number}"
            self.buses.append(self.add(OdooBus(folder, port, port, options | self.route(name) | shared)))
        own_ports = [odoo.gevent_port if options["workers"] else odoo.port for odoo in self.odoos]
        self.bus_ports = [bus.port for bus in self.buses] or own_ports
        self.wait_for_bus()

    def route(self, name):
        """Return the options of odoo.conf of a route. See `Topology`."""
        options = {"db_host": LOCALHOST, "db_port": self.postgresql.port}
        if name == "pool":
            options = dict(self.pool)
        elif name == "cluster":
            options["db_port"] = self.start_cluster().port
        elif name == "firewall":
            options["db_port"] = self.add(Firewall(free_port(), self.postgresql.port, FIREWALL_SECONDS)).port
        if self.topology.proxied == "odoo":
            options["db_port"] = self.start_tcp_proxy(options["db_port"])
        return options

    def start_cluster(self):
        """Start another PostgreSQL, on which Odoo may log in."""
        cluster = self.add(PostgreSQL(self.folder / "cluster", free_port(), self.passwords["postgres"]))
        cluster.execute(f"CREATE ROLE odoo LOGIN PASSWORD '{self.passwords['odoo']}'")
        return cluster

    def start_tcp_proxy(self, target):
        """Return the port of a TCP proxy in front of a port."""
        port = free_port()
        return self.add(TcpProxy(self.folder / f"proxy-{port}", port, target, self.topology.timeout)).port

    def start_proxy(self):
        odoo_ports = [odoo.port for odoo in self.odoos]
        bus_ports = odoo_ports if self.topology.is_misled else self.bus_ports
        folder, port, parameters = self.folder / "proxy", free_port(), self.topology.nginx
        if self.topology.sticky:
            self.proxy = self.add(StickyProxy(folder, port, odoo_ports, bus_ports, self.topology.sticky))
        else:
            self.proxy = self.add(Nginx(folder, port, odoo_ports, bus_ports, **parameters))
        self.url = self.proxy.url

    def change_later(self):
        if self.topology.postgres is None:
            self.pgbouncer.databases = {"postgres": None, "*": None, self.database: self.line}
        else:
            self.pgbouncer.databases = {"postgres": f"{self.line} {self.topology.postgres}"}
        if self.topology.later == "restart":
            self.pgbouncer.stop()
            self.pgbouncer.start()
        else:
            self.pgbouncer.reload()

    def start_pgbouncers(self):
        """Start them. Odoo connects to the last one."""
        topology, port = self.topology, self.postgresql.port
        self.line = f"host={LOCALHOST} port={self.start_tcp_proxy(port) if topology.proxied == 'pgbouncer' else port}"
        if topology.inner is not None:
            inner = self.add_pgbouncer("inner", {"*": self.line, "postgres": f"{self.line} {topology.inner}"})
            self.line = f"host={LOCALHOST} port={inner.port}"
        settings = dict(topology.settings)
        if topology.is_tls:
            key, certificate = self.folder / "key.pem", self.folder / "certificate.pem"
            make_certificate(key, certificate, PgBouncer.user)
            settings |= {"client_tls_sslmode": "require", "client_tls_key_file": key}
            settings["client_tls_cert_file"] = certificate
        databases = {"*": self.line}
        if not topology.later:
            databases["postgres"] = f"{self.line} {topology.postgres}"
        self.pgbouncer = self.add_pgbouncer("pgbouncer", databases, settings)
        self.pool = {
            "db_host": self.pgbouncer.settings["unix_socket_dir"] if topology.is_unix else LOCALHOST,
            "db_port": self.pgbouncer.port,
            "db_sslmode": "require" if topology.is_tls else "prefer",
        }

    def add_pgbouncer(self, name, databases, settings=None, port=None):
        topology, folder = self.topology, self.folder / name
        suite = topology.suite if name == "pgbouncer" else None
        settings = settings or {}
        if topology.is_unix or "so_reuseport" in settings:
            settings = settings | {"unix_socket_dir": make_folder(folder / "socket", 0o777)}
        servers = (self.postgresql, self.passwords, databases, settings, suite, topology.users)
        return self.add(PgBouncer(folder, port or free_port(), *servers))

    def start_twin(self, postgres, is_watched=False):
        """Start another PgBouncer on the same port, with this end of its line for the database postgres.

        :param bool is_watched: whether each of the two is an endpoint, with an address of its own
        """
        databases = {"*": self.line, "postgres": f"{self.line} {postgres}"}
        twin = self.add_pgbouncer("twin", databases, self.topology.settings, self.pgbouncer.port)
        if is_watched:
            for server in (self.pgbouncer, twin):
                self.add_endpoint(server, server.settings["unix_socket_dir"])

    def command_pgbouncer(self, command):
        """Run a command in PgBouncer's console. It may take until the site stops."""

        def run():
            with contextlib.suppress(psycopg2.OperationalError):
                self.pgbouncer.execute(command)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(2)

    def connect_idle_client(self):
        """Connect a psql of another role to the database postgres, where it stays idle."""
        options = {"user": "shop", "password": self.passwords["shop"], "application_name": "psql"}
        connection = self.pgbouncer.connect("postgres", **options)
        connection.cursor().execute("SELECT 1")
        self.connections.append(connection)

    def move_base_url(self):
        """Set the base URL to Odoo's own HTTP port, at another name of this host. Browsers do not use it."""
        url = self.odoo.url.replace(LOCALHOST, "127.1")
        for key, value in (("web.base.url", url), ("web.base.url.freeze", "True")):
            self.page.call("ir.config_parameter", "set_param", key, value)

    def kill_buses(self):
        for bus in self.buses:
            bus.kill()

    def add(self, server):
        self.servers.append(server)
        return server.start()

    def wait_for_bus(self):
        for port in self.bus_ports:
            wait_for_answer(f"http://{LOCALHOST}:{port}/websocket/health")

    def add_endpoint(self, server, host=LOCALHOST):
        values = {"name": server.folder.name, "host": str(host), "port": server.port, "user": PgBouncer.stats}
        values["password"] = self.passwords[PgBouncer.stats]
        return self.page.call("connection.endpoint", "create", values)

    def stop(self):
        for connection in self.connections:
            connection.close()
        for server in reversed(self.servers):
            server.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.pair.postgresql.execute(f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)")
