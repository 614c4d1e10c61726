"""The connections that an installation opens, by component.

The sources are Odoo 19's: ``sql_db.py`` for the pool of a process, ``service/server.py``, ``http.py`` and
``ir_cron.py`` for who borrows from it, ``bus`` for the dispatcher; and queue_job's ``jobrunner/runner.py``.

- Each process has one pool of at most ``db_maxconn`` connections, over all databases together, postgres among them. Its
  listeners are borrowed from it like all others. An idle connection is closed after 600 s at the earliest. So the
  *ceiling* of a process is ``db_maxconn``, whatever it does.
- A connection to postgres is closed when its cursor is. NOTIFY and health checks need one for milliseconds: they are
  within the ceiling, and not in what is *expected*.

The reasons of components, with their figures. ``expected`` and ``ceiling`` are those of the component:

- ``http``, ``cron``, ``gevent``, ``bus``: servers, processes (of a server), per_process (expected), pool (the ceiling
  of a process), listeners (of a process), expected, ceiling. ``bus`` is the dispatcher's listener of
  bus_alt_connection, apart from the pool of its process
- ``threaded``: these, and requests, databases, max_cron_threads
- ``replica_http``, ``replica_cron``, ``replica_gevent``, ``replica_threaded``: as without ``replica_``
- ``queue_job``: servers, databases, expected, ceiling
- ``other``: count
"""

from math import ceil

from .inputs import Component, Reason

# A cron worker that runs a job: one connection has the lock on the job, the job runs in a second one.
JOB_CONNECTIONS = 2
# PostgreSQL's wiki, Number Of Database Connections: cores x 2 + effective spindles, which is this many here: a
# judgement, for transactions that wait.
PER_CORE, WAITING = 2, 4
# A pool that is busier on average has queues at its peaks.
BUSY_PERCENT = 70


def components(inputs):
    """Return what connects to PostgreSQL, as a list of Components, with or without PgBouncer alike.

    Without workers, cron threads and the dispatcher share the pool of the one process. With a gevent service of its
    own, Odoo's own gevent process has no websockets, and so no connections.

    :param Inputs inputs: without errors
    """
    found = [_http(inputs), _cron(inputs)] if inputs.workers else [_threaded(inputs)]
    if inputs.workers or inputs.bus == "service":
        found.append(_gevent(inputs))
    if inputs.bus == "alt":
        found.append(_processes(inputs, "bus", 1, 1, 1, listeners=1, is_pooled=False))
    if inputs.has_queue_job:
        found.append(_queue_job(inputs))
    found += [
        Component("other", other.name, *[other.count] * 3, 0, other.is_pooled, Reason("other", {"count": other.count}))
        for other in inputs.others
    ]
    return [component for component in found if component.count]


def replica_components(inputs):
    """Return what connects to the replica, as a list of Components: each process has a second pool of the same size
    for it, which counts against the limit of the replica. Nothing listens there. A cron worker only reads there whether
    the registry has changed (``Registry.check_signaling``).

    :param Inputs inputs: without errors
    """
    if not inputs.has_replica:
        return []
    pool, cron = inputs.db_maxconn, inputs.max_cron_threads
    if inputs.workers:
        kinds = [("http", inputs.workers, inputs.databases, pool), ("cron", cron, 1, pool)]
    else:
        kinds = [("threaded", 1, inputs.requests * inputs.databases, pool)]
    if inputs.workers or inputs.bus == "service":
        kinds.append(("gevent", 1, inputs.gevent_connections, gevent_pool(inputs)))
    found = [
        _processes(inputs, code, count, expected, pool, is_pooled=False, reason=f"replica_{code}")
        for code, count, expected, pool in kinds
    ]
    return [component for component in found if component.count]


def gevent_pool(inputs):
    """Return the size of the pool of a gevent process (``sql_db.db_connect``)."""
    return inputs.db_maxconn_gevent or inputs.db_maxconn


def transactions(inputs):
    """Return how many transactions on business databases can be open at the same time through PgBouncer: a worker has
    one, whatever the number of its databases; a cron worker that runs a job has JOB_CONNECTIONS.

    :param Inputs inputs: without errors
    """
    per_server = (inputs.workers or inputs.requests) + JOB_CONNECTIONS * inputs.max_cron_threads
    if inputs.workers and inputs.bus != "service":
        per_server += inputs.gevent_connections
    return inputs.servers * per_server + sum(other.count for other in inputs.others if other.is_pooled)


def servers(inputs):
    """Return the servers that all pools of a database need together, and the code of its reason, see `sizing`.

    By history: the peak, or the mean by Little's law (transactions per second x seconds per transaction) at
    BUSY_PERCENT. By cores: more would slow PostgreSQL down. The larger one, but no more than `transactions`.

    :param Inputs inputs: without errors
    """
    work, found = transactions(inputs), []
    if inputs.mean_busy is not None:
        found.append((ceil(inputs.mean_busy * 100 / BUSY_PERCENT), "pool_measured"))
    if inputs.peak_busy is not None:
        found.append((inputs.peak_busy, "pool_measured"))
    if inputs.cores:
        found.append((PER_CORE * inputs.cores + WAITING, "pool_cores"))
    return min(max(found), (work, "pool_processes")) if found else (work, "pool_unknown")


def _http(inputs):
    """A worker serves one request at a time, with one connection (``Request._serve_db``). It keeps one for each
    database. A second one for a moment, to signal changes or with a controller's own cursor, is within the ceiling."""
    return _processes(inputs, "http", inputs.workers, inputs.databases, inputs.db_maxconn)


def _cron(inputs):
    """A worker has its listener (``WorkerCron.start``), JOB_CONNECTIONS (``IrCron._process_jobs``, ``_process_job``),
    and one more where the job checks whether the registry has changed (``_callback``), on the replica if there is one.
    With several databases it closes those of one before it goes to the next (``WorkerCron.process_work``)."""
    count, expected = inputs.max_cron_threads, 1 + JOB_CONNECTIONS + (not inputs.has_replica)
    return _processes(inputs, "cron", count, expected, inputs.db_maxconn, listeners=1)


def _threaded(inputs):
    """A thread for each request, each cron thread (``ThreadedServer.cron_thread``) with its listener and
    JOB_CONNECTIONS, and the dispatcher's listener: all of them share one pool, so what one needs for a moment is used
    by the others."""
    cron = inputs.max_cron_threads
    listeners = cron + (inputs.bus == "session")
    expected = inputs.requests * inputs.databases + cron * JOB_CONNECTIONS + listeners
    figures = {"requests": inputs.requests, "databases": inputs.databases, "max_cron_threads": cron}
    return _processes(inputs, "threaded", 1, expected, inputs.db_maxconn, listeners, **figures)


def _gevent(inputs):
    """The dispatcher's listener (``ImDispatch.loop``), which starts with the first websocket, and a connection for each
    message that a websocket is sending or fetching (``acquire_cursor``). A service of its own connects directly."""
    listeners, is_pooled = int(inputs.bus != "alt"), inputs.bus != "service"
    expected = listeners + inputs.gevent_connections
    return _processes(inputs, "gevent", 1, expected, gevent_pool(inputs), listeners, is_pooled)


def _queue_job(inputs):
    """One runner holds a connection to each database, apart from Odoo's pool, where it has an advisory lock and listens
    (``Database.__init__``). The runner of each other server tries to get the lock of the first database every few
    seconds, and closes its connection when it does not (``MasterElectionLost``)."""
    expected = inputs.databases
    ceiling = expected + inputs.servers - 1
    figures = {"servers": inputs.servers, "databases": expected, "expected": expected, "ceiling": ceiling}
    reason = Reason("queue_job", figures)
    return Component("queue_job", "", inputs.servers, expected, ceiling, expected, False, reason)


def _processes(inputs, code, count, expected, pool, listeners=0, is_pooled=True, reason="", **figures):
    """Return the Component of processes of Odoo.

    :param int count: of a server
    :param int expected: of a process, if its pool were large enough
    :param int listeners: of a process
    """
    total, expected, listeners = inputs.servers * count, min(expected, pool), min(listeners, pool)
    figures |= {"servers": inputs.servers, "processes": count, "per_process": expected, "pool": pool}
    figures |= {"listeners": listeners, "expected": total * expected, "ceiling": total * pool}
    connections = (total * expected, total * pool, total * listeners)
    return Component(code, "", total, *connections, is_pooled, Reason(reason or code, figures))
