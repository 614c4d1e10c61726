"""A console with answers that no real one returns, also endless ones: no request fails, and no value is made up."""

import os
import struct
import time

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostile import INT4, HostileConsole, data_row, message, notice, row_description, table
from probes import query
from probes.address import Address
from probes.reading import text
from sampling import endpoint, read

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


def answering(**answers):
    """Return a function for HostileConsole: command -> rows of columns, all bytes. Other commands have no rows."""

    def answer(command):
        rows = answers.get(command.removeprefix("SHOW ").lower(), [])
        columns = list(rows[0]) if rows else ["nothing"]
        return table([name.encode() for name in columns], [list(row.values()) for row in rows], INT4)

    return answer


@pytest.mark.parametrize("cell", [b"NaN", b"-5", b"3" * 23, b"", b"1e5", b"\xff", b"\0", None])
def test_text_where_a_number_belongs(sampler, cell):
    """It costs that cell: its row, the other cells and the endpoint are as usual."""
    rows = [POOL | {"cl_waiting": cell}, POOL | {"database": b"till"}]
    with HostileConsole(answering(pools=rows)) as server, endpoint(sampler, "Hostile", server) as created:
        pools, notices = read(sampler.client, "pgbouncer.pool", ["endpoint_id", "=", created])
        assert notices == []
        assert {pool["database"]: (pool["cl_waiting"], pool["sv_active"]) for pool in pools} == {
            "shop": (False, 1),
            "till": (0, 1),
        }
        assert sampler.run()["Hostile"]["pools"]["till"]["waiting"] == 0


# Values that the protocol allows in a column.
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
    """No list, Overview or sample fails, and every text that is shown was in the answer."""
    sampler, server, created = hostile
    server.answer = lambda command: table(
        [name.encode() for name in COLUMNS[command.removeprefix("SHOW ")]], answers[command.removeprefix("SHOW ")], INT4
    )
    returned = {text(cell) for rows in answers.values() for row in rows for cell in row if cell is not None}
    for name in LISTS:
        rows, _notices = read(sampler.client, f"pgbouncer.{name}", ["endpoint_id", "=", created])
        for row in rows:
            for column in ("database", "user", "addr", "ptr", "link", "host", "key", "value"):
                assert not row.get(column) or row[column] in returned
    sampler.overview()
    read(sampler.client, "pg.stat.activity")
    sampler.client.call("connection.endpoint", "action_sample", [created])


@pytest.fixture
def hostile(sampler):
    with HostileConsole(answering()) as server, endpoint(sampler, "Any Answer", server) as created:
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
    """A reading is limited in bytes, too. A separate process measures it."""
    with HostileConsole(FLOODS[flood], folder if is_unix else None) as server:
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            process = psutil.Process()
            before = process.memory_info().rss
            address = Address(server.host, server.port, "stats")
            started = time.monotonic()
            error = query.run({1: (address, ["SHOW POOLS"])}, 3)[1]
            seconds = time.monotonic() - started
            grown = (psutil.Process().memory_info().rss - before) >> 20
            peak = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) >> 10
            os.write(writer, f"{error.reason} {seconds} {max(grown, peak - (before >> 20))}".encode())
            os._exit(0)
        os.close(writer)
        with open(reader) as results:
            reason, seconds, megabytes = results.read().split()
        os.waitpid(pid, 0)
    assert reason in ("too_large", "timeout")
    assert float(seconds) < 3.5 and int(megabytes) < 300


def test_flood_on_the_screen(sampler):
    with HostileConsole(too_many_rows) as server, endpoint(sampler, "Flood", server):
        _rows, [notice] = read(sampler.client, "pgbouncer.pool")
        assert "sent more than the addon reads. (> 64 MB)" in notice["text"]
