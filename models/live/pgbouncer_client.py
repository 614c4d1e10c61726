"""SHOW CLIENTS. Knows servers, pools and sessions, which its buttons open."""

from odoo import api, fields, models

from ...analysis import joins, readings
from ...fields import NullableFloat, NullableInteger


class PgbouncerClient(models.Model):
    """One row of SHOW CLIENTS: a program that is connected to PgBouncer."""

    _name = "pgbouncer.client"
    _inherit = "pgbouncer.socket"
    _description = "PgBouncer Client"
    _auto = False
    _show_commands = ("SHOW CLIENTS", "SHOW SERVERS", "SHOW DATABASES", "SHOW POOLS")
    _link_field = "server_id"

    user = fields.Char(
        help="The role that the client logged in with. With a force_user its pool belongs to another role."
    )
    state = fields.Char(
        help="active: uses a server, or is idle before 1.25. idle: needs no server. waiting: waits for a server. "
        "active_cancel_req, waiting_cancel_req: a request to cancel the query of another client."
    )
    remote_pid = NullableInteger(
        help="The client's process, if it connects over a unix socket. Over TCP it is unknown: 0."
    )
    wait = NullableInteger(help="How long the client's current query has waited or run.")
    wait_age = NullableFloat(
        "Wait (s)",
        readonly=True,
        digits=(16, 3),
        aggregator="max",
        help="wait with its microseconds: how long a waiting client has waited, or how long the query of an active "
        "client has taken so far, including its wait.",
    )
    server_id = fields.Many2one("pgbouncer.server", readonly=True, help="The server that it uses right now.")

    @api.model
    def _make_rows(self, endpoint_id, rows, servers, databases, pools):
        made = super()._make_rows(endpoint_id, rows, servers)
        pools = joins.client_pools(rows, databases, pools)
        pool_id = self.env["pgbouncer.pool"]._row_id
        for row in made:
            if pool := pools.get(row["ptr"]):
                row["pool_id"] = pool_id(endpoint_id, *pool)
            row["wait_age"] = readings.seconds(row, "wait")
        return made

    @api.model
    def _explain_absence(self):
        return self.env._("This client has disconnected.")

    def action_open_server(self):
        return self.env["pgbouncer.server"]._open([("id", "=", self.server_id.id)])

    def action_open_session(self):
        return self.env["pg.stat.activity"]._open([("client_id", "=", self.id)])
