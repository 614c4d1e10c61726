"""An alert on the graph of the figure that its rule judges, what it reports of refused requests, and why no alert
opens. Reads samples, rules and settings."""

from datetime import timedelta

from odoo import api, fields, models

from ...tools import labelled, selection_label
from ..alerts.connection_rule import LISTENERS

REFUSED = "refused_requests"
# How many lines about hosts and kinds an alert stores.
MAX_REFUSALS = 10
# Rule -> the figure of a sample that shows what it judges. Only those with thresholds of the same unit are in both.
JUDGED = {
    "postgresql_pressure": "pressure_max",
    "pgbouncer_pressure": "pressure_max",
    "blocked_age": "blocked_age",
    "idle_in_transaction_age": "idle_in_transaction_age",
    "xact_age": "xact_age",
    "maxwait": "maxwait",
    REFUSED: "refused",
}
SHOWN = JUDGED | {
    "pool_growth": "used_and_capacity",  # of the client, see history_graph.js
    "waiting_samples": "waiting_max",
    "paused_samples": "waiting_max",
    "unanswered_samples": "pressure_max",  # a gap
}
# The longest time that a graph shows by the minute, and by ten minutes.
MINUTES, TEN_MINUTES = timedelta(hours=3), timedelta(hours=30)


class ConnectionAlert(models.Model):
    _inherit = "connection.alert"

    @api.model
    def _notices(self, domain=()):
        """Also say so if the sampler has not run: no alert opens or closes."""
        notices, overdue = super()._notices(domain), self.env["connection.sample"]._overdue()
        if notices or not overdue:
            return notices
        return [{"type": "warning", "text": overdue["text"], "remedy": overdue["remedy"]}]

    @api.model
    def _situation_facts(self, rule, sample):
        """The situation of an alert about refused requests: the largest ``refusals`` of the sample, as host, kind and
        count, and ``since`` when they were counted."""
        if rule != REFUSED:
            return super()._situation_facts(rule, sample)
        refusals = self.env["connection.refusal"].sudo()._of_last_sample()
        return {
            "at": fields.Datetime.to_string(fields.Datetime.now()),
            "since": fields.Datetime.to_string(refusals[:1].since),
            "refusals": [(row.host, row.kind, row.count) for row in refusals[:MAX_REFUSALS]],
        }

    def _situation_text(self, facts):
        if "refusals" not in facts:
            return super()._situation_text(facts)
        since = self.env._("Counted since %s UTC", facts["since"])
        return "\n".join([since, self.env["connection.refusal"]._lines(facts["refusals"])])

    @api.depends("situation_facts")
    def _compute_advice(self):
        result = super()._compute_advice()
        for alert in self:
            if refusals := (alert.situation_facts or {}).get("refusals"):
                kinds = dict.fromkeys(kind for _host, kind, _count in refusals)
                alert.advice = " ".join(self.env["connection.refusal"]._remedies(kinds))
        return result

    def action_open_value(self):
        """Open what shows the value of the rule: the graph of the time of the incident, or the LISTEN check."""
        self.ensure_one()
        if self.rule in LISTENERS:
            return self.env["ir.actions.actions"]._for_xml_id("pgbouncer_monitor.listen_check_action")
        since, until, bucket = self._graph_span()
        domain = [
            ("endpoint_id", "=", self.endpoint_id.id),
            ("database", "=", self.database),
            ("user", "=", self.user),
            ("sampled_at", ">=", fields.Datetime.to_string(since)),
            ("sampled_at", "<=", fields.Datetime.to_string(until)),
        ]
        measure = SHOWN[self.rule]
        facts = (self.situation_facts or {}).get("sample", {})
        if self.rule == "waiting_samples" and not facts.get("waiting"):
            measure = "waiting_mean_max"  # the queue was between the samples
        context = {
            "graph_measure": measure,
            "graph_mode": "line",
            "graph_groupbys": [bucket, "endpoint_id", *(name for name in ("database", "user") if self[name])],
            "incident": self._incident(measure),
        }
        action = self.env["ir.actions.act_window"]._for_xml_id("pgbouncer_monitor.connection_sample_action")
        return action | {
            "name": self.display_name,
            "display_name": self.display_name,
            "domain": domain,
            "context": context,
        }

    def _graph_span(self):
        """Return from when to when a graph shows the incident, and the field to group by."""
        end = self.closed_at or fields.Datetime.now()
        margin = max((end - self.opened_at) / 4, timedelta(minutes=15))
        since, until = self.opened_at - margin, end + margin
        days = self.env["connection.settings"]._value("minute_days")
        is_merged = days is not False and since < fields.Datetime.now() - timedelta(days=days)
        if is_merged or until - since > TEN_MINUTES:
            margin = max(margin, timedelta(hours=3))
            return self.opened_at - margin, end + margin, "hour"
        return since, until, "minute" if until - since <= MINUTES else "ten_minutes"

    def _incident(self, measure):
        """Return what the graph marks: see incident.js.

        :param str measure: the figure of the graph, in whose unit the thresholds are
        """
        Rule = self.env["connection.rule"]
        # A deleted endpoint has no rules.
        rule = Rule._in_force(self.endpoint_id).get(self.endpoint_id, {}).get(self.rule)
        thresholds = zip(("warning", "critical"), rule.thresholds, strict=True) if rule and self.rule in JUDGED else ()
        return {
            "name": self.display_name,
            "level": self.level,
            "opened": fields.Datetime.to_string(self.opened_at),
            "ended": fields.Datetime.to_string(self.closed_at),
            "measure": measure,
            "thresholds": [
                {
                    "level": level,
                    "label": labelled(
                        self.env, selection_label(self, "level", level), Rule._format_value(self.rule, value)
                    ),
                    "value": value,
                }
                for level, value in thresholds
                if value is not None
            ],
        }
