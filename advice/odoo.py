"""How Odoo is configured: its pools, its routes, its listeners."""

from dataclasses import replace

from ..planner import demand
from ..planner.findings import pools_needed
from ..planner.hosts import is_local
from .demand import SYSTEM, of_all, of_server, used_databases
from .findings import Finding, Step, Unknown
from .pool_modes import pool_mode
from .remedies import set_odoo
from .snapshot import known

# Sessions of the database postgres per minute, on average since its statistics were reset, that are worth a finding. A
# new connection costs PostgreSQL about 7 ms of CPU, as measured with pgbench -C, and the busiest hour has several times
# the average. A judgement.
MANY_LISTS, VERY_MANY_LISTS = 60, 600


def past_pooler(snapshot):
    """A PgBouncer that leads to this PostgreSQL helps only those who connect through it. See `_is_for_odoo`."""
    odoo = snapshot.odoo
    if not snapshot.consoles or known(odoo.is_pooled, "postgresql"):
        return
    found = [console for console in snapshot.poolers if _is_for_odoo(console, snapshot)]
    if found:
        console = found[0]
        address = {"db_host": console.host, "db_port": str(console.port)}
        step = set_odoo(**address)
        yield Finding("past_pooler", "warning", console.key, (odoo.database,), "db_host", address, steps=(step,))
        return
    for console in snapshot.poolers:
        known(_is_for_odoo(console, snapshot), "pools", name=console.name)


def _is_for_odoo(console, snapshot):
    """Return whether a pooler is meant for this Odoo: it has its database, and there a pool of Odoo's role, or no pool,
    but this role as a user. None if it has no pool, as after a restart, and logins by auth_query may be anybody's.

    A line ``*`` is not reported before its first client: then postgres is all that it has.
    """
    role, database = snapshot.postgresql.role, snapshot.odoo.database
    if database not in console.here:
        if console.here != {SYSTEM}:
            return False
        database = SYSTEM
    pools = {row.get("user") for row in console.pools if row.get("database") == database} - {console.get("auth_user")}
    if pools:
        return role in pools
    return any(row.get("name") == role for row in console.users) or None


def direct_demand(snapshot):
    """Planner, ``direct_exceeded``: what Odoo opens when all its processes have work. The ceiling, processes x
    db_maxconn, is no finding: with Odoo's own db_maxconn it exceeds PostgreSQL's own max_connections.

    But a threaded server has a thread for each HTTP connection (``ThreadedWSGIServerReloadable``), so a burst does open
    db_maxconn connections: with 300, and 97 in PostgreSQL, it served 7 requests per second in place of 59, as measured.
    """
    odoo, usable = snapshot.odoo, snapshot.postgresql.usable
    if known(odoo.is_pooled, "postgresql") or any(_is_for_odoo(console, snapshot) for console in snapshot.poolers):
        return
    inputs = of_all(snapshot)
    parts = demand.components(inputs)
    evidence, figures = {"usable": known(usable, "postgresql")}, {"hosts": inputs.servers}
    figures |= {"expected": sum(part.expected for part in parts), "ceiling": sum(part.ceiling for part in parts)}
    if figures["expected"] > usable:
        yield Finding("direct_demand", "critical", evidence=evidence, figures=figures)
    elif not odoo.workers and figures["ceiling"] > usable:
        evidence |= {"db_maxconn": odoo.db_maxconn}
        others = figures["ceiling"] - inputs.servers * odoo.db_maxconn
        fitting = (usable - others) // inputs.servers
        steps = (set_odoo(db_maxconn=fitting),) if fitting >= pools_needed(inputs)["db_maxconn"] else ()
        yield Finding("direct_demand_threaded", "warning", None, (), "db_maxconn", evidence, figures, steps)


def pool_of_odoo(snapshot):
    """Planner, ``db_maxconn_low``: a process whose pool is full fails with "The Connection Pool Is Full"
    (``ConnectionPool.borrow``). How many requests a threaded server has at the same time is the Planner's guess."""
    inputs = of_server(snapshot.odoo)
    for name, needed in pools_needed(inputs).items():
        value = getattr(inputs, name)
        if value < needed:
            level, step = "warning" if inputs.workers else "hint", set_odoo(**{name: needed})
            evidence = {"setting": name, "value": value, "needed": needed}
            yield Finding("pool_of_odoo", level, setting=name, evidence=evidence, steps=(step,))


def threaded(snapshot):
    """Odoo's deployment guide: the multi-threaded server is for development and demonstrations. Its cron threads end
    for good if they cannot connect again (``ThreadedServer.cron_thread``)."""
    odoo = snapshot.odoo
    if not odoo.workers and not odoo.dev_mode:
        workers = _workers(snapshot)
        steps = (set_odoo(workers=workers),) if workers else ()
        yield Finding("threaded", "hint", setting="workers", evidence={"workers": 0}, steps=steps)


def _workers(snapshot):
    """Return the deployment guide's number of workers, CPU x 2 + 1. None if that is unknown, or if it is not certain
    that PostgreSQL has the connections of so many: see `direct_demand`."""
    odoo = snapshot.odoo
    if not odoo.cores:
        return None
    workers = 2 * odoo.cores + 1
    if odoo.is_pooled:
        return workers
    try:
        inputs = replace(of_all(snapshot), workers=workers)
        usable = known(snapshot.postgresql.usable, "postgresql")
    except Unknown:
        return None
    return workers if sum(part.expected for part in demand.components(inputs)) <= usable else None


def bus_alt_connection(snapshot):
    """The OCA's bus_alt_connection: ``_connection_info_for`` reads imdispatcher_db_host and imdispatcher_db_port, or
    ODOO_IMDISPATCHER_DB_HOST and ODOO_IMDISPATCHER_DB_PORT. Its readme names the variables without ODOO_: they do
    nothing, as measured. Without an address it connects like Odoo, which only matters in transaction mode."""
    odoo = snapshot.odoo
    modules = {"server_wide_modules": ",".join([*odoo.server_wide_modules, "bus_alt_connection"])}
    if odoo.is_alt_set and not odoo.has_alt:
        evidence = {"server_wide_modules": ",".join(odoo.server_wide_modules)}
        step = set_odoo(**modules)
        yield Finding("bus_alt_connection", "warning", setting="server_wide_modules", evidence=evidence, steps=(step,))
    elif odoo.alt_variables and not odoo.is_alt_set:
        names = sorted(odoo.alt_variables)
        address = {name.lower(): odoo.alt_variables[name] for name in names}
        step = set_odoo(**({} if odoo.has_alt else modules), **address)
        evidence = {"variables": ", ".join(names)}
        yield Finding("bus_alt_connection_variables", "warning", evidence=evidence, steps=(step,))
    elif odoo.has_alt and not odoo.is_alt_set and known(odoo.is_pooled, "postgresql"):
        mode = _pool_mode(snapshot, odoo.route, SYSTEM)
        if mode != "session":
            evidence, steps = {"pool_mode": mode}, _direct_steps(snapshot, "odoo", "imdispatcher_db_")
            databases = (SYSTEM,)
            yield Finding("bus_alt_connection_unset", "warning", odoo.route, databases, evidence=evidence, steps=steps)


def job_runner(snapshot):
    """queue_job's runner listens on the database itself, and holds an advisory lock of its session: it needs a
    connection of its own (OCA/queue#539, #376). In session mode both work."""
    odoo = snapshot.odoo
    if not (odoo.has_job_runner or odoo.is_job_runner_elsewhere) or not odoo.is_runner_pooled():
        return
    route = odoo.route
    if odoo.job_runner:
        found = [console.key for console in snapshot.consoles.values() if _is_at(console, odoo.job_runner)]
        route = found[0] if found else None
    mode = _pool_mode(snapshot, route, odoo.database)
    if mode != "session":
        place, prefix = "queue_job", "jobrunner_db_"
        if not odoo.has_job_runner_section:
            place, prefix = "environment", "ODOO_QUEUE_JOB_JOBRUNNER_DB_"
        steps = _direct_steps(snapshot, place, prefix)
        yield Finding("job_runner", "critical", route, (odoo.database,), evidence={"pool_mode": mode}, steps=steps)


def _pool_mode(snapshot, route, database):
    """Return the pool mode of Odoo's pool in a database.

    :param int route: the key of a Console; None if it is unknown
    """
    console = snapshot.consoles[known(route, "pgbouncer")]
    known(console.is_answering or None, "console", name=console.name)
    return pool_mode(console, snapshot, database)


def _is_at(console, address):
    host, port = address
    is_same = console.host == host or is_local(console.host) and is_local(host or "localhost")
    return is_same and console.port == port


def _direct_steps(snapshot, place, prefix):
    """Return the Steps that set the host and port of PostgreSQL itself; none if its host is unknown."""
    host, port = snapshot.postgresql.host, snapshot.postgresql.settings.get("port")
    if host is None or not port:
        return ()
    names = ("HOST", "PORT") if place == "environment" else ("host", "port")
    sign = "=" if place == "environment" else " = "
    values = zip(names, (host or "127.0.0.1", port), strict=True)
    return (Step(place, tuple(f"{prefix}{name}{sign}{value}" for name, value in values), "odoo"),)


def list_of_databases(snapshot):
    """Odoo 19's ``list_dbs``: with dbfilter, or without db_name, each request without a session lists the databases
    over a connection to postgres, which ``Cursor._close`` does not keep. With db_name and no dbfilter it opens none.

    As measured, a pool of postgres cuts PostgreSQL's CPU 4 to 5 times then: so only direct connections are a finding.
    A filter with %h or %d, or several databases in use: db_name cannot replace the choice.
    """
    odoo = snapshot.odoo
    is_listing = odoo.dbfilter or not odoo.db_names
    if not is_listing or known(odoo.is_pooled, "postgresql"):
        return
    sessions = snapshot.postgresql.system_sessions()
    if sessions >= MANY_LISTS:
        level = "warning" if sessions >= VERY_MANY_LISTS else "hint"
        is_choice = "%h" in odoo.dbfilter or "%d" in odoo.dbfilter or len(used_databases(snapshot)) > 1
        code = "list_of_databases_choice" if is_choice else "list_of_databases"
        steps = () if is_choice else (set_odoo(dbfilter="", db_name=odoo.database),)
        evidence = {"dbfilter": odoo.dbfilter, "db_name": ",".join(odoo.db_names)}
        yield Finding(code, level, None, (), "dbfilter", evidence, {"sessions": round(sessions)}, steps)


def replica(snapshot):
    """Odoo's ``Registry.cursor``: if the replica does not answer, what only reads runs on the primary, and the replica
    is tried again after 20 minutes: its load comes back, and a request waits each time."""
    error = snapshot.odoo.replica_error
    if error:
        host, port = snapshot.odoo.replica
        evidence, figures = {"db_replica_host": host, "db_replica_port": str(port)}, {"error": error}
        yield Finding("replica", "warning", setting="db_replica_host", evidence=evidence, figures=figures)


CONSOLE_RULES = ()
RULES = (
    past_pooler,
    direct_demand,
    pool_of_odoo,
    threaded,
    bus_alt_connection,
    job_runner,
    list_of_databases,
    replica,
)
