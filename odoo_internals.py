"""Everything that Odoo does not promise to keep. A port to a new series is a change of this file.

Known for 19.0; what is known of 20.0 is noted beside it:

- ``config``: the bus and the cron workers listen on the database ``postgres`` (20.0: ``--db-system`` names another one)
- ``odoo.sql_db``: `connection_info_for`, and psycopg2's connection behind a cursor, `Cursor._cnx`
- ``odoo.addons.bus.models.bus``: the dispatcher, what it takes for a websocket, the payload of a NOTIFY, and the
  channel ``imbus`` (20.0: `BusDispatcher` in ``bus/bus_dispatcher.py``, whose `subscribe` takes channels, last id and
  websocket, without the database)
- ``odoo.addons.base.models.ir_cron``: the channel ``cron_trigger``, its payload, `_intervalTypes`, the version of the
  module base that Odoo runs scheduled actions of, and the transaction that is open while one runs
- ``odoo.service``: the server that runs in this process, and `retrying`
- ``odoo.evented``: this is the gevent process (20.0: there may be several, ``--gevent-workers``)
- ``odoo.http``: a request has its session, and then its ``db``, when its database is chosen; the routes that need none
- ``psycopg2.Error`` of Odoo's own connections: where it is raised, `ConnectionPool.borrow` with its parameters in
  ``connection_info``, `PsycoConnection`, and the callback of the gevent process in ``odoo/_monkeypatches``
- ``Registry.registries``: the databases that this process has loaded
- the OCA's ``bus_alt_connection`` and ``queue_job``: the functions that choose their connection; queue_job's patches of
  the server, by which its runner is started, its lock, and where it reads its options
"""

import itertools
import logging
import os
import re
import socket
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from datetime import timedelta

import psutil
import psycopg2

import odoo
import odoo.http
import odoo.service.model
import odoo.service.server
import odoo.sql_db
from odoo.modules.registry import Registry
from odoo.sql_db import ConnectionPool, PsycoConnection, connection_info_for
from odoo.tools import config

from odoo.addons.base.models.ir_cron import BASE_VERSION, _intervalTypes
from odoo.addons.bus.models import bus
from odoo.addons.bus.websocket import ConnectionState, _websocket_instances

from .analysis.joins import network_address
from .analysis.listening import IN_A_ROW
from .probes import listen
from .probes.errors import MAX_DETAIL, QueryError, printable
from .tools import EPOCH

# How long the dispatcher may take to receive notifications, its first connection included, and the pause between two.
DISPATCH_SECONDS = 3
DISPATCH_PAUSE = 0.05
# How many losses of the dispatcher's connection are remembered.
KEPT_LOSSES = 20
# While a scheduled action runs, a transaction of its own locks it. Its last statement is the one about its triggers.
# Up to nine digits: an id fits into an integer, whatever other statements say.
RUNNING_JOB = r"ir_cron.*cron_id = (\d{1,9})\M"

# An error of one of Odoo's own connections is raised in one of these files, by psycopg2 below it, or by the callback
# through which psycopg2 waits in the gevent process.
OWN_FILES = {module.__file__ for module in (odoo.sql_db, odoo.service.server, bus)}
BELOW = (os.path.dirname(psycopg2.__file__), os.path.join(os.path.dirname(odoo.http.__file__), "_monkeypatches"))

# Calls a function, again after a serialization failure, and commits.
retrying = odoo.service.model.retrying


def system_database():
    """Return the name of the database on which Odoo listens."""
    return "postgres"


def database_info(dbname):
    """Return psycopg2's parameters of this Odoo's connections to a database."""
    return connection_info_for(dbname)[1]


def replica_info(dbname):
    """Return psycopg2's parameters of this Odoo's read-only connections to a database, None without a replica."""
    return connection_info_for(dbname, readonly=True)[1] if config["db_replica_host"] else None


def listener_info():
    """Return psycopg2's parameters of the connection on which the cron workers listen."""
    return database_info(system_database())


def alt_connection():
    """Return the module of bus_alt_connection that redirects the bus, None if this process has not loaded it."""
    return sys.modules.get("odoo.addons.bus_alt_connection.models.bus")


def bus_info():
    """Return psycopg2's parameters of the connection on which the bus of this process listens."""
    alt = alt_connection()
    return alt._connection_info_for(system_database()) if alt else listener_info()


def has_alt_options():
    """Return whether bus_alt_connection finds an address of its own."""
    return any(
        os.environ.get(f"ODOO_IMDISPATCHER_DB_{name.upper()}") or config.get(f"imdispatcher_db_{name}")
        for name in ("host", "port")
    )


def unread_alt_variables():
    """Return the variables that are set as the documentation of bus_alt_connection names them, which it does not
    read: name -> value."""
    return {name: os.environ[name] for name in ("IMDISPATCHER_DB_HOST", "IMDISPATCHER_DB_PORT") if os.environ.get(name)}


def needs_job_runner(env):
    """Return whether the jobs of this database need queue_job's runner. With queue_job_cron_jobrunner, the cron workers
    start them."""
    return "queue.job" in env and "queue_job_cron_jobrunner" not in env.registry._init_modules


def job_runner():
    """Return the module of queue_job's runner."""
    return sys.modules["odoo.addons.queue_job.jobrunner.runner"]


def job_runner_address(dbname):
    """Return the host and port to which queue_job's runner connects, None for those of Odoo."""
    address, own = map(listen.route, (job_runner()._connection_info_for(dbname), database_info(dbname)))
    return None if address == own else address


def has_job_runner():
    """Return whether this Odoo server runs queue_job's runner: the module was loaded before the server started, and its
    root channel has a capacity."""
    jobrunner = sys.modules["odoo.addons.queue_job.jobrunner"]
    is_patched = jobrunner.runner_thread or hasattr(odoo.service.server.server, "jobrunner")
    return bool(is_patched) and jobrunner._is_runner_enabled()


def has_job_runner_section():
    """Return whether queue_job's runner reads the section [queue_job] of odoo.conf: not with server_environment, nor
    where an environment variable has an address."""
    names = ("HOST", "PORT", "USER", "PASSWORD")
    is_set = any(os.environ.get(f"ODOO_QUEUE_JOB_JOBRUNNER_DB_{name}") for name in names)
    is_elsewhere = "odoo.addons.server_environment" in sys.modules
    return not is_set and not is_elsewhere and os.path.exists(config["config"] or "")


class FakeWebsocket:
    """What the bus's dispatcher takes for a websocket: it records when its channel was called."""

    def __init__(self):
        self._channels = set()
        self.called_at = None

    def subscribe(self, channels, _last):
        self._channels = channels

    def trigger_notification_dispatching(self):
        self.called_at = self.called_at or time.time()


def notify_dispatchers(dbname, channel):
    """Notify the bus's dispatchers on a channel, as a process does that posts a message.

    :return: when it was sent, see `listen.notify`
    :raise QueryError: it could not be sent
    """
    payload = bus.json_dump([bus.channel_with_db(dbname, channel)])
    return listen.notify(listener_info(), "imbus", payload, bus.ODOO_NOTIFY_FUNCTION)


def dispatched(dbname, channels, send=lambda: None):
    """Subscribe to channels, and wait until the dispatcher of this process has called IN_A_ROW of them, from the first
    one that it calls: the dispatcher may start only now.

    :param list channels: in the order in which they are notified meanwhile
    :param send: called again and again, notifies the next one
    :return: the index of each channel that was called -> when, by the clock of this process; within DISPATCH_SECONDS
    """
    websockets = [FakeWebsocket() for _channel in channels]
    deadline = time.monotonic() + DISPATCH_SECONDS
    try:
        for channel, websocket in zip(channels, websockets, strict=True):
            bus.dispatch.subscribe([channel], 0, dbname, websocket)
        while True:
            called = {number: found.called_at for number, found in enumerate(websockets) if found.called_at}
            is_complete = called and called.keys() >= set(range(min(called), min(called) + IN_A_ROW))
            if is_complete or time.monotonic() > deadline:
                return called
            send()
            time.sleep(DISPATCH_PAUSE)
    finally:
        for websocket in websockets:
            bus.dispatch.unsubscribe(websocket)


class LossRecorder(logging.Handler):
    """Remembers when the dispatcher of this process lost its connection, which it logs: it then waits for 50 s."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.losses = deque(maxlen=KEPT_LOSSES)

    def emit(self, record):
        if record.exc_info and record.exc_info[1]:
            self.losses.append((record.created, printable(str(record.exc_info[1]).strip()[:MAX_DETAIL])))


# The dispatcher of this process logs its losses here, that of bus_alt_connection too.
LOSSES = LossRecorder()
logging.getLogger(bus.__name__).addHandler(LOSSES)


def open_websockets():
    """Return how many websockets of browsers this process serves."""
    return sum(websocket.state is ConnectionState.OPEN for websocket in list(_websocket_instances))


def wake_cron_workers(dbname):
    """Send the NOTIFY that wakes the cron workers. If it cannot be sent, they wait for their timer."""
    with suppress(QueryError):
        listen.notify(listener_info(), "cron_trigger", dbname, bus.ODOO_NOTIFY_FUNCTION)


def cron_interval(cron):
    """Return how many seconds are between two runs of an ir.cron; a minute if there is none."""
    delta = _intervalTypes[cron.interval_type or "minutes"](cron.interval_number or 1)
    return int((EPOCH + delta - EPOCH).total_seconds())


def server_pid():
    """Return the PID of the Odoo server that this process belongs to, of this process in a shell or a test."""
    server = odoo.service.server.server
    return server.pid if server else os.getpid()


def server_started_at():
    """Return when the Odoo server that this process belongs to was started, in UTC; None in a shell or a test."""
    if not odoo.service.server.server:
        return None
    return EPOCH + timedelta(seconds=int(psutil.Process(server_pid()).create_time()))


def has_websockets():
    """Return whether this is the process that holds the websockets."""
    return odoo.evented or not config["workers"]


def service_port():
    """Return the port at which this Odoo service serves its websockets."""
    return config["gevent_port"] if config["workers"] or odoo.evented else config["http_port"]


def own_url(port=None):
    """Return the URL at which this Odoo listens on this host: by default the process with the websockets. It is not a
    reverse proxy's."""
    interface = config["http_interface"]
    host = "127.0.0.1" if interface in (None, "", "0.0.0.0", "::") else interface
    return f"http://{network_address(host, port or service_port())}"


def own_urls():
    """Return the URLs of Odoo's processes on this host."""
    places = itertools.product(("localhost", "127.0.0.1"), (service_port(), config["http_port"]))
    return [own_url(), *(f"http://{network_address(host, port)}" for host, port in places)]


def local_ends():
    """Return the TCP connections that processes of this host opened: address and port -> PID. Those of other users'
    processes are missing."""
    found = psutil.net_connections("tcp")
    served = {(connection.pid, connection.laddr.port) for connection in found if not connection.raddr}
    return {
        tuple(connection.laddr): connection.pid
        for connection in found
        if connection.raddr and connection.pid and (connection.pid, connection.laddr.port) not in served
    }


def server_pids():
    """Return the PIDs of the processes of this Odoo server."""
    process = psutil.Process(server_pid())
    return [process.pid, *(child.pid for child in process.children(recursive=True))]


def ended_cron_threads():
    """Return how many of the cron threads of this process have ended, which nothing restarts; 0 with workers, and in a
    process of the bus."""
    server = odoo.service.server.server
    if config["workers"] or odoo.evented or not server:
        return 0
    alive = [thread for thread in threading.enumerate() if re.fullmatch(r"odoo\.service\.cron\.cron\d+", thread.name)]
    return config["max_cron_threads"] - len(alive)


def is_skipped_version(version):
    """Return whether Odoo runs no scheduled action of a database with this version of the module base."""
    return version != BASE_VERSION


def is_of_this_server(address, port, application_name):
    """Return whether a connection's client is a process of this Odoo server.

    :param str address: of the client's end, None for a unix socket: then the PID in its name counts
    """
    pids = server_pids()
    if address:
        return local_ends().get((address, port)) in pids
    return application_name in {config["db_app_name"].replace("{pid}", str(pid)) for pid in pids}


def server_version(cr):
    """Return PostgreSQL's version as a number, 150004 for 15.4."""
    return cr._cnx.server_version


def server_version_text(cr):
    """Return PostgreSQL's version as text, "15.4"."""
    return cr._cnx.info.parameter_status("server_version").partition(" ")[0]


def connected_to(cr):
    """Return where Odoo is connected, to PostgreSQL or a pooler, and as whom: host, port and user. The host is a name,
    an address, or the folder of a unix socket."""
    info = cr._cnx.info
    return info.host, info.port, info.user


def configured_databases():
    """Return the names in db_name; empty for all databases."""
    return list(config["db_name"])


def protocol_pid(cr):
    """Return the PID that the protocol reported for this connection: a pooler's own, if there is one in the path."""
    return cr._cnx.info.backend_pid


def pgbouncer_version(cr):
    """Return the version of the PgBouncer that this connection leads through, None if nothing reports one: PgBouncer
    does since 1.26."""
    return cr._cnx.info.parameter_status("pgbouncer.version")


def peer_address(cr):
    """Return the IP address of the other end of this connection, None for a unix socket."""
    with socket.socket(fileno=os.dup(cr._cnx.info.socket)) as end:
        return None if end.family == socket.AF_UNIX else end.getpeername()[0]


def is_closed(cr):
    """Return whether a cursor, or its connection, is closed."""
    return cr.closed or cr._cnx.closed


def _origin(error):
    """Return the frame of Python in which psycopg2 raised an error, None if it is not known."""
    frames, trace = [], error.__traceback__
    while trace:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    return next((frame for frame in reversed(frames) if not frame.f_code.co_filename.startswith(BELOW)), None)


def own_connection(error):
    """Return whether a psycopg2 error is about a connection of Odoo's own, not an addon's; psycopg2's connection, None
    if there is none; and psycopg2's parameters if a new one was refused, else None."""
    cursor, frame = getattr(error, "cursor", None), _origin(error)
    if cursor:
        return isinstance(cursor.connection, PsycoConnection), cursor.connection, None
    if not frame or frame.f_code.co_filename not in OWN_FILES:
        return False, None, None
    connection = getattr(frame.f_locals.get("self"), "_cnx", None)
    is_new = not connection and frame.f_code.co_name == ConnectionPool.borrow.__name__
    return True, connection, frame.f_locals["connection_info"] if is_new else None


def is_known_database(dbname):
    """Return whether a database exists for all that this process knows: whoever sends a request may name any."""
    return dbname == system_database() or dbname in config["db_name"] or dbname in Registry.registries


def is_unserved():
    """Return whether the current request has no database, and is not one that Odoo answers without."""
    request = odoo.http.request
    if not request or getattr(request, "db", None):
        return False
    if hasattr(request, "session"):  # the controller itself needs a database
        return True
    root, sent = odoo.http.root, request.httprequest
    return not root.get_static_file(sent.path) and not root.nodb_routing_map.bind_to_environ(sent.environ).test()
