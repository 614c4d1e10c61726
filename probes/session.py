"""Ask PgBouncer's admin console, or PostgreSQL, and never wait longer than agreed.

Plain Python: nothing of Odoo is imported here. Each reading is one short connection,
because an idle console would take a client's slot and hold up PgBouncer's shutdown.
"""

import errno
import os
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import psutil
import psycopg2
from psycopg2.extensions import BYTES, DECIMAL, POLL_OK, POLL_READ, new_type, register_type

# A thread that has met its own deadline needs a moment to say so.
HAND_OVER_SECONDS = 0.2

# libpq takes a file that does not exist for none; an empty name would mean its own default.
NO_FILE = "/nonexistent"

# Counters are numeric, though whole: Odoo's own setting makes them floats, which lose digits.
COUNTER = new_type(
    DECIMAL.values, "COUNTER", lambda text, _cursor: int(text) if text is not None and text.isdecimal() else text
)

# What the peer's own words mean, the first match counts. At connection time neither
# PgBouncer nor libpq gives a code, so the text is all there is (PgBouncer 1.15 to 1.26).
# PgBouncer's is always English; a PostgreSQL's or libpq's may not be, and is then shown as it is.
REASONS = (
    ("received invalid response to SSL negotiation", "wrong_server"),
    ("expected authentication request from server", "wrong_server"),
    ("password authentication failed", "wrong_password"),
    ("SASL authentication failed", "wrong_password"),
    ('"trust" authentication failed', "unknown_user"),
    ("not allowed", "not_allowed"),
    ("admin access needed", "admin_needed"),
    ("invalid command", "unknown_command"),
    ("SSL required", "tls_required"),
    ("server does not support SSL", "tls_unavailable"),
    ("certificate", "tls_failed"),
    ("private key", "tls_failed"),
    ("SSL error", "tls_failed"),
    ("closed the connection", "closed"),
)
# What only PostgreSQL says. One that says so to a question for a console is the wrong server.
POSTGRESQL_REASONS = (
    ("password authentication failed for user", "wrong_password"),
    ('database "pgbouncer" does not exist', "wrong_server"),
    ("no pg_hba.conf entry", "not_allowed"),
    ("connection slots are reserved", "full"),
    ("too many clients", "full"),
    ("too many connections for", "full"),
    ("statement timeout", "timeout"),
)
# The operating system's words are in the language that the process runs in.
ERRNO_REASONS = {
    errno.ECONNREFUSED: "refused",
    errno.ENOENT: "refused",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EAGAIN: "timeout",
    errno.ECONNRESET: "closed",
}


class SessionError(Exception):
    """The server could not be read.

    :ivar str reason: one of those above, ``no_password``, ``unresolved`` or ``other``
    :ivar str detail: the peer's or libpq's own words
    :ivar bool is_sent: whether a command was sent before the deadline came
    """

    def __init__(self, reason, detail=""):
        super().__init__(detail or reason)
        self.reason = reason
        self.detail = detail
        self.is_sent = False


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
    Rows are dictionaries with this server's own column names. ``read_at`` is when that was, in
    seconds since the epoch.
    """

    version: str
    started_at: float | None
    answers: dict
    read_at: float


def run(questions, timeout):
    """Run commands on several servers side by side, those of one server one after the other.

    :param dict questions: key -> (Address, list of commands). Nothing is quoted here, so a
        command must not hold anything that a user typed.
    :param float timeout: seconds for all of them together
    :return: key -> Reading, or the SessionError that kept it from us; each key is there
    """
    jobs = {
        key: (address.host, address.port, partial(_ask, address, commands))
        for key, (address, commands) in questions.items()
    }
    return side_by_side(jobs, timeout)


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


def _ask(address, commands, hosts, deadline):
    """One server's Reading, or SessionError."""
    connection = None
    try:
        # What stands in Odoo's environment is meant for its own database: PgBouncer refuses
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
        register_type(COUNTER, connection)
        register_type(BYTES, connection)  # a client may call itself anything, in any encoding
        wait(connection, deadline)
        said = connection.info.parameter_status("server_version") or ""
        version, is_bouncer, _rest = said.partition("/bouncer")
        if bool(is_bouncer) != address.is_console:
            raise SessionError("wrong_server", f"server_version is {said}")
        answers = {command: _run(connection, address, command, deadline) for command in commands}
        started_at = _process_start(connection) if address.is_console else None
        return Reading(version, started_at, answers, time.time())
    except psycopg2.Error as error:
        raise explained(error, address.is_console, connection and connection.info.needs_password) from error
    finally:
        if connection:
            connection.close()


def _run(connection, address, command, deadline):
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
        return explained(error, address.is_console)
    if not cursor.description:
        return []
    columns = [column.name for column in cursor.description]
    return [
        dict(zip(columns, [v.decode(errors="replace") if isinstance(v, bytes) else v for v in row], strict=True))
        for row in cursor
    ]


def _process_start(connection):
    """When the PgBouncer at the other end of a unix socket started, in seconds since the epoch."""
    if connection.info.host[:1] != "/":
        return None
    with socket.socket(fileno=os.dup(connection.fileno())) as peer:
        pid, _uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    try:
        process = psutil.Process(pid)
        # The socket may have been made by systemd, or by a PgBouncer that handed it on.
        return process.create_time() if any("pgbouncer" in word for word in process.cmdline()) else None
    except (psutil.Error, ValueError):
        return None


def explained(error, is_console=False, needs_password=False):
    """The SessionError that stands for an error of psycopg2."""
    said = str(error).strip()
    detail = said.partition("\n")[0].removeprefix("FATAL:").removeprefix("ERROR:").strip()
    return SessionError("no_password" if needs_password else _reason(said, is_console), detail)


def _reason(said, is_console):
    """The reason that an error message stands for, ``other`` if it is none of ours."""
    words = [
        *((text, "wrong_server" if is_console else reason) for text, reason in POSTGRESQL_REASONS),
        *REASONS,
        *((os.strerror(number), reason) for number, reason in ERRNO_REASONS.items()),
    ]
    return next((reason for text, reason in words if text in said), "other")


def _resolve(host, port):
    """The host as libpq's parameters, with its addresses: libpq would look them up while
    it holds Python's global lock, and a slow name server would stop the whole process."""
    if "," in host:
        raise SessionError("unresolved", "one host at a time")  # libpq would take it for a list
    if host.startswith("/"):
        return {"host": host, "hostaddr": ""}
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SessionError("unresolved", str(error)) from error
    addresses = list(dict.fromkeys(entry[4][0] for entry in found))
    return {"host": ",".join([host] * len(addresses)), "hostaddr": ",".join(addresses)}


def wait(connection, deadline):
    """Until the asynchronous connection is idle. Not psycopg2's own ``wait_select``: that
    one has no deadline, breaks above 1,024 open files, and may hang in cancel()."""
    while (state := connection.poll()) != POLL_OK:
        seconds = deadline - time.monotonic()
        # Made anew each time: libpq changes the socket between two addresses.
        poller = select.poll()
        poller.register(connection.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
        if seconds <= 0 or not poller.poll(seconds * 1000):
            raise SessionError("timeout")
