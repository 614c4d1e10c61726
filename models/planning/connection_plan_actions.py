"""The other buttons of a plan, and what they leave."""

from collections import defaultdict

from odoo import api, fields, models

from ...tools import labelled

# What the buttons read from the servers.
FACTS = ("missing", "running")


class ConnectionPlan(models.Model):
    _inherit = "connection.plan"

    missing_text = fields.Text("Not Read", compute="_compute_missing_text")

    @api.depends("missing")
    @api.depends_context("lang")
    def _compute_missing_text(self):
        for plan in self:
            labels = defaultdict(list)
            for name, facts in plan.missing or []:
                labels[self._missing_text(facts)].append(self._input_label(name))
            plan.missing_text = "\n".join(
                labelled(self.env, ", ".join(names), reason) for reason, names in labels.items()
            )

    def action_fill_in(self):
        """Write what can be read from this installation, and keep the names and reasons of what cannot.

        An installation that runs may have errors, too: they are shown, and do not prevent this.
        """
        self.ensure_one()
        self.check_access("write")
        values, missing = self._installation()
        self.with_context(keeps_errors=True).write(values)
        self._write_facts({"missing": missing})

    def action_download(self):
        """Download the files. A changed form is saved before."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_url",
            "url": f"/pgbouncer_monitor/plan/{self.id}/files.zip",
            "target": "download",
        }

    @api.model_create_multi
    def create(self, vals_list):
        return super().create([vals | dict.fromkeys(FACTS) for vals in vals_list])

    def write(self, vals):
        """What was entered by hand is not missing any more."""
        result = super().write({name: value for name, value in vals.items() if name not in FACTS})
        for plan in self.filtered("missing"):
            missing = [pair for pair in plan.missing if pair[0] not in vals]
            if len(missing) < len(plan.missing):
                plan._write_facts({"missing": missing})
        return result

    def _write_facts(self, vals):
        """Write what was read from the servers. RPC cannot: what is computed from it relies on its shape."""
        return super().write(vals)
