"""SHOW PEERS."""

from odoo import fields, models

from ...fields import NullableInteger


class PgbouncerPeer(models.Model):
    """One row of SHOW PEERS: another process that shares this PgBouncer's address, and gets the requests to cancel
    that belong to it."""

    _name = "pgbouncer.peer"
    _inherit = "pgbouncer.show"
    _description = "PgBouncer Peer"
    _auto = False
    _rec_name = "peer_id"
    _order = "endpoint_id, peer_id"
    _show_commands = ("SHOW PEERS",)
    _show_since = (1, 19)

    peer_id = NullableInteger("Peer ID", readonly=True, aggregator=None, help="Its number in the section [peers].")
    host = fields.Char(readonly=True, help="Its address, or the directory of its unix socket.")
    port = NullableInteger(readonly=True, aggregator=None, help="Its port.")
    pool_size = NullableInteger(readonly=True, help="How many connections for requests to cancel there may be to it.")
