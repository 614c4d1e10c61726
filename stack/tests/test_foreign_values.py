"""Implausible values, and NULL that means "switched off": unknown is not shown as 0 or OK."""

import contextlib
import time
from contextlib import closing

import psycopg2
import pytest

from probes import query
from sampling import POSTGRESQL, endpoint, read, waiting
from servers import LOCALHOST, PgBouncer, free_port
from support import wait_until


def test_track_activities_off(sampler):
    """What PostgreSQL does not track is unknown, not "none", while such a session blocks another."""
    execute = sampler.pair.postgresql.execute
    execute("ALTER ROLE shop SET track_activities = off")
    try:
        with closing(sampler.shop()) as holder, contextlib.ExitStack() as stack:
            holder.cursor().execute("SELECT pg_advisory_xact_lock(2)")
            stack.enter_context(waiting(sampler, "SELECT pg_advisory_xact_lock(2)"))
            time.sleep(1.2)
            rows, notices = read(sampler.client, "pg.stat.activity", ["pid", "=", holder.info.backend_pid])
            assert [row["is_untracked"] for row in rows] == [True]
            [remedy] = [notice["remedy"] for notice in notices if "track_activities" in notice["text"]]
            assert remedy == "ALTER ROLE shop SET track_activities = on;"
            overview, _cards = sampler.overview()
            assert (overview["hidden"], overview["unseen"], overview["idle_in_transaction"]["count"]) == (0, 1, 0)
            [tree] = overview["blocked"]["trees"]
            assert tree["nodes"][0]["pid"] == holder.info.backend_pid
            sample = sampler.run()[POSTGRESQL]
        assert sample["level"] == "unknown" and remedy in sample["reason"]
        fields = ["idle_in_transaction_age", "xact_age", "idle_backends", "untracked_backends"]
        [row] = sampler.client.call("connection.sample", "read", [sample["id"]], fields)
        assert [row[name] for name in fields] == [False, False, False, 1]
    finally:
        execute("ALTER ROLE shop RESET track_activities")
    assert sampler.run()[POSTGRESQL]["level"] == "ok"


@pytest.fixture
def server_with_clock(sampler, folder):
    """A PgBouncer with a clock that can be shifted and a pool of one server, and the arguments to connect to it."""
    pair = sampler.pair
    target = f"host={LOCALHOST} port={pair.postgresql.port} dbname=shop pool_size=1"
    settings = {"query_wait_timeout": 0, "stats_period": 2}
    server = PgBouncer(folder / "clock", free_port(), pair.postgresql, pair.passwords, {"x": target}, settings)
    server.fake_clock()
    server.start()
    yield (
        server,
        {
            "host": LOCALHOST,
            "port": server.port,
            "dbname": "x",
            "user": "shop",
            "password": pair.passwords["shop"],
        },
    )
    server.stop()


def test_clock_that_is_put_back(sampler, server_with_clock):
    """While a client waits: counters above 2^63 and negative waits are unknown, each in its cell."""
    server, options = server_with_clock
    with endpoint(sampler, "Clock", server) as created, closing(psycopg2.connect(**options)) as holder:
        holder.cursor().execute("SELECT 1")
        waiter = psycopg2.connect(async_=True, **options)
        query.wait(waiter, time.monotonic() + 5)
        cursor = waiter.cursor()
        cursor.execute("SELECT 2")
        waiter.poll()
        domain = ["endpoint_id", "=", created], ["database", "=", "x"]
        [pool] = wait_until(lambda: read(sampler.client, "pgbouncer.pool", *domain, ["maxwait_age", ">", 0])[0])
        sampler.run()
        server.fake_clock("-3600")
        time.sleep(1)
        [pool], notices = read(sampler.client, "pgbouncer.pool", *domain)
        assert notices == [] and (pool["cl_waiting"], pool["maxwait"], pool["maxwait_age"]) == (1, False, False)
        [client] = read(sampler.client, "pgbouncer.client", *domain, ["state", "=", "waiting"])[0]
        assert (client["wait"], client["wait_age"]) == (False, False)
        card = sampler.client.call("connection.overview", "get_card", created)
        assert (card["waiting"], card["maxwait"]) == (1, None)
        holder.commit()
        query.wait(waiter, time.monotonic() + 5)
        stats = wait_until(
            lambda: [
                row
                for row in read(sampler.client, "pgbouncer.stat", *domain)[0]
                if row["total_wait_time"] is False and row["total_xact_count"]
            ]
        )
        assert stats[0]["total_wait_seconds"] is False and stats[0]["total_received"] > 0
        sample = sampler.run()["Clock"]["pools"]["x"]
        fields = ["wait_time", "received", "query_count", "xact_time", "xact_mean"]
        [row] = sampler.client.call("connection.sample", "read", [sample["id"]], fields)
        assert row["wait_time"] is False and row["received"] > 0
        assert (row["query_count"] > 0, row["xact_time"], row["xact_mean"]) == (True, False, False)
        waiter.close()


def test_clock_that_is_put_forward(sampler, server_with_clock):
    """While a transaction is open: PgBouncer counts an hour for it, in a pool of one server."""
    server, options = server_with_clock
    with endpoint(sampler, "Clock", server), closing(psycopg2.connect(**options)) as holder:
        holder.cursor().execute("SELECT 1")
        sampler.run()
        sampler.run()
        server.fake_clock("+3600")
        time.sleep(1)
        holder.commit()
        sample = sampler.run()["Clock"]["pools"]["x"]
        fields = ["query_count", "xact_time", "xact_mean", "query_mean"]
        [row] = sampler.client.call("connection.sample", "read", [sample["id"]], fields)
        assert (row["query_count"], row["xact_time"], row["xact_mean"]) == (1, False, False)
        assert row["query_mean"] is not False


def test_prepared_transaction(sampler):
    """It has no session: a message identifies it, with the command that ends it."""
    pair = sampler.pair
    pair.postgresql.execute("ALTER SYSTEM SET max_prepared_transactions = 5")
    sampler.pair.postgresql.stop()
    sampler.pair.postgresql.start()
    try:
        with closing(sampler.shop()) as owner:
            owner.autocommit = True
            cursor = owner.cursor()
            for statement in (
                "CREATE TABLE IF NOT EXISTS kept ()",
                "BEGIN",
                "LOCK kept",
                "PREPARE TRANSACTION 'it''s'",
            ):
                cursor.execute(statement)
        with waiting(sampler, "BEGIN; LOCK kept"):
            [row] = wait_until(lambda: read(sampler.client, "pg.stat.activity", ["blocked_by", "=", "0"])[0])
            with pytest.raises(
                RuntimeError, match="“it's” of shop has held the lock since .* ROLLBACK PREPARED 'it''s';"
            ):
                sampler.client.call("pg.stat.activity", "action_open_blockers", [row["id"]])
            time.sleep(1.2)
            overview, _cards = sampler.overview()
            assert "ROLLBACK PREPARED 'it''s';" in overview["blocked"]["trees"][0]["nodes"][0]["who"]
    finally:
        pair.postgresql.execute("ROLLBACK PREPARED 'it''s'", dbname="shop")
