"""The cards of the endpoints: how near each is to its limit. Made of samples that were just taken."""

from odoo import api, fields, models

from ...analysis import pressure
from ...analysis.readings import CONSOLE
from ...tools import labelled, selection_label
from ..live.pg_stat_activity import CLIENT_BACKENDS
from .connection_overview_charts import CHART_HOURS
from .values import format_age, format_seconds, link, pool_rows, pool_values


class ConnectionOverview(models.AbstractModel):
    _inherit = "connection.overview"

    @api.model
    def _cards(self, measured):
        """Return for each endpoint its figures; the level that a sample would have now or, if that is worse, of its
        open alerts; the last hour for a chart; and of this Odoo's PostgreSQL the verdicts of the LISTEN check. Ages
        are texts with a unit."""
        charts = self._charts(measured)
        alerts = self.env["connection.alert"]._open_alerts(self.env["connection.endpoint"].union(*measured))
        patience = self.env["connection.endpoint"]._sample_patience()
        return [
            self._card(endpoint, sample, list(alerts[endpoint].values()))
            | {"chart": charts[endpoint], "missing_sample": endpoint._missing_sample(patience)}
            for endpoint, sample in measured.items()
        ]

    @api.model
    def _card(self, endpoint, sample, alerts):
        instance, of_endpoint = sample.rows[0], [("endpoint_id", "=", endpoint.id)]
        used, capacity = instance.get("used"), instance.get("capacity")
        open_alerts = [*of_endpoint, ("closed_at", "=", False)]
        last_hour = [*of_endpoint, ("sampled_at", ">=", f"-{CHART_HOURS}H")]
        card = {
            "id": endpoint.id,
            "name": endpoint.name,
            "kind": endpoint.kind,
            "is_answering": bool(sample.answer),
            "is_paused": bool(instance.get("is_paused")),
            "used": used,
            "capacity": capacity,
            "left": max(capacity - used, 0) if capacity and used is not None else None,
            "pressure": instance.get("pressure"),
            "sample_age": format_age(self.env, endpoint.sampled_at),
            "last_seen": fields.Datetime.to_string(endpoint.last_seen) or None,
            "last_seen_age": format_age(self.env, endpoint.last_seen),
            "open_alerts": {
                "count": len(alerts),
                "link": link("connection.alert", open_alerts, self.env._("Open Alerts: %s", endpoint.name)),
            },
            "history_link": link("connection.sample", last_hour, self.env._("Last Hour: %s", endpoint.name)),
        }
        is_postgresql = endpoint.kind == "postgresql"
        of_kind = self._postgresql_card(endpoint) if is_postgresql else self._pgbouncer_card(endpoint, sample)
        return card | self._card_level(endpoint, instance, alerts) | of_kind

    @api.model
    def _card_level(self, endpoint, instance, alerts):
        """Return the ``level`` of a card and its ``reason``: of the sample or, if that is worse, of an open alert.

        :param dict instance: the sample's row about the instance
        """
        level, reasons = instance["level"], [endpoint._reason_text(instance["reason"])]
        worst = max(alerts, key=lambda alert: pressure.severity(alert.level), default=None)
        if worst and pressure.severity(worst.level) > pressure.severity(level):
            level = worst.level
            label = self.env["connection.rule"]._label(worst.rule)
            reasons.append(
                self.env._(
                    "Alert, open for %(age)s: %(alert)s",
                    age=format_age(self.env, worst.opened_at),
                    alert=labelled(self.env, label, worst._pool()),
                )
            )
        return {"level": level, "reason": "\n".join(filter(None, reasons)) or None}

    @api.model
    def _postgresql_card(self, endpoint):
        """Return what only the card of this Odoo's PostgreSQL has."""
        used_link = link("pg.stat.activity", CLIENT_BACKENDS, self.env._("Client Backends"))
        return {"used_link": used_link, "checks": self._checks(), "refused": self._refused(endpoint)}

    @api.model
    def _pgbouncer_card(self, endpoint, sample):
        """Return what only the card of a PgBouncer has."""
        instance, of_endpoint, name = sample.rows[0], [("endpoint_id", "=", endpoint.id)], endpoint.name
        pools = [row for row in pool_rows(sample.rows) if row["pressure"] is not None]
        fullest = max(pools, key=lambda row: row["pressure"], default=None)
        waiting = [*of_endpoint, ("database", "!=", CONSOLE), ("state", "=", "waiting")]
        return {
            "used_link": link(
                "pgbouncer.client", of_endpoint, self.env._("Clients of %s, including its console", name)
            ),
            "waiting": instance.get("waiting"),
            "waiting_mean": instance.get("waiting_mean"),
            "maxwait": format_seconds(self.env, instance.get("maxwait")),
            "waiting_link": link("pgbouncer.client", waiting, self.env._("Waiting: %s", name)),
            "fullest_pool": fullest and pool_values(endpoint, fullest),
        }

    @api.model
    def _checks(self):
        """Return for each kind of listener of this Odoo a label with the worst verdict, its level, and its summary."""
        Check, checks = self.env["connection.check"], []
        for listener in Check._listeners():
            check = Check._worst(listener)
            if not check:
                label = self.env._("%s: Not Checked", selection_label(Check, "listener", listener))
            elif check._is_old():
                label = self.env._("%s (outdated)", check.display_name)
            else:
                label = check.display_name
            summary = check.summary or ""
            if others := check and check._others_text():
                summary = labelled(self.env, check._server_text(), " ".join(filter(None, [summary, others])))
            checks.append({"label": label, "level": check._level_now(), "summary": summary})
        return checks
