"""The samples and the log while real servers break, and that good samples follow without intervention."""

import contextlib
import re
import threading
import time
from contextlib import closing, contextmanager

import psycopg2

from sampling import MAX_CLIENT_CONN, MAX_CONNECTIONS, POSTGRESQL
from servers import LOCALHOST, PgBouncer
from support import wait_until


def test_calm(sampler):
    sampler.run()
    samples = sampler.run()
    for sample in samples.values():
        assert (sample["level"], sample["reason"], sample["line"]["severity"]) == ("ok", False, "INFO")
        assert sample["interval"] is not False
    assert samples["PgBouncer"]["capacity"] == MAX_CLIENT_CONN
    assert samples[POSTGRESQL]["capacity"] == MAX_CONNECTIONS - 3


def assert_unknown(sample, *words):
    assert (sample["level"], sample["line"]["severity"]) == ("unknown", "WARNING")
    for name in ("used", "capacity", "pressure", "waiting"):
        assert sample[name] is False, name
    for word in words:
        assert word in sample["reason"]
        assert word in sample["line"]["rest"]
    assert sample["pools"] == {}


def assert_not_responding(sampler, *words):
    """Assert what the Overview shows of a PgBouncer that does not respond."""
    overview, cards = sampler.overview()
    card = cards["PgBouncer"]
    assert (card["level"], card["is_answering"], card["used"], card["waiting"]) == ("unknown", False, None, None)
    assert all(word in card["reason"] for word in words) and card["last_seen"]
    assert overview["silent"] == ["PgBouncer"]
    assert cards[POSTGRESQL]["level"] == "ok"


def test_killed_pgbouncer(sampler):
    with closing(sampler.shop(sampler.pair.pgbouncer)) as shop:
        shop.cursor().execute("SELECT 1")
    sampler.run()
    sampler.pair.pgbouncer.stop()
    assert_not_responding(sampler, "No server listens", "listen_port")
    samples = sampler.run()
    assert_unknown(samples["PgBouncer"], "No server listens", "listen_port")
    assert samples[POSTGRESQL]["level"] == "ok", "the others are measured as ever"
    sampler.pair.pgbouncer.start()
    back = sampler.run()["PgBouncer"]
    assert back["level"] == "ok"
    assert (back["interval"], back["xact_count"]) == (False, False), "it counts from the beginning"
    assert sampler.run()["PgBouncer"]["interval"] > 0


def test_frozen_pgbouncer(sampler):
    started = time.monotonic()
    sampler.run()
    sampler.pair.pgbouncer.freeze()
    try:
        assert_unknown(sampler.run()["PgBouncer"], "did not answer within 3.0 s", "suspended")
        [endpoint] = sampler.client.call(
            "connection.endpoint", "search_read", [["name", "=", "PgBouncer"]], ["level", "last_error"]
        )
        assert endpoint["level"] == "unknown" and "did not answer" in endpoint["last_error"]
        assert_not_responding(sampler, "did not answer within 3.0 s")
    finally:
        sampler.pair.pgbouncer.thaw()
    back = sampler.run()["PgBouncer"]
    assert back["level"] == "ok"
    assert 3 < back["interval"] < time.monotonic() - started, "it has counted on"


def test_restarted_postgresql(sampler):
    sampler.run()
    sampler.pair.postgresql.stop()
    sampler.pair.postgresql.start()
    for _attempt in range(3):  # a request may still use a connection that was closed
        with contextlib.suppress(RuntimeError):
            samples = sampler.run()
            break
    assert samples[POSTGRESQL]["level"] == "ok"
    assert samples[POSTGRESQL]["sessions"] is not False, "the statistics outlive a restart"
    assert samples["PgBouncer"]["level"] == "ok"


def test_all_of_max_connections(sampler):
    sampler.run()  # Odoo has its connections
    sessions = []
    with contextlib.suppress(psycopg2.OperationalError):
        while True:
            sessions.append(sampler.shop())
    full = sampler.run()[POSTGRESQL]
    overview, cards = sampler.overview()
    for session in sessions:
        session.close()
    assert full["used"] == full["capacity"] == MAX_CONNECTIONS - 3
    assert (full["pressure"], full["level"], full["line"]["severity"]) == (100, "critical", "ERROR")
    assert (cards[POSTGRESQL]["level"], cards[POSTGRESQL]["left"]) == ("critical", 0), "it opens all the same"
    [most, *_others] = overview["holders"]["rows"]
    assert (most["label"], most["count"]) == ("Other", len(sessions)), "who it is"
    wait_for_level(sampler, POSTGRESQL, "ok")


def wait_for_level(sampler, name, level):
    deadline = time.monotonic() + 10
    while (sample := sampler.run()[name])["level"] != level:
        assert time.monotonic() < deadline, sample
    return sample


def test_all_of_max_client_conn(sampler):
    shops = []
    with contextlib.suppress(psycopg2.OperationalError):
        while True:
            shops.append(sampler.shop(sampler.pair.pgbouncer))
    full = sampler.run()["PgBouncer"]
    for shop in shops:
        shop.close()
    assert len(shops) == MAX_CLIENT_CONN
    # The console's connection is in addition to them.
    assert full["used"] == MAX_CLIENT_CONN + 1
    assert (full["level"], full["line"]["severity"]) == ("critical", "ERROR")
    wait_for_level(sampler, "PgBouncer", "ok")


def test_queue_between_two_runs(sampler):
    """Five clients need one of three servers for a second, and all have finished before the next sample."""
    before = sampler.run()["PgBouncer"]
    assert before["waiting"] == 0

    def work():
        with closing(sampler.shop(sampler.pair.pgbouncer)) as shop:
            shop.cursor().execute("SELECT pg_sleep(1)")

    threads = [threading.Thread(target=work) for _number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = sampler.run()["PgBouncer"]
    assert after["waiting"] == 0
    [row] = sampler.client.call(
        "connection.sample", "read", [after["pools"]["shop"]["id"]], ["wait_time", "waiting_mean", "interval"]
    )
    assert 1.5 < row["wait_time"] < 4, "two clients, a second each"
    assert abs(row["waiting_mean"] - row["wait_time"] / row["interval"]) < 0.01


@contextmanager
def stats_users(sampler, value):
    """Change stats_users, with effect at once."""
    path = sampler.pair.pgbouncer.folder / "pgbouncer.ini"
    text = path.read_text()
    path.write_text(re.sub(r"(?m)^stats_users = .*", f"stats_users = {value}", text))
    reload(sampler)
    yield
    path.write_text(text)
    reload(sampler)


def reload(sampler):
    console = psycopg2.connect(
        host=LOCALHOST,
        port=sampler.pair.pgbouncer.port,
        user=PgBouncer.admin,
        password=sampler.pair.passwords[PgBouncer.admin],
        dbname="pgbouncer",
    )
    console.autocommit = True
    with closing(console):
        console.cursor().execute("RELOAD")


def test_rights_that_are_gone(sampler):
    with stats_users(sampler, "nobody"):
        assert_unknown(sampler.run()["PgBouncer"], "may not use the console", "stats_users")
    back = sampler.run()["PgBouncer"]
    assert back["level"] == "ok", back["reason"]

    with closing(sampler.shop()) as shop:
        shop.cursor().execute("SELECT 1")
        time.sleep(1)  # idle in a transaction
        fields = ["hidden_backends", "idle_in_transaction_backends", "idle_in_transaction_age"]
        sampler.pair.postgresql.execute("REVOKE pg_monitor FROM odoo")
        blind = sampler.run()[POSTGRESQL]
        overview, _cards = sampler.overview()
        sampler.pair.postgresql.execute("GRANT pg_monitor TO odoo")
        seeing = sampler.run()[POSTGRESQL]
    assert blind["used"] == seeing["used"], "also those that may not be seen count"
    assert (blind["level"], blind["line"]["level"]) == ("unknown", "unknown")
    assert "GRANT pg_monitor TO odoo;" in blind["reason"]
    assert seeing["level"] == "ok"
    assert (overview["hidden"], overview["idle_in_transaction"]["count"]) == (1, 0), "at least none"
    assert "GRANT pg_monitor TO odoo;" in overview["notices"][0]["remedy"]
    ids = [blind["id"], seeing["id"]]
    blind, seeing = sampler.client.call("connection.sample", "read", ids, fields)
    assert (blind["hidden_backends"], blind["idle_in_transaction_backends"]) == (1, False)
    assert blind["idle_in_transaction_age"] is False
    assert seeing["hidden_backends"] == 0 and seeing["idle_in_transaction_age"] >= 1


@contextmanager
def own_address(sampler, **values):
    """Give the PostgreSQL endpoint its own address: by default that of the role shop."""
    endpoint = sampler.record("connection_endpoint_postgresql")
    values = {
        "host": LOCALHOST,
        "port": sampler.pair.postgresql.port,
        "user": "shop",
        "password": sampler.pair.passwords["shop"],
    } | values
    sampler.client.call("connection.endpoint", "write", [endpoint], values)
    try:
        yield
    finally:
        sampler.client.call("connection.endpoint", "write", [endpoint], dict.fromkeys(values, False))


def test_address_of_its_own(sampler):
    with own_address(sampler):
        sample = sampler.run()[POSTGRESQL]
        assert "GRANT pg_monitor TO shop;" in sample["reason"], "it sees less than Odoo's own role"
        sampler.pair.postgresql.execute("GRANT pg_monitor TO shop")
        sample = sampler.run()[POSTGRESQL]
        assert (sample["level"], sample["reason"]) == ("ok", False)

        # Odoo's connection is used if the address cannot be read, with the reason.
        sampler.pair.postgresql.execute("ALTER ROLE shop CONNECTION LIMIT 0")
        sample = sampler.run()[POSTGRESQL]
        sampler.pair.postgresql.execute("ALTER ROLE shop CONNECTION LIMIT -1")
        assert sample["level"] == "ok" and sample["used"]
        assert "no connection left for the role shop" in sample["reason"]
    with own_address(sampler, port=sampler.pair.pgbouncer.port):
        assert not sampler.run()[POSTGRESQL]["reason"], "also through a PgBouncer"
    sampler.pair.postgresql.execute("REVOKE pg_monitor FROM shop")


def test_address_of_another_postgresql(sampler, pair):
    with own_address(sampler, port=pair.postgresql.port, user="postgres", password=pair.passwords["postgres"]):
        pair.postgresql.execute("CREATE DATABASE samples")
        sample = sampler.run()[POSTGRESQL]
        pair.postgresql.execute("DROP DATABASE samples")
    assert "is not the PostgreSQL of this Odoo" in sample["reason"]
    assert sample["capacity"] == MAX_CONNECTIONS - 3


def test_thinning_that_is_cut_off(sampler):
    """The connection is lost while an hour is merged into one sample: nothing is lost or counted twice."""
    execute = sampler.pair.postgresql.execute
    hours, minutes = 10, 60
    endpoint = sampler.record("connection_endpoint_postgresql")
    execute(
        "INSERT INTO connection_sample (endpoint_id, sampled_at, period, sample_count, level, used, xact_count) "
        f"SELECT {endpoint}, timestamp '2026-01-01' + number * interval '1 minute', 'minute', 1, 'ok', 3, 5 "
        f"FROM generate_series(0, {hours * minutes - 1}) AS number",
        dbname="samples",
    )
    vacuum = sampler.client.call("ir.cron", "search", [["cron_name", "ilike", "Auto-vacuum"]])
    count = (
        "SELECT count(*), sum(sample_count), sum(used * sample_count), sum(xact_count) "
        "FROM connection_sample WHERE sampled_at < '2026-02-01'"
    )

    def run():
        with contextlib.suppress(RuntimeError):
            sampler.client.call("ir.cron", "method_direct_trigger", vacuum)

    with closing(sampler.pair.postgresql.connect("samples")) as holder, holder.cursor() as cursor:
        cursor.execute("BEGIN; SELECT FROM connection_sample WHERE sampled_at = '2026-01-01 05:30' FOR UPDATE")
        thread = threading.Thread(target=run)
        thread.start()
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%DELETE%'"
        blocked = wait_until(lambda: execute(waiting), 30)
        execute(f"SELECT pg_terminate_backend({blocked[0][0]})")
        thread.join()
        cursor.execute("ROLLBACK")
    rows, *sums = execute(count, dbname="samples")[0]
    assert rows == 5 + 5 * minutes, "five hours are done, the sixth is as it was"
    total = [hours * minutes, 3 * hours * minutes, 5 * hours * minutes]
    assert sums == total
    run()
    rows, *sums = execute(count, dbname="samples")[0]
    assert (rows, sums) == (hours, total)


def test_nothing_is_secret_in_the_log(sampler):
    log = sampler.odoo.log.read_text()
    assert not [password for password in sampler.pair.passwords.values() if password in log]
