"""The queries of pg_stat_activity. Names the PgBouncer servers, which are joined to it."""

import psycopg2

from odoo import api, models
from odoo.tools import SQL, config

from ...analysis import components, readings
from ...odoo_internals import server_version, system_database
from ...probes import postgres
from .connection_live import LateParameter

# No more of a query is shown but on its form: with track_activity_query_size = 1MB a page of a list would weigh 80 MB.
QUERY_BYTES = 4096
# The columns that need to know the servers of PgBouncers.
JOINED = {"component", "endpoint_id", "pool_id", "server_id", "client_id", "pooled_client", "server_count"}
# Ages, and the columns that they count from.
AGES = {
    "backend_age": "backend_start",
    "xact_age": "xact_start",
    "query_age": "query_start",
    "state_age": "state_change",
}


class PgStatActivity(models.Model):
    _inherit = "pg.stat.activity"

    @property
    def _table_query(self):
        query = self._primary_query()
        if not self._is_on_standby():
            return query
        return self._rows_query(lambda names: self._once(tuple(names), lambda: self._primary_rows(query)))

    @api.model
    def _primary_query(self) -> SQL:
        names = self._queried_columns().keys()
        columns = self._own_columns() | self._ages()
        if JOINED.isdisjoint(names):
            source = SQL("(SELECT *, %s AS is_hidden FROM pg_stat_activity) AS session", self._is_hidden())
        else:
            columns, source = columns | self._joined_columns(), self._joined()
        selected = [SQL("%s AS %s", columns[name], SQL.identifier(name)) for name in self._columns() if name in names]
        return SQL("SELECT %s FROM %s", SQL(", ").join(selected), source)

    @api.model
    def _joined(self) -> SQL:
        """Return the sessions with the servers of PgBouncers that they are."""
        # A PID is unique in one cluster only, and there may be several: the role, the database and the port must be
        # the same. Only TCP has a port, and of a hidden session it is unknown. OFFSET 0: names are made readable once.
        return SQL(
            """
            (SELECT *, %s AS is_hidden, %s AS readable_usename, %s AS readable_datname
               FROM pg_stat_activity
             OFFSET 0) AS session
            LEFT JOIN (SELECT (server->>0)::int8 AS server_pid,
                              (server->>1)::int8 AS server_port,
                              server->>2 AS server_user,
                              server->>3 AS server_database,
                              (server->>4)::int8 AS port_count,
                              (server->>5)::int8 AS any_port_count,
                              (server->>6)::int8 AS endpoint_id,
                              (server->>7)::int8 AS pool_id,
                              (server->>8)::int8 AS server_id,
                              (server->>9)::int8 AS client_id,
                              server->>10 AS pooled_client
                         FROM jsonb_array_elements(%s::jsonb) AS server) AS servers
              ON server_pid = pid
             AND server_user = readable_usename
             AND server_database = readable_datname
             AND CASE WHEN is_hidden THEN any_port_count IS NOT NULL ELSE server_port = client_port END
            """,
            self._is_hidden(),
            SQL(postgres.readable("usename::text")),
            SQL(postgres.readable("datname::text")),
            LateParameter(self.env["pgbouncer.server"].sudo()._backends),
        )

    @api.model
    def _is_hidden(self) -> SQL:
        return SQL("query = %s", postgres.HIDDEN_QUERY)

    @api.model
    def _joined_columns(self):
        """Return name -> SQL of what depends on the servers, or was made readable for them."""
        count = SQL("CASE WHEN is_hidden THEN any_port_count ELSE port_count END")
        names = ("endpoint_id", "pool_id", "server_id", "client_id", "pooled_client")
        return {name: SQL("CASE WHEN %s = 1 THEN %s END", count, SQL.identifier("servers", name)) for name in names} | {
            "datname": SQL("readable_datname"),
            "usename": SQL("readable_usename"),
            "server_count": count,
            "component": self._component(count),
        }

    @api.model
    def _own_columns(self):
        """Return name -> SQL of what the session itself has, but for its ages."""
        is_full = self.env.context.get("is_query_full")
        readable = ("datname", "usename", "client_hostname")
        return {
            name: SQL.identifier("session", name)
            for name, field in self._fields.items()
            if field.store and name not in JOINED
        } | {
            **{name: SQL("%s AT TIME ZONE 'UTC'", SQL.identifier(name)) for name in AGES.values()},
            **{name: SQL(postgres.readable(f"{name}::text")) for name in readable},
            "id": self._session_id(),
            "datid": SQL("datid::bigint"),
            "usesysid": SQL("usesysid::bigint"),
            "client_addr": SQL("host(client_addr)"),
            # Before PostgreSQL 14, a session that is not tracked does not show that it waits.
            "blocked_by": SQL(
                "CASE WHEN %s THEN NULLIF(array_to_string(pg_blocking_pids(pid), ', '), '') END",
                SQL("wait_event_type = 'Lock'")
                if self._has_waitstart()
                else SQL("wait_event_type = 'Lock' OR state = 'disabled'"),
            ),
            "backend_xid": SQL("backend_xid::text"),
            "backend_xmin": SQL("backend_xmin::text"),
            "query_id": SQL("query_id::text") if self._has_waitstart() else SQL("NULL::text"),
            # A statement that stores an endpoint's password holds it in clear.
            "query": SQL(
                "CASE WHEN position('stored_password'::bytea IN textsend(query)) = 0 THEN %s ELSE '<withheld>' END",
                SQL(postgres.readable("query", None if is_full else QUERY_BYTES)),
            ),
            "is_untracked": SQL("backend_type = 'client backend' AND %s", SQL(postgres.UNTRACKED)),
            "is_own": SQL("pid = pg_backend_pid()"),
            "is_current_database": SQL("datname = current_database()"),
        }

    @api.model
    def _unreported(self, domain=()):
        return [] if self._has_waitstart() else ["query_id"]

    @api.model
    def _has_waitstart(self):
        """Return whether this is PostgreSQL 14 or later."""
        return server_version(self.env.cr) >= 140000

    @api.model
    def _session_id(self) -> SQL:
        # 30 bits of the session's start and 22 of its pid: JavaScript's numbers hold 52 bits.
        return SQL("((COALESCE(EXTRACT(EPOCH FROM backend_start), 0)::bigint & ((1 << 30) - 1)) << 22) | pid")

    @api.model
    def _component(self, server_count) -> SQL:
        programs = SQL(" ").join(
            SQL("WHEN application_name ~* %s THEN %s", pattern, component)
            for component, pattern in components.PROGRAMS.items()
        )
        return SQL(
            """CASE WHEN usesysid IS NULL THEN NULL
                    WHEN %s > 0 THEN 'pgbouncer'
                    %s
                    WHEN backend_type = 'walsender' THEN 'replication'
                    WHEN backend_type <> 'client backend' THEN NULL
                    WHEN application_name LIKE ANY (%s)
                    THEN CASE WHEN datname = %s THEN 'odoo_listener' ELSE 'odoo_worker' END
                    WHEN is_hidden AND datid IS NULL THEN NULL
                    WHEN is_hidden THEN 'unknown'
                    ELSE 'other'
               END""",
            server_count,
            programs,
            components.odoo_patterns(config["db_app_name"]),
            system_database(),
        )

    @api.model
    def _ages(self):
        """Return name -> SQL of the ages in seconds."""
        # statement_timestamp() may be a little before the moment that is shown. GREATEST ignores NULL, which must
        # stay unknown.
        ages = {}
        for name, start in AGES.items():
            age = SQL("EXTRACT(EPOCH FROM statement_timestamp() - %s)::float8", SQL.identifier(start))
            ages[name] = SQL("CASE WHEN %s < 0 THEN 0 ELSE %s END", age, age)
        return ages | {"blocked_age": self._blocked_age()}

    @api.model
    def _blocked_age(self) -> SQL:
        if not self._has_waitstart():
            since, is_known = SQL("query_start"), SQL("query_start IS NOT NULL")
        else:
            # pg_locks is read once, and only if somebody waits. For a moment after a wait has begun it does not show
            # since when: that is 0, because GREATEST ignores NULL.
            since, is_known = (
                SQL(
                    """((SELECT jsonb_object_agg(lock.pid, lock.waitstart)
                           FROM pg_locks AS lock WHERE NOT granted)->>pid::text)::timestamptz"""
                ),
                SQL("TRUE"),
            )
        return SQL(
            """CASE WHEN wait_event_type = 'Lock' AND %s
                    THEN GREATEST(EXTRACT(EPOCH FROM statement_timestamp() - %s)::float8, 0)
               END""",
            is_known,
            since,
        )

    @api.model
    def _is_on_standby(self):
        """Return whether this request reads a standby: with a db_replica_host, most reading requests do."""
        return self.env.cr.readonly and self.env.execute_query(SQL("SELECT pg_is_in_recovery()"))[0][0]

    @api.model
    def _primary_rows(self, query):
        """Return the primary's rows as JSON, none without a connection to it: it is the primary's sessions that run
        out."""
        columns = SQL(", ").join(map(SQL.identifier, self._queried_columns()))
        rows = self._on_primary(SQL("SELECT json_agg(json_build_array(%s))::text FROM (%s) AS session", columns, query))
        return (rows and rows[0][0]) or "[]"

    @api.model
    def _on_primary(self, query):
        """Return the rows of a query that the primary runs; none if it cannot be reached, and `_notices` says why."""
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
    def _activity(self):
        """Return how the connections are used, see `probes.postgres.ACTIVITY`; {} without a connection to the
        primary."""
        rows = self._on_primary(SQL("SELECT to_jsonb(activity) FROM (%s) AS activity", SQL(postgres.ACTIVITY)))
        return readings.postgresql({postgres.ACTIVITY: [row for (row,) in rows]})[postgres.ACTIVITY][0] if rows else {}
