"""The metrics of each sample."""

import logging

from odoo import api, models

_logger = logging.getLogger(__name__)


class ConnectionSample(models.Model):
    _inherit = "connection.sample"

    @api.model
    def _sample(self, endpoints):
        snapshots = super()._sample(endpoints)
        try:
            with self.env.cr.savepoint():
                self.env["connection.metrics"].sudo()._store(snapshots)
        except Exception:  # must not cost the samples and alerts
            _logger.exception("The metrics of this sample are not stored")
        return snapshots
