"""The messages about alerts, their recipients, and what is stored with an alert."""

import random
import time
from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import new_test_user
from odoo.tools import mute_logger

from ..cases import UNKNOWN, AlertCase
from ..common import connect

WARNING, CRITICAL, RESOLVED = "Warning: Longest Wait", "Critical: Longest Wait", "Resolved: Longest Wait"


class TestMessages(AlertCase):
    def test_real_sessions(self):
        """A message about a pool has the sessions of this pool, and no queries."""
        self.set_rule("waiting_samples", warning=1)
        self.grant_monitor()
        for _number in range(8):
            self.start("BEGIN; SELECT 'a secret', pg_sleep(5)", application_name="till")
        self.client(connect(user="odoo", application_name="elsewhere")).cursor().execute("BEGIN; SELECT 1")
        time.sleep(0.3)
        self.refresh()
        self.take()
        self.Alert._notify()
        [message] = self.messages()
        self.assertIn("Servers in use: 5 of 5. Clients waiting: 3, longest wait 0.", message.body)
        self.assertEqual(message.body.count("shop on shop, till, client 127.0.0.1:"), 5)
        self.assertNotIn("elsewhere", message.body)
        self.assertNotIn("secret", message.body)
        alert = self.Alert.search([])
        self.assertEqual(alert.queries.count("a secret"), 5)
        self.assertIn(f"/odoo/connection-alerts/{alert.id}", message.body)

    def test_hidden_sessions(self):
        self.set_rule("waiting_samples", warning=1)
        for _number in range(6):
            self.start("BEGIN; SELECT 'a secret', pg_sleep(5)")
        time.sleep(0.3)
        self.refresh()
        self.take()
        alert = self.Alert.search([])
        self.assertIn("GRANT pg_monitor makes them visible", alert.evidence)
        self.assertFalse(alert.queries)

    def test_200_pools_at_once(self):
        pools = [self.pool(2, user=f"user{number:03}") for number in range(200)]
        self.assertFalse(self.minute(0, pools=pools))
        [message] = self.minute(1, pools=pools)
        self.assertEqual(len(self.Alert.search([])), 200)
        self.assertIn("shop/user", message.body)
        self.assertIn("and 190 more", message.body)
        for number in (2, 3):
            self.assertFalse(self.minute(number))
        [message] = self.minute(4)
        self.assertIn("Resolved", message.subject)
        self.assertFalse(self.endpoint.open_alert_count)
        self.assertFalse(self.endpoint.activity_ids)

    def test_pools_one_after_the_other(self):
        """They are reported together, not one by one."""
        posted = {}
        for number in range(30):
            pools = [self.pool(2 if number > user else 0, user=f"user{user}") for user in range(20)]
            for message in self.minute(number, pools=pools):
                posted[number] = message.body.count("<li>")
        self.assertEqual(posted, {2: 1, 7: 5, 12: 5, 17: 5, 22: 4})

    def test_hours_of_200_pools(self):
        """One of them waits for an hour, the others have short spikes."""

        def pass_time(count, minutes):
            self.env["connection.reading"].search([]).unlink()
            self.Alert.search([]).sudo().unlink()
            known, queries = self.messages(), set()
            chance = random.Random(4711)
            rested = [0] * count  # a spike of a pool is followed by some minutes without
            with patch.object(type(self.Sample), "_insert"), patch.object(type(self.Sample), "_log"):
                for minute in minutes:
                    pools = [self.pool(6 if 600 <= minute < 660 else 0)]
                    for number in range(1, count):
                        is_spike = minute >= rested[number] and chance.random() < 0.05
                        rested[number] = minute + 4 if is_spike else rested[number]
                        pools.append(self.pool(9 if is_spike else 0, user=f"user{number}", cl_waiting=5 * is_spike))
                    before = self.env.cr.sql_log_count
                    with self.console(pools=pools), self.clock_forward(60 * minute):
                        self.Sample._sample(self.endpoint)
                        self.Alert._notify()
                        self.env.flush_all()
                    if minute % 60 == 30:
                        queries.add(self.env.cr.sql_log_count - before)
            return (self.messages() - known).mapped("subject"), max(queries)

        few, queries_of_few = pass_time(2, range(560, 700))
        many, queries_of_many = pass_time(200, range(480, 780))
        self.assertEqual(few, [f"{what}: Test PgBouncer" for what in (CRITICAL, RESOLVED)])
        self.assertEqual(many, few)
        self.assertEqual(queries_of_many, queries_of_few)

    def test_activity(self):
        self.endpoint.responsible_id = self.admin
        self.waited(2, 2)
        activity = self.endpoint.activity_ids
        self.assertEqual((activity.user_id, activity.summary), (self.admin, "Longest Wait"))
        self.minute(2, pools=[self.pool(6)])
        self.minute(3, pools=[self.pool(6)])
        self.assertEqual(self.endpoint.activity_ids, activity, "one for all")
        for number in (4, 5, 6):
            self.minute(number)
        self.assertFalse(self.endpoint.activity_ids)

    def test_responsible_user_gets_the_first_message(self):
        user = new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer", notification_type="inbox")
        self.endpoint.responsible_id = user
        self.assertIn((user, "inbox"), self.endpoint._alert_recipients())
        self.waited(2, 2)
        self.assertIn(user.partner_id, self.messages().notified_partner_ids)

    def test_responsible_user_is_archived(self):
        user = new_test_user(self.env, "gone", groups="pgbouncer_monitor.group_manager")
        self.endpoint.responsible_id = user
        user.active = False
        self.assertEqual(self.waited(2, 2), {1: WARNING})
        self.assertEqual(self.endpoint.activity_ids.user_id, self.endpoint._managers()[0])

    def test_responsible_user_without_rights(self):
        self.endpoint.responsible_id = new_test_user(self.env, "nobody", groups="base.group_user")
        self.assertEqual(self.waited(2, 2), {1: WARNING})
        self.assertEqual(self.endpoint.activity_ids.user_id, self.endpoint._managers()[0])

    def test_endpoint_is_archived(self):
        self.waited(2, 2)
        self.endpoint.active = False
        self.Alert._notify()
        message = self.messages()[-1]
        self.assertIn("Resolved", message.subject)
        self.assertIn("The endpoint was archived", message.body)
        self.assertFalse(self.endpoint.activity_ids)
        self.assertEqual(self.Alert.search([]).ending, "archived")

    def test_endpoint_is_deleted(self):
        self.waited(2, 2)
        self.endpoint.unlink()
        alert = self.Alert.search([])
        self.assertEqual((alert.ending, alert.display_name), ("deleted", "Test PgBouncer: Longest Wait: shop/shop"))
        self.assertTrue(alert.closed_at)
        with self.assertRaises(UserError):
            alert.action_acknowledge()

    def test_message_that_fails_is_posted_by_the_next_run(self):
        self.minute(0, pools=[self.pool(2)])
        Endpoint = type(self.endpoint)
        failing = patch.object(Endpoint, "message_post_with_source", side_effect=ZeroDivisionError)
        with failing, mute_logger("odoo.addons.pgbouncer_monitor.models.alerts.connection_alert_messages"):
            self.assertFalse(self.minute(1, pools=[self.pool(2)]))
        self.assertTrue(self.Alert.search([]), "the alert is open")
        [message] = self.minute(2, pools=[self.pool(2)])
        self.assertIn(WARNING, message.subject)

    def test_alert_whose_sessions_cannot_be_read(self):
        self.minute(0, pools=[self.pool(2)])
        Session = type(self.env["pg.stat.activity"])
        failing = patch.object(Session, "search_fetch", lambda *_args, **_options: self.env.cr.execute("SELECT 1/0"))
        logger = "odoo.addons.pgbouncer_monitor.models.alerts.connection_alert_evidence"
        with failing, mute_logger("odoo.sql_db", logger):
            [message] = self.minute(1, pools=[self.pool(2)])
        self.assertIn("The sessions could not be read: division by zero", message.body)

    def test_reminder(self):
        posted = {}
        for hour in range(14):
            for minute in (0, 1):
                for message in self.minute(60 * hour + minute, pools=[self.pool(2)]):
                    posted[hour] = message.subject.partition(":")[0]
        self.assertEqual(posted, {0: "Warning", 4: "Still open", 8: "Still open", 12: "Still open"})
        self.assertIn("shop/shop: open since", self.messages()[-1].body)
        self.Alert.search([]).action_acknowledge()
        for hour in range(14, 24):
            self.assertFalse(self.minute(60 * hour, pools=[self.pool(2)]))

    def test_reminder_about_unacknowledged_alerts(self):
        self.minute(0, pools=[self.pool(2), self.pool(2, user="other")])
        self.minute(1, pools=[self.pool(2), self.pool(2, user="other")])
        self.Alert.search([("user", "=", "other")]).action_acknowledge()
        [message] = self.minute(300, pools=[self.pool(2), self.pool(2, user="other")])
        self.assertIn("shop/shop", message.body)
        self.assertNotIn("shop/other", message.body)
        self.assertIn("Still open: Longest Wait", message.body)

    def test_one_pool_of_two_is_resolved(self):
        self.minute(0, pools=[self.pool(2), self.pool(2, user="other")])
        self.minute(1, pools=[self.pool(2), self.pool(2, user="other")])
        messages = self.messages()
        for minute in range(2, 8):
            messages = self.minute(minute, pools=[self.pool(2)]) or messages
        self.assertEqual(messages.subject, "Partly resolved: Longest Wait: Test PgBouncer")
        self.assertIn("shop/other: lasted", messages.body)

    def test_no_reminder(self):
        self.env["ir.config_parameter"].set_param("pgbouncer_monitor.reminder_hours", "False")
        self.waited(2, 2)
        self.assertFalse(self.minute(6000, pools=[self.pool(2)]))

    def test_acknowledge(self):
        self.waited(2, 2)
        manager = new_test_user(self.env, "manager", groups="pgbouncer_monitor.group_manager")
        alert = self.Alert.search([]).with_user(manager)
        alert.action_acknowledge()
        self.assertEqual(alert.acknowledged_by, manager)
        [note] = self.endpoint.message_ids.filtered(lambda message: "Acknowledged" in message.body)
        self.assertEqual(note.author_id, manager.partner_id)

    def test_followers(self):
        """Managers follow new endpoints. Users without rights are not notified."""
        users = {
            name: new_test_user(self.env, name, groups=group, notification_type="inbox")
            for name, group in (
                ("manager", "pgbouncer_monitor.group_manager"),
                ("viewer", "pgbouncer_monitor.group_viewer"),
                ("chooser", "pgbouncer_monitor.group_manager"),
                ("demoted", "base.group_user,pgbouncer_monitor.group_manager"),
            )
        }
        outsider = self.env["res.partner"].create({"name": "On Call", "email": "oncall@example.com"})
        self.endpoint.active = False
        self.endpoint = self.endpoint.copy({"active": True, "name": "Test PgBouncer", "password": "secret"})
        self.endpoint.message_subscribe((users["viewer"].partner_id + outsider).ids)
        users["demoted"].group_ids -= self.env.ref("pgbouncer_monitor.group_manager")
        self.endpoint.message_subscribe(
            users["chooser"].partner_id.ids, subtype_ids=self.env.ref("mail.mt_comment").ids
        )
        foreseen = {user.partner_id for user, _way in self.endpoint._alert_recipients()}
        self.waited(2, 2)
        posted = self.messages().notification_ids.res_partner_id
        self.assertEqual(foreseen, set(posted))
        for name, user in users.items():
            self.assertEqual(user.partner_id in posted, name in ("manager", "viewer"), name)
        self.assertNotIn(outsider, posted)

    def test_discuss_channel(self):
        channel = self.env["discuss.channel"]._create_channel("Operations", None)
        self.env["res.config.settings"].create({"alert_channel_id": channel.id}).execute()
        self.set_rule("waiting_samples", warning=1)
        for _number in range(6):
            self.start("BEGIN")
        time.sleep(0.3)
        self.take()
        self.Alert._notify()
        post = channel.message_ids[0]
        self.assertEqual(post.message_type, "comment", "otherwise it would count as no new message")
        self.assertIn("Test PgBouncer", post.body)
        self.assertIn("Clients waiting: 1", post.body)
        self.assertNotIn("PID", post.body)
        channel.unlink()
        self.endpoint.action_send_test_alert()
        self.assertIn("Test Alert", self.messages()[-1].subject, "a deleted channel is ignored")

    def test_test_alert(self):
        notice = self.endpoint.with_user(self.admin).action_send_test_alert()
        self.assertIn(self.admin.name, notice["params"]["message"], "the recipients")
        message = self.messages()
        self.assertIn("This is a test", message.body)
        self.assertIn(self.admin.partner_id, message.notified_partner_ids)
        self.endpoint.message_unsubscribe(self.endpoint.message_partner_ids.ids)
        self.endpoint.message_subscribe(self.env["res.partner"].create({"name": "On Call", "email": "a@b.example"}).ids)
        notice = self.endpoint.action_send_test_alert()
        self.assertIn("Nobody follows", notice["params"]["message"])

    def test_old_alerts_are_deleted(self):
        old = fields.Datetime.now() - timedelta(days=401)
        values = {"endpoint_id": self.endpoint.id, "endpoint_name": "x", "level": "warning", "opened_at": old}
        self.Alert.create(
            [
                values | {"rule": "maxwait", "closed_at": old},
                values | {"rule": "xact_age", "closed_at": old + timedelta(days=2)},
                values | {"rule": "blocked_age"},
            ]
        )
        self.Alert._gc_alerts()
        self.assertEqual(set(self.Alert.search([]).mapped("rule")), {"xact_age", "blocked_age"})
        self.assertEqual(self.Alert.search([("closed_at", "=", False)]).duration, UNKNOWN)
