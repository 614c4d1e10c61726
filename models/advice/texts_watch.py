"""The texts of what the rules about the watch itself find. Imports no models."""

from odoo.tools import LazyTranslate

from .text import Text

# pylint: disable=prefer-env-translation  # no environment here: ``env._`` translates the texts when they are shown
_lt = LazyTranslate(__name__)

TEXTS = {
    "sampler_off": Text(
        _lt("Sampling Is Off"),
        _lt("The scheduled action that samples the endpoints is not active."),
        _lt("This database takes no samples: it has no history, and opens no alerts."),
        _lt("Switch on Log Connection Pressure in Settings > Database Connections."),
    ),
    "sampler_late": Text(
        _lt("Sampling Is Late"),
        _lt("Minutes without a sample: %(minutes)s"),
        _lt("Alerts open late or not at all, and the history has gaps."),
        _lt(
            "All cron workers are busy, or none serves this database. Find long scheduled actions in Settings > "
            "Technical > Scheduled Actions, set a larger max_cron_threads in odoo.conf, or add this database to "
            "db_name of the Odoo server that runs cron workers."
        ),
    ),
    "sampler_late_cron": Text(
        _lt("No Cron Worker"),
        _lt("max_cron_threads = %(max_cron_threads)s on this server\nMinutes without a sample: %(minutes)s"),
        _lt(
            "This Odoo server runs no scheduled actions, and no other one runs those of this database: alerts do not "
            "open, and the history has gaps."
        ),
        _lt(
            "Set max_cron_threads = 1 or more in odoo.conf and restart Odoo, or add this database to db_name of the "
            "Odoo server that runs cron workers."
        ),
    ),
    "unwatched_postgresql": Text(
        _lt("PostgreSQL Is Not Watched"),
        _lt("The endpoint of this Odoo's PostgreSQL is archived."),
        _lt("There is no history of PostgreSQL, and no alert opens if it runs out of connections."),
        _lt("Unarchive it: Endpoints, filter Archived, Actions > Unarchive."),
    ),
    "own_address": Text(
        _lt("PostgreSQL Is Read through the Pool"),
        _lt(
            "Odoo is connected to a pooler at %(host)s, port %(port)s.\nPostgreSQL's endpoint has no address of its "
            "own."
        ),
        _lt(
            "Samples of PostgreSQL wait in the pool that they should watch. When it is full, samples are missing just "
            "when they are needed."
        ),
        _lt(
            "On the endpoint PostgreSQL of this Odoo, enter the host and port of PostgreSQL itself, and a role with "
            "pg_monitor and its password. Press Test Connection."
        ),
    ),
    "own_address_error": Text(
        _lt("PostgreSQL's Own Address Fails"),
        _lt("At the last reading, PostgreSQL did not answer at the address that its endpoint has."),
        _lt("Its samples are read over Odoo's own connection. If that leads through a pool, they wait there."),
        _lt("Open the endpoint PostgreSQL of this Odoo and press Test Connection: the message says what is wrong."),
    ),
    "unwatched_pooler": Text(
        _lt("Odoo's Pooler Is Not Watched"),
        _lt("Odoo is connected to a pooler at %(host)s, port %(port)s, which is no endpoint."),
        _lt("PostgreSQL does not see the clients that wait in its queue. Nobody notices when a pool is full."),
        _lt(
            "If it is PgBouncer, create an endpoint for it. Other poolers cannot be watched: then accept this finding."
        ),
    ),
    "twins": Text(
        _lt("Two Endpoints for One PgBouncer"),
        _lt("Endpoints of the same process: %(endpoints)s"),
        _lt("Its clients and pools count twice, and each problem opens two alerts."),
        _lt("Archive all of these endpoints but one."),
    ),
    "shared_port": Text(
        _lt("Several Processes behind One Port"),
        _lt("Several PgBouncers listen at %(host)s, port %(port)s (so_reuseport)."),
        _lt("Each reading reaches one of them at random. Samples jump from one process to the other."),
        _lt(
            "Give each process its own unix_socket_dir in its pgbouncer.ini and restart it. Create one endpoint for "
            "each, with this directory as the host, and archive this endpoint."
        ),
    ),
    "watched_twice": Text(
        _lt("Other Databases Sample the Same Servers"),
        _lt("Databases: %(others)s"),
        _lt("Each of them queries the same servers every minute, stores the same samples and sends the same alerts."),
        _lt("Choose one database, and uninstall the addon in the others or switch off Log Connection Pressure there."),
    ),
}
