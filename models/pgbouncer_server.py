import json

from odoo import api, fields, models

from ..fields import NullableInteger
from ..probes import console
from .pgbouncer_socket import socket_address


class PgbouncerServer(models.Model):
    """One row of SHOW SERVERS: a connection of PgBouncer's to PostgreSQL."""

    _name = "pgbouncer.server"
    _inherit = "pgbouncer.socket"
    _description = "PgBouncer Server Connection"
    _auto = False
    _show_commands = ("SHOW SERVERS", "SHOW CLIENTS")

    state = fields.Char(
        help="active: works for a client. idle: free. used: free for so long that it is checked before its next use. "
        "tested: being reset or checked. new: logging in."
    )
    remote_pid = NullableInteger(help="The PID of the backend in pg_stat_activity.")
    client_id = fields.Many2one("pgbouncer.client", readonly=True, help="The client that it works for right now.")

    @api.model
    def _make_rows(self, endpoint_id, rows, clients):
        made = super()._make_rows(endpoint_id, rows)
        pointers = {client.get("ptr") for client in clients}
        client_id, pool_id = self.env["pgbouncer.client"]._row_id, self.env["pgbouncer.pool"]._row_id
        for row in made:
            if row.get("link") in pointers:
                row["client_id"] = client_id(endpoint_id, row["link"])
            row["pool_id"] = pool_id(endpoint_id, row.get("database"), row.get("user"))
        return made

    @api.model
    def _backends(self):
        """Who is behind which backend, as JSON: lists of the backend's pid, its client_port (-1
        for a unix socket; 0 stands for one that Odoo's role may not see), how many servers that
        may be, and if it is one: endpoint_id, pool_id, server_id, client_id, the client's address.
        """
        found = {}
        for endpoint, answer in self._answers().items():
            if isinstance(answer, console.ConsoleError):
                continue
            rows, clients = answer
            addresses = {
                client.get("ptr"): socket_address(*map(client.get, ("addr", "port", "remote_pid")))
                for client in clients
            }
            for row in self._make_rows(endpoint.id, rows, clients):
                # One process may be watched through two endpoints.
                identity = tuple(map(row.get, ("ptr", "addr", "port", "local_addr", "local_port", "connect_time")))
                port = -1 if row.get("addr") == "unix" else row.get("local_port")
                backend = [row.get(name) for name in ("endpoint_id", "pool_id", "id", "client_id")]
                for key in ((row.get("remote_pid"), port), (row.get("remote_pid"), 0)):
                    found.setdefault(key, {}).setdefault(identity, [*backend, addresses.get(row.get("link"))])
        return json.dumps(
            [
                [*key, len(servers), *(servers.popitem()[1] if len(servers) == 1 else ())]
                for key, servers in found.items()
            ]
        )

    def action_open_client(self):
        return self.env["pgbouncer.client"]._open([("id", "=", self.client_id.id)])

    def action_open_session(self):
        return self.env["pg.stat.activity"]._open([("server_id", "=", self.id)])
