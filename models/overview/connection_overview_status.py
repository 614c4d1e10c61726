"""What the light in the menu bar shows: levels, open alerts and LISTEN verdicts, from what is stored."""

from odoo import api, fields, models

from ...analysis import pressure
from .connection_overview import FIRST_CARDS


class ConnectionOverview(models.AbstractModel):
    _inherit = "connection.overview"

    @api.model
    def get_status(self):
        """Return the state of all endpoints by their last samples. Queries no server.

        :return: a dictionary that JSON can hold: the worst ``level``; the number of ``open_alerts``; the worst
            ``endpoints`` (see `_status`), and how many ``more`` there are; the verdicts of the LISTEN check (see
            `_checks`); and ``overdue`` (see `_sampler`)
        """
        endpoints = self.env["connection.endpoint"].search([("active", "=", True)])
        alerts = self.env["connection.alert"].search([("closed_at", "=", False)])
        of_endpoint = alerts.grouped("endpoint_id")
        statuses = [self._status(endpoint, of_endpoint.get(endpoint, alerts.browse())) for endpoint in endpoints]
        statuses.sort(key=lambda status: pressure.severity(status["level"]), reverse=True)
        checks, overdue = self._checks(), self._sampler()
        # Without any endpoint nothing is known.
        parts = [*statuses, *checks, *filter(None, [overdue])]
        levels = [part["level"] for part in parts] if statuses else ["unknown"]
        return {
            "level": max([*levels, *alerts.mapped("level")], key=pressure.severity),
            "open_alerts": len(alerts),
            "endpoints": statuses[:FIRST_CARDS],
            "more": max(len(statuses) - FIRST_CARDS, 0),
            "checks": checks,
            "overdue": overdue,
        }

    @api.model
    def _sampler(self):
        """Return what the pages show of a sampler that has not run: ``level``, ``text`` and ``remedy``; None if it has.
        Those who receive alerts are notified."""
        overdue = self.env["connection.sample"]._report_overdue()
        return overdue and {name: overdue[name] for name in ("level", "text", "remedy")}

    @api.model
    def _status(self, endpoint, alerts):
        """Return the state of an endpoint by its last sample: its ``level`` or, if that is worse, that of an open
        alert, and the ``reason``; its ``pressure`` in percent; and the ``age`` of the sample in seconds. None is
        unknown."""
        worst = self._card_level(endpoint, {"level": endpoint.level, "reason": None}, alerts)
        sampled_at, is_known = endpoint.sampled_at, endpoint.level != "unknown" and endpoint.pressure is not False
        return {
            "id": endpoint.id,
            "name": endpoint.name,
            "level": worst["level"],
            "reason": "\n".join(filter(None, [endpoint.last_error, worst["reason"]])) or None,
            "pressure": endpoint.pressure if is_known else None,
            "age": (fields.Datetime.now() - sampled_at).total_seconds() if sampled_at else None,
        }
