import re

import psycopg2.errors
from markupsafe import escape

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL, config

from ..analysis.joins import network_address
from ..fields import NullableFloat, NullableInteger
from ..probes import postgres
from ..tools import localized
from .connection_live import LateParameter

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
# The part of a session's id that is its PID: Linux has no larger ones.
MAX_PID = (1 << 22) - 1
# How the programs of a component call themselves: regular expressions for application_name,
# whatever the case, tried in this order.
PROGRAMS = {
    "backup": r"^(pg_dump|pg_restore|pg_basebackup|pg_probackup|pgbackrest|barman|wal-g|wal-e)",
    "replication": r"^(walreceiver|pg_receivewal|pg_recvlogical)",
    "interactive": r"^(psql|pgcli|pgadmin|dbeaver|datagrip|navicat|tableplus|postico|heidisql|beekeeper|phppgadmin"
    r"|adminer|azuredatastudio|azdata)",
}


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

    @property
    def _table_query(self):
        query = SQL(
            # A PID is unique in one cluster only, and there may be several: the port, which only
            # TCP has and only some roles may see, the role and the database must be the same.
            """
            %s
              FROM pg_stat_activity
              LEFT JOIN (SELECT (server->>0)::int8 AS server_pid,
                                (server->>1)::int8 AS server_port,
                                server->>2 AS server_user,
                                server->>3 AS server_database,
                                (server->>4)::int8 AS server_count,
                                (server->>5)::int8 AS endpoint_id,
                                (server->>6)::int8 AS pool_id,
                                (server->>7)::int8 AS server_id,
                                (server->>8)::int8 AS client_id,
                                server->>9 AS pooled_client
                           FROM jsonb_array_elements(%s::jsonb) AS server) AS servers
                ON server_pid = pid
               AND server_port = CASE WHEN query = %s THEN 0 ELSE client_port END
               AND server_user = %s
               AND server_database = %s
            """,
            self._select(),
            LateParameter(self.env["pgbouncer.server"].sudo()._backends),
            postgres.HIDDEN_QUERY,
            SQL(postgres.readable("usename::text")),
            SQL(postgres.readable("datname::text")),
        )
        if not self._is_on_standby():
            return query
        return self._rows_query(lambda: self._once("rows", lambda: self._primary_rows(query)))

    @api.model
    def web_search_read(self, *args, **kwargs):
        return super(PgStatActivity, self.with_context(is_list=True)).web_search_read(*args, **kwargs)

    def web_read(self, *args, **kwargs):
        """A form shows a query in full."""
        is_list = self.env.context.get("is_list")
        return super(PgStatActivity, self.with_context(is_query_full=not is_list)).web_read(*args, **kwargs)

    @api.model
    def _is_on_standby(self):
        """With a db_replica_host, reading requests get a read-only cursor, mostly there."""
        return self.env.cr.readonly and self.env.execute_query(SQL("SELECT pg_is_in_recovery()"))[0][0]

    @api.model
    def _primary_rows(self, query):
        """The primary's rows as JSON, none without a connection to it: its sessions are the ones that run out."""
        columns = SQL(", ").join(map(SQL.identifier, self._columns()))
        rows = self._on_primary(SQL("SELECT json_agg(json_build_array(%s))::text FROM (%s) AS session", columns, query))
        return rows[0][0] if rows else "[]"

    @api.model
    def _on_primary(self, query):
        """The rows of a query that the primary runs; nothing if it cannot be reached, and why is remembered for
        `_notices`."""
        if not self._is_on_standby():
            return self.env.execute_query(query)
        try:
            with self.env.registry.cursor() as cr:
                cr.execute(query)
                return cr.fetchall()
        except psycopg2.Error as error:
            self.env.cr.cache[self._name, "primary"] = str(error).strip()
            return []

    @api.model
    def _select(self) -> SQL:
        # A statement that stores an endpoint's password holds it in clear.
        # statement_timestamp() may lie a little before the moment that is looked at.
        return SQL(
            """
            SELECT %(id)s AS id,
                   pid,
                   leader_pid,
                   datid::bigint AS datid,
                   %(datname)s AS datname,
                   usesysid::bigint AS usesysid,
                   %(usename)s AS usename,
                   application_name,
                   host(client_addr) AS client_addr,
                   %(client_hostname)s AS client_hostname,
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
                   CASE WHEN %(may_wait)s
                        THEN NULLIF(array_to_string(pg_blocking_pids(pid), ', '), '')
                   END AS blocked_by,
                   %(blocked_age)s AS blocked_age,
                   backend_xid::text AS backend_xid,
                   backend_xmin::text AS backend_xmin,
                   %(query_id)s AS query_id,
                   CASE WHEN position('stored_password'::bytea IN textsend(query)) = 0
                        THEN %(query)s ELSE '<withheld>'
                   END AS query,
                   backend_type,
                   query = %(hidden)s AS is_hidden,
                   backend_type = 'client backend' AND %(untracked)s AS is_untracked,
                   pid = pg_backend_pid() AS is_own,
                   datname = current_database() AS is_current_database,
                   %(component)s AS component,
                   server_count,
                   endpoint_id,
                   pool_id,
                   server_id,
                   client_id,
                   pooled_client
            """,
            id=self._session_id(),
            datname=SQL(postgres.readable("datname::text")),
            usename=SQL(postgres.readable("usename::text")),
            client_hostname=SQL(postgres.readable("client_hostname")),
            query=SQL(postgres.readable("query", None if self.env.context.get("is_query_full") else QUERY_BYTES)),
            untracked=SQL(postgres.UNTRACKED),
            # Before PostgreSQL 14, what is not tracked does not tell that it waits.
            may_wait=SQL("wait_event_type = 'Lock'")
            if self.env.cr._cnx.server_version >= 140000
            else SQL("wait_event_type = 'Lock' OR state = 'disabled'"),
            backend_age=self._seconds_since("backend_start"),
            xact_age=self._seconds_since("xact_start"),
            query_age=self._seconds_since("query_start"),
            state_age=self._seconds_since("state_change"),
            blocked_age=self._blocked_age(),
            query_id=SQL("query_id::text") if self.env.cr._cnx.server_version >= 140000 else SQL("NULL::text"),
            hidden=postgres.HIDDEN_QUERY,
            component=self._component(),
        )

    @api.model
    def _session_id(self) -> SQL:
        # 30 bits of the session's start and 22 of its pid: within the 52 that JavaScript's
        # numbers hold exactly.
        return SQL("((COALESCE(EXTRACT(EPOCH FROM backend_start), 0)::bigint & ((1 << 30) - 1)) << 22) | pid")

    @api.model
    def _component(self) -> SQL:
        # What Odoo calls itself unless told otherwise, and what this one was told.
        names = ["odoo-{pid}", config["db_app_name"] or ""]
        patterns = [re.sub(r"([%_\\])", r"\\\1", name).replace("{pid}", "%") for name in names]
        programs = SQL(" ").join(
            SQL("WHEN application_name ~* %s THEN %s", pattern, component) for component, pattern in PROGRAMS.items()
        )
        return SQL(
            """CASE WHEN usesysid IS NULL THEN NULL
                    WHEN server_count > 0 THEN 'pgbouncer'
                    %s
                    WHEN backend_type = 'walsender' THEN 'replication'
                    WHEN backend_type <> 'client backend' THEN NULL
                    WHEN application_name LIKE ANY (%s)
                    THEN CASE WHEN datname = 'postgres' THEN 'odoo_listener' ELSE 'odoo_worker' END
                    WHEN query = %s AND datid IS NULL THEN NULL
                    WHEN query = %s THEN 'unknown'
                    ELSE 'other'
               END""",
            programs,
            [pattern for pattern in patterns if pattern.strip("%")],
            postgres.HIDDEN_QUERY,
            postgres.HIDDEN_QUERY,
        )

    @api.model
    def _seconds_since(self, column) -> SQL:
        # PostgreSQL's GREATEST ignores NULL, and what is unknown must stay so.
        since = SQL("EXTRACT(EPOCH FROM statement_timestamp() - %s)::float8", SQL.identifier(column))
        return SQL("CASE WHEN %s < 0 THEN 0 ELSE %s END", since, since)

    @api.model
    def _blocked_age(self) -> SQL:
        since = SQL("query_start")
        if self.env.cr._cnx.server_version >= 140000:
            # pg_locks is read once, and only if somebody waits. For a moment after a wait has begun it does not
            # tell since when: that is 0, because GREATEST ignores NULL.
            since = SQL(
                """((SELECT jsonb_object_agg(lock.pid, lock.waitstart)
                       FROM pg_locks AS lock WHERE NOT granted)->>pid::text)::timestamptz"""
            )
        return SQL(
            """CASE WHEN wait_event_type = 'Lock' AND %s
                    THEN GREATEST(EXTRACT(EPOCH FROM statement_timestamp() - %s)::float8, 0)
               END""",
            SQL("query_start IS NOT NULL") if self.env.cr._cnx.server_version < 140000 else SQL("TRUE"),
            since,
        )

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

    def action_open_blockers(self):
        """The sessions at the root of what this one waits for: those that wait for no lock
        themselves. In a deadlock there are none, and all that take part in it are shown. A
        prepared transaction has no session: what it is, and how to end it, is told instead."""
        blocked = self.search([("blocked_by", "!=", False)])
        roots = self._root_blockers(blocked)
        if roots == {PREPARED}:
            chain = [pid for pid in blocked.mapped("pid") if PREPARED in blocked._waits_for()[pid]]
            raise UserError("\n\n".join(self._explain_prepared(chain)))
        return self._open([("pid", "in", list(roots - {PREPARED}))])

    @api.model
    def _explain_prepared(self, pids):
        """Return in words which prepared transactions hold what these backends wait for, and how to end each."""
        found = self.env.execute_query(SQL(postgres.PREPARED_BLOCKERS, list(pids)))
        return [
            self.env._(
                "The prepared transaction “%(gid)s” of %(owner)s holds the lock, since %(since)s UTC. It has no "
                "session, and outlives a restart. If its application does not end it, connect to the database "
                "%(database)s as %(owner)s or as a superuser, and run: %(remedy)s",
                gid=gid,
                owner=owner,
                since=fields.Datetime.to_string(prepared),
                database=database,
                remedy=f"ROLLBACK PREPARED {literal};",
            )
            for gid, literal, owner, database, prepared in found
        ] or [self.env._("A prepared transaction holds the lock: see pg_prepared_xacts.")]

    def _root_blockers(self, blocked):
        """:param blocked: all sessions that wait for a lock
        :return: the PIDs at the root of what these sessions wait for, see `action_open_blockers`"""
        waits_for = blocked._waits_for()
        chain, found = set(), set(self.mapped("pid"))
        while found:
            chain |= found
            found = set().union(*(waits_for.get(pid, ()) for pid in found)) - chain
        return chain - waits_for.keys() or chain

    def _waits_for(self):
        """:return: PID -> the PIDs that it waits for, of these sessions, all of which wait for a lock"""
        return {session.pid: list(map(int, session.blocked_by.split(", "))) for session in self}

    def _client(self):
        """Where the client is that works in this session."""
        if self.client_addr:
            own = network_address(self.client_addr, self.client_port)
        else:
            own = self.env._("unknown") if self.is_hidden else self.env._("unix socket")
        return self.pooled_client or own

    def action_open_pool(self):
        return self.env["pgbouncer.pool"]._open([("id", "=", self.pool_id.id)])

    def action_open_server(self):
        return self.env["pgbouncer.server"]._open([("id", "=", self.server_id.id)])

    def action_open_client(self):
        return self.env["pgbouncer.client"]._open([("id", "=", self.client_id.id)])

    def action_cancel(self):
        """Ask PostgreSQL to cancel what the sessions run now; see ``_signal``."""
        return self._signal("pg_cancel_backend")

    def action_terminate(self):
        """Ask PostgreSQL to end the sessions; see ``_signal``."""
        return self._signal("pg_terminate_backend")

    def _signal(self, function):
        """Run a function of PostgreSQL on the backends of these sessions, write what came of it
        into the chatter of the PostgreSQL endpoint, and tell the user.

        A session is found again by its id, which is its PID and the second of its start, in the
        very statement that sends the signal: one that is gone, or whose PID serves another
        session now, is left alone.
        """
        endpoint = self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql")
        endpoint.check_access("write")
        who = {session.id: session._identify() for session in self.search([("id", "in", self.ids)])}
        signals = {session_id: f"{function}({session_id & MAX_PID})" for session_id in self.ids}
        records = endpoint._record(
            *(
                self.env._("%(signal)s: about to be sent. %(who)s", signal=signal, who=who.get(session_id, ""))
                for session_id, signal in signals.items()
            )
        )
        outcomes = []
        for record, (session_id, signal) in zip(records, signals.items(), strict=True):
            is_done, outcome = self._signal_one(function, session_id)
            outcomes.append((is_done, f"{signal}: {outcome} {who.get(session_id, '')}".strip()))
            record.body = escape(outcomes[-1][1])
        done = sum(is_done for is_done, _outcome in outcomes)
        # A form of a session that is gone cannot be shown again.
        is_gone = done and function == "pg_terminate_backend" and self.env.context.get("is_session_form")
        return endpoint._notification(
            self.env._("%(done)s of %(count)s done", done=done, count=len(outcomes)),
            "\n".join(outcome for _is_done, outcome in outcomes),
            "success" if done == len(outcomes) else "warning" if done else "danger",
            self.env["ir.actions.act_window"]._for_xml_id("pgbouncer_monitor.pg_stat_activity_action")
            | {"target": "main"}
            if is_gone
            else {"tag": "soft_reload"},
        )

    def _identify(self):
        """Whose session it is, for the record of what was done to it."""
        client = self._client()
        if self.pooled_client:
            client = self.env._("%(client)s, behind %(pgbouncer)s", client=client, pgbouncer=self.endpoint_id.name)
        return self.env._(
            "Session of %(user)s on %(database)s, application %(name)s, client %(client)s, state %(state)s, connected "
            "since %(start)s UTC.",
            user=self.usename or "-",
            database=self.datname or "-",
            name=self.application_name or "-",
            client=client,
            state=self.state or "-",
            start=fields.Datetime.to_string(self.backend_start) or "-",
        )

    @api.model
    def _signal_one(self, function, session_id):
        """:return: (whether PostgreSQL sent the signal, what came of it in words)"""
        # Of a cancel an idle session would take no notice.
        may_signal = SQL(
            "pid <> pg_backend_pid() AND backend_start IS NOT NULL AND backend_type = 'client backend'%s",
            SQL(" AND state = 'active'") if function == "pg_cancel_backend" else SQL(),
        )
        query = SQL(
            """SELECT state, backend_type, pid = pg_backend_pid(), CASE WHEN %s THEN %s(pid) END
                 FROM pg_stat_activity
                WHERE %s = %s""",
            may_signal,
            SQL.identifier(function),
            self._session_id(),
            session_id,
        )
        try:
            with self.env.cr.savepoint():
                # Within a transaction PostgreSQL shows the sessions as they were at the first look.
                self.env.cr.execute("SELECT pg_stat_clear_snapshot()")
                self.env.cr.execute(query, log_exceptions=False)
                rows = self.env.cr.fetchall()
        except psycopg2.errors.InsufficientPrivilege as error:
            [(role,)] = self.env.execute_query(SQL("SELECT quote_ident(current_user)"))
            return False, self.env._(
                "PostgreSQL refuses: %(error)s. Only a superuser may end a superuser's session. For those of other "
                "roles, run as a superuser: %(remedy)s",
                error=" ".join(filter(None, (error.diag.message_primary, error.diag.message_detail))).rstrip("."),
                remedy=f"GRANT pg_signal_backend TO {role};",
            )
        if not rows:
            return False, self.env._(
                "nothing was done, because this session is gone. If its PID is still listed, it serves another "
                "session now."
            )
        [(state, backend_type, is_own, is_sent)] = rows
        if is_own:
            return False, self.env._("nothing was done, because this session works on your own request.")
        if not backend_type:
            return False, self.env._(
                "nothing was done, because Odoo's role may not see when this session started: it could be another one "
                "by now. The list says how to grant it."
            )
        if backend_type != "client backend":
            return False, self.env._("nothing was done, because it is no client's session: %s.", backend_type)
        if is_sent is None:
            return False, self.env._("nothing was done, because it runs no query now: it is %s.", state)
        if not is_sent:
            return False, self.env._("the session ended before the signal came.")
        return True, self.env._("the signal was sent.")

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
                    used=localized(self.env, used),
                    usable=localized(self.env, max_connections - reserved),
                    max_connections=localized(self.env, max_connections),
                    reserved=localized(self.env, reserved),
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
                        count=localized(self.env, hidden),
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
                        localized(self.env, untracked),
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
