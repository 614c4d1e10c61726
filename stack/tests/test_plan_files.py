"""The files of a plan, as they are: PgBouncer starts with them and logs no warning, and its users can log in."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest

from planned import PASSWORD, PlannedPgBouncer, minor, remove_statements
from planner import configuration, quoting, statements
from planner.inputs import Figure, Inputs, Proposal, Reason
from servers import LOCALHOST, VERSIONS, PgBouncer, ServerError, free_port

ROLE = "o'd\"o 100% é=日"
STATS_USER = "mon'itor\"%é"
FIGURES = {
    "default_pool_size": 5,
    "reserve_pool_size": 2,
    "min_pool_size": 1,
    "max_db_connections": 9,
    "max_client_conn": 300,
    "postgres_pool_size": 12,
    "file_descriptors": 2000,
}
# Names of databases that PgBouncer's file can have, and others.
READABLE = ["bakery", "2024_shop", "shop-prod", "shop.prod", "-x", ".x", "a*b", "UPPER", "PgBouncer", "x" * 63]
UNREADABLE = [
    *("my shop", 'a"b', "a'b", "100%", "a=b", "größe", "日本", "a;b", "a#b", "#x", "[x]", "a,b", "a\\b", "%include"),
    *(" lead", "trail ", "*", "", '"shop"'),
]


def propose(**values):
    figures = FIGURES | values
    return Proposal({name: Figure(value, Reason("", {})) for name, value in figures.items()}, {}, {}, {}, [])


@pytest.fixture(scope="module")
def roles(pair):
    """The role of an Odoo, and databases that it owns, in which the files of a plan leave nothing."""
    role, names = quoting.identifier(ROLE), [*READABLE, "my 'shop\" 100%=é"]
    execute = pair.postgresql.execute
    execute(f"CREATE ROLE {role} LOGIN PASSWORD {quoting.literal(PASSWORD)}")
    execute(f"GRANT CREATE ON DATABASE postgres TO {role}")
    databases = [quoting.identifier(name) for name in names]
    for database in databases:
        execute(f"CREATE DATABASE {database} OWNER {role} TEMPLATE template0")
    yield names
    for database in databases:
        execute(f"DROP DATABASE {database} WITH (FORCE)")
    execute(f"REVOKE ALL ON DATABASE postgres FROM {role}", f"DROP ROLE {role}")


@pytest.fixture
def new_planned(pair, folder):
    """A function that starts a PgBouncer with the files of a plan.

    :param bool is_first: whether the files for psql run on it
    """
    started = []

    def new(version, figures=None, is_first=True, **values):
        values = {"db_port": pair.postgresql.port, "pgbouncer_port": free_port(), "stats_user": STATS_USER} | values
        inputs = Inputs(version=minor(version), **values)
        texts = configuration.files(inputs, propose(**figures or {}))
        place = folder / f"planned{len(started)}"
        try:
            server = PlannedPgBouncer(place, inputs, texts, pair.postgresql, pair.passwords, VERSIONS[version])
        except ServerError as error:
            pytest.skip(str(error))
        started.append(server)
        if is_first:
            server.run_statements(PASSWORD)
        return server.start()

    yield new
    for server in started:
        server.stop()
        remove_statements(pair, server.inputs)


def login(server, dbname, user=ROLE, password=PASSWORD, host=LOCALHOST):
    """Return the user, the database and the mode of a connection."""
    values = {"host": str(host), "port": server.port, "dbname": dbname, "user": user, "password": password}
    with closing(psycopg2.connect(**values)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT session_user::text, current_database()::text")
        return cursor.fetchone()


@pytest.mark.parametrize("auth", ["userlist", "auth_query"])
@pytest.mark.parametrize("version", VERSIONS)
def test_logins(pair, roles, new_planned, version, auth):
    """Roles with unusual names log in to databases with and without lines of their own, over TCP and a unix socket."""
    named = READABLE if auth == "userlist" or version in ("1.15", "1.18") else []
    names = named or roles
    server = new_planned(version, db_user=ROLE, db_names=tuple(named), auth=auth)
    for name in ["postgres", *names]:
        assert login(server, name) == (ROLE, name)
    assert login(server, "postgres", host=server.data) == (ROLE, "postgres")
    for user, password in ((ROLE, "wrong"), ("nobody", PASSWORD), ("postgres", pair.passwords["postgres"])):
        with pytest.raises(psycopg2.OperationalError, match="authentication failed|no such user"):
            login(server, "postgres", user, password)
    config = server.show_config(PASSWORD)
    shown = {name: config[name][0] for name in configuration.settings(server.inputs, propose())}
    promised = configuration.settings(server.inputs, propose())
    assert shown == {name: server.moved(value) for name, value in promised.items()}
    fixed = {name for name in promised if not config[name][1]}
    assert fixed == configuration.RESTART_SETTINGS & promised.keys()
    warnings = server.warnings()
    assert warnings, "the rejected logins"
    assert [line for line in warnings if not re.search("authentication failed|no such user", line)] == []
    assert int(server.limit) >= server.expected_descriptors()


def test_secrets(pair, roles, new_planned):
    """Only the role of auth_query may call its function, which has no secret of a superuser."""
    server = new_planned("1.24", db_user=ROLE, auth="auth_query")
    with closing(pair.postgresql.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET ROLE pgbouncer_auth")
        for name, has_secret in ((ROLE, True), ("postgres", False)):
            cursor.execute(statements.AUTH_QUERY.replace("$1", "%s"), [name])
            assert bool(cursor.fetchall()) == has_secret
        cursor.execute("SET SESSION AUTHORIZATION shop")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(statements.AUTH_QUERY.replace("$1", "'shop'"))
    userlist = server.folder / "userlist.txt"
    assert "SCRAM-SHA-256$" in userlist.read_text()
    assert userlist.stat().st_mode & 0o077 == 0
    [password] = re.findall('"pgbouncer_auth" "(.*)"', userlist.read_text())
    assert password not in pair.postgresql.log.read_text()


def end_auth_connections(pair):
    """Make each PgBouncer log in to PostgreSQL again for its next auth_query."""
    pair.postgresql.execute(
        f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '{statements.AUTH_USER}'"
    )


def test_second_run(pair, roles, new_planned):
    """PgBouncers that have the file of the first one, and the first one itself, can log in after any other run."""
    values = {"db_user": ROLE, "auth": "auth_query"}
    first = new_planned("1.24", **values)
    text = (first.folder / "userlist.txt").read_text()
    shown, prompts = first.run_statements("another password")
    assert (prompts, "Copy userlist.txt" in shown) == (0, False)
    assert (first.folder / "userlist.txt").read_text() == text
    second = new_planned("1.18", is_first=False, **values)
    shown, _prompts = second.run_statements("another password")
    assert "Copy userlist.txt from the host that has it" in shown
    assert (second.folder / "userlist.txt").read_text() == ""
    second.write("userlist.txt", text)
    second.reload()
    for _login in range(2):
        for server in (first, second):
            assert login(server, "postgres") == (ROLE, "postgres")
        end_auth_connections(pair)
    assert second.show_config(PASSWORD)


def test_lost_password(pair, roles, new_planned):
    """What the file says if no host has the password any more."""
    server = new_planned("1.24", db_user=ROLE, auth="auth_query")
    server.write("userlist.txt", "")
    shown, _prompts = server.run_file("userlist.sql")
    [statement] = re.findall(r"If none has: (.*),", shown)
    pair.postgresql.execute(statement)
    server.run_file("userlist.sql")
    server.kill()
    server.start()
    assert login(server, "postgres") == (ROLE, "postgres")


def test_existing_role(pair, roles, new_planned):
    """A role that has a password keeps it."""
    execute, query = pair.postgresql.execute, "SELECT rolpassword FROM pg_authid WHERE rolname = 'existing'"
    execute("CREATE ROLE existing LOGIN PASSWORD 'its own'")
    before = execute(query)
    server = new_planned("1.24", db_user=ROLE, stats_user="existing")
    assert execute(query) == before
    assert server.show_config("its own")


def test_role_without_a_secret(pair, roles, new_planned):
    """It is named: PgBouncer would reject it."""
    pair.postgresql.execute("SET password_encryption = md5", "CREATE ROLE \"o'dd\" LOGIN PASSWORD 'its own'")
    try:
        server = new_planned("1.24", db_user="o'dd")
        shown, _count = server.run_file("userlist.sql")
        assert "No SCRAM secret: o'dd" in shown
        assert "SET password_encryption = 'scram-sha-256'; then \\password ROLE." in shown
        pair.postgresql.execute("SET password_encryption = 'scram-sha-256'", "ALTER ROLE \"o'dd\" PASSWORD 'its own'")
        shown, _count = server.run_file("userlist.sql")
        assert "SCRAM" not in shown
    finally:
        pair.postgresql.execute('DROP ROLE "o\'dd"')


@pytest.mark.parametrize("version", ["1.18", "1.24"])
def test_existing_function(pair, roles, new_planned, version):
    """The function of a common recipe stays, and so does who may call it."""
    recipe = (
        "CREATE SCHEMA pgbouncer",
        "CREATE FUNCTION pgbouncer.user_lookup(IN i_username text, OUT uname text, OUT phash text) RETURNS record"
        " LANGUAGE sql SECURITY DEFINER AS 'SELECT usename, passwd FROM pg_shadow WHERE usename = i_username'",
        "ALTER SCHEMA pgbouncer OWNER TO odoo",
    )
    seen = "SELECT nspowner::regrole::text, proname::text, prosrc FROM pg_proc p JOIN pg_namespace n"
    seen += " ON n.oid = pronamespace WHERE nspname = 'pgbouncer'"
    for name in ("postgres", "bakery"):
        pair.postgresql.execute(*recipe, dbname=name)
    try:
        before = pair.postgresql.execute(seen, dbname="bakery")
        assert len(before) == 1
        server = new_planned(version, db_user=ROLE, auth="auth_query", db_names=("bakery",))
        for name in ("postgres", "bakery"):
            assert login(server, name) == (ROLE, name)
            assert pair.postgresql.execute(seen, dbname=name) == before
    finally:
        for name in ("postgres", "bakery"):
            pair.postgresql.execute("DROP SCHEMA pgbouncer CASCADE", dbname=name)


@pytest.mark.parametrize("version", ["1.15", "1.26"])
def test_auth_query_takes_one_connection(pair, roles, new_planned, version):
    """Logins to many databases at the same time, of clients that stay."""
    names = READABLE[:5]
    server = new_planned(version, db_user=ROLE, db_names=tuple(names), auth="auth_query")
    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(lambda name: login(server, name), names * 6)) == [(ROLE, name) for name in names * 6]
    rows = pair.postgresql.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'pgbouncer_auth'")
    assert rows == [(configuration.AUTH_CONNECTIONS,)]


@pytest.mark.parametrize("version", VERSIONS)
def test_pools(roles, new_planned, version):
    """The pools have the sizes of the plan, the host is read as it was written, and PgBouncer listens everywhere."""
    host = '/var/run/it\'s a "folder" 100% é'
    server = new_planned(version, db_host=host, db_names=("bakery",), pgbouncer_host="192.0.2.1")
    with closing(server.connect_stats(PASSWORD)) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW DATABASES")
        columns = [column.name.replace("reserve_pool_size", "reserve_pool") for column in cursor.description]
        rows = {row[0]: dict(zip(columns, row, strict=True)) for row in cursor.fetchall()}
    names = ("host", "pool_mode", "pool_size", "reserve_pool", "max_connections")
    assert {name: rows["postgres"][name] for name in names} == {
        "host": host,
        "pool_mode": "session",
        "pool_size": 12,
        "reserve_pool": 0,
        "max_connections": 12,
    }
    assert {name: rows["bakery"][name] for name in names} == {
        "host": host,
        "pool_mode": None,
        "pool_size": 5,
        "reserve_pool": 2,
        "max_connections": 9,
    }
    assert server.warnings() == []


@pytest.mark.parametrize("version", VERSIONS)
def test_unreadable_names(pair, folder, version):
    """PgBouncer cannot have a line for these databases. See `test_logins` for the others."""
    line = f"host={LOCALHOST} port={pair.postgresql.port}"
    names = [name for name in UNREADABLE if name != "*"]  # which is another line
    for number, name in enumerate(names):
        server = PgBouncer(folder / str(number), free_port(), pair.postgresql, pair.passwords, suite=VERSIONS[version])
        server.databases = {"*": None, "postgres": None, name: line}
        try:
            server.start()
            with pytest.raises(psycopg2.OperationalError, match="no such database"):
                server.connect(name, "odoo")
        except ServerError as error:
            assert re.search("syntax error|invalid|unrecognized|cannot load config", str(error))
        finally:
            server.kill()
        assert quoting.database_error(name)
