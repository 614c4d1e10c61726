"""The texts of what the rules about limits and sizes find. Imports no models."""

from odoo.tools import LazyTranslate

from .text import Text

# pylint: disable=prefer-env-translation  # no environment here: ``env._`` translates the texts when they are shown
_lt = LazyTranslate(__name__)

TEXTS = {
    "pools_exceed": Text(
        _lt("More Pool Connections than PostgreSQL Has"),
        _lt(
            "Server connections that all pools can have, with their reserves: %(pools)s (PgBouncers: %(poolers)s)\n"
            "Direct connections now: %(direct)s\n"
            "Together: %(total)s\n"
            "Connections of PostgreSQL, without the reserved ones: %(usable)s"
        ),
        _lt(
            "If the pools fill up, PostgreSQL rejects connections of all programs: “sorry, too many clients already”. "
            "Requests then fail instead of waiting in PgBouncer's queue."
        ),
        _lt("Make the pools of each PgBouncer smaller, or raise max_connections if PostgreSQL's host has the memory."),
    ),
    "pool_full": Text(
        _lt("Pool Too Small"),
        _lt(
            "pool_size = %(size)s\n"
            "Clients waited while all server connections of the pool worked: at least %(minutes)s minutes in the last "
            "7 days\n"
            "Highest demand, working server connections and waiting clients: %(demand)s\n"
            "Connections of PostgreSQL, without the reserved ones: %(usable)s"
        ),
        _lt("Requests wait in PgBouncer although PostgreSQL has connections left. Databases: %(databases)s."),
        _lt("Raise pool_size."),
    ),
    "pool_full_held": Text(
        _lt("Pool Limited by max_db_connections or max_user_connections"),
        _lt(
            "pool_size = %(size)s, but other limits allow only %(allowed)s server connections\n"
            "Clients waited: at least %(minutes)s minutes in the last 7 days\n"
            "Connections of PostgreSQL, without the reserved ones: %(usable)s"
        ),
        _lt(
            "Requests wait in PgBouncer: the pool never reaches its size, because max_db_connections or "
            "max_user_connections is lower. Databases: %(databases)s."
        ),
        _lt("Raise the limit to the size of the pool."),
    ),
    "pool_unused": Text(
        _lt("Unused Pools"),
        _lt(
            "Pools that needed at most %(percent)s %% of their size in the last 7 days: %(count)s\n"
            "Server connections that they do not need: %(freed)s"
        ),
        _lt(
            "Together, all pools can have more connections than PostgreSQL. If these pools are smaller, others have "
            "room. Databases: %(databases)s."
        ),
        _lt("Lower pool_size. If there are no lines here, the finding about the sum of all pools has them."),
    ),
    "jobs_block": Text(
        _lt("Scheduled Actions Block Each Other"),
        _lt(
            "Servers that a pool can have: %(most)s\n"
            "Cron workers of an Odoo server: %(max_cron_threads)s\n"
            "Databases: %(databases)s"
        ),
        _lt(
            "A cron worker that runs a job needs two connections at the same time. If each has one and no server is "
            "left, all wait until query_wait_timeout, then the jobs fail. Meanwhile requests wait, too."
        ),
        _lt("The pool needs two servers for each cron worker, and some for requests."),
    ),
    "postgres_slots": Text(
        _lt("Too Few Server Connections for Listeners"),
        _lt(
            "Server connections that the pool of %(databases)s can have: %(size)s\n"
            "Listeners, each of which keeps one of them: %(listeners)s\n"
            "NOTIFYs and health checks at the same time: %(at_once)s"
        ),
        _lt(
            "In session mode, a client keeps its server connection until it disconnects. If listeners keep all of "
            "them, a request that sends a NOTIFY waits until query_wait_timeout."
        ),
        _lt("Raise pool_size to %(enough)s."),
    ),
    "client_limit": Text(
        _lt("max_client_conn Below Odoo's Connections"),
        _lt(
            "max_client_conn = %(limit)s\n"
            "Connections that Odoo opens on a busy day: %(expected)s\n"
            "Connections that Odoo can open at most, db_maxconn in each process: %(ceiling)s"
        ),
        _lt("At the limit, PgBouncer rejects clients: requests of Odoo fail instead of waiting in its queue."),
        _lt(
            "Raise max_client_conn. PgBouncer's service must be allowed to open as many files: if no file descriptor "
            "is left, nobody can connect. A waiting or idle client costs PgBouncer only a few kilobytes."
        ),
    ),
    "client_limit_user": Text(
        _lt("max_user_client_connections Below Odoo's Connections"),
        _lt(
            "max_user_client_connections = %(limit)s\n"
            "Connections that Odoo opens on a busy day: %(expected)s\n"
            "Connections that Odoo can open at most, db_maxconn in each process: %(ceiling)s"
        ),
        _lt("At the limit, PgBouncer rejects clients of Odoo's user: requests fail instead of waiting in its queue."),
        _lt("Raise the limit of Odoo's user."),
    ),
    "client_limit_database": Text(
        _lt("max_db_client_connections Below Odoo's Connections"),
        _lt(
            "max_db_client_connections = %(limit)s\n"
            "Connections that Odoo opens to one database on a busy day: %(expected)s\n"
            "Connections that Odoo can open at most, db_maxconn in each process: %(ceiling)s"
        ),
        _lt(
            "At the limit, PgBouncer rejects clients of the database: requests fail instead of waiting in its queue. "
            "Databases: %(databases)s."
        ),
        _lt("Raise the limit of these databases."),
    ),
    "descriptors": Text(
        _lt("Too Few File Descriptors"),
        _lt(
            "Files that PgBouncer's process may open: %(limit)s\n"
            "Needed for max_client_conn = %(max_client_conn)s and the pools: %(needed)s"
        ),
        _lt(
            "Each client and each server connection needs a file descriptor. If none is left, nobody can connect to "
            "PgBouncer, not even to its console."
        ),
        _lt("Raise the limit of open files of PgBouncer's service."),
    ),
}
