"""SHOW DATABASES, with the buttons that send commands for one database."""

from odoo import api, fields, models

from ...analysis.readings import console_state, database_state
from ...fields import NullableInteger

DATABASE_STATES = [("active", "Active"), ("paused", "Paused"), ("disabled", "Disabled"), ("unknown", "Unknown")]


class PgbouncerDatabase(models.Model):
    """One row of SHOW DATABASES: a database that clients may ask PgBouncer for."""

    _name = "pgbouncer.database"
    _inherit = "pgbouncer.show"
    _description = "PgBouncer Database"
    _auto = False
    _order = "endpoint_id, name"
    _show_commands = ("SHOW DATABASES", "SHOW STATE")

    name = fields.Char(readonly=True, help="The name that clients ask for. “*” itself is never listed.")
    host = fields.Char(readonly=True, help="Where PostgreSQL is. Empty: its unix socket, or PgBouncer itself.")
    port = NullableInteger(readonly=True, aggregator=None, help="Where PostgreSQL listens.")
    database = fields.Char("PostgreSQL Database", readonly=True, help="The database's name in PostgreSQL.")
    force_user = fields.Char(readonly=True, help="The role that all clients work as, whoever they are.")
    pool_size = NullableInteger(readonly=True, help="How many servers each user's pool may have.")
    min_pool_size = NullableInteger(
        "Minimum Pool Size", readonly=True, help="How many servers are kept even if nobody needs them. Since 1.16."
    )
    reserve_pool_size = NullableInteger(
        readonly=True,
        help="How many more servers a pool may have when clients have waited too long. Before 1.24 the column is "
        "called reserve_pool.",
    )
    server_lifetime = NullableInteger(
        "Server Lifetime (s)", readonly=True, aggregator=None, help="After it a free server is closed. Since 1.23."
    )
    pool_mode = fields.Char(readonly=True, help="Empty: the one of the whole PgBouncer, see Configuration.")
    load_balance_hosts = fields.Char(readonly=True, help="How one of several hosts is chosen. Since 1.24.")
    max_connections = NullableInteger(
        "Maximum Servers", readonly=True, help="How many servers all pools of this database may have; 0 is no limit."
    )
    current_connections = NullableInteger("Current Servers", readonly=True, help="Servers that it has now.")
    max_client_connections = NullableInteger(
        "Maximum Clients", readonly=True, help="How many clients may be connected; 0 is no limit. Since 1.24."
    )
    current_client_connections = NullableInteger(
        "Current Clients", readonly=True, help="Clients that are connected now. Since 1.24."
    )
    paused = NullableInteger(
        readonly=True, help="1: paused by itself. A pause of the whole PgBouncer does not show here, but in the state."
    )
    disabled = NullableInteger(readonly=True, help="1: accepts no new clients.")
    state = fields.Selection(
        DATABASE_STATES,
        readonly=True,
        help="Paused: no client gets a server, by PAUSE of this database or of the whole PgBouncer. Disabled: accepts "
        "no new clients. Unknown: before 1.19 nothing tells whether the whole PgBouncer is paused.",
    )
    is_admin = fields.Boolean(related="endpoint_id.is_admin")

    @api.model
    def _make_rows(self, endpoint_id, rows, state_rows):
        made = super()._make_rows(endpoint_id, rows)
        whole = console_state(state_rows)
        for row in made:
            row.setdefault("reserve_pool_size", row.get("reserve_pool"))
            row["state"] = database_state(row, whole)
        return made

    def action_reconnect(self):
        return self.endpoint_id._command("RECONNECT", self.name)

    def action_pause(self):
        return self.endpoint_id._command("PAUSE", self.name)

    def action_resume(self):
        return self.endpoint_id._command("RESUME", self.name)
