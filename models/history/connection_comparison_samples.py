"""What samples and alerts of a period show. One query for the figures of a period, one for each line."""

from datetime import timedelta

from odoo import api, models
from odoo.tools import SQL

from ...analysis import comparison
from ...tools import EPOCH
from .comparison_figures import FIGURES

# Scheduled actions run some seconds late.
LATENESS = 1.1


class ConnectionComparison(models.TransientModel):
    _inherit = "connection.comparison"

    @api.model
    def _totals(self, endpoints, start, end):
        """Return the figures of a period.

        :return: endpoint -> a value for each of FIGURES, None if it is unknown, ``known``: in how many samples it is;
            ``alerts`` that were open, None if that is unknown; ``samples``: how many were answered; ``covered``: the
            seconds that they stand for; ``is_merged``: whether any of them is an hour, ``is_cut``: or only a part of it
        """
        self.env["connection.sample"].check_access("read")
        names = ("first", "between", "samples", "is_merged", "is_cut", *FIGURES)
        answered = SQL("FILTER (WHERE used IS NOT NULL)")
        query = SQL(
            """
            SELECT endpoint_id, min(sampled_at) %(answered)s, sum(seconds) %(answered)s, sum(sample_count) %(answered)s,
                   bool_or(period = 'hour'), bool_or(period = 'hour' AND (sampled_at < %(start)s OR until > %(end)s)),
                   %(figures)s, %(known)s
              FROM (%(samples)s) AS sample
             GROUP BY endpoint_id
            """,
            answered=answered,
            start=start,
            end=end,
            figures=SQL(", ").join(figure.value for figure in FIGURES.values()),
            known=SQL(", ").join(
                SQL("sum(sample_count) FILTER (WHERE %s IS NOT NULL)", SQL.identifier(figure.known))
                for figure in FIGURES.values()
            ),
            samples=self._period_samples(endpoints, start, end),
        )
        found = {endpoint_id: row for endpoint_id, *row in self.env.execute_query(query)}
        alerts, nothing = self._alerts(endpoints, start, end), [None] * (len(names) + len(FIGURES))
        totals = {}
        for endpoint in endpoints:
            row = found.get(endpoint.id, nothing)
            total = dict(zip(names, row, strict=False))
            total["known"] = dict(zip(FIGURES, row[len(names) :], strict=True))
            total["covered"] = self._covered(total, start, end)
            # Where nothing is sampled, no alert opens.
            total["alerts"] = alerts.get(endpoint, 0 if total["samples"] else None)
            totals[endpoint] = total
        return totals

    @api.model
    def _covered(self, total, start, end):
        first = total["first"] and (total["first"] - EPOCH).total_seconds()
        gap = self.env["connection.sample"]._gap().total_seconds()
        seconds = (end - start).total_seconds()
        return comparison.covered((start - EPOCH).total_seconds(), seconds, first, float(total["between"] or 0), gap)

    @api.model
    def _alerts(self, endpoints, start, end):
        """Return endpoint -> the number of alerts that were open in a period."""
        domain = [
            ("endpoint_id", "in", endpoints.ids),
            ("opened_at", "<", end),
            "|",
            ("closed_at", "=", False),
            ("closed_at", ">", start),
        ]
        return dict(self.env["connection.alert"]._read_group(domain, ["endpoint_id"], ["__count"]))

    @api.model
    def _lines(self, endpoints, start, end, name, width):
        """Return endpoint -> the points of a figure in a period, see `comparison.line`; none if it is not measured.

        :param str name: of FIGURES
        :param width: of a point in seconds
        """
        figure = FIGURES[name]
        query = SQL(
            """
            SELECT endpoint_id,
                   -- The points of merged hours begin where the period does, not with an hour of the clock.
                   floor((EXTRACT(EPOCH FROM until - %s) - (period = 'hour')::int) / %s)::int AS bucket,
                   %s, EXTRACT(EPOCH FROM min(sampled_at))::float8, EXTRACT(EPOCH FROM max(until))::float8
              FROM (%s) AS sample
             GROUP BY 1, 2
             ORDER BY 1, 2
            """,
            start,
            width,
            figure.value,
            self._period_samples(endpoints, start, end),
        )
        gap = self.env["connection.sample"]._gap().total_seconds()
        buckets = {endpoint.id: [] for endpoint in endpoints}
        for endpoint_id, *bucket in self.env.execute_query(query):
            buckets[endpoint_id].append(bucket)
        return {
            endpoint: comparison.line(buckets[endpoint.id], width, gap) if endpoint.kind in figure.kinds else []
            for endpoint in endpoints
        }

    @api.model
    def _period_samples(self, endpoints, start, end) -> SQL:
        """Return the query for the samples of instances in a period: with ``until``, the end of a merged hour, else the
        time of the sample; and ``seconds`` of the period that the sample stands for: until the next one, up to a gap.

        A merged hour counts if a part of it is in the period. It stands for as much of the hour as it has samples.
        """
        # Odoo's own search writes the condition in a way that uses no index.
        return SQL(
            """
            SELECT *,
                   sampled_at + %(length)s AS until,
                   GREATEST(0, EXTRACT(EPOCH FROM LEAST(
                       lead(sampled_at) OVER (PARTITION BY endpoint_id ORDER BY sampled_at),
                       %(end)s,
                       sampled_at + CASE period WHEN 'hour' THEN LEAST(interval '1 hour', sample_count * %(every)s)
                                    ELSE %(gap)s END
                   ) - GREATEST(sampled_at, %(start)s))) AS seconds
              FROM connection_sample
             WHERE endpoint_id = ANY(%(endpoints)s) AND database IS NULL
               AND sampled_at > %(start)s - interval '1 hour' AND sampled_at < %(end)s
               AND (period = 'hour' OR sampled_at >= %(start)s)
            """,
            length=SQL("CASE period WHEN 'hour' THEN interval '1 hour' ELSE interval '0' END"),
            endpoints=endpoints.ids,
            start=start,
            end=end,
            every=LATENESS * timedelta(seconds=self.env["connection.settings"]._interval("sample")),
            gap=self.env["connection.sample"]._gap(),
        )
