import os
import socket

from odoo.tests import tagged
from odoo.tools import config

from ..common import answering, connect_pooled
from .cases import StepCase


@tagged("-at_install", "post_install")
class TestPool(StepCase):
    def test_listeners_that_are_deaf(self):
        """A client of postgres that has been connected for long and has no server."""
        idle = self.client(connect_pooled(dbname="postgres", user="odoo", password=config["db_password"]))
        port = self.own_port(idle)
        of_idle = [("port", "=", port)]
        self.patch(type(self.Run), "_listening_clients", lambda run: run.env["pgbouncer.client"].search(of_idle))
        words = self.step("listeners")
        self.assertIn("1 clients", words["seen"])
        self.assertIn(str(port), words["means"])

    def own_port(self, connection):
        with socket.socket(fileno=os.dup(connection.fileno())) as own_end:
            return own_end.getsockname()[1]

    def test_listening_clients(self):
        rows = [
            {"database": "postgres", "connect_time": "2026-01-01 10:00:00 UTC", "ptr": "old"},
            {"database": "postgres", "connect_time": "2026-01-01 10:01:00 UTC", "ptr": "new"},
            {"database": "shop", "connect_time": "2026-01-01 09:00:00 UTC", "ptr": "of another database"},
            {"database": "pgbouncer", "connect_time": "2026-01-01 10:01:01 UTC", "ptr": "the console"},
        ]
        with answering({self.endpoint: {"SHOW CLIENTS": rows}}):
            self.assertEqual(self.run_record._listening_clients().mapped("ptr"), ["old"])

    def test_slots(self):
        self.step("pooler")
        self.step("listeners")
        self.patch(config, "options", config.options.new_child({"max_cron_threads": 19, "workers": 0}))
        self.assertEqual(self.step("slots")["level"], "warning", "19 cron workers and the bus take all 20 servers")
        self.patch(config, "options", config.options.new_child({"max_cron_threads": 18}))
        self.assertIn("some connections wait for a moment", self.step("slots")["means"])
        self.patch(config, "options", config.options.new_child({"max_cron_threads": 2}))
        self.assertEqual(self.step("slots")["level"], "ok")

    def test_listeners_that_are_disconnected(self):
        self.step("pooler")
        self.step("listeners")
        run = self.run_record.sudo()
        pool = run.steps["pooler"]["pool"] | {"client_idle_timeout": "30"}
        run.steps = run.steps | {"pooler": run.steps["pooler"] | {"pool": pool}}
        words = self.step("slots")
        self.assertEqual(words["level"], "warning")
        self.assertIn("client_idle_timeout is 30 s", words["means"])
