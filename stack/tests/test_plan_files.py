"""The files of a plan, pasted as they are: PgBouncer starts with them and logs no warning, its users can log in, and an
Odoo behind it serves pages and receives notifications.

Odoo with each version of PgBouncer and each variant of the bus is marked as `long`.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace

import psycopg2
import pytest
import requests

from planned import PlannedPgBouncer, PlannedSite
from planner import configuration, quoting, sizing, statements
from planner.inputs import BUS, Figure, Inputs, Proposal, Reason
from servers import LOCALHOST, VERSIONS, PgBouncer, ServerError, free_port
from topology import LIVE, Topology
from users import ATTEMPTS

# How many sites exist at the same time.
AT_ONCE = 3
PASSWORD = 'pass\'word "of" 100% ü'
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


def minor(version):
    return int(version.partition(".")[2])


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


def remove_statements(pair, inputs):
    """Remove what the files for psql have created."""
    for name in ("postgres", *inputs.db_names):
        pair.postgresql.execute("DROP SCHEMA IF EXISTS pgbouncer CASCADE", dbname=name)
    for name in (inputs.stats_user, *([statements.AUTH_USER] if inputs.auth == "auth_query" else [])):
        pair.postgresql.execute(f"DROP ROLE IF EXISTS {quoting.identifier(name)}")


@pytest.fixture
def new_planned(pair, folder):
    """A function that starts a PgBouncer with the files of a plan."""
    started = []

    def new(version, figures=None, **values):
        values = {"db_port": pair.postgresql.port, "pgbouncer_port": free_port(), "stats_user": STATS_USER} | values
        inputs = Inputs(version=minor(version), **values)
        texts = configuration.files(inputs, propose(**figures or {}))
        place = folder / f"planned{len(started)}"
        try:
            server = PlannedPgBouncer(place, inputs, texts, pair.postgresql, pair.passwords, VERSIONS[version])
        except ServerError as error:
            pytest.skip(str(error))
        started.append(server)
        server.paste_statements(PASSWORD)
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


def plan_of(version, **values):
    """Return a function for `PlannedSite`."""

    def plan(db_port, pgbouncer_port, gevent_port):
        ports = {"db_port": db_port, "pgbouncer_port": pgbouncer_port, "gevent_port": gevent_port}
        stats_user = f"monitor_{version}_{values.get('bus')}"
        inputs = Inputs(version=minor(version), workers=2, max_cron_threads=1, http_port=free_port(), **ports)
        inputs = replace(inputs, stats_user=stats_user, **values)
        assert sizing.errors(inputs) == []
        return inputs, sizing.propose(inputs)

    return plan


@dataclass(frozen=True, eq=False)
class Case(Topology):
    """A site with the files of a plan."""

    plan: object = None

    @classmethod
    def of(cls, version, bus, **values):
        name = f"plan {version} {bus}"
        verdict = "session" if bus == "session" else "direct"
        plan = plan_of(version, bus=bus, **values)
        return cls(name, LIVE, LIVE, verdict, "session", suite=VERSIONS[version], plan=plan)


def see(case, pair, template):
    """Return what is seen of a site: the status of pages, the checks, the delays of a chat message and of a job, the
    settings that are not as promised, the warnings, and whether there are enough file descriptors."""
    site = PlannedSite(case, pair, template, PASSWORD)
    try:
        site.start()
        pages = [requests.get(f"{site.url}{path}", timeout=30).status_code for path in ("/web/login", "/web/health")]
        for _attempt in range(ATTEMPTS):  # on a slow machine, cron workers may still be starting
            checks = site.page.check()
            if all(check["level"] == "ok" for check in checks.values()):
                break
        delays = site.users.chat_delay(True), site.users.job_delay(True)
        config = site.pgbouncer.show_config(PASSWORD)
        promised = configuration.settings(site.inputs, site.proposal)
        wrong = {
            name: (value, config[name][0])
            for name, value in promised.items()
            if config[name][0] != site.pgbouncer.moved(value)
        }
        server = site.pgbouncer
        is_enough = int(server.limit) >= server.expected_descriptors()
        return pages, checks, delays, wrong, server.warnings(), is_enough
    finally:
        site.stop()
        if hasattr(site, "inputs"):
            remove_statements(pair, site.inputs)


QUICK = [Case.of("1.15", "session"), Case.of("1.26", "alt"), Case.of("1.24", "service", auth="auth_query")]
NAMES = {case.name for case in QUICK}
LONG = [case for version in VERSIONS for bus in BUS for case in [Case.of(version, bus)] if case.name not in NAMES]


@pytest.fixture(scope="module")
def seen(request, pair, installed):
    items = [item for item in request.session.items if item.originalname == "test_odoo"]
    cases = [item.callspec.params["case"] for item in items]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {case: pool.submit(see, case, pair, installed) for case in cases}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.long if case in LONG else (), id=case.name) for case in QUICK + LONG],
)
def test_odoo(seen, case):
    pages, checks, delays, wrong, warnings, is_enough = seen[case].result()
    assert pages == [200, 200]
    for name in ("bus", "cron"):
        assert (checks[name]["verdict"], checks[name]["level"]) == (getattr(case, name), "ok"), checks[name]["summary"]
    assert None not in delays
    assert wrong == {}
    # The addon asks versions before 1.19 for what only later ones have.
    assert [line for line in warnings if "invalid command 'SHOW STATE'" not in line] == []
    assert is_enough
