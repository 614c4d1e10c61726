"""What limits a pool, on each PgBouncer: its size, another limit, or a login that never ends."""

import contextlib
import signal
import socket
import time
from contextlib import closing

import psycopg2
import pytest

from probes import query
from probes.errors import QueryError
from sampling import endpoint, read
from servers import LOCALHOST, VERSIONS
from support import wait_until


@pytest.fixture
def silent_postgresql():
    """The port of a server that accepts connections and never responds."""
    with socket.create_server((LOCALHOST, 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("version", VERSIONS)
def test_login_that_never_ends(sampler, watched_pgbouncer, silent_postgresql, version):
    """PgBouncer does not measure this wait: it is unknown, not 0, and a larger pool would not help."""
    target = f"host={LOCALHOST} port={silent_postgresql}"
    server = watched_pgbouncer(version, {"x": target}, query_wait_timeout=60)
    options = {"host": LOCALHOST, "port": server.port, "dbname": "x", "user": "shop", "async_": True}
    client = psycopg2.connect(password=server.passwords["shop"], **options)
    with closing(client), endpoint(sampler, f"Login {version}", server) as created:
        with contextlib.suppress(QueryError):
            query.wait(client, time.monotonic() + 2)
        domain = ["endpoint_id", "=", created], ["database", "=", "x"]
        [pool] = wait_until(lambda: read(sampler.client, "pgbouncer.pool", *domain, ["cl_waiting", ">", 0])[0])
        assert (pool["maxwait_age"], pool["bottleneck"]) == (False, "login")
        card = sampler.client.call("connection.overview", "get_card", created)
        assert card["waiting"] == 1 and card["maxwait"] is None
        assert card["level"] == "unknown" and "PostgreSQL does not answer" in card["reason"]
        sampler.run()
        sampler.client.call(
            "connection.rule", "create", {"rule": "waiting_samples", "endpoint_id": created, "warning": 1}
        )
        sampler.run()
        [alert] = sampler.client.call(
            "connection.alert", "search_read", [["endpoint_id", "=", created], ["rule", "=", "waiting_samples"]]
        )
        assert "larger pool does not help" in alert["advice"] and alert["bottleneck"] == "login"
        assert "PostgreSQL does not answer" in alert["situation"] and "longest wait" not in alert["situation"]


@pytest.mark.parametrize("version", ["1.24", "1.26"])
def test_pool_size_of_a_user(sampler, watched_pgbouncer, version):
    """SHOW USERS pads it, and 1.24 repeats it for the next users."""
    server = watched_pgbouncer(version, {"shop": f"host={LOCALHOST} port={sampler.pair.postgresql.port}"})
    configuration = server.folder / "pgbouncer.ini"
    configuration.write_text(configuration.read_text() + "\n[users]\nodoo = pool_size=30\n")
    server.process().send_signal(signal.SIGHUP)
    time.sleep(0.5)
    with endpoint(sampler, f"Users {version}", server) as created, contextlib.ExitStack() as stack:
        for user in ("odoo", "shop", "postgres"):
            options = {"host": LOCALHOST, "port": server.port, "dbname": "shop", "user": user}
            connection = psycopg2.connect(password=server.passwords[user], **options)
            stack.enter_context(closing(connection)).cursor().execute("SELECT 1")
        sampler.run()
        domain = [["endpoint_id", "=", created], ["user", "!=", False]]
        samples = sampler.client.call("connection.sample", "search_read", domain, ["user", "capacity", "pressure"])
    sizes = {sample["user"]: sample["capacity"] for sample in samples}
    assert sizes == {"odoo": 30, "shop": 20, "postgres": 20}


def work(stack, server, database, count):
    """Run clients that work or wait until the stack ends. Return their cursors: without a reference to its cursor, a
    connection no longer waits."""
    cursors = []
    for _number in range(count):
        options = {"host": LOCALHOST, "port": server.port, "dbname": database, "user": "shop", "async_": True}
        client = psycopg2.connect(password=server.passwords["shop"], **options)
        stack.enter_context(closing(client))
        query.wait(client, time.monotonic() + 5)
        cursors.append(client.cursor())
        cursors[-1].execute("SELECT pg_sleep(60)")
        client.poll()
    return cursors


@pytest.mark.parametrize("version", VERSIONS)
def test_limit_of_a_pool(sampler, watched_pgbouncer, version):
    """If pool_size does not limit a pool, nobody is advised to raise it."""
    target = f"host={LOCALHOST} port={sampler.pair.postgresql.port} dbname=shop"
    databases = {
        "full": f"{target} pool_size=1",
        "reserve": f"{target} pool_size=1 reserve_pool=1",
        "limited": f"{target} max_db_connections=1",
    }
    server = watched_pgbouncer(
        version, databases, reserve_pool_timeout=0.1, max_user_connections=5, default_pool_size=3
    )
    with endpoint(sampler, f"Limits {version}", server) as created, contextlib.ExitStack() as stack:
        cursors = work(stack, server, "full", 2)
        cursors += work(stack, server, "reserve", 4)
        cursors += work(stack, server, "limited", 2)
        found = {}

        def seen():
            rows, _notices = read(sampler.client, "pgbouncer.pool", ["endpoint_id", "=", created])
            found.update({row["database"]: row["bottleneck"] for row in rows if row["cl_waiting"]})
            return found == {"full": "pool_size", "reserve": "reserve_pool", "limited": "max_db_connections"}

        wait_until(lambda: seen() or time.sleep(0.2))
        databases |= {"other": f"{target} pool_size=3"}
        server.databases = databases
        server.reload()
        time.sleep(0.5)
        cursors += work(stack, server, "other", 2)
        wait_until(lambda: seen() or found.get("other") == "max_user_connections")
    sampler.pair.postgresql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop'")
