"""Text in other encodings and languages, and long names: no byte makes a request fail."""

import contextlib
import os
import shutil
import socket
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from probes import query
from sampling import POSTGRESQL, endpoint, read, waiting
from servers import LOCALHOST, PgBouncer, PostgreSQL, data_root, free_port, make_folder
from support import wait_until


@contextmanager
def session_in_latin1(sampler, statement):
    """Yield a session whose database, role and query are Latin-1 and not valid UTF-8."""
    execute = sampler.pair.postgresql.execute
    execute(
        "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
        "GRANT ALL ON DATABASE latin TO PUBLIC",
    )
    with closing(sampler.pair.postgresql.connect("latin", client_encoding="LATIN1")) as superuser:
        cursor = superuser.cursor()
        cursor.execute('CREATE ROLE "Caf\u00e9" SUPERUSER')
        with closing(sampler.pair.postgresql.connect("latin", client_encoding="LATIN1")) as connection:
            try:
                connection.cursor().execute(statement)
                yield connection
            finally:
                connection.close()
                cursor.execute('DROP ROLE "Caf\u00e9"')
                superuser.close()
                execute("DROP DATABASE latin WITH (FORCE)")


def test_text_that_is_not_utf8(sampler):
    client = sampler.client
    with session_in_latin1(sampler, "SET SESSION AUTHORIZATION \"Caf\u00e9\"; SELECT 'Caf\u00e9 \u00a4'"):
        [row], notices = read(client, "pg.stat.activity", ["datname", "=", "latin"], ["query", "like", "SELECT 'Caf"])
        assert "Caf\\xe9 \\xa4" in row["query"] and notices == []
        assert client.call("pg.stat.activity", "search_count", [["query", "ilike", "select 'CAF"]]) == 1
        for group in ("query", "usename", "datname"):
            groups = client.call("pg.stat.activity", "web_read_group", [], [group], ["__count"])
            assert any("latin" in str(found) or "Caf" in str(found) or found[group] for found in groups["groups"])
        ordered = client.call("pg.stat.activity", "search_read", [["query", "!=", False]], ["query"], order="query")
        assert any("\\xe9" in found["query"] for found in ordered)
        exported = client.call("pg.stat.activity", "export_data", [row["id"]], ["pid", "query"])
        assert "\\xe9" in str(exported)
        overview, _cards = sampler.overview()
        assert overview["problem"] is None
        assert sampler.run()[POSTGRESQL]["level"] == "ok"


def test_evidence_in_another_encoding(sampler):
    """An alert opens while a query in Latin-1 runs."""
    client = sampler.client
    lock = "BEGIN; SELECT pg_advisory_xact_lock(1), 'Caf\u00e9'"
    with session_in_latin1(sampler, lock), waiting(sampler, "SELECT pg_advisory_xact_lock(1)", dbname="latin"):
        [rule] = client.call("connection.rule", "search", [["rule", "=", "blocked_age"], ["endpoint_id", "=", False]])
        client.call("connection.rule", "write", [rule], {"warning": 0.1})
        try:
            wait_until(lambda: read(client, "pg.stat.activity", ["blocked_age", ">", 1.1])[0])
            sampler.run()
            [alert] = client.call(
                "connection.alert", "search_read", [["rule", "=", "blocked_age"], ["closed_at", "=", False]]
            )
            assert "Caf\\xe9" in alert["queries"] and "blocks others" in alert["evidence"]
            overview, _cards = sampler.overview()
            assert "Caf\\xe9" in overview["blocked"]["trees"][0]["nodes"][0]["query"]
        finally:
            # Switching a rule off closes its alerts.
            client.call("connection.rule", "write", [rule], {"is_on": False})
            sampler.run()
            client.call("connection.rule", "write", [rule], {"is_on": True, "warning": 60})


def test_long_queries_are_cut_in_lists(sampler):
    with closing(sampler.shop()) as shop:
        shop.cursor().execute("SELECT 1 -- " + "\u20ac" * 3000)
        [row], _notices = read(sampler.client, "pg.stat.activity", ["pid", "=", shop.info.backend_pid])
        [whole] = sampler.client.call("pg.stat.activity", "web_read", [row["id"]], {"query": {}})
    assert len(row["query"].encode()) <= 4096 + 20
    assert whole["query"].startswith(row["query"][:300])


@pytest.mark.parametrize("language", ["de", "fr", "ru", "ja"])
@pytest.mark.parametrize(
    "user, password",
    [("postgres", None), ("postgres", "wrong"), ("nobody", "wrong")],
    ids=["right", "wrong", "unknown"],
)
def test_postgresql_in_any_language(foreign_postgresql, address, language, user, password):
    """A common mistake: PostgreSQL's port instead of PgBouncer's."""
    server = foreign_postgresql(language)
    where = address(server.port, user=user, password=password or server.password)
    error = query.run({1: (where, ["SHOW POOLS"])}, 3)[1]
    assert error.reason == "wrong_server", error.detail
    assert language != "de" or "»" in error.detail, "it does speak German"


@pytest.fixture(scope="module")
def foreign_postgresql(tmp_path_factory):
    servers = {}

    def start(language):
        if language not in servers:
            root = make_folder(Path(tempfile.mkdtemp(dir=make_folder(data_root()))))
            server = PostgreSQL(root, free_port(), "secret")
            server.environment = lambda: dict(os.environ, LANGUAGE=language, LC_ALL="C.UTF-8")
            servers[language] = server.start()
        return servers[language]

    yield start
    for server in servers.values():
        server.stop()
        shutil.rmtree(server.folder)


def test_long_names(sampler, watched_pgbouncer):
    """PostgreSQL truncates the name of a role to 63 bytes, PgBouncer does not: it is the same session."""
    role = "r" * 77
    sampler.pair.postgresql.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    server = watched_pgbouncer("1.26", {"shop": f"host={LOCALHOST} port={sampler.pair.postgresql.port}"})
    server.passwords = sampler.pair.passwords | {role: "x"}
    server.reload()
    try:
        with endpoint(sampler, "Long", server) as created:
            options = {"host": LOCALHOST, "port": server.port, "dbname": "shop", "user": role, "password": "x"}
            with closing(wait_until(lambda: connect_or_none(**options))) as client:
                client.cursor().execute("SELECT 1")
                rows, _notices = read(sampler.client, "pg.stat.activity", ["usename", "=", role[:63]])
                [row] = rows
                assert (row["component"], row["endpoint_id"]) == ("pgbouncer", created)
                assert row["pooled_client"].endswith(str(client_port(client)))
    finally:
        server.stop()
        sampler.pair.postgresql.execute(f"DROP ROLE {role}")


def connect_or_none(**options):
    with contextlib.suppress(psycopg2.OperationalError):
        return psycopg2.connect(**options)


def client_port(connection):
    own_end = socket.socket(fileno=os.dup(connection.fileno()))
    with own_end:
        return own_end.getsockname()[1]


def named_database(sampler, watched_pgbouncer, stack, name):
    """Start a PgBouncer and use a database of this name, which its “*” serves. Return the id of its row."""
    target = f"host={LOCALHOST} port={sampler.pair.postgresql.port} dbname=shop"
    server = watched_pgbouncer("1.18", {"*": target}, admin_users=f"x, {PgBouncer.admin}")
    login = {"user": PgBouncer.admin, "password": server.passwords[PgBouncer.admin]}
    created = stack.enter_context(endpoint(sampler, "Names", server, **login))
    options = {"host": LOCALHOST, "port": server.port, "dbname": name, "user": "shop"}
    client = stack.enter_context(closing(psycopg2.connect(password=server.passwords["shop"], **options)))
    client.autocommit = True
    client.cursor().execute("SELECT 1")
    [row], _notices = read(sampler.client, "pgbouncer.database", ["endpoint_id", "=", created], ["name", "=", name])
    return row["id"]


@pytest.mark.parametrize("name", ["d" * 63, "-" * 61, "My-Shop", "a b", 'a"b'])
def test_names_in_commands(sampler, watched_pgbouncer, name):
    with contextlib.ExitStack() as stack:
        database = named_database(sampler, watched_pgbouncer, stack, name)
        for method in ("action_pause", "action_resume"):
            params = sampler.client.call("pgbouncer.database", method, [database])["params"]
            assert params["type"] == "success", params
            [row] = sampler.client.call("pgbouncer.database", "read", [database], ["paused"])
            assert row["paused"] == (method == "action_pause")


def test_name_that_no_command_can_hold(sampler, watched_pgbouncer):
    with contextlib.ExitStack() as stack:
        database = named_database(sampler, watched_pgbouncer, stack, "-" * 62)
        with pytest.raises(RuntimeError, match="no command with a name of more than 63 bytes"):
            sampler.client.call("pgbouncer.database", "action_pause", [database])
