"""The columns of a session. Names the PgBouncer rows that it is joined to."""

from odoo import api, fields, models

from ...analysis import components
from ...fields import NullableFloat, NullableInteger

# The sessions that count towards max_connections, as in the filter of the list. A hidden session does not show its
# backend_type: if it has a database, it is not one of PostgreSQL's own processes.
CLIENT_BACKENDS = [
    *("|", ("backend_type", "=", "client backend")),
    *("&", ("is_hidden", "=", True), "&", ("usesysid", "!=", False), ("datid", "!=", False)),
]
# The PID of a prepared transaction in blocked_by.
PREPARED = 0
# The fields that mark sessions whose activity PostgreSQL does not show.
UNSEEN = ["is_hidden", "is_untracked"]
# The fields that decide about the reason of a component.
REASON_FIELDS = ("component", "application_name", "backend_type", "client_port", "server_count", "is_hidden")


class PgStatActivity(models.Model):
    """One row of PostgreSQL's ``pg_stat_activity`` on the primary server, right now.

    Beside the columns of the view it has ages in seconds and who blocks whom. The id holds the PID *and* the start of
    the session: a PID that serves another client is another record. The start of a hidden session is unknown: its id
    is the PID alone.
    """

    _name = "pg.stat.activity"
    _inherit = "connection.live"
    _description = "PostgreSQL Session"
    _auto = False
    _rec_name = "pid"
    _order = "xact_start, backend_start, id"

    pid = NullableInteger("PID", readonly=True, aggregator=None, help="Process id of the backend.")
    leader_pid = NullableInteger(
        "Leader PID", readonly=True, aggregator=None, help="The leader of this parallel worker."
    )
    datid = NullableInteger(
        "Database OID", readonly=True, aggregator=None, help="Empty for processes that are not connected to a database."
    )
    datname = fields.Char("Database", readonly=True, help="The database that the session is connected to.")
    usesysid = NullableInteger("Role OID", readonly=True, aggregator=None, help="Empty for PostgreSQL's own processes.")
    usename = fields.Char("Role", readonly=True, help="The role that logged in.")
    application_name = fields.Char(
        "Application",
        readonly=True,
        help="The name that the client gave itself. Behind a transaction pool it is empty, or another client's.",
    )
    client_addr = fields.Char(
        "Client Address", readonly=True, help="Empty for a unix socket. Behind a pooler this is the pooler's address."
    )
    client_hostname = fields.Char(readonly=True, help="Only available if log_hostname is on.")
    client_port = NullableInteger(readonly=True, aggregator=None, help="-1 for a unix socket.")
    backend_start = fields.Datetime(readonly=True, help="When the client connected.")
    xact_start = fields.Datetime("Transaction Start", readonly=True, help="Empty while no transaction is open.")
    query_start = fields.Datetime(
        readonly=True, help="When the current query started, or the last one of an idle session."
    )
    state_change = fields.Datetime(readonly=True, help="When the state last changed.")
    backend_age = NullableFloat(
        "Connected (s)",
        readonly=True,
        digits=(16, 1),
        aggregator="max",
        help="How long the client has been connected.",
    )
    xact_age = NullableFloat(
        "Transaction (s)",
        readonly=True,
        digits=(16, 1),
        aggregator="max",
        help="How long the transaction has been open. Empty if none is open.",
    )
    query_age = NullableFloat(
        "Query (s)",
        readonly=True,
        digits=(16, 1),
        aggregator="max",
        help="Time since the current query started, or the last one of an idle session.",
    )
    state_age = NullableFloat(
        "State (s)", readonly=True, digits=(16, 1), aggregator="max", help="Time since the state last changed."
    )
    state = fields.Char(readonly=True, help="Empty for background processes.")
    wait_event_type = fields.Char(
        readonly=True, help="The type of event that the backend waits for: Client is its own client."
    )
    wait_event = fields.Char(
        readonly=True, help="The event that the backend waits for: ClientRead is the next query of its client."
    )
    blocked_by = fields.Char(
        readonly=True,
        help="PIDs of the sessions that hold the lock that this session waits for, or are ahead of it in the queue. "
        "0 is a prepared transaction.",
    )
    blocked_age = NullableFloat(
        "Blocked (s)",
        readonly=True,
        digits=(16, 1),
        aggregator="max",
        help="How long it has waited for the lock. Before PostgreSQL 14: time since its query started.",
    )
    backend_xid = fields.Char("Transaction ID", readonly=True, help="Empty until the transaction writes.")
    backend_xmin = fields.Char(readonly=True, help="Rows that were deleted after this transaction cannot be vacuumed.")
    query_id = fields.Char("Query ID", readonly=True, help="Empty before PostgreSQL 14.")
    query = fields.Char(
        readonly=True,
        groups="pgbouncer_monitor.group_manager",
        help="The current query, or the last one of an idle session. Lists show its first 4096 bytes, the form "
        "shows all of it.",
    )
    backend_type = fields.Char(
        readonly=True, help="client backend: a connection of a client. Others are PostgreSQL's own processes."
    )
    is_hidden = fields.Boolean(
        "Hidden",
        readonly=True,
        help="The session of another role: Odoo's database role can only see its PID and names.",
    )
    is_untracked = fields.Boolean(
        "Not Tracked",
        readonly=True,
        help="track_activities is off for this session: its state, times and query are unknown.",
    )
    is_own = fields.Boolean("This Request", readonly=True, help="The session of the request that reads this list.")
    is_current_database = fields.Boolean(
        "In This Database", readonly=True, help="Connected to the database of this Odoo."
    )
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
        help="What kind of program holds the connection. The form shows the reason. Empty for PostgreSQL's own "
        "processes.",
    )
    component_reason = fields.Char(
        "Reason", compute="_compute_component_reason", help="What the component was derived from."
    )
    endpoint_id = fields.Many2one(
        "connection.endpoint", "PgBouncer", readonly=True, help="The PgBouncer that holds this connection."
    )
    pool_id = fields.Many2one("pgbouncer.pool", readonly=True, help="The pool that holds this connection.")
    server_id = fields.Many2one(
        "pgbouncer.server", "PgBouncer Server", readonly=True, help="This connection in SHOW SERVERS."
    )
    client_id = fields.Many2one(
        "pgbouncer.client", "PgBouncer Client", readonly=True, help="The client that uses it right now."
    )
    pooled_client = fields.Char(
        "Client Behind",
        readonly=True,
        help="The address and port, or the process, of the client that uses this session through PgBouncer right now.",
    )
    server_count = NullableInteger(
        "Matching Servers",
        readonly=True,
        aggregator=None,
        help="Number of PgBouncer servers with this PID, port, role and database. If there is more than one, the match "
        "is ambiguous and none is shown.",
    )

    @api.model
    def web_search_read(self, *args, **kwargs):
        return super(PgStatActivity, self.with_context(is_list=True)).web_search_read(*args, **kwargs)

    @api.model
    def web_read_group(self, *args, **kwargs):
        return super(PgStatActivity, self.with_context(is_list=True)).web_read_group(*args, **kwargs)

    def web_read(self, *args, **kwargs):
        """Read queries in full, but for a list."""
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
            return self.env._("Ambiguous: %s PgBouncer servers match this session.", self.server_count)
        if code == "hidden_server":
            return self.env._(
                "SHOW SERVERS of %(endpoint)s has its PID %(pid)s, role and database. Odoo's role cannot see "
                "its port, so "
                "it may also be a session of another cluster.",
                **where,
            )
        if code == "unix_server":
            return self.env._(
                "SHOW SERVERS of %(endpoint)s has its PID %(pid)s, role and database over a unix socket. If that "
                "PgBouncer runs on another host, it is a session of the PostgreSQL there.",
                **where,
            )
        return self.env._("SHOW SERVERS of %(endpoint)s has its PID %(pid)s and port %(port)s.", **where)

    def _name_reason(self, code):
        name = self.application_name
        return {
            "odoo_listener": self.env._(
                "Its application name is “%s”, like Odoo's, and its database is postgres: Odoo's bus and cron "
                "listen there.",
                name,
            ),
            "odoo_worker": self.env._("Its application name is “%s”, like Odoo's.", name),
            "unknown": self.env._(
                "Unknown: its application name matches no component, and Odoo's role cannot see more of it."
            ),
            "unnamed": self.env._(
                "It has no application name, and no watched PgBouncer reports it as a server. Connections of a "
                "PgBouncer that is not watched, or does not answer, lose their name."
            ),
            "walsender": self.env._("It is a walsender."),
            "named": self.env._("Its application name is “%s”.", name),
        }[code]
