"""PgBouncers, hosts and programs of an installation."""

from analysis.installation import HERE, Pooler, by_name, hosts, minor_version, mode, poolers, programs

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


def test_programs():
    assert programs(["psql", "pg_dump", "psql", "bi"]) == [("psql", 2), ("bi", 1), ("pg_dump", 1)]
