"""What the last sample of an endpoint found."""

from datetime import timedelta

from odoo import api, fields, models

from ...probes.console import CONSOLE_TIMEOUT
from .connection_reading import READING_FIELDS

# An endpoint of which no sample came for so many intervals is not watched any more.
MISSED_SAMPLES = 3


class ConnectionEndpoint(models.Model):
    _inherit = "connection.endpoint"

    def _last_reading(self):
        """What the sampler remembers of this endpoint, if that was of the same address."""
        reading = self.sudo().reading_ids
        return reading if reading.address == self._address_key() else reading.browse()

    def _keep_reading(self, values):
        """Let the sampler remember this of the endpoint."""
        values = values | {"endpoint_id": self.id, "address": self._address_key()}
        reading = self.sudo().reading_ids
        return reading.write(values) if reading else reading.create(values)

    def _address_key(self):
        return f"{self.user or ''}@{self.host or ''}:{self.port or ''} {self.sslmode}"

    @api.depends(
        "active", "host", "port", "user", "sslmode", *(f"reading_ids.{name}" for name in (*READING_FIELDS, "reason"))
    )
    @api.depends_context("lang")
    def _compute_reading(self):
        for endpoint in self:
            reading = endpoint._last_reading()
            for name in READING_FIELDS:
                endpoint[name] = reading[name]
            endpoint.last_error = endpoint._reason_text(reading.reason)
            if not endpoint.active:
                endpoint.level = "unknown"
            elif missing := endpoint._missing_sample():
                endpoint.update({"level": "unknown", "last_error": missing})

    def _missing_sample(self):
        """Why there is no sample of these minutes, in words; None if there is one."""
        sampled_at = self._last_reading().sampled_at
        if not sampled_at:
            return self.env._("It was not measured yet at this address.")
        if sampled_at >= fields.Datetime.now() - timedelta(seconds=self._sample_patience()):
            return None
        return self.env._(
            "It was not measured since %s UTC. Check that “Log Connection Pressure” is on in the Settings, and that "
            "Odoo's scheduled actions run.",
            sampled_at,
        )

    @api.model
    def _sample_patience(self):
        """How many seconds after a sample the next one is missed."""
        return MISSED_SAMPLES * self.env["res.config.settings"]._interval("sample") + CONSOLE_TIMEOUT

    @api.model
    def _search_level(self, operator, value):
        if operator != "in":
            return NotImplemented
        endpoints = self.search([("active", "in", (True, False))])
        return [("id", "in", endpoints.filtered(lambda endpoint: endpoint.level in value).ids)]
