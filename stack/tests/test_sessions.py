"""Sessions in Odoo on each tested PostgreSQL: their components, and how they are ended."""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rpc import OdooClient
from servers import (
    LOCALHOST,
    POSTGRESQL_VERSIONS,
    Pair,
    ServerError,
    data_root,
    free_port,
    make_folder,
    postgresql_program,
)
from support import add_endpoint, direct_odoo, wait_until

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


@pytest.fixture(scope="module", params=POSTGRESQL_VERSIONS.items(), ids=" of ".join)
def server(request, copy_installed):
    """(Pair, OdooClient): servers of that version, and an Odoo with a cron worker, whose role may see all sessions
    and terminate those of other roles than superusers."""
    version, suite = request.param
    root = Path(tempfile.mkdtemp(dir=make_folder(data_root())))
    ports = {"postgresql": free_port(), "pgbouncer": free_port()}
    try:
        pair = Pair(make_folder(root), ports, Pair.new_passwords(), suite=suite)
    except ServerError as error:
        pytest.skip(f"PostgreSQL {version}: {error}")
    pair.start()
    (running,) = pair.postgresql.execute("SHOW server_version")[0]
    assert running.startswith(version)
    pair.postgresql.execute("GRANT pg_monitor, pg_signal_backend TO odoo")
    odoo = direct_odoo(pair, f"postgresql{version}", db_name="sessions", max_cron_threads=1)
    copy_installed(pair, "sessions")
    odoo.install("sessions", "-u")
    odoo.start()
    client = OdooClient(odoo.url, "sessions")
    add_endpoint(client, pair, "PgBouncer", pair.pgbouncer)
    yield pair, client
    odoo.stop()
    pair.stop()
    assert odoo.warnings() == []
    shutil.rmtree(root)


def sessions(client, *domain):
    fields = client.call("pg.stat.activity", "fields_get", [], ["type"])
    return client.call("pg.stat.activity", "web_search_read", list(domain), {name: {} for name in fields})["records"]


def wait_for(client, *domain):
    return wait_until(lambda: sessions(client, *domain))


@contextmanager
def running(pair, program, *arguments, server=None, user="postgres"):
    """Run a client program of PostgreSQL."""
    process = subprocess.Popen(
        [postgresql_program(program, pair.postgresql.root), *arguments],
        env=dict(
            os.environ,
            PGHOST=LOCALHOST,
            PGPORT=str((server or pair.postgresql).port),
            PGUSER=user,
            PGPASSWORD=pair.passwords[user],
        ),
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_every_column_is_read(server):
    pair, client = server
    with closing(pair.postgresql.connect(application_name="here")):
        [session] = sessions(client, ["application_name", "=", "here"])
    assert session["state"] == "idle" and session["backend_type"] == "client backend"
    (usable,) = pair.postgresql.execute("SELECT 100 - current_setting('superuser_reserved_connections')::int")[0]
    [notice] = client.call("pg.stat.activity", "get_notices")
    assert f" of {usable} connections are in use" in notice["text"]


def states_in_metrics(client, key):
    """Return (database, state) -> number of sessions, without those of none."""
    headers = {"Authorization": f"Bearer {key}"}
    page = client.session.get(f"{client.url}/pgbouncer_monitor/metrics?live=1", headers=headers, timeout=client.timeout)
    page.raise_for_status()
    [family] = [
        family for family in text_string_to_metric_families(page.text) if family.name == "pg_stat_activity_count"
    ]
    return {
        (sample.labels["datname"], sample.labels["state"]): sample.value for sample in family.samples if sample.value
    }


def test_metrics_have_the_states_of_all_sessions_of_a_database(server):
    pair, client = server
    key = client.new_key("admin")
    with closing(pair.postgresql.connect("shop")) as idle, closing(pair.postgresql.connect("shop")) as busy:
        idle.cursor().execute("SELECT 1")
        busy.cursor().execute("BEGIN; SELECT txid_current()")
        query = "SELECT state, count(*) FROM pg_stat_activity WHERE datname = 'shop' AND usename IS NOT NULL GROUP BY 1"
        expected = {("shop", state): count for state, count in pair.postgresql.execute(query)}
        assert expected["shop", "idle in transaction"] == 1
        found = states_in_metrics(client, key)
        assert {state: count for state, count in found.items() if state[0] == "shop"} == expected
        pair.postgresql.execute("REVOKE pg_monitor FROM odoo")
        try:
            assert "shop" not in {database for database, _state in states_in_metrics(client, key)}
        finally:
            pair.postgresql.execute("GRANT pg_monitor TO odoo")


def assert_holders(overview):
    rows = {row["label"]: row["count"] for row in overview["holders"]["rows"] if not row["is_part"]}
    assert rows == {"Odoo Worker": rows["Odoo Worker"], "Odoo Bus or Cron": rows["Odoo Bus or Cron"]} | {
        "Interactive": 1,
        "Backup": 1,
        "Other": 1,
        "PgBouncer Pool: PgBouncer": 3,
    }, "a walsender takes none of max_connections"
    [host] = overview["pgbouncers"][0]["hosts"]
    assert (host["label"], host["clients"]["count"]) == (LOCALHOST, 3)


def test_component_of_real_programs(server, folder):
    pair, client = server
    script = folder / "sleep.sql"
    script.write_text("SELECT pg_sleep(0.2);\n")
    pgbench = ("--no-vacuum", "--time=60", "--client=3", f"--file={script}", "shop")
    with (
        closing(pair.postgresql.connect("shop")) as holder,
        running(pair, "pgbench", *pgbench, server=pair.pgbouncer, user="shop"),
        running(pair, "psql", "--no-psqlrc", "--command=SELECT pg_sleep(60)", "shop") as psql,
        running(pair, "pg_receivewal", f"--directory={folder}"),
    ):
        holder.cursor().execute("CREATE TABLE IF NOT EXISTS held ()")
        holder.cursor().execute("BEGIN; LOCK held")
        # It waits for the lock and does not end.
        with running(pair, "pg_dump", "--dbname=shop"):
            components = {
                "pg_dump": "backup",
                "psql": "interactive",
                "pg_receivewal": "replication",
            }
            for name, component in components.items():
                [session] = wait_for(client, ["application_name", "=like", f"{name}%"])
                assert session["component"] == component and session["component_reason"], name
            [dump] = wait_for(client, ["blocked_by", "!=", False])
            assert dump["application_name"].startswith("pg_dump")
            action = client.call("pg.stat.activity", "action_open_blockers", [dump["id"]])
            [blocker] = sessions(client, ["id", "=", action["res_id"]])
            assert blocker["pid"] == holder.info.backend_pid and blocker["component"] == "other"
            overview = client.call("connection.overview", "get_overview")
        assert_holders(overview)
        pools = sessions(client, ["component", "=", "pgbouncer"])
        assert {pool["datname"] for pool in pools} == {"shop"} and any(pool["pooled_client"] for pool in pools)
        [worker] = sessions(client, ["query", "like", "pg_stat_activity"])
        assert worker["component"] == "odoo_worker" and worker["datname"] == "sessions"
        [listener] = wait_for(client, ["datname", "=", "postgres"], ["application_name", "=like", "odoo-%"])
        assert listener["component"] == "odoo_listener"
        assert psql.poll() is None


def test_how_long_a_session_has_been_blocked(server):
    """PostgreSQL reports it since version 14. For older versions it is the time of the query."""
    pair, client = server
    blocked = "SELECT pg_sleep(1); LOCK held"
    with closing(pair.postgresql.connect("shop")) as holder:
        holder.cursor().execute("CREATE TABLE IF NOT EXISTS held ()")
        holder.cursor().execute("BEGIN; LOCK held")
        with running(pair, "psql", "--no-psqlrc", "--command=BEGIN", f"--command={blocked}", "shop"):
            wait_for(client, ["blocked_by", "!=", False])
            time.sleep(0.3)
            endpoint = client.call("connection.endpoint", "search", [["kind", "=", "postgresql"]])
            client.call("connection.endpoint", "action_sample", endpoint)
            [session] = sessions(client, ["blocked_by", "!=", False])
    [sample] = client.call(
        "connection.sample", "search_read", [["endpoint_id", "=", endpoint]], ["blocked_age"], limit=1
    )
    (version,) = pair.postgresql.execute("SELECT current_setting('server_version_num')::int / 10000")[0]
    for row in (sample, session):
        assert (0.2 if version >= 14 else 1.2) <= row["blocked_age"] < (1 if version >= 14 else 10)


def press(client, method, session_id):
    params = client.call("pg.stat.activity", method, [session_id])["params"]
    return params["type"], params["message"]


def test_cancel_and_terminate_through_the_pool(server):
    pair, client = server
    connection = psycopg2.connect(
        host=LOCALHOST, port=pair.pgbouncer.port, dbname="shop", user="shop", password=pair.passwords["shop"]
    )
    with closing(connection):
        connection.cursor().execute("SELECT 1")
        [session] = wait_for(client, ["component", "=", "pgbouncer"], ["state", "=", "idle in transaction"])
        kind, message = press(client, "action_terminate", session["id"])
        assert kind == "success", message
        assert f"client {session['pooled_client']}, behind PgBouncer" in message, "not PgBouncer's own port"
        with pytest.raises(psycopg2.OperationalError):
            connection.cursor().execute("SELECT 1")


def test_termination_that_comes_too_late(server):
    """The session ends before the click, long after it, or at that moment, and another one begins."""
    pair, client = server
    outcomes = set()
    for delay in (0, 60, *(round_ / 500 for round_ in range(1, 24))):
        connection = pair.postgresql.connect(user="shop", dbname="shop", password=pair.passwords["shop"])
        pid = connection.info.backend_pid
        [session] = sessions(client, ["pid", "=", pid])
        leaving = threading.Timer(delay, connection.close)
        leaving.start()
        if not delay:
            wait_until(lambda pid=pid: not sessions(client, ["pid", "=", pid]))
        kind, message = press(client, "action_terminate", session["id"])
        leaving.cancel()
        leaving.join()
        connection.close()
        with closing(pair.postgresql.connect(user="shop", dbname="shop", password=pair.passwords["shop"])) as next_one:
            next_one.cursor().execute("SELECT 1")
        outcomes.add(kind)
        assert (kind == "success") == ("signal was sent" in message)
        assert (kind == "danger") == ("this session is gone" in message or "ended before" in message), message
    assert outcomes == {"success", "danger"}, "both happened"


def test_termination_after_its_pid_serves_somebody_else(server):
    pair, client = server
    if not os.access(LAST_PID, os.W_OK):
        pytest.skip(f"{LAST_PID} cannot be written: the kernel chooses the PIDs")

    def connect():
        return pair.postgresql.connect(user="shop", dbname="shop", password=pair.passwords["shop"])

    connection = connect()
    pid = connection.info.backend_pid
    [session] = sessions(client, ["pid", "=", pid])
    connection.close()
    time.sleep(1.1)
    with closing(connect_with_pid(connect, pid)) as somebody_else:
        kind, message = press(client, "action_terminate", session["id"])
        assert kind == "danger" and "it serves another session now" in message
        somebody_else.cursor().execute("SELECT 1")
        [session] = sessions(client, ["pid", "=", pid])
        assert press(client, "action_terminate", session["id"])[0] == "success", "the right one does end"


def connect_with_pid(connect, pid):
    for _attempt in range(300):
        LAST_PID.write_text(str(pid - 1))
        connection = connect()
        if connection.info.backend_pid == pid:
            return connection
        connection.close()
    raise AssertionError(f"no backend got the PID {pid}")


def test_superusers_sessions_are_theirs(server):
    pair, client = server
    with closing(pair.postgresql.connect()) as connection:
        [session] = sessions(client, ["pid", "=", connection.info.backend_pid])
        kind, message = press(client, "action_terminate", session["id"])
        assert kind == "danger" and "Only a superuser may end a superuser's session" in message
        connection.cursor().execute("SELECT 1")


def test_chatter(server):
    """It records who ended which session, with the result, and contains no password."""
    pair, client = server
    with closing(pair.postgresql.connect("shop", "shop", pair.passwords["shop"], application_name="the one")) as ended:
        [session] = sessions(client, ["pid", "=", ended.info.backend_pid])
        press(client, "action_terminate", session["id"])
    domain = [["model", "=", "connection.endpoint"]]
    messages = client.call("mail.message", "search_read", domain, ["body", "author_id", "tracking_value_ids"])
    assert messages[0]["author_id"][1].endswith("Administrator")
    for word in (f"pg_terminate_backend({session['pid']})", "Session of shop on shop", "the one", "signal was sent"):
        assert word in messages[0]["body"]
    trackings = [tracking for message in messages for tracking in message["tracking_value_ids"]]
    values = client.call("mail.tracking.value", "read", trackings)
    assert messages and not [word for word in pair.passwords.values() if word in str(messages) + str(values)]
