"""The label of an endpoint in the metrics."""

from odoo import api, models

from ...analysis.metric_lines import unique_labels


class ConnectionEndpoint(models.Model):
    _inherit = "connection.endpoint"

    def write(self, vals):
        """Forget the metrics of an endpoint that is archived."""
        result = super().write(vals)
        if "active" in vals and not vals["active"]:
            self.env["connection.metrics"].sudo().search([("endpoint_id", "in", self.ids)]).unlink()
        return result

    @api.model
    def _metric_labels(self):
        """Return the value of the label ``endpoint``: id -> label, of all active endpoints."""
        active = self.sudo().search([("active", "=", True)])
        return unique_labels({endpoint.id: endpoint.name for endpoint in active})
