"""The buttons of a plan."""

from odoo import models


class ConnectionPlan(models.Model):
    _inherit = "connection.plan"

    def action_fill_in(self):
        """Write what can be read from this installation, and keep the names and reasons of what cannot."""
        self.ensure_one()
        self.check_access("write")
        values, missing = self._installation()
        self.write(values | {"missing": missing})
