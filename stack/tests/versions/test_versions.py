"""Odoo's lists compared with psql, on every tested PgBouncer."""

import os
import select
import signal
import socket
import subprocess
import time
from contextlib import closing

import pytest
from psycopg2.extensions import POLL_READ
from psycopg2.extras import wait_select

from servers import LOCALHOST, VERSIONS, PgBouncer
from support import wait_until
from watched import read_all

# Model -> the command, its key columns, and the prefixes of columns whose values change between two readings.
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


def test_database_that_is_left_out(odoo, watched):
    """PgBouncer removed an unused database of “*” while a client logged in: SHOW DATABASES lacks it, though it is in
    use."""

    def names():
        return {row["name"] for row in watched.psql("SHOW DATABASES")}

    # It is closed in a transaction, so its server connection is closed, too, and the database is unused.
    with closing(watched.connect("first", "shop")) as first:
        first.cursor().execute("SELECT 1")
    wait_until(lambda: "shop" not in names())
    client = watched.connect("slow", "shop", async_=True, connect_timeout=None, sslmode="disable")
    with closing(client):
        while client.poll() != POLL_READ:
            select.select([], [client], [], 5)
        time.sleep(1)  # PgBouncer checks three times a second
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
    assert card["level"] == "unknown" and "Add a line for it" in card["reason"]
    assert [pool["pressure"] for pool in card["pools"]] == [None]


def test_request_to_cancel(odoo, watched):
    """It has a database and no user, so it belongs to no pool."""
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
        """Return user -> whether it has a pool, as the list requests them."""
        domain = [["endpoint_id", "=", watched.endpoint_id], ["database", "=", "shop"]]
        specification = {"user": {}, "pool_id": {"fields": {"display_name": {}}}}
        rows = odoo.call("pgbouncer.client", "web_search_read", domain, specification)["records"]
        return {row["user"]: bool(row["pool_id"]) for row in rows}

    wait_until(lambda: postgresql.execute("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"))
    assert clients() == {"shop": True}
    postgresql.freeze()  # so that the request cannot be passed on; existing connections continue
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
        # Each reading of the console is a client of it.
        shown = {key: row for key, row in shown.items() if "pgbouncer" not in (row.get("database"), row.get("name"))}
        rows = {key: row for key, row in rows.items() if "pgbouncer" not in (row.get("database"), row.get("name"))}
    assert rows.keys() == shown.keys() and shown
    for row_key, row in shown.items():
        steady = {name: text for name, text in row.items() if not name.startswith(changing)}
        fields = {RENAMED.get(name, name): text for name, text in steady.items()}
        text = {name: "" if rows[row_key][name] is False else str(rows[row_key][name]) for name in fields}
        assert text == fields, (command, row_key)


def test_who_is_behind_a_session(odoo, busy):
    """From the backend of each client to the client's address and port, and back."""
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
        # Each list links to the others.
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
    assert ("CVE-2026-6667" in (endpoint["version_warning"] or "")) == (version == "1.24"), "1.24.0 to 1.25.1 have it"
    assert ("CVE-2026-6664" in (endpoint["version_warning"] or "")) == (version != "1.26"), "fixed in 1.25.2"
    assert endpoint["is_admin"] is False
    assert endpoint["started_at"] is False, "unknown over TCP"
    odoo.call("connection.endpoint", "write", [busy.endpoint_id], {"host": str(busy.socket_folder)})
    odoo.call("connection.endpoint", "write", [busy.endpoint_id], {"password": busy.pair.passwords[PgBouncer.stats]})
    [endpoint] = odoo.call("connection.endpoint", "web_read", [busy.endpoint_id], {"started_at": {}})
    assert endpoint["started_at"] == time.strftime(
        "%Y-%m-%d %H:%M:%S", time.gmtime(busy.server.process().create_time())
    )
