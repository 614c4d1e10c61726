"""The alerts: how they open, change and close. May use rules and endpoints; the sampler passes in its samples."""

from odoo import api, fields, models
from odoo.exceptions import UserError

from ...analysis import incidents, pressure
from ...analysis.incidents import QUEUES
from ...fields import NullableFloat
from ...tools import LEVELS, labelled, selection_label
from ..live.pgbouncer_pool import BOTTLENECKS
from .rule_texts import RULE_LABELS, advice


class ConnectionAlert(models.Model):
    """One incident: an endpoint, or one of its databases or pools, violates a rule. Written by the sampler only.

    Changes are posted in the endpoint's chatter. ``reported_level`` is the level of the last message: "ok" after
    the end, empty before the first message.

    The ``_facts`` fields are JSON. The fields of the same name are made from them, in the reader's language. Alerts
    from before 19.0.2.0.0 keep their old texts: ``{"text": …}`` or ``{"html": …}``.
    """

    _name = "connection.alert"
    _inherit = ["connection.notices"]
    _description = "Connection Alert"
    # Open ones first: PostgreSQL puts NULL there.
    _order = "closed_at desc, opened_at desc, id desc"

    endpoint_id = fields.Many2one("connection.endpoint", readonly=True, index=True, ondelete="set null")
    endpoint_name = fields.Char("Endpoint's Name", readonly=True, help="Kept when the endpoint is deleted.")
    rule = fields.Selection(RULE_LABELS, readonly=True, required=True)
    database = fields.Char(readonly=True, help="The database's name in PgBouncer. Empty: the instance.")
    user = fields.Char(readonly=True, help="The role of the pool. Empty: the instance, or all pools of the database.")
    level = fields.Selection(LEVELS, readonly=True, required=True, help="The worst level that was reached.")
    opened_at = fields.Datetime("Opened", readonly=True, required=True)
    closed_at = fields.Datetime("Closed", readonly=True, help="Empty while the alert is open.")
    ending = fields.Selection(
        [
            ("well", "Resolved"),
            ("off", "The rule was switched off"),
            ("archived", "The endpoint was archived"),
            ("deleted", "The endpoint was deleted"),
        ],
        "Closed Because",
        readonly=True,
        help="Why the alert was closed.",
    )
    duration = NullableFloat(
        "Duration (s)",
        compute="_compute_duration",
        store=True,
        aggregator="sum",
        digits=(16, 0),
        help="From opening until enough good samples were taken in a row. Empty while the alert is open.",
    )
    worst_value = NullableFloat("Worst Value (number)", readonly=True, digits=(16, 3), aggregator="max")
    worst = fields.Char("Worst Value", compute="_compute_worst")
    worst_at = fields.Datetime(readonly=True)
    last_bad_at = fields.Datetime("Last Violation", readonly=True, help="The last sample that reached a threshold.")
    bottleneck = fields.Selection(
        BOTTLENECKS, "Held Back By", readonly=True, help="What kept the pool from opening another server."
    )
    situation_facts = fields.Json(readonly=True)
    situation = fields.Text(compute="_compute_situation", help="What was measured when the alert opened or got worse.")
    advice = fields.Char("What to Do First", compute="_compute_advice")
    evidence_facts = fields.Json(readonly=True)
    evidence = fields.Html(
        "Sessions",
        compute="_compute_evidence",
        help="When the alert opened or got worse: sessions that block others, then the oldest transactions.",
    )
    queries_facts = fields.Json(readonly=True, groups="pgbouncer_monitor.group_manager")
    queries = fields.Html(
        compute="_compute_queries", groups="pgbouncer_monitor.group_manager", help="The queries of these sessions."
    )
    acknowledged_by = fields.Many2one("res.users", readonly=True, help="Who handles the alert: no more reminders.")
    acknowledged_at = fields.Datetime("Acknowledged", readonly=True)
    reported_level = fields.Selection(LEVELS, readonly=True)
    reported_at = fields.Datetime(readonly=True)

    _open_uniq = models.UniqueIndex(
        "(endpoint_id, rule, COALESCE(database, ''), COALESCE(\"user\", '')) WHERE closed_at IS NULL"
    )
    _reported_level_idx = models.Index("(reported_level) WHERE reported_level IN ('warning', 'critical')")

    @api.depends("rule", "endpoint_name", "database", "user")
    @api.depends_context("lang")
    def _compute_display_name(self):
        for alert in self:
            label = self.env["connection.rule"]._label(alert.rule)
            alert.display_name = labelled(self.env, alert.endpoint_name, label, alert._pool())

    @api.depends("opened_at", "closed_at")
    def _compute_duration(self):
        for alert in self:
            alert.duration = alert.closed_at and (alert.closed_at - alert.opened_at).total_seconds()

    @api.depends("rule", "worst_value")
    @api.depends_context("lang")
    def _compute_worst(self):
        for alert in self:
            is_known = alert.worst_value is not False
            alert.worst = is_known and self.env["connection.rule"]._format_value(alert.rule, alert.worst_value)

    @api.depends("rule", "bottleneck")
    @api.depends_context("lang")
    def _compute_advice(self):
        for alert in self:
            alert.advice = self.env._(advice(alert.rule, alert.bottleneck))

    @api.model
    def _is_sampling(self):
        return self.env["connection.settings"]._cron("sample").active

    @api.model
    def _notices(self, domain=()):
        if self._is_sampling():
            return []
        text = self.env._("“Log Connection Pressure” is disabled in the Settings: no alert opens or closes.")
        return [{"type": "warning", "text": text, "remedy": ""}]

    @api.model
    def _empty_help(self):
        if self._is_sampling() or self.search_count([], limit=1):
            return ""
        return self._help_html(self.env._("No alert can open"), self.env._("The line above says why."))

    def _key(self):
        return self.rule, self.database or None, self.user or None

    def _pool(self):
        return "/".join(filter(None, (self.database, self.user)))

    @api.model
    def _open_alerts(self, endpoints):
        """Return endpoint -> (rule, database, user) -> its open alert."""
        alerts = {endpoint: {} for endpoint in endpoints}
        for alert in self.search([("endpoint_id", "in", endpoints.ids), ("closed_at", "=", False)]):
            alerts[alert.endpoint_id][alert._key()] = alert
        return alerts

    @api.model
    def _follow(self, endpoint, alerts, rules, violations, histories):
        """Open, change and close the alerts of an endpoint after a new sample.

        :param dict alerts: of `_open_alerts`
        :param dict rules: name -> incidents.Rule
        :param dict violations: (rule, database, user) -> values of the sample that violates the rule there
        :param dict histories: of incidents.Memory, including this sample; those of resolved incidents are removed
        :return: the alerts that opened or got worse
        """
        changed, new = self.browse(), []
        for key, sample in violations.items():
            alert = alerts.get(key, self.browse())
            level = incidents.alert_level(histories[key], rules[key[0]])
            if pressure.severity(level) > pressure.severity(alert.level or "ok"):
                values = self._worse_values(level, key[0], sample)
                if alert:
                    alert.write(values)
                    changed |= alert
                else:
                    new.append(values | self._opening_values(endpoint, key, sample))
            if alert:
                alert._follow_sample(sample, histories[key])
        for key, alert in alerts.items():
            if key[0] not in rules:
                alert._close("off")
            elif incidents.is_over(histories.get(key, ""), rules[key[0]]):
                alert._close("well")
                histories.pop(key, None)
        return changed | self.create(new)

    @api.model
    def _worse_values(self, level, rule, sample):
        """Return the values to store when an alert opens or gets worse."""
        return {
            "level": level,
            "situation_facts": self._situation_facts(rule, sample),
            "bottleneck": sample.get("bottleneck") if rule in QUEUES else None,
        }

    @api.model
    def _opening_values(self, endpoint, key, sample):
        """Return the other values to store when an alert opens.

        :param tuple key: (rule, database, user)
        """
        rule, database, user = key
        now = fields.Datetime.now()
        return {
            "endpoint_id": endpoint.id,
            "endpoint_name": endpoint.name,
            "rule": rule,
            "database": database,
            "user": user,
            "opened_at": now,
            "worst_value": sample["values"][rule],
            "worst_at": now,
            "last_bad_at": now,
        }

    def _follow_sample(self, sample, history):
        """Update the time of the last violation and the worst value of an open alert."""
        now, value = fields.Datetime.now(), sample["values"][self.rule]
        if history[-1] in incidents.BAD:
            self.last_bad_at = now
        if value is not None and value > self.worst_value:
            self.write({"worst_value": value, "worst_at": now})

    def _close(self, ending):
        self.write({"closed_at": fields.Datetime.now(), "ending": ending})

    def _label(self, name):
        """Return the label of a selection field's value in the user's language."""
        return selection_label(self, name, self[name])

    def action_acknowledge(self):
        """Stop the reminders, and log in the chatter who handles the alerts."""
        for endpoint, alerts in self.grouped("endpoint_id").items():
            open_alerts = alerts.filtered(lambda alert: not alert.closed_at)
            if not open_alerts:
                raise UserError(self.env._("This alert is already closed."))
            endpoint.check_access("write")
            # The sampler writes to alerts, too: whichever comes second would fail, and the sampler lose its samples.
            endpoint._wait_for_lock()
            open_alerts.sudo().write({"acknowledged_by": self.env.uid, "acknowledged_at": fields.Datetime.now()})
            names = ", ".join(open_alerts.mapped("display_name"))
            endpoint._message_log(body=self.env._("Acknowledged: %s", names))

    @api.autovacuum
    def _gc_alerts(self):
        """Delete closed alerts when samples of that age are deleted."""
        return self.env["connection.settings"]._delete_old(self, "closed_at")
