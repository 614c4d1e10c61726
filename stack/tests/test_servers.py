"""The servers of the stack."""

from servers import Pair


def test_started_again_with_its_data(pair, folder):
    """As `make stop` and `make demo` do: nothing is created twice or lost."""
    ports = {"postgresql": pair.postgresql.port, "pgbouncer": pair.pgbouncer.port}
    again = Pair(pair.postgresql.folder.parent, ports, pair.passwords)
    again.postgresql.execute("CREATE TABLE kept AS SELECT 1 AS one")
    again.stop()
    assert not pair.postgresql.process() and not pair.pgbouncer.process()
    again.start()
    assert pair.postgresql.execute(
        "DROP TABLE kept; SELECT count(*) FROM pg_roles WHERE rolname IN ('odoo', 'shop')"
    ) == [(2,)]


def test_reused_pid_is_left_alone(pair):
    running = pair.pgbouncer.process()
    remembered = pair.pgbouncer.pid_file.read_text()
    try:
        pair.pgbouncer.pid_file.write_text(f"[{running.pid}, 1]")
        pair.pgbouncer.stop()
        assert running.is_running()
    finally:
        pair.pgbouncer.pid_file.write_text(remembered)
