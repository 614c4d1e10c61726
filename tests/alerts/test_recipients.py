"""Who would be notified of an alert, and how."""

from odoo.tests import new_test_user

from ..cases import AlertCase
from ..common import closed_port


class TestRecipients(AlertCase):
    def test_who_would_be_notified(self):
        """Test names the recipients of an alert, and sends nothing."""
        anna = new_test_user(
            self.env, "anna", name="Anna Ek", groups="pgbouncer_monitor.group_viewer", notification_type="inbox"
        )
        joe = new_test_user(
            self.env, "joe", name="Joe Doe", groups="pgbouncer_monitor.group_manager", notification_type="email"
        )
        gone = new_test_user(self.env, "gone", name="Gone", groups="pgbouncer_monitor.group_viewer")
        self.endpoint.message_unsubscribe(self.endpoint.message_partner_ids.ids)
        self.endpoint.message_subscribe((joe | gone).partner_id.ids)
        self.endpoint.responsible_id = anna
        gone.active = False
        self.env["ir.mail_server"].search([]).active = False

        def say():
            self.env.invalidate_all()
            message = self.endpoint.with_user(joe).action_test()["params"]["message"]
            return message.partition("An alert would be ")[2]

        self.assertEqual(
            say(),
            "sent to Anna Ek (Inbox) and Joe Doe (e-mail), and posted on this endpoint. No outgoing mail server is "
            "configured: e-mails are sent through this host, if at all.",
        )
        self.env["ir.mail_server"].create({"name": "Mail", "smtp_host": "mail.example"})
        self.assertTrue(say().endswith("posted on this endpoint."))
        joe.email = False
        self.assertEqual(
            say(),
            "sent to Anna Ek (Inbox), and posted on this endpoint. Not notified, without an e-mail address: Joe Doe. "
            "Enter one, or select Odoo's inbox in the preferences of the user.",
        )
        anna.group_ids -= self.env.ref("pgbouncer_monitor.group_viewer")
        self.endpoint.message_unsubscribe(joe.partner_id.ids)
        self.patch(type(self.endpoint), "_managers", lambda _self: self.env["res.users"])
        self.endpoint.port = closed_port()
        self.assertIn("sent to nobody. Nobody follows the alerts: add a", say(), "also if the server does not answer")
        self.assertFalse(self.messages())
