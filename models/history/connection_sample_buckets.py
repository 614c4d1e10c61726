"""Group samples by minutes, and show gaps where samples are missing. Reads samples only."""

from datetime import datetime, timedelta

import pytz

from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import SQL

from ...tools import EPOCH
from .connection_sample import BUCKET_FORMAT, BUCKETS, _duration, _mean
from .connection_sample_retention import DURATIONS, MEANS

# A gap in a graph has at most as many points as a day has minutes.
MAX_GAP = 24 * 60


class ConnectionSample(models.Model):
    _inherit = "connection.sample"

    @api.model
    def _gap(self):
        """Return the longest time between two samples that is no gap: scheduled actions run some seconds late."""
        return timedelta(seconds=1.5 * self.env["connection.settings"]._interval("sample"))

    @api.depends("sampled_at")
    def _compute_buckets(self):
        for sample in self:
            for name, seconds in BUCKETS.items():
                step = timedelta(seconds=seconds)
                start = sample.sampled_at and EPOCH + (sample.sampled_at - EPOCH) // step * step
                sample[name] = start and start.strftime(BUCKET_FORMAT)

    def _field_to_sql(self, alias, field_expr, query=None):
        if field_expr not in BUCKETS:
            return super()._field_to_sql(alias, field_expr, query)
        seconds = BUCKETS[field_expr]
        return SQL(
            "to_char(timestamp 'epoch' + floor(EXTRACT(EPOCH FROM %s) / %s) * %s * interval '1 second',"
            " 'YYYY-MM-DD HH24:MI')",
            super()._field_to_sql(alias, "sampled_at", query),
            seconds,
            seconds,
        )

    @api.model
    def _search_bucket(self, name, operator, value):
        if operator != "in":
            return NotImplemented
        starts = [datetime.strptime(text, BUCKET_FORMAT) for text in value if text]
        step = timedelta(seconds=BUCKETS[name])
        return Domain.OR([("sampled_at", ">=", start), ("sampled_at", "<", start + step)] for start in starts)

    def _read_group_select(self, aggregate_spec, query):
        name, _colon, function = aggregate_spec.partition(":")

        def columns(*names):
            return [self._field_to_sql(self._table, column, query) for column in (name, *names)]

        if function == "avg" and name in DURATIONS:
            return _duration(*columns(*DURATIONS[name]))
        if function == "avg" and name in MEANS:
            # The sample of an hour weighs as much as the samples that were merged.
            return _mean(*columns(MEANS[name]))
        return super()._read_group_select(aggregate_spec, query)

    @api.model
    def formatted_read_group(self, domain, groupby=(), aggregates=(), *args, **kwargs):
        buckets = [name for name in groupby if name in BUCKETS]
        is_filled = self.env.context.get("fill_temporal") and groupby and groupby[0] in BUCKETS
        more = ("sampled_at:min", "sampled_at:max", "period:array_agg_distinct") if is_filled else ()
        groups = super().formatted_read_group(domain, groupby, [*aggregates, *more], *args, **kwargs)
        if is_filled:
            groups = self._fill_gaps(groups, groupby[0])
        for group in groups:
            for name in buckets:
                group[name] = self._bucket_label(group[name])
        return groups

    @api.model
    def _bucket_label(self, bucket):
        """Return a time in the user's time zone, with the zone's name in the hour that clocks pass twice."""
        local = pytz.UTC.localize(datetime.strptime(bucket, BUCKET_FORMAT)).astimezone(self.env.tz)
        summer, winter = (self.env.tz.localize(local.replace(tzinfo=None), is_dst=is_dst) for is_dst in (True, False))
        is_passed_twice = summer.utcoffset() != winter.utcoffset()
        return local.strftime(f"{BUCKET_FORMAT} %Z" if is_passed_twice else BUCKET_FORMAT)

    @api.model
    def _fill_gaps(self, groups, bucket):
        """Add an empty group for each period without samples, so that a graph shows a gap, as Odoo does for its own
        groups of times. A period between two samples is no gap (see `_gap`), nor is a merged hour."""
        step = timedelta(seconds=BUCKETS[bucket])
        gap = self._gap()
        filled, previous, covered = [], None, None

        def fill(until, first):
            if covered and first - covered > gap:
                for number in range(1, min(int((until - previous) / step), MAX_GAP)):
                    label = (previous + number * step).strftime(BUCKET_FORMAT)
                    nothing = {bucket: label, "__count": 0, "__extra_domain": [(0, "=", 1)]}
                    filled.append(dict.fromkeys(group, False) | nothing)

        for group in groups:
            start = datetime.strptime(group[bucket], BUCKET_FORMAT)
            first, latest = (fields.Datetime.to_datetime(group.pop(f"sampled_at:{what}")) for what in ("min", "max"))
            if "hour" in group.pop("period:array_agg_distinct"):
                latest += timedelta(hours=1)
            fill(start, first)
            filled.append(group)
            previous, covered = start, max(latest, covered or latest)
        if until := self.env.context.get("fill_until"):
            fill(until, until)
        return filled
