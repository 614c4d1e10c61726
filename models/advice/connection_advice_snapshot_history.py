"""What a snapshot has of the history. Reads stored samples only."""

from odoo import api, fields, models
from odoo.tools import SQL

from ...advice.snapshot import History
from ..planning.connection_plan_fill_history import HISTORY

# How many samples of pools are read at most, twice: of every nth minute, and of those in which most clients waited.
MAX_SAMPLES = 400_000


class ConnectionAdvice(models.Model):
    _inherit = "connection.advice"

    @api.model
    def _pool_histories(self, reading):
        """Return key -> (database, user) -> `advice.snapshot.History`, of the consoles that have answered."""
        interval, nth = self.env["connection.settings"]._interval("sample"), self._nth(reading)
        found = {key: {} for key in nth}
        # Compiling the query would take as long as running it.
        self.env.cr.execute("SET LOCAL jit = off")
        rows = self.env.execute_query(self._pools_query(nth))
        for key, database, user, count, used, demand, full, waiting in rows:
            found[key][database, user] = History(
                minutes=round(count * interval / 60),
                used_max=used,
                demand_max=demand,
                full_minutes=round(full * interval / 60),
                waiting_minutes=round(waiting * interval / 60),
            )
        return found

    @api.model
    def _nth(self, reading):
        """Return key -> of how many minutes the samples of a console's pools are read once."""
        minutes = HISTORY.total_seconds() / self.env["connection.settings"]._interval("sample")
        return {
            endpoint.id: 1 + int(len(answers["SHOW POOLS"]) * minutes) // MAX_SAMPLES
            for endpoint, answers in reading.consoles.items()
        }

    @api.model
    def _pools_query(self, nth) -> SQL:
        """Return the query for the history of pools, from the samples of the minutes that are chosen.

        The figures of a merged hour are maxima of different minutes: one minute of it was full, if any.

        :param dict nth: of `_nth`
        """
        # OFFSET 0: by the index of the times, a minute after the other.
        return SQL(
            """
            WITH minute AS MATERIALIZED (%s)
            SELECT minute.endpoint_id, pool.database, pool."user",
                   COALESCE(sum(pool.sample_count * nth) FILTER (WHERE is_nth), 0),
                   max(pool.used_max)::int,
                   max(pool.used_max + pool.waiting_max)::int,
                   COALESCE(sum(CASE period WHEN 'minute' THEN pool.sample_count ELSE 1 END) FILTER (
                       WHERE pool.waiting_max > 0 AND pool.used_max >= pool.capacity AND pool.pressure_max > 100
                   ), 0),
                   COALESCE(sum(CASE period WHEN 'minute' THEN pool.sample_count ELSE 1 END) FILTER (
                       WHERE pool.waiting_max > 0
                   ), 0)
              FROM minute, LATERAL (
                       SELECT *
                         FROM connection_sample
                        WHERE sampled_at = minute.sampled_at
                          AND endpoint_id = minute.endpoint_id
                          AND "user" IS NOT NULL
                       OFFSET 0
                   ) AS pool
             WHERE is_nth OR is_busy
             GROUP BY minute.endpoint_id, pool.database, pool."user"
            """,
            self._chosen_minutes(nth),
        )

    @api.model
    def _chosen_minutes(self, nth) -> SQL:
        """Return the query for the minutes in which an instance was sampled, and whether those of its pools count.

        :param dict nth: of `_nth`: every nth minute counts, and as many in which most clients waited
        """
        return SQL(
            """
            SELECT endpoint_id, sampled_at, nth,
                   (row_number() OVER (PARTITION BY endpoint_id ORDER BY sampled_at) - 1) %% nth = 0 AS is_nth,
                   waiting_max > 0 AND row_number() OVER (
                       PARTITION BY endpoint_id ORDER BY waiting_max DESC NULLS LAST
                   ) <= count(*) OVER (PARTITION BY endpoint_id) / nth AS is_busy
              FROM connection_sample
              JOIN unnest(%s::int[], %s::int[]) AS endpoint(endpoint_id, nth) USING (endpoint_id)
             WHERE database IS NULL AND sampled_at >= %s
            """,
            list(nth),
            list(nth.values()),
            fields.Datetime.now() - HISTORY,
        )

    @api.model
    def _postgresql_history(self):
        """Return the `advice.snapshot.History` of the endpoint of PostgreSQL."""
        query = SQL(
            """
            SELECT COALESCE(sum(sample_count), 0), max(used_max)::int
              FROM connection_sample
              JOIN connection_endpoint AS endpoint ON endpoint.id = endpoint_id AND kind = 'postgresql'
             WHERE database IS NULL AND sampled_at >= %s
            """,
            fields.Datetime.now() - HISTORY,
        )
        [(count, used)] = self.env.execute_query(query)
        interval = self.env["connection.settings"]._interval("sample")
        return History(minutes=round(count * interval / 60), used_max=used)
