"""Why a server could not be queried: error messages and codes, and the reasons that they stand for."""

import errno
import os
import re

# Text in an error message -> reason; the first match counts. At connection time neither PgBouncer nor libpq returns a
# code, only a message (PgBouncer 1.15 to 1.26). PgBouncer's messages are always English. Those of PostgreSQL and libpq
# may be translated, and then have no reason but "other".
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
    # Since 1.19, for a user that is not in the auth_file: auth_query has no database for the console.
    ("bouncer config error", "unknown_user"),
    # Not "wrong_server", although it contains a name that only PostgreSQL reports, see `_is_postgresql`.
    ("pgbouncer cannot connect to server", "other"),
)
# Messages of PostgreSQL alone. On a connection to a console they mean the wrong server.
POSTGRESQL_REASONS = (
    ("password authentication failed for user", "wrong_password"),
    ('database "pgbouncer" does not exist', "wrong_server"),
    ("pg_hba.conf", "not_allowed"),
    ("connection slots are reserved", "full"),
    ("too many clients", "full"),
    ("too many connections for", "full"),
    ("statement timeout", "timeout"),
)
# PostgreSQL's error codes, the same in every language. Only errors of commands have one.
SQLSTATE_REASONS = {
    "53300": "full",
    "57014": "timeout",
    "57P01": "closed",
    "57P02": "closed",
    "57P03": "closed",
}
# The operating system's messages are in the language of the process.
ERRNO_REASONS = {
    errno.ECONNREFUSED: "refused",
    errno.ENOENT: "refused",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EAGAIN: "timeout",
    errno.ECONNRESET: "closed",
}


# Characters that PostgreSQL cannot store, or that HTML and XML do not allow.
CONTROLS = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
# Longer messages are cut.
MAX_DETAIL = 1000


def printable(text):
    r"""Return a text with each control character as ``\x01``."""
    return CONTROLS.sub(lambda match: "".join(f"\\x{byte:02x}" for byte in match[0].encode()), text)


# libpq's prefix of a server's message. It may contain a host or a directory named pgbouncer.
LIBPQ_PREFIX = re.compile(r"^connection to server .*? failed: ", re.DOTALL)


class QueryError(Exception):
    """The server could not be read.

    :ivar str reason: one of those above, ``no_password``, ``unresolved``, ``silent_login``, ``too_large`` or
        ``other``. `models/endpoint/problems.py` has the words for each.
    :ivar str detail: the message of the server or of libpq
    :ivar bool is_sent: whether a command was sent before the deadline passed
    :ivar float since: when this was first seen, in seconds since the epoch; None if that is now
    """

    def __init__(self, reason, detail="", since=None):
        super().__init__(detail or reason)
        self.reason = reason
        self.detail = printable(detail[:MAX_DETAIL])
        self.is_sent = False
        self.since = since

    def facts(self):
        """Return the facts of the error that are stored, as JSON types."""
        return {"reason": self.reason, "detail": self.detail, "since": self.since}

    @classmethod
    def from_facts(cls, facts):
        """Return the error with these facts."""
        return cls(facts["reason"], facts.get("detail") or "", facts.get("since"))


def query_error(error, console_user=None, needs_password=False):
    """Return the QueryError for an error of psycopg2.

    :param str console_user: who logged in to a console; None for a connection to PostgreSQL
    """
    message = str(error).strip()
    detail = message.partition("\n")[0].removeprefix("FATAL:").removeprefix("ERROR:").strip()
    reason = SQLSTATE_REASONS.get(error.pgcode) if console_user is None else None
    return QueryError("no_password" if needs_password else reason or _reason(message, console_user), detail)


def _reason(message, console_user):
    words = [
        *((text, "wrong_server" if console_user else reason) for text, reason in POSTGRESQL_REASONS),
        *REASONS,
        *((os.strerror(number), reason) for number, reason in ERRNO_REASONS.items()),
    ]
    reason = next((reason for text, reason in words if text in message), None)
    if reason is None and console_user and _is_postgresql(message, console_user):
        return "wrong_server"
    return reason or "other"


def _is_postgresql(message, user):
    """Return whether PostgreSQL rejected a login, in any language: unlike PgBouncer's, its message names the role, the
    database or its file."""
    reported = LIBPQ_PREFIX.sub("", message)
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", reported) for name in (user, "pgbouncer", "pg_hba.conf"))
