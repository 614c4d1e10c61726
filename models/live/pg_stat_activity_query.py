"""The query of pg_stat_activity."""

import re

import psycopg2

from odoo import api, models
from odoo.tools import SQL, config

from ...odoo_internals import server_version
from ...probes import postgres
from .connection_live import LateParameter
from .pg_stat_activity import QUERY_BYTES

# How the programs of a component call themselves: regular expressions for application_name,
# whatever the case, tried in this order.
PROGRAMS = {
    "backup": r"^(pg_dump|pg_restore|pg_basebackup|pg_probackup|pgbackrest|barman|wal-g|wal-e)",
    "replication": r"^(walreceiver|pg_receivewal|pg_recvlogical)",
    "interactive": r"^(psql|pgcli|pgadmin|dbeaver|datagrip|navicat|tableplus|postico|heidisql|beekeeper|phppgadmin"
    r"|adminer|azuredatastudio|azdata)",
}


class PgStatActivity(models.Model):
    _inherit = "pg.stat.activity"

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
            if server_version(self.env.cr) >= 140000
            else SQL("wait_event_type = 'Lock' OR state = 'disabled'"),
            backend_age=self._seconds_since("backend_start"),
            xact_age=self._seconds_since("xact_start"),
            query_age=self._seconds_since("query_start"),
            state_age=self._seconds_since("state_change"),
            blocked_age=self._blocked_age(),
            query_id=SQL("query_id::text") if server_version(self.env.cr) >= 140000 else SQL("NULL::text"),
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
        if server_version(self.env.cr) >= 140000:
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
            SQL("query_start IS NOT NULL") if server_version(self.env.cr) < 140000 else SQL("TRUE"),
            since,
        )
