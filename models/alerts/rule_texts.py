"""The words about rules: their labels, what each means, and what to do first. Tables only; may touch nothing."""

from odoo.tools import LazyTranslate

from ...analysis.incidents import QUEUES

# pylint: disable=prefer-env-translation  # the tables have no environment: ``env._`` translates what they hold
_lt = LazyTranslate(__name__)

RULE_LABELS = [
    ("postgresql_pressure", "PostgreSQL's Connections"),
    ("pool_growth", "Room for the Pools"),
    ("blocked_age", "Blocked Sessions"),
    ("idle_in_transaction_age", "Idle in Transaction"),
    ("xact_age", "Oldest Transaction"),
    ("waiting_samples", "Waiting Clients"),
    ("maxwait", "Longest Wait"),
    ("pgbouncer_pressure", "PgBouncer's Connections"),
    ("paused_samples", "Paused"),
    ("unanswered_samples", "No Answer"),
    ("deaf_bus_samples", "Deaf Bus"),
    ("deaf_cron_samples", "Deaf Cron"),
]

DESCRIPTIONS = {
    "postgresql_pressure": _lt(
        "PostgreSQL's connections run out: client backends, in percent of what ordinary roles can have. At 100 it "
        "refuses new ones."
    ),
    "pool_growth": _lt(
        "The pools may open more connections than PostgreSQL has: what is in use, and by what the pools of databases "
        "with servers can grow, in percent of what ordinary roles can have."
    ),
    "blocked_age": _lt("A session waits for a lock that another one holds: how long it has waited."),
    "idle_in_transaction_age": _lt(
        "A session does nothing, with a transaction open: for how long. It holds its locks, and in a pool its server."
    ),
    "xact_age": _lt(
        "A transaction has been open for long: it keeps vacuum from its work, and may hold locks. A long backup, "
        "import or scheduled action is one, too."
    ),
    "waiting_samples": _lt(
        "Clients of a pool wait for a server: pages load slowly or not at all. A short queue is normal under load, one "
        "that stays is not."
    ),
    "maxwait": _lt(
        "The first client in a pool's queue has waited long for a server, and so does whoever opens a page."
    ),
    "pgbouncer_pressure": _lt(
        "PgBouncer's connections run out: clients in percent of max_client_conn, or servers of a database in percent "
        "of max_db_connections. At 100 the next one is refused, or waits."
    ),
    "paused_samples": _lt("PgBouncer, or one of its databases, is paused: no client gets a server."),
    "unanswered_samples": _lt(
        "The server does not answer: nobody knows how it is, and its clients may get no answer, either."
    ),
    "deaf_bus_samples": _lt(
        "The last LISTEN check found that Odoo's bus does not work: chat and notifications are not live."
    ),
    "deaf_cron_samples": _lt(
        "The last LISTEN check found that Odoo's cron workers are not woken up: triggered jobs wait for up to a minute."
    ),
}

_PASTE = _lt("Open LISTEN Check: it has the lines that mend it. Then check again there.")
_END_SESSIONS = _lt(
    "Look at the sessions of the pool: if one holds up the others, or is idle in a transaction, end it. “Held Back "
    "By”, in Pools, shows what keeps a pool from opening another server."
)
_RAISE_POOL_SIZE = _lt(
    "Look at the sessions of the pool: if one holds up the others, or is idle in a transaction, end it. If all of them "
    "work, the pool is too small: raise its pool_size, as far as PostgreSQL has room."
)
_RESUME = _lt(
    "Ask who paused it, and why. RESUME ends it: in psql, or by the button on the endpoint or the database if the "
    "endpoint's user is one of the admin_users."
)

ADVICE = {
    "postgresql_pressure": _lt(
        "See Sessions, grouped by component, for who holds the connections. End what is not needed, and lead what "
        "opens many through PgBouncer in transaction mode."
    ),
    "pool_growth": _lt(
        "Make the pools smaller (default_pool_size, or pool_size of a database, or max_db_connections), or raise "
        "max_connections, before all are busy at once."
    ),
    "blocked_age": _lt(
        "Open Sessions, a red one, and press Root Blocker: that session holds the lock. Let it end its transaction, or "
        "terminate it."
    ),
    "idle_in_transaction_age": _lt(
        "Find out which program left its transaction open, and end it there, or terminate the session. "
        "idle_in_transaction_session_timeout in PostgreSQL ends such sessions by itself."
    ),
    "xact_age": _lt(
        "Find out what the oldest session does. A backup or an import may take its time; anything else holds locks, "
        "and keeps vacuum from its work."
    ),
    "waiting_samples": _END_SESSIONS,
    "maxwait": _END_SESSIONS,
    "pgbouncer_pressure": _lt(
        "See PgBouncer > Clients for who is connected. Raise max_client_conn (and the limit of open files of its "
        "process) or max_db_connections, and reload PgBouncer."
    ),
    "paused_samples": _RESUME,
    "unanswered_samples": _lt(
        "Do what is said there. If the server is down, its clients are, too: start it again, and read its log."
    ),
    "deaf_bus_samples": _PASTE,
    "deaf_cron_samples": _PASTE,
}

# For the rules about a queue: bottleneck of `pgbouncer.pool` -> what to do instead.
BOTTLENECK_ADVICE = {
    "paused": _RESUME,
    "login": _lt(
        "Check that PostgreSQL is running, and that PgBouncer reaches it: host and port under [databases], "
        "pg_hba.conf, max_connections. PgBouncer's log has the reason. A larger pool does not help."
    ),
    "max_db_connections": _lt(
        "Raise max_db_connections, as far as PostgreSQL has room, or find out which sessions hold its servers. A "
        "larger pool_size does not help."
    ),
    "max_user_connections": _lt(
        "Raise max_user_connections, as far as PostgreSQL has room, or find out which sessions hold the user's "
        "servers. A larger pool_size does not help."
    ),
    "pool_size": _RAISE_POOL_SIZE,
    "reserve_pool": _RAISE_POOL_SIZE,
}


def advice(rule, bottleneck=None):
    """Return what to do first when a threshold of a rule is reached: a text that ``env._`` translates.

    :param str bottleneck: of `pgbouncer.pool`; only matters to the rules about a queue
    """
    return (rule in QUEUES and BOTTLENECK_ADVICE.get(bottleneck)) or ADVICE[rule]
