"""Post alerts in the chatter."""

from datetime import timedelta

from odoo import api, fields, models

from ...analysis import pressure
from ...tools import EPOCH, format_duration, format_number
from .connection_alert import _logger

# What joins an incident that was told, or leaves it, is told so much later than the last message,
# unless it is worse than all that was told: the group_interval of Prometheus's Alertmanager.
GROUP_INTERVAL = timedelta(minutes=5)
# So often a mail is sent again that a mail server did not take.
SEND_AGAIN_AFTER = timedelta(minutes=10)
# So many alerts of a rule are named in one message, …
MAX_NAMED = 10


class ConnectionAlert(models.Model):
    _inherit = "connection.alert"

    @api.model
    def _tell(self):
        """Post what is new in the chatters of the endpoints, at most one message for each, and plan or
        end the activities. What cannot be told now is told the next time."""
        self.search([("closed_at", "=", False), ("endpoint_id.active", "=", False)])._end("archived")
        alerts = self.search(["|", ("closed_at", "=", False), ("told_level", "in", ("warning", "critical"))])
        for endpoint, of_endpoint in alerts.filtered("endpoint_id").grouped("endpoint_id").items():
            try:
                with self.env.cr.savepoint():
                    of_endpoint._tell_endpoint()
            except Exception:  # a message that fails must not cost the samples
                _logger.exception("The alerts of %s could not be told; the next run tries again", endpoint.name)

    def _tell_endpoint(self):
        """:param self: the alerts of one endpoint that are open, or whose end is not told"""
        now = fields.Datetime.now()
        news = self.filtered(lambda alert: alert._is_news())
        lasting = self.filtered(lambda alert: not alert.closed_at)
        last_told = max(filter(None, self.mapped("told_at")), default=EPOCH)
        hours = self.env["connection.settings"]._number("reminder_hours")
        is_due = any(of_rule._is_urgent() for of_rule in self.grouped("rule").values())
        is_due = is_due or (bool(news) and now - last_told >= GROUP_INTERVAL)
        if not is_due:
            if hours is False or now - last_told < timedelta(hours=hours):
                return
            news = lasting.filtered(lambda alert: not alert.acknowledged_at)
            if not news:
                return
        self.endpoint_id._plan_activity(lasting)  # first: whoever is responsible follows from then on
        news._post(lasting - news, is_reminder=not is_due)
        for alert in news:
            alert.told_level = "ok" if alert.closed_at else alert.level
        news.told_at = now

    def _is_news(self):
        """Whether it opened, got worse or ended since it was told last."""
        if self.closed_at:
            return self.told_level in ("warning", "critical")
        return pressure.severity(self.level) > pressure.severity(self.told_level or "ok")

    def _is_urgent(self):
        """Whether there is news of one rule that is told at once: it is worse than all that was told and
        lasts, or everything is over."""
        told = [alert.told_level for alert in self if alert.told_level and not alert.closed_at]
        worst_told = max(map(pressure.severity, told), default=0)
        news = self.filtered(lambda alert: alert._is_news())
        if any(not alert.closed_at and pressure.severity(alert.level) > worst_told for alert in news):
            return True
        return bool(news) and all(alert.closed_at for alert in self)

    def _post(self, others, is_reminder=False):
        """Tell these alerts of one endpoint.

        :param others: those that last, and of which there is no news"""
        Rule = self.env["connection.rule"]
        rules = Rule._in_force(self.endpoint_id)[self.endpoint_id]
        lasting = self.filtered(lambda alert: not alert.closed_at)
        lasting = lasting.sorted(lambda alert: pressure.severity(alert.level), reverse=True)
        parts = [
            {
                "heading": of_rule._heading(),
                "description": not of_rule[0].closed_at and Rule._descriptions()[of_rule[0].rule],
                "lines": [alert._line(rules.get(alert.rule), is_reminder) for alert in of_rule[:MAX_NAMED]],
                "more": self.env._("… and %s more", len(of_rule) - MAX_NAMED) if len(of_rule) > MAX_NAMED else None,
            }
            for alerts in (lasting, self - lasting)
            for of_rule in alerts.grouped("rule").values()
        ]
        advice = dict.fromkeys(lasting.mapped("advice"))  # each once, in their order
        if is_reminder:
            what = self.env._("Not over")
        elif lasting:
            what = lasting[0]._word("level")
        elif set(self.mapped("rule")) & set(others.mapped("rule")):
            what = self.env._("Partly over")
        else:
            what = self.env._("Over")
        named = lasting.filtered(lambda alert: alert.level == lasting[0].level) or self
        labels = ", ".join(map(Rule._label, named.grouped("rule")))
        not_over = ", ".join(map(Rule._label, others.grouped("rule")))
        values = {
            "parts": parts,
            "advice": [self.env._("What to do first: %s", text) for text in advice],
            "others": not_over and self.env._("Not over: %s", not_over),
            "evidence": None if is_reminder else lasting[:1].evidence,
            "alert": (lasting or self)[0],
        }
        self.endpoint_id._post_alert(f"{what}: {labels}", values)

    def _heading(self):
        """Of alerts of one rule, all of which last, or are over."""
        label = self.env["connection.rule"]._label(self[0].rule)
        return self.env._("%s: over", label) if self[0].closed_at else f"{label}: {self[0]._word('level')}"

    def _line(self, rule, is_reminder):
        """What a message says of one alert.

        :param incidents.Rule rule: that is in force; None if it was switched off
        """
        where = f"{self._pool()}: " if self._pool() else ""
        values = {"where": where, "worst": self.worst}
        if self.closed_at:
            line = self.env._(
                "%(where)slasted %(duration)s, opened at %(opened)s UTC, last bad at %(last_bad)s. Worst at "
                "%(worst_at)s: %(worst)s.",
                duration=format_duration(self.duration),
                opened=self.opened_at,
                last_bad=self.last_bad_at,
                worst_at=self.worst_at,
                **values,
            )
            return line if self.ending == "well" else f"{line} {self._word('ending')}."
        if is_reminder:
            return self.env._(
                "%(where)sopen since %(opened)s UTC. Worst at %(worst_at)s: %(worst)s.",
                opened=self.opened_at,
                worst_at=self.worst_at,
                **values,
            )
        thresholds = dict(zip(("warning", "critical"), rule.thresholds, strict=True)) if rule else {}
        threshold = thresholds.get(self.level)
        if threshold is not None:
            values["worst"] = self.env._(
                "%(worst)s (%(level)s from %(threshold)s)",
                worst=values["worst"],
                level=self._word("level"),
                threshold=format_number(self.env, threshold)
                if rule.is_count
                else self.env["connection.rule"]._tell_value(self.rule, threshold),
            )
        return self.env._("%(where)s%(worst)s. %(situation)s", situation=self.situation or "", **values)

    @api.model
    def _send_again(self):
        """Odoo does not try again what a mail server did not take: for a day, this does."""
        now = fields.Datetime.now()
        failed = self.env["mail.notification"].search(
            [
                ("author_id", "=", self.env.ref("base.partner_root").id),
                ("notification_status", "=", "exception"),
                ("failure_type", "in", ("mail_smtp", "unknown")),
                ("mail_message_id.subtype_id", "=", self.env.ref("pgbouncer_monitor.mt_alert").id),
                ("mail_message_id.create_date", ">", now - timedelta(days=1)),
            ]
        )
        mails = failed.mail_mail_id.filtered(
            lambda mail: mail.state == "exception" and mail.write_date < now - SEND_AGAIN_AFTER
        )
        if mails:
            mails.mark_outgoing()
            self.env.ref("mail.ir_cron_mail_scheduler_action")._trigger()
