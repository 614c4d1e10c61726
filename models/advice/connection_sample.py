"""The value of the rule about critical findings."""

from odoo import api, models


class ConnectionSample(models.Model):
    _inherit = "connection.sample"

    @api.model
    def _other_values(self, endpoint, snapshots):
        critical = self.env["connection.advice"].sudo()._critical(endpoint)
        count = None if critical is None else len(critical)
        return super()._other_values(endpoint, snapshots) | {"critical_advice": [count]}
