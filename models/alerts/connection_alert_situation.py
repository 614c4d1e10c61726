"""What was measured when an alert opened or got worse: stored as facts, shown in the reader's language.
May use endpoints, pools and LISTEN checks."""

from odoo import api, fields, models

from ...tools import format_number, labelled
from .connection_rule import LISTENERS, RULES

# The figures of a sample that are stored with an alert.
FIGURES = ("used", "capacity", "waiting", "waiting_mean", "maxwait", "hidden_backends", "bottleneck")


class ConnectionAlert(models.Model):
    _inherit = "connection.alert"

    @api.model
    def _situation_facts(self, rule, sample):
        """Return what was measured: the time ``at``, and one of

        - ``check``: the ``host``, with a port, and the ``conclusion`` of the worst LISTEN check, for the rules about it
        - ``reason``: why nothing could be measured, see `connection.endpoint._reason_text`
        - ``sample``: the FIGURES, None for what is unknown
        """
        facts = {"at": fields.Datetime.to_string(fields.Datetime.now())}
        if rule in LISTENERS:
            check = self.env["connection.check"]._worst(LISTENERS[rule])
            return facts | {"check": {"host": check._server_text(), "conclusion": check.conclusion}}
        if sample.get("used") is None:
            return facts | {"reason": sample["reason"]}
        return facts | {"sample": {name: sample.get(name) for name in FIGURES}}

    @api.depends("situation_facts")
    @api.depends_context("lang")
    def _compute_situation(self):
        for alert in self:
            facts = alert.situation_facts or {}
            text = alert._situation_text(facts)
            alert.situation = labelled(self.env, f"{facts['at']} UTC", text) if "at" in facts else text

    def _situation_text(self, facts):
        """Return the text for facts of `_situation_facts`, without the time."""
        if sample := facts.get("sample"):
            return self._sample_text(sample)
        if check := facts.get("check"):
            return labelled(self.env, check["host"], self.env["connection.check"]._conclusion_text(check["conclusion"]))
        if reason := facts.get("reason"):
            return self.endpoint_id._reason_text(reason)
        return facts.get("text")

    def _keep_situation(self):
        """Replace facts that only the endpoint can explain by their text, before the endpoint is deleted."""
        for alert in self:
            if "reason" in (alert.situation_facts or {}):
                alert.situation_facts = {"text": alert.situation}

    def _sample_text(self, sample):
        figures = {name: format_number(self.env, sample[name], 0) for name in ("used", "waiting", "capacity")}
        if sample["capacity"] == 0:
            figures["capacity"] = "∞"
        if "postgresql" in RULES[self.rule][0]:
            text = self.env._("Connections in use: %(used)s of %(capacity)s.", **figures)
            if sample["hidden_backends"]:
                text += " " + self.env._(
                    "Hidden sessions of other roles: %s.", format_number(self.env, sample["hidden_backends"])
                )
            return text
        if self.rule == "paused_samples":
            return self.env._("Clients waiting: %s.", figures["waiting"])
        if not self.database:
            return self.env._("Clients connected: %(used)s of %(capacity)s. Waiting: %(waiting)s.", **figures)
        return self._queue_text(sample, figures)

    def _queue_text(self, sample, figures):
        """Return the text for the sample of a pool or of a database."""
        if self.user:
            texts = [self.env._("Servers in use: %(used)s of %(capacity)s.", **figures)]
        else:
            texts = [self.env._("Servers connected: %(used)s (limit: %(capacity)s).", **figures)]
        if sample["maxwait"] is None:
            texts.append(self.env._("Clients waiting: %(waiting)s.", **figures))
        else:
            figures["maxwait"] = self.env["connection.rule"]._format_value("maxwait", sample["maxwait"])
            texts.append(self.env._("Clients waiting: %(waiting)s, longest wait %(maxwait)s.", **figures))
        if sample["bottleneck"]:
            texts.append(self.env["pgbouncer.pool"]._explain_bottleneck(sample["bottleneck"]))
        # The counter includes a wait when it ends: waits that continue are only in the reading.
        mean = sample["waiting_mean"] or 0
        if mean >= 1 and mean > (sample["waiting"] or 0):
            mean = format_number(self.env, mean, 0)
            texts.append(self.env._("Clients waiting on average since the last sample: %s.", mean))
        return " ".join(texts)
