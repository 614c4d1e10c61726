import logging
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools.constants import GC_UNLINK_LIMIT

from .. import pressure
from ..fields import NullableFloat
from .connection_endpoint import EPOCH, LEVELS
from .connection_rule import RULE_LABELS

_logger = logging.getLogger(__name__)

# What joins an incident that was told, or leaves it, is told so much later than the last message,
# unless it is worse than all that was told: the group_interval of Prometheus's Alertmanager.
GROUP_INTERVAL = timedelta(minutes=5)
# So often a mail is sent again that a mail server did not take.
SEND_AGAIN_AFTER = timedelta(minutes=10)
# So many alerts of a rule are named in one message, …
MAX_NAMED = 10
# … so many sessions are shown, of so many that were looked at.
MAX_SESSIONS = 5
MAX_LOOKED_AT = 200
SESSION_FIELDS = (
    "pid",
    "usename",
    "datname",
    "application_name",
    "client_addr",
    "client_port",
    "pooled_client",
    "state",
    "state_age",
    "xact_age",
    "wait_event_type",
    "wait_event",
    "blocked_by",
    "query",
    "endpoint_id",
    "pool_id",
)


def tell_duration(seconds):
    """Hours and minutes, or minutes and seconds, in units that need no translation."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (0 if hours else seconds, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"


class ConnectionAlert(models.Model):
    """One incident: a rule that was broken by an endpoint, or by one of its databases or pools,
    from when it opened until it was over. Written by the sampler alone.

    What changes is told in the endpoint's chatter: ``told_level`` is what was told last, "ok" for
    the end, and empty for nothing.
    """

    _name = "connection.alert"
    _description = "Connection Alert"
    # Open ones first: PostgreSQL puts NULL there.
    _order = "closed_at desc, opened_at desc, id desc"

    endpoint_id = fields.Many2one("connection.endpoint", readonly=True, index=True, ondelete="set null")
    endpoint_name = fields.Char("Endpoint's Name", readonly=True, help="It stays when the endpoint is deleted.")
    rule = fields.Selection(RULE_LABELS, readonly=True, required=True)
    database = fields.Char(readonly=True, help="The database's name in PgBouncer. Empty: the whole server.")
    user = fields.Char(readonly=True, help="The role of the pool. Empty: the whole server, or all of a database.")
    level = fields.Selection(LEVELS, readonly=True, required=True, help="The worst that it reached.")
    opened_at = fields.Datetime("Opened", readonly=True, required=True)
    closed_at = fields.Datetime("Over", readonly=True, help="Empty while it lasts.")
    ending = fields.Selection(
        [
            ("well", "Well again"),
            ("off", "The rule was switched off"),
            ("archived", "The endpoint was archived"),
            ("deleted", "The endpoint was deleted"),
        ],
        readonly=True,
        help="How it ended.",
    )
    duration = NullableFloat(
        "Duration (s)",
        compute="_compute_duration",
        store=True,
        aggregator="sum",
        digits=(16, 0),
        help="Empty while it lasts.",
    )
    worst_value = NullableFloat(readonly=True, digits=(16, 3), aggregator="max")
    worst = fields.Char(compute="_compute_worst")
    worst_at = fields.Datetime(readonly=True)
    situation = fields.Text(readonly=True, help="What was found when it opened, or got worse.")
    advice = fields.Char("What to Do First", compute="_compute_advice")
    evidence = fields.Html(
        "What Ran",
        readonly=True,
        help="At the moment when it opened, or got worse: the sessions with the oldest transactions.",
    )
    queries = fields.Html(readonly=True, groups="pgbouncer_monitor.group_manager", help="What these sessions ran.")
    acknowledged_by = fields.Many2one("res.users", readonly=True, help="Who looks after it: there are no reminders.")
    acknowledged_at = fields.Datetime("Acknowledged", readonly=True)
    told_level = fields.Selection(LEVELS, readonly=True)
    told_at = fields.Datetime(readonly=True)

    _open_uniq = models.UniqueIndex(
        "(endpoint_id, rule, COALESCE(database, ''), COALESCE(\"user\", '')) WHERE closed_at IS NULL"
    )
    _opened_at_idx = models.Index("(opened_at)")
    _told_at_idx = models.Index("(told_at)")

    @api.depends("rule", "endpoint_name", "database", "user")
    def _compute_display_name(self):
        for alert in self:
            parts = (alert.endpoint_name, self.env["connection.rule"]._label(alert.rule), alert._pool())
            alert.display_name = ": ".join(filter(None, parts))

    @api.depends("opened_at", "closed_at")
    def _compute_duration(self):
        for alert in self:
            alert.duration = alert.closed_at and (alert.closed_at - alert.opened_at).total_seconds()

    @api.depends("rule", "worst_value")
    def _compute_worst(self):
        for alert in self:
            alert.worst = self.env["connection.rule"]._tell_value(alert.rule, alert.worst_value)

    @api.depends("rule")
    def _compute_advice(self):
        for alert in self:
            alert.advice = self.env["connection.rule"]._advice(alert.rule)

    def _key(self):
        return self.rule, self.database or None, self.user or None

    def _pool(self):
        return "/".join(filter(None, (self.database, self.user)))

    # Following what the samples find

    @api.model
    def _open(self, endpoints):
        """:return: endpoint -> (rule, database, user) -> its alert that is not over"""
        alerts = {endpoint: {} for endpoint in endpoints}
        for alert in self.search([("endpoint_id", "in", endpoints.ids), ("closed_at", "=", False)]):
            alerts[alert.endpoint_id][alert._key()] = alert
        return alerts

    @api.model
    def _follow(self, endpoint, alerts, rules, found, histories):
        """Open, change and end the alerts of an endpoint by its new sample.

        :param dict alerts: of `_open`
        :param dict rules: name -> pressure.Rule
        :param dict found: (rule, database, user) -> values of the sample that is not well there
        :param dict histories: of pressure.Memory, this sample included; that of an incident that is over is forgotten
        :return: the alerts that were opened, or got worse
        """
        now = fields.Datetime.now()
        changed, new = self.browse(), []
        for key, sample in found.items():
            value, level = sample["values"][key[0]], pressure.alert_level(histories[key], rules[key[0]])
            alert = alerts.get(key)
            if pressure.severity(level) > pressure.severity(alert.level if alert else "ok"):
                values = {"level": level, "situation": self._situation(endpoint, sample)}
                if alert:
                    alert.write(values)
                    changed |= alert
                else:
                    values |= dict(zip(("rule", "database", "user"), key, strict=True))
                    values |= {"endpoint_id": endpoint.id, "endpoint_name": endpoint.name, "opened_at": now}
                    new.append(values | {"worst_value": value, "worst_at": now})
            if alert and value is not None and value > alert.worst_value:
                alert.write({"worst_value": value, "worst_at": now})
        for key, alert in alerts.items():
            if key[0] not in rules:
                alert._end("off")
            elif pressure.is_over(histories.get(key, ""), rules[key[0]]):
                alert._end("well")
                histories.pop(key, None)
        return changed | self.create(new)

    def _end(self, ending):
        self.write({"closed_at": fields.Datetime.now(), "ending": ending})

    @api.model
    def _situation(self, endpoint, sample):
        """What a sample found, in a sentence."""
        if sample.get("used") is None:
            return sample["reason"]
        figures = {name: "?" if sample.get(name) is None else f"{sample[name]:.0f}" for name in ("used", "waiting")}
        figures["capacity"] = {None: "?", 0: "∞"}.get(sample["capacity"], sample["capacity"])
        figures["mean"] = "?" if sample.get("waiting_mean") is None else f"{sample['waiting_mean']:.1f}"
        figures["maxwait"] = "?" if sample.get("maxwait") is None else f"{sample['maxwait']:.1f}"
        if endpoint.kind == "postgresql":
            text = self.env._("%(used)s of %(capacity)s connections are in use.", **figures)
            if sample["hidden_backends"]:
                text += " " + self.env._("What %s sessions of other roles do is hidden.", sample["hidden_backends"])
            return text
        if sample.get("database"):
            return self.env._(
                "%(used)s of %(capacity)s servers work; %(waiting)s clients wait, the first for %(maxwait)s s. Since "
                "the last sample %(mean)s waited on average.",
                **figures,
            )
        return self.env._("%(used)s of %(capacity)s clients are connected, of which %(waiting)s wait.", **figures)

    def _gather(self):
        """Write down what runs now: sessions without their queries for all who see the alert, and
        the queries for those who may."""
        if not self:
            return
        try:
            with self.env.cr.savepoint():
                Session = self.env["pg.stat.activity"].sudo()
                own_pid = self.env["connection.endpoint"]._own_connection("pg_backend_pid()")
                in_transaction = [("xact_start", "!=", False), ("pid", "!=", own_pid)]
                sessions, problem = Session.search_fetch(in_transaction, SESSION_FIELDS, limit=MAX_LOOKED_AT), None
        except Exception as error:  # what is not known about an alert must not cost it
            _logger.exception("What ran could not be read")
            sessions, problem = self.env["pg.stat.activity"], str(error).strip()
        blocked = sessions.filtered("blocked_by")
        roots = blocked._root_blockers(blocked)
        for alert in self:
            shown = alert._involved(sessions, roots)[:MAX_SESSIONS]
            values = {"sessions": shown, "roots": roots, "problem": problem}
            render = self.env["ir.qweb"]._render
            alert.evidence = render("pgbouncer_monitor.connection_alert_sessions", values)
            alert.queries = bool(shown) and render("pgbouncer_monitor.connection_alert_queries", values)

    def _involved(self, sessions, roots):
        """Those of the sessions that the alert is about, the most telling first.

        :param roots: the PIDs of those that block others and wait for none
        """
        if self.rule in ("paused_samples", "unanswered_samples"):
            return sessions.browse()
        if self.endpoint_id.kind == "pgbouncer":
            sessions = sessions.filtered(lambda session: session.endpoint_id == self.endpoint_id)
        if self.user:
            pool_id = self.env["pgbouncer.pool"]._row_id(self.endpoint_id.id, self.database, self.user)
            sessions = sessions.filtered(lambda session: session.pool_id.id == pool_id)
        if self.rule == "idle_in_transaction_age":
            idle = sessions.filtered(lambda session: (session.state or "").startswith("idle in transaction"))
            return idle.sorted("state_age", reverse=True)
        return sessions.sorted(lambda session: session.pid not in roots)

    # Telling

    @api.model
    def _tell(self, endpoints):
        """Post what is new about these endpoints in their chatters, at most one message for each,
        and plan or end the activities. What cannot be told now is told the next time."""
        now = fields.Datetime.now()
        untold = Domain("closed_at", "=", False) | Domain("told_level", "in", ("warning", "critical"))
        recent = Domain("told_at", ">", now - GROUP_INTERVAL)
        alerts = self.search(Domain("endpoint_id", "in", endpoints.ids) & (untold | recent))
        for endpoint, of_endpoint in alerts.grouped("endpoint_id").items():
            try:
                with self.env.cr.savepoint():
                    of_endpoint._tell_endpoint(now)
            except Exception:  # a message that fails must not cost the samples
                _logger.exception("The alerts of %s could not be told; the next sample tries again", endpoint.name)

    def _tell_endpoint(self, now):
        """:param self: the alerts of one endpoint that are open, or whose end is not told, or that were
        told a moment ago"""
        news = self.filtered(lambda alert: alert._is_news())
        lasting = self.filtered(lambda alert: not alert.closed_at)
        last_told = max(filter(None, self.mapped("told_at")), default=EPOCH)
        hours = self.env["res.config.settings"]._number("reminder_hours")
        if any(of_rule._is_urgent() for of_rule in self.grouped("rule").values()) or (
            news and now - last_told >= GROUP_INTERVAL
        ):
            self._post(news, lasting - news)
        elif (
            hours is not False
            and now - last_told >= timedelta(hours=hours)
            and not all(alert.acknowledged_at for alert in lasting)
        ):
            news = lasting
            self._post(lasting, self.browse(), is_reminder=True)
        else:
            return
        for alert in news:
            alert.told_level = "ok" if alert.closed_at else alert.level
        news.told_at = now
        self.endpoint_id._plan_activity(lasting)

    def _is_news(self):
        """Whether it opened, got worse or ended since it was told last."""
        if self.closed_at:
            return self.told_level in ("warning", "critical")
        return pressure.severity(self.level) > pressure.severity(self.told_level or "ok")

    def _is_urgent(self):
        """Whether there is news of one rule that is told at once: it is worse than all that was told, or
        everything is over."""
        told = [alert.level if alert.told_level == "ok" else alert.told_level for alert in self if alert.told_level]
        worst_told = max(map(pressure.severity, told), default=0)
        news = self.filtered(lambda alert: alert._is_news())
        if any(not alert.closed_at and pressure.severity(alert.level) > worst_told for alert in news):
            return True
        return bool(news) and all(alert.closed_at for alert in self)

    def _post(self, news, others, is_reminder=False):
        """:param news: the alerts that the message is about
        :param others: those of the endpoint that last, and of which there is no news"""
        Rule = self.env["connection.rule"]
        rules = Rule._in_force(self.endpoint_id)[self.endpoint_id]
        lasting = news.filtered(lambda alert: not alert.closed_at)
        lasting = lasting.sorted(lambda alert: pressure.severity(alert.level), reverse=True)
        parts = [
            {
                "heading": of_rule._heading(),
                "description": not of_rule[0].closed_at and Rule._descriptions()[of_rule[0].rule],
                "lines": [alert._line(rules.get(alert.rule)) for alert in of_rule[:MAX_NAMED]],
                "more": max(len(of_rule) - MAX_NAMED, 0),
                "advice": not of_rule[0].closed_at and of_rule[0].advice,
            }
            for alerts in (lasting, news - lasting)
            for of_rule in alerts.grouped("rule").values()
        ]
        what = lasting[0]._word("level") if lasting else self.env._("Over")
        if is_reminder:
            what = self.env._("Still %s", what.lower())
        labels = ", ".join(map(Rule._label, news.grouped("rule")))
        values = {
            "parts": parts,
            "others": ", ".join(map(Rule._label, others.grouped("rule"))),
            "evidence": lasting[:1].evidence,
            "alert": (lasting or news)[0],
        }
        self.endpoint_id._post_alert(f"{what}: {labels}", values)

    def _heading(self):
        """Of alerts of one rule, all of which last, or are over."""
        label = self.env["connection.rule"]._label(self[0].rule)
        return self.env._("%s: over", label) if self[0].closed_at else f"{label}: {self[0]._word('level')}"

    def _line(self, rule):
        """What a message says of one alert.

        :param pressure.Rule rule: that is in force; None if it was switched off
        """
        where = f"{self._pool()}: " if self._pool() else ""
        values = {"where": where, "worst": self.worst}
        if self.closed_at:
            line = self.env._(
                "%(where)slasted %(duration)s, from %(opened)s to %(closed)s UTC. Worst at %(worst_at)s: %(worst)s.",
                duration=tell_duration(self.duration),
                opened=self.opened_at,
                closed=self.closed_at,
                worst_at=self.worst_at,
                **values,
            )
            return line if self.ending == "well" else f"{line} {self._word('ending')}."
        thresholds = dict(zip(("warning", "critical"), rule.thresholds, strict=True)) if rule else {}
        threshold = thresholds.get(self.level)
        if threshold is not None:
            values["worst"] = self.env._(
                "%(worst)s (%(level)s from %(threshold)s)",
                worst=values["worst"],
                level=self._word("level").lower(),
                threshold=f"{threshold:g}",
            )
        return self.env._("%(where)s%(worst)s. %(situation)s", situation=self.situation or "", **values)

    def _word(self, name):
        """The user's word for the value of a selection."""
        return dict(self._fields[name]._description_selection(self.env))[self[name]]

    def action_acknowledge(self):
        """Somebody looks after it: no more reminders. It is said in the chatter."""
        for endpoint, alerts in self.grouped("endpoint_id").items():
            lasting = alerts.filtered(lambda alert: not alert.closed_at)
            if not lasting:
                raise UserError(self.env._("It is over already: there is nothing to look after."))
            endpoint.check_access("write")
            lasting.sudo().write({"acknowledged_by": self.env.uid, "acknowledged_at": fields.Datetime.now()})
            names = ", ".join(lasting.mapped("display_name"))
            endpoint.message_post(body=self.env._("Acknowledged: %s", names), subtype_xmlid="mail.mt_note")

    @api.model
    def _send_again(self):
        """Odoo does not try again what a mail server did not take: for a day, this does."""
        now = fields.Datetime.now()
        mails = self.env["mail.mail"].search(
            [
                ("state", "=", "exception"),
                ("subtype_id", "=", self.env.ref("pgbouncer_monitor.mt_alert").id),
                ("notification_ids.failure_type", "=", "mail_smtp"),
                ("write_date", "<", now - SEND_AGAIN_AFTER),
                ("create_date", ">", now - timedelta(days=1)),
            ]
        )
        if mails:
            mails.mark_outgoing()
            self.env.ref("mail.ir_cron_mail_scheduler_action")._trigger()

    @api.autovacuum
    def _gc_alerts(self):
        """Alerts that are over are kept as long as samples are."""
        days = self.env["res.config.settings"]._number("sample_days")
        if days is False:
            return 0, 0
        old = self.search([("closed_at", "<", fields.Datetime.now() - timedelta(days=days))], limit=GC_UNLINK_LIMIT)
        old.unlink()
        return len(old), int(len(old) == GC_UNLINK_LIMIT)
