"""Ask PgBouncer's admin console, or PostgreSQL, and never wait longer than agreed.

Plain Python: nothing of Odoo is imported here. Each reading is one short connection,
because an idle console would take a client's slot and hold up PgBouncer's shutdown.
"""

import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import NamedTuple

import psutil
import psycopg2
from psycopg2.extensions import BYTES, POLL_OK, POLL_READ

from . import apart
from .errors import SessionError, explained, printable
from .settings import SETTINGS

# A thread that has met its own deadline needs a moment to say so.
HAND_OVER_SECONDS = 0.2

# libpq takes a file that does not exist for none; an empty name would mean its own default.
NO_FILE = "/nonexistent"

# What all servers that are queried together may send: a console with 10,000 clients sends 3 MB. libpq keeps up to
# four times as much.
MAX_BYTES = 64 << 20
# Over a unix socket, where bytes are not counted, this process may grow by so much.
MAX_MEMORY = 160 << 20
# tcpi_bytes_received in the kernel's struct tcp_info
BYTES_RECEIVED = slice(128, 136)
# libpq's CONNECTION_AWAITING_RESPONSE
AWAITING_LOGIN = 4
# How many values one server may send: each takes some 100 bytes as Python's objects, and a row as much as several.
MAX_VALUES = 1_000_000
ROW_VALUES = 4
# A longer value is cut: the longest ones are lists of users in SHOW CONFIG.
MAX_VALUE_BYTES = 1 << 16

# Every value arrives as it was sent, whatever type it is said to be: a text where a number belongs costs no
# more than itself. PostgreSQL's own types have lower numbers.
RAW = dict.fromkeys(range(1 << 14), BYTES)


@dataclass(frozen=True)
class Address:
    """Where a server is, and who asks.

    :ivar str dbname: a database of PostgreSQL; None is PgBouncer's console
    :ivar str host: a host name, an address, or the folder of a unix socket
    :ivar str sslmode: libpq's
    :ivar bool is_trusted: whether libpq may use its password file and its client certificate.
        Not for an address that somebody entered who may not know what they hold: an entry of
        the file may be for any host, and the password would be sent to this one.
    """

    host: str
    port: int
    user: str
    password: str = field(default="", repr=False)
    sslmode: str = "prefer"
    is_trusted: bool = False
    dbname: str | None = None

    @property
    def is_console(self):
        return self.dbname is None


class Reading(NamedTuple):
    """What a server answered.

    ``version`` is like ``1.24.1``. ``started_at`` is when PgBouncer's process started, in seconds
    since the epoch, or None where that cannot be known: only a unix socket tells whose it is.
    ``answers`` holds for each command its rows, or the SessionError that it was refused with.
    Rows are dictionaries with this server's own column names; every value is a text or None. ``read_at`` is when
    that was, in seconds since the epoch.
    """

    version: str
    started_at: float | None
    answers: dict
    read_at: float


def run(questions, timeout):
    """Run commands on several servers in parallel, those of one server one after the other.

    :param dict questions: key -> (Address, list of commands). Nothing is quoted here, so a
        command must not hold anything that a user typed.
    :param float timeout: seconds for all of them together
    :return: key -> Reading, or the SessionError that kept it from us; each key is there
    """
    if questions and apart.is_needed():
        return run_apart(questions, timeout)
    jobs = {
        key: (address.host, address.port, partial(_ask, address, commands))
        for key, (address, commands) in questions.items()
    }
    return side_by_side(jobs, timeout)


def run_apart(questions, timeout, **options):
    """Have `gate.serve` do what `run` does, in a process without Odoo's environment.

    :param options: of `gate.run`, if that is to be called
    """
    request = {"questions": [[asdict(address), commands] for address, commands in questions.values()]} | options
    try:
        answers = apart.call(request, timeout)
    except subprocess.TimeoutExpired:
        return dict.fromkeys(questions, SessionError("timeout"))
    except subprocess.CalledProcessError as error:
        return dict.fromkeys(questions, SessionError("other", error.stderr.strip().rpartition("\n")[2]))
    except (OSError, ValueError) as error:
        return dict.fromkeys(questions, SessionError("other", str(error)))
    return dict(zip(questions, map(unpack, answers), strict=True))


def pack(result):
    """Return a Reading, or a SessionError, as what JSON can hold."""
    if isinstance(result, SessionError):
        return {name: getattr(result, name) for name in ("reason", "detail", "is_sent", "since")}
    if isinstance(result, Reading):
        return result._asdict() | {"answers": {command: pack(rows) for command, rows in result.answers.items()}}
    return result


def unpack(packed):
    """Return the Reading or SessionError that was packed."""
    if isinstance(packed, list):
        return packed
    if "reason" in packed:
        error = SessionError(packed["reason"], packed["detail"])
        error.is_sent, error.since = packed["is_sent"], packed["since"]
        return error
    return Reading(**packed | {"answers": {command: unpack(rows) for command, rows in packed["answers"].items()}})


def side_by_side(jobs, timeout):
    """Call functions that talk to servers, each in a thread of its own.

    :param dict jobs: key -> (host, port, function), which is given libpq's parameters for the host,
        and the deadline as a time of the monotonic clock. No host is libpq's own choice.
    :param float timeout: seconds for all of them together
    :return: key -> what the function returned, or a SessionError; each key is there
    """
    deadline = time.monotonic() + timeout
    results = dict.fromkeys(jobs, SessionError("timeout"))

    def run_job(key, host, port, function):
        try:
            results[key] = SessionError("unresolved")
            hosts = _resolve(host, port) if host else {}
            results[key] = SessionError("timeout")
            results[key] = function(hosts, deadline)
        except SessionError as error:
            results[key] = error
        except Exception as error:  # a thread's exception would be lost: show it instead
            results[key] = SessionError("other", f"{type(error).__name__}: {error}")

    # Daemons: name resolution cannot be interrupted, and must not keep us waiting either.
    threads = [threading.Thread(target=run_job, args=(key, *job), daemon=True) for key, job in jobs.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline + HAND_OVER_SECONDS - time.monotonic()))
    return dict(results)


def check(reading):
    """What a server answered, if it did: a command that it does not know has no rows; one that it
    refused makes an error of the whole reading."""
    if isinstance(reading, SessionError):
        return reading
    answers = {
        command: [] if getattr(answer, "reason", None) == "unknown_command" else answer
        for command, answer in reading.answers.items()
    }
    refused = next((answer for answer in answers.values() if isinstance(answer, SessionError)), None)
    return refused or reading._replace(answers=answers)


class Budget:
    """How much this process may receive, and keep, of all servers that it queries at a time."""

    def __init__(self):
        self._lock = threading.Lock()
        self._received = {}
        self._memory = 0

    def check(self, connection):
        """Count what has arrived on a connection.

        :raise SessionError: all have sent more than MAX_BYTES, and this one most of it
        """
        received = _received(connection)
        with self._lock:
            if not self._received:
                self._memory = psutil.Process().memory_info().rss
            self._received[connection] = received or 0
            if received is None:
                is_over = psutil.Process().memory_info().rss - self._memory > MAX_MEMORY
            else:
                is_over = sum(self._received.values()) > MAX_BYTES and received == max(self._received.values())
        if is_over:
            raise SessionError("too_large", f"> {MAX_BYTES >> 20} MB")

    def forget(self, connection):
        with self._lock:
            self._received.pop(connection, None)


BUDGET = Budget()


def _received(connection):
    """How many bytes have come over TCP; None where nobody counts them: a unix socket, or no Linux since 4.1."""
    own_end = socket.socket(fileno=connection.fileno())
    try:
        if own_end.family == socket.AF_UNIX or not hasattr(socket, "TCP_INFO"):
            return None
        info = own_end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_RECEIVED.stop)
        return int.from_bytes(info[BYTES_RECEIVED], sys.byteorder) if len(info) == BYTES_RECEIVED.stop else None
    finally:
        own_end.detach()


def _ask(address, commands, hosts, deadline):
    """One server's Reading, or SessionError."""
    connection = None
    console_user = address.user if address.is_console else None
    try:
        # What is in Odoo's environment is meant for its own database: PgBouncer refuses
        # PGOPTIONS, and must not get PGPASSWORD. An empty password still lets libpq look into
        # the password file.
        connection = psycopg2.connect(
            async_=True,
            dbname="pgbouncer" if address.is_console else address.dbname,
            port=address.port,
            user=address.user,
            password=address.password,
            sslmode=address.sslmode,
            application_name="pgbouncer_monitor",
            options="",
            gssencmode="disable",
            target_session_attrs="any",
            **({} if address.is_trusted else {"passfile": NO_FILE, "sslcert": NO_FILE}),
            **hosts,
        )
        connection.string_types.update(RAW)
        try:
            wait(connection, deadline)
        except SessionError as error:
            # One that hangs does not get as far as this: it does not answer whether it encrypts.
            is_alive = not address.host.startswith(("/", "@")) and address.sslmode != "disable"
            if error.reason == "timeout" and is_alive and connection.info.status == AWAITING_LOGIN:
                raise SessionError("silent_login") from error
            raise
        told = connection.info.parameter_status("server_version") or ""
        version, is_bouncer, _rest = told.partition("/bouncer")
        if bool(is_bouncer) != address.is_console:
            raise SessionError("wrong_server", f"server_version is {told}")
        answers, room = {}, MAX_VALUES
        for command in commands:
            answers[command] = answer = _run(connection, console_user, command, deadline, room)
            if not isinstance(answer, SessionError):
                room -= sum(map(_values, answer))
        started_at = _process_start(connection) if address.is_console else None
        return Reading(version, started_at, answers, time.time())
    except psycopg2.Error as error:
        raise explained(error, console_user, connection and connection.info.needs_password) from error
    finally:
        if connection:
            connection.close()


def _values(row):
    """How many values a row counts for: it takes memory itself, too."""
    return len(row) + ROW_VALUES


def _run(connection, console_user, command, deadline, room, is_repeated=False):
    """The rows of one command, or the SessionError that it is refused with."""
    cursor = connection.cursor()
    try:
        cursor.execute(command)
        wait(connection, deadline)
    except SessionError as error:
        error.is_sent = True
        raise
    except psycopg2.Error as error:
        if connection.closed or not error.pgcode:
            raise
        return explained(error, console_user)
    if not cursor.description:
        return []
    columns = [column.name for column in cursor.description]
    types = {column.type_code for column in cursor.description}
    if types - connection.string_types.keys() and not is_repeated:
        connection.string_types.update(dict.fromkeys(types, BYTES))
        return _run(connection, console_user, command, deadline, room, is_repeated=True)
    if cursor.rowcount * _values(columns) > room:
        raise SessionError("too_large", f"{command}: {cursor.rowcount} rows")
    return _rows(cursor, columns, command, deadline)


def _rows(cursor, columns, command, deadline):
    rows, size = [], 0
    for values in cursor:
        size += sum(map(len, filter(None, values)))
        if size > MAX_BYTES:
            raise SessionError("too_large", command)
        if time.monotonic() > deadline:
            raise SessionError("timeout")
        rows.append(dict(zip(columns, map(text, values), strict=True)))
    if command == "SHOW CONFIG" and "key" in columns:
        return [row for row in rows if row["key"] in SETTINGS]
    return rows


def text(value):
    r"""Return a value as a text that any reader can take: a byte that is no UTF-8, or a control character,
    becomes ``\xe9``.

    :param bytes value: None stays None
    """
    if value is None:
        return None
    decoded = value[:MAX_VALUE_BYTES].decode(errors="backslashreplace")
    return decoded if decoded.isprintable() else printable(decoded)


def _process_start(connection):
    """When the PgBouncer at the other end of a unix socket started, in seconds since the epoch."""
    if connection.info.host[:1] not in ("/", "@"):
        return None
    with socket.socket(fileno=os.dup(connection.fileno())) as peer:
        pid, _uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    try:
        process = psutil.Process(pid)
        # The socket may have been made by systemd, or by a PgBouncer that handed it on.
        return process.create_time() if any("pgbouncer" in word for word in process.cmdline()) else None
    except (psutil.Error, ValueError):
        return None


def _resolve(host, port):
    """The host as libpq's parameters, with its addresses: libpq would look them up while
    it holds Python's global lock, and a slow name server would stop the whole process."""
    if "," in host:
        raise SessionError("unresolved", "one host at a time")  # libpq would take it for a list
    if host.startswith(("/", "@")):  # a folder, or an abstract name
        return {"host": host, "hostaddr": ""}
    try:
        # As libpq does: Python's own encoding of names is stricter.
        found = socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM)
        # With the interface of a link-local address.
        names = [socket.getnameinfo(entry[4], socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0] for entry in found]
    except (OSError, ValueError) as error:
        raise SessionError("unresolved", str(error)) from error
    addresses = list(dict.fromkeys(names))
    return {"host": ",".join([host] * len(addresses)), "hostaddr": ",".join(addresses)}


def wait(connection, deadline):
    """Until the asynchronous connection is idle. Not psycopg2's own ``wait_select``: that
    one has no deadline, breaks above 1,024 open files, and may hang in cancel()."""
    try:
        while (state := connection.poll()) != POLL_OK:
            BUDGET.check(connection)
            connection.notifies.clear()  # they come unasked, and each is an object
            seconds = deadline - time.monotonic()
            # Made anew each time: libpq changes the socket between two addresses.
            poller = select.poll()
            poller.register(connection.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
            if seconds <= 0 or not poller.poll(seconds * 1000):
                raise SessionError("timeout")
        BUDGET.check(connection)
    finally:
        BUDGET.forget(connection)
