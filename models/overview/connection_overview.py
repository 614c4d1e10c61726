import psycopg2

from odoo import api, fields, models
from odoo.tools.misc import formatLang

from ...analysis import pressure
from ...probes.console import CONSOLE_TIMEOUT
from ...tools import format_duration

# In seconds: what is shorter is everywhere in a busy Odoo, and gone before anybody can look.
MIN_AGE = 1.0
# How much is shown of what may be long: the lists show the rest.
FIRST_CARDS = 8
MAX_POOLS = 20
MAX_OPEN_ALERTS = 10
MAX_ENDED_ALERTS = 5


def link(model, domain, label):
    """What the screen opens behind a number: the rows of a list that it counts.

    :param list domain: of these rows
    :param str label: of the filter
    """
    return {"model": model, "domain": domain, "label": label}


class ConnectionOverview(models.AbstractModel):
    """The first screen: are we in danger, and who is it?

    All of it comes in one answer. The servers are asked when it is read, each of them once, side by side and within
    CONSOLE_TIMEOUT; nothing is stored. What could not be read is None, and a text says why.
    """

    _name = "connection.overview"
    _description = "Connection Overview"

    @api.model
    def get_overview(self):
        """Everything that the screen shows.

        :return: a dictionary that JSON can hold: ``read_at`` (UTC), ``is_manager``, ``cards`` (see `_cards`; if they
            are more than ``first_cards`` the worst come first), ``silent`` (the names of PgBouncers that do not
            answer), ``pools`` (`_pools`), ``pgbouncers`` (`_pgbouncers`), ``alerts`` (`_alerts`), what `_sessions`
            tells, and ``problem``: why it does not
        """
        endpoints = self.env["connection.endpoint"].search([("active", "=", True)])
        looks = self._look(endpoints, "SHOW CLIENTS")
        cards = self._cards(looks)
        if len(cards) > FIRST_CARDS:
            cards.sort(key=lambda card: pressure.severity(card["level"]), reverse=True)
        overview = {
            "read_at": fields.Datetime.to_string(fields.Datetime.now()),
            "is_manager": self.env.user.has_group("pgbouncer_monitor.group_manager"),
            "cards": cards,
            "first_cards": FIRST_CARDS,
            "silent": [
                endpoint.name for endpoint in endpoints if endpoint.kind == "pgbouncer" and not looks[endpoint].answer
            ],
            "pools": self._pools(looks),
            "pgbouncers": self._pgbouncers(),
            "alerts": self._alerts(),
            "problem": None,
        }
        try:
            with self.env["connection.endpoint"]._time_limit(CONSOLE_TIMEOUT / 3):
                return overview | self._sessions(looks)
        except psycopg2.Error as error:
            problem = self.env._(
                "PostgreSQL did not tell its sessions within %(seconds)s s: %(error)s. The next look tries again.",
                seconds=formatLang(self.env, CONSOLE_TIMEOUT / 3, digits=1),
                error=str(error).strip(),
            )
            return overview | {"problem": problem}

    @api.model
    def get_card(self, endpoint_id):
        """The card of one endpoint, for its form.

        :return: a dictionary, see `_cards`, with its ``pools`` (see `_pool`), the fullest first; None if the endpoint
            is archived
        """
        endpoint = self.env["connection.endpoint"].search([("id", "=", endpoint_id), ("active", "=", True)])
        if not endpoint:
            return None
        looks = self._look(endpoint)
        [card] = self._cards(looks)
        rows = [row for row in looks[endpoint].rows if row.get("user")]
        rows.sort(key=lambda row: (-(row["pressure"] or 0), row["database"], row["user"]))
        return card | {
            "pools": [self._pool(endpoint, row) for row in rows[:MAX_POOLS]],
            "pools_link": link("pgbouncer.pool", [("endpoint_id", "=", endpoint.id)], endpoint.name),
        }

    @api.model
    def _look(self, endpoints, *commands):
        """:return: endpoint -> Look, see `connection.sample._look`"""
        # The passwords are needed, and what the sampler remembers.
        looks = self.env["connection.sample"].sudo()._look(endpoints.sudo(), *commands)
        return {endpoint: looks[endpoint] for endpoint in endpoints}

    # Are we in danger?

    # Who is it?

    # What hurts?

    @api.model
    def _pools(self, looks):
        """The pools with clients that wait.

        :return: how many they are, of how many it is ``unknown``, and the ``pools`` (see `_pool`), the longest wait
            first
        """
        pools = [(endpoint, row) for endpoint, look in looks.items() for row in look.rows if row.get("user")]
        waiting = [(endpoint, row) for endpoint, row in pools if row["waiting"]]
        waiting.sort(key=lambda pool: (pool[1]["maxwait"] or 0, pool[1]["waiting"]), reverse=True)
        return {
            "count": len(waiting),
            "unknown": sum(row["waiting"] is None for _endpoint, row in pools),
            "pools": [self._pool(*pool) for pool in waiting[:MAX_POOLS]],
            "link": link("pgbouncer.pool", [("cl_waiting", ">", 0)], self.env._("Clients Waiting")),
        }

    @api.model
    def _pool(self, endpoint, row):
        """What is shown of a pool.

        :param dict row: of a Look
        """
        pool_id = self.env["pgbouncer.pool"]._row_id(endpoint.id, row["database"], row["user"])
        name, of_pool = f"{row['database']}/{row['user']}", [("pool_id", "=", pool_id)]
        bottleneck = row["bottleneck"]
        return {
            "id": pool_id,
            "name": name,
            "endpoint": endpoint.name,
            "used": row["used"],
            "capacity": row["capacity"],
            "pressure": row["pressure"],
            "waiting": row["waiting"],
            "maxwait": self._tell_seconds(row["maxwait"]),
            "bottleneck": bottleneck and self.env["pgbouncer.pool"]._explain_bottleneck(bottleneck),
            "clients_link": link(
                "pgbouncer.client", [*of_pool, ("state", "=", "waiting")], self.env._("Waiting for %s", name)
            ),
            "servers_link": link(
                "pgbouncer.server", [*of_pool, ("state", "=", "active")], self.env._("In use: %s", name)
            ),
        }

    @api.model
    def _alerts(self):
        """:return: how many are open, their worst ``level``, ``alerts``: those, the worst first, and the last that
        ended, and how many ``more`` are open"""
        Alert = self.env["connection.alert"]
        is_open = [("closed_at", "=", False)]
        lasting = Alert.search(is_open).sorted(lambda alert: pressure.severity(alert.level), reverse=True)
        ended = Alert.search([("closed_at", "!=", False)], limit=MAX_ENDED_ALERTS)
        return {
            "count": len(lasting),
            "level": lasting[:1].level or None,
            "more": max(len(lasting) - MAX_OPEN_ALERTS, 0),
            "link": link("connection.alert", is_open, self.env._("Open")),
            "alerts": [
                {
                    "id": alert.id,
                    "name": alert.display_name,
                    "level": alert.level,
                    "worst": alert.worst or "",
                    "advice": alert.advice,
                    "opened_at": fields.Datetime.to_string(alert.opened_at),
                    "is_open": not alert.closed_at,
                    "duration": format_duration(alert.duration) if alert.closed_at else self._age(alert.opened_at),
                    "acknowledged_by": alert.sudo().acknowledged_by.name or None,
                }
                for alert in lasting[:MAX_OPEN_ALERTS] | ended
            ],
        }

    # In words

    @api.model
    def _level(self, value, rule):
        """None if the rule is off."""
        return pressure.level(value, rule.thresholds) if rule else None

    @api.model
    def _tell_seconds(self, seconds):
        """Seconds with their unit; None of what is unknown."""
        is_known = seconds is not None and seconds is not False
        return self.env["connection.rule"]._tell_value("maxwait", seconds) if is_known else None

    @api.model
    def _age(self, time):
        return format_duration(max((fields.Datetime.now() - time).total_seconds(), 0)) if time else None
