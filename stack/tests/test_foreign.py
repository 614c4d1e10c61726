"""Answers that nobody foresaw: text in other encodings, numbers without sense, NULL that means "switched off",
answers without end. No byte of them makes a request fail, and nothing is made up."""

import contextlib
import os
import shutil
import signal
import socket
import struct
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import POSTGRESQL, add_endpoint, starting_pgbouncers, wait_until
from hostile import INT4, HostileConsole, data_row, message, notice, row_description, table
from probes import session
from servers import LOCALHOST, VERSIONS, PgBouncer, PostgreSQL, data_root, free_port, make_folder

LISTS = ("pool", "client", "server", "database", "stat", "setting")
POOL = {
    "database": b"shop",
    "user": b"shop",
    "cl_active": b"1",
    "cl_waiting": b"0",
    "sv_active": b"1",
    "sv_idle": b"0",
    "sv_used": b"0",
    "sv_tested": b"0",
    "sv_login": b"0",
    "maxwait": b"0",
    "maxwait_us": b"0",
    "pool_mode": b"transaction",
}


def read(client, model, *domain, fields=None):
    """As a list reads it: rows, and notices that are no mere information."""
    names = fields or client.call(model, "fields_get", [], ["type"])
    answer = client.call(model, "web_search_read", list(domain), {name: {} for name in names})
    return answer["records"], [notice for notice in answer["reading"]["notices"] if notice["type"] != "info"]


@contextmanager
def endpoint(sampler, name, server, **values):
    """One more PgBouncer that is watched."""
    created = add_endpoint(sampler.client, sampler.pair, name, server, **values)
    try:
        yield created
    finally:
        sampler.client.call("connection.endpoint", "unlink", [created])


@contextmanager
def waiting(sampler, statement, **options):
    """A superuser's connection, at work on a statement that does not end by itself."""
    pair = sampler.pair
    values = {"host": LOCALHOST, "port": pair.postgresql.port, "user": "postgres", "dbname": "shop"} | options
    values["password"] = pair.passwords[values["user"]]
    with closing(psycopg2.connect(async_=True, **values)) as connection:
        session.wait(connection, time.monotonic() + 5)
        cursor = connection.cursor()
        cursor.execute(statement)
        connection.poll()
        yield connection


@pytest.fixture
def watched_pgbouncer(sampler, folder):
    """A function that starts one more PgBouncer before the sampler's PostgreSQL: its version, lines of ``[databases]``,
    settings -> PgBouncer."""
    with starting_pgbouncers(sampler.pair, folder) as new:
        yield lambda version, databases, **settings: new(VERSIONS[version], databases, **settings)


@contextmanager
def session_in_latin1(sampler, statement):
    """A session whose database, role and query are Latin-1, and no UTF-8."""
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


def test_text_that_is_no_utf8(sampler):
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
        told, _cards = sampler.look()
        assert told["problem"] is None
        assert sampler.run()[POSTGRESQL]["level"] == "ok"


def test_evidence_in_another_encoding(sampler):
    """An alert opens, and what ran is in Latin-1."""
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
            told, _cards = sampler.look()
            assert "Caf\\xe9" in told["blocked"]["trees"][0]["nodes"][0]["query"]
        finally:
            # A rule that is off has no open alert.
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


def test_track_activities_off(sampler):
    """What PostgreSQL does not know is not "none", though a session of that role blocks another."""
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
            told, _cards = sampler.look()
            assert (told["hidden"], told["unseen"], told["idle_in_transaction"]["count"]) == (0, 1, 0)
            [tree] = told["blocked"]["trees"]
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
def silent_postgresql():
    """The port of a server that accepts connections and never answers."""
    with socket.create_server((LOCALHOST, 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("version", VERSIONS)
def test_login_that_never_ends(sampler, watched_pgbouncer, silent_postgresql, version):
    """PgBouncer does not measure that wait: it is not 0, and a larger pool would not help."""
    target = f"host={LOCALHOST} port={silent_postgresql}"
    server = watched_pgbouncer(version, {"x": target}, query_wait_timeout=60)
    options = {"host": LOCALHOST, "port": server.port, "dbname": "x", "user": "shop", "async_": True}
    client = psycopg2.connect(password=server.passwords["shop"], **options)
    with closing(client), endpoint(sampler, f"Login {version}", server) as created:
        with contextlib.suppress(session.SessionError):
            session.wait(client, time.monotonic() + 2)
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
    """SHOW USERS pads it; 1.24 prints it again for the users that follow."""
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


def test_clock_that_is_put_back(sampler, folder):
    """A client waits meanwhile: counters above 2^63 and negative waits are unknown, each in its cell."""
    pair = sampler.pair
    target = f"host={LOCALHOST} port={pair.postgresql.port} dbname=shop pool_size=1"
    settings = {"query_wait_timeout": 0, "stats_period": 2}
    server = PgBouncer(folder / "clock", free_port(), pair.postgresql, pair.passwords, {"x": target}, settings)
    server.fake_clock()
    server.start()
    options = {
        "host": LOCALHOST,
        "port": server.port,
        "dbname": "x",
        "user": "shop",
        "password": pair.passwords["shop"],
    }
    try:
        with endpoint(sampler, "Clock", server) as created, closing(psycopg2.connect(**options)) as holder:
            holder.cursor().execute("SELECT 1")
            waiter = psycopg2.connect(async_=True, **options)
            session.wait(waiter, time.monotonic() + 5)
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
            session.wait(waiter, time.monotonic() + 5)
            stats = wait_until(
                lambda: [
                    row
                    for row in read(sampler.client, "pgbouncer.stat", *domain)[0]
                    if row["total_wait_time"] is False and row["total_xact_count"]
                ]
            )
            assert stats[0]["total_wait_seconds"] is False and stats[0]["total_received"] > 0
            sample = sampler.run()["Clock"]["pools"]["x"]
            [row] = sampler.client.call("connection.sample", "read", [sample["id"]], ["wait_time", "received"])
            assert row["wait_time"] is False and row["received"] > 0
            waiter.close()
    finally:
        server.stop()


@pytest.mark.parametrize("language", ["de", "fr", "ru", "ja"])
@pytest.mark.parametrize(
    "user, password",
    [("postgres", None), ("postgres", "wrong"), ("nobody", "wrong")],
    ids=["right", "wrong", "unknown"],
)
def test_postgresql_in_any_language(foreign_postgresql, address, language, user, password):
    """The newcomer's mistake: PostgreSQL's own port instead of PgBouncer's."""
    server = foreign_postgresql(language)
    where = address(server.port, user=user, password=password or server.password)
    error = session.run({1: (where, ["SHOW POOLS"])}, 3)[1]
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
    """PostgreSQL cuts a role to 63 bytes, PgBouncer shows it in full: it is the same session."""
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
    """A PgBouncer, and the row of a database of this name, which its “*” serves, in use."""
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


@pytest.mark.parametrize("version", VERSIONS)
def test_limit_that_holds_a_pool_back(sampler, watched_pgbouncer, version):
    """Where pool_size is not what holds a pool back, nobody is told to raise it."""
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
        cursors = []  # without them the connections forget what they wait for

        def work(database, count):
            for _number in range(count):
                options = {"host": LOCALHOST, "port": server.port, "dbname": database, "user": "shop", "async_": True}
                client = psycopg2.connect(password=server.passwords["shop"], **options)
                stack.enter_context(closing(client))
                session.wait(client, time.monotonic() + 5)
                cursors.append(client.cursor())
                cursors[-1].execute("SELECT pg_sleep(60)")
                client.poll()

        work("full", 2)
        work("reserve", 4)
        work("limited", 2)
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
        work("other", 2)
        wait_until(lambda: seen() or found.get("other") == "max_user_connections")
    sampler.pair.postgresql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop'")


def tell(**answers):
    """A function for HostileConsole: command -> rows of columns, all bytes; other commands have no rows."""

    def answer(command):
        rows = answers.get(command.removeprefix("SHOW ").lower(), [])
        columns = list(rows[0]) if rows else ["nothing"]
        return table([name.encode() for name in columns], [list(row.values()) for row in rows], INT4)

    return answer


@pytest.mark.parametrize("cell", [b"NaN", b"-5", b"3" * 23, b"", b"1e5", b"\xff", b"\0", None])
def test_text_where_a_number_belongs(sampler, cell):
    """It costs that cell: the row, its other cells, and the endpoint are as ever."""
    rows = [POOL | {"cl_waiting": cell}, POOL | {"database": b"till"}]
    with HostileConsole(tell(pools=rows)) as server, endpoint(sampler, "Hostile", server) as created:
        pools, notices = read(sampler.client, "pgbouncer.pool", ["endpoint_id", "=", created])
        assert notices == []
        assert {pool["database"]: (pool["cl_waiting"], pool["sv_active"]) for pool in pools} == {
            "shop": (False, 1),
            "till": (0, 1),
        }
        assert sampler.run()["Hostile"]["pools"]["till"]["waiting"] == 0


# What a column may hold within the protocol.
CELLS = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.integers(-(2**70), 2**70).map(lambda number: str(number).encode()),
    st.sampled_from([b"shop", b"pgbouncer", b"unix", b"0", b"1", b"NaN", b"yes", b"0x1", b"2026-10-25 02:59:58 CET"]),
)
COLUMNS = {
    "POOLS": list(POOL),
    "CLIENTS": "type user database state addr port connect_time wait wait_us ptr link remote_pid id".split(),
    "SERVERS": "type user database state addr port local_addr local_port connect_time ptr link remote_pid".split(),
    "DATABASES": "name host port database force_user pool_size pool_mode max_connections paused disabled".split(),
    "STATS": "database total_xact_count total_query_count total_received total_sent total_wait_time".split(),
    "USERS": "name pool_size max_user_connections current_connections".split(),
    "LISTS": ["list", "items"],
    "STATE": ["key", "value"],
    "CONFIG": ["key", "value", "default", "changeable"],
}


def rows_of(columns):
    return st.lists(st.tuples(*[CELLS] * len(columns)), max_size=4)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.fixed_dictionaries({name: rows_of(columns) for name, columns in COLUMNS.items()}))
def test_whatever_a_console_returns(hostile, answers):
    """No list, Overview or sample raises, and no text is shown that was not in the answer."""
    sampler, server, created = hostile
    server.answer = lambda command: table(
        [name.encode() for name in COLUMNS[command.removeprefix("SHOW ")]], answers[command.removeprefix("SHOW ")], INT4
    )
    told = {session.text(cell) for rows in answers.values() for row in rows for cell in row if cell is not None}
    for name in LISTS:
        rows, _notices = read(sampler.client, f"pgbouncer.{name}", ["endpoint_id", "=", created])
        for row in rows:
            for column in ("database", "user", "addr", "ptr", "link", "host", "key", "value"):
                assert not row.get(column) or row[column] in told
    sampler.look()
    read(sampler.client, "pg.stat.activity")
    sampler.client.call("connection.endpoint", "action_sample", [created])


@pytest.fixture
def hostile(sampler):
    with HostileConsole(tell()) as server, endpoint(sampler, "Any Answer", server) as created:
        yield sampler, server, created


def endless(part):
    while True:
        yield part


def too_many_rows(_command):
    yield row_description([b"c%d" % number for number in range(20)])
    yield from [data_row([b"1"] * 5 + [None] * 15) * 1000] * 1000


def one_large_value(_command):
    yield row_description([b"c"])
    row = data_row([b"x" * 100_000_000])
    yield from (row[start : start + 65536] for start in range(0, len(row), 65536))


FLOODS = {
    "rows": too_many_rows,
    "a value": one_large_value,
    "notices": lambda _command: endless(notice() * 1000),
    "notifications": lambda _command: endless(message(b"A", struct.pack("!I", 1) + b"channel\0payload\0") * 1000),
}


@pytest.mark.parametrize("is_unix", [False, True], ids=["TCP", "unix socket"])
@pytest.mark.parametrize("flood", FLOODS)
def test_answer_without_end(flood, is_unix, folder):
    """A reading has a limit in bytes, too. It is measured in a process of its own."""
    with HostileConsole(FLOODS[flood], folder if is_unix else None) as server:
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            process = psutil.Process()
            before = process.memory_info().rss
            address = session.Address(server.host, server.port, "stats")
            started = time.monotonic()
            error = session.run({1: (address, ["SHOW POOLS"])}, 3)[1]
            seconds = time.monotonic() - started
            grown = (psutil.Process().memory_info().rss - before) >> 20
            peak = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) >> 10
            os.write(writer, f"{error.reason} {seconds} {max(grown, peak - (before >> 20))}".encode())
            os._exit(0)
        os.close(writer)
        with open(reader) as told:
            reason, seconds, megabytes = told.read().split()
        os.waitpid(pid, 0)
    assert reason in ("too_large", "timeout")
    assert float(seconds) < 3.5 and int(megabytes) < 300


def test_flood_on_the_screen(sampler):
    with HostileConsole(too_many_rows) as server, endpoint(sampler, "Flood", server):
        _rows, [notice] = read(sampler.client, "pgbouncer.pool")
        assert "sent more than the addon reads. (> 64 MB)" in notice["text"]


@pytest.mark.parametrize(
    "name, value",
    [
        ("PGGEQO", "off"),
        ("PGCHANNELBINDING", "require"),
        ("PGREQUIREAUTH", "gss"),
        ("PGSERVICE", "other"),
        ("PGOPTIONS", "-c geqo=off"),
        ("PGTZ", "UTC"),
        ("PGNEVERHEARDOF", "x"),
    ],
)
def test_environment(pair, address, monkeypatch, folder, name, value):
    """Nothing of Odoo's environment reaches a console but what the README names."""
    services = folder / "services.conf"
    services.write_text("[other]\nhost=192.0.2.1\nport=1\nsslmode=verify-full\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    monkeypatch.setenv(name, value)
    for command, where in (("SHOW VERSION", address(pair.pgbouncer)), ("SHOW NONSENSE", address(pair.pgbouncer))):
        reading = session.run({1: (where, [command])}, 3)[1]
        assert isinstance(reading, session.Reading), reading
    assert reading.answers["SHOW NONSENSE"].reason == "unknown_command"
    assert session.run({1: (address(free_port()), ["SHOW POOLS"])}, 3)[1].reason == "refused"


def test_abstract_socket(new_pgbouncer, address):
    server = new_pgbouncer(unix_socket_dir=f"@pgbouncer_monitor_{free_port()}")
    reading = session.run({1: (address(server, host=server.settings["unix_socket_dir"]), ["SHOW CLIENTS"])}, 3)[1]
    assert reading.answers["SHOW CLIENTS"][0]["addr"] == "unix"
    assert reading.started_at == pytest.approx(server.process().create_time(), abs=0.1)


def test_cancel_when_no_connection_is_left(sampler):
    """What was done is told as done, and recorded, over the one connection that the request has."""
    client, execute = sampler.client, sampler.pair.postgresql.execute
    execute("GRANT pg_signal_backend TO odoo")
    shop = sampler.shop(async_=True)
    with closing(shop), contextlib.ExitStack() as stack:
        session.wait(shop, time.monotonic() + 5)
        cursor = shop.cursor()
        cursor.execute("SELECT pg_sleep(60)")
        [row] = wait_until(lambda: read(client, "pg.stat.activity", ["query", "=", "SELECT pg_sleep(60)"])[0])
        with contextlib.suppress(psycopg2.OperationalError):
            while True:
                stack.enter_context(closing(sampler.shop()))
        params = client.call("pg.stat.activity", "action_cancel", [row["id"]])["params"]
        assert params["type"] == "success" and "the signal was sent" in params["message"]
        with pytest.raises(psycopg2.errors.QueryCanceled):
            session.wait(shop, time.monotonic() + 5)
    domain = [["model", "=", "connection.endpoint"]]
    [newest, *_rest] = client.call("mail.message", "search_read", domain, ["body"], order="id desc", limit=1)
    assert f"pg_cancel_backend({row['pid']}): the signal was sent" in newest["body"]
    assert "Session of shop on shop" in newest["body"]


def test_prepared_transaction(sampler):
    """It has no session: a sentence says which it is, and how to end it."""
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
            told, _cards = sampler.look()
            assert "ROLLBACK PREPARED 'it''s';" in told["blocked"]["trees"][0]["nodes"][0]["who"]
    finally:
        pair.postgresql.execute("ROLLBACK PREPARED 'it''s'", dbname="shop")


def test_buttons_with_two_connections(pair, new_odoo):
    """Odoo has hardly more connections than a request needs."""
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
