"""The module in real Odoo processes: its life, and its lists while servers break."""

import subprocess
import time
from contextlib import closing

import polib
import pytest

from conftest import direct_odoo
from servers import CHECKOUT, LOCALHOST, MODULE, STACK, PgBouncer, PostgreSQL, free_port, postgresql_program

# CONSOLE_TIMEOUT of the endpoint, plus the second that a list may take beside it.
LIST_SECONDS = 3 + 1
POOLS = {"database": {}, "endpoint_id": {"fields": {"display_name": {}}}}


def add_endpoint(client, pair, name, server, **values):
    return client.call(
        "connection.endpoint",
        "create",
        {
            "name": name,
            "host": LOCALHOST,
            "port": getattr(server, "port", server),
            "user": PgBouncer.stats,
            "password": pair.passwords[PgBouncer.stats],
        }
        | values,
    )


def read_pools(client):
    """Which endpoints have rows, the notices by endpoint, and how long it took in seconds."""
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
    assert "Nobody listens" in notices["Killed"]
    assert "is not PgBouncer" in notices["PostgreSQL"]
    assert "refuses the user" in notices["Wrong"]

    assert "is not PgBouncer" in notices["Web"]

    # Opening the screen asks nobody: a server that hangs costs its deadline once.
    started = time.monotonic()
    client.call("pgbouncer.pool", "get_views", [[False, "list"], [False, "search"]])
    assert time.monotonic() - started < 1

    frozen.thaw()
    killed.start()
    shown, _notices, _seconds = read_pools(client)
    assert shown == {"Healthy", "Frozen", "Killed"}

    log = odoo.log.read_text()
    assert pair.passwords[PgBouncer.stats] not in log
    assert odoo.warnings() == []


def test_sessions_are_the_primarys(new_odoo, pair, folder):
    """With db_replica_host the lists are read over a cursor to the standby."""
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
        wait_for_database(standby, "replicated")
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


def wait_for_database(standby, name):
    for _attempt in range(100):
        if standby.execute(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
            return
        time.sleep(0.1)
    raise AssertionError("the standby does not follow")


@pytest.fixture
def run_odoo(pair, new_database):
    """A function that runs Odoo commands on a copy of the database."""
    name = new_database("life")
    odoo = direct_odoo(pair, name, db_name=name)

    def run(*arguments, script=None):
        odoo.run(*arguments, input=script and script.encode())
        assert odoo.warnings() == []

    return run


def test_upgrade(run_odoo):
    run_odoo("server", "-u", MODULE, "--stop-after-init", "--no-http")


def test_uninstall_leaves_nothing(run_odoo, pair):
    run_odoo("shell", "--no-http", script=f"env.ref('base.module_{MODULE}').button_immediate_uninstall()")
    left = pair.postgresql.execute(
        f"SELECT 'data: ' || name FROM ir_model_data WHERE module = '{MODULE}' "
        "UNION SELECT 'model: ' || model FROM ir_model WHERE model ~ '^(connection|pgbouncer|pg)[.]' "
        "UNION SELECT 'table: ' || relname FROM pg_class WHERE relname ~ '^(connection|pgbouncer)_' "
        "UNION SELECT 'group: ' || name::text FROM res_groups_privilege WHERE name->>'en_US' = 'Database Connections'",
        dbname="life",
    )
    assert left == []


def test_neutralized_copy_asks_nobody(run_odoo, pair):
    pair.postgresql.execute(
        'INSERT INTO connection_endpoint (name, kind, host, port, "user", sslmode, active, stored_password) '
        "VALUES ('Production', 'pgbouncer', 'production', 6432, 'stats', 'prefer', true, 'secret')",
        dbname="life",
    )
    run_odoo("neutralize", "-d", "life")
    query = "SELECT active, stored_password FROM connection_endpoint WHERE kind = 'pgbouncer'"
    assert pair.postgresql.execute(query, dbname="life") == [(False, None)]


def test_translation_template_is_current(run_odoo):
    new = STACK / f"{MODULE}.pot"
    run_odoo("i18n export", "-d", "life", "-o", str(new), MODULE)
    old = CHECKOUT / "i18n" / new.name
    assert {entry.msgid for entry in polib.pofile(new)} == {entry.msgid for entry in polib.pofile(old)}, (
        f"cp {new.relative_to(CHECKOUT)} i18n/"
    )
