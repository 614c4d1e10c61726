r"""The text of the catalog queries.

Statistics do not change within a transaction: run ``pg_stat_clear_snapshot()`` before these queries.

A shared catalog has texts of every database, each in the encoding of its database: any function that reads them as
characters may fail, and so may the client. `readable` converts them like Python's ``backslashreplace``: a byte that is
not UTF-8, or a control character, becomes ``\xe9``.
"""

# The escape format of encode(): a backslash is doubled, a byte above 127 is three octal digits.
_NEXT = r"\\2[0-7][0-7]"
_CHARACTER = "|".join(
    (
        r"[\t\n\r -[\]-~]|\\\\",
        r"\\3(?:0[2-7]|[1-3][0-7])" + _NEXT,
        r"\\340\\2[4-7][0-7]" + _NEXT,
        r"\\3(?:4[1-7]|5[0-46])" + _NEXT + _NEXT,
        r"\\355\\2[0-3][0-7]" + _NEXT,
        # All but U+FFFE and U+FFFF, which XML does not allow.
        r"\\357\\2(?:[0-6][0-7]|7[0-6])" + _NEXT,
        r"\\357\\277\\2(?:[0-6][0-7]|7[0-5])",
        r"\\360\\2[2-7][0-7]" + _NEXT + _NEXT,
        r"\\36[1-3]" + _NEXT + _NEXT + _NEXT,
        r"\\364\\2[01][0-7]" + _NEXT + _NEXT,
    )
)


def readable(text, max_bytes=None):
    r"""Return an SQL expression for a text of a catalog in which no byte makes a query or its client fail.

    :param str text: an SQL expression of type text, in a database whose encoding is UTF8
    :param int max_bytes: the maximum; a longer text is cut and ends with an ellipsis
    """
    stored = f"textsend({text})"  # the only cast that does not check the encoding
    if max_bytes:
        stored = f"substring({stored} FROM 1 FOR {max_bytes:d})"
    escaped = f"encode({stored}, 'escape')"
    if max_bytes:
        escaped = f"{escaped} || CASE WHEN octet_length({text}) > {max_bytes:d} THEN '\\342\\200\\246' ELSE '' END"
    return rf"""CASE WHEN ({escaped}) ~ '[^\t\n\r -~]|\\' THEN (
    SELECT convert_from(decode(string_agg(
               COALESCE(part[1], '\\x' || encode(decode(part[2], 'escape'), 'hex')), '' ORDER BY number
           ), 'escape'), 'UTF8')
      FROM regexp_matches({escaped}, '((?:{_CHARACTER})+)|(\\[0-3][0-7][0-7]|.)', 'g')
           WITH ORDINALITY AS match(part, number)
) ELSE {escaped} END"""


# PostgreSQL shows this instead of the query to a role without access to the session.
HIDDEN_QUERY = "<insufficient privilege>"
# A client session without activity data, because track_activities is off for it. A session that has just started has
# no state, either.
UNTRACKED = f"""(usesysid IS NOT NULL AND datid IS NOT NULL AND query <> '{HIDDEN_QUERY}' AND (
    state = 'disabled' OR state IS NULL AND backend_start < clock_timestamp() - interval '1 second'
))"""

# The commands for a superuser that enable tracking for their next sessions.
TRACK = readable("string_agg(DISTINCT 'ALTER ROLE ' || quote_ident(usename) || ' SET track_activities = on;', ' ')")

# One row: how the connections are used; ages in seconds. The querying session counts, its own transaction does not.
# PostgreSQL hides even the type of other roles' sessions: one that is connected to a database counts as a client. Lock
# waits are in pg_locks, which is only read if a session may be waiting. Their start is reported since version 14;
# before, the start of the query is used.
ACTIVITY = f"""
SELECT {readable("quote_ident(current_user)")} AS role,
       current_setting('max_connections')::int AS max_connections,
       current_setting('superuser_reserved_connections')::int AS superuser_reserved_connections,
       COALESCE(current_setting('reserved_connections', true), '0')::int AS reserved_connections,
       EXTRACT(EPOCH FROM pg_postmaster_start_time())::float8 AS started_at,
       100 * pg_notification_queue_usage() AS notification_queue_usage,
       count(*) AS client_backends,
       count(*) FILTER (WHERE is_hidden) AS hidden_backends,
       count(*) FILTER (WHERE is_untracked) AS untracked_backends,
       (SELECT {TRACK} FROM pg_stat_activity WHERE {UNTRACKED} AND backend_type = 'client backend') AS track,
       count(*) FILTER (WHERE state IN ('active', 'fastpath function call')) AS active_backends,
       count(*) FILTER (WHERE state = 'idle') AS idle_backends,
       count(*) FILTER (WHERE starts_with(state, 'idle in transaction')) AS idle_in_transaction_backends,
       count(*) FILTER (WHERE wait_event_type = 'Lock') AS blocked_backends,
       EXTRACT(EPOCH FROM clock_timestamp() - min(xact_start) FILTER (WHERE pid <> pg_backend_pid()))::float8
           AS xact_age,
       EXTRACT(EPOCH FROM clock_timestamp() - min(state_change) FILTER (WHERE starts_with(state, 'idle in transaction'))
           )::float8 AS idle_in_transaction_age,
       CASE WHEN count(*) FILTER (WHERE wait_event_type = 'Lock' OR is_hidden OR is_untracked) = 0 THEN 0
            ELSE COALESCE(
                EXTRACT(EPOCH FROM clock_timestamp() - COALESCE(
                    (SELECT min((to_jsonb(lock)->>'waitstart')::timestamptz) FROM pg_locks AS lock WHERE NOT granted),
                    min(query_start) FILTER (WHERE wait_event_type = 'Lock')
                )),
                CASE WHEN current_setting('server_version_num')::int >= 140000 THEN 0 END
            )
       END::float8 AS blocked_age
  FROM (
       SELECT *, query = '{HIDDEN_QUERY}' AS is_hidden, {UNTRACKED} AS is_untracked FROM pg_stat_activity
  ) AS activity
 WHERE backend_type = 'client backend' OR is_hidden AND datid IS NOT NULL AND usesysid IS NOT NULL
"""

# The prepared transactions that block backends, whose PIDs are the parameter. Locks of prepared transactions have no
# PID; one of their locks is on their own transaction ID.
PREPARED_BLOCKERS = f"""
SELECT DISTINCT {readable("gid")}, {readable("quote_literal(gid)")}, {readable("owner::text")},
       {readable("prepared_xact.database::text")}, prepared AT TIME ZONE 'UTC'
  FROM pg_locks AS waiting
  JOIN pg_locks AS held
    ON (held.locktype, held.database, held.relation, held.page, held.tuple, held.transactionid, held.classid,
        held.objid, held.objsubid)
       IS NOT DISTINCT FROM
       (waiting.locktype, waiting.database, waiting.relation, waiting.page, waiting.tuple, waiting.transactionid,
        waiting.classid, waiting.objid, waiting.objsubid)
  JOIN pg_locks AS own
    ON own.virtualtransaction = held.virtualtransaction AND own.pid IS NULL AND own.locktype = 'transactionid'
  JOIN pg_prepared_xacts AS prepared_xact ON prepared_xact.transaction = own.transactionid
 WHERE held.granted AND held.pid IS NULL AND NOT waiting.granted AND waiting.pid = ANY(%s)
"""

# The number of sessions of each database, and how they ended. Since PostgreSQL 14.
SESSIONS = """
SELECT datid::text AS datid, EXTRACT(EPOCH FROM stats_reset)::float8 AS stats_reset, sessions, sessions_abandoned,
       sessions_fatal, sessions_killed
  FROM pg_stat_database
 WHERE datid > 0
"""

# The number of sessions of each database and state, how many of them are hidden or not tracked, and the age of their
# oldest transaction. Autovacuum's workers have no role: they are no sessions. PostgreSQL reads its sessions once for a
# transaction.
STATES = f"""
SELECT {readable("datname::text")} AS datname, state, count, unseen, xact_age
  FROM (
       SELECT datname, state, count(*) AS count,
              count(*) FILTER (WHERE query = '{HIDDEN_QUERY}' OR {UNTRACKED}) AS unseen,
              EXTRACT(EPOCH FROM clock_timestamp() - min(xact_start) FILTER (WHERE pid <> pg_backend_pid()))::float8
                  AS xact_age
         FROM pg_stat_activity
        WHERE datid IS NOT NULL AND usesysid IS NOT NULL
        GROUP BY datid, datname, state
  ) AS of_state
"""


def lock_holder(key, query, since):
    """Return the query for the backend that holds an advisory lock on this database: one row, of NULL if there is none.

    :param int key: of the lock, 64 bits
    :param str query: the row has whether the backend ended this query later than
    :param float since: in seconds since the epoch, by PostgreSQL's clock
    """
    return f"""
SELECT activity.pid, host(client_addr) AS address, client_port AS port,
       {readable("application_name")} AS application_name, COALESCE(query = '{HIDDEN_QUERY}', false) AS is_hidden,
       COALESCE(state = 'active', false) AS is_busy,
       state <> 'active' AND query = '{query}' AND state_change > to_timestamp({since:f}) AS has_ended
  FROM pg_database
  LEFT JOIN pg_locks AS lock
    ON lock.database = pg_database.oid AND locktype = 'advisory' AND granted AND objsubid = 1
   AND (classid::bigint << 32) + objid::bigint = {key:d}
  LEFT JOIN pg_stat_activity AS activity ON activity.pid = lock.pid
 WHERE pg_database.datname = current_database()
"""


def sample_queries(server_version, timeout):
    """Return the commands of a sample. They run in one transaction, because of transaction pooling.

    :param int server_version: in libpq's format, e.g. 150018
    :param float timeout: statement_timeout in seconds
    """
    queries = [ACTIVITY, STATES, SESSIONS] if server_version >= 140000 else [ACTIVITY, STATES]
    return ["BEGIN READ ONLY", f"SET LOCAL statement_timeout = '{timeout}s'", *queries, "COMMIT"]
