"""SHOW DATABASES, with the buttons that send commands for one database."""

from odoo import api, fields, models

from ...analysis.readings import console_state, database_state
from ...fields import NullableInteger

DATABASE_STATES = [("active", "Active"), ("paused", "Paused"), ("disabled", "Disabled"), ("unknown", "Unknown")]


class PgbouncerDatabase(models.Model):
    """One row of SHOW DATABASES: a database that clients can connect to."""

    _name = "pgbouncer.database"
    _inherit = "pgbouncer.show"
    _description = "PgBouncer Database"
    _auto = False
    _order = "endpoint_id, name"
    _show_commands = ("SHOW DATABASES", "SHOW STATE")

    name = fields.Char(readonly=True, help="The name that clients connect to. “*” itself is never listed.")
    host = fields.Char(readonly=True, help="The host of PostgreSQL. Empty: its unix socket, or PgBouncer itself.")
    port = NullableInteger(readonly=True, aggregator=None, help="The port of PostgreSQL.")
    database = fields.Char("PostgreSQL Database", readonly=True, help="The database's name in PostgreSQL.")
    force_user = fields.Char(readonly=True, help="The role that PgBouncer uses for all clients.")
    pool_size = NullableInteger(readonly=True, help="Maximum number of servers in the pool of each user.")
    min_pool_size = NullableInteger(
        "Minimum Pool Size", readonly=True, help="Minimum number of servers that are kept open. Since 1.16."
    )
    reserve_pool_size = NullableInteger(
        readonly=True,
        help="Number of additional servers for a pool whose clients have waited too long. Named reserve_pool before "
        "1.24.",
    )
    server_lifetime = NullableInteger(
        "Server Lifetime (s)",
        readonly=True,
        aggregator=None,
        help="Age after which a free server is closed. Since 1.23.",
    )
    pool_mode = fields.Char(readonly=True, help="Empty: the pool_mode of the instance, see Configuration.")
    load_balance_hosts = fields.Char(readonly=True, help="How a host is chosen if there are several. Since 1.24.")
    max_connections = NullableInteger(
        "Maximum Servers",
        readonly=True,
        help="Maximum number of servers in all pools of this database; 0 is unlimited.",
    )
    current_connections = NullableInteger("Current Servers", readonly=True, help="Servers that are open now.")
    max_client_connections = NullableInteger(
        "Maximum Clients", readonly=True, help="Maximum number of clients; 0 is unlimited. Since 1.24."
    )
    current_client_connections = NullableInteger(
        "Current Clients", readonly=True, help="Clients that are connected now. Since 1.24."
    )
    paused = NullableInteger(
        readonly=True, help="1: this database is paused. A pause of the instance is only visible in the state."
    )
    disabled = NullableInteger(readonly=True, help="1: rejects new clients.")
    state = fields.Selection(
        DATABASE_STATES,
        readonly=True,
        help="Paused: no client gets a server, because of a PAUSE of this database or of the instance. Disabled: "
        "rejects new clients. Unknown: before 1.19 PgBouncer does not report whether the instance is paused.",
    )
    is_admin = fields.Boolean(related="endpoint_id.is_admin")

    @api.model
    def _make_rows(self, endpoint_id, rows, state_rows):
        made = super()._make_rows(endpoint_id, rows)
        instance = console_state(state_rows)
        for row in made:
            row.setdefault("reserve_pool_size", row.get("reserve_pool"))
            row["state"] = database_state(row, instance)
        return made

    def action_reconnect(self):
        return self.endpoint_id._command("RECONNECT", self.name)

    def action_pause(self):
        return self.endpoint_id._command("PAUSE", self.name)

    def action_resume(self):
        return self.endpoint_id._command("RESUME", self.name)
