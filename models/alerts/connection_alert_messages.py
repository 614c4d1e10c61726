"""When alerts are posted in the chatter of their endpoint, and in which words. May touch rules, endpoints and mail."""

import logging
from datetime import timedelta

from odoo import api, fields, models
from odoo.tools.misc import get_lang

from ...analysis import pressure
from ...tools import EPOCH, format_duration, format_number
from .rule_texts import DESCRIPTIONS

_logger = logging.getLogger(__name__)

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
    def _notify(self):
        """Post what is new in the chatters of the endpoints, at most one message for each, and plan or
        end the activities. What cannot be posted now is posted the next time."""
        # Many read one message: it is in the company's language, not in that of whoever runs the cron.
        lang = get_lang(self.env, self.env.company.partner_id.lang).code
        self.search([("closed_at", "=", False), ("endpoint_id.active", "=", False)])._close("archived")
        alerts = self.with_context(lang=lang).search(
            ["|", ("closed_at", "=", False), ("reported_level", "in", ("warning", "critical"))]
        )
        for endpoint, of_endpoint in alerts.filtered("endpoint_id").grouped("endpoint_id").items():
            try:
                with self.env.cr.savepoint():
                    of_endpoint._notify_endpoint()
            except Exception:  # a message that fails must not cost the samples
                _logger.exception("The alerts of %s could not be told; the next run tries again", endpoint.name)

    def _notify_endpoint(self):
        """:param self: the alerts of one endpoint that are open, or whose end is not posted"""
        now = fields.Datetime.now()
        open_alerts = self.filtered(lambda alert: not alert.closed_at)
        news = self._due_news(now)
        is_reminder = not news
        if is_reminder:
            news = self._due_reminders(now)
            if not news:
                return
        self.endpoint_id._plan_activity(open_alerts)  # first: whoever is responsible follows from then on
        news._post(open_alerts - news, is_reminder)
        for alert in news:
            alert.reported_level = "ok" if alert.closed_at else alert.level
        news.reported_at = now

    def _last_reported(self):
        return max(filter(None, self.mapped("reported_at")), default=EPOCH)

    def _due_news(self, now):
        """Return the alerts of which there is news, none if it is not to be posted yet."""
        news = self.filtered(lambda alert: alert._is_news())
        is_urgent = any(of_rule._is_urgent() for of_rule in self.grouped("rule").values())
        return news if is_urgent or now - self._last_reported() >= GROUP_INTERVAL else self.browse()

    def _due_reminders(self, now):
        """Return the open alerts that nobody has acknowledged, none if it is too early for a reminder."""
        hours = self.env["connection.settings"]._number("reminder_hours")
        if hours is False or now - self._last_reported() < timedelta(hours=hours):
            return self.browse()
        return self.filtered(lambda alert: not alert.closed_at and not alert.acknowledged_at)

    def _is_news(self):
        """Whether it opened, got worse or ended since it was posted last."""
        if self.closed_at:
            return self.reported_level in ("warning", "critical")
        return pressure.severity(self.level) > pressure.severity(self.reported_level or "ok")

    def _is_urgent(self):
        """Whether there is news of one rule that is posted at once: it is worse than all that was posted and
        lasts, or everything is over."""
        reported = [alert.reported_level for alert in self if alert.reported_level and not alert.closed_at]
        worst_reported = max(map(pressure.severity, reported), default=0)
        news = self.filtered(lambda alert: alert._is_news())
        if any(not alert.closed_at and pressure.severity(alert.level) > worst_reported for alert in news):
            return True
        return bool(news) and all(alert.closed_at for alert in self)

    def _post(self, others, is_reminder=False):
        """Post these alerts of one endpoint.

        :param others: those that are open, and of which there is no news"""
        open_alerts = self.filtered(lambda alert: not alert.closed_at)
        open_alerts = open_alerts.sorted(lambda alert: pressure.severity(alert.level), reverse=True)
        rules = self.env["connection.rule"]._in_force(self.endpoint_id)[self.endpoint_id]
        not_over = others._rule_labels()
        values = {
            "parts": [
                of_rule._message_part(rules.get(of_rule[0].rule), is_reminder)
                for alerts in (open_alerts, self - open_alerts)
                for of_rule in alerts.grouped("rule").values()
            ],
            # Each once, in their order.
            "advice": [
                self.env._("What to do first: %s", text) for text in dict.fromkeys(open_alerts.mapped("advice"))
            ],
            "others": not_over and self.env._("Not over: %s", not_over),
            "evidence": None if is_reminder else open_alerts[:1].evidence,
            "alert": (open_alerts or self)[0],
        }
        named = open_alerts.filtered(lambda alert: alert.level == open_alerts[0].level) or self
        self.endpoint_id._post_alert(f"{self._news_label(others, is_reminder)}: {named._rule_labels()}", values)

    def _news_label(self, others, is_reminder):
        """Return what became of alerts that are posted together: the worst of them is named.

        :param others: see `_post`
        """
        if is_reminder:
            return self.env._("Not over")
        if open_alerts := self.filtered(lambda alert: not alert.closed_at):
            return max(open_alerts, key=lambda alert: pressure.severity(alert.level))._label("level")
        if set(self.mapped("rule")) & set(others.mapped("rule")):
            return self.env._("Partly over")
        return self.env._("Over")

    def _rule_labels(self):
        return ", ".join(map(self.env["connection.rule"]._label, self.grouped("rule")))

    def _message_part(self, rule, is_reminder):
        """Return what a message has about alerts of one rule, all of which are open, or all over.

        :param incidents.Rule rule: that is in force; None if it was switched off
        """
        label, more = self._rule_labels(), len(self) - MAX_NAMED
        return {
            "heading": self.env._("%s: over", label) if self[0].closed_at else f"{label}: {self[0]._label('level')}",
            "description": None if self[0].closed_at else self.env._(DESCRIPTIONS[self[0].rule]),
            "lines": [alert._message_line(rule, is_reminder) for alert in self[:MAX_NAMED]],
            "more": self.env._("… and %s more", more) if more > 0 else None,
        }

    def _message_line(self, rule, is_reminder):
        """Return what a message has about one alert.

        :param rule: see `_message_part`
        """
        where = f"{self._pool()}: " if self._pool() else ""
        if self.closed_at:
            line = self.env._(
                "%(where)slasted %(duration)s, opened at %(opened)s UTC, last bad at %(last_bad)s. Worst at "
                "%(worst_at)s: %(worst)s.",
                where=where,
                duration=format_duration(self.duration),
                opened=self.opened_at,
                last_bad=self.last_bad_at,
                worst_at=self.worst_at,
                worst=self.worst,
            )
            return line if self.ending == "well" else f"{line} {self._label('ending')}."
        if is_reminder:
            return self.env._(
                "%(where)sopen since %(opened)s UTC. Worst at %(worst_at)s: %(worst)s.",
                where=where,
                opened=self.opened_at,
                worst_at=self.worst_at,
                worst=self.worst,
            )
        return self.env._(
            "%(where)s%(worst)s. %(situation)s",
            where=where,
            worst=self._worst_and_threshold(rule),
            situation=self.situation or "",
        )

    def _worst_and_threshold(self, rule):
        """Return the worst value, with the threshold that it reached.

        :param rule: see `_message_part`
        """
        threshold = rule and dict(zip(("warning", "critical"), rule.thresholds, strict=True)).get(self.level)
        if threshold is None:
            return self.worst
        return self.env._(
            "%(worst)s (%(level)s from %(threshold)s)",
            worst=self.worst,
            level=self._label("level"),
            threshold=format_number(self.env, threshold)
            if rule.is_count
            else self.env["connection.rule"]._format_value(self.rule, threshold),
        )

    @api.model
    def _resend_mails(self):
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
