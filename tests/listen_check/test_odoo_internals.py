import logging
import os
import socket
import threading
from contextlib import closing
from types import SimpleNamespace

import odoo
from odoo.tests import BaseCase, tagged
from odoo.tools import config

from odoo.addons.bus.models import bus

from ... import odoo_internals
from ..common import connect


@tagged("-at_install", "post_install")
class TestOdooInternals(BaseCase):
    def test_losses(self):
        """As Odoo's dispatcher logs them."""
        losses = []
        self.patch(odoo_internals.LOSSES, "losses", losses)
        logging.getLogger(bus.__name__).info("Bus.loop listen imbus on db postgres")
        self.assertFalse(losses)
        self.patch(logging.getLogger(bus.__name__), "propagate", False)  # an error would fail the run
        try:
            raise ConnectionError("server closed the connection\x01\n")
        except ConnectionError:
            bus._logger.exception("Bus.loop error, sleep and retry")
        [(at, message)] = losses
        self.assertGreater(at, 0)
        self.assertEqual(message, "server closed the connection\\x01")

    def test_cron_threads_that_ended(self):
        self.patch(odoo.service.server, "server", SimpleNamespace(pid=os.getpid()))
        self.patch(config, "options", config.options.new_child({"workers": 0, "max_cron_threads": 2}))
        self.assertEqual(odoo_internals.ended_cron_threads(), 2)
        is_over = threading.Event()
        self.addCleanup(is_over.set)
        threading.Thread(target=is_over.wait, name="odoo.service.cron.cron1", daemon=True).start()
        self.assertEqual(odoo_internals.ended_cron_threads(), 1)
        self.patch(config, "options", config.options.new_child({"workers": 2}))
        self.assertEqual(odoo_internals.ended_cron_threads(), 0, "workers are replaced")

    def test_own_connections(self):
        """Those that this process opened, by their own end."""
        with closing(connect()) as session, socket.socket(fileno=os.dup(session.fileno())) as own_end:
            end = own_end.getsockname()
            self.assertEqual(odoo_internals.local_ends().get(end), os.getpid())
            self.assertTrue(odoo_internals.is_of_this_server(*end, ""))
        self.assertNotIn(end, odoo_internals.local_ends())
