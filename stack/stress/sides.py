"""The servers that are compared: each side has a PostgreSQL of its own, so that processor, memory and connections of
one are not those of the other.
"""

import contextlib
import secrets
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import psutil

from planned import new_planned, odoo_options
from planner.inputs import Inputs
from rpc import OdooClient, wait_for_answer
from servers import (
    LOCALHOST,
    STACK,
    Nginx,
    Odoo,
    Pair,
    PgBouncer,
    PostgreSQL,
    data_root,
    free_port,
    make_folder,
)

DATABASE = "stress"
MAX_CONNECTIONS = 100
# Of a threaded server, on both sides: all requests share the pool of its one process, and with less they fail with "The
# Connection Pool Is Full" when many users come. It exceeds max_connections on purpose. Each of these threads also
# reserves 8 MB of address space, which a limit of memory would count.
THREADED = {"db_maxconn": 300, "limit_memory_soft": 0, "limit_memory_hard": 0}
ENDPOINT = "PgBouncer"

# Runs in `odoo shell`.
USERS = """
env.ref("base.user_admin").password = {password!r}
groups = env.ref("base.group_user") + env.ref("base.group_partner_manager")
for login, password in {logins!r}:
    values = {{"name": login, "login": login, "password": password, "group_ids": [(6, 0, groups.ids)]}}
    env["res.users"].with_context(no_reset_password=True).create(values)
env.cr.commit()
"""


def inputs(workers, **more):
    """Return the Planner's Inputs for an Odoo on this machine.

    :param int workers: 0 for a threaded server
    """
    values = {"db_maxconn": Inputs.db_maxconn if workers else THREADED["db_maxconn"], "max_cron_threads": 1}
    values |= {"max_connections": MAX_CONNECTIONS, "cores": psutil.cpu_count(), "db_names": (DATABASE,)}
    values |= {"memory": psutil.virtual_memory().total, "stats_user": PgBouncer.stats}
    return Inputs(workers=workers, **values | more)


def new_logins(count):
    """Return (login, password) of users."""
    return [(f"staff{number + 1}", secrets.token_urlsafe(12)) for number in range(count)]


class Template:
    """A PostgreSQL with a database, of which each side gets a copy.

    :param Path folder: for the sides' servers
    :param dict passwords: of the roles, PgBouncer's users, and ``admin``, Odoo's administrator
    :param Odoo odoo: has installed the database
    """

    def __init__(self, folder, postgresql, passwords, odoo, database=DATABASE, logins=()):
        self.folder, self.postgresql, self.passwords = folder, postgresql, passwords
        self.odoo, self.database, self.logins = odoo, database, logins

    def create_users(self):
        """Create the users who sign in, and set the administrator's password."""
        script = USERS.format(logins=self.logins, password=self.passwords["admin"])
        self.odoo.run("shell", "-d", self.database, "--no-http", "--workers=0", input=script.encode())

    @contextlib.contextmanager
    def side(self, name):
        """Yield a Side whose PostgreSQL runs, and stop it in the end."""
        postgresql = self.postgresql.copy(self.folder / name / "postgresql", free_port())
        postgresql.max_connections = MAX_CONNECTIONS
        side = Side(name, self.folder / name, postgresql, self.passwords, self.database)
        attachments = self.odoo.data / "filestore" / self.database
        if attachments.exists():
            shutil.copytree(attachments, side.data / "filestore" / self.database)
        try:
            # The addon's sampler reads all sessions.
            postgresql.start().execute("GRANT pg_monitor TO odoo")
            yield side
        finally:
            side.stop()


@contextlib.contextmanager
def template(modules, users=10):
    """Install modules, and create users. Yield the Template; what it has started is stopped and removed in the end.

    :param str modules: comma-separated
    """
    folder = make_folder(Path(tempfile.mkdtemp(dir=make_folder(data_root()))))
    pair = Pair(folder / "template", {"postgresql": free_port(), "pgbouncer": free_port()}, Pair.new_passwords())
    try:
        pair.postgresql.start()
        pair.create_roles()
        direct = pair.odoo_options() | {"db_port": pair.postgresql.port}
        odoo = Odoo(fresh(STACK / "stress/template"), free_port(), free_port(), direct)
        odoo.install(DATABASE, modules=modules)
        passwords = pair.passwords | {"admin": secrets.token_urlsafe(12)}
        found = Template(folder, pair.postgresql, passwords, odoo, logins=new_logins(users))
        found.create_users()
        yield found
    finally:
        pair.postgresql.stop()
        shutil.rmtree(folder, ignore_errors=True)


def fresh(folder):
    """Remove what an earlier run left in a folder. Return its path."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


class Side:
    """A PostgreSQL, and the Odoos that connect to it: directly, or through the PgBouncer that has been started.

    :param str name: "direct" or "pooled"
    :param Path folder: for its servers
    :param PostgreSQL postgresql: runs, and has the database
    :param dict passwords: see Template
    """

    def __init__(self, name, folder, postgresql: PostgreSQL, passwords, database):
        self.name, self.folder, self.postgresql = name, make_folder(folder), postgresql
        self.passwords, self.database = passwords, database
        self.odoo_folder = fresh(STACK / "stress" / name)
        self.data = make_folder(self.odoo_folder / "data")
        self.port, self.pgbouncer_port = free_port(), free_port()
        self.pgbouncer = self.nginx = None
        self.odoos = []

    @property
    def url(self):
        """Return the URL of nginx."""
        return f"http://{LOCALHOST}:{self.port}"

    def start_pgbouncer(self, inputs):
        """Start a PgBouncer with the Planner's files, instead of the one that runs. Odoos that start later use it."""
        self.stop_pgbouncer()
        inputs = replace(inputs, db_port=self.postgresql.port, pgbouncer_port=self.pgbouncer_port)
        self.pgbouncer = new_planned(self.folder / "pgbouncer", inputs, self.postgresql, self.passwords)
        self.pgbouncer.start()

    def stop_pgbouncer(self):
        if self.pgbouncer:
            self.pgbouncer.stop()
        self.pgbouncer = None

    def options(self, inputs, has_db_filter):
        """Return the options of odoo.conf."""
        options = {"db_host": LOCALHOST, "db_port": self.postgresql.port, "db_user": "odoo"}
        options |= odoo_options(self.pgbouncer.texts) if self.pgbouncer else {}
        options |= {"db_name": self.database, "db_password": self.passwords["odoo"], "proxy_mode": True}
        options |= {name: getattr(inputs, name) for name in ("workers", "max_cron_threads", "db_maxconn")}
        options |= {} if inputs.workers else THREADED
        options |= {"dbfilter": f"^{self.database}$"} if has_db_filter else {}
        return options | {"data_dir": self.data}

    def start_odoos(self, inputs, has_db_filter):
        """Start Odoos behind one nginx, and wait until they serve pages.

        :param Inputs inputs: how many servers, and what each is
        """
        options = self.options(inputs, has_db_filter)
        for number in range(inputs.servers):
            self.odoos.append(Odoo(self.odoo_folder / str(number), free_port(), free_port(), options))
            self.odoos[-1].start()
        bus_ports = [odoo.gevent_port if inputs.workers else odoo.port for odoo in self.odoos]
        self.nginx = Nginx(self.folder / "nginx", self.port, [odoo.port for odoo in self.odoos], bus_ports)
        self.nginx.start()
        for path in ("/web/health", "/websocket/health"):
            wait_for_answer(self.url + path)
        if self.pgbouncer:
            self.add_endpoint()

    def stop_odoos(self):
        """Kill them: after an overload, they would serve the requests of users who have left."""
        for server in [self.nginx, *self.odoos] if self.nginx else self.odoos:
            server.kill()
        self.nginx, self.odoos = None, []

    def ended_odoos(self):
        """Return the Odoos that have ended by themselves."""
        return [odoo for odoo in self.odoos if not odoo.process()]

    def admin(self):
        """Return an OdooClient of the administrator."""
        return OdooClient(self.url, self.database, password=self.passwords["admin"])

    def add_endpoint(self):
        """Make the addon watch PgBouncer, too. PostgreSQL it watches over Odoo's own connection, as it is installed."""
        client = self.admin()
        if not client.call("connection.endpoint", "search", [["name", "=", ENDPOINT]]):
            address = {"name": ENDPOINT, "host": LOCALHOST, "port": self.pgbouncer_port, "user": PgBouncer.stats}
            client.call("connection.endpoint", "create", address | {"password": self.passwords[PgBouncer.stats]})

    def stop(self):
        self.stop_odoos()
        self.stop_pgbouncer()
        self.postgresql.stop()
