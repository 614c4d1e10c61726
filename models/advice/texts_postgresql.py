"""The texts of what the rules about PostgreSQL find. Imports no models."""

from odoo.tools import LazyTranslate

from .text import Text

# pylint: disable=prefer-env-translation  # no environment here: ``env._`` translates the texts when they are shown
_lt = LazyTranslate(__name__)

_SUPERUSER = _lt(
    "The role “%(role)s” is a superuser.\nsuperuser_reserved_connections = %(superuser_reserved_connections)s"
)
_SUPERUSER_WHY = _lt(
    "Odoo can also use the connections that PostgreSQL reserves for superusers. When none is left, no administrator "
    "can connect. And Odoo may do anything in all databases."
)
_TIMEOUT = _lt(
    "%(setting)s of Odoo's role: %(seconds)s s\n"
    "Odoo allows a request %(limit_time_real)s s and a job %(limit_time_real_cron)s s (0: no limit)."
)
_TIMEOUT_REMEDY = _lt(
    "Let Odoo's own limits end what takes too long: set the timeout for Odoo's role to its longer limit, or to 0 if it "
    "has none. Or lower the limits of Odoo."
)
_LIMIT = _lt("CONNECTION LIMIT of “%(object)s”: %(limit)s\nConnections needed at the same time: %(needed)s")
_LIMIT_WHY = _lt(
    "PostgreSQL rejects the connections that exceed this limit, even if it has others left. Behind PgBouncer, the "
    "pools that share the limit cannot all grow to their sizes."
)
_LIMIT_REMEDY = _lt("Raise the limit, or reduce PgBouncer's pools or Odoo's processes.")

TEXTS = {
    "superuser": Text(
        _lt("Odoo's Role Is a Superuser"),
        _SUPERUSER,
        _SUPERUSER_WHY,
        _lt(
            "Make it an ordinary role. Its database and tables must belong to it: psql's \\l and \\dt show the owners. "
            "The attribute applies to reserved connections when Odoo reconnects."
        ),
    ),
    "superuser_bootstrap": Text(
        _lt("Odoo's Role Is PostgreSQL's First Superuser"),
        _SUPERUSER,
        _SUPERUSER_WHY,
        _lt(
            "initdb created this role, and it must stay a superuser. Create an ordinary role for Odoo, restore a dump "
            "of the database as that role (pg_restore --no-owner), and set db_user in odoo.conf."
        ),
    ),
    "no_reserved_connections": Text(
        _lt("No Connection Reserved for Administrators"),
        _lt("superuser_reserved_connections = 0"),
        _lt("When all connections are used, not even a superuser can connect to find out what uses them."),
        _lt("Reserve PostgreSQL's default."),
    ),
    "monitor": Text(
        _lt("Sessions of Other Roles Are Hidden"),
        _lt("The role “%(role)s” does not have the privileges of pg_monitor."),
        _lt("States, queries and addresses of other roles' sessions are hidden, and some rules cannot judge."),
        _lt("Grant the role pg_monitor."),
    ),
    "track_activities": Text(
        _lt("Sessions Are Not Tracked"),
        _lt("track_activities = off for the role “%(role)s”"),
        _lt("PostgreSQL does not report what sessions do: no state, no query, no wait event, no age."),
        _lt("Switch it on. It costs next to nothing."),
    ),
    "prepared_transactions": Text(
        _lt("Prepared Transactions Left Open"),
        _lt("Databases: %(databases)s\nTransactions: %(transactions)s\nThe oldest is open for %(hours)s h."),
        _lt(
            "Even after a restart of PostgreSQL they keep their locks, and VACUUM cannot remove dead rows. Odoo itself "
            "prepares no transactions."
        ),
        _lt("If the program that prepared them no longer needs them, roll them back:"),
    ),
    "idle_session_timeout": Text(
        _lt("Idle Listeners Are Disconnected"),
        _lt("idle_session_timeout of Odoo's role in %(databases)s: %(seconds)s s"),
        _lt(
            "The bus, the cron workers and queue_job listen in idle sessions. When PostgreSQL ends the one of the bus, "
            "messages arrive up to 50 s late."
        ),
        _lt("Disable it for Odoo's role in these databases."),
    ),
    "short_timeout": Text(
        _lt("Timeout Ends Requests Too Early"),
        _TIMEOUT,
        _lt("PostgreSQL ends requests and jobs that Odoo allows to run longer: users see errors."),
        _TIMEOUT_REMEDY,
    ),
    "short_timeout_jobs": Text(
        _lt("Timeout Ends Jobs Too Early"),
        _TIMEOUT,
        _lt("PostgreSQL ends scheduled actions that Odoo allows to run longer."),
        _TIMEOUT_REMEDY,
    ),
    "connection_limit_role": Text(_lt("Connection Limit of Odoo's Role"), _LIMIT, _LIMIT_WHY, _LIMIT_REMEDY),
    "connection_limit_database": Text(_lt("Connection Limit of the Database"), _LIMIT, _LIMIT_WHY, _LIMIT_REMEDY),
    "memory": Text(
        _lt("Not Enough Memory for max_connections"),
        _lt(
            "Connections %(max_connections)s x %(backend_memory)s MiB + shared_buffers %(shared_buffers)s MiB + active "
            "connections %(active)s x work_mem %(work_mem)s MiB = %(needed)s MiB\n"
            "Memory of the host: %(memory)s MiB"
        ),
        _lt(
            "If all connections are used, PostgreSQL needs more memory than its host has. The kernel may then kill it, "
            "and all connections end."
        ),
        _lt(
            "Lower max_connections: behind PgBouncer, PostgreSQL only needs as many as the pools can open, which the "
            "Planner computes. Otherwise add memory, or lower shared_buffers or work_mem."
        ),
    ),
}
