"""What a sample found when an alert opened or got worse: stored as facts, put into the reader's words.
May touch endpoints, pools and LISTEN checks."""

from odoo import api, fields, models

from ...tools import format_number
from .connection_rule import LISTENERS, RULES

# What of a sample is stored with an alert.
FIGURES = ("used", "capacity", "waiting", "waiting_mean", "maxwait", "hidden_backends", "bottleneck")


class ConnectionAlert(models.Model):
    _inherit = "connection.alert"

    @api.model
    def _situation_facts(self, rule, sample):
        """Return what was found: the time ``at``, and one of

        - ``check``: the ``host`` and the ``summary`` of the LISTEN check that the rule is about
        - ``reason``: why nothing could be measured, see `connection.endpoint._reason_text`
        - ``sample``: the FIGURES, None for what is unknown
        """
        facts = {"at": fields.Datetime.to_string(fields.Datetime.now())}
        if rule in LISTENERS:
            check = self.env["connection.check"]._worst(LISTENERS[rule])
            return facts | {"check": {"host": check.host, "summary": check.summary}}
        if sample.get("used") is None:
            # In words already?
            return facts | {"reason": sample["reason"]}
        return facts | {"sample": {name: sample.get(name) for name in FIGURES}}

    @api.depends("situation_facts")
    @api.depends_context("lang")
    def _compute_situation(self):
        for alert in self:
            facts = alert.situation_facts or {}
            text = alert._situation_text(facts)
            alert.situation = f"{facts['at']} UTC: {text}" if "at" in facts else text

    def _situation_text(self, facts):
        """Return the words for the facts that `_situation_facts` returned, without the time."""
        if sample := facts.get("sample"):
            return self._sample_text(sample)
        if check := facts.get("check"):
            return f"{check['host']}: {check['summary']}"
        if reason := facts.get("reason"):
            return self.endpoint_id._reason_text(reason)
        return facts.get("text")

    def _keep_situation(self):
        """Store the words that only an endpoint can make of its facts, before it is deleted."""
        for alert in self:
            if "reason" in (alert.situation_facts or {}):
                alert.situation_facts = {"text": alert.situation}

    def _sample_text(self, sample):
        figures = {name: format_number(self.env, sample[name], 0) for name in ("used", "waiting", "capacity")}
        if sample["capacity"] == 0:
            figures["capacity"] = "∞"
        if "postgresql" in RULES[self.rule][0]:
            text = self.env._("%(used)s of %(capacity)s connections are in use.", **figures)
            if sample["hidden_backends"]:
                text += " " + self.env._(
                    "What %s sessions of other roles do is hidden.", format_number(self.env, sample["hidden_backends"])
                )
            return text
        if self.rule == "paused_samples":
            return self.env._("%s clients wait.", figures["waiting"])
        if not self.database:
            return self.env._("%(used)s of %(capacity)s clients are connected, of which %(waiting)s wait.", **figures)
        return self._queue_text(sample, figures)

    def _queue_text(self, sample, figures):
        """Return the words for the sample of a pool or of a database."""
        if self.user:
            texts = [self.env._("%(used)s of %(capacity)s servers are in use.", **figures)]
        else:
            texts = [self.env._("%(used)s servers are connected, the limit is %(capacity)s.", **figures)]
        if sample["maxwait"] is None:
            texts.append(self.env._("%(waiting)s clients wait.", **figures))
        else:
            maxwait = self.env["connection.rule"]._format_value("maxwait", sample["maxwait"])
            texts.append(self.env._("%(waiting)s clients wait, longest wait %(maxwait)s.", maxwait=maxwait, **figures))
        if sample["bottleneck"]:
            texts.append(self.env["pgbouncer.pool"]._explain_bottleneck(sample["bottleneck"]))
        # A wait counts when it is over: those that last are only seen by the reading.
        mean = sample["waiting_mean"] or 0
        if mean >= 1 and mean > (sample["waiting"] or 0):
            texts.append(self.env._("Since the last sample %s waited on average.", format_number(self.env, mean, 0)))
        return " ".join(texts)
