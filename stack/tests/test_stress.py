"""The stress test in its smallest form, and what of its figures can be wrong."""

import contextlib
import json
import subprocess
import sys
import time

import psutil
import pytest

from stress import raw
from stress.__main__ import measure
from stress.meters import WAKE, sampled, summary, tree_cpu
from stress.sides import DATABASE, Template, new_logins
from stress.sizes import SIZES
from stress.terminal import Progress, matrix_row, ratio_row
from support import direct_odoo


@pytest.mark.timeout(200)
def test_smallest(pair, new_database, folder, capsys):
    size = SIZES["smallest"]
    passwords = pair.passwords | {"admin": "administrator-of-stress"}
    odoo = direct_odoo(pair, "stress")
    template = Template(folder, pair.postgresql, passwords, odoo, new_database(DATABASE), new_logins(3))
    template.create_users()
    assert measure(size, folder / "stress", lambda: contextlib.nullcontext(template))
    shown = capsys.readouterr().out
    figures = json.loads((folder / "stress/figures.json").read_text())
    assert not figures["ended_early"] and not figures["problems"]
    direct, pooled = figures["matrix"]
    assert (direct["side"], pooled["side"], pooled["turn"]) == ("direct", "pooled", 1)
    for run in (direct, pooled):
        assert run["requests"] > 0 and run["failures"] == {} and run["rps"] > 0 and run["p95"] > 0, run
        assert run["cpu"]["postgresql"] > 0 and run["cpu"]["odoo"] > 0 and run["memory"]["postgresql"] > 10**7
        assert run["refused"] == 0 and 0 < run["backends"] <= 97
    assert direct["cpu"]["pgbouncer"] is None and pooled["cpu"]["pgbouncer"] > 0
    assert direct["pool"] is None and pooled["pool"]["maxwait"] >= 0
    # Each page of a visitor opens a connection to the database postgres, which PgBouncer keeps.
    assert direct["sessions"] > pooled["sessions"]
    assert {row["side"] for row in figures["raw"]["at_once"]} == {"direct", "pooled"}
    [server] = figures["setup"]["servers"]
    assert f"default_pool_size = {server['pool_size']}\n" in server["pgbouncer_ini"]
    assert "threaded, dbfilter" in shown and "ratio" in shown and "0 s left" in shown
    report = (folder / "stress/report.html").read_text()
    assert "110" in report and not any(password in report + shown for password in passwords.values())


def test_pgbouncer_keeps_no_slot_of_direct_clients(folder):
    size = SIZES["smallest"]._replace(turns=2)
    with contextlib.closing(raw.measure(folder, size)) as found:
        rows = [row for kind, row in found if kind == "at_once"]
    # Three slots are reserved for superusers, and the measurement takes one. A backend that has just been left may take
    # another, but an idle PgBouncer would keep 20.
    assert [row["served"] > 90 for row in rows if row["side"] == "direct"] == [True, True]
    assert [row["served"] for row in rows if row["side"] == "pooled"] == [110, 110]


def test_wake(pair, new_database):
    """The scheduled action is due, but not for long: Odoo counts the minutes since then one by one."""
    database = new_database("stress_wake")
    pair.postgresql.execute("UPDATE ir_cron SET nextcall = '2099-01-01'", WAKE, dbname=database)
    due = "SELECT cron_name FROM ir_cron WHERE nextcall <= now() AT TIME ZONE 'UTC'"
    [(name,)] = pair.postgresql.execute(due, dbname=database)
    assert name.endswith("log connection pressure")
    lately = f"{due} AND nextcall > now() AT TIME ZONE 'UTC' - interval '1 minute'"
    assert pair.postgresql.execute(lately, dbname=database) == [(name,)]


def test_cpu_of_ended_children():
    burn = "import time; start = time.process_time()\nwhile time.process_time() < start + 0.3: pass"
    shell = subprocess.Popen(
        ["sh", "-c", '"$@"; echo; read line', "sh", sys.executable, "-c", burn],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process = psutil.Process(shell.pid)
    shell.stdout.readline()
    assert not process.children() and 0.3 <= tree_cpu(process) < 1
    shell.communicate(b"\n")
    assert tree_cpu(process) is None, "unknown, not 0"


def reading(at, backends=None, refused=0, cpu=None, memory=None, pool=None):
    return {
        "at": at,
        "backends": backends,
        "sessions": None,
        "refused": refused,
        "cpu": {"postgresql": cpu} if cpu is not None else {},
        "memory": memory,
        "pool": pool,
    }


def test_summary():
    readings = [
        reading(0, backends=90, refused=50, cpu=10),
        reading(1, backends=20, refused=50, cpu=11, memory=7, pool={"cl_waiting": 0, "maxwait": 0.5}),
        reading(2, refused=53),
        reading(3, backends=30, refused=53, cpu=15, pool={"cl_waiting": 4, "maxwait": 0.1}),
        reading(4, backends=95, refused=60, cpu=100),
    ]
    found = summary(readings, 1, 3)
    assert (found["backends"], found["refused"], found["sessions"]) == (30, 3, None), "of this period only"
    assert found["cpu"] == {"postgresql": 4, "pgbouncer": None, "odoo": None}
    assert found["memory"] == {"postgresql": 7} and found["pool"] == {"cl_waiting": 4, "maxwait": 0.5}
    assert summary(readings, 0.5, 2)["cpu"]["postgresql"] == 13 - 10.5, "between two readings"
    assert summary(readings, 1, 60)["cpu"]["postgresql"] is None, "the meter ended before"


def test_samples():
    sample = {"used": 90, "capacity": 97, "waiting": None, "maxwait": None, "pressure": 92.8, "level": "critical"}
    bouncer = {"used": 5, "capacity": 396, "waiting": 7, "maxwait": 1.5, "pressure": 1.2, "level": "warning"}
    samples = [
        {"at": 100, "kind": "postgresql"} | sample | {"used": 97},
        {"at": 110, "kind": "postgresql"} | sample,
        {"at": 110, "kind": "pgbouncer"} | bouncer,
    ]
    found = sampled(samples, 105.5, 120)
    assert (found["taken"], found["used_max"], found["capacity"]) == (1, 90, 97)
    assert (found["waiting_max"], found["maxwait"], found["level"], found["reason"]) == (7, 1.5, "critical", None)
    found = sampled(samples, 120.5, 130)
    assert found["taken"] == 0 and found["used_max"] is None and found["reason"]


def run(side, rps, **values):
    found = {"workers": 4, "has_db_filter": True, "users": 50, "side": side, "turn": 1, "rps": rps, "seconds": 10}
    found |= {"p95": 0.2, "failures": {"HTTP 500": 2}, "backends": 8, "cpu": {"postgresql": 2.0, "pgbouncer": None}}
    return found | values


def test_rows():
    direct = run("direct", 20.0)
    pooled = run("pooled", 40.0, p95=0.1, cpu={"postgresql": 0.5, "pgbouncer": 0.5})
    assert matrix_row(direct).split() == "4 workers, dbfilter 50 direct 1 20.0 0.20 s 2 8 10.00 s".split()
    # CPU seconds per 1,000 requests: 2 / 200 and 1 / 400, with PgBouncer's.
    assert ratio_row(direct, pooled).split() == ["ratio", "2.00", "0.50", "1.00", "0.25"]
    failed = {name: None for name in direct} | {"workers": 0, "users": 50, "side": "direct", "turn": 1}
    failed |= {"error": "Odoo has ended.\nlog"}
    assert matrix_row(failed).endswith("  Odoo has ended.") and "threaded" in matrix_row(failed)
    assert ratio_row(failed, pooled).split() == ["ratio", "-", "-", "-", "-"]


def test_time_left(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    progress = Progress({"matrix": (4, 100), "raw": (2, 30)})
    assert str(progress) == "0 of 6, about 8 min left"
    clock[0] = 1000.0
    progress.start()  # the servers have started
    for clock[0] in (1010.0, 1030.0):
        progress.add("matrix")
    assert progress.left() == 2 * 15 + 2 * 30 and str(progress) == "2 of 6, about 2 min left"
    for part in ("matrix", "matrix", "raw"):
        progress.add(part)
    assert progress.left() == 0 and str(progress) == "5 of 6, about 0 s left"
