"""Changes of rules, settings and endpoints are written down: by whom, from what to what."""

from odoo.exceptions import AccessError
from odoo.tests import new_test_user
from odoo.tools import html2plaintext

from ..cases import SampleCase


class TestTracking(SampleCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = new_test_user(cls.env, "manager", groups="pgbouncer_monitor.group_manager")
        cls.rule = cls.env["connection.rule"].search([("rule", "=", "maxwait"), ("endpoint_id", "=", False)])

    def changes(self, record):
        """Return the changes in a chatter: (label, from, to)."""
        self.env.flush_all()
        self.env.cr.precommit.run()
        values = record.message_ids.tracking_value_ids._tracking_value_format()
        return {(value["fieldInfo"]["changedField"], value["oldValue"], value["newValue"]) for value in values}

    def notes(self, record):
        self.env.cr.precommit.run()
        return [(message.author_id, message.body) for message in record.message_ids.sorted("id")]

    def test_rule(self):
        self.rule.write({"warning": 1, "critical": 5, "samples": 2, "of_samples": 3})
        self.changes(self.rule)
        known = self.rule.message_ids
        self.rule.with_user(self.manager).write({"warning": 0, "critical": False, "of_samples": 4, "is_on": False})
        self.assertLessEqual(
            {
                ("Warning Threshold", "1 s", "0 s"),
                ("Critical Threshold", "5 s", "Never"),
                ("Of the Last", 3, 4),
                ("On", True, False),
            },
            self.changes(self.rule),
        )
        self.assertEqual((self.rule.message_ids - known).author_id, self.manager.partner_id)
        for warning in (3600, 3650, 3650.0001):  # all of them are 1 h 0 min or 1 h 1 min
            self.rule.write({"warning": warning})
            changes = self.changes(self.rule)
        self.assertLessEqual(
            {
                ("Warning Threshold", "3,600 s", "3,650 s"),
                ("Warning Threshold", "3,650 s", "3,650.0001 s"),
            },
            changes,
        )

    def test_rule_of_an_endpoint(self):
        """It is written down on the endpoint, too, where it is still found when the rule is deleted."""
        rule = self.env["connection.rule"].with_user(self.manager)
        rule = rule.create({"rule": "maxwait", "endpoint_id": self.endpoint.id, "warning": 2, "critical": 7})
        self.assertEqual(rule.display_name, "Test PgBouncer: Longest Wait")
        rule.write({"warning": False})
        rule.write({"warning": False})
        other = self.endpoint.copy({"name": "Other"})
        rule.write({"endpoint_id": other.id})
        rule.unlink()
        added = ("added", "Longest Wait: on, warning: 2 s, critical: 7 s, in 2 of 3")
        for endpoint, expected in (
            (self.endpoint, (added, ("→", "Never"), ("removed", "Never"))),
            (other, (("added", "Never"), ("removed", "Never"))),
        ):
            notes = [body for author, body in self.notes(endpoint) if author == self.manager.partner_id]
            for text, words in zip(notes, expected, strict=True):
                for word in words:
                    self.assertIn(word, text)

    def test_rights(self):
        viewer = new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        other = new_test_user(self.env, "other", groups="base.group_user")
        self.rule.with_user(self.manager).write({"warning": 3})
        self.changes(self.rule)
        message = self.rule.message_ids[0]
        self.assertEqual(message.with_user(viewer).read(["body"])[0]["id"], message.id)
        self.assertTrue(self.rule.with_user(viewer).message_ids)
        self.assertFalse(self.rule.with_user(other).message_subscribe(other.partner_id.ids))
        for user, what, call in (
            (viewer, "post", lambda rule: rule.message_post(body=rule.rule)),
            (viewer, "write", lambda rule: rule.write({"warning": 1})),
            (other, "post", lambda rule: rule.message_post(body=rule.rule)),
            (other, "read", lambda rule: rule.read(["message_ids"])),
            (other, "read a message", lambda rule: message.with_user(other).read(["body"])),
        ):
            with self.subTest(user=user.login, what=what), self.assertRaises(AccessError):
                call(self.rule.with_user(user))

    def test_settings(self):
        def save(**values):
            self.env["res.config.settings"].with_user(self.env.ref("base.user_admin")).create(values).execute()

        save(is_sampling=True, sample_minutes=1, minute_days=7, sample_days=400, reminder_hours=4)
        known = len(self.notes(self.postgresql))
        save()
        self.assertEqual(len(self.notes(self.postgresql)), known, "nothing changed")
        channel = self.env["discuss.channel"]._create_channel("Operations", None)
        save(is_sampling=False, sample_days=False, sample_minutes=2, alert_channel_id=channel.id)
        author, body = self.notes(self.postgresql)[-1]
        self.assertEqual(author, self.env.ref("base.user_admin").partner_id)
        for line in (
            "Log Connection Pressure: on → off",
            "Sampling Interval (minutes): 1 → 2",
            "Keep the Samples of Hours (days): 400 → –",
            "Alert Channel: – → Operations",
        ):
            self.assertIn(f"<li>{line}</li>", body)
        self.assertNotIn("Keep Each Sample", body)

    def test_port(self):
        self.postgresql.write({"host": False, "port": 0})
        self.assertFalse(self.postgresql.tracked_port)
        self.assertEqual(self.endpoint.tracked_port, str(self.endpoint.port))

    def test_endpoint(self):
        self.endpoint.write({"name": "Renamed", "sslmode": "disable", "password": "secret"})
        self.endpoint.password = "other secret"
        self.endpoint.action_remove_password()
        self.endpoint.host = "127.0.0.2"
        self.assertLessEqual({("Name", "Test PgBouncer", "Renamed")}, self.changes(self.endpoint))
        notes = [str(html2plaintext(body)) for _author, body in self.notes(self.endpoint) if "assword" in body]
        self.assertEqual(
            notes,
            [
                "A password was stored.",
                "The stored password was removed.",
                "A password was stored.",
                "The stored password was changed.",
                "The stored password was removed.",
            ],
        )
        self.assertNotIn("secret", str(self.notes(self.endpoint)))
        rule = self.env["connection.rule"].create({"rule": "maxwait", "endpoint_id": self.endpoint.id})
        orphans = [("model", "=", "connection.rule"), ("res_id", "=", rule.id)]
        self.endpoint.unlink()
        self.assertFalse(self.env["mail.message"].search(orphans))
        self.assertIn("Renamed", self.notes(self.postgresql)[-1][1])
