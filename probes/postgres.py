"""What is asked of PostgreSQL to measure its connections: the text of the queries.

The statistics are of a transaction's first look: run ``pg_stat_clear_snapshot()`` before them.
"""

# One row: how the connections are used, ages in seconds. The asking session counts, but its own
# transaction does not. Of a role's session that the asking one may not see, not even the kind is
# known: if it works on a database it is taken for a client's. Whoever waits for a lock may be seen
# in pg_locks, which is only looked at if somebody may wait; since when, PostgreSQL tells since
# version 14: before, the beginning of the query is the nearest that is known.
ACTIVITY = """
SELECT quote_ident(current_user) AS role,
       current_setting('max_connections')::int AS max_connections,
       current_setting('superuser_reserved_connections')::int AS superuser_reserved_connections,
       COALESCE(current_setting('reserved_connections', true), '0')::int AS reserved_connections,
       EXTRACT(EPOCH FROM pg_postmaster_start_time())::float8 AS started_at,
       100 * pg_notification_queue_usage() AS notification_queue_usage,
       count(*) AS client_backends,
       count(*) FILTER (WHERE is_hidden) AS hidden_backends,
       count(*) FILTER (WHERE state IN ('active', 'fastpath function call')) AS active_backends,
       count(*) FILTER (WHERE state = 'idle') AS idle_backends,
       count(*) FILTER (WHERE starts_with(state, 'idle in transaction')) AS idle_in_transaction_backends,
       count(*) FILTER (WHERE wait_event_type = 'Lock') AS blocked_backends,
       EXTRACT(EPOCH FROM clock_timestamp() - min(xact_start) FILTER (WHERE pid <> pg_backend_pid()))::float8
           AS xact_age,
       EXTRACT(EPOCH FROM clock_timestamp() - min(state_change) FILTER (WHERE starts_with(state, 'idle in transaction'))
           )::float8 AS idle_in_transaction_age,
       CASE WHEN count(*) FILTER (WHERE wait_event_type = 'Lock' OR is_hidden) = 0 THEN 0
            ELSE COALESCE(
                EXTRACT(EPOCH FROM clock_timestamp() - COALESCE(
                    (SELECT min((to_jsonb(lock)->>'waitstart')::timestamptz) FROM pg_locks AS lock WHERE NOT granted),
                    min(query_start) FILTER (WHERE wait_event_type = 'Lock')
                )),
                CASE WHEN current_setting('server_version_num')::int >= 140000 THEN 0 END
            )
       END::float8 AS blocked_age
  FROM (SELECT *, query = '<insufficient privilege>' AS is_hidden FROM pg_stat_activity) AS activity
 WHERE backend_type = 'client backend' OR is_hidden AND datid IS NOT NULL AND usesysid IS NOT NULL
"""

# How many sessions each database has had, and how they ended. Since PostgreSQL 14.
SESSIONS = """
SELECT datid::text AS datid, EXTRACT(EPOCH FROM stats_reset)::float8 AS stats_reset, sessions, sessions_abandoned,
       sessions_fatal, sessions_killed
  FROM pg_stat_database
 WHERE datid > 0
"""


def sample_queries(server_version, timeout):
    """The commands that make a sample. Behind a transaction pool, what they set ends with them.

    :param int server_version: as libpq tells it, e.g. 150018
    :param float timeout: seconds that PostgreSQL works on each query
    """
    queries = [ACTIVITY, SESSIONS] if server_version >= 140000 else [ACTIVITY]
    return ["BEGIN READ ONLY", f"SET LOCAL statement_timeout = '{timeout}s'", *queries, "COMMIT"]
