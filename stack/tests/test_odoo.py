"""The module in real Odoo processes: upgrade, removal, neutralization, and its lists while servers break."""

import subprocess
import time
from contextlib import closing

import polib
import pytest

from servers import (
    CHECKOUT,
    LOCALHOST,
    MODULE,
    STACK,
    PgBouncer,
    PostgreSQL,
    free_port,
    make_folder,
    postgresql_program,
)
from support import add_endpoint, direct_odoo, wait_until

# CONSOLE_TIMEOUT, and a second for the rest of a list's request.
LIST_SECONDS = 3 + 1
POOLS = {"database": {}, "endpoint_id": {"fields": {"display_name": {}}}}


def read_pools(client):
    """Return the endpoints with rows, endpoint -> notice, and how many seconds the list took."""
    started = time.monotonic()
    result = client.call("pgbouncer.pool", "web_search_read", [], POOLS)
    seconds = time.monotonic() - started
    notices = dict(notice["text"].split(": ", 1) for notice in result["reading"]["notices"])
    return {row["endpoint_id"]["display_name"] for row in result["records"]}, notices, seconds


def test_lists_while_pgbouncers_break(new_odoo, new_pgbouncer, pair, web_server):
    odoo, client = new_odoo("broken")
    frozen, killed = new_pgbouncer(), new_pgbouncer()
    add_endpoint(client, pair, "Healthy", pair.pgbouncer)
    add_endpoint(client, pair, "Frozen", frozen)
    add_endpoint(client, pair, "Killed", killed)
    add_endpoint(client, pair, "Closed", free_port())
    add_endpoint(client, pair, "PostgreSQL", pair.postgresql)
    add_endpoint(client, pair, "Web", web_server)
    add_endpoint(client, pair, "Wrong", pair.pgbouncer, password="wrong")
    shown, notices, _seconds = read_pools(client)
    assert shown == {"Healthy", "Frozen", "Killed"}

    frozen.freeze()
    killed.stop()
    shown, notices, seconds = read_pools(client)
    assert seconds < LIST_SECONDS
    assert shown == {"Healthy"}
    assert set(notices) == {"Frozen", "Killed", "Closed", "PostgreSQL", "Web", "Wrong"}
    assert "did not answer within" in notices["Frozen"]
    assert "No server listens" in notices["Killed"]
    assert "is not PgBouncer" in notices["PostgreSQL"]
    assert "rejected the user" in notices["Wrong"]

    assert "is not PgBouncer" in notices["Web"]

    # Opening the screen connects to no server: a server that hangs costs its deadline once.
    started = time.monotonic()
    client.call("pgbouncer.pool", "get_views", [[False, "list"], [False, "search"]])
    assert time.monotonic() - started < 1

    frozen.thaw()
    killed.start()
    # A server that did not respond is not queried again for some seconds.
    wait_until(lambda: read_pools(client)[0] == {"Healthy", "Frozen", "Killed"}, 15)

    log = odoo.log.read_text()
    assert pair.passwords[PgBouncer.stats] not in log
    assert odoo.warnings() == []


LIVE_MODELS = [f"pgbouncer.{name}" for name in ("pool", "client", "server", "database", "stat", "setting", "user")]


def test_ten_endpoints(new_odoo, new_pgbouncer, pair):
    """Three hang and two refuse: each list takes one deadline at most and has five banners."""
    _odoo, client = new_odoo("ten")
    healthy = [new_pgbouncer() for _number in range(5)]
    frozen = [new_pgbouncer() for _number in range(3)]
    for number, server in enumerate([*healthy, *frozen, free_port(), free_port()]):
        add_endpoint(client, pair, f"PgBouncer {number}", server)
    for server in frozen:
        server.freeze()
    for model in [*LIVE_MODELS, "pg.stat.activity"]:
        fields = client.call(model, "fields_get", [], ["type"])
        # As the list view requests it: with the names of related records.
        relations = {name for name, field in fields.items() if field["type"] == "many2one"}
        specification = {
            name: {"fields": {"display_name": {}}} if name in relations else {}
            for name in fields.keys() - {"is_admin", "component_reason"}
        }
        started = time.monotonic()
        result = client.call(model, "web_search_read", [], specification)
        assert time.monotonic() - started < LIST_SECONDS, model
        banners = [notice for notice in result["reading"]["notices"] if notice["type"] == "danger"]
        assert [banner["text"].split(":")[0] for banner in banners] == [
            f"PgBouncer {number}" for number in range(5, 10)
        ]
        if model not in ("pg.stat.activity", "pgbouncer.server"):
            assert len({row["endpoint_id"]["id"] for row in result["records"]}) == 5, model
    started = time.monotonic()
    endpoints = client.call(
        "connection.endpoint", "web_search_read", [], {"version": {}, "console_error": {}, "max_client_conn": {}}
    )["records"]
    assert time.monotonic() - started < LIST_SECONDS
    assert len([endpoint for endpoint in endpoints if endpoint["console_error"]]) == 5
    assert len([endpoint for endpoint in endpoints if endpoint["max_client_conn"] == 1000]) == 5
    failed = next(endpoint for endpoint in endpoints if endpoint["console_error"])
    assert failed["version"] is False and failed["max_client_conn"] is False


def test_processes_behind_one_port(new_odoo, new_pgbouncer, pair, folder):
    """With so_reuseport each process is monitored through the folder of its own unix socket."""
    _odoo, client = new_odoo("reuseport")
    port = free_port()
    for number in range(2):
        sockets = make_folder(folder / f"socket{number}", 0o777)
        new_pgbouncer(port=port, so_reuseport=1, unix_socket_dir=sockets, max_client_conn=100 + number)
        add_endpoint(client, pair, f"Process {number}", port, host=str(sockets))
    domain = [["key", "=", "max_client_conn"]]
    rows = client.call("pgbouncer.setting", "web_search_read", domain, {"value": {}})["records"]
    assert [row["value"] for row in rows] == ["100", "101"]


def test_password_in_the_environment(new_odoo, pair, monkeypatch):
    """It applies to addresses that an administrator entered, if no password is stored."""
    monkeypatch.setenv("PGBOUNCER_MONITOR_PASSWORD", pair.passwords[PgBouncer.stats])
    odoo, client = new_odoo("environment")
    by_environment = add_endpoint(client, pair, "Environment", pair.pgbouncer, password=False)
    client.call("connection.endpoint", "action_test", [by_environment])
    [endpoint] = client.call("connection.endpoint", "read", [by_environment], ["last_seen", "last_error"])
    assert endpoint["last_seen"] and not endpoint["last_error"]
    stored = add_endpoint(client, pair, "Stored", pair.pgbouncer, password="wrong")
    assert client.call("connection.endpoint", "action_test", [stored])["params"]["type"] == "danger"
    assert pair.passwords[PgBouncer.stats] not in odoo.log.read_text()


def test_sessions_are_the_primarys(new_odoo, pair, folder):
    """With db_replica_host Odoo reads lists over a cursor on the standby."""
    standby = PostgreSQL(folder / "standby", free_port(), pair.postgresql.password)
    password = standby.write("pgpass", f"*:*:*:postgres:{standby.password}\n")
    subprocess.run(
        [postgresql_program("pg_basebackup"), "--write-recovery-conf", "--checkpoint=fast", "--no-password"]
        + [f"--pgdata={standby.data}", "--dbname"]
        + [f"host={LOCALHOST} port={pair.postgresql.port} user=postgres passfile={password}"],
        check=True,
        user=standby.user,
        cwd=standby.folder,
    )
    standby.start()
    try:
        odoo, client = new_odoo("replicated", db_replica_host=LOCALHOST, db_replica_port=standby.port)
        wait_until(lambda: standby.execute("SELECT 1 FROM pg_database WHERE datname = 'replicated'"))
        with closing(pair.postgresql.connect(user="odoo", password=pair.passwords["odoo"], application_name="here")):
            domain = [["application_name", "=", "here"]]
            rows = client.call("pg.stat.activity", "web_search_read", domain, {"pid": {}, "xact_age": {}, "query": {}})
            assert [row["xact_age"] for row in rows["records"]] == [False]
            [group] = client.call("pg.stat.activity", "formatted_read_group", domain, ["state"], ["__count"])
            assert (group["state"], group["__count"]) == ("idle", 1)
            [form] = client.call("pg.stat.activity", "web_read", [rows["records"][0]["id"]], {"backend_start": {}})
            assert form["backend_start"]
        [(on_standby,)] = standby.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'odoo'")
        assert on_standby, "Odoo did read from the standby"
        assert odoo.warnings() == []
    finally:
        standby.stop()


@pytest.fixture
def run_odoo(pair, new_database):
    """A function that runs commands of Odoo on a copy of the database."""
    name = new_database("life")
    odoo = direct_odoo(pair, name, db_name=name)

    def run(*arguments, script=None):
        odoo.run(*arguments, input=script and script.encode())
        assert odoo.warnings() == []

    return run


def test_upgrade(run_odoo):
    run_odoo("server", "-u", MODULE, "--stop-after-init", "--no-http")


def test_uninstall_leaves_nothing(run_odoo, pair):
    pair.postgresql.execute(
        f"INSERT INTO ir_config_parameter (key, value) VALUES ('{MODULE}.maxwait_critical', '7')", dbname="life"
    )
    run_odoo("shell", "--no-http", script=f"env.ref('base.module_{MODULE}').button_immediate_uninstall()")
    left = pair.postgresql.execute(
        f"SELECT 'data: ' || name FROM ir_model_data WHERE module = '{MODULE}' "
        f"UNION SELECT 'parameter: ' || key FROM ir_config_parameter WHERE key LIKE '{MODULE}.%' "
        "UNION SELECT 'model: ' || model FROM ir_model WHERE model ~ '^(connection|pgbouncer|pg)[.]' "
        "UNION SELECT 'table: ' || relname FROM pg_class WHERE relname ~ '^(connection|pgbouncer)_' "
        "UNION SELECT 'group: ' || name::text FROM res_groups_privilege WHERE name->>'en_US' = 'Database Connections'",
        dbname="life",
    )
    assert left == []


def test_neutralized_copy_connects_to_nothing(run_odoo, pair):
    pair.postgresql.execute(
        'INSERT INTO connection_endpoint (name, kind, host, port, "user", sslmode, active, stored_password) '
        "VALUES ('Production', 'pgbouncer', 'production', 6432, 'stats', 'prefer', true, 'secret')",
        "INSERT INTO connection_alert (endpoint_id, rule, level, opened_at) "
        "SELECT id, 'maxwait', 'critical', now() AT TIME ZONE 'UTC' FROM connection_endpoint",
        "INSERT INTO connection_advice (code, level, endpoint_id, active, found_at, read_at) "
        "SELECT 'endless_queue', 'critical', id, true, now(), now() FROM connection_endpoint",
        dbname="life",
    )
    run_odoo("neutralize", "-d", "life")
    assert pair.postgresql.execute("SELECT FROM connection_advice", dbname="life") == []
    assert pair.postgresql.execute("SELECT closed_at IS NULL FROM connection_alert", dbname="life") == [(False,)] * 2
    query = "SELECT active, stored_password FROM connection_endpoint WHERE kind = 'pgbouncer'"
    assert pair.postgresql.execute(query, dbname="life") == [(False, None)]


def test_translation_template_is_current(run_odoo):
    new = STACK / f"{MODULE}.pot"
    run_odoo("i18n export", "-d", "life", "-o", str(new), MODULE)
    old = CHECKOUT / "i18n" / new.name
    assert {entry.msgid for entry in polib.pofile(new)} == {entry.msgid for entry in polib.pofile(old)}, (
        f"cp {new.relative_to(CHECKOUT)} i18n/"
    )
