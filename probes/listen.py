"""Test whether LISTEN works on a connection that is made like Odoo's, by a NOTIFY that must arrive.

Plain Python: nothing of Odoo is imported here. The test leaves no trace: its channel is random, its connections are
closed, and no backend keeps listening.
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

# The application_name of the connections.
NAME = "pgbouncer_monitor"
# Deadlines: to connect and LISTEN, to send a NOTIFY, and for the NOTIFY to arrive, which takes milliseconds where
# LISTEN works; then to reach the backend that still listens.
OPEN_SECONDS = 3
NOTIFY_SECONDS = 1
DELIVERY_SECONDS = 2
CLEAN_SECONDS = 2
TOTAL_SECONDS = OPEN_SECONDS + NOTIFY_SECONDS + DELIVERY_SECONDS + CLEAN_SECONDS

# An Odoo listener that receives it, through a backend that still listens, must be able to parse it.
PAYLOAD = "[]"
# The timeout, in milliseconds, is new in PostgreSQL 14.
IDENTITY = """
SELECT pg_backend_pid() AS pid, host(inet_server_addr()) AS address, inet_server_port() AS port,
       current_database() AS database, extract(epoch FROM pg_postmaster_start_time())::float8 AS started_at,
       (SELECT setting::float8 / 1000 FROM pg_settings WHERE name = 'idle_session_timeout') AS idle_timeout
"""
# How often new connections are tested where each may reach another process of PgBouncer.
TRIES = 8
# The pause between two attempts to reach one server of a pool.
TRY_AGAIN_SECONDS = 0.01
# Errors that reject every LISTEN: PgBouncer in statement mode allows no transactions, in which Odoo listens, and
# PostgreSQL allows no LISTEN on a standby.
REFUSALS = ("statement pooling mode", "LISTEN during recovery")


class ListenResult(NamedTuple):
    """The result of a LISTEN.

    ``outcome`` is one of

    - ``delivered``: the NOTIFY arrived after ``seconds``
    - ``lost``: the NOTIFY was sent, but did not arrive within DELIVERY_SECONDS; or LISTEN was rejected
    - ``blocked``: the connection was accepted but got no server in time, or the one for the NOTIFY did not: in
      session mode, the pool is full
    - ``failed``: another error, so that nothing is known
    - ``unreachable``: no connection could be made, or it was closed at once

    ``reason`` and ``detail`` are those of the QueryError that prevented the delivery.
    ``route`` is the address that was connected to, as host and port; ``own_end`` the client's end, as address and
    port, None for a unix socket. ``is_pooled``: whether a pooler is in the path, because the PID of the protocol
    differs from pg_backend_pid(); None if that is unknown. ``server`` is PostgreSQL's own address, host and port,
    None for a unix socket. ``database`` is the real one: a pooler may have it under another name. ``started_at`` is
    when PostgreSQL started, in seconds since the epoch. ``idle_timeout``: after how many idle seconds PostgreSQL
    terminates such a session; 0 or None for never.
    ``leftover`` is the PID of a backend that still listens on the channel, because it could not be reached.
    ``is_mixed``: whether one of TRIES more connections received nothing, where each may reach another process; None if
    none was tried.
    """

    outcome: str
    reason: str | None = None
    detail: str | None = None
    route: tuple | None = None
    own_end: tuple | None = None
    is_pooled: bool | None = None
    server: tuple | None = None
    database: str | None = None
    started_at: float | None = None
    idle_timeout: float | None = None
    seconds: float | None = None
    leftover: int | None = None
    is_mixed: bool | None = None


def new_name():
    """Return an ``application_name`` by which a console can find the connection of one test."""
    return f"{NAME} {secrets.token_hex(8)}"


def probe(info, meanwhile=lambda: None, meanwhile_seconds=0, name=NAME):
    """Return whether a NOTIFY arrives at a LISTEN on a random channel, over a connection with these parameters.

    :param dict info: psycopg2's, as Odoo's ``connection_info_for`` returns them
    :param meanwhile: called while the listener is connected, and idle or blocked
    :param float meanwhile_seconds: its deadline
    :param str name: the listener's ``application_name``
    :return: the ListenResult, and what ``meanwhile`` returned, None if it was not called
    """
    info = info | {"application_name": name}
    findings = []
    job = (*_host(info), partial(_listen, info, lambda: findings.append(meanwhile())))
    result = query.in_parallel({"listen": job}, TOTAL_SECONDS + meanwhile_seconds)["listen"]
    if isinstance(result, QueryError):
        outcome = "unreachable" if result.reason == "unresolved" else "failed"
        result = ListenResult(outcome, result.reason, result.detail, route=route(info))
    return result, findings[0] if findings else None


def notify(info, channel, payload, function="pg_notify"):
    """Send a NOTIFY as Odoo does, by a connection of its own.

    :return: PostgreSQL's time before, in seconds since the epoch
    :raise QueryError: it could not be sent within NOTIFY_SECONDS
    """
    info = info | {"application_name": NAME}
    job = (*_host(info), lambda hosts, deadline: _notify(info, hosts, deadline, channel, payload, function))
    result = query.in_parallel({"notify": job}, NOTIFY_SECONDS)["notify"]
    if isinstance(result, QueryError):
        raise result
    return result


def _host(info):
    """Return the host to resolve, because libpq would do so while it holds Python's global lock, and the port.
    A list of hosts is left to libpq."""
    host = str(info.get("host") or os.environ.get("PGHOST") or "")
    port = str(info.get("port") or os.environ.get("PGPORT") or 5432)
    return ("" if "," in host else host), int(port.partition(",")[0])


def route(info):
    """Return the host and port of these parameters. An empty host is libpq's own choice."""
    return info.get("host") or os.environ.get("PGHOST") or "", _host(info)[1]


def _open(info, hosts, deadline):
    """Return a connection in autocommit mode."""
    connection = None
    try:
        connection = psycopg2.connect(async_=True, **info | hosts)
        query.wait(connection, deadline)
        return connection
    except BaseException as error:
        if connection:
            connection.close()
        if isinstance(error, psycopg2.Error):
            raise query_error(error) from error
        raise


def _execute(connection, deadline, *statements):
    """Run statements, and return the row of the last one that has any, by column."""
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
        statement = sql.SQL("SELECT extract(epoch FROM clock_timestamp())::float8 AS sent_at, {}({})")
        return _execute(connection, deadline, statement.format(name, values))["sent_at"]


def _listen(info, meanwhile, hosts, _deadline):
    channel = f"pgbouncer_monitor_{secrets.token_hex(8)}"
    listen, unlisten = (sql.SQL(word).format(sql.Identifier(channel)) for word in ("LISTEN {}", "UNLISTEN {}"))
    deadline = time.monotonic() + OPEN_SECONDS
    try:
        connection = _open(info, hosts, deadline)
    except QueryError as error:
        return ListenResult("unreachable", error.reason, error.detail, route=route(info))
    with closing(connection):
        known = {"route": (connection.info.host, connection.info.port), "own_end": _own_end(connection)}
        try:
            # As Odoo does, in a transaction: so the identity is that of the backend that listens.
            identity = _execute(connection, deadline, "BEGIN", IDENTITY, listen, "COMMIT")
        except QueryError as error:
            result = _failure(error, connection.closed)
            meanwhile()
            return result._replace(**known)
        known["is_pooled"] = connection.info.backend_pid != identity["pid"]
        known["server"] = identity["address"] and (identity["address"], identity["port"])
        known |= {name: identity[name] for name in ("database", "started_at", "idle_timeout")}
        meanwhile()
        sent_at = time.monotonic()
        try:
            _notify(info, hosts, sent_at + NOTIFY_SECONDS, channel, PAYLOAD)
            is_delivered = _is_delivered(connection, channel, sent_at + DELIVERY_SECONDS)
            result = (
                ListenResult("delivered", seconds=time.monotonic() - sent_at) if is_delivered else ListenResult("lost")
            )
        except QueryError as error:
            result = _failure(error)
        # A direct connection stops listening when it is closed.
        leftover = _unlisten(connection, unlisten, identity["pid"]) if known["is_pooled"] else None
        return result._replace(leftover=leftover, **known)


def _failure(error, is_closed=False):
    """Return the ListenResult of an error after the login.

    :param is_closed: whether the connection was closed with it: a pooler that cannot log in to PostgreSQL accepts
        its clients all the same
    """
    if error.reason == "timeout" or "query_wait_timeout" in error.detail:
        outcome = "blocked"
    elif any(words in error.detail for words in REFUSALS):
        outcome = "lost"
    else:
        outcome = "unreachable" if is_closed else "failed"
    return ListenResult(outcome, error.reason, error.detail)


def _is_delivered(connection, channel, deadline):
    """Return whether a notification of this channel arrives. No query is sent meanwhile: with its answer a pooler
    would also forward the notifications that its server connection received for other clients."""
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
    """Make the backend stop listening. In a transaction pool any server may get the command, so it is repeated until
    it reaches the right one.

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
    """Return the address and port of the client's end, None for a unix socket."""
    with closing(socket.socket(fileno=os.dup(connection.fileno()))) as own_end:
        name = own_end.getsockname()
    return name[:2] if isinstance(name, tuple) else None
