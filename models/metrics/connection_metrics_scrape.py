"""The answer to a scrape: what is stored, and the few series that depend on the moment."""

from odoo import api, fields, models

from ...analysis.metric_families import FAMILIES
from ...analysis.metric_lines import series
from . import exposition

# The levels of an open alert.
ALERT_LEVELS = ("warning", "critical")
# By the verdict of a check: whether notifications arrive. For the others it is unknown.
LISTENING = {"direct": 1, "session": 1, "deaf": 0, "unreachable": 0}


class ConnectionMetrics(models.Model):
    _inherit = "connection.metrics"

    @api.model
    def _scrape(self, accept, is_packed, is_live):
        """Return the metrics, and their Content-Type.

        :param str accept: the Accept header
        :param bool is_packed: whether as gzip
        :param bool is_live: whether to take the samples now, instead of the last ones; they are not stored
        """
        endpoints = self.env["connection.endpoint"].search([("active", "=", True)])
        labels = endpoints._metric_labels()
        measured = (self._measured if is_live else self._stored)(endpoints, labels)
        measured.append(self._of_the_moment(endpoints, labels))
        kind = exposition.content_type(accept)
        is_open, parts = exposition.is_openmetrics(kind), []
        for name in FAMILIES:
            if lines := [found[name] for found in measured if found.get(name)]:
                parts += [exposition.header(name, is_open), *lines]
        if is_open:
            parts.append(exposition.END)
        return (exposition.packed if is_packed else exposition.unpacked)(parts), kind

    @api.model
    def _stored(self, endpoints, labels):
        """Return the lines of the last sample of each endpoint.

        An old sample has none. Nor has one whose lines have another label: the endpoint was renamed meanwhile.
        """
        names = ["endpoint_id", "label", "sampled_at", "texts", "lengths", "content"]  # in one query
        rows = self.search_fetch([("endpoint_id", "in", endpoints.ids)], names).grouped("endpoint_id")
        patience, measured = endpoints._sample_patience(), []
        for endpoint in endpoints:
            sampled_at, row = endpoint._last_reading().sampled_at, rows.get(endpoint)
            is_last = row and row.sampled_at == sampled_at and row.label == labels[endpoint.id]
            if is_last and not endpoint._missing_sample(patience):
                measured.append(row._parts())
        return measured

    @api.model
    def _measured(self, endpoints, labels):
        """Return the lines of a sample of each endpoint that is taken now."""
        Sample, measured = self.env["connection.sample"], []
        snapshots = Sample._snapshots(endpoints)
        for endpoint, snapshot in snapshots.items():
            snapshot.tables[0].values |= Sample._other_values(endpoint, snapshots)
            measured.append(self._lines(labels[endpoint.id], endpoint, snapshot))
        return measured

    @api.model
    def _listening(self, listener):
        """Return the value of odoo_connection_listen_ok. A critical check of a usable connection has found that
        notifications get lost elsewhere: behind a full pool, or on their way to the browser."""
        check = self.env["connection.check"]._worst(listener)
        level = check._level_now()
        return None if level == "unknown" else 0 if level == "critical" else LISTENING.get(check.verdict)

    @api.model
    def _of_the_moment(self, endpoints, labels):
        """Return the lines that depend on the moment of the scrape: name of the series -> text."""
        now, readings = fields.Datetime.now(), {endpoint: endpoint._last_reading() for endpoint in endpoints}
        listeners = self.env["connection.check"]._listeners()
        is_open = [("closed_at", "=", False), ("endpoint_id", "in", endpoints.ids)]
        groups = self.env["connection.alert"]._read_group(is_open, ["endpoint_id", "level"], ["__count"])
        alerts = {(endpoint, level): count for endpoint, level, count in groups}
        return (
            series("odoo_connection_listen_ok", [(self._listening(listener), listener) for listener in listeners])
            | series(
                "odoo_connection_open_alerts",
                [
                    (alerts.get((endpoint, level), 0), labels[endpoint.id], level)
                    for endpoint in endpoints
                    for level in ALERT_LEVELS
                ],
            )
            | series(
                "odoo_connection_sample_age_seconds",
                [
                    ((now - reading.sampled_at).total_seconds(), labels[endpoint.id], endpoint.kind)
                    for endpoint, reading in readings.items()
                    if reading.sampled_at
                ],
            )
            | series(
                "odoo_connection_sampler_interval_seconds",
                [(self.env["connection.settings"]._interval("sample"),)],
            )
            | series(
                "odoo_connection_refused_total",
                [(total, host, kind) for host, kind, total in self.env["connection.refusal"]._totals()],
            )
        )
