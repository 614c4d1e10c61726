"""Copy as Text: all of a plan, for a ticket."""

from odoo import api, fields, models

from ...tools import labelled


class ConnectionPlan(models.Model):
    _inherit = "connection.plan"

    text = fields.Text("As Text", compute="_compute_text")

    @api.depends("name", "error", "verdict", "demand", "replica_demand", "proposal", "files", "comparison", "rollout")
    @api.depends_context("lang", "tz")
    def _compute_text(self):
        for plan in self:
            plan.text = "\n\n".join([plan.name or "", *plan._sections()])

    def _sections(self):
        """Yield the parts of the text."""
        if self.error:
            yield self.error
            return
        yield self.verdict
        yield self._section(self.env._("Connections"), map(self._demand_line, self.demand or []))
        if self.replica_demand:
            yield self._section(self.env._("Connections to the Replica"), map(self._demand_line, self.replica_demand))
        findings, levels = self.proposal["findings"], dict(self._fields["level"]._description_selection(self.env))
        yield self._section(self.env._("Findings"), (f"[{levels[row['level']]}] {row['text']}" for row in findings))
        figures = self.proposal["figures"].values()
        yield self._section(
            self.env._("Proposal"),
            (labelled(self.env, f"{row['label']} = {row['text']}", row["why"]) for row in figures),
        )
        yield from (self._section(name, [text.rstrip()]) for name, text in (self.files or {}).items())
        if self.comparison:
            lines = [self.comparison["read_at"], *self.comparison["problems"]]
            for group in self.comparison["groups"]:
                lines += [self._comparison_line(group["kind"], row) for row in group["rows"]]
            yield self._section(self.env._("Compared with Running"), lines)
        for number, step in enumerate(self.rollout or [], 1):
            # The files are above.
            lines = "" if step["lines"] in (self.files or {}).values() else step["lines"]
            yield self._section(f"{number}. {step['title']}", filter(None, [step["text"], lines, step["verify"]]))

    @api.model
    def _section(self, title, lines):
        return "\n".join([title, "-" * len(title), *lines])

    @api.model
    def _demand_line(self, row):
        return self.env._(
            "%(label)s: expected %(expected)s, at most %(ceiling)s. %(why)s",
            **{name: row[name] for name in ("label", "expected", "ceiling", "why")},
        )

    @api.model
    def _comparison_line(self, kind, row):
        running = ", ".join(labelled(self.env, cell["server"], cell["text"]) for cell in row["running"])
        line = labelled(self.env, kind, f"{row['label']} = {row['proposed']} ({running})")
        return f"{line}. {row['effect']}" if row["effect"] else line
