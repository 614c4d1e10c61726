"""Query PgBouncer's admin console, or PostgreSQL, within a hard deadline.

Plain Python: nothing of Odoo is imported here. Each query uses one short connection: an idle one would take a
client's slot of the console, and delay PgBouncer's shutdown.
"""

import os
import select
import socket
import struct
import threading
import time
from functools import partial

import psutil
import psycopg2
from psycopg2.extensions import BYTES, POLL_OK, POLL_READ

from . import apart
from .address import resolve
from .budget import BUDGET, MAX_BYTES
from .console import kept_rows
from .errors import QueryError, query_error
from .reading import Reading, Texts

# A thread that has met its own deadline needs a moment to return.
HAND_OVER_SECONDS = 0.2
# libpq's CONNECTION_AWAITING_RESPONSE
AWAITING_LOGIN = 4
# How many values one server may send: each takes some 100 bytes as Python's objects, and a row as much as several.
MAX_VALUES = 1_000_000
ROW_VALUES = 4

# Every value is kept as it was sent, whatever its type: a text where a number belongs costs no more than itself.
# PostgreSQL's own types have lower numbers.
RAW = dict.fromkeys(range(1 << 14), BYTES)


def run(questions, timeout):
    """Run commands on several servers in parallel, those of one server one after the other.

    :param dict questions: key -> (Address, list of commands). Nothing is quoted here, so a
        command must not hold anything that a user typed.
    :param float timeout: seconds for all of them together
    :return: key -> Reading, or QueryError; each key is there
    """
    if questions and apart.is_needed():
        return apart.run(questions, timeout)
    jobs = {
        key: (address.host, address.port, partial(_query, address, commands))
        for key, (address, commands) in questions.items()
    }
    return in_parallel(jobs, timeout)


def in_parallel(jobs, timeout):
    """Call functions that query servers, each in a thread of its own.

    :param dict jobs: key -> (host, port, function), which is given libpq's parameters for the host,
        and the deadline as a time of the monotonic clock. No host is libpq's own choice.
    :param float timeout: seconds for all of them together
    :return: key -> what the function returned, or a QueryError; each key is there
    """
    deadline = time.monotonic() + timeout
    results = dict.fromkeys(jobs, QueryError("timeout"))

    def run_job(key, host, port, function):
        try:
            results[key] = QueryError("unresolved")
            hosts = resolve(host, port) if host else {}
            results[key] = QueryError("timeout")
            results[key] = function(hosts, deadline)
        except QueryError as error:
            results[key] = error
        except Exception as error:  # a thread's exception would be lost: show it instead
            results[key] = QueryError("other", f"{type(error).__name__}: {error}")

    # Daemons: name resolution cannot be interrupted, and must not keep us waiting either.
    threads = [threading.Thread(target=run_job, args=(key, *job), daemon=True) for key, job in jobs.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline + HAND_OVER_SECONDS - time.monotonic()))
    return dict(results)


def wait(connection, deadline):
    """Wait until the asynchronous connection is idle. psycopg2's own ``wait_select`` has no deadline, fails above
    1,024 open files, and may hang in cancel().

    :raise QueryError: the deadline passed, or the server sent too much
    """
    try:
        while (state := connection.poll()) != POLL_OK:
            BUDGET.check(connection)
            connection.notifies.clear()  # nobody reads them, and each is an object
            seconds = deadline - time.monotonic()
            # Made anew each time: libpq changes the socket between two addresses.
            poller = select.poll()
            poller.register(connection.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
            if seconds <= 0 or not poller.poll(seconds * 1000):
                raise QueryError("timeout")
        BUDGET.check(connection)
    finally:
        BUDGET.forget(connection)


def _query(address, commands, hosts, deadline):
    """Return one server's Reading.

    :raise QueryError: there is none
    """
    connection = None
    console_user = address.user if address.is_console else None
    try:
        connection = psycopg2.connect(async_=True, **address.parameters(), **hosts)
        connection.string_types.update(RAW)
        _log_in(connection, address, deadline)
        version = _version(connection, address.is_console)
        answers, room = {}, MAX_VALUES
        for command in commands:
            answers[command] = answer = _execute(connection, console_user, command, deadline, room)
            if not isinstance(answer, QueryError):
                room -= sum(map(_values, answer))
        pid, started_at = (_process(connection) if address.is_console else None) or (None, None)
        return Reading(version, started_at, answers, time.time(), pid)
    except psycopg2.Error as error:
        raise query_error(error, console_user, connection and connection.info.needs_password) from error
    finally:
        if connection:
            connection.close()


def _log_in(connection, address, deadline):
    try:
        wait(connection, deadline)
    except QueryError as error:
        # A server that hangs does not get this far: it does not even answer whether it encrypts.
        is_alive = not address.is_unix_socket and address.sslmode != "disable"
        if error.reason == "timeout" and is_alive and connection.info.status == AWAITING_LOGIN:
            raise QueryError("silent_login") from error
        raise


def _version(connection, is_console):
    """Return the version of the server.

    :raise QueryError: a PgBouncer where a PostgreSQL is expected, or the reverse
    """
    reported = connection.info.parameter_status("server_version") or ""
    version, is_bouncer, _rest = reported.partition("/bouncer")
    if bool(is_bouncer) != is_console:
        raise QueryError("wrong_server", f"server_version is {reported}")
    return version


def _values(row):
    """Return how many values a row counts for: it takes memory itself, too."""
    return len(row) + ROW_VALUES


def _execute(connection, console_user, command, deadline, room, is_repeated=False):
    """Return the rows of one command, or the QueryError that it was rejected with.

    :param int room: how many values it may return
    """
    cursor = connection.cursor()
    try:
        cursor.execute(command)
        wait(connection, deadline)
    except QueryError as error:
        error.is_sent = True
        raise
    except psycopg2.Error as error:
        if connection.closed or not error.pgcode:
            raise
        return query_error(error, console_user)
    if not cursor.description:
        return []
    columns = [column.name for column in cursor.description]
    types = {column.type_code for column in cursor.description}
    if types - connection.string_types.keys() and not is_repeated:
        connection.string_types.update(dict.fromkeys(types, BYTES))
        return _execute(connection, console_user, command, deadline, room, is_repeated=True)
    if cursor.rowcount * _values(columns) > room:
        raise QueryError("too_large", f"{command}: {cursor.rowcount} rows")
    return kept_rows(command, _rows(cursor, columns, command, deadline))


def _rows(cursor, columns, command, deadline):
    rows, size, texts = [], 0, Texts()
    for values in cursor:
        size += sum(map(len, filter(None, values)))
        if size > MAX_BYTES:
            raise QueryError("too_large", command)
        if time.monotonic() > deadline:
            raise QueryError("timeout")
        rows.append(dict(zip(columns, map(texts.__getitem__, values), strict=True)))
    return rows


def _process(connection):
    """Return the PID of the PgBouncer at the other end of a unix socket, and when it started, in seconds since the
    epoch; None if that is unknown."""
    with socket.socket(fileno=os.dup(connection.fileno())) as peer:
        if peer.family != socket.AF_UNIX:
            return None
        pid, _uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    try:
        process = psutil.Process(pid)
        # The socket may have been made by systemd, or by a PgBouncer that handed it on.
        return (pid, process.create_time()) if any("pgbouncer" in word for word in process.cmdline()) else None
    except (psutil.Error, ValueError):
        return None
