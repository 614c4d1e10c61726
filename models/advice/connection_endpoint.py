"""The findings of an endpoint."""

from odoo import api, fields, models

from ..endpoint.connection_endpoint import ADDRESS_FIELDS


class ConnectionEndpoint(models.Model):
    _inherit = "connection.endpoint"

    advice_ids = fields.One2many("connection.advice", "endpoint_id", "Advice", readonly=True)
    advice_summary = fields.Char(
        "Open Findings", compute="_compute_advice_summary", help="Findings of the last reading that are not accepted."
    )
    advice_level = fields.Selection(
        lambda self: [("ok", "OK"), *self.env["connection.advice"]._fields["level"].selection],
        compute="_compute_advice_summary",
        help="The worst level of these findings. Unknown: there is no recent reading of this endpoint.",
    )

    def write(self, vals):
        """End the findings of a PgBouncer that is archived: no reading would end them before the next day. Those of
        PostgreSQL stay, which are also about Odoo and the monitoring."""
        result = super().write(vals)
        if "active" in vals and not vals["active"]:
            archived = self.filtered(lambda endpoint: endpoint.kind == "pgbouncer")
            self.env["connection.advice"].sudo()._forget(archived)
        return result

    def _is_advised(self):
        """Return whether the last reading has read this endpoint, at this address."""
        read = self.env["connection.advice"]._last_reading().get("endpoints", {})
        return read.get(str(self._origin.id)) == self._address_key()

    @api.depends(*ADDRESS_FIELDS, "advice_ids.level", "advice_ids.active", "advice_ids.accepted_until")
    @api.depends_context("lang")
    def _compute_advice_summary(self):
        Advice = self.env["connection.advice"]
        is_old = Advice._is_old()
        found = Advice.search([("endpoint_id", "in", self.ids), ("is_accepted", "=", False)]).grouped("endpoint_id")
        for endpoint in self:
            advice, is_read = found.get(endpoint._origin, Advice), endpoint._is_advised()
            endpoint.advice_level = advice[:1].level or "ok" if is_read and not is_old else "unknown"
            endpoint.advice_summary = Advice._summary(advice) if is_read else self.env._("Not Checked")
            if is_read and is_old:
                endpoint.advice_summary = self.env._("%s (outdated)", endpoint.advice_summary)

    def action_open_advice(self):
        action = self.env["ir.actions.act_window"]._for_xml_id("pgbouncer_monitor.connection_advice_action")
        return action | {"domain": [("endpoint_id", "=", self.id)], "context": {}}
