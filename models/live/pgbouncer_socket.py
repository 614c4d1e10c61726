"""What the models of SHOW CLIENTS and SHOW SERVERS have in common."""

from odoo import api, fields, models

from ...analysis import joins
from ...fields import NullableInteger


class PgbouncerSocket(models.AbstractModel):
    """What SHOW CLIENTS and SHOW SERVERS have in common: a connection of PgBouncer's.

    Times are PgBouncer's own text, with the zone of its process: they are shown, not computed
    with. The column ``id`` of SHOW is called ``socket_id``, because Odoo's id is another.
    """

    _name = "pgbouncer.socket"
    _inherit = "pgbouncer.show"
    _description = "PgBouncer Connection"
    _order = "endpoint_id, database, user, ptr"
    # The field for what `link` names: a row of the second of `_show_commands`.
    _link_field = None

    type = fields.Char(readonly=True, help="C for a client, S for a server.")
    user = fields.Char(readonly=True, help="The role that the connection is logged in with.")
    database = fields.Char(readonly=True, help="The database's name in PgBouncer, which may be an alias.")
    replication = fields.Char(readonly=True, help="Whether it is a replication connection. Empty before 1.23.")
    state = fields.Char(readonly=True)
    addr = fields.Char("Address", readonly=True, help="The other end's address, or “unix” for a unix socket.")
    port = NullableInteger(readonly=True, aggregator=None, help="The other end's port.")
    local_addr = fields.Char("Local Address", readonly=True, help="PgBouncer's own end.")
    local_port = NullableInteger("Local Port", readonly=True, aggregator=None, help="PgBouncer's own end.")
    connect_time = fields.Char("Connected At", readonly=True, help="As PgBouncer writes it, in its own time zone.")
    request_time = fields.Char("Last Request At", readonly=True, help="As PgBouncer writes it, in its own time zone.")
    wait = NullableInteger("Wait, Whole Seconds", readonly=True, aggregator="max")
    wait_us = NullableInteger(
        "Wait, Microsecond Part", readonly=True, aggregator=None, help="The part of a second that wait leaves out."
    )
    close_needed = NullableInteger(
        readonly=True,
        help="1: will be closed as soon as it is free, because of RECONNECT, RELOAD or a changed address.",
    )
    ptr = fields.Char("Pointer", readonly=True, help="PgBouncer's name for this connection. It may be used again.")
    link = fields.Char(
        readonly=True, help="The pointer of the client's server, or the server's client, that it works with right now."
    )
    remote_pid = NullableInteger("Remote PID", readonly=True, aggregator=None)
    tls = fields.Char("TLS", readonly=True, help="The encryption in use, empty for none.")
    application_name = fields.Char(
        "Application",
        readonly=True,
        help="What the client calls itself: lost when the client resets its connection, as Odoo does. "
        "Empty before 1.18.",
    )
    prepared_statements = NullableInteger(
        readonly=True, help="Prepared statements that PgBouncer remembers here. Empty before 1.21."
    )
    socket_id = NullableInteger(
        "Unique ID", readonly=True, aggregator=None, help="PgBouncer's id, never used again. Empty before 1.24."
    )
    pool_id = fields.Many2one("pgbouncer.pool", readonly=True, help="The pool that it belongs to.")

    @api.depends("database", "user", "addr", "port", "remote_pid")
    def _compute_display_name(self):
        for row in self:
            pool = "/".join(filter(None, (row.database, row.user)))
            row.display_name = f"{pool} {joins.socket_address(row.addr, row.port, row.remote_pid)}".strip()

    @api.model
    def _make_rows(self, endpoint_id, rows, others):
        made, links = super()._make_rows(endpoint_id, rows), joins.links(rows, others)
        other_id = self.env[self._fields[self._link_field].comodel_name]._row_id
        for row, shown in zip(made, rows, strict=True):
            row["socket_id"] = shown.get("id")
            if link := links.get(row["ptr"]):
                row[self._link_field] = other_id(endpoint_id, link)
        return made

    def action_open_pool(self):
        return self.env["pgbouncer.pool"]._open([("id", "=", self.pool_id.id)])
