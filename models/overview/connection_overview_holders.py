"""Who holds PostgreSQL's connections. Reads nothing but the sessions that it is given."""

from odoo import api, models

from ...analysis import pressure
from ...tools import labelled, selection_label
from ..live.pg_stat_activity import CLIENT_BACKENDS
from .values import link, rule_level

MAX_HOLDING_POOLS = 3


def by_count(grouped):
    """Return the groups of a dictionary with their keys, the largest first."""
    return sorted(grouped.items(), key=lambda item: (-len(item[1]), str(item[0])))


class ConnectionOverview(models.AbstractModel):
    _inherit = "connection.overview"

    @api.model
    def _holders(self, clients, rules, pools, activity):
        """Return whose the client backends are.

        :param dict pools: id -> name
        :param activity: of `pg.stat.activity._activity`
        :return: ``rows`` (`_holder`); count, share and link of all of them; their ``level`` (None if the rule is
            off); and the limits
        """
        max_connections = activity["max_connections"]
        reserved = activity["superuser_reserved_connections"] + activity["reserved_connections"]
        usable = pressure.postgresql_capacity(max_connections, reserved)
        total = self._holder(self.env._("Client Backends"), clients, [], usable)
        return total | {
            "rows": self._holder_rows(clients, pools, usable),
            "level": rule_level(total["share"], rules.get("postgresql_pressure")),
            "usable": usable,
            "max_connections": max_connections,
            "reserved": reserved,
        }

    @api.model
    def _holder_rows(self, clients, pools, usable):
        """Return a row for each component and PgBouncer, each PgBouncer's followed by those of its largest pools."""
        rows = []
        components = clients.grouped(lambda session: (session.component, session.endpoint_id))
        for (component, pgbouncer), sessions in by_count(components):
            label = selection_label(clients, "component", component) if component else self.env._("Unknown")
            label = labelled(self.env, label, pgbouncer.name)
            condition = [("component", "=", component), ("endpoint_id", "=", pgbouncer.id)]
            rows.append(self._holder(label, sessions, condition, usable))
            if pgbouncer:
                largest = by_count(sessions.grouped(lambda session: session.pool_id.id))[:MAX_HOLDING_POOLS]
                rows += [
                    self._holder(pools.get(pool_id, "?"), of_pool, [("pool_id", "=", pool_id)], usable, is_part=True)
                    for pool_id, of_pool in largest
                ]
        return rows

    @api.model
    def _holder(self, label, sessions, condition, usable, is_part=False):
        """Return a row: a label, the count of sessions, their share of what ordinary roles can have in percent, and a
        link. Those with ``is_part`` are part of the row before them."""
        return {
            "label": label,
            "is_part": is_part,
            "count": len(sessions),
            "share": pressure.pressure(len(sessions), usable),
            "link": link("pg.stat.activity", [*CLIENT_BACKENDS, *condition], label),
        }
