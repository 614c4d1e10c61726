"""PAUSE, RESUME, RECONNECT and RELOAD from Odoo, on every tested PgBouncer."""

import time
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extras import wait_select

from servers import LOCALHOST, PgBouncer
from watched import press, read_all


@pytest.fixture
def admin(odoo, busy):
    """The endpoint with a user of admin_users, without other clients.

    There have been clients of every pool: PgBouncer completes a login only after it has connected to the server once.
    """
    while busy.clients:
        busy.clients.popitem()[1].close()
    values = {"host": LOCALHOST, "user": PgBouncer.admin}
    odoo.call("connection.endpoint", "write", [busy.endpoint_id], values)
    password = {"password": busy.pair.passwords[PgBouncer.admin]}
    odoo.call("connection.endpoint", "write", [busy.endpoint_id], password)
    return busy


def state(odoo, watched):
    [endpoint] = odoo.call("connection.endpoint", "web_read", [watched.endpoint_id], {"state": {}, "is_admin": {}})
    return endpoint["state"]


def database(odoo, watched, name):
    [row] = read_all(odoo, "pgbouncer.database", [["name", "=", name], ["endpoint_id", "=", watched.endpoint_id]])
    return row


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
    """The button does not hang and reports what PgBouncer does."""
    with closing(admin.connect("long", "forced", "odoo")) as client:
        client.cursor().execute("SELECT 1")
        row = database(odoo, admin, "forced")
        started = time.monotonic()
        kind, message = press(odoo, "pgbouncer.database", "action_pause", row["id"])
        assert time.monotonic() - started < 4
        assert kind == "warning" and "still pausing" in message
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
    """An invalid file: 1.25 and later report it; for older versions the addon warns."""
    kind, message = press(odoo, "connection.endpoint", "action_reload", admin.endpoint_id)
    is_reported = admin.suite == "unstable"
    assert kind == ("success" if is_reported else "warning")
    configuration = admin.server.folder / "pgbouncer.ini"
    whole = configuration.read_text()
    try:
        configuration.write_text(whole.replace("pool_mode = transaction", "pool_mode = nonsense"))
        kind, message = press(odoo, "connection.endpoint", "action_reload", admin.endpoint_id)
    finally:
        configuration.write_text(whole)
    if is_reported:
        assert kind == "danger" and "RELOAD failed" in message
    else:
        assert kind == "warning" and "check its log" in message


def test_stats_user_cannot_pause(odoo, watched):
    stats = {"user": PgBouncer.stats}
    odoo.call("connection.endpoint", "write", [watched.endpoint_id], {"host": LOCALHOST} | stats)
    password = {"password": watched.pair.passwords[PgBouncer.stats]}
    odoo.call("connection.endpoint", "write", [watched.endpoint_id], password)
    row = database(odoo, watched, "forced")
    assert row["is_admin"] is False
    kind, message = press(odoo, "pgbouncer.database", "action_pause", row["id"])
    assert kind == "danger" and "may only run SHOW" in message and "admin_users" in message
    assert database(odoo, watched, "forced")["state"] != "paused"
