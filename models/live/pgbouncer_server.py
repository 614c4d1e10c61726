"""SHOW SERVERS, and which backend of PostgreSQL each server is. Knows pools, clients and sessions."""

import json
from collections import Counter

from odoo import api, fields, models

from ...analysis import joins
from ...fields import NullableInteger
from ...probes.errors import QueryError


class PgbouncerServer(models.Model):
    """One row of SHOW SERVERS: a connection of PgBouncer to PostgreSQL."""

    _name = "pgbouncer.server"
    _inherit = "pgbouncer.socket"
    _description = "PgBouncer Server Connection"
    _auto = False
    _show_commands = ("SHOW SERVERS", "SHOW CLIENTS", "SHOW DATABASES")
    _link_field = "client_id"

    state = fields.Char(
        help="active: used by a client. idle: free. used: free for longer than server_check_delay, checked before its "
        "next use. tested: being reset or checked. new: logging in. active_cancel: forwards a cancel request. "
        "being_canceled: waits until the cancel requests for it are done."
    )
    wait = NullableInteger(help="Not used for servers: always 0.")
    remote_pid = NullableInteger(help="The PID of the backend in pg_stat_activity.")
    client_id = fields.Many2one("pgbouncer.client", readonly=True, help="The client that uses it right now.")

    @api.model
    def _make_rows(self, endpoint_id, rows, clients, databases):
        made = super()._make_rows(endpoint_id, rows, clients)
        pool_id = self.env["pgbouncer.pool"]._row_id
        for row in made:
            row["pool_id"] = pool_id(endpoint_id, row.get("database"), row.get("user"))
        return made

    @api.model
    def _backends(self):
        """Return who is behind which backend, as JSON: lists of the backend's pid, its client_port (-1 for a unix
        socket), its usename and datname; how many servers have these; how many have them on any port, in one of the
        lists with the same others, None in the rest; and of a single server endpoint_id, pool_id, server_id,
        client_id and the client's address.
        """
        return self._once("backends", lambda: json.dumps(self._match_backends(), separators=(",", ":")))

    @api.model
    def _match_backends(self):
        answers = self._answers().items()
        found = joins.backends({endpoint.id: rows for endpoint, rows in answers if not isinstance(rows, QueryError)})
        on_any_port = Counter()
        for (pid, _port, user, database), backends in found.items():
            on_any_port[pid, user, database] += len(backends)
        rows = []
        for (pid, port, user, database), backends in found.items():
            count_on_any = on_any_port.pop((pid, user, database), None)
            ids = self._identify(backends[0]) if len(backends) == 1 else []
            rows.append([pid, port, user, database, len(backends), count_on_any, *ids])
        return rows

    @api.model
    def _identify(self, backend):
        endpoint_id, server = backend.console, backend.server
        return [
            endpoint_id,
            self.env["pgbouncer.pool"]._row_id(endpoint_id, server.get("database"), server.get("user")),
            self._row_id(endpoint_id, server["ptr"]),
            backend.client and self.env["pgbouncer.client"]._row_id(endpoint_id, backend.client),
            backend.client_address,
        ]

    @api.model
    def _explain_absence(self):
        return self.env._("This server connection is closed.")

    def action_open_client(self):
        return self.env["pgbouncer.client"]._open([("id", "=", self.client_id.id)])

    def action_open_session(self):
        return self.env["pg.stat.activity"]._open([("server_id", "=", self.id)])
