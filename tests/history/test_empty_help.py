from odoo.tests import new_test_user

from ..cases import SampleCase
from ..common import closed_port


class TestEmptyHelp(SampleCase):
    """Why a list is empty, and what to do."""

    def help_of(self, model, group="viewer"):
        user = new_test_user(self.env, f"{model}-{group}", groups=f"pgbouncer_monitor.group_{group}")
        self.refresh()
        model = self.env[model].with_user(user)
        for reading in (model.web_search_read([], {}), model.web_read_group([], ["id"], [])):
            self.assertEqual(reading["reading"]["empty_help"], model.get_empty_help())
        return model.get_empty_help()

    def test_console_lists(self):
        self.assertEqual(self.help_of("pgbouncer.client"), "", "that of the action")
        self.endpoint.port = closed_port()
        self.assertIn("No PgBouncer answers", self.help_of("pgbouncer.pool"))
        self.endpoint.active = False
        for_viewer = self.help_of("pgbouncer.server")
        self.assertIn("No PgBouncer is watched", for_viewer)
        self.assertIn("A Manager can add one", for_viewer)
        self.assertNotIn("<a", for_viewer)
        for_manager = self.help_of("pgbouncer.stat", "manager")
        self.assertIn('data-method="action_add_pgbouncer"', for_manager)

    def test_history_and_alerts(self):
        cron = self.env.ref("pgbouncer_monitor.ir_cron_sample")
        self.Sample.search([]).unlink()
        self.assertIn("samples every endpoint, every minute", self.help_of("connection.sample"))
        self.assertEqual(self.help_of("connection.alert"), "", "that of the action: all is well")
        cron.active = False
        self.assertIn("Nothing is sampled", self.help_of("connection.sample", "manager"))
        self.assertIn("No alert can open", self.help_of("connection.alert", "manager"))
        [notice] = self.env["connection.alert"].get_notices()
        self.assertIn("disabled in the Settings", notice["text"])
        self.take()
        self.assertEqual(self.Sample.get_empty_help(), "")
