"""The messages about alerts in the chatter of their endpoint: when they are posted, and their text.
May use rules, endpoints and mail."""

import logging
from datetime import timedelta

from markupsafe import Markup

from odoo import api, fields, models
from odoo.tools.misc import get_lang

from ...analysis import pressure
from ...tools import EPOCH, format_duration, format_number, labelled
from .rule_texts import DESCRIPTIONS

_logger = logging.getLogger(__name__)

# Wait this long after the last message before reporting pools that join or leave a reported incident,
# unless they are worse than all that was reported: the group_interval of Prometheus's Alertmanager.
GROUP_INTERVAL = timedelta(minutes=5)
# How long to wait before a mail that failed is sent again.
SEND_AGAIN_AFTER = timedelta(minutes=10)
# How many alerts of a rule a message lists.
MAX_NAMED = 10


class ConnectionAlert(models.Model):
    _inherit = "connection.alert"

    @api.model
    def _notify(self):
        """Post changes in the chatters of the endpoints, at most one message for each, and update the activities.

        A message that cannot be posted now is posted by the next run.
        """
        alerts = self.search(["|", ("closed_at", "=", False), ("reported_level", "in", ("warning", "critical"))])
        if not alerts:
            return
        alerts.filtered(lambda alert: not alert.closed_at and not alert.endpoint_id.active)._close("archived")
        # One message has many readers: it is in the company's language, not in that of the user of the cron.
        alerts = alerts.with_context(lang=get_lang(self.env, self.env.company.partner_id.lang).code)
        for endpoint, of_endpoint in alerts.filtered("endpoint_id").grouped("endpoint_id").items():
            try:
                with self.env.cr.savepoint():
                    of_endpoint._notify_endpoint()
            except Exception:  # a failing message must not cost the other endpoints theirs
                _logger.exception("The alerts of %s could not be posted; the next run tries again", endpoint.name)

    def _notify_endpoint(self):
        """Post the changes of one endpoint, or a reminder, if it is due.

        :param self: the alerts that are open, or whose end was not posted yet
        """
        now = fields.Datetime.now()
        open_alerts = self.filtered(lambda alert: not alert.closed_at)
        news = self._due_news(now)
        is_reminder = not news
        if is_reminder:
            news = self._due_reminders(now)
            if not news:
                return
        self.endpoint_id._plan_activity(open_alerts)  # first: it makes the responsible user a follower
        news._post(open_alerts - news, is_reminder)
        for alert in news:
            alert.reported_level = "ok" if alert.closed_at else alert.level
        news.reported_at = now

    def _last_reported(self):
        return max(filter(None, self.mapped("reported_at")), default=EPOCH)

    def _due_news(self, now):
        """Return the alerts that changed, none if it is too early to post that."""
        news = self.filtered(lambda alert: alert._is_news())
        is_urgent = any(of_rule._is_urgent() for of_rule in self.grouped("rule").values())
        return news if is_urgent or now - self._last_reported() >= GROUP_INTERVAL else self.browse()

    def _due_reminders(self, now):
        """Return the open alerts that are not acknowledged, none if it is too early for a reminder."""
        hours = self.env["connection.settings"]._value("reminder_hours")
        if hours is False or now - self._last_reported() < timedelta(hours=hours):
            return self.browse()
        return self.filtered(lambda alert: not alert.closed_at and not alert.acknowledged_at)

    def _is_news(self):
        """Return whether the alert opened, got worse or closed since the last message about it."""
        if self.closed_at:
            return self.reported_level in ("warning", "critical")
        return pressure.severity(self.level) > pressure.severity(self.reported_level or "ok")

    def _is_urgent(self):
        """Return whether changes of one rule are posted at once: an open alert is worse than all that was
        reported, or all alerts are closed.

        :param self: all alerts of the rule
        """
        reported = [alert.reported_level for alert in self if alert.reported_level and not alert.closed_at]
        worst_reported = max(map(pressure.severity, reported), default=0)
        news = self.filtered(lambda alert: alert._is_news())
        if any(not alert.closed_at and pressure.severity(alert.level) > worst_reported for alert in news):
            return True
        return bool(news) and all(alert.closed_at for alert in self)

    def _post(self, others, is_reminder=False):
        """Post these alerts of one endpoint.

        :param others: the open alerts that did not change
        """
        open_alerts = self.filtered(lambda alert: not alert.closed_at)
        open_alerts = open_alerts.sorted(lambda alert: pressure.severity(alert.level), reverse=True)
        rules = self.env["connection.rule"]._in_force(self.endpoint_id)[self.endpoint_id]
        still_open = others._rule_labels()
        values = {
            "parts": [
                of_rule._message_part(rules.get(of_rule[0].rule), is_reminder)
                for alerts in (open_alerts, self - open_alerts)
                for of_rule in alerts.grouped("rule").values()
            ],
            # Each text once.
            "advice": [
                self.env._("What to do first: %s", text) for text in dict.fromkeys(open_alerts.mapped("advice"))
            ],
            "others": still_open and self.env._("Still open: %s", still_open),
            "evidence": None if is_reminder else open_alerts[:1].evidence,
            "alert": (open_alerts or self)[0],
        }
        named = open_alerts.filtered(lambda alert: alert.level == open_alerts[0].level) or self
        title = labelled(self.env, self._news_label(others, is_reminder), named._rule_labels())
        self.endpoint_id._post_alert(title, values)

    def _news_label(self, others, is_reminder):
        """Return what a message about these alerts is about: the worst level of the open ones, or their end.

        :param others: see `_post`
        """
        if is_reminder:
            return self.env._("Still open")
        if open_alerts := self.filtered(lambda alert: not alert.closed_at):
            return max(open_alerts, key=lambda alert: pressure.severity(alert.level))._label("level")
        if set(self.mapped("rule")) & set(others.mapped("rule")):
            return self.env._("Partly resolved")
        return self.env._("Resolved")

    def _rule_labels(self):
        return ", ".join(map(self.env["connection.rule"]._label, self.grouped("rule")))

    def _message_part(self, rule, is_reminder):
        """Return the part of a message about alerts of one rule, which are all open or all closed.

        :param incidents.Rule rule: None if it was switched off
        """
        label, more, first = self._rule_labels(), len(self) - MAX_NAMED, self[0]
        return {
            "heading": self.env._("%s: resolved", label)
            if first.closed_at
            else labelled(self.env, label, first._label("level")),
            "description": None if first.closed_at else self.env._(DESCRIPTIONS[first.rule]),
            "lines": [Markup("<br>").join(alert._message_lines(rule, is_reminder)) for alert in self[:MAX_NAMED]],
            "more": self.env._("… and %s more", more) if more > 0 else None,
        }

    def _message_lines(self, rule, is_reminder):
        """Return the lines of a message about one alert: where, since when, how bad.

        :param rule: see `_message_part`
        """
        if self.closed_at:
            return self._closed_lines()
        opened = {"pool": self._pool(), "opened": self.opened_at}
        since = self.env._("%(pool)s: open since %(opened)s UTC", **opened)
        if not self._pool():
            since = self.env._("Open since %s UTC", self.opened_at)
        if is_reminder:
            return [since, self._worst_line()]
        facts = self.situation_facts or {}
        return [since, self._worst_and_threshold(rule), *(self._situation_text(facts) or "").splitlines()]

    def _closed_lines(self):
        duration = format_duration(self.env, self.duration)
        lasted = self.env._("%(pool)s: lasted %(duration)s", pool=self._pool(), duration=duration)
        if not self._pool():
            lasted = self.env._("Lasted %s", duration)
        times = {"opened": self.opened_at, "last_bad": self.last_bad_at}
        lines = [
            lasted,
            self.env._("Opened: %(opened)s UTC, last violation: %(last_bad)s UTC", **times),
            self._worst_line(),
        ]
        return lines if self.ending == "well" else [*lines, self._label("ending")]

    def _worst_line(self):
        return self.env._("Worst value: %(worst)s, at %(worst_at)s UTC", worst=self.worst, worst_at=self.worst_at)

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
        """Send mails about alerts again that a mail server rejected within the last day: Odoo itself does not."""
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
