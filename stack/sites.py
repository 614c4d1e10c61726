"""The servers of a topology, and how long a chat message and a triggered job take there."""

import contextlib
import functools
import re
import shutil
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from page import LIVE_SECONDS, Page
from servers import (
    LOCALHOST,
    STACK,
    Nginx,
    Odoo,
    OdooBus,
    PgBouncer,
    ServerError,
    data_root,
    free_port,
    make_certificate,
    make_folder,
)

# How long to wait for what must be live: other servers start at the same time, and cron workers have a low priority
# (os.nice). The timer of a deaf worker (60 s) may expire in this time, but its verdict would still be wrong.
SLOW_MACHINE_SECONDS = 20
# A deaf cron worker may happen to poll, or end another job, when a job is triggered. It does not three times in a row.
ATTEMPTS = 3
BUYER = {"login": "buyer", "password": "buyer-of-the-shop"}


class Site:
    """The servers of a topology, with their own database.

    :param Pair pair: its PostgreSQL has the database; its roles and passwords are used
    :param str template: a database with the module
    """

    def __init__(self, topology, pair, template):
        self.topology, self.pair, self.template = topology, pair, template
        self.database = "site_" + re.sub(r"\W+", "_", topology.name.lower())
        self.folder = make_folder(Path(tempfile.mkdtemp(dir=make_folder(data_root()))))
        self.servers = []

    def start(self):
        topology, pair = self.topology, self.pair
        pair.postgresql.execute(f"CREATE DATABASE {self.database} TEMPLATE {self.template} OWNER odoo")
        # No job is due: only a triggered job wakes a cron worker before its timer (60 s).
        pair.postgresql.execute("UPDATE ir_cron SET nextcall = '2099-01-01'", dbname=self.database)
        options = pair.odoo_options() | {"db_name": self.database, "workers": 2, "max_cron_threads": 1}
        options |= {"proxy_mode": True, "db_port": pair.postgresql.port} | topology.options
        direct = dict(options)
        if topology.postgres is not False:
            options |= self.start_pgbouncers()
        if topology.is_alt:
            options |= {
                "server_wide_modules": "base,rpc,web,bus_alt_connection",
                "imdispatcher_db_host": LOCALHOST,
                "imdispatcher_db_port": pair.postgresql.port,
            }
        odoo_folder = STACK / "test-topologies" / self.database
        shutil.rmtree(odoo_folder, ignore_errors=True)
        odoo = self.add(Odoo(odoo_folder / "odoo", free_port(), free_port(), options))
        bus_port = odoo.gevent_port if options["workers"] else odoo.port
        if topology.is_bus_apart:
            bus_port = free_port()
            self.add(OdooBus(odoo_folder / "bus", bus_port, bus_port, direct | {"data_dir": odoo.data}))
        self.odoo, self.bus_port = odoo, bus_port
        self.wait_for_bus()
        self.nginx = self.add(
            Nginx(self.folder / "nginx", free_port(), odoo.port, odoo.port if topology.is_misled else bus_port)
        )
        self.url = self.nginx.url
        self.page = Page(self.url, self.database)
        for server in self.servers:
            if isinstance(server, PgBouncer):
                self.add_endpoint(server)
        self.make_chat()
        if topology.later:
            self.change_later()
        return self

    def change_later(self):
        line = f"host={LOCALHOST} port={self.pair.postgresql.port}"
        if self.topology.postgres is None:
            self.pgbouncer.databases = {"postgres": None, "*": None, self.database: line}
        else:
            self.pgbouncer.databases = {"postgres": f"{line} {self.topology.postgres}"}
        if self.topology.later == "restart":
            self.pgbouncer.stop()
            self.pgbouncer.start()
        else:
            self.pgbouncer.reload()

    def start_pgbouncers(self):
        """Return the options of odoo.conf with which Odoo connects through the last one."""
        topology, pair = self.topology, self.pair
        line = f"host={LOCALHOST} port={pair.postgresql.port}"
        if topology.inner is not None:
            inner = self.add_pgbouncer("inner", {"postgres": f"{line} {topology.inner}"})
            line = f"host={LOCALHOST} port={inner.port}"
        settings = dict(topology.settings)
        if topology.is_unix:
            settings["unix_socket_dir"] = make_folder(self.folder / "socket", 0o777)
        if topology.is_tls:
            key, certificate = self.folder / "key.pem", self.folder / "certificate.pem"
            make_certificate(key, certificate, PgBouncer.user)
            settings |= {"client_tls_sslmode": "require", "client_tls_key_file": key}
            settings["client_tls_cert_file"] = certificate
        databases = {"*": line}
        if not topology.later:
            databases["postgres"] = f"{line} {topology.postgres}"
        self.pgbouncer = self.add_pgbouncer("pgbouncer", databases, settings, topology.suite)
        return {
            "db_host": settings.get("unix_socket_dir", LOCALHOST),
            "db_port": self.pgbouncer.port,
            "db_sslmode": "require" if topology.is_tls else "prefer",
        }

    def add_pgbouncer(self, name, databases, settings=None, suite=None):
        passwords, postgresql = self.pair.passwords, self.pair.postgresql
        return self.add(
            PgBouncer(self.folder / name, free_port(), postgresql, passwords, databases, settings or {}, suite)
        )

    def add(self, server):
        self.servers.append(server)
        return server.start()

    def wait_for_bus(self):
        url = f"http://{LOCALHOST}:{self.bus_port}/websocket/health"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.RequestException):
                if requests.get(url, timeout=5).ok:
                    return
            time.sleep(0.2)
        raise ServerError(f"{url} does not answer")

    def add_endpoint(self, server):
        values = {"name": server.folder.name, "host": LOCALHOST, "port": server.port, "user": PgBouncer.stats}
        values["password"] = self.pair.passwords[PgBouncer.stats]
        return self.page.call("connection.endpoint", "create", values)

    def make_chat(self):
        """Create a channel, and another user who is a member."""
        group = self.page.call("ir.model.data", "check_object_reference", "base", "group_user")[1]
        user = self.page.call("res.users", "create", {"name": "Buyer", "group_ids": [[6, 0, [group]]], **BUYER})
        partner = self.page.call("res.users", "read", [user], ["partner_id"])[0]["partner_id"][0]
        members = [[0, 0, {"partner_id": partner}]]
        values = {"name": "Sales", "channel_type": "channel", "channel_member_ids": members}
        self.channel = self.page.call("discuss.channel", "create", values)
        self.buyer = Page(self.url, self.database, **BUYER)

    def make_job(self):
        """Return the ids of a new scheduled action, and of a server action that triggers it."""
        model = self.page.call("ir.model", "search", [["model", "=", "res.partner"]])[0]
        action = {"name": "Nothing", "model_id": model, "state": "code", "code": "pass"}
        times = {"interval_number": 1, "interval_type": "weeks", "nextcall": "2099-01-01 00:00:00"}
        job = self.page.call("ir.cron", "create", action | times)
        code = f"env['ir.cron'].browse({job})._trigger()"
        return job, self.page.call("ir.actions.server", "create", action | {"code": code})

    def chat_delay(self):
        """Return after how many seconds a chat message reaches the other user's websocket, or None."""
        seconds = SLOW_MACHINE_SECONDS if self.topology.is_live else LIVE_SECONDS
        self.buyer.open_socket()
        text = str(uuid.uuid4())
        post = functools.partial(self.page.call, "discuss.channel", "message_post", self.channel, body=text)
        with ThreadPoolExecutor(1) as poster:  # it may hang or fail
            poster.submit(post, message_type="comment", subtype_xmlid="mail.mt_comment")
            return self.buyer.wait_for(text, seconds)

    def job_delay(self):
        """Return after how many seconds a triggered job starts, or None if it waits for the timer."""
        if self.topology.is_woken:
            return self.try_job(SLOW_MACHINE_SECONDS)
        for _attempt in range(ATTEMPTS):
            delay = self.try_job(LIVE_SECONDS)
            if delay is None:
                break
        return delay

    def try_job(self, seconds):
        """Return after how many seconds a triggered job starts, or None if it takes longer than ``seconds``."""
        job, trigger = self.make_job()
        started = time.monotonic()
        with ThreadPoolExecutor(1) as runner:  # it may hang or fail
            runner.submit(self.page.call, "ir.actions.server", "run", [trigger])
            while (waited := time.monotonic() - started) < seconds:
                if self.page.call("ir.cron", "read", [job], ["lastcall"])[0]["lastcall"]:
                    return waited
                time.sleep(0.1)
        return None

    def stop(self):
        for server in reversed(self.servers):
            server.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.pair.postgresql.execute(f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)")
