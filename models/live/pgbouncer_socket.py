"""What the models of SHOW CLIENTS and SHOW SERVERS have in common. Knows pools, and each of the two the other."""

from odoo import api, fields, models

from ...analysis import joins
from ...fields import NullableInteger


class PgbouncerSocket(models.AbstractModel):
    """The columns that SHOW CLIENTS and SHOW SERVERS have in common: a connection of PgBouncer.

    Times are PgBouncer's own text, in the time zone of its process: they are shown, and never computed with. The
    column ``id`` of SHOW is called ``socket_id``, because Odoo has its own id.
    """

    _name = "pgbouncer.socket"
    _inherit = "pgbouncer.show"
    _description = "PgBouncer Connection"
    _order = "endpoint_id, database, user, ptr"
    # The field for what `link` names: a row of the second of `_show_commands`.
    _link_field = None

    type = fields.Char(readonly=True, help="C for a client, S for a server.")
    user = fields.Char(readonly=True, help="The role that the connection logged in with.")
    database = fields.Char(readonly=True, help="The database's name in PgBouncer, which may be an alias.")
    replication = fields.Char(readonly=True, help="Whether it is a replication connection. Empty before 1.23.")
    state = fields.Char(readonly=True)
    addr = fields.Char("Address", readonly=True, help="The address of the peer, or “unix” for a unix socket.")
    port = NullableInteger(readonly=True, aggregator=None, help="The port of the peer.")
    local_addr = fields.Char("Local Address", readonly=True, help="The address or port on PgBouncer's side.")
    local_port = NullableInteger(
        "Local Port", readonly=True, aggregator=None, help="The address or port on PgBouncer's side."
    )
    connect_time = fields.Char("Connected At", readonly=True, help="As PgBouncer reports it, in its own time zone.")
    request_time = fields.Char("Last Request At", readonly=True, help="As PgBouncer reports it, in its own time zone.")
    wait = NullableInteger("Wait without Fraction (s)", readonly=True, aggregator="max")
    wait_us = NullableInteger(
        "Wait, Fraction (µs)", readonly=True, aggregator=None, help="The fraction of a second that wait leaves out."
    )
    close_needed = NullableInteger(
        readonly=True,
        help="1: will be closed when it is released, because of RECONNECT, RELOAD or a changed address.",
    )
    ptr = fields.Char(
        "Pointer", readonly=True, help="PgBouncer's internal address of this connection. It may be reused."
    )
    link = fields.Char(
        readonly=True,
        help="The pointer of the server that the client uses, or of the client that uses the server, right now.",
    )
    remote_pid = NullableInteger("Remote PID", readonly=True, aggregator=None)
    tls = fields.Char("TLS", readonly=True, help="TLS version and cipher. Empty without TLS.")
    application_name = fields.Char(
        "Application",
        readonly=True,
        help="The name that the client gave itself. Empty after the client reset its connection, as Odoo does. "
        "Empty before 1.18.",
    )
    prepared_statements = NullableInteger(
        readonly=True, help="Prepared statements that PgBouncer tracks on this connection. Empty before 1.21."
    )
    socket_id = NullableInteger(
        "Unique ID", readonly=True, aggregator=None, help="PgBouncer's own id, never reused. Empty before 1.24."
    )
    pool_id = fields.Many2one("pgbouncer.pool", readonly=True, help="The pool that the connection belongs to.")

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
