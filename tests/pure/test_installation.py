"""PgBouncers, hosts and programs of an installation."""

from analysis.installation import (
    HERE,
    Pooler,
    by_name,
    client_addresses,
    databases_at,
    hosts,
    is_located,
    minor_version,
    mode,
    poolers,
    programs,
    twins,
)

BACKENDS = {11: (4011, "shop"), 12: (4012, "shop"), 13: (-1, "shop"), 14: (None, "shop")}


def console(*pids, databases=("10.0.0.5",), name="shop"):
    """The answers of a console with server connections of these PIDs."""
    servers = [{"database": name, "user": "shop", "remote_pid": pid, "local_port": 4000 + pid} for pid in pids]
    rows = [
        {"name": f"{name}{number or ''}", "host": host, "port": 5432, "pool_mode": None}
        for number, host in enumerate(databases)
    ]
    return {
        "SHOW SERVERS": servers,
        "SHOW DATABASES": [*rows, {"name": "pgbouncer", "host": None, "port": 6432}],
        "SHOW CONFIG": [{"key": "pool_mode", "value": "transaction"}],
    }


def keys(consoles):
    return [pooler.key for pooler in poolers(consoles, BACKENDS)]


def test_poolers():
    consoles = {"a": console(11), "b": console(12), "other": console(99)}
    consoles["other"]["SHOW DATABASES"][0]["host"] = "10.0.0.6"
    assert keys(consoles) == ["a", "b"]
    assert keys({}) == []


def test_ports_and_roles_must_match():
    for values in ({"local_port": 1}, {"user": "bot"}, {"remote_pid": None}):
        answers = console(11)
        answers["SHOW SERVERS"][0] |= values
        assert keys({"a": answers}) == []
    assert keys({"unix": console(13), "hidden": console(14)}) == ["unix", "hidden"]


def test_one_process_with_two_endpoints():
    assert keys({"tcp": console(11, 12), "unix": console(12)}) == ["tcp"]


def test_idle_pooler():
    """It has no connection now, but its databases are where another PgBouncer connects to."""
    assert keys({"idle": console(), "busy": console(11)}) == ["busy", "idle"]
    assert keys({"idle": console(), "unused": console()}) == []
    for host in ("127.0.0.1", "/run/postgresql", None):
        consoles = {"idle": console(databases=[host]), "busy": console(11, databases=[host])}
        assert keys(consoles) == ["busy"], "its own host, which may be another one"


def test_databases_elsewhere():
    consoles = {"a": console(11, databases=["10.0.0.5", "10.0.0.5", "10.0.0.9"]), "idle": console()}
    assert poolers(consoles, BACKENDS) == [
        Pooler("a", frozenset({"shop", "shop1"}), frozenset({"shop2"})),
        Pooler("idle", frozenset({"shop"}), frozenset()),
    ]
    assert by_name(consoles["idle"]) == {"shop": ("10.0.0.5", 5432), "pgbouncer": (None, 6432)}


def test_database_that_is_not_listed():
    """SHOW DATABASES omits unused databases that “*” created."""
    answers = console(11)
    answers["SHOW DATABASES"] = []
    assert poolers({"a": answers}, BACKENDS) == [Pooler("a", frozenset(), frozenset())]


def test_minor_version():
    assert minor_version(["1.24.1"]) == 24
    assert minor_version(["1.24.1", "1.9.0", "1.18.0"]) == 9
    assert minor_version(["2.0.0"]) is None
    assert minor_version(["odyssey"]) is None


def test_mode():
    answers = console()
    assert mode(answers, "shop") == "transaction"
    assert mode(answers, "postgres") is None
    answers["SHOW DATABASES"][0]["pool_mode"] = "session"
    assert mode(answers, "shop") == "session"


def test_hosts():
    own = {"10.0.0.1", "127.0.0.1"}
    connections = [
        ("10.0.0.2", "10.0.0.9"),
        ("10.0.0.2", HERE),
        ("10.0.0.3", "pool"),
        ("10.0.0.1", "pool"),
        ("127.0.0.1", "127.0.0.1"),
        ("unix", "/run/pgbouncer"),
        (None, HERE),
    ]
    assert hosts(connections, own) == {"10.0.0.2", "10.0.0.3", HERE}
    assert hosts([("127.0.0.1", "10.0.0.9"), ("unix", "10.0.0.9"), (None, "pool")], own) == {"10.0.0.9", "pool"}
    assert hosts([], own) == set()


def linked(pid, addr, port=5001, local_addr="10.9.9.9", local_port=7001):
    """The answers of a console whose server, a backend or the next PgBouncer, works for a client."""
    server = {"ptr": f"s{pid}", "link": f"c{pid}", "remote_pid": pid}
    return {
        "SHOW SERVERS": [server | {"local_addr": local_addr, "local_port": local_port}, {"ptr": "s0", "remote_pid": 0}],
        "SHOW CLIENTS": [{"ptr": f"c{pid}", "link": f"s{pid}", "addr": addr, "port": port}, {"ptr": "c0", "addr": "x"}],
    }


def test_addresses_of_a_client():
    assert client_addresses(11, [linked(11, "172.17.0.2"), linked(12, "10.0.0.3")]) == {"172.17.0.2"}
    assert client_addresses(11, [linked(11, "unix")]) == set()
    assert client_addresses(13, [linked(11, "172.17.0.2")]) == set()
    first, last = linked(900, "172.17.0.2", local_addr="10.0.0.7", local_port=41), linked(11, "10.0.0.7", 41)
    assert client_addresses(11, [first, last]) == {"172.17.0.2"}, "at the first of two in a row"


def test_programs():
    assert programs(["psql", "pg_dump", "psql", "bi"]) == [("psql", 2), ("bi", 1), ("pg_dump", 1)]


def test_databases_at_addresses():
    answers = console(databases=["10.0.0.5", "127.0.0.1", None, "10.0.0.5"])
    answers["SHOW DATABASES"][3]["port"] = None
    assert databases_at(answers, {("10.0.0.5", 5432)}) == {"shop"}
    assert databases_at(answers, {("", 5432)}) == {"shop1", "shop2"}, "a unix socket, too"
    assert databases_at(answers, {("10.0.0.5", 5433), ("", None)}) == set()
    assert databases_at(answers, {("", 6432)}) == set(), "the console itself"


def process(*pointers, **columns):
    """The answers of a process with connections at these pointers."""
    return {"SHOW SERVERS": [{"ptr": name} | columns for name in pointers[1:]], "SHOW CLIENTS": [{"ptr": pointers[0]}]}


def test_whether_the_databases_are_located():
    """A name may be another one of this PostgreSQL, as long as no connection shows where it leads."""
    assert is_located(console(databases=("db.example",)), {"shop"})
    assert not is_located(console(databases=("db.example",)), set())
    assert not is_located(console(databases=()), set()), "a line * shows no database before its first client"
    assert is_located(console(99, databases=("10.0.0.9",)), set())
    assert is_located(console(99, databases=("10.0.0.9", "10.0.0.9")), set())
    assert not is_located(console(99, databases=("10.0.0.9", "db.example")), set())


def test_twins():
    assert twins({1: process("a", "b"), 2: process("c", "b"), 3: process("d")}, {}) == [[1, 2]]
    assert twins({1: process("a"), 2: process("b"), 3: process("c")}, {1: 77, 2: None, 3: 77}) == [[1, 3]]
    other = process("x", "b", connect_time="later")
    assert twins({1: process("a", "b"), 2: other}, {}) == [], "a pointer is used again"


def test_three_endpoints_of_one_process():
    """The third one connects the first two."""
    assert twins({1: process("a"), 2: process("b"), 3: process("a")}, {2: 77, 3: 77}) == [[1, 2, 3]]
    assert twins({1: process("a"), 2: process("a"), 3: process("a")}, {}) == [[1, 2, 3]]
