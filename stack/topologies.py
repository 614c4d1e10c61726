"""The ways in which an Odoo can be connected, each started for real and checked: ``topologies.py``.

For each it prints the verdicts of the LISTEN check beside the truth: whether a chat message reaches a
browser's websocket, and how long a scheduled action waits that somebody triggered.
"""

import contextlib
import functools
import json
import re
import shutil
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import requests
import websocket

from servers import (
    LOCALHOST,
    STACK,
    Nginx,
    Odoo,
    OdooBus,
    Pair,
    PgBouncer,
    ServerError,
    data_root,
    free_port,
    make_certificate,
    make_folder,
)

# So many are started at once.
AT_ONCE = 7
# What must not be live is waited for so long. It is also the patience of the check's page.
LIVE_SECONDS = 3
# And what must be: other servers start meanwhile, and cron workers are nice (os.nice). The timer of a deaf one, a
# minute, may end in this time; the verdict on it would still be wrong.
SLOW_MACHINE_SECONDS = 20
# A deaf cron worker may be at its timer, or at another job, just when one is triggered: not so often in a row.
ATTEMPTS = 3
BUYER = {"login": "buyer", "password": "buyer-of-the-shop"}


@dataclass(frozen=True, eq=False)
class Topology:
    """How an Odoo is connected, and which verdicts that must get.

    ``postgres`` is what follows in PgBouncer's line for the database postgres: None for no such line, and
    False for no PgBouncer. Where Odoo would not even start, ``later`` says how PgBouncer gets this line while
    Odoo runs, which started in session mode. ``level`` is that of the bus.
    """

    name: str
    bus: str
    cron: str | None
    postgres: str | bool | None = "pool_mode=session"
    level: str = "ok"
    suite: str | None = None
    settings: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)
    is_unix: bool = False
    is_tls: bool = False
    inner: str | None = None
    is_alt: bool = False
    is_bus_apart: bool = False
    is_misled: bool = False
    later: str | None = None

    @property
    def is_live(self):
        """Whether a chat message must arrive live."""
        return self.bus in ("direct", "session") and self.level != "critical"

    @property
    def is_woken(self):
        """Whether a triggered job must start at once."""
        return self.cron in ("direct", "session")


def deaf(name, **values):
    return Topology(name, "deaf", "deaf", postgres="", level="critical", **values)


def session(name, **values):
    return Topology(name, "session", "session", **values)


TOPOLOGIES = [
    Topology("no PgBouncer", "direct", "direct", postgres=False),
    deaf("transaction mode"),
    session("transaction mode, postgres in session mode"),
    Topology("bus_alt_connection", "direct", "deaf", postgres="", is_alt=True),
    Topology("a gevent service of its own", "direct", "deaf", postgres="", is_bus_apart=True),
    session("session mode", settings={"pool_mode": "session"}, postgres=""),
    Topology(
        "postgres in session mode, too few servers",
        "session",
        None,
        postgres="pool_mode=session pool_size=1",
        level="critical",
        settings={"query_wait_timeout": 5},
        later="reload",
    ),
    Topology(
        "postgres in statement mode", "deaf", "deaf", postgres="pool_mode=statement", level="critical", later="restart"
    ),
    Topology("no database postgres", "unreachable", "unreachable", postgres=None, level="critical", later="restart"),
    Topology("nginx without /websocket", "direct", "direct", postgres=False, level="critical", is_misled=True),
    Topology("no workers", "direct", "direct", postgres=False, options={"workers": 0}),
    deaf("no workers, transaction mode", options={"workers": 0}),
    deaf("PgBouncer before a PgBouncer in transaction mode", inner="", settings={"pool_mode": "session"}),
    session("PgBouncer before a PgBouncer in session mode", inner="pool_mode=session"),
    deaf("unix socket, transaction mode", is_unix=True, options={"workers": 0}),
    session("unix socket, postgres in session mode", is_unix=True),
    deaf("TLS, transaction mode", is_tls=True, options={"workers": 0}),
    session("TLS, postgres in session mode", is_tls=True),
    deaf("PgBouncer 1.15, transaction mode", suite="bullseye", options={"workers": 0}),
    session("PgBouncer 1.15, postgres in session mode", suite="bullseye"),
    deaf("PgBouncer 1.26, transaction mode", suite="unstable", options={"workers": 0}),
    session("PgBouncer 1.26, postgres in session mode", suite="unstable"),
]


class Page:
    """A browser with the page of the LISTEN check, and a websocket."""

    def __init__(self, url, database, login="admin", password="admin"):
        self.url = url
        self.http = requests.Session()
        self.http.trust_env = False
        self.post("/web/session/authenticate", {"db": database, "login": login, "password": password})
        self.socket = None

    def post(self, path, params):
        answer = self.http.post(self.url + path, json={"params": params}, timeout=60)
        answer.raise_for_status()
        answer = answer.json()
        if "error" in answer:
            raise RuntimeError(answer["error"]["data"]["debug"])
        return answer["result"]

    def call(self, model, method, *args, **kwargs):
        params = {"model": model, "method": method, "args": args, "kwargs": kwargs}
        return self.post("/web/dataset/call_kw", params)

    def open_socket(self):
        """Like a page that is opened. No socket if the proxy does not lead there."""
        with contextlib.suppress(websocket.WebSocketException, OSError):
            self.socket = websocket.create_connection(
                self.url.replace("http", "ws") + "/websocket",
                cookie="; ".join(f"{cookie.name}={cookie.value}" for cookie in self.http.cookies),
                origin=self.url,
                timeout=10,
            )
            self.socket.send(json.dumps({"event_name": "subscribe", "data": {"channels": [], "last": 0}}))
            # What waits for it is sent at once, whether LISTEN works or not.
            self.wait_for(str(uuid.uuid4()), 1)

    def wait_for(self, text, seconds=LIVE_SECONDS):
        """After how many seconds a notification with this text comes, None if it does not."""
        started = time.monotonic()
        while self.socket and (left := started + seconds - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if text in str(self.socket.recv()):
                    return time.monotonic() - started
            except (websocket.WebSocketException, OSError):
                break
        return None

    def check(self):
        """What the page does when "Check Now" is pressed: listener -> the new record."""
        self.open_socket()
        run = self.call("connection.check.run", "start")
        for step in run["steps"]:
            answer = None
            if step["name"] == "bus":
                params = {"run_id": run["id"], "token": run["token"]}
                with contextlib.suppress(requests.RequestException, RuntimeError):
                    answer = self.post("/websocket/pgbouncer_monitor/listen", params)
            elif step["name"] == "browser":
                answer = []
                while len(answer) < run["echoes"] and None not in answer:
                    answer.append(self.echo(run["id"]))
            while self.call("connection.check.run", "step", [run["id"]], step["name"], answer)["is_pending"]:
                time.sleep(0.5)
        ids = self.call("connection.check.run", "finish", [run["id"]])
        return {check["listener"]: check for check in self.call("connection.check", "read", ids)}

    def echo(self, run_id):
        nonce = str(uuid.uuid4())
        with contextlib.suppress(requests.RequestException, RuntimeError):
            if self.call("connection.check.run", "echo", [run_id], nonce):
                return self.wait_for(nonce)
        return None


class Site:
    """The servers of a topology, and a database of its own.

    :param Pair pair: whose PostgreSQL holds the databases, and whose roles and passwords are used
    :param str template: the name of a database with the module
    """

    def __init__(self, topology, pair, template):
        self.topology, self.pair, self.template = topology, pair, template
        self.database = "site_" + re.sub(r"\W+", "_", topology.name.lower())
        self.folder = make_folder(Path(tempfile.mkdtemp(dir=make_folder(data_root()))))
        self.servers = []

    def start(self):
        topology, pair = self.topology, self.pair
        pair.postgresql.execute(f"CREATE DATABASE {self.database} TEMPLATE {self.template} OWNER odoo")
        # Nothing is due: only what is triggered wakes a cron worker before its timer of a minute.
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
        self.url = f"http://{LOCALHOST}:{self.nginx.port}"
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
        """:return: the options of odoo.conf that lead through the last of them"""
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
        """A channel, and another user who is in it."""
        group = self.page.call("ir.model.data", "check_object_reference", "base", "group_user")[1]
        user = self.page.call("res.users", "create", {"name": "Buyer", "group_ids": [[6, 0, [group]]], **BUYER})
        partner = self.page.call("res.users", "read", [user], ["partner_id"])[0]["partner_id"][0]
        members = [[0, 0, {"partner_id": partner}]]
        values = {"name": "Sales", "channel_type": "channel", "channel_member_ids": members}
        self.channel = self.page.call("discuss.channel", "create", values)
        self.buyer = Page(self.url, self.database, **BUYER)

    def make_job(self):
        """:return: the ids of a new scheduled action, and of a server action that triggers it"""
        model = self.page.call("ir.model", "search", [["model", "=", "res.partner"]])[0]
        action = {"name": "Nothing", "model_id": model, "state": "code", "code": "pass"}
        times = {"interval_number": 1, "interval_type": "weeks", "nextcall": "2099-01-01 00:00:00"}
        job = self.page.call("ir.cron", "create", action | times)
        code = f"env['ir.cron'].browse({job})._trigger()"
        return job, self.page.call("ir.actions.server", "create", action | {"code": code})

    def chat_delay(self):
        """After how many seconds a chat message reaches the other user's websocket, None if it does not."""
        seconds = SLOW_MACHINE_SECONDS if self.topology.is_live else LIVE_SECONDS
        self.buyer.open_socket()
        text = str(uuid.uuid4())
        post = functools.partial(self.page.call, "discuss.channel", "message_post", self.channel, body=text)
        with ThreadPoolExecutor(1) as poster:  # it may hang, and fail
            poster.submit(post, message_type="comment", subtype_xmlid="mail.mt_comment")
            return self.buyer.wait_for(text, seconds)

    def job_delay(self):
        """After how many seconds a triggered job starts, None if it waits for the timer."""
        if self.topology.is_woken:
            return self.try_job(SLOW_MACHINE_SECONDS)
        for _attempt in range(ATTEMPTS):
            delay = self.try_job(LIVE_SECONDS)
            if delay is None:
                break
        return delay

    def try_job(self, seconds):
        """After how many seconds a triggered job starts, None if that takes longer than ``seconds``."""
        job, trigger = self.make_job()
        started = time.monotonic()
        with ThreadPoolExecutor(1) as runner:  # it may hang, and fail
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


@dataclass
class Result:
    """What was found: the verdicts, the sentences, and the truth."""

    topology: Topology
    checks: dict
    chat: float | None
    job: float | None
    seconds: float

    def problems(self):
        """What is not as it must be."""
        topology, bus, cron = self.topology, self.checks["bus"], self.checks["cron"]
        wanted = {
            "bus": (bus["verdict"], topology.bus),
            "level": (bus["level"], topology.level),
            "cron": (cron["verdict"], topology.cron or cron["verdict"]),
            "chat arrives live": (self.chat is not None, topology.is_live),
            "job starts at once": (self.job is not None, topology.is_woken),
        }
        if topology.cron is None:
            del wanted["job starts at once"]
        return [f"{what}: {found}, not {right}" for what, (found, right) in wanted.items() if found != right]


def examine(topology, pair, template):
    """Start a topology, find out the truth, and check it as the page does."""
    started = time.monotonic()
    site = Site(topology, pair, template)
    try:
        site.start()
        job, chat = site.job_delay(), site.chat_delay()
        return Result(topology, site.page.check(), chat, job, time.monotonic() - started)
    finally:
        site.stop()


def examine_all(pair, template, topologies=TOPOLOGIES):
    """Yield the Result, or the exception, of each topology, in their order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for future in [pool.submit(examine, topology, pair, template) for topology in topologies]:
            yield future.exception() or future.result()


def main():
    root = make_folder(Path(tempfile.mkdtemp(dir=make_folder(data_root()))))
    pair = Pair(root, {"postgresql": free_port(), "pgbouncer": free_port()}, Pair.new_passwords())
    pair.postgresql.max_connections = 300
    words = [word for word in sys.argv[1:] if word != "-v"]
    topologies = [topology for topology in TOPOLOGIES if " ".join(words) in topology.name]
    bad = 0
    line = "{:52} {:12} {:9} {:12} {:9} {:9} {:5}  {}"
    try:
        pair.start()
        options = pair.odoo_options() | {"db_port": pair.postgresql.port}
        odoo = Odoo(STACK / "test-topologies/install", free_port(), free_port(), options)
        odoo.install("topology")
        print(line.format("topology", "bus", "level", "cron", "chat", "job", "s", ""), flush=True)
        for topology, result in zip(topologies, examine_all(pair, "topology", topologies), strict=True):
            if isinstance(result, Exception):
                bad += 1
                print(f"{topology.name}: {result!r}"[-2000:], flush=True)
                continue
            problems = result.problems()
            bad += bool(problems)
            bus, cron = result.checks["bus"], result.checks["cron"]
            live = ["not live" if delay is None else f"{delay:.2f} s" for delay in (result.chat, result.job)]
            words = (bus["verdict"], bus["level"], cron["verdict"], *live, f"{result.seconds:.0f}")
            print(line.format(topology.name, *words, "; ".join(problems) or "right"), flush=True)
            if "-v" in sys.argv or problems:
                for check in result.checks.values():
                    print(check["summary"], check["evidence"], check["remedy"], sep="\n\n", end="\n\n")
    finally:
        pair.stop()
        shutil.rmtree(root, ignore_errors=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
