"""The kinds of refusals, by messages that servers sent, and the counts of several processes."""

import multiprocessing
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from analysis.refusals import KINDS, growth, refusal_kind
from probes import refusals

TO = 'connection to server at "127.0.0.1", port 5432 failed: '
SLOTS = "remaining connection slots are reserved for "


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        # PostgreSQL 14 to 18
        ("slots_reserved", f"{TO}FATAL:  sorry, too many clients already\n"),
        ("slots_reserved", f"{TO}FATAL:  {SLOTS}non-replication superuser connections\n"),
        ("slots_reserved", f"{TO}FATAL:  {SLOTS}roles with the SUPERUSER attribute\n"),
        ("slots_reserved", f'{TO}FATAL:  {SLOTS}roles with privileges of the "pg_use_reserved_connections" role\n'),
        ("slots_reserved", f'{TO}FATAL:  too many connections for role "odoo"\n'),
        ("slots_reserved", f'{TO}FATAL:  too many connections for database "odoo"\n'),
        ("slots_reserved", f"{TO}FATAL:  tut mir leid, schon zu viele Verbindungen\n"),
        ("slots_reserved", f"{TO}FATAL:  zu viele Verbindungen von Rolle »odoo«\n"),
        ("slots_reserved", f"{TO}FATAL:  désolé, trop de clients sont déjà connectés\n"),
        ("slots_reserved", f"{TO}FATAL:  demasiadas conexiones para el rol «odoo»\n"),
        ("unreachable", f"{TO}FATAL:  the database system is starting up\n"),
        ("unreachable", f"{TO}FATAL:  das Datenbanksystem startet\n"),
        ("unreachable", f"{TO}Connection refused\n\tIs the server running on that host?\n"),
        ("unreachable", 'could not translate host name "db" to address: Name or service not known\n'),
        ("unreachable", f"{TO}timeout expired\n"),
        ("closed", f"{TO}server closed the connection unexpectedly\n"),
        ("closed", "connection already closed"),
        ("closed", "SSL connection has been closed unexpectedly\n"),
        # PgBouncer 1.15 to 1.26
        ("max_client_conn", f"{TO}FATAL:  no more connections allowed (max_client_conn)\n"),
        ("other", f'{TO}FATAL:  password authentication failed for user "odoo"\n'),
        ("other", f"{TO}FATAL:  a text unseen until now\n"),
        ("other", f'{TO}FATAL:  role "odoo" does not exist\n'),
        # Of a database that Odoo has served: an error of the administrator.
        ("other", f"{TO}FATAL:  no such database: odoo\n"),
        ("unreachable", f"{TO}ERROR:  pgbouncer cannot connect to server\n"),
    ],
)
def test_connection_that_is_refused(kind, message):
    assert refusal_kind(message, None, is_new=True) == kind


@pytest.mark.parametrize(
    ("is_known", "message"),
    [
        (True, f'{TO}FATAL:  database "foo" does not exist\n'),
        (True, f"{TO}FATAL:  Datenbank »foo« existiert nicht\n"),
        (True, f"{TO}FATAL:  la base de données « foo » n'existe pas\n"),
        # PgBouncer 1.15 to 1.26, with and without a line for *, the first client and the next ones
        (True, f'{TO}FATAL:  server login has been failing, cached error: database "foo" does not exist\n'),
        (False, f"{TO}FATAL:  server login has been failing, try again later (server_login_retry)\n"),
        (False, f"{TO}ERROR:  pgbouncer cannot connect to server\n"),
        (False, f"{TO}FATAL:  query_wait_timeout\n"),
        (False, f"{TO}FATAL:  no such database: foo\n"),
        (False, f"{TO}FATAL:  bouncer config error\n"),
        (False, f"{TO}timeout expired\n"),
        # A language that is not listed, and a database of another role
        (False, f"{TO}FATAL:  den findes ikke\n"),
        (False, f'{TO}FATAL:  permission denied for database "foo"\n'),
    ],
)
def test_database_that_does_not_exist(is_known, message):
    """Whoever names it is refused nothing."""
    assert refusal_kind(message, None, is_new=True, is_known=is_known) is None


def test_unknown_database_without_a_connection():
    """What has nothing to do with the name counts."""
    assert refusal_kind(f"{TO}FATAL:  sorry, too many clients already\n", None, is_new=True, is_known=False)
    assert refusal_kind("The Connection Pool Is Full", None, is_pool_error=True, is_known=False) == "pool_full"


@pytest.mark.parametrize(
    ("kind", "code", "message", "is_closed"),
    [
        ("closed", "57P01", "Verbindung wird abgebrochen aufgrund von Anweisung des Administrators\n", True),
        ("closed", "25P03", "terminating connection due to idle-in-transaction timeout\n", True),
        ("slots_reserved", "53300", "zu viele Verbindungen", False),
        ("query_wait_timeout", "08P01", "query_wait_timeout\n", True),
        ("closed", "08P01", "query_timeout\n", True),
        ("closed", "XX000", "a text unseen until now", True),
        (None, None, "Cursor already closed", False),
        # A user's own errors, whatever they contain.
        (None, "57014", "canceling statement due to statement timeout\n", False),
        (None, "55P03", "canceling statement due to lock timeout\n", False),
        (None, "40001", "could not serialize access due to concurrent update\n", False),
        (None, "42601", "syntax error\nLINE 1: query_wait_timeout, too many clients already\n", False),
        (None, "08001", f"could not connect to server\nDETAIL:  {TO}FATAL:  sorry, too many clients already\n", False),
    ],
)
def test_connection_in_use(kind, code, message, is_closed):
    assert refusal_kind(message, code, is_closed=is_closed) == kind


def test_own_pool():
    assert refusal_kind("The Connection Pool Is Full", None, is_pool_error=True) == "pool_full"
    assert refusal_kind("This connection does not belong to the pool", None, is_pool_error=True) is None


def test_growth():
    counts = {"a": {"closed": 5, "pool_full": 2}, "b": {"closed": 1}, "c": {"closed": 0}}
    before = {"a": {"closed": 2, "pool_full": 2}, "gone": {"closed": 1}}
    assert growth(counts, before) == {("a", "closed"): 3, ("b", "closed"): 1}
    assert growth(counts, {"b": {"closed": 7}}) is None, "a backup"
    assert growth(counts, {"b": {"pool_full": 1}}) is None, "a file was deleted"


def refuse(folder, kind, times):
    for _time in range(times):
        refusals.append(folder, kind, 1)


def test_processes_count_together(tmp_path):
    """Each refusal counts exactly once, also those of processes that are killed in between."""
    folder = tmp_path / "new" / "refusals"
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=refuse, args=(folder, kind, 500)) for kind in KINDS[:2] for _number in range(3)]
    killed = fork.Process(target=refuse, args=(folder, "closed", 10**9))
    for process in [*workers, killed]:
        process.start()
    deadline = time.monotonic() + 30
    while not (path := folder / socket.gethostname() / "closed").exists() or path.stat().st_size < 100:
        assert time.monotonic() < deadline and killed.is_alive()
        time.sleep(0.001)
    os.kill(killed.pid, signal.SIGKILL)
    for process in [*workers, killed]:
        process.join()
    counts = refusals.read(folder, KINDS).counts[socket.gethostname()]
    last = counts.pop("closed")
    assert counts == dict.fromkeys(KINDS[:2], 1500)
    assert last >= 100
    refuse(folder, "closed", 3)
    assert refusals.read(folder, KINDS).counts[socket.gethostname()]["closed"] == last + 3


def test_hosts_share_a_folder(tmp_path, monkeypatch):
    before = time.time()
    refuse(tmp_path, "closed", 1)
    for host in ("other/host", "gone"):
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        refuse(tmp_path, "closed", 2)
    monkeypatch.setattr(socket, "gethostname", lambda: "this")
    first = refusals.read(tmp_path, KINDS)
    assert first.counts["other/host"] == first.counts["gone"] == {"closed": 2} and first.counts["this"] == {}
    assert before <= first.created_at <= time.time()
    long_ago = time.time() - refusals.FORGET_SECONDS - 1
    gone, foreign = tmp_path / "gone", tmp_path / "gone" / "foreign"
    foreign.write_text("any")
    for path in (gone / "closed", gone / refusals.MARK, gone, foreign, tmp_path / "this"):
        os.utime(path, (long_ago, long_ago))
    refusals.read(tmp_path, KINDS)
    second = refusals.read(tmp_path, KINDS)
    assert "gone" not in second.counts and {"other/host", "this"} <= second.counts.keys()
    assert second[:2] == first[:2], "it is the same folder"
    assert foreign.exists() and not (gone / "closed").exists()


def test_foreign_files_and_damage(tmp_path, monkeypatch):
    """Only what was counted here is counted and deleted, and a damaged identity is made new."""
    refuse(tmp_path, "closed", 1)
    (tmp_path / "lost+found").mkdir()
    for name in ("lost+found", socket.gethostname()):
        (tmp_path / name / "foreign").write_text("any")
    os.utime(tmp_path / "lost+found", (0, 0))
    first = refusals.read(tmp_path, KINDS)
    assert first.counts == {socket.gethostname(): {"closed": 1}}
    assert (tmp_path / "lost+found" / "foreign").exists()
    (tmp_path / refusals.IDENTITY).write_text("")
    second = refusals.read(tmp_path, KINDS)
    assert second.identity not in ("", first.identity) and second.created_at == 0
    assert refusals.read(tmp_path, KINDS) == second
    monkeypatch.setattr(Path, "iterdir", lambda path: vanishing(path, tmp_path))
    assert refusals.read(tmp_path, KINDS).counts == first.counts, "another sampler forgets a host at this moment"


def vanishing(path, folder):
    """List a folder, and in it one that no longer exists when it is read."""
    names = os.listdir(path)
    if path == folder:
        names.append("gone")
        (path / "gone").mkdir()
    if path.name == "gone":
        path.rmdir()
        raise FileNotFoundError
    return iter([path / name for name in names])


def test_what_cannot_be_written_is_no_zero(tmp_path):
    (tmp_path / "file").write_text("")
    for do in (lambda folder: refusals.read(folder, KINDS), lambda folder: refusals.append(folder, "closed", 1)):
        with pytest.raises(OSError):
            do(tmp_path / "file" / "refusals")
