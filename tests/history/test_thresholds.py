from psycopg2.errors import UniqueViolation

from odoo.exceptions import UserError, ValidationError
from odoo.fields import Command
from odoo.tools import mute_logger

from ..cases import UNKNOWN, SampleCase


class TestThresholds(SampleCase):
    def setUp(self):
        super().setUp()
        self.grant_monitor()

    def settings(self, **values):
        settings = self.env["res.config.settings"].create(values)
        self.env.flush_all()  # the web client saves in one request, and executes in the next
        self.env.invalidate_all()
        settings.execute()
        return self.env["res.config.settings"].create({})

    def test_zero_and_empty_stay(self):
        settings = self.settings(minute_days=False, sample_days=30, reminder_hours=0.5)
        self.assertEqual((settings.minute_days, settings.sample_days, settings.reminder_hours), (False, 30, 0.5))
        settings = self.settings(reminder_hours=False)
        self.assertEqual((settings.minute_days, settings.reminder_hours), (UNKNOWN, UNKNOWN), "the others too")

    def test_rules_are_in_force(self):
        settings = self.env["res.config.settings"].create({})
        [rule] = settings.connection_rule_ids.filtered(lambda rule: rule.rule == "postgresql_pressure")
        self.assertEqual((rule.warning, rule.critical), (75, 90))

        def level(warning, critical):
            self.settings(connection_rule_ids=[Command.update(rule.id, {"warning": warning, "critical": critical})])
            return self.take(self.postgresql).level

        self.assertEqual(level(0, 90), "warning", "0 is anything above 0")
        self.assertEqual(level(False, 90), "ok")
        self.assertEqual(level(False, 0.5), "critical")
        self.set_rule("postgresql_pressure", self.postgresql, critical=99)
        self.assertEqual(self.take(self.postgresql).level, "ok")
        own = self.postgresql.rule_ids
        self.assertEqual((own.warning, own.samples, own.of_samples), (UNKNOWN, 2, 3), "the rest as in the common one")
        own.is_on = False
        rule.is_on = True
        self.assertEqual(self.take(self.postgresql).level, "ok", "off for this endpoint")
        own.unlink()
        self.assertEqual(self.take(self.postgresql).level, "critical", "the common one again")

    def test_what_is_no_setting_is_refused(self):
        for values in ({"sample_minutes": 0}, {"minute_days": 0}, {"reminder_hours": 0}):
            with self.assertRaises(ValidationError, msg=values):
                self.env["res.config.settings"].create(values)

    def test_what_is_no_rule_is_refused(self):
        for values in (
            {"warning": -1},
            {"warning": float("nan")},
            {"critical": float("inf")},
            {"warning": 6, "critical": 5},
            {"samples": 0},
            {"samples": 3, "of_samples": 2},
            {"of_samples": 61},
            {"good_samples": 0},
        ):
            with self.assertRaises(ValidationError, msg=values):
                self.set_rule("maxwait", **values)
        with self.assertRaisesRegex(ValidationError, "does not apply to PostgreSQL of this Odoo"):
            self.set_rule("maxwait", self.postgresql)
        self.set_rule("maxwait", self.endpoint)
        with self.assertRaises(UniqueViolation), mute_logger("odoo.sql_db"), self.env.cr.savepoint():
            self.env["connection.rule"].create({"rule": "maxwait", "endpoint_id": self.endpoint.id})
        common = self.env["connection.rule"].search([("rule", "=", "maxwait"), ("endpoint_id", "=", False)])
        with self.assertRaisesRegex(UserError, "Switch it off"):
            common.unlink()
        for values in ({"endpoint_id": self.endpoint.id}, {"rule": "xact_age"}):
            with self.assertRaisesRegex(UserError, "Add a separate rule"):
                common.write(values)

    def test_interval(self):
        cron = self.env.ref("pgbouncer_monitor.ir_cron_sample")
        self.settings(sample_minutes=5)
        self.assertEqual((cron.interval_number, cron.interval_type, cron.active), (5, "minutes", True))
        settings = self.settings(is_sampling=False)
        self.assertEqual((cron.active, settings.is_sampling, settings.sample_minutes), (False, False, 5))
        cron.unlink()
        self.env["res.config.settings"].create({}).execute()
