"""The charts of the last hour. Read from stored samples in one query."""

from collections import defaultdict
from datetime import timedelta

from odoo import api, fields, models
from odoo.tools import SQL

from ...analysis import pressure
from ...tools import EPOCH, selection_label

CHART_HOURS = 1
# The rule whose thresholds are about the pressure of the instance.
PRESSURE_RULES = {"postgresql": "postgresql_pressure", "pgbouncer": "pgbouncer_pressure"}


class ConnectionOverview(models.AbstractModel):
    _inherit = "connection.overview"

    @api.model
    def _charts(self, measured):
        """Return the last hour of each endpoint, up to this moment.

        :return: endpoint -> ``since`` and ``until`` (seconds since 1970), ``lines``: a label and points of seconds
            and percent, which is None in a gap; and ``thresholds`` of the first line: a level, a label and percent
        """
        until = fields.Datetime.now()
        since = until - timedelta(hours=CHART_HOURS)
        limits = {"since": (since - EPOCH).total_seconds(), "until": (until - EPOCH).total_seconds()}
        stored, gap = self._pressures(measured, since), self.env["connection.sample"]._gap()
        charts = {}
        for endpoint, sample in measured.items():
            instance = sample.rows[0]
            now = (until, instance.get("pressure"), instance.get("pool_pressure"))
            points, last = [], until
            for time, *percents in [*stored[endpoint.id], now]:
                seconds = (time - EPOCH).total_seconds()
                points += [[seconds, None, None]] * (time - last > gap)
                points.append([seconds, *percents])
                last = time
            charts[endpoint] = self._chart(endpoint, sample.rules, points) | limits
        return charts

    @api.model
    def _pressures(self, endpoints, since):
        """Return the stored pressures of endpoints: id -> rows of a time, the pressure of the instance and that of its
        fullest pool, the oldest first."""
        self.env["connection.sample"].check_access("read")
        # Odoo's own search writes the condition in a way that uses no index.
        query = SQL(
            """SELECT endpoint_id, sampled_at, pressure_max, pool_pressure
                 FROM connection_sample
                WHERE endpoint_id = ANY(%s) AND database IS NULL AND sampled_at >= %s
             ORDER BY sampled_at""",
            [endpoint.id for endpoint in endpoints],
            since,
        )
        pressures = defaultdict(list)
        for endpoint_id, *row in self.env.execute_query(query):
            pressures[endpoint_id].append(row)
        return pressures

    @api.model
    def _chart(self, endpoint, rules, points):
        """:param points: seconds, the pressure of the instance, and that of its fullest pool"""
        labels = [self.env._("Connections (%)")]
        words = {level: selection_label(endpoint, "level", level) for level in pressure.LEVELS}
        if endpoint.kind == "pgbouncer":
            labels = [self.env._("Clients (%)"), self.env._("Fullest Pool (%)")]
            words = {level: self.env._("Clients: %s", word) for level, word in words.items()}
        rule = rules.get(PRESSURE_RULES[endpoint.kind])
        thresholds = dict(zip(("warning", "critical"), rule.thresholds, strict=True)) if rule else {}
        return {
            "lines": [
                {"label": label, "points": [[point[0], point[number]] for point in points]}
                for number, label in enumerate(labels, 1)
            ],
            "thresholds": [
                {"level": level, "label": words[level], "percent": percent}
                for level, percent in thresholds.items()
                if percent is not None
            ],
        }
