"""The alert about critical findings: which ones are new, and which ones are gone, while it is open."""

from odoo import api, fields, models

from ...tools import labelled

RULE = "critical_advice"


class ConnectionAlert(models.Model):
    """The situation of an alert about critical findings are their codes: the ``findings`` of the last sample, and the
    ``reported`` ones of the last message."""

    _inherit = "connection.alert"

    @api.model
    def _follow(self, endpoint, alerts, *args):
        changed = super()._follow(endpoint, alerts, *args)
        alert = changed.filtered(lambda alert: alert.rule == RULE) or alerts.get((RULE, None, None))
        if alert and not alert.closed_at:
            alert._follow_findings()
        return changed

    def _follow_findings(self):
        """Store which findings are critical now. A new one is news, as if the alert had opened."""
        critical, facts = self.env["connection.advice"]._critical(self.endpoint_id), self.situation_facts
        if critical is None or (codes := sorted(set(critical.mapped("code")))) == facts.get("findings"):
            return
        reported = facts.get("reported", [])
        now = fields.Datetime.to_string(fields.Datetime.now())
        self.situation_facts = {"at": now, "findings": codes, "reported": reported}
        if set(codes) - set(reported):
            self.reported_level = False

    def action_open_value(self):
        if self.rule == RULE:
            return self.endpoint_id.action_open_advice()
        return super().action_open_value()

    @api.model
    def _situation_facts(self, rule, sample):
        if rule != RULE:
            return super()._situation_facts(rule, sample)
        return {"at": fields.Datetime.to_string(fields.Datetime.now())}

    def _situation_text(self, facts):
        if "findings" not in facts:
            return super()._situation_text(facts)
        new, gone, known = self._compare_findings(facts)
        if gone or (new and known):
            parts = {
                self.env._("New: %s"): new,
                self.env._("Still found: %s"): known,
                self.env._("No longer found, or accepted: %s"): gone,
            }
        else:
            parts = {self.env._("Findings: %s"): new + known}
        titles = self.env["connection.advice"]._titles
        return "\n".join(text % ", ".join(titles(codes)) for text, codes in parts.items() if codes)

    def _notify_endpoint(self):
        result = super()._notify_endpoint()
        self.filtered(lambda alert: alert.rule == RULE and not alert.closed_at and alert.reported_level)._report_gone()
        return result

    def _report_gone(self):
        """Post that some findings are gone, unless new ones were posted with them, and remember what was reported."""
        for alert in self:
            facts = alert.situation_facts
            new, gone, _known = self._compare_findings(facts)
            if gone and not new:
                title = labelled(self.env, self.env._("Partly resolved"), self.env["connection.rule"]._label(RULE))
                lines = alert._situation_text(facts).splitlines()
                alert.endpoint_id._post_alert(title, {"parts": [{"lines": lines}], "alert": alert})
            if new or gone:
                alert.situation_facts = facts | {"reported": facts["findings"]}

    @api.model
    def _compare_findings(self, facts):
        """Return the codes that are new since the last message, those that are gone, and the others."""
        now, before = facts.get("findings", []), facts.get("reported", [])
        new = [code for code in now if code not in before]
        return new, [code for code in before if code not in now], [code for code in now if code in before]
