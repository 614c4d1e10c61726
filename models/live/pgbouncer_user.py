"""SHOW USERS."""

from odoo import fields, models

from ...fields import NullableInteger


class PgbouncerUser(models.Model):
    """One row of SHOW USERS: a user that PgBouncer knows, and the limits of this user. Passwords are not in it."""

    _name = "pgbouncer.user"
    _inherit = "pgbouncer.show"
    _description = "PgBouncer User"
    _auto = False
    _order = "endpoint_id, name"
    _show_commands = ("SHOW USERS",)

    name = fields.Char("User", readonly=True, help="The role that clients log in as.")
    pool_mode = fields.Char(readonly=True, help="The user's own pool mode. Empty: that of the database.")
    pool_size = NullableInteger(
        readonly=True, help="The user's own pool size. Empty: that of the database, or a version before 1.23."
    )
    reserve_pool_size = NullableInteger(
        readonly=True, help="The user's own reserve pool size. Empty: that of the database, or a version before 1.24."
    )
    current_connections = NullableInteger(
        "Current Servers", readonly=True, help="Server connections that this user has now. Since 1.23."
    )
    max_user_connections = NullableInteger(
        "Maximum Servers", readonly=True, help="How many server connections it may have; 0 is no limit. Since 1.23."
    )
    current_client_connections = NullableInteger(
        "Current Clients", readonly=True, help="Client connections that this user has now. Since 1.24."
    )
    max_user_client_connections = NullableInteger(
        "Maximum Clients", readonly=True, help="How many client connections it may have; 0 is no limit. Since 1.24."
    )
