"""Does LISTEN work on a connection that is made like Odoo's? Proven by a NOTIFY.

Plain Python: nothing of Odoo is imported here. What is asked is undone: the channel is random,
no connection stays open, and none is left to listen.
"""

import os
import secrets
import select
import socket
import time
from contextlib import closing, suppress
from functools import partial
from typing import NamedTuple

import psycopg2
from psycopg2 import sql

from . import query
from .errors import QueryError, query_error

# The database on which Odoo listens.
POSTGRES = "postgres"
# How long it may take to connect and to LISTEN, to send a NOTIFY, and for the NOTIFY to arrive: where
# LISTEN works that takes milliseconds. Then how long to try to reach the server that still listens.
OPEN_SECONDS = 3
NOTIFY_SECONDS = 1
HEAR_SECONDS = 2
CLEAN_SECONDS = 2
TOTAL_SECONDS = OPEN_SECONDS + NOTIFY_SECONDS + HEAR_SECONDS + CLEAN_SECONDS

# A listener of Odoo's that hears it, through a server that still listens, must be able to read it.
PAYLOAD = "[]"
IDENTITY = """
SELECT pg_backend_pid() AS pid, host(inet_server_addr()) AS address, inet_server_port() AS port
"""
# How long to wait before it is tried again to reach a server of a pool.
TRY_AGAIN_SECONDS = 0.01
# What refuses a LISTEN for good: PgBouncer in statement mode allows no transactions, in which Odoo
# listens, and PostgreSQL no LISTEN on a standby.
REFUSALS = ("statement pooling mode", "LISTEN during recovery")


class Hearing(NamedTuple):
    """What became of a LISTEN.

    ``outcome`` is one of

    - ``heard``: the NOTIFY arrived after ``seconds``
    - ``lost``: it was sent, and did not arrive within HEAR_SECONDS; or LISTEN was refused
    - ``blocked``: the connection was accepted, but did not get to work in time, or the one for the
      NOTIFY did not: in session mode the pool is full
    - ``failed``: something else went wrong, so that it is not known
    - ``unreachable``: no connection could be made

    ``reason`` and ``detail`` are those of the QueryError that kept it from hearing.
    ``route`` is where the connection led, as host and port; ``own_end`` where it came from, as address and
    port, None for a unix socket. ``is_pooled``: whether a pooler is in between, None if that is unknown: then
    PostgreSQL and the protocol tell different PIDs. ``server`` is PostgreSQL's own address, host and port: None
    for a unix socket.
    ``leftover`` is the PID of a backend that could not be told to listen no longer.
    """

    outcome: str
    reason: str | None = None
    detail: str | None = None
    route: tuple | None = None
    own_end: tuple | None = None
    is_pooled: bool | None = None
    server: tuple | None = None
    seconds: float | None = None
    leftover: int | None = None


def probe(info, meanwhile=lambda: None, look_seconds=0):
    """Listen on a random channel, over the route of these parameters, and see whether a NOTIFY arrives.

    :param dict info: psycopg2's, as Odoo's ``connection_info_for`` returns them
    :param meanwhile: called while the listener is connected, and idle or blocked
    :param float look_seconds: how long that takes at most
    :return: the Hearing, and what ``meanwhile`` returned, None if it was not called
    """
    looks = []
    job = (*_host(info), partial(_listen, info, lambda: looks.append(meanwhile())))
    hearing = query.in_parallel({"listen": job}, TOTAL_SECONDS + look_seconds)["listen"]
    if isinstance(hearing, QueryError):
        outcome = "unreachable" if hearing.reason == "unresolved" else "failed"
        hearing = Hearing(outcome, hearing.reason, hearing.detail, route=route(info))
    return hearing, looks[0] if looks else None


def notify(info, channel, payload, function="pg_notify"):
    """Send a NOTIFY as Odoo does, by a connection of its own.

    :raise QueryError: it could not be sent within NOTIFY_SECONDS
    """
    job = (*_host(info), lambda hosts, deadline: _notify(info, hosts, deadline, channel, payload, function))
    result = query.in_parallel({"notify": job}, NOTIFY_SECONDS)["notify"]
    if isinstance(result, QueryError):
        raise result


def _host(info):
    """The host to look up, which libpq would do while it holds Python's global lock, and the port.
    A list of hosts is left to libpq."""
    host = str(info.get("host") or os.environ.get("PGHOST") or "")
    port = str(info.get("port") or os.environ.get("PGPORT") or 5432)
    return ("" if "," in host else host), int(port.partition(",")[0])


def route(info):
    """Where these parameters lead: host and port. No host is libpq's own choice."""
    return info.get("host") or os.environ.get("PGHOST") or "", _host(info)[1]


def _open(info, hosts, deadline):
    """A connection in autocommit mode."""
    connection = None
    try:
        connection = psycopg2.connect(async_=True, **info | {"application_name": "pgbouncer_monitor"} | hosts)
        query.wait(connection, deadline)
        return connection
    except BaseException as error:
        if connection:
            connection.close()
        if isinstance(error, psycopg2.Error):
            raise query_error(error) from error
        raise


def _execute(connection, deadline, *statements):
    """Run statements; return the row of the last one that has any, by column."""
    row = None
    for statement in statements:
        try:
            cursor = connection.cursor()
            cursor.execute(statement)
            query.wait(connection, deadline)
        except psycopg2.Error as error:
            raise query_error(error) from error
        if cursor.description:
            row = dict(zip([column.name for column in cursor.description], cursor.fetchone(), strict=True))
    return row


def _notify(info, hosts, deadline, channel, payload, function="pg_notify"):
    with closing(_open(info, hosts, deadline)) as connection:
        name, values = sql.Identifier(function), sql.SQL(", ").join([sql.Literal(channel), sql.Literal(payload)])
        _execute(connection, deadline, sql.SQL("SELECT {}({})").format(name, values))


def _listen(info, meanwhile, hosts, _deadline):
    channel = f"pgbouncer_monitor_{secrets.token_hex(8)}"
    listen, unlisten = (sql.SQL(word).format(sql.Identifier(channel)) for word in ("LISTEN {}", "UNLISTEN {}"))
    deadline = time.monotonic() + OPEN_SECONDS
    try:
        connection = _open(info, hosts, deadline)
    except QueryError as error:
        return Hearing("unreachable", error.reason, error.detail, route=route(info))
    with closing(connection):
        known = {"route": (connection.info.host, connection.info.port), "own_end": _own_end(connection)}
        try:
            # As Odoo does: in a transaction, which also tells on which server it is.
            identity = _execute(connection, deadline, "BEGIN", IDENTITY, listen, "COMMIT")
        except QueryError as error:
            meanwhile()
            return _failed(error)._replace(**known)
        known["is_pooled"] = connection.info.backend_pid != identity["pid"]
        known["server"] = identity["address"] and (identity["address"], identity["port"])
        meanwhile()
        sent_at = time.monotonic()
        try:
            _notify(info, hosts, sent_at + NOTIFY_SECONDS, channel, PAYLOAD)
            is_heard = _hear(connection, channel, sent_at + HEAR_SECONDS)
            hearing = Hearing("heard", seconds=time.monotonic() - sent_at) if is_heard else Hearing("lost")
        except QueryError as error:
            hearing = _failed(error)
        # A connection of its own takes along what it listens to.
        leftover = _unlisten(connection, unlisten, identity["pid"]) if known["is_pooled"] else None
        return hearing._replace(leftover=leftover, **known)


def _failed(error):
    """The Hearing that an error after the login stands for."""
    if error.reason == "timeout" or "query_wait_timeout" in error.detail:
        outcome = "blocked"
    else:
        outcome = "lost" if any(words in error.detail for words in REFUSALS) else "failed"
    return Hearing(outcome, error.reason, error.detail)


def _hear(connection, channel, deadline):
    """Whether a notification of this channel arrives. Nothing is sent meanwhile: with an answer the
    pooler would also hand over what its server has heard for anybody."""
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    while (seconds := deadline - time.monotonic()) > 0 and poller.poll(seconds * 1000):
        try:
            connection.poll()
        except psycopg2.Error as error:
            raise query_error(error) from error
        if any(notification.channel == channel for notification in connection.notifies):
            return True
    return False


def _unlisten(connection, unlisten, pid):
    """Have the backend that was told to listen do so no longer: in a transaction pool any of its
    servers may get the command, so it is given until it is the one.

    :return: None, or the PID of the backend if it was not reached
    """
    deadline = time.monotonic() + CLEAN_SECONDS
    with suppress(QueryError):
        while time.monotonic() < deadline:
            if _execute(connection, deadline, "BEGIN", IDENTITY, unlisten, "COMMIT")["pid"] == pid:
                return None
            time.sleep(TRY_AGAIN_SECONDS)
    return pid


def _own_end(connection):
    """The address and port of its own end, None for a unix socket."""
    with closing(socket.socket(fileno=os.dup(connection.fileno()))) as own_end:
        name = own_end.getsockname()
    return name[:2] if isinstance(name, tuple) else None
