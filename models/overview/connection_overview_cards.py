"""The cards of the endpoints."""

from collections import defaultdict
from datetime import timedelta

from odoo import api, fields, models
from odoo.tools import SQL

from ...analysis import pressure
from ...analysis.readings import CONSOLE
from ...tools import EPOCH, selection_label
from ..alerts.connection_rule import LISTENERS
from ..live.pg_stat_activity import CLIENT_BACKENDS
from .connection_overview import link

CHART_HOURS = 1
# The rule whose thresholds are about the pressure of the whole server.
PRESSURE_RULES = {"postgresql": "postgresql_pressure", "pgbouncer": "pgbouncer_pressure"}


class ConnectionOverview(models.AbstractModel):
    _inherit = "connection.overview"

    @api.model
    def _cards(self, looks):
        """:return: for each endpoint the figures of now; the level that a sample would have now or, if that is worse,
        of its open alerts; the last hour for a chart; and of the PostgreSQL of this Odoo the verdicts of the LISTEN
        check. Ages are texts with a unit."""
        charts = self._charts(looks)
        alerts = self.env["connection.alert"]._lasting(self.env["connection.endpoint"].union(*looks))
        return [
            self._card(endpoint, look, list(alerts[endpoint].values())) | {"chart": charts[endpoint]}
            for endpoint, look in looks.items()
        ]

    @api.model
    def _card(self, endpoint, look, alerts):
        whole = look.rows[0]
        used, capacity = whole.get("used"), whole.get("capacity")
        of_endpoint = [("endpoint_id", "=", endpoint.id)]
        worst = max(alerts, key=lambda alert: pressure.severity(alert.level), default=None)
        level, reasons = whole["level"], [endpoint._reason_text(whole["reason"])]
        if worst and pressure.severity(worst.level) > pressure.severity(level):
            level = worst.level
            reasons.append(
                self.env._(
                    "Alert, open for %(age)s: %(alert)s",
                    age=self._age(worst.opened_at),
                    alert=": ".join(filter(None, (self.env["connection.rule"]._label(worst.rule), worst._pool()))),
                )
            )
        card = {
            "id": endpoint.id,
            "name": endpoint.name,
            "kind": endpoint.kind,
            "level": level,
            "reason": "\n".join(filter(None, reasons)) or None,
            "is_answering": bool(look.answer),
            "is_paused": bool(whole.get("is_paused")),
            "used": used,
            "capacity": capacity,
            "left": max(capacity - used, 0) if capacity and used is not None else None,
            "pressure": whole.get("pressure"),
            "missing_sample": endpoint._missing_sample(),
            "sample_age": self._age(endpoint.sampled_at),
            "last_seen": fields.Datetime.to_string(endpoint.last_seen) or None,
            "last_seen_age": self._age(endpoint.last_seen),
            "open_alerts": {
                "count": len(alerts),
                "link": link(
                    "connection.alert", [*of_endpoint, ("closed_at", "=", False)], self.env._("Open: %s", endpoint.name)
                ),
            },
            "history_link": link(
                "connection.sample",
                [*of_endpoint, ("sampled_at", ">=", f"-{CHART_HOURS}H")],
                self.env._("Last Hour: %s", endpoint.name),
            ),
        }
        if endpoint.kind == "postgresql":
            used_link = link("pg.stat.activity", CLIENT_BACKENDS, self.env._("Client Backends"))
            return card | {"used_link": used_link, "checks": self._checks()}
        pools = [row for row in look.rows if row.get("user") and row["pressure"] is not None]
        fullest = max(pools, key=lambda row: row["pressure"], default=None)
        name = endpoint.name
        waiting = [*of_endpoint, ("database", "!=", CONSOLE), ("state", "=", "waiting")]
        return card | {
            "used_link": link("pgbouncer.client", of_endpoint, self.env._("Clients of %s, its console included", name)),
            "waiting": whole.get("waiting"),
            "waiting_mean": whole.get("waiting_mean"),
            "maxwait": self._tell_seconds(whole.get("maxwait")),
            "waiting_link": link("pgbouncer.client", waiting, self.env._("Waiting: %s", name)),
            "fullest_pool": fullest and self._pool(endpoint, fullest),
        }

    @api.model
    def _checks(self):
        """:return: for each listener of this Odoo the verdict in words, its level, and what it says"""
        Check, checks = self.env["connection.check"], []
        for listener in LISTENERS.values():
            check = Check._worst(listener) or Check._last(listener)
            if not check:
                label = self.env._("%s: Not Checked", selection_label(Check, "listener", listener))
            elif check._is_old():
                label = self.env._("%s, but that is old", check.display_name)
            else:
                label = check.display_name
            level = check.level if check and not check._is_old() else "unknown"
            checks.append({"label": label, "level": level, "summary": check.summary or ""})
        return checks

    @api.model
    def _charts(self, looks):
        """The last hour of endpoints, in one query, and this moment.

        :return: endpoint -> ``since`` and ``until`` (seconds since 1970), ``lines``: a label and points of seconds
            and percent, which is None in a gap; and ``thresholds`` of the first line: a level, a label and percent
        """
        Sample, until = self.env["connection.sample"], fields.Datetime.now()
        since = until - timedelta(hours=CHART_HOURS)
        Sample.check_access("read")
        # Odoo's own search would say it so that no index helps.
        query = SQL(
            """SELECT endpoint_id, sampled_at, pressure_max, pool_pressure
                 FROM connection_sample
                WHERE endpoint_id = ANY(%s) AND database IS NULL AND sampled_at >= %s
             ORDER BY sampled_at""",
            [endpoint.id for endpoint in looks],
            since,
        )
        rows = defaultdict(list)
        for endpoint_id, *row in self.env.execute_query(query):
            rows[endpoint_id].append(row)
        gap = Sample._gap()
        charts = {}
        for endpoint, look in looks.items():
            points, last = [], until
            for sampled_at, *percents in rows[endpoint.id]:
                seconds = (sampled_at - EPOCH).total_seconds()
                points += [[seconds, None, None]] * (sampled_at - last > gap)
                points.append([seconds, *percents])
                last = sampled_at
            whole, now = look.rows[0], (until - EPOCH).total_seconds()
            points += [[now, None, None]] * (until - last > gap)
            points.append([now, whole.get("pressure"), whole.get("pool_pressure")])
            charts[endpoint] = self._chart(endpoint, look.rules, points) | {
                "since": (since - EPOCH).total_seconds(),
                "until": now,
            }
        return charts

    @api.model
    def _chart(self, endpoint, rules, points):
        """:param points: seconds, the pressure of the whole server, and that of its fullest pool"""
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
