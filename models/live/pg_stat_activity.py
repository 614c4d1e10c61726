"""The columns of a session. Names the PgBouncer rows that it is joined to."""

from odoo import api, fields, models

from ...analysis import components
from ...fields import NullableFloat, NullableInteger

# What takes one of max_connections, as the filter of the lists has it. Of a hidden session only the
# database tells that it is no process of PostgreSQL's own.
CLIENT_BACKENDS = [
    *("|", ("backend_type", "=", "client backend")),
    *("&", ("is_hidden", "=", True), "&", ("usesysid", "!=", False), ("datid", "!=", False)),
]
# What stands in blocked_by for a prepared transaction.
PREPARED = 0
# What says that PostgreSQL does not show what a session does.
UNSEEN = ["is_hidden", "is_untracked"]
# What decides about its component.
REASON_FIELDS = ("component", "application_name", "backend_type", "client_port", "server_count", "is_hidden")


class PgStatActivity(models.Model):
    """One row of PostgreSQL's ``pg_stat_activity``, as the primary server has it now.

    Beside the view's own columns: ages in seconds, and who blocks whom. The id stands for
    the pid *and* the start of the session: a pid that serves someone else is another record.
    Of a hidden session the start is not known, and the id is its pid alone.
    """

    _name = "pg.stat.activity"
    _inherit = "connection.live"
    _description = "PostgreSQL Session"
    _auto = False
    _rec_name = "pid"
    _order = "xact_start, backend_start, id"

    pid = NullableInteger("PID", readonly=True, aggregator=None, help="Process id of the backend.")
    leader_pid = NullableInteger(
        "Leader PID", readonly=True, aggregator=None, help="The backend that this parallel worker works for."
    )
    datid = NullableInteger(
        "Database OID", readonly=True, aggregator=None, help="Empty for processes that work on no database."
    )
    datname = fields.Char("Database", readonly=True, help="The database that the session works on.")
    usesysid = NullableInteger("Role OID", readonly=True, aggregator=None, help="Empty for PostgreSQL's own processes.")
    usename = fields.Char("Role", readonly=True, help="The role that the session logged in as.")
    application_name = fields.Char(
        "Application",
        readonly=True,
        help="What the client calls itself. Behind a transaction pool it is lost, or another client's.",
    )
    client_addr = fields.Char(
        "Client Address", readonly=True, help="Empty for a unix socket. Behind a pooler this is the pooler's address."
    )
    client_hostname = fields.Char(readonly=True, help="Only known where log_hostname is on.")
    client_port = NullableInteger(readonly=True, aggregator=None, help="-1 for a unix socket.")
    backend_start = fields.Datetime(readonly=True, help="When the client connected.")
    xact_start = fields.Datetime("Transaction Start", readonly=True, help="Empty while no transaction is open.")
    query_start = fields.Datetime(
        readonly=True, help="When the current query, or in an idle session the last one, began."
    )
    state_change = fields.Datetime(readonly=True, help="Since when it is in its state.")
    backend_age = NullableFloat(
        "Connected (s)",
        readonly=True,
        digits=(16, 1),
        aggregator="max",
        help="For how long the client has been connected.",
    )
    xact_age = NullableFloat(
        "Transaction (s)",
        readonly=True,
        digits=(16, 1),
        aggregator="max",
        help="For how long its transaction has been open. Empty while none is.",
    )
    query_age = NullableFloat(
        "Query (s)",
        readonly=True,
        digits=(16, 1),
        aggregator="max",
        help="Since the current query, or in an idle session the last one, began.",
    )
    state_age = NullableFloat(
        "State (s)", readonly=True, digits=(16, 1), aggregator="max", help="For how long it has been in its state."
    )
    state = fields.Char(readonly=True, help="Empty for background processes.")
    wait_event_type = fields.Char(readonly=True, help="What the backend waits for: Client is its own client.")
    wait_event = fields.Char(
        readonly=True, help="What exactly the backend waits for: ClientRead is the next query of its client."
    )
    blocked_by = fields.Char(
        readonly=True,
        help="PIDs of the sessions that hold, or wait before it for, the lock that this one waits for. "
        "0 is a prepared transaction.",
    )
    blocked_age = NullableFloat(
        "Blocked (s)",
        readonly=True,
        digits=(16, 1),
        aggregator="max",
        help="For how long it has waited for the lock. Before PostgreSQL 14: since its query began.",
    )
    backend_xid = fields.Char("Transaction ID", readonly=True, help="Empty until the transaction changes something.")
    backend_xmin = fields.Char(readonly=True, help="Rows deleted since this transaction cannot be vacuumed.")
    query_id = fields.Char("Query ID", readonly=True, help="Empty before PostgreSQL 14.")
    query = fields.Char(
        readonly=True,
        groups="pgbouncer_monitor.group_manager",
        help="The current query, or in an idle session the last one. Its first 4096 bytes, but on the form.",
    )
    backend_type = fields.Char(
        readonly=True, help="client backend is a connection; the others are PostgreSQL's own processes."
    )
    is_hidden = fields.Boolean(
        "Hidden",
        readonly=True,
        help="Of another role: Odoo's database role may see no more of it than the PID and the names.",
    )
    is_untracked = fields.Boolean(
        "Not Tracked",
        readonly=True,
        help="track_activities is off for this session: its state, times and query are unknown.",
    )
    is_own = fields.Boolean("This Request", readonly=True, help="It works on the request that reads it.")
    is_current_database = fields.Boolean("In This Database", readonly=True, help="On the database of this Odoo.")
    component = fields.Selection(
        [
            ("odoo_worker", "Odoo Worker"),
            ("odoo_listener", "Odoo Bus or Cron"),
            ("pgbouncer", "PgBouncer Pool"),
            ("backup", "Backup"),
            ("replication", "Replication"),
            ("interactive", "Interactive"),
            ("other", "Other"),
            ("unknown", "Unknown"),
        ],
        readonly=True,
        help="Whose connection it is. The session's form says what tells it. Empty for PostgreSQL's own processes.",
    )
    component_reason = fields.Char(
        "Told By", compute="_compute_component_reason", help="What tells whose connection it is."
    )
    endpoint_id = fields.Many2one(
        "connection.endpoint", "PgBouncer", readonly=True, help="The PgBouncer whose connection this is."
    )
    pool_id = fields.Many2one("pgbouncer.pool", readonly=True, help="The pool whose connection this is.")
    server_id = fields.Many2one(
        "pgbouncer.server", "PgBouncer Server", readonly=True, help="This connection, as PgBouncer sees it."
    )
    client_id = fields.Many2one(
        "pgbouncer.client", "PgBouncer Client", readonly=True, help="The client that works in it right now."
    )
    pooled_client = fields.Char(
        "Client Behind",
        readonly=True,
        help="Where the client is that works in this session through PgBouncer right now: its own address and port, "
        "or its process.",
    )
    server_count = NullableInteger(
        "Matching Servers",
        readonly=True,
        aggregator=None,
        help="How many servers of PgBouncers have this PID, port, role and database. If it is more than one it cannot "
        "be told which is this session, and none is shown.",
    )

    @api.model
    def web_search_read(self, *args, **kwargs):
        return super(PgStatActivity, self.with_context(is_list=True)).web_search_read(*args, **kwargs)

    def web_read(self, *args, **kwargs):
        """A form shows a query in full."""
        is_list = self.env.context.get("is_list")
        return super(PgStatActivity, self.with_context(is_query_full=not is_list)).web_read(*args, **kwargs)

    @api.depends("pid", "endpoint_id", *REASON_FIELDS)
    def _compute_component_reason(self):
        for session in self:
            session.component_reason = session._component_reason()

    def _component_reason(self):
        """Return in words what decided about the component, None if there is none: see `analysis.components.reason`."""
        code = components.reason({name: self[name] for name in REASON_FIELDS})
        return self._server_reason(code) if self.component == "pgbouncer" else code and self._name_reason(code)

    def _server_reason(self, code):
        where = {"endpoint": self.endpoint_id.display_name, "pid": self.pid, "port": self.client_port}
        if code == "ambiguous":
            return self.env._(
                "%s servers of PgBouncers match it: which of them it is cannot be told.", self.server_count
            )
        if code == "hidden_server":
            return self.env._(
                "SHOW SERVERS of %(endpoint)s has its PID %(pid)s, role and database. Odoo's role may not see its "
                "port, so it might also be a session of another cluster.",
                **where,
            )
        if code == "unix_server":
            return self.env._(
                "SHOW SERVERS of %(endpoint)s has its PID %(pid)s, role and database at a unix socket. If that "
                "PgBouncer is on another machine, it is a session of the PostgreSQL there.",
                **where,
            )
        return self.env._("SHOW SERVERS of %(endpoint)s has its PID %(pid)s and port %(port)s.", **where)

    def _name_reason(self, code):
        name = self.application_name
        return {
            "odoo_listener": self.env._(
                "It calls itself “%s”, as Odoo does, and is on the database postgres: there its bus and cron listen.",
                name,
            ),
            "odoo_worker": self.env._("It calls itself “%s”, as Odoo does.", name),
            "unknown": self.env._("Its name tells nothing, and Odoo's role may see no more of it."),
            "unnamed": self.env._(
                "It has no name, and no PgBouncer that is watched says that it is its own. A client loses its name "
                "in a PgBouncer that is not watched, or does not answer."
            ),
            "walsender": self.env._("Its backend is a walsender."),
            "named": self.env._("It calls itself “%s”.", name),
        }[code]
