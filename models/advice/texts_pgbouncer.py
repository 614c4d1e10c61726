"""The texts of what the rules about one PgBouncer find. Imports no models."""

from odoo.tools import LazyTranslate

from .text import Text

# pylint: disable=prefer-env-translation  # no environment here: ``env._`` translates the texts when they are shown
_lt = LazyTranslate(__name__)

TEXTS = {
    "pool_mode_statement": Text(
        _lt("Statement Mode"),
        _lt("pool_mode = %(pool_mode)s, from %(sections)s\nDatabases: %(databases)s"),
        _lt("In statement mode, transactions of several statements are refused. Odoo cannot work."),
        _lt(
            "Use transaction mode for Odoo's databases, and session mode for postgres. Odoo's line in section [users] "
            "must not set pool_mode: keep its other options."
        ),
    ),
    "pool_mode_session": Text(
        _lt("Session Mode for Business Databases"),
        _lt("pool_mode = %(pool_mode)s, from %(sections)s\nDatabases: %(databases)s"),
        _lt(
            "Each connection of Odoo keeps a server connection, even when it is idle, and Odoo keeps connections for "
            "ten minutes. PostgreSQL has as many connections as without PgBouncer, and the pool fills up."
        ),
        _lt(
            "Use transaction mode. Only the database postgres needs session mode, because Odoo listens there. Odoo's "
            "line in section [users] must not set pool_mode: keep its other options."
        ),
    ),
    "pool_mode_postgres": Text(
        _lt("No Notifications through PgBouncer"),
        _lt("pool_mode = %(pool_mode)s, from %(sections)s\nDatabase: %(databases)s"),
        _lt(
            "Odoo listens for notifications on the database postgres. In transaction mode they are lost, without an "
            "error: triggered jobs start up to a minute late, and messages do not appear until the page is reloaded."
        ),
        _lt(
            "Use session mode for postgres. Its pool needs a server connection for each listener, and some for the "
            "notifications themselves. Odoo's line in section [users] must not set pool_mode: keep its other options. "
            "The LISTEN check tests the result."
        ),
    ),
    "postgres_missing": Text(
        _lt("Database postgres Missing in PgBouncer"),
        _lt("Odoo cannot connect to the database postgres: %(error)s"),
        _lt(
            "Odoo listens on the database postgres. Without it, each cron worker ends when it starts, so that no "
            "scheduled action runs, and messages do not appear until the page is reloaded. With db_name, Odoo does not "
            "start."
        ),
        _lt(
            "Add a line for postgres, in session mode. Copy the other options, such as auth_user and password, from "
            "the line of %(database)s."
        ),
    ),
    "forgotten_databases": Text(
        _lt("Databases in Use Counted as Unused"),
        _lt("autodb_idle_timeout = %(autodb_idle_timeout)s\nDatabases with clients: %(databases)s"),
        _lt(
            "These databases have no line of their own, and PgBouncer noticed no client when it checked them. Their "
            "clients are disconnected after autodb_idle_timeout, whatever they are doing, unless another one logs in."
        ),
        _lt("Give each of them a line: the line * under its name. PgBouncer does not forget databases with a line."),
    ),
    "endless_queue": Text(
        _lt("Endless Queue"),
        _lt("query_wait_timeout = %(query_wait_timeout)s"),
        _lt(
            "A client that gets no server connection waits forever. Odoo's workers hang until limit_time_real ends "
            "them, and the queue grows."
        ),
        _lt("Set a limit, so that Odoo gets an error and its workers are free again."),
    ),
    "long_queue": Text(
        _lt("Queue Outlasts Requests"),
        _lt("query_wait_timeout = %(query_wait_timeout)s\nlimit_time_real = %(limit_time_real)s"),
        _lt(
            "Odoo kills a worker whose request takes longer than limit_time_real. If PgBouncer has no free server "
            "connection, workers are killed and started again before it returns an error."
        ),
        _lt(
            "Make query_wait_timeout shorter than limit_time_real, so that Odoo gets an error and its workers are not "
            "killed."
        ),
    ),
    "cut_off_query_timeout": Text(
        _lt("Long Queries Are Cut Off"),
        _lt("query_timeout = %(query_timeout)s\nOdoo allows %(limit)s s for a request or a job."),
        _lt("PgBouncer closes the connection of a query that takes longer. The request or the job fails."),
        _lt(
            "Let Odoo's own limits end what takes too long. PgBouncer's manual recommends query_timeout only for "
            "problems of the network, with a slightly shorter statement_timeout in PostgreSQL."
        ),
    ),
    "cut_off_query_timeout_unlimited": Text(
        _lt("Long Queries Are Cut Off"),
        _lt("query_timeout = %(query_timeout)s\nOdoo has no time limit: limit_time_real or limit_time_real_cron is 0."),
        _lt(
            "PgBouncer closes the connection of a query that takes longer. The request or the job fails, although Odoo "
            "allows it."
        ),
        _lt("Disable this timeout, or set Odoo's own limit to what requests and jobs may take."),
    ),
    "cut_off_transaction_timeout": Text(
        _lt("Long Transactions Are Cut Off"),
        _lt("transaction_timeout = %(transaction_timeout)s\nOdoo allows %(limit)s s for a request or a job."),
        _lt(
            "PgBouncer closes the connection of a transaction that takes longer. The request or the job fails, and its "
            "changes are lost."
        ),
        _lt("Let Odoo's own limits end what takes too long."),
    ),
    "cut_off_transaction_timeout_unlimited": Text(
        _lt("Long Transactions Are Cut Off"),
        _lt(
            "transaction_timeout = %(transaction_timeout)s\n"
            "Odoo has no time limit: limit_time_real or limit_time_real_cron is 0."
        ),
        _lt(
            "PgBouncer closes the connection of a transaction that takes longer. The request or the job fails, "
            "although Odoo allows it."
        ),
        _lt("Disable this timeout, or set Odoo's own limit to what requests and jobs may take."),
    ),
    "cut_off_idle_transaction_timeout": Text(
        _lt("Idle Transactions Are Cut Off"),
        _lt("idle_transaction_timeout = %(idle_transaction_timeout)s\nOdoo allows %(limit)s s for a request."),
        _lt(
            "A transaction of Odoo is idle while Python computes, a report is printed or an external service is "
            "queried. PgBouncer closes the connection: the request or the job fails, and its changes are lost."
        ),
        _lt("Set the timeout to the time that Odoo allows. It still ends transactions that were forgotten."),
    ),
    "idle_clients": Text(
        _lt("Idle Clients Are Disconnected"),
        _lt(
            "client_idle_timeout = %(client_idle_timeout)s\nOdoo closes its own idle connections after %(lifetime)s s."
        ),
        _lt(
            "After a short break, Odoo must connect again. A request or a job fails if it runs no SQL for longer than "
            "this after a COMMIT."
        ),
        _lt(
            "Disable the timeout. In transaction mode, an idle client costs PgBouncer about a kilobyte of memory, and "
            "no server connection."
        ),
    ),
    "servers_used_once": Text(
        _lt("Server Connections Are Used Once"),
        _lt("server_lifetime = %(server_lifetime)s"),
        _lt(
            '0 is not "unlimited": PgBouncer closes a server connection after its first use. Each transaction waits '
            "for a new one, which costs PostgreSQL a process and a login."
        ),
        _lt("Use PgBouncer's default, an hour."),
    ),
    "short_lived_servers": Text(
        _lt("Short-Lived Server Connections"),
        "%(settings)s",
        _lt(
            "PgBouncer closes server connections after a few seconds. Each new one costs PostgreSQL a process and a "
            "login, and starts with empty caches."
        ),
        _lt("Use PgBouncer's defaults."),
    ),
    "leaking_sessions": Text(
        _lt("Sessions Are Not Reset"),
        _lt("server_reset_query = %(server_reset_query)s\nDatabases in session mode: %(databases)s"),
        _lt(
            "The query does not end LISTEN. The next client of the server connection gets the notifications of the "
            "client that left, and may get its locks, such as that of queue_job's runner."
        ),
        _lt("Use PgBouncer's default, which resets everything."),
    ),
    "leaking_sessions_empty": Text(
        _lt("Sessions Are Not Reset"),
        _lt("server_reset_query = (empty)\nDatabases in session mode: %(databases)s"),
        _lt(
            "The next client of a server connection gets the settings, temporary tables, notifications and locks of "
            "the client that left, such as the lock of queue_job's runner."
        ),
        _lt("Use PgBouncer's default, which resets everything."),
    ),
    "extra_query_reset": Text(
        _lt("Reset After Each Transaction"),
        _lt("server_reset_query_always = %(server_reset_query_always)s"),
        _lt(
            "PgBouncer runs server_reset_query after each transaction, which can halve the number of short "
            "transactions per second. Odoo needs no session state between transactions."
        ),
        _lt("Disable it, unless another program on this PgBouncer needs it."),
    ),
    "extra_query_check": Text(
        _lt("Check Before Each Transaction"),
        _lt("server_check_delay = %(server_check_delay)s"),
        _lt(
            "PgBouncer tests the server connection before each transaction, which costs up to 45 %% of the short "
            "transactions per second."
        ),
        _lt("Use PgBouncer's default: only connections that were idle for 30 seconds are tested."),
    ),
    "small_packets": Text(
        _lt("Large Queries Are Refused"),
        _lt("max_packet_size = %(max_packet_size)s bytes"),
        _lt(
            "PgBouncer closes the client's connection if a query, or a row of its result, is longer. Odoo accepts "
            "uploads of 128 MiB, and stores some of them in the database, such as files to import."
        ),
        _lt("Use PgBouncer's default."),
    ),
    "keepalive_off": Text(
        _lt("TCP Keepalive Is Off"),
        _lt("tcp_keepalive = %(tcp_keepalive)s"),
        _lt(
            "PgBouncer does not notice when a host or a firewall drops a connection. A client that vanishes keeps its "
            "server connection if it was in a transaction, or in session mode."
        ),
        _lt("Enable it. The operating system decides how soon a dead connection is noticed: see tcp_keepidle."),
    ),
    "several_hosts": Text(
        _lt("Several Hosts in Turn"),
        _lt("host = %(hosts)s\nDatabases: %(databases)s"),
        _lt(
            "PgBouncer connects to all hosts of the list in turn. If one of them is a standby, PostgreSQL refuses what "
            "Odoo writes there; if one does not answer, its share of the connections fails."
        ),
        _lt(
            "Enter one host: the primary, or an address that moves to it. From PgBouncer 1.24 on, "
            "load_balance_hosts=disable uses the next host only if the current one fails. If all hosts are addresses "
            "of one primary, accept this finding."
        ),
    ),
    "disabled_databases": Text(
        _lt("Disabled Database"),
        _lt("Disabled: %(databases)s"),
        _lt("PgBouncer refuses new clients of this database. Odoo works only as long as its connections last."),
        _lt("Enable the database, unless it is meant to be out of service."),
    ),
}
