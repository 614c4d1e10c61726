"""The rules and alerts of an endpoint, its activity, and the recipients of its messages.
May use rules, alerts and mail."""

from datetime import timedelta
from typing import NamedTuple

from odoo import api, fields, models
from odoo.models import BaseModel
from odoo.tools import config
from odoo.tools.i18n import format_list

from ...tools import labelled, notification
from .send_mails import start_sending

# The mail queue sends what a thread could not.
QUEUE_AFTER = timedelta(minutes=5)


class Recipient(NamedTuple):
    """Who is notified of an alert."""

    user: BaseModel  # of res.users
    way: str  # inbox or email: the user's preference; no_address: by e-mail, but the user has none


class ConnectionEndpoint(models.Model):
    _inherit = "connection.endpoint"

    rule_ids = fields.One2many("connection.rule", "endpoint_id", "Own Rules")
    alert_ids = fields.One2many("connection.alert", "endpoint_id")
    open_alert_count = fields.Integer("Open Alerts", compute="_compute_open_alert_count")

    @api.depends("alert_ids.closed_at")
    def _compute_open_alert_count(self):
        is_open = [("endpoint_id", "in", self.ids), ("closed_at", "=", False)]
        counts = dict(self.env["connection.alert"]._read_group(is_open, ["endpoint_id"], ["__count"]))
        for endpoint in self:
            endpoint.open_alert_count = counts.get(endpoint._origin, 0)

    def _plan_activity(self, alerts):
        """Plan an activity for the responsible user while alerts are open, and remove it afterwards."""
        kind = ["pgbouncer_monitor.mail_activity_alert"]
        if not alerts:
            self.activity_unlink(kind)
            return
        summary = ", ".join(map(self.env["connection.rule"]._label, alerts.grouped("rule")))
        if planned := self.activity_search(kind):
            planned.summary = summary
            return
        if responsible := self._activity_user():
            # The message about the alert is enough: no second one about the activity.
            quiet = self.with_context(mail_activity_quick_update=True)
            quiet.activity_schedule(*kind, user_id=responsible.id, summary=summary)

    def _activity_user(self):
        """Return the user who gets an activity while alerts are open, empty if there is none."""
        responsible = self.responsible_id
        if responsible.active and responsible.has_group("pgbouncer_monitor.group_viewer"):
            return responsible
        return self._managers()[:1]

    def _alert_recipients(self):
        """Return whom an alert that opens now would be sent to: a list of Recipients, by name."""
        self.ensure_one()
        endpoint, subtype = self.sudo(), self.env.ref("pgbouncer_monitor.mt_alert")
        # The activity makes its user a follower with the default subtypes, but changes no follower.
        joining = endpoint._activity_user().partner_id - endpoint.message_partner_ids
        values = {
            "message_type": "notification",
            "subtype_id": subtype.id,
            "author_id": self.env.ref("base.partner_root").id,
            "partner_ids": joining.ids if subtype.default else [],
        }
        found = endpoint._notify_get_recipients(self.env["mail.message"], values, notify_author=True)
        return [
            Recipient(
                self.env["res.users"].browse(recipient["uid"]),
                recipient["notif"] if recipient["notif"] == "inbox" or recipient["email_normalized"] else "no_address",
            )
            for recipient in sorted(found, key=lambda recipient: recipient["name"])
        ]

    def _recipients_of_each(self):
        """Return endpoint -> its Recipients. They are looked up once for all endpoints with the same followers and the
        same responsible user."""
        subtype = self.env.ref("pgbouncer_monitor.mt_alert")

        def people(endpoint):
            followers = endpoint.sudo().message_follower_ids
            follow = frozenset((follower.partner_id.id, subtype in follower.subtype_ids) for follower in followers)
            return endpoint.responsible_id.id, follow

        found = {}
        for endpoints in self.grouped(people).values():
            found |= dict.fromkeys(endpoints, endpoints[0]._alert_recipients())
        return found

    def _recipients_text(self):
        """Return in words to whom, and how, an alert that opens now would be sent, and whether nobody is left out."""
        if not self.active:
            return self.env._("Alerts open only on active endpoints. This one is archived."), False
        recipients, channel = self._alert_recipients(), self._alert_channel()
        names = [self._recipient_name(*recipient) for recipient in recipients if recipient.way != "no_address"]
        places = [self.env._("this endpoint"), *channel.mapped("display_name")]
        values = {"names": format_list(self.env, names), "places": format_list(self.env, places)}
        text = self.env._("An alert would be sent to %(names)s, and posted on %(places)s.", **values)
        if not names:
            text = self.env._("An alert would be posted on %(places)s, and sent to nobody.", **values)
        if not recipients:
            text += " " + self.env._("Nobody follows the alerts: add a follower who is a Viewer or a Manager.")
        undelivered = self._undelivered(recipients)
        return " ".join([text, *undelivered]), bool(names) and not undelivered

    @api.model
    def _recipient_name(self, user, way):
        if way == "inbox":
            return self.env._("%s (Inbox)", user.sudo().name)
        return self.env._("%s (e-mail)", user.sudo().name)

    @api.model
    def _undelivered(self, recipients):
        """Return in words why Recipients would get no e-mail: a list of sentences."""
        texts, Server = [], self.env["ir.mail_server"].sudo()
        if unreachable := [user.sudo().name for user, way in recipients if way == "no_address"]:
            texts.append(
                self.env._(
                    "Not notified, without an e-mail address: %s. Enter one, or select Odoo's inbox in the preferences "
                    "of the user.",
                    format_list(self.env, unreachable),
                )
            )
        is_mailed = any(way == "email" for _user, way in recipients)
        # Without a record, Odoo uses the option, which is localhost by default.
        if is_mailed and config["smtp_server"] in (None, "", "localhost") and not Server.search_count([], limit=1):
            texts.append(
                self.env._("No outgoing mail server is configured: e-mails are sent through this host, if at all.")
            )
        return texts

    def _post_alert(self, title, values, is_queued=True):
        """Post an alert in the chatter, and without sessions in the Discuss channel.

        :param dict values: for the template connection_alert_message
        :param bool is_queued: the mail queue sends the mails; otherwise a thread does, after the commit
        :return: the message in the chatter
        """
        bot = self.env.ref("base.partner_root")
        values = values | {"title": title, "url": f"{self.get_base_url()}/odoo/"}
        # A mail server that hangs must not delay the sampler. The user who took the sample is notified, too.
        endpoint = self.with_context(mail_notify_force_send=False, mail_notify_author=True)
        message = endpoint.message_post_with_source(
            "pgbouncer_monitor.connection_alert_message",
            render_values=values,
            subtype_xmlid="pgbouncer_monitor.mt_alert",
            subject=labelled(self.env, title, self.name),
            author_id=bot.id,
        )
        queue = self.env.ref("mail.ir_cron_mail_scheduler_action").sudo()
        if is_queued:
            queue._trigger()
        else:
            queue._trigger(fields.Datetime.now() + QUEUE_AFTER)
            dbname, mail_ids = self.env.cr.dbname, message.sudo().mail_ids.ids
            self.env.cr.postcommit.add(lambda: start_sending(dbname, mail_ids))
        if channel := self._alert_channel():
            body = self.env["ir.qweb"]._render(
                "pgbouncer_monitor.connection_alert_message", values | {"endpoint": self, "evidence": None}
            )
            channel.message_post(body=body, author_id=bot.id, message_type="comment", subtype_xmlid="mail.mt_comment")
        return message

    @api.model
    def _alert_channel(self):
        """Return the Discuss channel that alerts are also posted to, empty if there is none."""
        channel_id = self.env["ir.config_parameter"].sudo().get_param("pgbouncer_monitor.alert_channel_id")
        return self.env["discuss.channel"].sudo().browse(int(channel_id or 0)).exists()

    def _notify_get_recipients(self, message, msg_vals=False, **kwargs):
        """Leave out followers who may no longer see alerts: an alert shows who is connected."""
        recipients = super()._notify_get_recipients(message, msg_vals=msg_vals, **kwargs)
        subtype_id = (msg_vals or {}).get("subtype_id", message.subtype_id.id)
        if subtype_id != self.env.ref("pgbouncer_monitor.mt_alert").id:
            return recipients
        users = self.env["res.users"].sudo().browse(recipient["uid"] for recipient in recipients if recipient["uid"])
        readers = users.filtered(lambda user: user.has_group("pgbouncer_monitor.group_viewer")).ids
        return [recipient for recipient in recipients if recipient["uid"] in readers]

    def action_send_test_alert(self):
        """Post a message as an alert does, and show the user where it was sent."""
        self.ensure_one()
        self.check_access("write")
        line = self.env._(
            "This is a test message from %s. Alerts look like this and go to the same recipients.", self.env.user.name
        )
        message = self.sudo()._post_alert(self.env._("Test Alert"), {"parts": [{"lines": [line]}]})
        partners = message.notified_partner_ids
        notified = [recipient for recipient in self._alert_recipients() if recipient.user.partner_id in partners]
        names = [self._recipient_name(*recipient) for recipient in notified if recipient.way != "no_address"]
        names += self._alert_channel().mapped("display_name")
        undelivered = self._undelivered(notified)
        self._commit()
        text = self.env._("Posted in the chatter and sent to: %s.", format_list(self.env, names))
        if not names:
            text = self.env._("Posted in the chatter, and sent to nobody.")
        if not names and not notified:
            text = self.env._("Posted in the chatter. Nobody follows the alerts of this endpoint.")
        title = self.env._("Test alert posted")
        is_fine = names and not undelivered
        return notification(title, " ".join([text, *undelivered]), "success" if is_fine else "warning")

    def unlink(self):
        """Delete the rules of the endpoints, and not only their rows: their chatters are deleted with them."""
        self.rule_ids.unlink()
        return super().unlink()

    @api.ondelete(at_uninstall=False)
    def _close_alerts(self):
        """Close the alerts: they are kept when the endpoint and its chatter are deleted."""
        alerts = self.env["connection.alert"].sudo().search([("endpoint_id", "in", self.ids)])
        alerts._keep_situation()
        open_alerts = alerts.filtered(lambda alert: not alert.closed_at)
        open_alerts._close("deleted")
        open_alerts.reported_level = "ok"

    def action_open_alerts(self):
        action = self.env["ir.actions.act_window"]._for_xml_id("pgbouncer_monitor.connection_alert_action")
        context = {"search_default_open": 1} if self.open_alert_count else {}
        return action | {"domain": [("endpoint_id", "=", self.id)], "context": context}
