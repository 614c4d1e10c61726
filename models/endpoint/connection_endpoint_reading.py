"""What an endpoint shows of its last sample. Reads connection.reading; queries no server."""

from datetime import timedelta

from odoo import api, fields, models

from ...probes.console import CONSOLE_TIMEOUT
from .connection_endpoint import ADDRESS_FIELDS
from .connection_reading import READING_FIELDS

# After this many intervals without a sample, the level of an endpoint is unknown.
MISSED_SAMPLES = 3


class ConnectionEndpoint(models.Model):
    _inherit = "connection.endpoint"

    def _last_reading(self):
        """Return the last sample of this endpoint, empty if it was taken at another address."""
        reading = self.sudo().reading_ids
        return reading if reading.address == self._address_key() else reading.browse()

    def _keep_reading(self, values):
        """Store the last sample of this endpoint.

        :param dict values: of connection.reading
        """
        values = values | {"endpoint_id": self.id, "address": self._address_key()}
        reading = self.sudo().reading_ids
        return reading.write(values) if reading else reading.create(values)

    def _address_key(self):
        return f"{self.user or ''}@{self.host or ''}:{self.port or ''} {self.sslmode}"

    @api.depends("active", *ADDRESS_FIELDS, *(f"reading_ids.{name}" for name in READING_FIELDS))
    def _compute_reading(self):
        patience = self._sample_patience()
        for endpoint in self:
            reading = endpoint._last_reading()
            for name in READING_FIELDS:
                endpoint[name] = reading[name]
            if not endpoint.active or endpoint._missing_sample(patience):
                endpoint.level = "unknown"

    @api.depends("active", *ADDRESS_FIELDS, "reading_ids.sampled_at", "reading_ids.reason")
    @api.depends_context("lang", "tz")
    def _compute_last_error(self):
        patience = self._sample_patience()
        for endpoint in self:
            missing = endpoint.active and endpoint._missing_sample(patience)
            endpoint.last_error = missing or endpoint._reason_text(endpoint._last_reading().reason)

    def _missing_sample(self, patience):
        """Return in words why there is no recent sample; None if there is one.

        :param patience: of `_sample_patience`, which costs a query: read once for all endpoints
        """
        sampled_at = self._last_reading().sampled_at
        if not sampled_at:
            return self.env._("Not sampled yet at this address.")
        if sampled_at >= fields.Datetime.now() - timedelta(seconds=patience):
            return None
        return self.env._(
            "Not sampled since %s UTC. Check that “Log Connection Pressure” is enabled in the Settings, and that "
            "Odoo's scheduled actions run.",
            sampled_at,
        )

    @api.model
    def _sample_patience(self):
        """Return how many seconds after a sample its successor counts as missing."""
        return MISSED_SAMPLES * self.env["connection.settings"]._interval("sample") + CONSOLE_TIMEOUT

    @api.model
    def _search_level(self, operator, value):
        if operator != "in":
            return NotImplemented
        endpoints = self.search([("active", "in", (True, False))])
        return [("id", "in", endpoints.filtered(lambda endpoint: endpoint.level in value).ids)]
