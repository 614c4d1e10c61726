from importlib.util import module_from_spec, spec_from_file_location

from odoo.tests import tagged
from odoo.tools.misc import file_path

from ..common import ServerCase


@tagged("-at_install", "post_install")
class TestMigration(ServerCase):
    def script(self, name):
        spec = spec_from_file_location(name, file_path(f"pgbouncer_monitor/migrations/19.0.2.0.0/{name}.py"))
        script = module_from_spec(spec)
        spec.loader.exec_module(script)
        return script

    def test_ports_are_text(self):
        """The chatter showed ports with a thousands separator until 19.0.2.0.0."""
        script, field = self.script("post-tracked_port"), self.env["ir.model.fields"]._get
        values = {
            "mail_message_id": self.endpoint.message_ids[0].id,
            "field_id": field("connection.endpoint", "port").id,
            "old_value_integer": 0,
            "new_value_integer": 6432,
        }
        value = self.env["mail.tracking.value"].create(values)
        self.env.flush_all()
        for _time in range(2):
            script.migrate(self.env.cr, "19.0.1.0.0")
        self.env.invalidate_all()
        self.assertEqual(value.field_id, field("connection.endpoint", "tracked_port"))
        [shown] = value._tracking_value_format()
        self.assertEqual((shown["oldValue"], shown["newValue"]), (False, "6432"))

    def test_sentences_stay(self):
        """The reason of the last sample was a sentence until 19.0.2.0.0."""
        script = self.script("post-endpoint")
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
