import os
import select
import socket
import subprocess
import tempfile
import threading
from contextlib import closing, suppress
from pathlib import Path
from unittest.mock import DEFAULT, patch

from psycopg2.extras import wait_select

from odoo.tests import new_test_user, tagged
from odoo.tools.misc import file_path

from ...models.history import connection_sample_overdue
from ...probes import query
from ..common import DESK, TourCase, connect, endpoint_values, variable

# Like the sale of `make load`: many clients want the same few locks.
SALE = """\\set product random(1, 3)
BEGIN;
SELECT pg_advisory_xact_lock(:product);
SELECT pg_sleep(0.05);
COMMIT;
"""
# What runs in the page, and when it can start.
CHECK_PAGE = "pgbouncer_monitor/static/tests/check_page.js"
READY = "!!document.querySelector('.o_overview_node button')"


def relay(address):
    """Open a port that forwards one connection at a time to an address, until it is stopped.

    :return: the port, and the function that stops it
    """
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        with suppress(OSError):  # it was stopped
            while True:
                with server.accept()[0] as near, socket.create_connection(address) as far:
                    others, is_open = {near: far, far: near}, True
                    while is_open:
                        for end in select.select(others, [], [])[0]:
                            data = end.recv(65536)
                            others[end].sendall(data)
                            is_open = is_open and bool(data)

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1], lambda: server.shutdown(socket.SHUT_RDWR)


@tagged("-at_install", "post_install")
class TestOverviewTours(TourCase):
    def setUp(self):
        super().setUp()
        self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql").active = True
        self.env["connection.check"].search([]).unlink()
        # Otherwise the level of PostgreSQL is unknown, because the sessions of the role shop are hidden.
        self.execute("GRANT pg_monitor TO odoo")
        self.addCleanup(self.execute, "REVOKE pg_monitor FROM odoo")

    def execute(self, statement):
        with closing(connect(dbname="shop")) as superuser, superuser.cursor() as cursor:
            cursor.execute(statement)

    def watch(self, **values):
        endpoint = self.env["connection.endpoint"].create(endpoint_values(**values))
        self.env["connection.sample"]._sample(self.env["connection.endpoint"].search([]))
        return endpoint

    def walk(self, name, login="admin"):
        self.refresh()
        self.start_tour("/odoo/connection-overview", f"pgbouncer_monitor_overview_{name}", login=login, timeout=120)

    def open_session(self, name, *statements):
        """Open a session that runs statements, and do not wait for the last one."""
        connection = connect(user="odoo", dbname="shop", application_name=name, async_=True, connect_timeout=None)
        wait_select(connection)
        cursor = connection.cursor()
        self.addCleanup(lambda: (cursor, connection.close()))  # psycopg2 needs the cursor to stay alive
        for statement in statements:
            wait_select(connection)
            cursor.execute(statement)
        connection.poll()
        return connection

    def block(self):
        """One session holds a table, 30 wait for it, and one waits for one of them."""
        self.execute("CREATE TABLE IF NOT EXISTS blocked (); GRANT ALL ON blocked TO odoo")
        lock = "SELECT pg_advisory_xact_lock(77)"
        wait_select(self.open_session("first", "BEGIN", "LOCK blocked"))
        self.open_session("second", "BEGIN", lock, "TABLE blocked")
        for _number in range(30):
            self.open_session("other", "TABLE blocked")
        self.open_session("third", lock)

    def test_calm(self):
        self.watch()
        self.walk("calm")

    def test_load(self):
        self.watch()
        self.watch()  # with the same name
        of_postgresql = [("endpoint_id.kind", "=", "postgresql"), ("database", "=", False)]
        sample = self.env["connection.sample"].search(of_postgresql, limit=1)
        sample.refused = 3
        times = dict.fromkeys(("sampled_at", "since"), sample.sampled_at)
        self.env["connection.refusal"].create(times | {"host": "shop-1", "kind": "closed", "count": 3})
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            script.write(SALE)
            script.flush()
            os.chmod(script.name, 0o644)
            address = {"PGHOST": variable("PGBOUNCER_HOST"), "PGPORT": variable("PGBOUNCER_PORT"), "PGUSER": "odoo"}
            load = subprocess.Popen(
                ["pgbench", "--no-vacuum", "--client=20", "--time=120", f"--file={script.name}", DESK],
                env=os.environ | address,
                stdout=subprocess.DEVNULL,
            )
            try:
                self.walk("load")
                self.assertIsNone(load.poll(), "pgbench is still running")
            finally:
                load.kill()
                load.wait()

    def test_pgbouncer_is_stopped(self):
        port, stop = relay((variable("PGBOUNCER_HOST"), int(variable("PGBOUNCER_PORT"))))
        self.watch(port=port)
        readings = []

        def read(questions, _timeout):
            readings.append(bool(questions))
            if sum(readings) == 2:  # the first answer was shown
                stop()
            return DEFAULT

        self.startPatcher(patch.object(query, "run", wraps=query.run, side_effect=read))
        self.walk("stopped")

    def test_who_blocks(self):
        self.block()
        self.walk("blocked")

    def test_viewer(self):
        new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        self.patch(connection_sample_overdue, "server_started_at", lambda: None)
        self.env.cr.execute("UPDATE ir_cron SET active = FALSE, write_date = '2026-01-01', lastcall = '2026-01-02'")
        self.env.invalidate_all()
        self.block()
        self.walk("viewer", login="viewer")

    def test_page_is_accessible_and_keeps_its_place(self):
        """Checked by axe-core. A refresh moves nothing and keeps focus and scroll position, and the page pauses while
        it is hidden."""
        # A slow machine must not reach their thresholds: a new level moves what is below it.
        ages = ("blocked_age", "idle_in_transaction_age", "xact_age")
        self.env["connection.rule"].search([("rule", "in", ages)]).is_on = False
        self.watch()
        self.block()
        self.refresh()
        code = Path(variable("AXE_CORE")).read_text() + Path(file_path(CHECK_PAGE)).read_text()
        self.browser_js("/odoo/connection-overview", code, ready=READY, login="admin", timeout=120)
