"""The texts of the rules: labels, descriptions, and what to do first. Imports no models."""

from odoo.tools import LazyTranslate

from ...analysis.incidents import QUEUES

# pylint: disable=prefer-env-translation  # no environment here: ``env._`` translates the texts when they are shown
_lt = LazyTranslate(__name__)

RULE_LABELS = [
    ("postgresql_pressure", "PostgreSQL Connections"),
    ("pool_growth", "Pool Growth"),
    ("blocked_age", "Blocked Sessions"),
    ("idle_in_transaction_age", "Idle in Transaction"),
    ("xact_age", "Oldest Transaction"),
    ("waiting_samples", "Waiting Clients"),
    ("maxwait", "Longest Wait"),
    ("pgbouncer_pressure", "PgBouncer Connections"),
    ("paused_samples", "Paused"),
    ("unanswered_samples", "No Answer"),
    ("deaf_bus_samples", "Deaf Bus"),
    ("deaf_cron_samples", "Deaf Cron"),
    ("deaf_queue_job_samples", "Deaf Job Queue"),
    ("critical_advice", "Critical Advice"),
    ("refused_requests", "Refused Requests"),
]

DESCRIPTIONS = {
    "postgresql_pressure": _lt(
        "PostgreSQL is running out of connections: client backends in percent of the connections that ordinary roles "
        "can use. At 100 % new connections are rejected."
    ),
    "pool_growth": _lt(
        "The pools may open more connections than PostgreSQL accepts: connections in use, plus those that the pools "
        "of databases with servers can still open, in percent of the connections that ordinary roles can use."
    ),
    "blocked_age": _lt(
        "A session is waiting for a lock that another session holds. The value is how long it has waited."
    ),
    "idle_in_transaction_age": _lt(
        "A session is idle with an open transaction. It keeps its locks and, in a pool, its server. The value is how "
        "long it has been idle."
    ),
    "xact_age": _lt(
        "A transaction has been open for a long time. It delays vacuum and may hold locks. Long backups, imports and "
        "scheduled actions count, too."
    ),
    "waiting_samples": _lt(
        "Clients of a pool are waiting for a server: pages load slowly or not at all. A short queue is normal under "
        "load, a lasting queue is not."
    ),
    "maxwait": _lt("The first client in the queue of a pool has waited too long for a server. Pages load slowly."),
    "pgbouncer_pressure": _lt(
        "PgBouncer is running out of connections: clients in percent of max_client_conn, or servers of a database in "
        "percent of max_db_connections. At 100 % the next client is rejected, or waits."
    ),
    "paused_samples": _lt("PgBouncer, or one of its databases, is paused: clients get no server."),
    "unanswered_samples": _lt(
        "The endpoint does not answer. Its state is unknown, and its clients may get no answer either."
    ),
    "deaf_bus_samples": _lt(
        "In the last LISTEN check, Odoo's bus received no notifications: chat and notifications are not live."
    ),
    "deaf_cron_samples": _lt(
        "In the last LISTEN check, Odoo's cron workers received no notifications: triggered jobs start up to a minute "
        "late."
    ),
    "deaf_queue_job_samples": _lt(
        "In the last LISTEN check, queue_job's runner received no notifications, or there was none: its jobs do not "
        "start."
    ),
    "critical_advice": _lt(
        "The configuration that runs has critical faults. The value is how many findings of the last reading, in "
        "Advice, are critical and not accepted."
    ),
    "refused_requests": _lt(
        "Odoo got no connection to the database, or lost one: users saw an error, or a scheduled action failed. The "
        "value is how many requests were refused since they were last counted: usually since the previous sample."
    ),
}

_APPLY = _lt("Open LISTEN Check and apply the suggested configuration. Then run the check again.")
_END_SESSIONS = _lt(
    "Open the sessions of the pool. End a session that blocks others or is idle in a transaction. In Pools, “Held Back "
    "By” shows what keeps the pool from opening another server."
)
_RAISE_POOL_SIZE = _lt(
    "Open the sessions of the pool. End a session that blocks others or is idle in a transaction. If all of them are "
    "working, the pool is too small: raise its pool_size, as far as PostgreSQL has free connections."
)
_RESUME = _lt(
    "Find out who paused it, and why. RESUME ends the pause: in psql, or with the button on the endpoint or the "
    "database if the endpoint's user is one of the admin_users."
)

ADVICE = {
    "postgresql_pressure": _lt(
        "Open Sessions, grouped by component, to see who holds the connections. End sessions that are not needed. "
        "Clients that open many connections should use PgBouncer in transaction mode."
    ),
    "pool_growth": _lt(
        "Reduce the pools (default_pool_size, the pool_size of a database, or max_db_connections), or raise "
        "max_connections, before all pools are busy at once."
    ),
    "blocked_age": _lt(
        "Open Sessions, select a red one, and click Root Blocker: that session holds the lock. Let its transaction "
        "finish, or terminate it."
    ),
    "idle_in_transaction_age": _lt(
        "Find the program that left its transaction open and end it there, or terminate the session. With "
        "idle_in_transaction_session_timeout, PostgreSQL ends idle transactions automatically."
    ),
    "xact_age": _lt(
        "Check what the oldest session does. Backups and imports may take long. Anything else holds locks and delays "
        "vacuum."
    ),
    "waiting_samples": _END_SESSIONS,
    "maxwait": _END_SESSIONS,
    "pgbouncer_pressure": _lt(
        "Open PgBouncer > Clients to see who is connected. Raise max_client_conn (and the limit of open files of its "
        "process) or max_db_connections, and reload PgBouncer."
    ),
    "paused_samples": _RESUME,
    "unanswered_samples": _lt(
        "Follow the remedy in the error message. If the server is down, start it again and read its log."
    ),
    "deaf_bus_samples": _APPLY,
    "deaf_cron_samples": _APPLY,
    "deaf_queue_job_samples": _APPLY,
    "refused_requests": _lt("Open History > Refused Requests to see the hosts and kinds, and follow the remedies."),
    "critical_advice": _lt("Open Advice and follow the remedies, or accept what is intended."),
}

# For the rules about a queue: bottleneck of `pgbouncer.pool` -> what to do instead.
BOTTLENECK_ADVICE = {
    "paused": _RESUME,
    "login": _lt(
        "Check that PostgreSQL is running and that PgBouncer can connect to it: host and port under [databases], "
        "pg_hba.conf, max_connections. PgBouncer's log has the reason. A larger pool does not help."
    ),
    "max_db_connections": _lt(
        "Raise max_db_connections, as far as PostgreSQL has free connections, or find the sessions that hold the "
        "servers of the database. A larger pool_size does not help."
    ),
    "max_user_connections": _lt(
        "Raise max_user_connections, as far as PostgreSQL has free connections, or find the sessions that hold the "
        "servers of the user. A larger pool_size does not help."
    ),
    "pool_size": _RAISE_POOL_SIZE,
    "reserve_pool": _RAISE_POOL_SIZE,
}


def advice(rule, bottleneck=None):
    """Return what to do first when a threshold of a rule is reached, as a text for ``env._``.

    :param str bottleneck: of `pgbouncer.pool`; used by the rules about a queue
    """
    return (rule in QUEUES and BOTTLENECK_ADVICE.get(bottleneck)) or ADVICE[rule]
