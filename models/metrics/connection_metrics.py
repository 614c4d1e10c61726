"""The lines for Prometheus, made with each sample. No server is queried here."""

import logging

from odoo import api, fields, models

from ...analysis import metric_lines
from ...probes import postgres
from . import exposition

_logger = logging.getLogger(__name__)

# Longer lines of one name are compressed on their own. To begin a gzip member takes as long as to compress some kB.
MAX_TEXT = 4096


class ConnectionMetrics(models.Model):
    """The lines of the last sample of an endpoint, as a scrape sends them."""

    _name = "connection.metrics"
    _description = "Metrics of an Endpoint"
    _log_access = False

    endpoint_id = fields.Many2one("connection.endpoint", required=True, ondelete="cascade")
    label = fields.Char(required=True)  # value of the label `endpoint` in these lines
    sampled_at = fields.Datetime(required=True)
    # Name -> lines of the series that have few; of the others, pairs of their name and the length of their gzip member,
    # and these members.
    texts = fields.Json()
    lengths = fields.Json()
    content = fields.Binary(attachment=False, groups=fields.NO_ACCESS)  # no RPC can encode it

    _endpoint_uniq = models.UniqueIndex("(endpoint_id)")

    @api.model
    def _store(self, snapshots):
        """Store the lines of samples.

        :param dict snapshots: endpoint -> Snapshot of connection.sample
        """
        if not exposition.library:
            return
        endpoints = self.env["connection.endpoint"].browse(endpoint.id for endpoint in snapshots)
        stored = self.search([("endpoint_id", "in", endpoints.ids)]).grouped("endpoint_id")
        labels = endpoints._metric_labels()
        for endpoint, snapshot in snapshots.items():
            row = stored.get(endpoint, self.browse())
            # An archived endpoint has no label.
            lines = endpoint.id in labels and self._lines(labels[endpoint.id], endpoint, snapshot)
            if not lines:
                row.unlink()
                continue
            members = {name: exposition.member(text) for name, text in lines.items() if len(text) > MAX_TEXT}
            values = {
                "endpoint_id": endpoint.id,
                "label": labels[endpoint.id],
                "sampled_at": endpoint._last_reading().sampled_at,
                "texts": {name: text for name, text in lines.items() if text and name not in members},
                "lengths": [(name, len(member)) for name, member in members.items()],
                "content": b"".join(members.values()),
            }
            row.write(values) if row else row.create(values)

    @api.model
    def _lines(self, label, endpoint, snapshot):
        """Return the lines of a sample: name of the series -> text; {} if they cannot be made."""
        try:
            answer = snapshot.answer
            lines = metric_lines.instance_lines(label, endpoint.kind, bool(answer), snapshot.tables[0])
            if answer and endpoint.kind == "postgresql":
                [row], states = answer.answers[postgres.ACTIVITY], answer.answers.get(postgres.STATES, [])
                lines |= metric_lines.postgresql_lines(label, row, states)
            elif answer:
                lines |= metric_lines.pgbouncer_lines(label, answer.version, answer.answers, snapshot.tables)
            return lines
        except Exception:  # an unexpected answer must cost neither the sample nor the other endpoints
            _logger.exception("No metrics of %s", endpoint.name)
            return {}

    def _parts(self):
        """Return name of the series -> the lines, as a text or as a gzip member."""
        parts, start, content = dict(self.texts or {}), 0, self.content
        for name, length in self.lengths or ():
            parts[name] = content[start : start + length]
            start += length
        return parts
