"""Buttons while hardly any connection is left."""

import contextlib
import time
from contextlib import closing

import psycopg2
import pytest

from probes import query
from sampling import read
from servers import PgBouncer
from support import add_endpoint, wait_until


def test_cancel_when_no_connection_is_left(sampler):
    """The action is confirmed and recorded over the one connection that the request has."""
    client, execute = sampler.client, sampler.pair.postgresql.execute
    execute("GRANT pg_signal_backend TO odoo")
    shop = sampler.shop(async_=True)
    with closing(shop), contextlib.ExitStack() as stack:
        query.wait(shop, time.monotonic() + 5)
        cursor = shop.cursor()
        cursor.execute("SELECT pg_sleep(60)")
        [row] = wait_until(lambda: read(client, "pg.stat.activity", ["query", "=", "SELECT pg_sleep(60)"])[0])
        with contextlib.suppress(psycopg2.OperationalError):
            while True:
                stack.enter_context(closing(sampler.shop()))
        params = client.call("pg.stat.activity", "action_cancel", [row["id"]])["params"]
        assert params["type"] == "success" and "the signal was sent" in params["message"]
        with pytest.raises(psycopg2.errors.QueryCanceled):
            query.wait(shop, time.monotonic() + 5)
    domain = [["model", "=", "connection.endpoint"]]
    [newest, *_rest] = client.call("mail.message", "search_read", domain, ["body"], order="id desc", limit=1)
    assert f"pg_cancel_backend({row['pid']}): the signal was sent" in newest["body"]
    assert "Session of shop on shop" in newest["body"]


def test_buttons_with_two_connections(pair, new_odoo):
    """Odoo has only two connections."""
    odoo, client = new_odoo("narrow", db_maxconn=2)
    pair.postgresql.execute("GRANT pg_monitor, pg_signal_backend TO odoo")
    login = {"user": PgBouncer.admin, "password": pair.passwords[PgBouncer.admin]}
    try:
        created = add_endpoint(client, pair, "PgBouncer", pair.pgbouncer, **login)
        shop = pair.postgresql.connect("shop", "shop", pair.passwords["shop"])
        with closing(shop):
            [row] = client.call("pg.stat.activity", "search", [["pid", "=", shop.info.backend_pid]])
            assert client.call("pg.stat.activity", "action_terminate", [row])["params"]["type"] == "success"
        for method in ("action_test", "action_sample", "action_pause", "action_resume", "action_reconnect"):
            assert client.call("connection.endpoint", method, [created])["params"]["type"] == "success", method
        client.call("connection.endpoint", "action_reload", [created])
        client.call("connection.overview", "get_overview")
        checks = client.call("connection.check", "action_check")
        assert {check["listener"] for check in client.call("connection.check", "read", checks, ["listener"])} == {
            "bus",
            "cron",
        }
    finally:
        pair.postgresql.execute("REVOKE pg_monitor, pg_signal_backend FROM odoo")
    bodies = [
        message["body"]
        for message in client.call("mail.message", "search_read", [["model", "=", "connection.endpoint"]], ["body"])
    ]
    for word in ("pg_terminate_backend", "PAUSE", "RESUME", "RECONNECT", "RELOAD"):
        assert any(word in body for body in bodies), word
    assert not [body for body in bodies if "about to be sent" in body]
    assert not [line for line in odoo.warnings() if "pgbouncer_monitor" in line]
