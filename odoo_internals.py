"""All that Odoo does not promise."""

import sys

import psutil

from odoo.sql_db import connection_info_for
from odoo.tools import config

from .analysis.joins import network_address
from .probes.listen import POSTGRES


def alt_connection():
    """The module of bus_alt_connection that leads the bus elsewhere, if this process has loaded it."""
    return sys.modules.get("odoo.addons.bus_alt_connection.models.bus")


def bus_info():
    """psycopg2's parameters of the connection on which the bus of this process listens."""
    alt = alt_connection()
    return alt._connection_info_for(POSTGRES) if alt else connection_info_for(POSTGRES)[1]


def own_urls():
    """Where Odoo's processes listen on this host: first the one with the websockets. None is a reverse proxy."""
    interface = config["http_interface"]
    host = "127.0.0.1" if interface in (None, "", "0.0.0.0", "::") else interface
    ports = (config["gevent_port"] if config["workers"] else config["http_port"], config["http_port"])
    return [f"http://{network_address(name, port)}" for name in (host, "localhost", "127.0.0.1") for port in ports]


def own_ends():
    """The own ends of the TCP connections of this process: addresses and ports."""
    process = psutil.Process()
    connections = process.net_connections if hasattr(process, "net_connections") else process.connections
    return [tuple(connection.laddr) for connection in connections(kind="tcp") if connection.raddr]
