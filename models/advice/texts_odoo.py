"""The texts of what the rules about Odoo find. Imports no models."""

from odoo.tools import LazyTranslate

from .text import Text

# pylint: disable=prefer-env-translation  # no environment here: ``env._`` translates the texts when they are shown
_lt = LazyTranslate(__name__)

_LISTS = _lt(
    "dbfilter = %(dbfilter)s, db_name = %(db_name)s\n"
    "Sessions of the database postgres: %(sessions)s per minute since its statistics were reset"
)
_LISTS_WHY = _lt(
    "Each request without a session reads the list of databases over a new connection to the database postgres. Such "
    "a connection costs PostgreSQL more than the page itself."
)

TEXTS = {
    "past_pooler": Text(
        _lt("Odoo Bypasses PgBouncer"),
        _lt("Odoo connects to PostgreSQL directly.\n%(name)s is at %(db_host)s, port %(db_port)s."),
        _lt("Only connections through PgBouncer are limited and reused by it."),
        _lt(
            "Connect Odoo through PgBouncer. First connect with psql as Odoo's role, to this database and to postgres. "
            "Afterwards run the LISTEN check: postgres must be in session mode."
        ),
    ),
    "direct_demand": Text(
        _lt("More Connections Expected than PostgreSQL Has"),
        _lt(
            "Odoo servers: %(hosts)s\n"
            "Connections expected when all processes have work: %(expected)s\n"
            "Connections available in PostgreSQL: %(usable)s"
        ),
        _lt("At the next peak, PostgreSQL rejects the connections that exceed its limit, and these requests fail."),
        _lt("Connect Odoo through PgBouncer: the Planner writes its files. Or reduce workers and max_cron_threads."),
    ),
    "direct_demand_threaded": Text(
        _lt("A Burst Can Use All Connections"),
        _lt(
            "Odoo servers: %(hosts)s, multi-threaded\n"
            "db_maxconn = %(db_maxconn)s, together up to %(ceiling)s connections\n"
            "Connections available in PostgreSQL: %(usable)s"
        ),
        _lt(
            "A multi-threaded Odoo starts a thread for each HTTP connection. In a burst of requests it opens "
            "connections until PostgreSQL has none left."
        ),
        _lt("Limit db_maxconn, or connect Odoo through PgBouncer: the Planner writes its files."),
    ),
    "pool_of_odoo": Text(
        _lt("Connection Pool of Odoo Too Small"),
        _lt("%(setting)s = %(value)s\nA process needs up to %(needed)s connections at the same time."),
        _lt("If the pool of a process is full, requests and jobs fail with “The Connection Pool Is Full”."),
        _lt("Raise the limit. It applies to each process, and a process opens only the connections that it uses."),
    ),
    "threaded": Text(
        _lt("Multi-Threaded Odoo"),
        _lt("workers = %(workers)s"),
        _lt(
            "All requests, jobs and websockets share one process and one connection pool. A cron thread that cannot "
            "reconnect, for example while PostgreSQL restarts, ends and is not started again. Odoo recommends workers "
            "for production."
        ),
        _lt(
            "Set workers: at most two for each CPU core, and one more. Set fewer if memory or PostgreSQL's "
            "connections are short. The reverse proxy must pass /websocket to gevent_port."
        ),
    ),
    "bus_alt_connection": Text(
        _lt("bus_alt_connection Not Loaded"),
        _lt("Its address is set, but server_wide_modules = %(server_wide_modules)s"),
        _lt("Without the module, the address has no effect: the bus connects like the rest of Odoo."),
        _lt("Load the module; it must be in addons_path. If you do not need it, remove its address instead."),
    ),
    "bus_alt_connection_variables": Text(
        _lt("Address of bus_alt_connection Not Read"),
        _lt("Variables without effect: %(variables)s"),
        _lt(
            "The readme of bus_alt_connection names these variables, but the module reads them with the prefix ODOO_. "
            "The bus connects like the rest of Odoo."
        ),
        _lt("Set the address in odoo.conf, and remove the variables."),
    ),
    "bus_alt_connection_unset": Text(
        _lt("bus_alt_connection Without an Address"),
        _lt("Pool mode of %(databases)s at %(name)s: %(pool_mode)s"),
        _lt(
            "bus_alt_connection is loaded, but without an address it connects the bus through PgBouncer, where LISTEN "
            "does not work in this pool mode."
        ),
        _lt("Set the address of PostgreSQL, as this Odoo server can reach it."),
    ),
    "job_runner": Text(
        _lt("Job Queue Runner Behind PgBouncer"),
        _lt("queue_job's runner connects to %(databases)s through %(name)s, pool mode %(pool_mode)s."),
        _lt(
            "The runner needs LISTEN and an advisory lock of its session. This pool mode supports neither, so its jobs "
            "do not start."
        ),
        _lt(
            "Connect the runner to PostgreSQL itself, at an address that this Odoo server can reach. Then run "
            "RECONNECT in PgBouncer's console, because a server of the pool may keep the lock of the runner."
        ),
    ),
    "list_of_databases": Text(
        _lt("Each Visitor's Page Lists the Databases"),
        _LISTS,
        _LISTS_WHY,
        _lt(
            "If Odoo serves only this database, name it in db_name and remove dbfilter. Otherwise connect Odoo through "
            "PgBouncer, which keeps connections to postgres."
        ),
    ),
    "list_of_databases_choice": Text(
        _lt("Each Visitor's Page Lists the Databases"),
        _LISTS,
        _LISTS_WHY,
        _lt("Connect Odoo through PgBouncer, which keeps connections to postgres: the Planner writes its files."),
    ),
    "replica": Text(
        _lt("Replica Does Not Answer"),
        _lt(
            "db_replica_host = %(db_replica_host)s, db_replica_port = %(db_replica_port)s\nTwo attempts failed: "
            "%(error)s"
        ),
        _lt(
            "Read-only requests run on the primary, which then has the load of both. Every 20 minutes, each process of "
            "Odoo tries to reach the replica, and one of its requests waits meanwhile."
        ),
        _lt("Repair the replica, or correct its address. If there is no replica, remove db_replica_host."),
    ),
}
