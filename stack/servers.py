"""Start, stop and configure real servers: PostgreSQL, PgBouncer, Odoo, nginx.

Every server has a folder of its own for its configuration, data and log, listens on
127.0.0.1 only, and goes on when the program that started it ends: its folder holds its
process id. Used by the demo and by the tests.
"""

import hashlib
import itertools
import json
import os
import random
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2

CHECKOUT = Path(__file__).resolve().parent.parent
STACK = CHECKOUT / ".stack"
MODULE = "pgbouncer_monitor"
LOCALHOST = "127.0.0.1"
# What any Odoo of Debian's package logs, whatever is installed.
KNOWN_WARNINGS = re.compile(r"PyPDF2 is deprecated")
# PostgreSQL and PgBouncer refuse to run as root: they get this user, made by Debian's packages.
SERVICE_USER = "postgres" if os.geteuid() == 0 else None

# PgBouncer's versions that are tested, and the Debian suites that have them.
VERSIONS = {"1.15": "bullseye", "1.18": "bookworm", "1.24": "trixie", "1.26": "unstable"}


class ServerError(Exception):
    """A server does not do what it should. The message shows the end of its log."""


def step(text):
    """Tell the user what is being done."""
    print(f"==> {text}", flush=True)


def data_root():
    """The folder for the servers' data: below the checkout, unless root runs us, whose
    checkout the unprivileged servers may be unable to reach."""
    if not SERVICE_USER:
        return STACK / "data"
    checkout = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:12]
    return Path("/var/lib") / f"{MODULE}_stack" / checkout


def make_folder(path, mode=0o755, user=None):
    """Create a folder, with parents that everybody may pass. ``user`` owns it, if given."""
    for folder in [*reversed(path.parents), path]:
        if not folder.exists():
            folder.mkdir()
            folder.chmod(0o755)
    path.chmod(mode)
    if user:
        shutil.chown(path, user, user)
    return path


def start_time(pid):
    """When a process started, in the kernel's ticks since boot: unlike a time of day it
    stays the same when somebody sets the clock."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def is_running(process):
    """Whether a psutil.Process has not ended. A zombie has: who inherits orphans may be slow to collect them."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def still_running(processes, seconds):
    """Wait for the end of psutil.Processes: a list of those that have not ended after so long."""
    deadline = time.monotonic() + seconds
    while (running := list(filter(is_running, processes))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return running


# Each is given once: its server may listen later than the next one asks. They are below those that the kernel
# gives to clients, so that no connection takes one meanwhile.
FREE_PORTS = iter(random.sample(range(15000, 32000), 17000))


def free_port(preferred=None):
    """``preferred`` if nobody listens there, else any free TCP port."""
    for port in itertools.chain([preferred] if preferred else [], FREE_PORTS):
        with closing(socket.socket()) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((LOCALHOST, port))
            except OSError:
                continue
            return port
    raise ServerError("no free TCP port")


def postgresql_program(name, root=Path("/")):
    """The newest installed PostgreSQL's program, e.g. ``initdb``."""
    found = sorted(root.glob(f"usr/lib/postgresql/*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    if not found:
        raise ServerError(f"{name} is not installed: run stack/install.sh demo")
    return str(found[-1])


def suite_root(suite):
    """A copy of another Debian suite's servers, where SERVICE_USER may read it, each program
    started with the libraries that it was built for.

    :raise ServerError: stack/install.sh could not fetch them
    """
    link = STACK / f"servers-{suite}"
    if not link.exists():
        raise ServerError(f"the servers of Debian {suite} could not be fetched")
    root = data_root().parent / link.resolve().name
    if not root.exists():
        copy = make_folder(root.parent) / f"{root.name}.{os.getpid()}"
        shutil.copytree(link.resolve(), copy, symlinks=True)
        libraries = [
            path.relative_to(copy) for part in ("lib", "usr/lib") for path in copy.glob(f"{part}/*-linux-gnu*")
        ]
        loader = next(loader for path in libraries for loader in (copy / path).glob("ld-linux*.so*")).relative_to(copy)
        library_path = ":".join(str(root / path) for path in libraries)
        for program in [copy / "usr/sbin/pgbouncer", *copy.glob("usr/lib/postgresql/*/bin/*")]:
            real = program.rename(f"{program}.real").relative_to(copy)
            command = shlex.join([str(root / loader), "--library-path", library_path, str(root / real)])
            program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            program.chmod(0o755)
        copy.rename(root)
    return root


def make_certificate(key, certificate, user=None, name="pgbouncer", issuer=()):
    """A key and its certificate, which is its own issuer unless (key, certificate) of one are given."""
    signed_by = ["-CA", issuer[1], "-CAkey", issuer[0]] if issuer else []
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        + ["-keyout", key, "-out", certificate, *signed_by],
        check=True,
        capture_output=True,
    )
    if user:
        shutil.chown(key, user, user)


class Server:
    """One server process.

    :param Path folder: where everything of this server is
    :param int port: where it listens on 127.0.0.1
    """

    name = None
    stop_signal = signal.SIGTERM
    start_seconds = 30
    user = SERVICE_USER

    def __init__(self, folder, port):
        # Configuration, log and pid stay ours, so that who owns the server cannot lead us
        # elsewhere; it owns the folder of its data alone.
        self.folder = make_folder(Path(folder), 0o755 if self.user else 0o700)
        self.data = make_folder(self.folder / "data", 0o700, self.user)
        self.port = port
        self.log = self.folder / f"{self.name}.log"
        self.pid_file = self.folder / "pid.json"

    @property
    def identity(self):
        """The arguments that make subprocess run a program as this server's user."""
        return {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}

    def command(self):
        """The command line, as a list."""
        raise NotImplementedError

    def environment(self):
        return dict(os.environ)

    def is_ready(self):
        """Does it answer? May raise OSError or psycopg2.OperationalError for no."""
        socket.create_connection((LOCALHOST, self.port), timeout=1).close()
        return True

    def process(self):
        """The running psutil.Process, or None. A pid that was given to another process
        since is told apart by its start."""
        try:
            pid, started = json.loads(self.pid_file.read_text())
            process = psutil.Process(pid)
            if start_time(pid) == started and is_running(process):
                return process
        except (OSError, ValueError, psutil.NoSuchProcess):
            pass
        return None

    def write(self, name, text):
        """Write a configuration file, readable by the server only. Return its path."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        if self.user:
            shutil.chown(path, self.user, self.user)
        return path

    def start(self):
        """Start it and wait until it answers.

        :raise ServerError: it ended, or did not answer within ``start_seconds``
        """
        if self.process():
            return self
        with open(self.log, "ab") as log:
            popen = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self.identity,
            )
        self.pid_file.write_text(json.dumps([popen.pid, start_time(popen.pid)]))
        deadline = time.monotonic() + self.start_seconds
        while time.monotonic() < deadline:
            if popen.poll() is not None:
                raise ServerError(f"{self.name} ended at once.\n{self.last_words()}")
            try:
                if self.is_ready():
                    return self
            except (OSError, psycopg2.OperationalError):
                pass
            time.sleep(0.1)
        raise ServerError(f"{self.name} did not answer within {self.start_seconds} s.\n{self.last_words()}")

    def last_words(self):
        """The end of its log, for an error message."""
        lines = self.log.read_text(errors="replace").splitlines()[-10:]
        return "\n".join([f"--- last lines of {self.log}", *lines])

    def stop(self):
        """Stop it, whatever state it is in, and wait until it is gone."""
        process = self.process()
        if not process:
            return
        children = process.children(recursive=True)
        process.send_signal(signal.SIGCONT)
        process.send_signal(self.stop_signal)
        survivors = still_running([process, *children], 10)
        for survivor in survivors:
            survivor.kill()
        still_running(survivors, 5)
        self.pid_file.unlink(missing_ok=True)

    def kill(self):
        """End it and its children at once."""
        if process := self.process():
            processes = [process, *process.children(recursive=True)]
            for process in processes:
                process.kill()
            still_running(processes, 5)

    def freeze(self):
        """Stop it from running without ending it: it hangs."""
        self.process().suspend()

    def thaw(self):
        self.process().resume()


class PostgreSQL(Server):
    """A cluster whose superuser is ``postgres``; data that survive no power cut (no fsync).

    :param str suite: the Debian suite whose PostgreSQL it is; the installed one if not given
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
            "log_lock_waits": "on",
        }
        options = [f"-c{key}={value}" for key, value in settings.items()]
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

    def is_ready(self):
        self.connect().close()
        return True

    def connect(self, dbname="postgres", user="postgres", password=None, **options):
        """A psycopg2 connection in autocommit mode."""
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
        """Run statements as the superuser; return the rows of the last one, if it has any."""
        with closing(self.connect(dbname)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description is not None else None


class PgBouncer(Server):
    """A PgBouncer in transaction mode, with ``postgres`` in session mode, SCRAM on both sides.

    :param PostgreSQL postgresql: the server behind it
    :param dict passwords: of all users that may come in, by name, in clear
    :param dict databases: other lines of ``[databases]``: name -> connection string, None for no line
    :param dict settings: further settings of ``[pgbouncer]``
    :param str suite: the Debian suite whose PgBouncer it is; the installed one if not given
    """

    name = "pgbouncer"
    # SIGTERM waits for the clients from 1.23 on; this one ends every version at once.
    stop_signal = signal.SIGKILL
    admin = "pgbouncer_admin"
    stats = "pgbouncer_stats"

    def __init__(self, folder, port, postgresql, passwords, databases=None, settings=None, suite=None):
        super().__init__(folder, port)
        self.variables = {}
        self.program = str(suite_root(suite) / "usr/sbin/pgbouncer") if suite else "/usr/sbin/pgbouncer"
        self.postgresql = postgresql
        self.passwords = passwords
        self.databases = databases or {}
        self.settings = settings or {}

    def command(self):
        users = self.write(
            "userlist.txt", "".join(f'"{name}" "{password}"\n' for name, password in self.passwords.items())
        )
        server = f"host={LOCALHOST} port={self.postgresql.port}"
        databases = {"postgres": f"{server} pool_mode=session", "*": server} | self.databases
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
            + "".join(f"{name} = {line}\n" for name, line in databases.items() if line)
            + "\n[pgbouncer]\n"
            + "".join(f"{key} = {value}\n" for key, value in settings.items()),
        )
        return [self.program, str(configuration)]

    def environment(self):
        return super().environment() | self.variables

    def fake_clock(self, offset="+0"):
        """Let its clock go wrong by so many seconds, e.g. "-3600": from the next start on, and from then on at once.
        The installed version only, which uses the system's own C library."""
        self.write("clock", f"{offset}\n")
        [library] = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
        self.variables = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def reload(self):
        """Have it read its configuration, as it is now, again."""
        self.command()
        self.process().send_signal(signal.SIGHUP)


class Odoo(Server):
    """Odoo 19 with this module on its path.

    :param dict options: options of odoo.conf beside those set here
    """

    name = "odoo"
    start_seconds = 90
    user = None  # the source and the virtual environment are in the caller's home

    def __init__(self, folder, port, gevent_port, options):
        super().__init__(folder, port)
        self.gevent_port = gevent_port
        addons = self.folder / "addons"
        # Odoo names an addon after its folder, whatever the checkout's is called. The links are
        # not to the checkout itself: Odoo's walks through an addon would go into .stack.
        module = addons / MODULE
        module.mkdir(parents=True, exist_ok=True)
        for entry in CHECKOUT.iterdir():
            if not entry.name.startswith(".") and entry.name != "stack":
                (module / entry.name).unlink(missing_ok=True)
                (module / entry.name).symlink_to(entry)
        source = self.source()
        core = [path for path in (source / "odoo/addons", source / "addons") if (path / "web").exists()]
        base = source / "odoo/addons"
        others = STACK / "addons/odoo/addons"  # of the OCA, for the tests
        self.addons_path = list(dict.fromkeys([base, *core, addons, *([others] if others.exists() else [])]))
        self.configuration = self.write(
            "odoo.conf",
            "[options]\n"
            + "".join(
                f"{key} = {value}\n"
                for key, value in (
                    {
                        "addons_path": ",".join(map(str, self.addons_path)),
                        "data_dir": self.data,
                        "http_interface": LOCALHOST,
                        "http_port": port,
                        "gevent_port": gevent_port,
                        "list_db": False,
                        "without_demo": True,
                    }
                    | options
                ).items()
            ),
        )

    @staticmethod
    def source():
        """The folder to put on PYTHONPATH: of Debian's package, or of a source checkout."""
        root = (STACK / "odoo").resolve()
        package = root / "usr/lib/python3/dist-packages"
        return package if package.exists() else root

    def environment(self):
        # Odoo prefers libpq's variables to its own configuration file.
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith("PG") or key.startswith("PGBOUNCER_")
        }
        # Its bytecode is kept apart from the sources, which may be somebody's own; without any each start takes
        # seconds longer.
        bytecode = {"PYTHONPYCACHEPREFIX": str(STACK / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
        return inherited | {"PYTHONPATH": str(self.source())} | bytecode

    def command(self):
        return self.odoo()

    def odoo(self, subcommand="", *options):
        """A command line of Odoo with this configuration: of its server, or of a subcommand."""
        # Not `python -m odoo`: the prefork server starts the gevent process by this file's name.
        script = str(self.source() / "setup/odoo")
        return [sys.executable, script, *subcommand.split(), "-c", str(self.configuration), *options]

    def run(self, *arguments, **options):
        """Run an Odoo subcommand to its end; its output is appended to the log.

        :raise ServerError: it failed
        """
        with open(self.log, "ab") as output:
            ended = subprocess.run(
                self.odoo(*arguments), env=self.environment(), stdout=output, stderr=output, check=False, **options
            )
        if ended.returncode:
            raise ServerError(f"odoo {' '.join(arguments)} failed.\n{self.last_words()}")

    def install(self, database, option="-i"):
        """Install the module into a database, or with ``-u`` upgrade it; see ``run``."""
        self.run(
            "server",
            "-d",
            database,
            option,
            MODULE,
            "--stop-after-init",
            "--no-http",
            "--workers=0",
            "--max-cron-threads=0",
        )

    def warnings(self):
        """The lines of its log that are a warning or worse."""
        return [
            line
            for line in self.log.read_text().splitlines()
            if re.match(r"\S+ \S+ \d+ (WARNING|ERROR|CRITICAL) ", line) and not KNOWN_WARNINGS.search(line)
        ]


class OdooBus(Odoo):
    """The gevent process of an Odoo as a service of its own."""

    name = "odoo-bus"

    def command(self):
        return self.odoo("gevent")


class Nginx(Server):
    """A reverse proxy before an Odoo: /websocket goes to the gevent process."""

    name = "nginx"
    stop_signal = signal.SIGQUIT

    def __init__(self, folder, port, odoo_port, gevent_port):
        super().__init__(folder, port)
        self.odoo_port = odoo_port
        self.gevent_port = gevent_port

    def command(self):
        temporary = "".join(
            f"    {kind}_temp_path {self.data}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration = self.write(
            "nginx.conf",
            f"""daemon off;
worker_processes 1;
pid {self.data}/nginx.pid;
error_log stderr warn;
events {{ }}
http {{
    access_log off;
{temporary}
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    server {{
        listen {LOCALHOST}:{self.port};
        client_max_body_size 64m;
        proxy_read_timeout 720s;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        location /websocket {{
            proxy_pass http://{LOCALHOST}:{self.gevent_port};
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }}
        location / {{ proxy_pass http://{LOCALHOST}:{self.odoo_port}; }}
    }}
}}
""",
        )
        return ["/usr/sbin/nginx", "-e", "stderr", "-c", str(configuration), "-p", str(self.folder)]


class Pair:
    """A PostgreSQL and the PgBouncer before it, with the roles that everybody needs:
    ``odoo``, and ``shop`` with a database of its own.

    :param Path root: the folder for both
    :param dict ports: ``postgresql`` and ``pgbouncer``
    :param dict passwords: of USERS
    :param str suite: the Debian suite whose PostgreSQL it is; the installed one if not given
    """

    USERS = ("postgres", "odoo", "shop", PgBouncer.admin, PgBouncer.stats)

    def __init__(self, root, ports, passwords, databases=None, suite=None):
        self.passwords = passwords
        self.postgresql = PostgreSQL(root / "postgresql", ports["postgresql"], passwords["postgres"], suite=suite)
        self.pgbouncer = PgBouncer(root / "pgbouncer", ports["pgbouncer"], self.postgresql, passwords, databases)

    @classmethod
    def new_passwords(cls):
        return {user: secrets.token_urlsafe(18) for user in cls.USERS}

    def create_roles(self):
        """Create what is missing of the roles and the shop's database."""
        for role, option in (("odoo", "CREATEDB"), ("shop", "NOCREATEDB")):
            if not self.postgresql.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
                self.postgresql.execute(f"CREATE ROLE {role} LOGIN {option} PASSWORD '{self.passwords[role]}'")
        if not self.postgresql.execute("SELECT 1 FROM pg_database WHERE datname = 'shop'"):
            self.postgresql.execute("CREATE DATABASE shop OWNER shop")

    def start(self):
        self.postgresql.start()
        self.create_roles()
        self.pgbouncer.start()

    def stop(self):
        self.pgbouncer.stop()
        self.postgresql.stop()

    def odoo_options(self):
        """The options of odoo.conf that lead an Odoo through PgBouncer."""
        return {
            "db_host": LOCALHOST,
            "db_port": self.pgbouncer.port,
            "db_user": "odoo",
            "db_password": self.passwords["odoo"],
        }

    def environment(self, passfile):
        """The variables that tell programs where these servers are.

        :param Path passfile: where to write libpq's password file: psql then asks nothing
        """
        passfile.touch(mode=0o600)
        passfile.write_text(
            "".join(
                f"{LOCALHOST}:{server.port}:*:{user}:{password}\n"
                for user, password in self.passwords.items()
                for server in (self.postgresql, self.pgbouncer)
            )
        )
        return {
            "PGHOST": LOCALHOST,
            "PGPORT": str(self.postgresql.port),
            "PGUSER": "postgres",
            "PGPASSFILE": str(passfile),
            "PGBOUNCER_HOST": LOCALHOST,
            "PGBOUNCER_PORT": str(self.pgbouncer.port),
            "PGBOUNCER_ADMIN": PgBouncer.admin,
            "PGBOUNCER_ADMIN_PASSWORD": self.passwords[PgBouncer.admin],
            "PGBOUNCER_STATS": PgBouncer.stats,
            "PGBOUNCER_STATS_PASSWORD": self.passwords[PgBouncer.stats],
            "SHOP_PASSWORD": self.passwords["shop"],
        }
