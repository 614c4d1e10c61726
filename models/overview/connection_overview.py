"""The Overview's one answer, and its parts about pools and alerts.

It reads each server once, and stores nothing.
"""

import psycopg2

from odoo import api, fields, models
from odoo.tools.misc import formatLang

from ...analysis import pressure
from ...probes.console import CONSOLE_TIMEOUT
from ...tools import format_duration
from .values import format_age, link, pool_rows, pool_values

# How much is shown of what may be long: the lists show the rest.
FIRST_CARDS = 8
MAX_POOLS = 20
MAX_OPEN_ALERTS = 10
MAX_ENDED_ALERTS = 5


class ConnectionOverview(models.AbstractModel):
    """The first screen: how near each endpoint is to its limits, what waits, and who holds the connections.

    All of it comes in one answer. Each server is queried once, when the page is read, in parallel and within
    CONSOLE_TIMEOUT; nothing is stored. What could not be read is None, and a text says why.
    """

    _name = "connection.overview"
    _description = "Connection Overview"

    @api.model
    def get_overview(self):
        """Return everything that the page shows.

        :return: a dictionary that JSON can hold: ``read_at`` (UTC), ``is_manager``, ``cards`` (see `_cards`; if they
            are more than ``first_cards`` the worst come first), ``silent`` (the names of PgBouncers that do not
            answer), ``pools`` (`_pools`), ``pgbouncers`` (`_pgbouncers`), ``alerts`` (`_alerts`), ``steps`` (`_steps`),
            ``overdue`` (`_sampler`), and either what `_sessions` returns or ``problem``: why the sessions could not be
            read
        """
        endpoints = self.env["connection.endpoint"].search([("active", "=", True)])
        measured = self._measure(endpoints, "SHOW CLIENTS")
        silent = endpoints.filtered(lambda endpoint: endpoint.kind == "pgbouncer" and not measured[endpoint].answer)
        cards = self._cards(measured)
        if len(cards) > FIRST_CARDS:
            cards.sort(key=lambda card: pressure.severity(card["level"]), reverse=True)
        return {
            "read_at": fields.Datetime.to_string(fields.Datetime.now()),
            "is_manager": self.env.user.has_group("pgbouncer_monitor.group_manager"),
            "cards": cards,
            "first_cards": FIRST_CARDS,
            "silent": silent.mapped("name"),
            "pools": self._pools(measured),
            "pgbouncers": self._pgbouncers(),
            "alerts": self._alerts(),
            "steps": self._steps(measured),
            "overdue": self._sampler(),
            "problem": None,
        } | self._sessions_in_time(measured)

    @api.model
    def _sessions_in_time(self, measured):
        """Return what `_sessions` does, or the ``problem`` if PostgreSQL does not answer in time."""
        try:
            with self.env["connection.endpoint"]._time_limit(CONSOLE_TIMEOUT / 3):
                return self._sessions(measured)
        except psycopg2.Error as error:
            problem = self.env._(
                "PostgreSQL did not return its sessions within %(seconds)s s: %(error)s. The next refresh tries again.",
                seconds=formatLang(self.env, CONSOLE_TIMEOUT / 3, digits=1),
                error=str(error).strip(),
            )
            return {"problem": problem}

    @api.model
    def get_card(self, endpoint_id):
        """Return the card of one endpoint, for its form.

        :return: a dictionary, see `_cards`, with its ``pools`` (see `pool_values`), the fullest first; None if the
            endpoint is archived
        """
        endpoint = self.env["connection.endpoint"].search([("id", "=", endpoint_id), ("active", "=", True)])
        if not endpoint:
            return None
        measured = self._measure(endpoint)
        [card] = self._cards(measured)
        rows = pool_rows(measured[endpoint].rows)
        rows.sort(key=lambda row: (-(row["pressure"] or 0), row["database"], row["user"]))
        return card | {
            "pools": [pool_values(endpoint, row) for row in rows[:MAX_POOLS]],
            "pools_link": link("pgbouncer.pool", [("endpoint_id", "=", endpoint.id)], endpoint.name),
        }

    @api.model
    def _measure(self, endpoints, *commands):
        """Return the samples of endpoints that would be taken now, see `connection.sample._snapshots`."""
        # The passwords are needed, and what the sampler remembers.
        measured = self.env["connection.sample"].sudo()._snapshots(endpoints.sudo(), *commands)
        return {endpoint: measured[endpoint] for endpoint in endpoints}

    @api.model
    def _pools(self, measured):
        """Return the pools with waiting clients.

        :return: their ``count``, of how many pools it is ``unknown``, and the ``pools`` (see `pool_values`), the
            longest wait first
        """
        pools = [(endpoint, row) for endpoint, sample in measured.items() for row in pool_rows(sample.rows)]
        waiting = [(endpoint, row) for endpoint, row in pools if row["waiting"]]
        waiting.sort(key=lambda pool: (pool[1]["maxwait"] or 0, pool[1]["waiting"]), reverse=True)
        return {
            "count": len(waiting),
            "unknown": sum(row["waiting"] is None for _endpoint, row in pools),
            "pools": [pool_values(*pool) for pool in waiting[:MAX_POOLS]],
            "link": link("pgbouncer.pool", [("cl_waiting", ">", 0)], self.env._("Clients Waiting")),
        }

    @api.model
    def _alerts(self):
        """Return the ``count`` of open alerts, their worst ``level``, the ``alerts`` to show (open ones, the worst
        first, then the last ones that ended), and how many ``more`` are open."""
        Alert = self.env["connection.alert"]
        is_open = [("closed_at", "=", False)]
        lasting = Alert.search(is_open).sorted(lambda alert: pressure.severity(alert.level), reverse=True)
        ended = Alert.search([("closed_at", "!=", False)], limit=MAX_ENDED_ALERTS)
        return {
            "count": len(lasting),
            "level": lasting[:1].level or None,
            "more": max(len(lasting) - MAX_OPEN_ALERTS, 0),
            "link": link("connection.alert", is_open, self.env._("Open Alerts")),
            "alerts": [self._alert(alert) for alert in lasting[:MAX_OPEN_ALERTS] | ended],
        }

    @api.model
    def _alert(self, alert):
        return {
            "id": alert.id,
            "name": alert.display_name,
            "level": alert.level,
            "worst": alert.worst or "",
            "advice": alert.advice,
            "opened_at": fields.Datetime.to_string(alert.opened_at),
            "is_open": not alert.closed_at,
            "duration": format_duration(self.env, alert.duration)
            if alert.closed_at
            else format_age(self.env, alert.opened_at),
            "acknowledged_by": alert.sudo().acknowledged_by.name or None,
        }
