"""Raw answers become plausible values, or unknown; one bad cell costs that cell."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import readings
from analysis.joins import network_address, socket_address

POOL = {"database": "shop", "user": "shop", "cl_waiting": "1", "sv_active": "1", "maxwait": "0", "maxwait_us": "12"}


def console(command, *rows, version="1.26.1"):
    return readings.console({command: list(rows)}, version)[command]


@pytest.mark.parametrize(
    "raw, value",
    [
        ("30", 30),
        ("       30", 30),
        (30, 30),
        (Decimal("30"), 30),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        ("18446744069414584320", None),
        ("-5", None),
        (-5, None),
        ("1e5", None),
        ("NaN", None),
        (Decimal("NaN"), None),
        (Decimal("1.5"), None),
        ("", None),
        ("٣", None),
        ("3" * 23, None),
        (1.0, None),
        (True, None),
        (None, None),
    ],
)
def test_whole(raw, value):
    assert readings.whole(raw) is value or readings.whole(raw) == value
    assert type(readings.whole(raw)) is type(value)


@pytest.mark.parametrize(
    "raw, value", [("1.5", 1.5), (2, 2.0), ("NaN", None), ("inf", None), ("-1", None), (None, None), ("x", None)]
)
def test_number(raw, value):
    assert readings.number(raw) == value


def test_one_bad_cell_costs_that_cell():
    for bad in ("NaN", "-5", "3" * 23, "", "1e5", None):
        [row] = console("SHOW POOLS", POOL | {"cl_waiting": bad})
        assert row == POOL | {"cl_waiting": None, "sv_active": 1, "maxwait": 0, "maxwait_us": 12}


def test_ranges():
    [row] = console("SHOW POOLS", POOL | {"maxwait": str(2**40), "maxwait_us": "1000000"})
    assert (row["maxwait"], row["maxwait_us"]) == (None, None)
    [row] = console("SHOW CLIENTS", {"ptr": "0x1", "port": "65536", "remote_pid": str(2**31), "wait": "-3600"})
    assert row == {"ptr": "0x1", "port": None, "remote_pid": None, "wait": None}
    [row] = console(
        "SHOW STATS", {"database": "shop", "total_wait_time": str(2**64 - 1), "avg_xact_time": "7", "avg_recv": "1"}
    )
    assert row == {"database": "shop", "total_wait_time": None, "avg_xact_time": 7, "avg_recv": 1}
    [row] = console("SHOW STATS", {"database": "shop", "avg_query_time": "9223372035059177216"})
    assert row["avg_query_time"] is None


def test_rows_without_a_unique_key():
    rows = console("SHOW POOLS", POOL, POOL | {"sv_active": "9"}, POOL | {"user": None})
    assert [row["sv_active"] for row in rows] == [1]
    nameless = console("SHOW POOLS", {"database": "shop"}, {"database": "shop"})
    assert len(nameless) == 2 and readings.missing_key("SHOW POOLS", nameless) == ["user"]
    assert readings.missing_key("SHOW POOLS", []) == []
    assert console("SHOW SOMETHING", {"a": "1"}) == [{"a": "1"}]


def test_wait_of_a_console_is_not_its_own():
    rows = [{"ptr": ptr, "database": name, "wait": "5"} for ptr, name in (("0x1", "pgbouncer"), ("0x2", "shop"))]
    assert [row["wait"] for row in console("SHOW CLIENTS", *rows)] == [None, 5]
    login = {"ptr": "0x3", "database": "shop", "state": "waiting", "wait": "0", "wait_us": "0"}
    assert [row["wait"] for row in console("SHOW CLIENTS", login, login | {"ptr": "0x4", "wait_us": "1"})] == [None, 0]


def test_number_of_the_user_before():
    rows = [{"name": name, "pool_size": size} for name, size in zip("abcd", ("", "  30", "  30", "  12"), strict=True)]
    for version, sizes in (("1.24.1", [None, 30, None, 12]), ("1.26.1", [None, 30, 30, 12])):
        assert [row["pool_size"] for row in console("SHOW USERS", *rows, version=version)] == sizes


def test_wait_after_the_clock_was_put_forward():
    """No client waits for longer than query_wait_timeout."""
    for timeout, maxwait in (("120", None), ("0", 3604)):
        answers = {"SHOW POOLS": [POOL | {"maxwait": "3604"}], "SHOW CONFIG": [{"key": "query_wait_timeout"}]}
        answers["SHOW CONFIG"][0]["value"] = timeout
        [pool] = readings.console(answers)["SHOW POOLS"]
        assert pool["maxwait"] == maxwait


def test_longest_wait():
    pool = {"cl_waiting": 1, "maxwait": 2, "maxwait_us": 500_000}
    assert readings.longest_wait(pool) == 2.5
    assert readings.longest_wait(pool | {"maxwait_us": None}) is None
    assert readings.longest_wait({"cl_waiting": 0, "maxwait": 0, "maxwait_us": 0}) == 0
    assert readings.longest_wait({"cl_waiting": 3, "maxwait": 0, "maxwait_us": 0}) is None, "a login is not measured"


def test_impossible_growth():
    def plausible(*counts):
        return readings.plausible_growth({"shop": counts}, 1, {"shop": [None, 30]})["shop"]

    assert plausible(10**12, 30) == [10**12, 30]
    assert plausible(10**12 + 1, 31) == [None, None], "1 TB in a second"
    assert plausible(None, None) == [None, None]


@pytest.mark.parametrize(
    "then, now, age",
    [
        ("2026-11-22 08:58:16 CET", "2026-11-22 08:59:20 CET", 64),
        # A client of two seconds ago, when the clock was put back.
        ("2026-10-25 02:59:58 CEST", "2026-10-25 02:00:00 CET", None),
        ("2026-10-25 02:00:01 CET", "2026-10-25 02:59:59 CEST", None),
        ("2026-10-25 02:59:58 CET", "2026-10-25 02:00:00 CET", None),
        # Since summer, for at least so long.
        ("2026-07-01 12:00:00 CEST", "2026-11-01 12:00:00 CET", 123 * 86400 - 7200),
        ("yesterday", "2026-11-01 12:00:00 CET", None),
        (None, "2026-11-01 12:00:00 CET", None),
        ("2026-11-01 12:00:00 CET", None, None),
    ],
)
def test_age(then, now, age):
    assert readings.age(then, now) == age


def test_identifier():
    assert readings.identifier("a" * 77) == "a" * 63
    assert readings.identifier("a" * 62 + "é") == "a" * 62, "no half of a character"
    assert readings.identifier("d\\xe9partement" * 4) == "d\\xe9partement" * 4, "44 bytes"
    assert readings.identifier("\\xe9" * 77) == "\\xe9" * 63
    assert readings.identifier("shop") == "shop" and readings.identifier(None) is None


@pytest.mark.parametrize(
    "name, argument",
    [
        ("shop_2", '"shop_2"'),
        ("a" * 61, '"' + "a" * 61 + '"'),
        ("A" * 62, "A" * 62),
        ("a" * 64, None),
        ("a" * 63, "a" * 63),
        ("my-shop", '"my-shop"'),
        ('a"b', '"a""b"'),
        ("-" * 61, '"' + "-" * 61 + '"'),
        ("-" * 62, None),
        ("é" * 31, None),
    ],
)
def test_argument(name, argument):
    assert readings.argument(name) == argument


@pytest.mark.parametrize(
    "name, names, is_listed",
    [
        ("my admin", "a, my admin", True),
        ("a", "a, my admin", True),
        ("b", "a, my admin", False),
        ("dmin", "a, my admin", False),
        ("a.b", "axb", False),
        ("", "a,", False),
        ("a", None, False),
    ],
)
def test_is_listed(name, names, is_listed):
    assert readings.is_listed(name, names) is is_listed


def test_states():
    def state(*pairs):
        return readings.console_state([dict(zip(("key", "value"), pair, strict=True)) for pair in pairs])

    assert state(("active", "no"), ("paused", "yes")) == "paused"
    assert state(("broken", "yes")) == "unknown" and state() == "unknown"
    database = {"paused": 0, "disabled": 0}
    assert readings.database_state(database, "active") == "active"
    assert readings.database_state(database, "suspended") == "paused"
    assert readings.database_state(database | {"paused": 1}, "active") == "paused"
    assert readings.database_state(database | {"disabled": 1}, "unknown") == "disabled"
    assert readings.database_state(database | {"paused": None}, "active") == "unknown"
    assert readings.version_tuple("1.25.2rc1") == (1, 25, 2)


def test_postgresql():
    row = {"client_backends": "7", "xact_age": "1.5", "role": "odoo", "max_connections": 100, "blocked_age": None}
    [typed] = readings.postgresql({"query": [row | {"started_at": "NaN", "hidden_backends": "-1"}]})["query"]
    assert typed == {
        "client_backends": 7,
        "xact_age": 1.5,
        "role": "odoo",
        "max_connections": 100,
        "blocked_age": None,
        "started_at": None,
        "hidden_backends": None,
    }


@pytest.mark.parametrize(
    ("value", "kind", "unit", "expected"),
    (
        ("on", "bool", None, True),
        ("off", "bool", None, False),
        ("maybe", "bool", None, None),
        ("100", "integer", None, 100),
        ("16384", "integer", "8kB", 128 << 20),
        ("4096", "integer", "kB", 4 << 20),
        ("1500", "integer", "ms", 1.5),
        ("2", "integer", "min", 120),
        ("7", "integer", "parsecs", None),
        ("many", "integer", "kB", None),
        ("-0.5", "real", None, -0.5),
        ("scram-sha-256", "enum", None, "scram-sha-256"),
    ),
)
def test_postgresql_setting(value, kind, unit, expected):
    assert readings.postgresql_setting(value, kind, unit) == expected


def test_addresses():
    assert network_address("10.0.0.5", 6432) == "10.0.0.5:6432"
    assert network_address("::1", 6432) == "[::1]:6432"
    assert network_address("/run/pgbouncer", 6432) == "/run/pgbouncer/.s.PGSQL.6432"
    assert network_address("@pool", 6432) == "@pool/.s.PGSQL.6432"
    assert socket_address("unix", 6432, 17) == "unix socket, PID 17"
    assert socket_address("unix", 6432, 0) == "unix socket"
    assert socket_address("::1", 40962, 0) == "[::1]:40962"
    assert socket_address("10.0.0.5", None, 0) == "10.0.0.5"
    assert socket_address(None, 1, 1) == ""


RECORDED = json.loads(Path(__file__).with_name("answers.json").read_text())


@pytest.mark.parametrize("version", RECORDED)
def test_what_real_consoles_answer(version):
    """No cell of it is lost: each is the number that it shows, or its own text."""
    answers = {command: rows for command, rows in RECORDED[version].items() if rows is not None}
    typed = readings.console(answers, version)
    numbers = 0
    for command, rows in answers.items():
        assert len(typed[command]) == len(rows) and not readings.missing_key(command, typed[command])
        for row, raw in zip(typed[command], rows, strict=True):
            for name, value in row.items():
                is_own = command == "SHOW USERS" and name.endswith("pool_size")
                is_console = command == "SHOW CLIENTS" and row["database"] == readings.CONSOLE
                if isinstance(value, int):
                    assert value == int(raw[name])
                    numbers += 1
                elif is_own or (is_console and name.startswith("wait")):
                    assert value is None
                else:
                    assert value == raw[name] and not (value or "").strip().isdecimal() or name in ("value", "default")
    assert numbers > 100
    if "1.24" <= version:
        sizes = {user["name"]: user["pool_size"] for user in typed["SHOW USERS"]}
        assert {name: size for name, size in sizes.items() if size is not None} == {"odoo": 30}


CELLS = st.none() | st.text(max_size=30) | st.integers(-(2**80), 2**80).map(str)


@given(st.sampled_from(list(readings.KEYS)), st.data())
def test_any_answer(command, data):
    """Nothing raises, and no value appears that was not in the answer."""
    columns = [*readings.KEYS[command], "maxwait", "maxwait_us", "cl_waiting", "total_wait_time", "pool_size", "port"]
    rows = [dict(zip(columns, cells, strict=True)) for cells in data.draw(st.lists(st.tuples(*[CELLS] * len(columns))))]
    for row in readings.console({command: rows}, "1.24.1")[command]:
        key = readings.KEYS[command]
        raw = [other for other in rows if all(row[name] in (other[name], readings.whole(other[name])) for name in key)]
        for name, value in row.items():
            assert value is None or str(value) in {
                (other[name] or "").strip(" ").lstrip("0") or "0" for other in raw
            } | {other[name] for other in raw}
        assert readings.longest_wait(row) is None or readings.longest_wait(row) >= 0


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_time(then, now):
    assert readings.age(then, now) is None or readings.age(then, now) >= 0
    assert readings.is_listed(then, now) in (True, False)
    argument = readings.argument(then)
    assert argument is None or len(argument.encode()) <= readings.ARGUMENT_BYTES
