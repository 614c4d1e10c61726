"""What a plan needs of the history. Reads stored samples only."""

from datetime import timedelta

from odoo import api, fields, models
from odoo.tools import SQL

from ...odoo_internals import system_database

HISTORY = timedelta(days=7)
# An hour counts if samples cover at least half of it.
MIN_SECONDS = 1800


class ConnectionPlan(models.Model):
    _inherit = "connection.plan"

    @api.model
    def _history_values(self, reading):
        if not reading.poolers:
            reason = next(iter(reading.unread), {"code": "no_pgbouncer"})
            return {}, [(name, reason) for name in ("mean_busy", "peak_busy")]
        found = dict(zip(("mean_busy", "peak_busy"), self._busy(reading.poolers), strict=True))
        values = {name: value for name, value in found.items() if value is not None}
        return values, [(name, {"code": "no_history"}) for name in found if name not in values]

    @api.model
    def _busy(self, poolers):
        """Return the mean of busy server connections in the busiest hour, and the highest sv_active + cl_waiting, over
        the pools of business databases of these PgBouncers; None for what is unknown.

        The mean is the time that servers were busy, per second (Little's law).

        :param list poolers: of `analysis.installation`, whose keys are endpoints
        """
        query = SQL(
            """
            WITH sample AS (%s), of_endpoint AS (
                SELECT date_trunc('hour', sampled_at) AS hour,
                       GREATEST(sum(busy_time) / sum(interval), 0) AS busy
                  FROM sample
                 WHERE interval IS NOT NULL AND NOT is_untimed
                 GROUP BY 1, endpoint_id
                HAVING sum(interval) >= %s
            )
            SELECT (SELECT max(total) FROM (SELECT sum(busy) AS total FROM of_endpoint GROUP BY hour) AS of_hour),
                   (SELECT max(total) FROM (
                        SELECT sum(demand) AS total FROM sample GROUP BY sampled_at HAVING NOT bool_or(is_uncounted)
                    ) AS of_time)
            """,
            self._sampled_pools(poolers),
            MIN_SECONDS,
        )
        [(mean, peak)] = self.env.execute_query(query)
        return mean, None if peak is None else round(peak)

    @api.model
    def _sampled_pools(self, poolers) -> SQL:
        """Return the query for all pools of business databases of each endpoint at the time of each sample.

        Listeners keep their servers of the database postgres, which are no work.
        PgBouncer counts the time of a transaction, with its wait for a server, when it ends: the wait is subtracted.
        The ``demand`` of a merged hour is the sum of the maxima of the pools, an upper bound.
        """
        elsewhere = [(pooler.key.id, name) for pooler in poolers for name in pooler.elsewhere]
        return SQL(
            """
            SELECT endpoint_id, sampled_at,
                   sum(xact_time::float8 - wait_time) AS busy_time,
                   max(interval) AS interval,
                   bool_or(interval IS NOT NULL AND (xact_time IS NULL OR wait_time IS NULL)) AS is_untimed,
                   sum(used_max + waiting_max) FILTER (WHERE "user" IS NOT NULL) AS demand,
                   bool_or("user" IS NOT NULL AND (used_max IS NULL OR waiting_max IS NULL)) AS is_uncounted
              FROM connection_sample
             WHERE sampled_at >= %s
               AND endpoint_id = ANY(%s)
               AND database <> %s
               AND (endpoint_id, database) NOT IN (SELECT * FROM unnest(%s::int[], %s::text[]))
             GROUP BY endpoint_id, sampled_at
            """,
            fields.Datetime.now() - HISTORY,
            [pooler.key.id for pooler in poolers],
            system_database(),
            [endpoint_id for endpoint_id, _name in elsewhere],
            [name for _endpoint_id, name in elsewhere],
        )
