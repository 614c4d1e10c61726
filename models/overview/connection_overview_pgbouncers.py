"""Which hosts PgBouncer's clients come from. Reads SHOW CLIENTS of each console, once in a request."""

from collections import Counter, defaultdict

from odoo import api, models

from ...analysis.joins import UNIX
from ...analysis.readings import CONSOLE
from ...probes.errors import QueryError
from .values import link

MAX_HOSTS = 10


class ConnectionOverview(models.AbstractModel):
    _inherit = "connection.overview"

    @api.model
    def _pgbouncers(self):
        """Return how many clients share how many servers, for each PgBouncer that answers (`_pgbouncer`)."""
        Client = self.env["pgbouncer.client"]
        Client.check_access("read")
        return [
            self._pgbouncer(endpoint, answer)
            for endpoint, answer in Client._answers().items()
            if not isinstance(answer, QueryError)
        ]

    @api.model
    def _pgbouncer(self, endpoint, answer):
        """Return the counts of one PgBouncer's clients and servers, and the same of the hosts with most clients.

        :param answer: see `pgbouncer.show._answers`
        """
        _clients, servers, *_others = answer
        hosts = defaultdict(Counter)
        for row in self.env["pgbouncer.client"]._make_rows(endpoint.id, *answer):
            if row.get("database") != CONSOLE:
                hosts[row.get("addr")].update(
                    clients=1, waiting=int(row.get("state") == "waiting"), servers=int("server_id" in row)
                )
        busiest = sorted(hosts, key=lambda host: (-hosts[host]["clients"], host or ""))
        of_endpoint, name = [("endpoint_id", "=", endpoint.id)], endpoint.name
        of_clients = [*of_endpoint, ("database", "!=", CONSOLE)]
        return {
            "id": endpoint.id,
            "name": name,
            "clients": {
                "count": sum(counts["clients"] for counts in hosts.values()),
                "link": link("pgbouncer.client", of_clients, self.env._("Clients of %s", name)),
            },
            "servers": {
                "count": len(servers),
                "link": link("pgbouncer.server", of_endpoint, self.env._("Servers of %s", name)),
            },
            "more_hosts": max(len(hosts) - MAX_HOSTS, 0),
            "hosts": [self._host(host, hosts[host], of_clients) for host in busiest[:MAX_HOSTS]],
        }

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
