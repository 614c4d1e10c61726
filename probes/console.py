"""Ask PgBouncer's admin console, and never wait longer than agreed.

Plain Python: nothing of Odoo is imported here. Each reading is one short connection,
because an idle console would take a client's slot and hold up PgBouncer's shutdown.
"""

import errno
import os
import select
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ

# A thread that has met its own deadline needs a moment to say so.
HAND_OVER_SECONDS = 0.2

# What the peer's own words mean, the first match counts. At connection time neither
# PgBouncer nor libpq gives a code, so the text is all there is (PgBouncer 1.15 to 1.26).
# PgBouncer's is always English; a PostgreSQL's or libpq's may not be, and is then shown as it is.
REASONS = (
    # Only PostgreSQL names the user or the database in these.
    ("password authentication failed for user", "not_pgbouncer"),
    ('database "pgbouncer" does not exist', "not_pgbouncer"),
    ("no pg_hba.conf entry", "not_pgbouncer"),
    ("received invalid response to SSL negotiation", "not_pgbouncer"),
    ("expected authentication request from server", "not_pgbouncer"),
    ("password authentication failed", "wrong_password"),
    ("SASL authentication failed", "wrong_password"),
    ('"trust" authentication failed', "unknown_user"),
    ("not allowed", "not_allowed"),
    ("SSL required", "tls_required"),
    ("server does not support SSL", "tls_unavailable"),
    ("certificate", "tls_failed"),
    ("SSL error", "tls_failed"),
    ("closed the connection", "closed"),
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


class ConsoleError(Exception):
    """The console could not be read.

    :ivar str reason: one of REASONS and ERRNO_REASONS, ``no_password``, ``unresolved`` or ``other``
    :ivar str detail: the peer's or libpq's own words
    """

    def __init__(self, reason, detail=""):
        super().__init__(detail or reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Address:
    """Where a console is, and who asks.

    :ivar str host: a host name, an address, or the folder of a unix socket
    :ivar str sslmode: libpq's
    :ivar bool use_passfile: whether libpq may look into its password file. Not for an address
        that somebody entered who may not know what is in that file: the entry may be for any
        host, and the password would be sent to this one.
    """

    host: str
    port: int
    user: str
    password: str = field(default="", repr=False)
    sslmode: str = "prefer"
    use_passfile: bool = False


class Reading(NamedTuple):
    """What a console answered.

    ``rows`` are dictionaries with this PgBouncer's own column names; numbers of type
    numeric come as Decimal. ``version`` is like ``1.24.1``.
    """

    version: str
    rows: list


def show(addresses, command, timeout):
    """Run one command on several consoles side by side.

    :param dict addresses: key -> Address
    :param str command: for example ``SHOW POOLS``; nothing is quoted here, so it must
        not hold anything that a user typed
    :param float timeout: seconds for all of them together
    :return: key -> Reading, or the ConsoleError that kept it from us; each key is there
    """
    deadline = time.monotonic() + timeout
    answers = dict.fromkeys(addresses, ConsoleError("timeout"))

    def ask(key, address):
        try:
            answers[key] = ConsoleError("unresolved")
            hosts = _resolve(address)
            answers[key] = ConsoleError("timeout")
            answers[key] = _ask(address, hosts, command, deadline)
        except ConsoleError as error:
            answers[key] = error
        except Exception as error:  # a thread's exception would be lost: show it instead
            answers[key] = ConsoleError("other", f"{type(error).__name__}: {error}")

    # Daemons: name resolution cannot be interrupted, and must not keep us waiting either.
    threads = [threading.Thread(target=ask, args=item, daemon=True) for item in addresses.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline + HAND_OVER_SECONDS - time.monotonic()))
    return dict(answers)


def _ask(address, hosts, command, deadline):
    """One command on one console: a Reading, or ConsoleError."""
    connection = None
    try:
        # What stands in Odoo's environment is meant for its own database: PgBouncer refuses
        # PGOPTIONS, and must not get PGPASSWORD. An empty password still lets libpq look into
        # the password file.
        connection = psycopg2.connect(
            async_=True,
            dbname="pgbouncer",
            port=address.port,
            user=address.user,
            password=address.password,
            sslmode=address.sslmode,
            application_name="pgbouncer_monitor",
            options="",
            gssencmode="disable",
            target_session_attrs="any",
            **({} if address.use_passfile else {"passfile": os.devnull}),
            **hosts,
        )
        _wait(connection, deadline)
        version, is_bouncer, _rest = (connection.info.parameter_status("server_version") or "").partition("/bouncer")
        if not is_bouncer:
            raise ConsoleError("not_pgbouncer", f"server_version is {version}")
        cursor = connection.cursor()
        cursor.execute(command)
        _wait(connection, deadline)
        columns = [column.name for column in cursor.description]
        return Reading(version, [dict(zip(columns, row, strict=True)) for row in cursor])
    except (psycopg2.Error, UnicodeDecodeError) as error:
        said = str(error).strip()
        reason = "no_password" if connection and connection.info.needs_password else _reason(said)
        detail = said.partition("\n")[0].removeprefix("FATAL:").removeprefix("ERROR:").strip()
        raise ConsoleError(reason, detail) from error
    finally:
        if connection:
            connection.close()


def _reason(said):
    """The reason that an error message stands for, ``other`` if it is none of ours."""
    words = [*REASONS, *((os.strerror(number), reason) for number, reason in ERRNO_REASONS.items())]
    return next((reason for text, reason in words if text in said), "other")


def _resolve(address):
    """The host as libpq's parameters, with its addresses: libpq would look them up while
    it holds Python's global lock, and a slow name server would stop the whole process."""
    if "," in address.host:
        raise ConsoleError("unresolved", "one host at a time")  # libpq would take it for a list
    if address.host.startswith("/"):
        return {"host": address.host, "hostaddr": ""}
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConsoleError("unresolved", str(error)) from error
    addresses = list(dict.fromkeys(entry[4][0] for entry in found))
    return {"host": ",".join([address.host] * len(addresses)), "hostaddr": ",".join(addresses)}


def _wait(connection, deadline):
    """Until the asynchronous connection is idle. Not psycopg2's own ``wait_select``: that
    one has no deadline, breaks above 1,024 open files, and may hang in cancel()."""
    while (state := connection.poll()) != POLL_OK:
        seconds = deadline - time.monotonic()
        # Made anew each time: libpq changes the socket between two addresses.
        poller = select.poll()
        poller.register(connection.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
        if seconds <= 0 or not poller.poll(seconds * 1000):
            raise ConsoleError("timeout")
