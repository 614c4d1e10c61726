"""Odoo's screens beside psql, for every PgBouncer that is supported, all watched by one Odoo."""

import csv
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import POLL_READ
from psycopg2.extras import wait_select

from conftest import OdooClient, add_endpoint, direct_odoo, wait_until
from servers import LOCALHOST, VERSIONS, PgBouncer, ServerError, data_root, free_port, make_folder

# Of each model: the command, its key, and how the names of the columns begin that change from one
# look to the next.
MODELS = {
    "pgbouncer.pool": ("SHOW POOLS", ("database", "user"), ("maxwait",)),
    "pgbouncer.client": ("SHOW CLIENTS", ("ptr",), ("wait",)),
    "pgbouncer.server": ("SHOW SERVERS", ("ptr",), ()),
    "pgbouncer.database": ("SHOW DATABASES", ("name",), ()),
    "pgbouncer.stat": ("SHOW STATS", ("database",), ("avg_",)),
    "pgbouncer.setting": ("SHOW CONFIG", ("key",), ()),
    "pgbouncer.user": ("SHOW USERS", ("name",), ("current_",)),
}
# Columns that have another name in Odoo.
RENAMED = {"id": "socket_id", "reserve_pool": "reserve_pool_size"}


class Watched:
    """One PgBouncer with clients of every kind, and its endpoint in Odoo."""

    def __init__(self, suite, pair, root):
        self.suite = suite
        self.pair = pair
        self.socket_folder = make_folder(root / "socket", 0o777)
        target = f"host={LOCALHOST} port={pair.postgresql.port} dbname=shop"
        databases = {
            "small": f"{target} pool_size=1",
            "forced": f"{target} user=shop password={pair.passwords['shop']} reserve_pool=2",
        }
        self.server = PgBouncer(
            root,
            free_port(),
            pair.postgresql,
            pair.passwords,
            databases,
            {"unix_socket_dir": self.socket_folder, "query_wait_timeout": 60},
            suite,
        ).start()
        self.clients = {}

    def connect(self, name, dbname, user="shop", **options):
        client = psycopg2.connect(
            **{"host": LOCALHOST, "port": self.server.port, "connect_timeout": 5} | options,
            dbname=dbname,
            user=user,
            password=self.pair.passwords[user],
            application_name=name,
        )
        self.clients[name] = client
        return client

    def open_clients(self):
        """One in a transaction, one that waits for its server, one under another's name, one
        over a unix socket."""
        self.connect("holder", "small").cursor().execute("BEGIN; SELECT 1")
        waiter = self.connect("waiter", "small", async_=True, connect_timeout=None)
        wait_select(waiter)
        self.waiting = waiter.cursor()
        self.waiting.execute("SELECT 1")
        self.connect("forced", "forced", "odoo").cursor().execute("SELECT 1")
        self.connect("unix", "shop", host=str(self.socket_folder)).cursor().execute("SELECT 1")

    def psql(self, command, user=PgBouncer.stats):
        shown = subprocess.run(
            ["psql", "--no-psqlrc", "--csv", f"--host={LOCALHOST}", f"--port={self.server.port}"]
            + [f"--username={user}", f"--command={command}", "pgbouncer"],
            check=True,
            capture_output=True,
            text=True,
            timeout=10,
            env=dict(os.environ, PGPASSWORD=self.pair.passwords[user]),
        )
        return list(csv.DictReader(shown.stdout.splitlines()))

    def stop(self):
        for client in self.clients.values():
            client.close()
        self.server.stop()


@pytest.fixture(scope="module")
def odoo(pair, installed):
    """An Odoo that sees all sessions, and its administrator."""
    pair.postgresql.execute(f"CREATE DATABASE versions TEMPLATE {installed} OWNER odoo", "GRANT pg_monitor TO odoo")
    odoo = direct_odoo(pair, "versions", db_name="versions").start()
    yield OdooClient(odoo, "versions")
    odoo.stop()
    assert odoo.warnings() == []
    pair.postgresql.execute("REVOKE pg_monitor FROM odoo", "DROP DATABASE versions WITH (FORCE)")


@pytest.fixture(scope="module", params=VERSIONS.items(), ids=" of ".join)
def watched(request, pair, odoo):
    version, suite = request.param
    root = Path(tempfile.mkdtemp(dir=make_folder(data_root())))
    try:
        watched = Watched(suite, pair, make_folder(root))
    except ServerError as error:
        pytest.skip(f"PgBouncer {version}: {error}")
    watched.endpoint_id = add_endpoint(odoo, pair, f"PgBouncer {version}", watched.server)
    yield watched
    odoo.call("connection.endpoint", "unlink", [watched.endpoint_id])
    watched.stop()
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def busy(watched):
    watched.open_clients()
    return watched


def read_all(odoo, model, domain=()):
    """All rows, as the list view loads them."""
    fields = odoo.call(model, "fields_get", [], ["type"])
    specification = {name: {} for name in fields}
    result = odoo.call(model, "web_search_read", list(domain), specification)
    assert [notice for notice in result["reading"]["notices"] if notice["type"] != "info"] == []
    return result["records"]


def test_database_that_is_left_out(odoo, watched):
    """Nobody used a database of “*”, and PgBouncer looked for such while a client logged in: SHOW DATABASES does not
    have it, though it is in use."""

    def names():
        return {row["name"] for row in watched.psql("SHOW DATABASES")}

    # Closed in its transaction: so its server is closed, too, and the database is unused.
    with closing(watched.connect("first", "shop")) as first:
        first.cursor().execute("SELECT 1")
    wait_until(lambda: "shop" not in names())
    client = watched.connect("slow", "shop", async_=True, connect_timeout=None, sslmode="disable")
    with closing(client):
        while client.poll() != POLL_READ:
            select.select([], [client], [], 5)
        time.sleep(1)  # PgBouncer looks three times a second
        wait_select(client)
        cursor = client.cursor()
        cursor.execute("BEGIN")
        wait_select(client)
        assert "shop" not in names()
        of_endpoint = ["endpoint_id", "=", watched.endpoint_id]
        [pool] = read_all(odoo, "pgbouncer.pool", [of_endpoint, ["database", "=", "shop"]])
        [row] = read_all(odoo, "pgbouncer.client", [of_endpoint, ["pool_id", "=", pool["id"]]])
        [session] = read_all(odoo, "pg.stat.activity", [["client_id", "=", row["id"]]])
        assert (session["component"], session["state"]) == ("pgbouncer", "idle in transaction")
        card = odoo.call("connection.overview", "get_card", watched.endpoint_id)
    assert card["level"] == "unknown" and "Give it a line of its own" in card["reason"]
    assert [pool["pressure"] for pool in card["pools"]] == [None]


def test_request_to_cancel(odoo, watched):
    """It has a database and no user: no pool is its own."""
    postgresql = watched.pair.postgresql
    query = subprocess.Popen(
        ["psql", "--no-psqlrc", f"--host={LOCALHOST}", f"--port={watched.server.port}", "--username=shop"]
        + ["--command=SELECT pg_sleep(60)", "shop"],
        env=dict(os.environ, PGPASSWORD=watched.pair.passwords["shop"]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    is_shown = watched.suite != "bullseye"  # 1.15 does not

    def clients():
        """As the list asks for them: user -> whether it has a pool."""
        domain = [["endpoint_id", "=", watched.endpoint_id], ["database", "=", "shop"]]
        specification = {"user": {}, "pool_id": {"fields": {"display_name": {}}}}
        rows = odoo.call("pgbouncer.client", "web_search_read", domain, specification)["records"]
        return {row["user"]: bool(row["pool_id"]) for row in rows}

    wait_until(lambda: postgresql.execute("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"))
    assert clients() == {"shop": True}
    postgresql.freeze()  # so that it cannot be passed on; what is connected works on
    try:
        query.send_signal(signal.SIGINT)
        wait_until(lambda: "(nouser)" in clients() or not is_shown)
        assert clients() == {"shop": True} | ({"(nouser)": False} if is_shown else {})
    finally:
        postgresql.thaw()
        query.wait(10)


@pytest.mark.parametrize("model", MODELS)
def test_rows_equal_psql(odoo, busy, model):
    command, key, changing = MODELS[model]
    rows = {tuple(str(row[name]) for name in key): row for row in read_all(odoo, model)}
    shown = {tuple(row[name] for name in key): row for row in busy.psql(command)}
    if model == "pgbouncer.setting":
        shown = {key: row for key, row in shown.items() if key in rows}
        assert {("max_client_conn",), ("default_pool_size",), ("server_reset_query",)} <= set(shown)
        assert not [key for (key,) in rows if "ldap" in key or "password" in key or "query" in key and "auth" in key]
    else:
        # Each look at the console is a client of it itself.
        shown = {key: row for key, row in shown.items() if "pgbouncer" not in (row.get("database"), row.get("name"))}
        rows = {key: row for key, row in rows.items() if "pgbouncer" not in (row.get("database"), row.get("name"))}
    assert rows.keys() == shown.keys() and shown
    for row_key, row in shown.items():
        steady = {name: text for name, text in row.items() if not name.startswith(changing)}
        fields = {RENAMED.get(name, name): text for name, text in steady.items()}
        text = {name: "" if rows[row_key][name] is False else str(rows[row_key][name]) for name in fields}
        assert text == fields, (command, row_key)


def test_who_is_behind_a_session(odoo, busy):
    """From the backend of each client to the client's own address and port, and back."""
    for name, pool_database, pool_user in (
        ("holder", "small", "shop"),
        ("forced", "forced", "shop"),
        ("unix", "shop", "shop"),
    ):
        client = busy.clients[name]
        cursor = client.cursor()
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
        [session] = read_all(odoo, "pg.stat.activity", [["pid", "=", pid]])
        assert session["component"] == "pgbouncer"
        assert session["endpoint_id"] == busy.endpoint_id
        if name == "unix":
            assert session["pooled_client"] == f"unix socket, PID {os.getpid()}"
        else:
            host, port = local_address(client)
            assert session["pooled_client"] == f"{host}:{port}"
        [behind] = read_all(odoo, "pgbouncer.client", [["id", "=", session["client_id"]]])
        assert (behind["database"], behind["server_id"]) == (pool_database, session["server_id"])
        assert behind["user"] == ("odoo" if name == "forced" else "shop")
        [pool] = read_all(odoo, "pgbouncer.pool", [["id", "=", session["pool_id"]]])
        assert (pool["database"], pool["user"]) == (pool_database, pool_user)
        assert behind["pool_id"] == pool["id"], "also when force_user makes it another's"
        # Each screen leads on to the others.
        for model, method, record, target in (
            ("pg.stat.activity", "action_open_client", session, behind),
            ("pg.stat.activity", "action_open_pool", session, pool),
            ("pgbouncer.client", "action_open_session", behind, session),
            ("pgbouncer.client", "action_open_pool", behind, pool),
        ):
            assert odoo.call(model, method, [record["id"]])["res_id"] == target["id"], (model, method)
        action = odoo.call("pgbouncer.pool", "action_open_sessions", [pool["id"]])
        assert action.get("res_id", session["id"]) == session["id"]


def local_address(client):
    with socket.socket(fileno=os.dup(client.fileno())) as own_end:
        return own_end.getsockname()


def test_waiting_client(odoo, busy):
    [waiter] = read_all(odoo, "pgbouncer.client", [["state", "=", "waiting"], ["endpoint_id", "=", busy.endpoint_id]])
    assert waiter["port"] == local_address(busy.clients["waiter"])[1]
    assert waiter["server_id"] is False and waiter["wait_age"] > 0 and waiter["wait"] >= 0
    action = odoo.call("pgbouncer.pool", "action_open_clients", [waiter["pool_id"]])
    assert len(read_all(odoo, "pgbouncer.client", action["domain"])) == 2, "the holder and the waiter"


def test_endpoint(odoo, busy):
    fields = odoo.call("connection.endpoint", "fields_get", [], ["type"])
    [endpoint] = odoo.call("connection.endpoint", "web_read", [busy.endpoint_id], {name: {} for name in fields})
    lists = {row["list"]: int(row["items"]) for row in busy.psql("SHOW LISTS")}
    assert {name: endpoint[name] for name in lists} == lists
    assert endpoint["used_clients"] >= 4 and endpoint["max_client_conn"] == 1000
    version = next(version for version, suite in VERSIONS.items() if suite == busy.suite)
    assert endpoint["version"].startswith(version)
    assert endpoint["state"] == ("unknown" if version in ("1.15", "1.18") else "active")
    assert bool(endpoint["version_warning"]) == (version == "1.24"), "1.24.0 to 1.25.1 have the hole"
    assert endpoint["is_admin"] is False
    assert endpoint["started_at"] is False, "TCP does not tell"
    odoo.call("connection.endpoint", "write", [busy.endpoint_id], {"host": str(busy.socket_folder)})
    odoo.call("connection.endpoint", "write", [busy.endpoint_id], {"password": busy.pair.passwords[PgBouncer.stats]})
    [endpoint] = odoo.call("connection.endpoint", "web_read", [busy.endpoint_id], {"started_at": {}})
    assert endpoint["started_at"] == time.strftime(
        "%Y-%m-%d %H:%M:%S", time.gmtime(busy.server.process().create_time())
    )


@pytest.fixture
def admin(odoo, watched):
    """The endpoint, for a user of admin_users, and nobody else at work."""
    while watched.clients:
        watched.clients.popitem()[1].close()
    values = {"host": LOCALHOST, "user": PgBouncer.admin}
    odoo.call("connection.endpoint", "write", [watched.endpoint_id], values)
    password = {"password": watched.pair.passwords[PgBouncer.admin]}
    odoo.call("connection.endpoint", "write", [watched.endpoint_id], password)
    return watched


def state(odoo, watched):
    [endpoint] = odoo.call("connection.endpoint", "web_read", [watched.endpoint_id], {"state": {}, "is_admin": {}})
    return endpoint["state"]


def database(odoo, watched, name):
    [row] = read_all(odoo, "pgbouncer.database", [["name", "=", name], ["endpoint_id", "=", watched.endpoint_id]])
    return row


def press(odoo, model, method, record_id):
    """The kind and the words of the notification."""
    params = odoo.call(model, method, [record_id])["params"]
    return params["type"], params["message"]


def chatter(odoo, watched):
    [message] = odoo.call(
        "mail.message",
        "search_read",
        [["model", "=", "connection.endpoint"], ["res_id", "=", watched.endpoint_id], ["body", "!=", False]],
        ["body", "author_id"],
        limit=1,
    )
    return message["body"], message["author_id"][1]


def is_served(watched, dbname):
    client = watched.connect("asks", dbname, async_=True, connect_timeout=None)
    with closing(client):
        wait_select(client)
        cursor = client.cursor()
        cursor.execute("SELECT 1")
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            if client.poll() == psycopg2.extensions.POLL_OK:
                return True
            time.sleep(0.02)
    return False


def test_pause_and_resume_a_database(odoo, admin):
    row = database(odoo, admin, "forced")
    assert press(odoo, "pgbouncer.database", "action_pause", row["id"])[0] == "success"
    assert database(odoo, admin, "forced")["state"] == "paused"
    assert not is_served(admin, "forced") and is_served(admin, "shop")
    assert press(odoo, "pgbouncer.database", "action_resume", row["id"])[0] == "success"
    assert database(odoo, admin, "forced")["state"] != "paused"
    assert is_served(admin, "forced")
    body, author = chatter(odoo, admin)
    assert 'RESUME "forced"' in body.replace("&#34;", '"').replace("&quot;", '"') and "Admin" in author
    kind, message = press(odoo, "pgbouncer.database", "action_resume", row["id"])
    assert kind == "danger" and "is not paused" in message
    assert "is not paused" in chatter(odoo, admin)[0]


def test_disabled_database(odoo, admin):
    admin.psql('DISABLE "forced"', PgBouncer.admin)
    assert database(odoo, admin, "forced")["state"] == "disabled"
    admin.psql('ENABLE "forced"', PgBouncer.admin)
    assert database(odoo, admin, "forced")["state"] != "disabled"


def test_pause_waits_for_what_runs(odoo, admin):
    """The button does not hang, and says what PgBouncer does."""
    with closing(admin.connect("long", "forced", "odoo")) as client:
        client.cursor().execute("SELECT 1")
        row = database(odoo, admin, "forced")
        started = time.monotonic()
        kind, message = press(odoo, "pgbouncer.database", "action_pause", row["id"])
        assert time.monotonic() - started < 4
        assert kind == "warning" and "goes on pausing" in message
        assert database(odoo, admin, "forced")["state"] == "paused"
    assert press(odoo, "pgbouncer.database", "action_resume", row["id"])[0] == "success"


def test_pause_and_resume_all(odoo, admin):
    knows_state = admin.suite not in ("bullseye", "bookworm")
    assert press(odoo, "connection.endpoint", "action_pause", admin.endpoint_id)[0] == "success"
    assert state(odoo, admin) == ("paused" if knows_state else "unknown")
    assert database(odoo, admin, "small")["state"] == ("paused" if knows_state else "unknown"), "never “active”"
    assert not is_served(admin, "shop")
    assert press(odoo, "connection.endpoint", "action_resume", admin.endpoint_id)[0] == "success"
    assert is_served(admin, "shop")


def test_reconnect(odoo, admin):
    with closing(admin.connect("pid", "shop")) as client:
        client.autocommit = True
        cursor = client.cursor()
        cursor.execute("SELECT pg_backend_pid()")
        before = cursor.fetchone()
        row = database(odoo, admin, "shop")
        assert press(odoo, "pgbouncer.database", "action_reconnect", row["id"])[0] == "success"
        time.sleep(0.5)
        cursor.execute("SELECT pg_backend_pid()")
        assert cursor.fetchone() != before


def test_reload(odoo, admin):
    """A broken file: 1.25 and later say so, and for the others we do."""
    kind, message = press(odoo, "connection.endpoint", "action_reload", admin.endpoint_id)
    is_honest = admin.suite == "unstable"
    assert kind == ("success" if is_honest else "warning")
    configuration = admin.server.folder / "pgbouncer.ini"
    whole = configuration.read_text()
    try:
        configuration.write_text(whole.replace("pool_mode = transaction", "pool_mode = nonsense"))
        kind, message = press(odoo, "connection.endpoint", "action_reload", admin.endpoint_id)
    finally:
        configuration.write_text(whole)
    if is_honest:
        assert kind == "danger" and "RELOAD failed" in message
    else:
        assert kind == "warning" and "only its log tells" in message


def test_stats_user_is_offered_nothing(odoo, watched):
    stats = {"user": PgBouncer.stats}
    odoo.call("connection.endpoint", "write", [watched.endpoint_id], {"host": LOCALHOST} | stats)
    password = {"password": watched.pair.passwords[PgBouncer.stats]}
    odoo.call("connection.endpoint", "write", [watched.endpoint_id], password)
    row = database(odoo, watched, "forced")
    assert row["is_admin"] is False
    kind, message = press(odoo, "pgbouncer.database", "action_pause", row["id"])
    assert kind == "danger" and "may only look" in message and "admin_users" in message
    assert database(odoo, watched, "forced")["state"] != "paused"
