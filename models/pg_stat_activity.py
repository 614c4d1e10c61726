from odoo import api, fields, models
from odoo.tools import SQL

from ..fields import NullableFloat, NullableInteger

# What PostgreSQL shows instead of the query, to a role that may not see the session.
HIDDEN_QUERY = "<insufficient privilege>"


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
    datid = NullableInteger("Database OID", readonly=True, aggregator=None)
    datname = fields.Char("Database", readonly=True)
    usesysid = NullableInteger("Role OID", readonly=True, aggregator=None)
    usename = fields.Char("Role", readonly=True)
    application_name = fields.Char(
        "Application",
        readonly=True,
        help="What the client calls itself. Behind a transaction pool it is lost, or another client's.",
    )
    client_addr = fields.Char(
        "Client", readonly=True, help="Empty for a unix socket. Behind a pooler this is the pooler's address."
    )
    client_hostname = fields.Char(readonly=True, help="Only known where log_hostname is on.")
    client_port = NullableInteger(readonly=True, aggregator=None, help="-1 for a unix socket.")
    backend_start = fields.Datetime(readonly=True)
    xact_start = fields.Datetime("Transaction Start", readonly=True)
    query_start = fields.Datetime(readonly=True)
    state_change = fields.Datetime(readonly=True)
    backend_age = NullableFloat("Connected (s)", readonly=True, digits=(16, 1), aggregator="max")
    xact_age = NullableFloat("Transaction (s)", readonly=True, digits=(16, 1), aggregator="max")
    query_age = NullableFloat(
        "Query (s)",
        readonly=True,
        digits=(16, 1),
        aggregator="max",
        help="Since the current query, or in an idle session the last one, began.",
    )
    state_age = NullableFloat("State (s)", readonly=True, digits=(16, 1), aggregator="max")
    state = fields.Char(readonly=True, help="Empty for background processes.")
    wait_event_type = fields.Char(readonly=True, help="What the backend waits for: Client is its own client.")
    wait_event = fields.Char(readonly=True)
    blocked_by = fields.Char(
        readonly=True,
        help="PIDs of the sessions that hold, or wait before it for, the lock that this one waits for. "
        "0 is a prepared transaction.",
    )
    backend_xid = fields.Char("Transaction ID", readonly=True)
    backend_xmin = fields.Char(readonly=True, help="Rows deleted since this transaction cannot be vacuumed.")
    query_id = fields.Char("Query ID", readonly=True, help="Empty before PostgreSQL 14.")
    query = fields.Char(
        readonly=True,
        groups="pgbouncer_monitor.group_manager",
        help="The current query, or in an idle session the last one.",
    )
    backend_type = fields.Char(
        readonly=True, help="client backend is a connection; the others are PostgreSQL's own processes."
    )
    is_hidden = fields.Boolean(
        "Hidden",
        readonly=True,
        help="Of another role: Odoo's database role may see no more of it than the PID and the names.",
    )
    is_current_database = fields.Boolean("In This Database", readonly=True)

    @property
    def _table_query(self):
        query = SQL("%s FROM pg_stat_activity", self._select())
        if not self._is_on_standby():
            return query
        return self._rows_query(lambda: self._primary_rows(query))

    @api.model
    def _is_on_standby(self):
        """With a db_replica_host, reading requests get a read-only cursor, mostly there."""
        return self.env.cr.readonly and self.env.execute_query(SQL("SELECT pg_is_in_recovery()"))[0][0]

    @api.model
    def _primary_rows(self, query):
        """The primary's rows as JSON: its sessions are the ones that run out."""
        cache = self.env.cr.cache
        if self._name not in cache:
            columns = SQL(", ").join(map(SQL.identifier, self._columns()))
            with self.env.registry.cursor() as cr:
                cr.execute(SQL("SELECT json_agg(json_build_array(%s))::text FROM (%s) AS session", columns, query))
                (cache[self._name],) = cr.fetchone()
        return cache[self._name]

    @api.model
    def _select(self) -> SQL:
        # 30 bits of the session's start and 22 of its pid (Linux has no larger ones): within
        # the 52 that JavaScript's numbers hold exactly.
        # A statement that stores an endpoint's password holds it in clear.
        # statement_timestamp() may lie a little before the moment that is looked at.
        return SQL(
            """
            SELECT ((COALESCE(EXTRACT(EPOCH FROM backend_start), 0)::bigint & ((1 << 30) - 1)) << 22) | pid AS id,
                   pid,
                   leader_pid,
                   datid::bigint AS datid,
                   datname::text AS datname,
                   usesysid::bigint AS usesysid,
                   usename::text AS usename,
                   application_name,
                   host(client_addr) AS client_addr,
                   client_hostname,
                   client_port,
                   backend_start AT TIME ZONE 'UTC' AS backend_start,
                   xact_start AT TIME ZONE 'UTC' AS xact_start,
                   query_start AT TIME ZONE 'UTC' AS query_start,
                   state_change AT TIME ZONE 'UTC' AS state_change,
                   %(backend_age)s AS backend_age,
                   %(xact_age)s AS xact_age,
                   %(query_age)s AS query_age,
                   %(state_age)s AS state_age,
                   state,
                   wait_event_type,
                   wait_event,
                   CASE WHEN wait_event_type = 'Lock'
                        THEN NULLIF(array_to_string(pg_blocking_pids(pid), ', '), '')
                   END AS blocked_by,
                   backend_xid::text AS backend_xid,
                   backend_xmin::text AS backend_xmin,
                   %(query_id)s AS query_id,
                   CASE WHEN strpos(query, 'stored_password') = 0 THEN query ELSE '<withheld>' END AS query,
                   backend_type,
                   query = %(hidden)s AS is_hidden,
                   datname = current_database() AS is_current_database
            """,
            backend_age=self._seconds_since("backend_start"),
            xact_age=self._seconds_since("xact_start"),
            query_age=self._seconds_since("query_start"),
            state_age=self._seconds_since("state_change"),
            query_id=SQL("query_id::text") if self.env.cr._cnx.server_version >= 140000 else SQL("NULL::text"),
            hidden=HIDDEN_QUERY,
        )

    @api.model
    def _seconds_since(self, column) -> SQL:
        # PostgreSQL's GREATEST ignores NULL, and what is unknown must stay so.
        since = SQL("EXTRACT(EPOCH FROM statement_timestamp() - %s)::float8", SQL.identifier(column))
        return SQL("CASE WHEN %s < 0 THEN 0 ELSE %s END", since, since)

    @api.model
    def _notices(self):
        hidden = self.search_count([("is_hidden", "=", True), ("usesysid", "!=", False)])
        if not hidden:
            return []
        [(role,)] = self.env.execute_query(SQL("SELECT quote_ident(current_user)"))
        return [
            {
                "type": "warning",
                "text": self.env._(
                    "%(count)s session(s) belong to other roles, and Odoo's role %(role)s may not see what they do: "
                    "their state, times, client and query are empty here. To see them, run as a superuser:",
                    count=hidden,
                    role=role,
                ),
                "remedy": f"GRANT pg_monitor TO {role};",
            }
        ]
