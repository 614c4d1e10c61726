"""The demand of the running installation, by the arithmetic of the Planner."""

from dataclasses import replace

from ..planner.inputs import Inputs
from .snapshot import known

# The components of sessions that are Odoo's, see `analysis.components`.
ODOO = ("odoo_worker", "odoo_listener")
# The database on which Odoo's cron workers and its bus listen.
SYSTEM = "postgres"


def of_server(odoo):
    """Return the Inputs of one Odoo server with one database. What it does not report has the Planner's value: the
    requests of a threaded server, the websockets of a gevent process.

    :param Odoo odoo: of a snapshot
    """
    return Inputs(
        workers=odoo.workers,
        max_cron_threads=odoo.max_cron_threads,
        db_maxconn=odoo.db_maxconn,
        db_maxconn_gevent=odoo.db_maxconn_gevent,
        has_replica=bool(odoo.replica),
        has_queue_job=odoo.has_job_runner,
        bus="alt" if odoo.has_alt and odoo.is_alt_set else "session",
    )


def time_limits(odoo):
    """Return how many seconds Odoo allows for a request, and for a job of a cron worker; None for no limit.

    ``PreforkServer`` and ``ThreadedServer.process_limit`` of its service/server.py: limit_time_real_cron = 0 is no
    limit with workers, and limit_time_real without.

    :param Odoo odoo: of a snapshot
    """
    request = odoo.limit_time_real or None
    if not odoo.max_cron_threads or odoo.limit_time_real_cron < 0:
        return request, request
    return request, odoo.limit_time_real_cron or (None if odoo.workers else request)


def ended_early(odoo, seconds, *, is_idle=False):
    """Return the level of a timeout that ends what Odoo allows, and the shortest one that does not, 0 for none. None if
    there is no fault: an explicit limit that is never reached is worse than none that could be reached.

    :param float seconds: of the timeout, 0 for none
    :param bool is_idle: whether it only ends transactions without a query, which is a recommended safeguard: few jobs
        compute for minutes without one, so it is only compared with the limit of requests
    """
    request, job = time_limits(odoo)
    limits = (request or 0,) if is_idle else (request, job)
    if not seconds:
        return None
    if seconds < max(filter(None, limits), default=0):
        return "warning", 0 if None in limits else max(limits)
    return ("hint", 0) if None in limits else None


def of_all(snapshot):
    """Return the same of all Odoo servers of the snapshot, with the databases that they use now.

    :raise Unknown: not all servers are seen
    """
    servers = known(snapshot.odoo.hosts, "clients")
    return replace(of_server(snapshot.odoo), servers=servers, databases=len(used_databases(snapshot)))


def used_databases(snapshot):
    """Return the business databases that Odoo servers are connected to, directly, and that of this registry."""
    sessions = known(snapshot.postgresql.sessions, "postgresql")
    used = {session["datname"] for session in sessions if session["component"] in ODOO}
    return used - {SYSTEM, None} | {snapshot.odoo.database}
