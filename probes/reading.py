"""What a server returned, and how one process hands it to another."""

from typing import NamedTuple

from .errors import QueryError, printable

# A longer value is cut: the longest ones are lists of users in SHOW CONFIG.
MAX_VALUE_BYTES = 1 << 16
# How many different values of an answer are kept as texts: those of 1,000 pools.
MAX_TEXTS = 10_000


class Reading(NamedTuple):
    """What a server returned.

    ``version`` is like ``1.24.1``. ``started_at`` is when PgBouncer's process started, in seconds since the epoch,
    and ``pid`` its PID on this host, or None where that is unknown: only a unix socket identifies the process.
    ``answers`` has for each command its rows, or the QueryError that it was rejected with. Rows are dictionaries with
    this server's own column names; every value is a text or None. ``read_at`` is when that was, in seconds since the
    epoch.
    """

    version: str
    started_at: float | None
    answers: dict
    read_at: float
    pid: int | None = None


def checked(reading):
    """Return the reading without rejected commands: one that the server does not know has no rows.

    :param reading: a Reading or a QueryError
    :return: the Reading, or the QueryError: the one given, or that of the first command that was rejected
    """
    if isinstance(reading, QueryError):
        return reading
    answers = {
        command: [] if getattr(answer, "reason", None) == "unknown_command" else answer
        for command, answer in reading.answers.items()
    }
    rejected = next((answer for answer in answers.values() if isinstance(answer, QueryError)), None)
    return rejected or reading._replace(answers=answers)


def text(value):
    r"""Return a value as a text that any reader can take: a byte that is no UTF-8, or a control character,
    becomes ``\xe9``.

    :param bytes value: None stays None
    """
    if value is None:
        return None
    decoded = value[:MAX_VALUE_BYTES].decode(errors="backslashreplace")
    return decoded if decoded.isprintable() else printable(decoded)


class Texts(dict):
    """Bytes -> text. Most cells of an answer hold one of a few values; of many different ones, the first are kept."""

    def __missing__(self, value):
        found = text(value)
        if len(self) < MAX_TEXTS:
            self[value] = found
        return found


def pack(result):
    """Return a Reading, or a QueryError, in types that JSON has."""
    if isinstance(result, QueryError):
        return result.facts() | {"is_sent": result.is_sent}
    if isinstance(result, Reading):
        return result._asdict() | {"answers": {command: pack(rows) for command, rows in result.answers.items()}}
    return result


def unpack(packed):
    """Return the Reading or QueryError that was packed."""
    if isinstance(packed, list):
        return packed
    if "reason" in packed:
        error = QueryError.from_facts(packed)
        error.is_sent = packed["is_sent"]
        return error
    return Reading(**packed | {"answers": {command: unpack(rows) for command, rows in packed["answers"].items()}})
