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
- the OCA's ``bus_alt_connection`` and ``queue_job``: the functions that choose their connection
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


def queue_job_info(dbname):
    """Return psycopg2's parameters of the connection on which queue_job's runner listens."""
    runner = sys.modules.get("odoo.addons.queue_job.jobrunner.runner")
    return runner._connection_info_for(dbname) if runner else connection_info_for(dbname)[1]


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


def server_pid():
    """Return the PID of the Odoo server that this process belongs to, of this process in a shell or a test."""
    server = odoo.service.server.server
    return server.pid if server else os.getpid()


def server_started_at():
    """Return when the Odoo server that this process belongs to was started, in UTC; None in a shell or a test."""
    if not odoo.service.server.server:
        return None
    return EPOCH + timedelta(seconds=int(psutil.Process(server_pid()).create_time()))


def own_ports():
    """Return the ports on which this Odoo server listens: that of the websockets, and that of all else."""
    return (config["gevent_port"] if config["workers"] else config["http_port"]), config["http_port"]


def has_websockets():
    """Return whether this is the process that holds the websockets."""
    return odoo.evented or not config["workers"]


def own_urls():
    """Return the URLs at which Odoo's processes listen on this host, first the one with the websockets. None of them
    is a reverse proxy's."""
    interface = config["http_interface"]
    host = "127.0.0.1" if interface in (None, "", "0.0.0.0", "::") else interface
    names = (host, "localhost", "127.0.0.1")
    return [f"http://{network_address(name, port)}" for name in names for port in own_ports()]


def own_ends():
    """Return this process's ends of its TCP connections: addresses and ports."""
    process = psutil.Process()
    connections = process.net_connections if hasattr(process, "net_connections") else process.connections
    return [tuple(connection.laddr) for connection in connections(kind="tcp") if connection.raddr]


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
