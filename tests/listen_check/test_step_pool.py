from unittest.mock import patch

from odoo.tests import tagged
from odoo.tools import config

from ...models.listen_check import step_listeners
from ..common import answering, connect_pooled
from .cases import StepCase


@tagged("-at_install", "post_install")
class TestPool(StepCase):
    def step_bus(self):
        """As if no process of the bus had answered."""
        run = self.run_record.sudo()
        run.steps = (run.steps or {}) | {"bus": {"processes": []}}

    def test_listener_that_no_check_has_covered(self):
        """A client of postgres and of this database, of a process that is not this server's."""
        names = {"user": "odoo", "password": config["db_password"], "application_name": "odoo-1"}
        for dbname in ("postgres", self.env.cr.dbname):
            self.client(connect_pooled(dbname=dbname, **names))
        self.step_bus()
        self.patch(step_listeners, "server_pids", lambda: [])
        # Behind NAT they would be counted as its own.
        self.patch(config, "options", config.options.new_child({"max_cron_threads": -1}))
        with patch.object(step_listeners, "LISTENER_SECONDS", -1):
            words = self.step("listeners")
        self.assertEqual(words["level"], "warning")
        self.assertIn("no check has covered", words["means"])

    def test_listening_clients(self):
        odoo = {"user": "odoo", "addr": "h", "port": 1}
        rows = [
            odoo | values
            for values in (
                {"database": "postgres", "connect_time": "2026-01-01 10:00:00 UTC", "ptr": "old"},
                {"database": "postgres", "connect_time": "2026-01-01 10:01:00 UTC", "ptr": "new"},
                {"database": "postgres", "connect_time": "2026-01-01 10:00:00 UTC", "ptr": "w", "state": "waiting"},
                {"database": "postgres", "connect_time": "2026-01-01 10:00:00 UTC", "ptr": "role", "user": "shop"},
                {
                    "database": "postgres",
                    "connect_time": "2026-01-01 10:00:00 UTC",
                    "ptr": "psql",
                    "application_name": "psql",
                },
                {"database": "shop", "connect_time": "2026-01-01 09:00:00 UTC", "ptr": "of another database"},
                {"database": "pgbouncer", "connect_time": "2026-01-01 10:01:01 UTC", "ptr": "the console"},
            )
        ]
        with answering({self.endpoint: {"SHOW CLIENTS": rows}}):
            self.assertEqual(len(self.run_record._listening_clients()), 1)

    def test_listeners_of_another_pgbouncer_take_no_servers(self):
        for step in ("pooler", "listeners"):
            self.step_bus()
            self.step(step)
        run = self.run_record.sudo()
        self.patch(config, "options", config.options.new_child({"max_cron_threads": 2, "workers": 2}))
        for endpoint, level in ((self.endpoint.id, "warning"), (0, "ok")):
            listeners = run.steps["listeners"] | {"count": 20, "by_endpoint": {str(endpoint): 20}}
            run.steps = run.steps | {"listeners": listeners}
            self.assertEqual(self.step("slots")["level"], level)

    def test_slots(self):
        self.step("pooler")
        self.step_bus()
        self.step("listeners")
        self.patch(config, "options", config.options.new_child({"max_cron_threads": 19, "workers": 0}))
        self.assertEqual(self.step("slots")["level"], "warning", "19 cron workers and the bus take all 20 servers")
        self.patch(config, "options", config.options.new_child({"max_cron_threads": 18}))
        self.assertIn("some connections wait for a moment", self.step("slots")["means"])
        self.patch(config, "options", config.options.new_child({"max_cron_threads": 2}))
        self.assertEqual(self.step("slots")["level"], "ok")
