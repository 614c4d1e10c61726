import logging
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain

from .. import pressure
from ..fields import NullableFloat, selection_label
from ..tools import localized
from .connection_check import LISTENERS
from .connection_endpoint import CONSOLE_TIMEOUT, EPOCH, LEVELS
from .connection_rule import QUEUES, RULE_LABELS, tell_duration
from .pgbouncer_pool import BOTTLENECKS

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
MAX_LOOKED_AT = 1000
# Rules that are not about what sessions do.
NO_SESSIONS = ("paused_samples", "unanswered_samples", *LISTENERS)
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
    "is_hidden",
    "is_untracked",
    "blocked_by",
    "query",
    "endpoint_id",
    "pool_id",
)


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
        help="Until it was known to be over, by as many good samples as the rule wants. Empty while it lasts.",
    )
    worst_value = NullableFloat(readonly=True, digits=(16, 3), aggregator="max")
    worst = fields.Char(compute="_compute_worst")
    worst_at = fields.Datetime(readonly=True)
    last_bad_at = fields.Datetime("Last Bad", readonly=True, help="The last sample that reached a threshold.")
    bottleneck = fields.Selection(
        BOTTLENECKS, "Held Back By", readonly=True, help="What kept the pool from opening another server."
    )
    situation = fields.Text(readonly=True, help="What was found when it opened, or got worse.")
    advice = fields.Char("What to Do First", compute="_compute_advice")
    evidence = fields.Html(
        "What Ran",
        readonly=True,
        help="At the moment when it opened, or got worse: sessions that block others, then the oldest transactions.",
    )
    queries = fields.Html(readonly=True, groups="pgbouncer_monitor.group_manager", help="What these sessions ran.")
    acknowledged_by = fields.Many2one("res.users", readonly=True, help="Who looks after it: there are no reminders.")
    acknowledged_at = fields.Datetime("Acknowledged", readonly=True)
    told_level = fields.Selection(LEVELS, readonly=True)
    told_at = fields.Datetime(readonly=True)

    _open_uniq = models.UniqueIndex(
        "(endpoint_id, rule, COALESCE(database, ''), COALESCE(\"user\", '')) WHERE closed_at IS NULL"
    )
    _told_level_idx = models.Index("(told_level) WHERE told_level IN ('warning', 'critical')")

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
            is_known = alert.worst_value is not False
            alert.worst = is_known and self.env["connection.rule"]._tell_value(alert.rule, alert.worst_value)

    @api.depends("rule", "bottleneck")
    def _compute_advice(self):
        for alert in self:
            alert.advice = self.env["connection.rule"]._advice(alert.rule, alert.bottleneck)

    def _key(self):
        return self.rule, self.database or None, self.user or None

    def _pool(self):
        return "/".join(filter(None, (self.database, self.user)))

    # Following what the samples find

    @api.model
    def _lasting(self, endpoints):
        """:return: endpoint -> (rule, database, user) -> its alert that is not over"""
        alerts = {endpoint: {} for endpoint in endpoints}
        for alert in self.search([("endpoint_id", "in", endpoints.ids), ("closed_at", "=", False)]):
            alerts[alert.endpoint_id][alert._key()] = alert
        return alerts

    @api.model
    def _follow(self, endpoint, alerts, rules, found, histories):
        """Open, change and end the alerts of an endpoint by its new sample.

        :param dict alerts: of `_lasting`
        :param dict rules: name -> pressure.Rule
        :param dict found: (rule, database, user) -> values of the sample that is not well there
        :param dict histories: of pressure.Memory, this sample included; that of an incident that is over is forgotten
        :return: the alerts that were opened, or got worse
        """
        now = fields.Datetime.now()
        changed, still_bad, new = self.browse(), self.browse(), []
        for key, sample in found.items():
            value, level = sample["values"][key[0]], pressure.alert_level(histories[key], rules[key[0]])
            alert = alerts.get(key)
            if pressure.severity(level) > pressure.severity(alert.level if alert else "ok"):
                values = {"level": level, "situation": f"{now} UTC: {self._situation(endpoint, key[0], sample)}"}
                values["bottleneck"] = sample.get("bottleneck") if key[0] in QUEUES else None
                if alert:
                    alert.write(values)
                    changed |= alert
                else:
                    values |= dict(zip(("rule", "database", "user"), key, strict=True))
                    values |= {"endpoint_id": endpoint.id, "endpoint_name": endpoint.name, "opened_at": now}
                    new.append(values | {"worst_value": value, "worst_at": now, "last_bad_at": now})
            if alert and histories[key][-1] in pressure.BAD:
                still_bad |= alert
            if alert and value is not None and value > alert.worst_value:
                alert.write({"worst_value": value, "worst_at": now})
        still_bad.last_bad_at = now
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
    def _situation(self, endpoint, rule, sample):
        """What a sample found, in a sentence."""
        if rule in LISTENERS:
            check = self.env["connection.check"]._worst(LISTENERS[rule])
            return f"{check.host}: {check.summary}"
        if sample.get("used") is None:
            return sample["reason"]
        figures = {name: localized(self.env, sample.get(name), 0) for name in ("used", "waiting", "capacity")}
        if sample["capacity"] == 0:
            figures["capacity"] = "∞"
        if endpoint.kind == "postgresql":
            text = self.env._("%(used)s of %(capacity)s connections are in use.", **figures)
            if sample["hidden_backends"]:
                text += " " + self.env._(
                    "What %s sessions of other roles do is hidden.", localized(self.env, sample["hidden_backends"])
                )
            return text
        if rule == "paused_samples":
            return self.env._("%s clients wait.", figures["waiting"])
        if not sample.get("database"):
            return self.env._("%(used)s of %(capacity)s clients are connected, of which %(waiting)s wait.", **figures)
        return self._queue_situation(sample, figures)

    @api.model
    def _queue_situation(self, sample, figures):
        """What the sample of a pool or a database found."""
        if sample["user"]:
            text = self.env._("%(used)s of %(capacity)s servers are in use.", **figures)
        else:
            text = self.env._("%(used)s servers are connected, the limit is %(capacity)s.", **figures)
        if sample["maxwait"] is None:
            text += " " + self.env._("%(waiting)s clients wait.", **figures)
        else:
            maxwait = self.env["connection.rule"]._tell_value("maxwait", sample["maxwait"])
            text += " " + self.env._("%(waiting)s clients wait, longest wait %(maxwait)s.", maxwait=maxwait, **figures)
        if sample["bottleneck"]:
            text += " " + self.env["pgbouncer.pool"]._explain_bottleneck(sample["bottleneck"])
        # A wait counts when it is over: those that last are only seen by the reading.
        mean = sample.get("waiting_mean") or 0
        if mean >= 1 and mean > (sample["waiting"] or 0):
            text += " " + self.env._("Since the last sample %s waited on average.", localized(self.env, mean, 0))
        return text

    def _gather(self):
        """Write down what runs now: sessions without their queries for all who see the alert, and
        the queries for those who may."""
        if not self:
            return
        self.env.flush_all()  # what fails in there must undo nothing else
        try:
            with self.env["connection.endpoint"]._time_limit(CONSOLE_TIMEOUT / 3):
                Session = self.env["pg.stat.activity"].sudo()
                own_pid = self.env["connection.endpoint"]._own_connection("pg_backend_pid()")
                clients = Domain("backend_type", "=", "client backend") & Domain("xact_start", "!=", False)
                unseen = Domain("is_hidden", "=", True) | Domain("is_untracked", "=", True)
                telling = (clients | unseen) & Domain("pid", "!=", own_pid)
                sessions, problem = Session.search_fetch(telling, SESSION_FIELDS, limit=MAX_LOOKED_AT), None
        except Exception as error:  # what is not known about an alert must not cost it
            _logger.exception("What ran could not be read")
            sessions, problem = self.env["pg.stat.activity"], str(error).strip()
        blocked = sessions.filtered("blocked_by")
        roots = blocked._root_blockers(blocked)
        render = self.env["ir.qweb"]._render
        for alert in self.filtered(lambda alert: alert.rule not in NO_SESSIONS):
            involved = alert._involved(sessions, roots)
            hidden = involved.filtered("is_hidden")
            untracked = involved.filtered("is_untracked")
            # Of those only locks are known.
            idle = untracked.filtered(lambda session: session.pid not in roots and not session.blocked_by)
            shown = (involved - hidden - idle)[:MAX_SESSIONS]
            if problem:
                note = self.env._("What ran could not be read: %s", problem)
            elif hidden:
                note = self.env._(
                    "Of %s sessions of other roles Odoo's role may not see what they do. GRANT pg_monitor shows them.",
                    localized(self.env, len(hidden)),
                )
            elif untracked:
                note = self.env._(
                    "track_activities is off for %s sessions: what they do is unknown.",
                    localized(self.env, len(untracked)),
                )
            else:
                is_none = len(sessions) < MAX_LOOKED_AT and not shown
                note = is_none and self.env._("None of its sessions was in a transaction on this Odoo's PostgreSQL.")
            values = {
                "note": note,
                "heading": self.env._(
                    "%(shown)s of %(count)s sessions at %(time)s UTC:",
                    shown=len(shown),
                    count=len(involved),
                    time=fields.Datetime.now(),
                ),
                "lines": [alert._session_line(session, roots) for session in shown],
                "queries": [(session.pid, session.query) for session in shown],
            }
            alert.evidence = render("pgbouncer_monitor.connection_alert_sessions", values)
            alert.queries = bool(shown) and render("pgbouncer_monitor.connection_alert_queries", values)

    def _involved(self, sessions, roots):
        """Those of the sessions that the alert is about, the most telling first.

        :param roots: the PIDs of those that block others and wait for none
        """
        if self.endpoint_id.kind == "pgbouncer":
            sessions = sessions.filtered(lambda session: session.endpoint_id == self.endpoint_id)
        if self.database:
            of_alert = [("endpoint_id", "=", self.endpoint_id.id), ("database", "=", self.database)]
            if self.user:
                of_alert.append(("user", "=", self.user))
            pools = self.env["pgbouncer.pool"].search(of_alert)
            sessions = sessions.filtered(lambda session: session.pool_id in pools)
        if self.rule == "idle_in_transaction_age":
            idle = sessions.filtered(
                lambda session: session.is_hidden
                or session.is_untracked
                or (session.state or "").startswith("idle in transaction")
            )
            return idle.sorted("state_age", reverse=True)
        return sessions.sorted(lambda session: (session.pid not in roots, not session.blocked_by))

    def _session_line(self, session, roots):
        line = self.env._(
            "PID %(pid)s: %(user)s on %(database)s, %(name)s, client %(client)s: %(state)s, transaction open for "
            "%(age)s.",
            pid=session.pid,
            user=session.usename or "?",
            database=session.datname or "?",
            name=session.application_name or self.env._("no application name"),
            client=session._client(),
            state="?" if session.is_untracked else session.state or "?",
            age="?"
            if session.xact_age is False
            else self.env["connection.rule"]._tell_value("xact_age", session.xact_age),
        )
        if session.blocked_by:
            return line + " " + self.env._("It waits for PID %s.", session.blocked_by)
        return line + " " + self.env._("It blocks others.") if session.pid in roots else line

    # Telling

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
        hours = self.env["res.config.settings"]._number("reminder_hours")
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

        :param pressure.Rule rule: that is in force; None if it was switched off
        """
        where = f"{self._pool()}: " if self._pool() else ""
        values = {"where": where, "worst": self.worst}
        if self.closed_at:
            line = self.env._(
                "%(where)slasted %(duration)s, opened at %(opened)s UTC, last bad at %(last_bad)s. Worst at "
                "%(worst_at)s: %(worst)s.",
                duration=tell_duration(self.duration),
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
                threshold=localized(self.env, threshold)
                if rule.is_count
                else self.env["connection.rule"]._tell_value(self.rule, threshold),
            )
        return self.env._("%(where)s%(worst)s. %(situation)s", situation=self.situation or "", **values)

    def _word(self, name):
        return selection_label(self, name, self[name])

    def action_acknowledge(self):
        """Somebody looks after it: no more reminders. It is said in the chatter."""
        for endpoint, alerts in self.grouped("endpoint_id").items():
            lasting = alerts.filtered(lambda alert: not alert.closed_at)
            if not lasting:
                raise UserError(self.env._("It is over already: there is nothing to look after."))
            endpoint.check_access("write")
            # Both write into the alerts: the one that comes too late would lose its samples.
            self.env["connection.sample"]._wait_for(endpoint)
            lasting.sudo().write({"acknowledged_by": self.env.uid, "acknowledged_at": fields.Datetime.now()})
            names = ", ".join(lasting.mapped("display_name"))
            endpoint._message_log(body=self.env._("Acknowledged: %s", names))

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

    @api.autovacuum
    def _gc_alerts(self):
        """Alerts that are over are kept as long as samples are."""
        return self.env["res.config.settings"]._delete_old(self, "closed_at")
