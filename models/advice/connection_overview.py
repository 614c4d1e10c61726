"""The findings of an endpoint on its card."""

from odoo import api, models

from ..overview.values import link


class ConnectionOverview(models.AbstractModel):
    _inherit = "connection.overview"

    @api.model
    def _card(self, endpoint, sample, alerts):
        """Add ``advice``: the ``label`` and the ``level`` of the findings, and the ``link`` to them."""
        domain = [("endpoint_id", "=", endpoint.id), ("is_accepted", "=", False)]
        advice = {
            "label": endpoint.advice_summary,
            "level": endpoint.advice_level,
            "link": link("connection.advice", domain, self.env._("Open Findings: %s", endpoint.name)),
        }
        return super()._card(endpoint, sample, alerts) | {"advice": advice}
