import threading
import time
from unittest.mock import DEFAULT, patch

from odoo.exceptions import UserError
from odoo.tests import HttpCase, new_test_user, tagged
from odoo.tools.misc import file_path

from ..models.pgbouncer_show import console
from .common import TINY, closed_port, connect, connect_pooled, endpoint_values

# Debian's package of Odoo leaves this file out, and each page then logs an error that would
# fail the tour.
LEFT_OUT = "mail/static/lib/selfie_segmentation/selfie_segmentation.js"


@tagged("-at_install", "post_install")
class TestTours(HttpCase):
    def setUp(self):
        super().setUp()
        try:
            file_path(LEFT_OUT)
        except (FileNotFoundError, UserError):
            self.env["ir.asset"].create(
                {"name": LEFT_OUT, "bundle": "web.assets_backend", "directive": "remove", "path": LEFT_OUT}
            )
        self.env["connection.endpoint"].search([]).active = False

    def test_pools_fill_before_the_users_eyes(self):
        """The tour waits for a waiting client that comes only after the list was opened."""
        self.env["connection.endpoint"].create(
            [endpoint_values(), endpoint_values(name="Lost PgBouncer", port=closed_port())]
        )
        clients = [connect_pooled(dbname=TINY)]
        self.addCleanup(lambda: [client.close() for client in clients])
        clients[0].cursor().execute("BEGIN")

        opened = threading.Event()

        def wait_in_the_queue():
            opened.wait(timeout=90)
            waiter = connect_pooled(dbname=TINY, async_=True, connect_timeout=None)
            clients.append(waiter)
            while waiter.poll():
                time.sleep(0.01)
            waiter.cursor().execute("SELECT 1")

        def read(*args):
            opened.set()
            return DEFAULT

        thread = threading.Thread(target=wait_in_the_queue)
        thread.start()
        self.addCleanup(thread.join)
        self.startPatcher(patch.object(console, "run", wraps=console.run, side_effect=read))
        self.start_tour("/odoo/pgbouncer-pools", "pgbouncer_monitor_pools", login="admin", timeout=120)

    def test_sessions(self):
        self.start_tour("/odoo/pg-sessions", "pgbouncer_monitor_sessions", login="admin", timeout=120)

    def test_hidden_sessions(self):
        """Odoo's role may not see what the shop's does, and each view says so."""
        other = connect(user="shop", dbname="shop")
        self.addCleanup(other.close)
        self.start_tour("/odoo/pg-sessions", "pgbouncer_monitor_hidden", login="admin", timeout=120)

    def test_viewer(self):
        new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        self.start_tour("/odoo/pg-sessions", "pgbouncer_monitor_viewer", login="viewer", timeout=120)

    def test_endpoint(self):
        values = endpoint_values()
        self.start_tour("/odoo/connection-endpoints", "pgbouncer_monitor_endpoint", login="admin", timeout=120)
        endpoint = self.env["connection.endpoint"].search([])
        self.assertEqual(endpoint.name, "From the tour")
        self.assertIn("Nobody listens", endpoint.last_error)
        endpoint.write(values)
        endpoint.action_test()
        self.assertFalse(endpoint.last_error)
