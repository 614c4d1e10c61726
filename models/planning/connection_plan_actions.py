"""The other buttons of a plan, and what they leave."""

from odoo import api, fields, models


class ConnectionPlan(models.Model):
    _inherit = "connection.plan"

    missing_text = fields.Text("Not Read", compute="_compute_missing_text")

    @api.depends("missing")
    @api.depends_context("lang")
    def _compute_missing_text(self):
        for plan in self:
            lines = [f"{self._input_label(name)}: {self._missing_text(facts)}" for name, facts in plan.missing or []]
            plan.missing_text = "\n".join(lines)

    def action_fill_in(self):
        """Write what can be read from this installation, and keep the names and reasons of what cannot.

        An installation that runs may have errors, too: they are shown, and do not prevent this.
        """
        self.ensure_one()
        self.check_access("write")
        values, missing = self._installation()
        self.with_context(keeps_errors=True).write(values | {"missing": missing})

    def action_download(self):
        """Download the files. A changed form is saved before."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_url",
            "url": f"/pgbouncer_monitor/plan/{self.id}/files.zip",
            "target": "download",
        }

    def write(self, vals):
        """What was entered by hand is not missing any more."""
        result = super().write(vals)
        if "missing" not in vals:
            for plan in self.filtered("missing"):
                missing = [pair for pair in plan.missing if pair[0] not in vals]
                if len(missing) < len(plan.missing):
                    super(ConnectionPlan, plan).write({"missing": missing})
        return result
