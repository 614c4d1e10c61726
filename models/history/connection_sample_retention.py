"""Merge the samples of old hours, and delete old samples. In SQL, because there may be millions."""

from datetime import timedelta

from odoo import api, fields, models
from odoo.tools import SQL
from odoo.tools.constants import GC_UNLINK_LIMIT

from ...analysis import pressure
from ...analysis.pgbouncer_samples import POOL_COLUMNS, POOL_COUNTERS
from ...analysis.postgresql_samples import SESSION_COUNTERS
from .connection_sample import _duration, _mean

# How the samples of an hour are merged. Means, and the columns that weigh them.
MEANS = dict.fromkeys(
    (
        "used",
        "waiting",
        "pressure",
        "active_backends",
        "idle_backends",
        "idle_in_transaction_backends",
        "hidden_backends",
        "untracked_backends",
        "blocked_backends",
        *POOL_COLUMNS,
    ),
    "sample_count",
) | {"waiting_mean": "interval"}
# Average durations, and their times and counts.
DURATIONS = {"xact_mean": ("xact_time", "xact_count"), "query_mean": ("query_time", "query_count")}
MAXIMA = (
    "capacity",
    "used_max",
    "waiting_max",
    "waiting_mean_max",
    "pressure_max",
    "pool_pressure",
    "maxwait",
    "blocked_age",
    "xact_age",
    "idle_in_transaction_age",
    "notification_queue_usage",
)
# Taken from the worst sample of the hour.
OF_WORST = ("rule", "reason_facts")
SUMS = ("sample_count", "interval", *POOL_COUNTERS.values(), *SESSION_COUNTERS, "refused")


class ConnectionSample(models.Model):
    _inherit = "connection.sample"

    @api.autovacuum
    def _gc_minutes(self):
        """Merge the samples of an old hour, in one statement: each sample counts exactly once. Late samples are merged
        into the existing sample of their hour."""
        days = self.env["connection.settings"]._value("minute_days")
        if days is False:
            return 0, 0
        limit = (fields.Datetime.now() - timedelta(days=days)).replace(minute=0, second=0, microsecond=0)
        old = SQL("FROM connection_sample WHERE period = 'minute' AND sampled_at < %s", limit)
        [(hour,)] = self.env.execute_query(SQL("SELECT date_trunc('hour', min(sampled_at)) %s", old))
        if not hour:
            return 0, 0
        merged = self._merged_columns(hour)
        self.env.cr.execute(
            SQL(
                """
                WITH minutes AS (
                    DELETE FROM connection_sample WHERE sampled_at >= %(hour)s AND sampled_at < %(end)s RETURNING *
                )
                INSERT INTO connection_sample (%(key)s, %(columns)s)
                SELECT %(key)s, %(values)s FROM minutes GROUP BY %(key)s
                """,
                hour=hour,
                end=hour + timedelta(hours=1),
                key=SQL(", ").join(map(SQL.identifier, ("endpoint_id", "database", "user"))),
                columns=SQL(", ").join(map(SQL.identifier, merged)),
                values=SQL(", ").join(merged.values()),
            )
        )
        done = self.env.cr.rowcount
        [(remaining,)] = self.env.execute_query(SQL("SELECT EXISTS (SELECT %s)", old))
        return done, int(remaining)

    @api.model
    def _merged_columns(self, hour):
        """Return column -> SQL expression that merges the samples of an hour."""
        severity = SQL("array_position(%s, level::text)", list(pressure.LEVELS))
        merged = {
            "sampled_at": SQL("%s", hour),
            "period": SQL("'hour'"),
            "level": SQL("(%s)[max(%s)]", list(pressure.LEVELS), severity),
            "is_paused": SQL("bool_or(is_paused)"),
        }
        for name in OF_WORST:
            merged[name] = SQL(
                "(array_agg(%s ORDER BY %s DESC, sampled_at) FILTER (WHERE reason_facts IS NOT NULL))[1]",
                SQL.identifier(name),
                severity,
            )
        for name, weight in MEANS.items():
            merged[name] = _mean(SQL.identifier(name), SQL.identifier(weight))
        for name, columns in DURATIONS.items():
            merged[name] = _duration(*map(SQL.identifier, (name, *columns)))
        merged |= {name: SQL("max(%s)", SQL.identifier(name)) for name in MAXIMA}
        return merged | {name: SQL("sum(%s)", SQL.identifier(name)) for name in SUMS}

    @api.autovacuum
    def _gc_samples(self):
        """Delete samples older than the set number of days, in batches."""
        days = self.env["connection.settings"]._value("sample_days")
        if days is False:
            return 0, 0
        # Odoo's unlink would read the records first.
        self.env.cr.execute(
            SQL(
                """
                DELETE FROM connection_sample
                 WHERE id IN (SELECT id FROM connection_sample WHERE sampled_at < %s ORDER BY sampled_at LIMIT %s)
                """,
                fields.Datetime.now() - timedelta(days=days),
                GC_UNLINK_LIMIT,
            )
        )
        return self.env.cr.rowcount, int(self.env.cr.rowcount == GC_UNLINK_LIMIT)
