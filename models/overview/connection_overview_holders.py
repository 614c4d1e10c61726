"""Who holds the connections."""

from collections import Counter, defaultdict

from odoo import api, models

from ...analysis import pressure
from ...analysis.joins import UNIX
from ...analysis.readings import CONSOLE
from ...probes.errors import SessionError
from ...tools import selection_label
from ..live.pg_stat_activity import CLIENT_BACKENDS
from .connection_overview import link

MAX_HOLDING_POOLS = 3
MAX_HOSTS = 10


class ConnectionOverview(models.AbstractModel):
    _inherit = "connection.overview"

    @api.model
    def _holders(self, clients, rules, pools, activity):
        """Whose the client backends are.

        :param dict pools: id -> name
        :param activity: of `pg.stat.activity._activity`
        :return: ``rows``: of each component and PgBouncer a label, how many, and their share of what ordinary roles
            can have in percent; those with ``is_part`` are the largest pools of the row before them. The same of all
            of them, with the ``level`` (None if the rule is off), and the limits
        """
        max_connections = activity["max_connections"]
        reserved = activity["superuser_reserved_connections"] + activity["reserved_connections"]
        usable = pressure.postgresql_capacity(max_connections, reserved)

        def row(label, sessions, condition, is_part=False):
            return {
                "label": label,
                "is_part": is_part,
                "count": len(sessions),
                "share": pressure.pressure(len(sessions), usable),
                "link": link("pg.stat.activity", [*CLIENT_BACKENDS, *condition], label),
            }

        def by_count(grouped):
            return sorted(grouped.items(), key=lambda item: (-len(item[1]), str(item[0])))

        rows = []
        components = clients.grouped(lambda session: (session.component, session.endpoint_id))
        for (component, pgbouncer), sessions in by_count(components):
            label = selection_label(clients, "component", component) if component else self.env._("Unknown")
            label = f"{label}: {pgbouncer.name}" if pgbouncer else label
            rows.append(row(label, sessions, [("component", "=", component), ("endpoint_id", "=", pgbouncer.id)]))
            if pgbouncer:
                largest = by_count(sessions.grouped(lambda session: session.pool_id.id))[:MAX_HOLDING_POOLS]
                rows += [
                    row(pools.get(pool_id, "?"), of_pool, [("pool_id", "=", pool_id)], is_part=True)
                    for pool_id, of_pool in largest
                ]
        total = pressure.pressure(len(clients), usable)
        return {
            "rows": rows,
            "count": len(clients),
            "share": total,
            "level": self._level(total, rules.get("postgresql_pressure")),
            "usable": usable,
            "max_connections": max_connections,
            "reserved": reserved,
            "link": link("pg.stat.activity", CLIENT_BACKENDS, self.env._("Client Backends")),
        }

    @api.model
    def _pgbouncers(self):
        """Which hosts stand behind the servers of each PgBouncer that answers.

        :return: for each its name, how many clients and servers it has, and the same of each host: its clients,
            how many of them wait, and how many have a server just now
        """
        Client, pgbouncers = self.env["pgbouncer.client"], []
        Client.check_access("read")
        for endpoint, answer in Client._answers().items():
            if isinstance(answer, SessionError):
                continue
            hosts = defaultdict(Counter)
            for row in Client._make_rows(endpoint.id, *answer):
                if row.get("database") != CONSOLE:
                    hosts[row.get("addr")].update(
                        clients=1, waiting=int(row.get("state") == "waiting"), servers=int("server_id" in row)
                    )
            _clients, servers, *_others = answer
            busiest = sorted(hosts, key=lambda host: (-hosts[host]["clients"], host or ""))
            of_clients = [("endpoint_id", "=", endpoint.id), ("database", "!=", CONSOLE)]
            pgbouncers.append(
                {
                    "id": endpoint.id,
                    "name": endpoint.name,
                    "clients": {
                        "count": sum(counts["clients"] for counts in hosts.values()),
                        "link": link("pgbouncer.client", of_clients, self.env._("Clients of %s", endpoint.name)),
                    },
                    "servers": {
                        "count": len(servers),
                        "link": link(
                            "pgbouncer.server",
                            [("endpoint_id", "=", endpoint.id)],
                            self.env._("Servers of %s", endpoint.name),
                        ),
                    },
                    "more_hosts": max(len(hosts) - MAX_HOSTS, 0),
                    "hosts": [self._host(host, hosts[host], of_clients) for host in busiest[:MAX_HOSTS]],
                }
            )
        return pgbouncers

    @api.model
    def _host(self, host, counts, of_clients):
        """:param domain of_clients: all clients of the PgBouncer"""
        of_host = [*of_clients, ("addr", "=", host)]
        label = self.env._("unix socket") if host == UNIX else host
        links = {
            "clients": (self.env._("Clients from %s", label), []),
            "waiting": (self.env._("Waiting, from %s", label), [("state", "=", "waiting")]),
            "servers": (self.env._("With a server, from %s", label), [("server_id", "!=", False)]),
        }
        return {"label": label} | {
            name: {"count": counts[name], "link": link("pgbouncer.client", [*of_host, *domain], text)}
            for name, (text, domain) in links.items()
        }
