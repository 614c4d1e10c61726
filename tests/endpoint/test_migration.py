from importlib.util import module_from_spec, spec_from_file_location

from odoo.tests import tagged
from odoo.tools.misc import file_path

from ..common import ServerCase


@tagged("-at_install", "post_install")
class TestMigration(ServerCase):
    def test_sentences_stay(self):
        """The reason of the last sample was a sentence until 19.0.2.0.0."""
        path = file_path("pgbouncer_monitor/migrations/19.0.2.0.0/post-endpoint.py")
        spec = spec_from_file_location("post_endpoint", path)
        script = module_from_spec(spec)
        spec.loader.exec_module(script)
        script.migrate(self.env.cr, "19.0.1.0.0")  # a new database has no such column
        self.endpoint.action_test()
        self.env.flush_all()
        self.env.cr.execute("ALTER TABLE connection_reading ADD COLUMN last_error text")
        self.env.cr.execute(
            "UPDATE connection_reading SET last_error = 'It is 90 %% full', reason = NULL WHERE endpoint_id = %s",
            [self.endpoint.id],
        )
        self.env.invalidate_all()
        script.migrate(self.env.cr, "19.0.1.0.0")
        self.assertEqual(self.endpoint.last_error, "It is 90 % full")
