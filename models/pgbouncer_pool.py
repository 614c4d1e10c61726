from odoo import api, fields, models

from ..fields import NullableFloat, NullableInteger


class PgbouncerPool(models.Model):
    """One row of SHOW POOLS: the clients and servers of one database and user."""

    _name = "pgbouncer.pool"
    _inherit = "pgbouncer.show"
    _description = "PgBouncer Pool"
    _auto = False
    _rec_name = "database"
    _order = "endpoint_id, database, user"
    _show_command = "SHOW POOLS"
    _show_key = ("database", "user")

    database = fields.Char(readonly=True, help="The database's name in PgBouncer, which may be an alias.")
    user = fields.Char(readonly=True, help="The role that the pool's servers are logged in with.")
    cl_active = NullableInteger(
        "Clients Active",
        readonly=True,
        help="Clients that have a server or need none right now: before PgBouncer 1.25 idle ones too. Not a load.",
    )
    cl_waiting = NullableInteger(
        "Clients Waiting", readonly=True, help="Clients that have sent a query and wait for a server to become free."
    )
    cl_active_cancel_req = NullableInteger("Cancels Active", readonly=True)
    cl_waiting_cancel_req = NullableInteger("Cancels Waiting", readonly=True)
    sv_active = NullableInteger("Servers Active", readonly=True, help="Server connections that a client is using.")
    sv_active_cancel = NullableInteger("Servers Cancelling", readonly=True)
    sv_being_canceled = NullableInteger("Servers Cancelled", readonly=True)
    sv_idle = NullableInteger("Servers Idle", readonly=True, help="Server connections that can be used at once.")
    sv_used = NullableInteger(
        "Servers Used", readonly=True, help="Idle for so long that they are checked before they are used again."
    )
    sv_tested = NullableInteger("Servers Tested", readonly=True, help="Being reset or checked.")
    sv_login = NullableInteger("Servers in Login", readonly=True)
    maxwait = NullableInteger(
        "Longest Wait, Whole Seconds",
        readonly=True,
        aggregator="max",
        help="0 while clients are waiting may mean less than a second, or that no server can be reached.",
    )
    maxwait_us = NullableInteger(
        "Longest Wait, Microsecond Part",
        readonly=True,
        aggregator=None,
        help="The part of a second that maxwait leaves out.",
    )
    maxwait_age = NullableFloat(
        "Longest Wait (s)",
        readonly=True,
        digits=(16, 3),
        aggregator="max",
        help="How long the first client in the queue has waited: maxwait with its microseconds.",
    )
    pool_mode = fields.Char(readonly=True)
    load_balance_hosts = fields.Char(readonly=True)

    @api.model
    def _row(self, row, endpoint_id):
        seconds, microseconds = row.get("maxwait"), row.get("maxwait_us")
        if seconds is not None and microseconds is not None:
            row["maxwait_age"] = seconds + microseconds / 1e6
        return super()._row(row, endpoint_id)
