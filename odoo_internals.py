"""Everything that Odoo does not promise to keep. A port to a new series is a change of this file.

Known for 19.0; what is known of 20.0 is noted beside it:

- ``config``: the bus and the cron workers listen on the database ``postgres`` (20.0: ``--db-system`` names another one)
- ``odoo.sql_db``: `connection_info_for`, and psycopg2's connection behind a cursor, `Cursor._cnx`
- ``odoo.addons.bus.models.bus``: the dispatcher, what it takes for a websocket, the payload of a NOTIFY, and the
  channel ``imbus`` (20.0: `BusDispatcher` in ``bus/bus_dispatcher.py``, whose `subscribe` takes channels, last id and
  websocket, without the database)
- ``odoo.addons.base.models.ir_cron``: the channel ``cron_trigger``, its payload, and `_intervalTypes`
- ``odoo.service``: the server that runs in this process, and `retrying`
- ``odoo.evented``: this is the gevent process (20.0: there may be several, ``--gevent-workers``)
- the OCA's ``bus_alt_connection`` and ``queue_job``: the functions that choose their connection; queue_job's patches of
  the server, by which its runner is started, its lock, and where it reads its options
"""

import os
import secrets
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta

import psutil

import odoo
import odoo.service.model
import odoo.service.server
from odoo.sql_db import connection_info_for
from odoo.tools import config

from odoo.addons.base.models.ir_cron import _intervalTypes
from odoo.addons.bus.models import bus

from .analysis.joins import network_address
from .probes import listen
from .probes.errors import QueryError
from .tools import EPOCH

# How long the dispatcher may take to receive a notification, its first connection included, and the pause between two.
DISPATCH_SECONDS = 3
DISPATCH_PAUSE = 0.5

# Calls a function, again after a serialization failure, and commits.
retrying = odoo.service.model.retrying


def system_database():
    """Return the name of the database on which Odoo listens."""
    return "postgres"


def listener_info():
    """Return psycopg2's parameters of the connection on which the cron workers listen."""
    return connection_info_for(system_database())[1]


def alt_connection():
    """Return the module of bus_alt_connection that redirects the bus, None if this process has not loaded it."""
    return sys.modules.get("odoo.addons.bus_alt_connection.models.bus")


def bus_info():
    """Return psycopg2's parameters of the connection on which the bus of this process listens."""
    alt = alt_connection()
    return alt._connection_info_for(system_database()) if alt else listener_info()


def needs_job_runner(env):
    """Return whether the jobs of this database need queue_job's runner. With queue_job_cron_jobrunner, the cron workers
    start them."""
    return "queue.job" in env and "queue_job_cron_jobrunner" not in env.registry._init_modules


def job_runner():
    """Return the module of queue_job's runner."""
    return sys.modules["odoo.addons.queue_job.jobrunner.runner"]


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


def server_processes():
    """Return the processes of the Odoo server that this process belongs to."""
    server = odoo.service.server.server
    main = psutil.Process(server.pid if server else os.getpid())
    return [main, *main.children(recursive=True)]


class FakeWebsocket:
    """What the bus's dispatcher takes for a websocket: it records that its channel was called."""

    def __init__(self):
        self._channels = set()
        self.is_called = threading.Event()

    def subscribe(self, channels, _last):
        self._channels = channels

    def trigger_notification_dispatching(self):
        self.is_called.set()


def call_dispatcher(dbname):
    """Notify the bus's dispatcher of this process, on a random channel.

    :return: the seconds until it called the channel, None if it did not within DISPATCH_SECONDS
    """
    websocket, channel = FakeWebsocket(), f"pgbouncer_monitor_{secrets.token_hex(8)}"
    payload = bus.json_dump([bus.channel_with_db(dbname, channel)])
    started = time.monotonic()
    bus.dispatch.subscribe([channel], 0, dbname, websocket)
    try:
        while time.monotonic() < started + DISPATCH_SECONDS:
            with suppress(QueryError):  # one that cannot be sent is not received
                listen.notify(listener_info(), "imbus", payload, bus.ODOO_NOTIFY_FUNCTION)
            if websocket.is_called.wait(DISPATCH_PAUSE):
                return time.monotonic() - started
    finally:
        bus.dispatch.unsubscribe(websocket)
    return None


def wake_cron_workers(dbname):
    """Send the NOTIFY that wakes the cron workers. If it cannot be sent, they wait for their timer."""
    with suppress(QueryError):
        listen.notify(listener_info(), "cron_trigger", dbname, bus.ODOO_NOTIFY_FUNCTION)


def cron_interval(cron):
    """Return how many seconds are between two runs of an ir.cron; a minute if there is none."""
    delta = _intervalTypes[cron.interval_type or "minutes"](cron.interval_number or 1)
    return int((EPOCH + delta - EPOCH).total_seconds())


def server_started_at():
    """Return when the Odoo server that this process belongs to was started, in UTC; None in a shell or a test."""
    server = odoo.service.server.server
    return server and EPOCH + timedelta(seconds=int(psutil.Process(server.pid).create_time()))


def has_websockets():
    """Return whether this is the process that holds the websockets."""
    return odoo.evented or not config["workers"]


def own_urls():
    """Return the URLs at which Odoo's processes listen on this host, first the one with the websockets. None of them
    is a reverse proxy's."""
    interface = config["http_interface"]
    host = "127.0.0.1" if interface in (None, "", "0.0.0.0", "::") else interface
    ports = (config["gevent_port"] if config["workers"] else config["http_port"], config["http_port"])
    return [f"http://{network_address(name, port)}" for name in (host, "localhost", "127.0.0.1") for port in ports]


def own_ends(process=None):
    """Return a process's ends of its TCP connections: addresses and ports. By default this process's."""
    process = process or psutil.Process()
    connections = process.net_connections if hasattr(process, "net_connections") else process.connections
    return [tuple(connection.laddr) for connection in connections(kind="tcp") if connection.raddr]


def is_of_this_server(address, port, application_name):
    """Return whether a connection's client is a process of this Odoo server.

    :param str address: of the client's end, None for a unix socket: then the PID in its name counts
    """
    for process in server_processes():
        if not address and application_name == config["db_app_name"].replace("{pid}", str(process.pid)):
            return True
        with suppress(psutil.Error):
            if address and (address, port) in own_ends(process):
                return True
    return False


def server_version(cr):
    """Return PostgreSQL's version as a number, 150004 for 15.4."""
    return cr._cnx.server_version


def server_version_text(cr):
    """Return PostgreSQL's version as text, "15.4"."""
    return cr._cnx.info.parameter_status("server_version").partition(" ")[0]


def protocol_pid(cr):
    """Return the PID that the protocol reported for this connection: a pooler's own, if there is one in the path."""
    return cr._cnx.info.backend_pid


def is_closed(cr):
    """Return whether a cursor, or its connection, is closed."""
    return cr.closed or cr._cnx.closed
