"""Ask PgBouncer's admin console, and never wait longer than agreed.

Plain Python: nothing of Odoo is imported here. Each reading is one short connection,
because an idle console would take a client's slot and hold up PgBouncer's shutdown.
"""

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
REASONS = (
    # Only PostgreSQL names the user or the database in these.
    ("password authentication failed for user", "not_pgbouncer"),
    ('database "pgbouncer" does not exist', "not_pgbouncer"),
    ("no pg_hba.conf entry", "not_pgbouncer"),
    ("received invalid response to SSL negotiation", "not_pgbouncer"),
    ("expected authentication request from server", "not_pgbouncer"),
    ("no password supplied", "no_password"),
    ("password authentication failed", "wrong_password"),
    ("SASL authentication failed", "wrong_password"),
    ('"trust" authentication failed', "unknown_user"),
    ("not allowed", "not_allowed"),
    ("SSL required", "tls_required"),
    ("server does not support SSL", "tls_unavailable"),
    ("certificate", "tls_failed"),
    ("SSL error", "tls_failed"),
    ("Connection refused", "refused"),
    ("No such file or directory", "refused"),
    ("No route to host", "unreachable"),
    ("Network is unreachable", "unreachable"),
    ("Resource temporarily unavailable", "timeout"),
    ("closed the connection", "closed"),
    ("Connection reset", "closed"),
)


class ConsoleError(Exception):
    """The console could not be read.

    :ivar str reason: one word of REASONS, or ``unresolved``, ``timeout`` or ``other``
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
    :ivar str password: empty to let libpq look into its password file
    :ivar str sslmode: libpq's
    """

    host: str
    port: int
    user: str
    password: str = field(default="", repr=False)
    sslmode: str = "prefer"


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
    answers = {}

    def ask(key, address):
        try:
            answers[key] = _ask(address, command, deadline)
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
    return {key: answers.get(key) or ConsoleError("unresolved") for key in addresses}


def _ask(address, command, deadline):
    """One command on one console: a Reading, or ConsoleError."""
    hosts = _resolve(address)
    connection = None
    try:
        # Whatever libpq would take from its environment is named here: PgBouncer refuses
        # startup options, and PGPASSWORD is meant for another server. An empty password
        # still lets libpq look into its password file.
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
        reason = next((reason for words, reason in REASONS if words in said), "other")
        detail = said.partition("\n")[0].removeprefix("FATAL:").removeprefix("ERROR:").strip()
        raise ConsoleError(reason, detail) from error
    finally:
        if connection:
            connection.close()


def _resolve(address):
    """The host as libpq's parameters, with its addresses: libpq would look them up while
    it holds Python's global lock, and a slow name server would stop the whole process."""
    if address.host.startswith("/"):
        return {"host": address.host}
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
