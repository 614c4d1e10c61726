"""SHOW POOLS. Knows clients, servers and sessions, which its buttons open."""

from odoo import api, fields, models

from ...analysis import readings
from ...analysis.bottleneck import bottleneck, pool_size, servers_of_users
from ...fields import NullableFloat, NullableInteger
from .pgbouncer_database import DATABASE_STATES

BOTTLENECKS = [
    ("paused", "Paused"),
    ("max_db_connections", "max_db_connections"),
    ("max_user_connections", "max_user_connections"),
    ("login", "PostgreSQL does not answer"),
    ("pool_size", "pool_size"),
    ("reserve_pool", "pool_size and reserve_pool_size"),
]


class PgbouncerPool(models.Model):
    """One row of SHOW POOLS: the clients and servers of one database and user."""

    _name = "pgbouncer.pool"
    _inherit = "pgbouncer.show"
    _description = "PgBouncer Pool"
    _auto = False
    _rec_name = "database"
    _order = "endpoint_id, database, user"
    _show_commands = ("SHOW POOLS", "SHOW DATABASES", "SHOW STATE", "SHOW USERS", "SHOW CONFIG")

    database = fields.Char(readonly=True, help="The database's name in PgBouncer, which may be an alias.")
    user = fields.Char(readonly=True, help="The role that the pool's servers log in with.")
    cl_active = NullableInteger(
        "Clients Active",
        readonly=True,
        help="Clients that use a server or need none right now. Includes idle clients before PgBouncer 1.25: "
        "not a measure of load.",
    )
    cl_waiting = NullableInteger(
        "Clients Waiting", readonly=True, help="Clients that have sent a query and wait for a server."
    )
    cl_active_cancel_req = NullableInteger(
        "Cancels Active",
        readonly=True,
        help="Cancel requests that were forwarded, and are not answered yet. Since 1.18.",
    )
    cl_waiting_cancel_req = NullableInteger(
        "Cancels Waiting", readonly=True, help="Cancel requests that wait to be forwarded. Since 1.18."
    )
    sv_active = NullableInteger("Servers Active", readonly=True, help="Server connections that are used by a client.")
    sv_active_cancel = NullableInteger(
        "Servers Sending Cancels", readonly=True, help="Server connections that forward a cancel request. Since 1.18."
    )
    sv_being_canceled = NullableInteger(
        "Servers Waiting for Cancels",
        readonly=True,
        help="Servers that will be free when the cancel requests for them are done. Since 1.18.",
    )
    sv_idle = NullableInteger("Servers Idle", readonly=True, help="Server connections that are free.")
    sv_used = NullableInteger(
        "Servers Used", readonly=True, help="Idle for longer than server_check_delay: checked before the next use."
    )
    sv_tested = NullableInteger(
        "Servers Tested", readonly=True, help="Server connections that are being reset or checked."
    )
    sv_login = NullableInteger(
        "Servers in Login",
        readonly=True,
        help="Server connections that are logging in. If they stay, PostgreSQL is slow or does not answer.",
    )
    bottleneck = fields.Selection(
        BOTTLENECKS,
        "Held Back By",
        readonly=True,
        help="While clients wait: the limit that keeps the pool from opening another server.",
    )
    maxwait = NullableInteger(
        "Longest Wait without Fraction (s)",
        readonly=True,
        aggregator="max",
        help="0 while clients wait: less than a second, or no server can be reached.",
    )
    maxwait_us = NullableInteger(
        "Longest Wait, Fraction (µs)",
        readonly=True,
        aggregator=None,
        help="The fraction of a second that maxwait leaves out.",
    )
    maxwait_age = NullableFloat(
        "Longest Wait (s)",
        readonly=True,
        digits=(16, 3),
        aggregator="max",
        help="How long the first client in the queue has waited: maxwait with its microseconds. Empty while no "
        "server of "
        "the pool has logged in: PgBouncer does not measure that wait.",
    )
    pool_size = NullableInteger(
        readonly=True,
        help="Maximum number of servers without the reserve: the user's own pool_size, or that of the database.",
    )
    pool_mode = fields.Char(
        readonly=True, help="When a client releases its server: at the end of its session, transaction or statement."
    )
    load_balance_hosts = fields.Char(readonly=True, help="How a host is chosen if there are several. Since 1.24.")
    state = fields.Selection(
        DATABASE_STATES,
        readonly=True,
        help="The state of its database. Paused: no client gets a server. Disabled: rejects new clients. "
        "Unknown: before "
        "1.19 PgBouncer does not report whether the instance is paused.",
    )

    @api.model
    def _make_rows(self, endpoint_id, rows, databases, state_rows, users, settings):
        made = super()._make_rows(endpoint_id, rows)
        state, settings = readings.console_state(state_rows), readings.by_key(settings)
        databases = {database.get("name"): database for database in databases}
        users = {user.get("name"): user for user in users}
        # Few pools have waiting clients, and only those are held back.
        of_users = servers_of_users(rows) if any(row.get("cl_waiting") for row in rows) else {}
        for row in made:
            database, user = databases.get(row["database"], {}), users.get(row["user"], {})
            row["state"] = readings.database_state(database, state)
            row["maxwait_age"] = readings.longest_wait(row)
            row["pool_size"] = pool_size(database, user)
            if row.get("cl_waiting"):
                of_user = of_users[row["user"]]
                row["bottleneck"] = bottleneck(row, database, user, of_user, settings, row["state"])
        return made

    @api.model
    def _explain_absence(self):
        return self.env._("PgBouncer no longer has this pool.")

    def action_open_clients(self):
        return self.env["pgbouncer.client"]._open([("pool_id", "=", self.id)])

    def action_open_servers(self):
        return self.env["pgbouncer.server"]._open([("pool_id", "=", self.id)])

    def action_open_sessions(self):
        return self.env["pg.stat.activity"]._open([("pool_id", "=", self.id)])

    @api.model
    def _explain_bottleneck(self, name):
        """Return in words what one of BOTTLENECKS means for a pool."""
        return {
            "paused": self.env._("The database is paused."),
            "login": self.env._(
                "PostgreSQL does not answer: none of the pool's servers has logged in yet. PgBouncer does not measure "
                "this wait."
            ),
            "max_db_connections": self.env._("max_db_connections is reached: the pool gets no more servers."),
            "max_user_connections": self.env._("max_user_connections is reached: the pool gets no more servers."),
            "pool_size": self.env._("All servers that pool_size allows are open."),
            "reserve_pool": self.env._("All servers that pool_size and reserve_pool_size allow are open."),
        }[name]
