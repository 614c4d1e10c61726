"""The log of what the Overview changes in the settings."""

from odoo import api, models


class ConnectionOverview(models.AbstractModel):
    _inherit = "connection.overview"

    @api.model
    def dismiss_steps(self):
        """Log it, as the settings page does."""
        settings = self.env["res.config.settings"]
        before = settings._logged_values()
        result = super().dismiss_steps()
        settings._log_changes(before, settings._logged_values())
        return result
