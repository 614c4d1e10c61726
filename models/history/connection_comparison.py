"""Compare two periods: what is chosen, and what follows from it in words. Reads samples and alerts only."""

from datetime import timedelta

from odoo import api, fields, models
from odoo.tools import format_datetime

from ...analysis import comparison
from ...fields import LargeInteger
from ...tools import EPOCH, format_number
from .comparison_figures import FIGURES

UNITS = {"minutes": comparison.MINUTE, "hours": comparison.HOUR, "days": comparison.DAY}
STARTS = ("first_start", "second_start")
# A figure says so if it is known in fewer of the samples.
MOST = 0.9


class ConnectionComparison(models.TransientModel):
    """Two periods to compare. Both have the same length, so that peaks and counts can be compared.

    By RPC: create one, then read ``comparison``.
    """

    _name = "connection.comparison"
    _description = "Comparison of Two Periods"

    first_start = fields.Datetime("First Period", help="When the first period starts.")
    second_start = fields.Datetime("Second Period", help="When the second period starts.")
    duration = LargeInteger(help="The length of both periods.", aggregator=None)
    unit = fields.Selection([("minutes", "Minutes"), ("hours", "Hours"), ("days", "Days")], required=True)
    endpoint_id = fields.Many2one("connection.endpoint", help="Empty: all endpoints.", ondelete="cascade")
    figure = fields.Selection(
        [(name, figure.label) for name, figure in FIGURES.items()],
        "Graph",
        required=True,
        default="pressure_max",
        help="The figure in the graphs.",
    )
    error = fields.Char(compute="_compute_comparison", help="What to change before the periods can be compared.")
    empty_help = fields.Html(compute="_compute_comparison")
    # periods: label, start and end; notes; endpoints: see `_endpoint_words`. Empty if there is an error.
    comparison = fields.Json(compute="_compute_comparison")

    @api.model
    def default_get(self, fields_list):
        """Compare the time until now with the same time before, as far back as there are samples."""
        now = fields.Datetime.now().replace(second=0, microsecond=0)
        oldest = self.env["connection.sample"].search([], order="sampled_at", limit=1).sampled_at
        seconds = comparison.default_seconds((now - oldest).total_seconds() if oldest else 2 * comparison.DAY)
        duration, size = comparison.in_units(seconds)
        values = {
            "first_start": now - 2 * timedelta(seconds=seconds),
            "second_start": now - timedelta(seconds=seconds),
            "duration": duration,
            "unit": next(unit for unit, seconds in UNITS.items() if seconds == size),
        }
        return {name: values[name] for name in fields_list if name in values} | super().default_get(fields_list)

    def _seconds(self):
        return self.duration * UNITS.get(self.unit, 0)

    @api.depends(*STARTS, "duration", "unit", "endpoint_id", "figure")
    @api.depends_context("lang", "tz", "uid")
    def _compute_comparison(self):
        now = (fields.Datetime.now() - EPOCH).total_seconds()
        for record in self:
            starts = [(record[name] - EPOCH).total_seconds() if record[name] else None for name in STARTS]
            code = comparison.problem(*starts, record._seconds(), now)
            record.error = code and record._problem_text(code)
            record.empty_help = self.env["connection.sample"]._empty_help()
            record.comparison = not code and not record.empty_help and record._words()

    @api.model
    def _problem_text(self, code):
        return {
            "no_duration": self.env._("Duration: enter at least 1 minute."),
            "too_long": self.env._("Duration: enter at most 400 days."),
            "no_start": self.env._("Choose when each period starts."),
            "future": self.env._("A period starts in the future. Choose an earlier start."),
            "same": self.env._("Both periods start at the same time. Choose another start."),
        }[code]

    def _words(self):
        """Return ``comparison``."""
        length = timedelta(seconds=self._seconds())
        periods = [(self[name], self[name] + length) for name in STARTS]
        # Search applies the record rules.
        chosen = [("id", "=", self.endpoint_id.id)] if self.endpoint_id else [("active", "=", True)]
        endpoints = self.env["connection.endpoint"].with_context(active_test=False).search(chosen)
        totals = [self._totals(endpoints, *period) for period in periods]
        parts = [total for of_period in totals for total in of_period.values()]
        width = comparison.step(self._seconds(), any(part["is_merged"] for part in parts))
        lines = [self._lines(endpoints, *period, self.figure, width) for period in periods]
        note = self.env._("Some samples are merged into hours, which count in full. Choose full hours in UTC.")
        return {
            "periods": [
                {
                    "label": self._fields[name]._description_string(self.env),
                    "start": format_datetime(self.env, start, dt_format="short"),
                    "end": format_datetime(self.env, end, dt_format="short"),
                }
                for name, (start, end) in zip(STARTS, periods, strict=True)
            ],
            "notes": [note] if any(part["is_cut"] for part in parts) else [],
            "endpoints": [
                self._endpoint_words(endpoint, *([found[endpoint] for found in both] for both in (totals, lines)))
                for endpoint in endpoints
            ],
        }

    def _endpoint_words(self, endpoint, totals, lines):
        """Return what is shown of an endpoint: name; samples of both periods; rows: name, label, the texts and notes of
        both periods, ratio; and the chart: label, decimals, minutes and two lines of points, False if nothing is known.

        :param list totals: and ``lines``: of both periods, see `_totals` and `_lines`
        """
        labels = dict(self._fields["figure"]._description_selection(self.env))
        rows = [
            self._row(name, labels[name], totals, figure.decimals)
            for name, figure in FIGURES.items()
            if endpoint.kind in figure.kinds
        ]
        rows.append(self._row("alerts", self.env._("Alerts"), totals, 0))
        is_known = any(value is not None for line in lines for _minute, value in line)
        chart = {
            "label": labels[self.figure],
            "decimals": FIGURES[self.figure].decimals,
            "minutes": self._seconds() / comparison.MINUTE,
            "lines": lines,
        }
        return {
            "id": endpoint.id,
            "name": endpoint.name,
            "samples": [self._samples_words(total) for total in totals],
            "rows": rows if any(total["samples"] or total["alerts"] for total in totals) else [],
            "chart": is_known and chart,
        }

    def _samples_words(self, total):
        """Return the number of samples, and the part of the period that has some, if it is not all of it."""
        if not total["samples"]:
            return {"text": self.env._("No samples"), "note": ""}
        note, percent = "", 100 * total["covered"] / self._seconds()
        if percent < 100:
            decimals = 0 if percent >= 10 else 1
            note = self.env._("%s %% of the time", format_number(self.env, percent, decimals))
        return {"text": format_number(self.env, total["samples"]), "note": note}

    def _row(self, name, label, totals, decimals):
        ratio = comparison.ratio(*(total[name] for total in totals), decimals)
        return {
            "name": name,
            "label": label,
            "cells": [self._cell(name, total, decimals) for total in totals],
            "ratio": "" if ratio is None else self._ratio_text(ratio),
        }

    def _cell(self, name, total, decimals):
        """Return the text of a figure, and in how many samples it is known, if they are few."""
        known, samples, note = total["known"].get(name), total["samples"], ""
        if known and known < MOST * samples:
            numbers = {"part": format_number(self.env, known), "whole": format_number(self.env, samples)}
            note = self.env._("in %(part)s of %(whole)s samples", **numbers)
        return {"text": format_number(self.env, total[name], decimals), "note": note}

    @api.model
    def _ratio_text(self, ratio):
        if 0 < ratio < 0.01:
            return f"< {format_number(self.env, 0.01)}×"
        return f"{format_number(self.env, ratio, 0 if ratio >= 10 else 1 if ratio >= 1 else 2)}×"
