"""The texts of the kinds of refusals: labels, and what to do first. Imports no models."""

from odoo.tools import LazyTranslate

# pylint: disable=prefer-env-translation  # no environment here: ``env._`` translates the texts when they are shown
_lt = LazyTranslate(__name__)

KIND_LABELS = [
    ("pool_full", "Odoo's Connection Pool Is Full"),
    ("slots_reserved", "No PostgreSQL Connection Left"),
    ("max_client_conn", "Client Limit of PgBouncer"),
    ("query_wait_timeout", "Wait in PgBouncer Too Long"),
    ("closed", "Connection Closed"),
    ("unreachable", "Server Not Reachable"),
    ("other", "Connection Refused"),
]

REMEDIES = {
    "pool_full": _lt(
        "Raise db_maxconn in odoo.conf (db_maxconn_gevent for the gevent process), or find the requests that hold "
        "several connections."
    ),
    "slots_reserved": _lt(
        "Connect Odoo through PgBouncer in transaction mode, or raise max_connections, or the CONNECTION LIMIT of the "
        "role or database."
    ),
    "max_client_conn": _lt(
        "Raise max_client_conn (and the limit of open files of its process), or the limit of the user or database, and "
        "reload PgBouncer."
    ),
    "query_wait_timeout": _lt(
        "The pool is too small or held by long transactions, or PgBouncer cannot connect to PostgreSQL: open Pools to "
        "see why clients wait. End sessions that are not needed, or raise pool_size."
    ),
    "closed": _lt(
        "A server was restarted, a session was terminated, or a timeout of PostgreSQL, PgBouncer or the network closed "
        "it. The logs of the servers have the reason."
    ),
    "unreachable": _lt(
        "Check that PostgreSQL and PgBouncer are running, and that PgBouncer can log in to PostgreSQL. Their logs have "
        "the reason."
    ),
    "other": _lt("Odoo's log has the message of the server."),
}
