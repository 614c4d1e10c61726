from odoo import api, fields, models
from odoo.tools import SQL

from ...fields import NullableFloat, NullableInteger
from ...probes import postgres
from ...tools import format_number

# No more of a query is shown but on its form: with track_activity_query_size = 1MB a page of a list would weigh 80 MB.
QUERY_BYTES = 4096
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

    @api.depends("component", "application_name", "pid", "client_port", "server_count", "is_hidden")
    def _compute_component_reason(self):
        for session in self:
            session.component_reason = session._component_reason()

    def _component_reason(self):
        if self.component == "pgbouncer":
            if self.server_count > 1:
                return self.env._(
                    "%s servers of PgBouncers match it: which of them it is cannot be told.",
                    self.server_count,
                )
            where = {"endpoint": self.endpoint_id.display_name, "pid": self.pid, "port": self.client_port}
            if self.is_hidden:
                return self.env._(
                    "SHOW SERVERS of %(endpoint)s has its PID %(pid)s, role and database. Odoo's role may not see "
                    "its port, so it might also be a session of another cluster.",
                    **where,
                )
            if self.client_port == -1:
                return self.env._(
                    "SHOW SERVERS of %(endpoint)s has its PID %(pid)s, role and database at a unix socket. If that "
                    "PgBouncer is on another machine, it is a session of the PostgreSQL there.",
                    **where,
                )
            return self.env._("SHOW SERVERS of %(endpoint)s has its PID %(pid)s and port %(port)s.", **where)
        if self.component == "odoo_listener":
            return self.env._(
                "It calls itself “%s”, as Odoo does, and is on the database postgres: there its bus and cron listen.",
                self.application_name,
            )
        if self.component == "odoo_worker":
            return self.env._("It calls itself “%s”, as Odoo does.", self.application_name)
        if self.component == "unknown":
            return self.env._("Its name tells nothing, and Odoo's role may see no more of it.")
        if self.component == "other" and not self.application_name:
            return self.env._(
                "It has no name, and no PgBouncer that is watched says that it is its own. A client loses its name "
                "in a PgBouncer that is not watched, or does not answer."
            )
        if self.component == "replication" and self.backend_type == "walsender":
            return self.env._("Its backend is a walsender.")
        return self.component and self.env._("It calls itself “%s”.", self.application_name)

    @api.model
    def _notices(self):
        counts = {tuple(key): count for *key, count in self._read_group(CLIENT_BACKENDS, UNSEEN, ["__count"])}
        limits = self._limits()
        if problem := self.env.cr.cache.get((self._name, "primary")):
            text = self.env._("The primary server cannot be read: %s", problem)
            return [{"type": "danger", "text": text, "remedy": self.env._("This is a standby's connection.")}]
        hidden, untracked = (
            sum(count for key, count in counts.items() if key[position]) for position in range(len(UNSEEN))
        )
        notices = self._tell_limits(sum(counts.values()), hidden, untracked, limits)
        for notice in self.env["pgbouncer.server"].sudo()._notices():
            text = self.env._("%s Its sessions cannot be told from others.", notice["text"])
            notices.append(notice | {"text": text})
        return notices

    @api.model
    def _tell_limits(self, used, hidden, untracked, limits):
        """The notices about so many client backends, of which so many are hidden or not tracked: the first is the
        limit.

        :param limits: of `_limits`
        """
        max_connections, reserved, role = limits
        notices = [
            {
                "type": "info",
                "text": self.env._(
                    "%(used)s of %(usable)s connections are in use: max_connections is %(max_connections)s, of which "
                    "%(reserved)s are reserved.",
                    used=format_number(self.env, used),
                    usable=format_number(self.env, max_connections - reserved),
                    max_connections=format_number(self.env, max_connections),
                    reserved=format_number(self.env, reserved),
                ),
                "remedy": "",
            }
        ]
        if hidden:
            notices.append(
                {
                    "type": "warning",
                    "text": self.env._(
                        "%(count)s session(s) belong to other roles, and Odoo's role %(role)s may not see what they "
                        "do: their state, times, client and query are empty here. To see them, run as a superuser:",
                        count=format_number(self.env, hidden),
                        role=role,
                    ),
                    "remedy": f"GRANT pg_monitor TO {role};",
                }
            )
        if untracked:
            notices.append(
                {
                    "type": "warning",
                    "text": self.env._(
                        "track_activities is off for %s session(s): their state, times and query are unknown. To see "
                        "those of the next sessions, run as a superuser:",
                        format_number(self.env, untracked),
                    ),
                    "remedy": self._track_remedy(),
                }
            )
        return notices

    @api.model
    def _limits(self):
        """:return: max_connections, how many of them are reserved, and Odoo's role, quoted"""
        query = SQL(
            """SELECT current_setting('max_connections')::int,
                      current_setting('superuser_reserved_connections')::int
                      + COALESCE(current_setting('reserved_connections', true)::int, 0),
                      %s""",
            SQL(postgres.readable("quote_ident(current_user)")),
        )
        rows = self._on_primary(query)
        return rows[0] if rows else (None,) * 3

    @api.model
    def _track_remedy(self):
        """What a superuser may run to have track_activities on for the sessions for which it is off."""
        query = SQL(
            "SELECT %s FROM pg_stat_activity WHERE %s AND backend_type = 'client backend'",
            SQL(postgres.TRACK),
            SQL(postgres.UNTRACKED),
        )
        rows = self._on_primary(query)
        return rows[0][0] if rows else ""
