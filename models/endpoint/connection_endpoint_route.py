"""Where Odoo's own connection leads, and the endpoints there. Uses the connection of the request; opens none."""

from dataclasses import dataclass

from odoo import api, models
from odoo.models import BaseModel

from ...analysis.joins import network_address
from ...analysis.listen_remedies import is_same_address
from ...odoo_internals import connected_to, peer_address, pgbouncer_version, protocol_pid


@dataclass
class Route:
    """Odoo's own connection.

    :ivar str host: a name, an address, or the folder of a unix socket
    :ivar bool is_pooled: whether a pooler is in the path; pgpool-II is not seen
    :ivar str version: of the PgBouncer in the path, from 1.26; None: it may be older, or another pooler
    :ivar endpoints: the PgBouncer endpoints at this address, the active ones first
    """

    host: str
    port: int
    is_pooled: bool
    version: str | None
    endpoints: BaseModel

    @property
    def address(self):
        return network_address(self.host, self.port)


class ConnectionEndpoint(models.Model):
    _inherit = "connection.endpoint"

    @api.model
    def _own_route(self):
        """Return the Route of this request."""
        cr = self.env.cr
        host, port, _user = connected_to(cr)
        # A server has a name and an address; all spellings of this host count as one.
        addresses = ((host.lower(), port), (peer_address(cr) or host, port))
        endpoints = self.search([("kind", "=", "pgbouncer"), ("active", "in", (True, False))], order="active desc, id")
        return Route(
            host=host,
            port=port,
            is_pooled=self._is_pooled(),
            version=pgbouncer_version(cr),
            endpoints=endpoints.filtered(
                lambda endpoint: any(
                    is_same_address(address, (endpoint.host.lower(), endpoint.port)) for address in addresses
                )
            ),
        )

    @api.model
    def _is_pooled(self):
        """Return whether a pooler is in the path of Odoo's own connection."""
        return protocol_pid(self.env.cr) != self._own_connection("pg_backend_pid()")

    @api.model
    def action_add_pgbouncer(self):
        """Return the action that opens the form of a new endpoint. If a pooler is in Odoo's path, and no endpoint has
        its address, the form is filled in with it."""
        self.browse().check_access("create")
        route = self._own_route()
        action = self.env["ir.actions.act_window"]._for_xml_id("pgbouncer_monitor.connection_endpoint_action")
        action |= {"views": [(False, "form")], "context": {}}
        if not route.is_pooled or route.endpoints:
            return action
        # Without a user it is not valid: Odoo saves a valid form, even twice, when the page is closed.
        values = {"host": route.host, "port": route.port, "user": False}
        values["name"] = self.env._("PgBouncer at %s", route.address)
        return action | {"context": {f"default_{name}": value for name, value in values.items()}}

    def action_unarchive_and_open(self):
        self.ensure_one()
        self.active = True
        return self.get_formview_action()
