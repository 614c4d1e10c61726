import json
from collections import defaultdict

from odoo import api, fields, models

from ...analysis import readings
from ...analysis.joins import UNIX, socket_address
from ...fields import NullableInteger
from ...probes.errors import QueryError


class PgbouncerServer(models.Model):
    """One row of SHOW SERVERS: a connection of PgBouncer's to PostgreSQL."""

    _name = "pgbouncer.server"
    _inherit = "pgbouncer.socket"
    _description = "PgBouncer Server Connection"
    _auto = False
    _show_commands = ("SHOW SERVERS", "SHOW CLIENTS", "SHOW DATABASES")
    _link_field = "client_id"

    state = fields.Char(
        help="active: works for a client. idle: free. used: free for so long that it is checked before its next use. "
        "tested: being reset or checked. new: logging in. active_cancel: sends on a request to cancel. "
        "being_canceled: waits until the cancels that are meant for it are done."
    )
    wait = NullableInteger(help="Not used for servers: always 0.")
    remote_pid = NullableInteger(help="The PID of the backend in pg_stat_activity.")
    client_id = fields.Many2one("pgbouncer.client", readonly=True, help="The client that it works for right now.")

    @api.model
    def _make_rows(self, endpoint_id, rows, clients, databases):
        made = super()._make_rows(endpoint_id, rows, clients)
        pool_id = self.env["pgbouncer.pool"]._row_id
        for row in made:
            row["pool_id"] = pool_id(endpoint_id, row.get("database"), row.get("user"))
        return made

    @api.model
    def _backends(self):
        """Who is behind which backend, as JSON: lists of the backend's pid, its client_port (-1
        for a unix socket; 0 stands for one that Odoo's role may not see), its usename and datname,
        how many servers that may be, and if it is one: endpoint_id, pool_id, server_id, client_id,
        the client's address.
        """
        return self._once("backends", self._match_backends)

    @api.model
    def _match_backends(self):
        found = defaultdict(dict)
        for endpoint, answer in self._answers().items():
            if isinstance(answer, QueryError):
                continue
            _servers, clients, databases = answer
            addresses = {
                client.get("ptr"): socket_address(*map(client.get, ("addr", "port", "remote_pid")))
                for client in clients
            }
            datname = readings.by_key(databases, "name", "database")
            for row in self._make_rows(endpoint.id, *answer):
                # One process may be watched through two endpoints.
                identity = tuple(map(row.get, ("ptr", "addr", "port", "local_addr", "local_port", "connect_time")))
                backend = [endpoint.id, row["pool_id"], row["id"], row.get("client_id")]
                backend.append(addresses[row["link"]] if "client_id" in row else None)
                # A database of “*” may be left out of SHOW DATABASES, see `connection.sample`: it has its own name
                # in PostgreSQL, too, unless “*” has a dbname.
                database = readings.identifier(datname.get(row.get("database"), row.get("database")))
                user = readings.identifier(row.get("user"))
                for port in (-1 if row.get("addr") == UNIX else row.get("local_port"), 0):
                    found[row.get("remote_pid"), port, user, database][identity] = backend
        return json.dumps(
            [
                [*key, len(backends), *(backends.popitem()[1] if len(backends) == 1 else ())]
                for key, backends in found.items()
            ]
        )

    def action_open_client(self):
        return self.env["pgbouncer.client"]._open([("id", "=", self.client_id.id)])

    def action_open_session(self):
        return self.env["pg.stat.activity"]._open([("server_id", "=", self.id)])
