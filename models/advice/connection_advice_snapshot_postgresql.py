"""What a snapshot has of PostgreSQL. Queries it over Odoo's own connection."""

from odoo import api, models
from odoo.tools import SQL

from ...advice.snapshot import PostgreSQL
from ...analysis import pressure, readings
from ...odoo_internals import server_version, system_database
from ...probes import postgres
from ..planning.connection_plan_fill_servers import LIMITS

SETTINGS = """
max_connections superuser_reserved_connections shared_buffers work_mem track_activities idle_session_timeout
idle_in_transaction_session_timeout statement_timeout transaction_timeout port
""".split()
# What the snapshot has as the catalog has it.
CATALOG = """
is_superuser is_bootstrap is_monitor role_settings system_settings role_limit database_limit prepared catalog_sessions
""".split()
# Sources of a setting's value that the server's configuration does not have.
OF_SESSIONS = ("global", "database", "user", "database user", "client")
PREPARED = SQL(
    """
    SELECT COALESCE(jsonb_agg(jsonb_build_object(
               'gid', %s, 'owner', %s, 'database', %s, 'age', EXTRACT(EPOCH FROM clock_timestamp() - prepared)::float8
           ) ORDER BY prepared), '[]')
      FROM pg_prepared_xacts
    """,
    SQL(postgres.readable("gid")),
    SQL(postgres.readable("owner::text")),
    SQL(postgres.readable("pg_prepared_xacts.database::text")),
)
# Since PostgreSQL 14. Since 15, statistics of a database that were never reset have no time of their own: they began
# with the cluster, or after its last crash, as those of its processes did.
CATALOG_SESSIONS = SQL(
    """
    SELECT (to_jsonb(stat)->>'sessions')::float8 * 60 / EXTRACT(EPOCH FROM clock_timestamp() - since)::float8
      FROM (SELECT pg_stat_database.*, COALESCE(
                       pg_stat_database.stats_reset, LEAST(archiver.stats_reset, bgwriter.stats_reset)
                   ) AS since
              FROM pg_stat_database, pg_stat_archiver AS archiver, pg_stat_bgwriter AS bgwriter) AS stat
     WHERE datname = %s AND since < clock_timestamp() - interval '1 minute'
    """,
    system_database(),
)


def role_settings(database):
    """Return the query for the settings of Odoo's role in a database.

    setconfig is an array of name=value. The most specific one counts, and comes last.

    :param SQL database: its name
    """
    return SQL(
        """
        SELECT jsonb_agg(jsonb_build_array(split_part(line, '=', 1), %s, of_role, of_database)
                         ORDER BY of_role::int * 2 + of_database::int)
          FROM (SELECT unnest(setconfig) AS line, setrole > 0 AS of_role, setdatabase > 0 AS of_database
                  FROM pg_db_role_setting
                 WHERE setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
                   AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = %s))) AS found
         WHERE split_part(line, '=', 1) IN (SELECT name FROM pg_settings WHERE category <> 'Customized Options')
        """,
        SQL(postgres.readable("substring(line FROM position('=' IN line) + 1)")),
        database,
    )


class ConnectionAdvice(models.Model):
    _inherit = "connection.advice"

    @api.model
    def _catalog(self, reading):
        """Return what the catalog has: ``settings``, ``prepared`` and ``catalog_sessions`` of a PostgreSQL,
        ``role_settings`` and ``system_settings``, the ``role`` and ``port`` of Odoo's own backend, whether the role
        ``is_superuser`` and ``is_bootstrap``, ``role_limit`` and ``database_limit``, the ``server_port``, and whether
        the reader ``is_monitor``.

        The port is that of the client's end, -1 for a unix socket.
        """
        query = SQL(
            """
            SELECT to_jsonb(answer) FROM (
                SELECT %(role)s AS role, rolsuper AS is_superuser, pg_roles.oid = 10 AS is_bootstrap,
                       rolconnlimit AS role_limit,
                       (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS database_limit,
                       COALESCE(inet_client_port(), -1) AS port,
                       current_setting('port')::int AS server_port,
                       pg_has_role(to_regrole(%(reader)s), 'pg_monitor', 'USAGE') AS is_monitor,
                       (SELECT %(readable)s FROM pg_roles AS reader WHERE oid = to_regrole(%(reader)s)) AS reader,
                       (SELECT jsonb_agg(jsonb_build_array(name, reset_val, vartype, unit, source))
                          FROM pg_settings WHERE name = ANY(%(settings)s)) AS settings,
                       (%(role_settings)s) AS role_settings, (%(system_settings)s) AS system_settings,
                       (%(prepared)s) AS prepared,
                       (%(catalog_sessions)s) AS catalog_sessions
                  FROM pg_roles
                 WHERE rolname = session_user) AS answer
            """,
            role=SQL(postgres.readable("session_user::text")),
            readable=SQL(postgres.readable("reader.rolname::text")),
            reader=reading.activity.get("role"),  # quoted
            settings=SETTINGS,
            role_settings=role_settings(SQL("current_database()")),
            system_settings=role_settings(SQL("%s", system_database())),
            prepared=PREPARED,
            catalog_sessions=CATALOG_SESSIONS,
        )
        [(catalog,)] = self.env.execute_query(query)
        for name in ("role_settings", "system_settings"):
            catalog[name] = self._role_settings(catalog[name])
        catalog["settings"] = self._settings(catalog["settings"], catalog["role_settings"])
        return catalog

    @api.model
    def _role_settings(self, rows):
        scopes = {(True, True): "role in database", (True, False): "role", (False, True): "database"}
        return {name: (value, scopes.get((role, database), "all")) for name, value, role, database in rows or ()}

    @api.model
    def _settings(self, rows, role_settings):
        """Return the settings as the server is configured.

        PostgreSQL shows what a session begins with: settings of its role or database instead of the server's, which
        are then unknown. What this session has set itself, such as statement_timeout, does not count.
        """
        return {
            name: found
            for name, value, kind, unit, source in rows
            if source not in OF_SESSIONS and name not in role_settings
            if (found := readings.postgresql_setting(value, kind, unit)) is not None
        }

    @api.model
    def _snapshot_postgresql(self, reading, catalog, history):
        """Return the `advice.snapshot.PostgreSQL`.

        :param reading: of `connection.plan._read_servers`
        :param dict catalog: of `_catalog`, {} if PostgreSQL did not answer
        :param history: of `_postgresql_history`
        """
        host, _missing = self.env["connection.plan"]._host_values(reading)
        is_placed = reading.server and reading.host != type(reading).host
        return PostgreSQL(
            version=server_version(self.env.cr),
            settings=catalog.get("settings", {}),
            role=catalog.get("role", ""),
            reader=catalog.get("reader") or "",
            host=reading.host if is_placed else None,
            usable=pressure.postgresql_capacity(*map(reading.activity.get, LIMITS)),
            sessions=reading.sessions if reading.server else None,
            history=history,
            **{name: catalog.get(name) for name in CATALOG},
            **{name: host.get(name) for name in ("cores", "memory", "backend_memory")},
        )
