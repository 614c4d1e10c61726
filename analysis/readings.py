"""Turn the answers of servers into typed, plausible values.

This is the only module that converts raw values. A missing, malformed or impossible value becomes None, for that cell
alone. No other module casts, strips or guesses.
"""

import re
from datetime import datetime, timedelta
from decimal import Decimal

# The database of PgBouncer's admin console.
CONSOLE = "pgbouncer"
INT4_MAX = 2**31 - 1
INT8_MAX = 2**63 - 1
# The longest text of a number, including PgBouncer's padding.
MAX_LENGTH = 40
# No counter grows faster, per second: 1 TB.
FASTEST_GROWTH = 10**12
# In seconds. A clock that is put back makes waits negative or huge.
LONGEST_WAIT = 10 * 365 * 86400
# PgBouncer disconnects a client within this many seconds after query_wait_timeout.
LATE_SECONDS = 60
# PostgreSQL truncates identifiers to this many bytes (NAMEDATALEN - 1).
IDENTIFIER_BYTES = 63
# The longest argument of a console command, quotes included (char arg[64] in admin.c).
ARGUMENT_BYTES = 63
# The units of pg_settings, as bytes or seconds. A number may precede them, as in 8kB.
UNITS = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}
# Daylight saving time is one hour, in few places two.
CLOCK_CHANGE = timedelta(hours=2)

# The columns that identify a row of each command.
KEYS = {
    "SHOW POOLS": ("database", "user"),
    "SHOW CLIENTS": ("ptr",),
    "SHOW SERVERS": ("ptr",),
    "SHOW DATABASES": ("name",),
    "SHOW STATS": ("database",),
    "SHOW USERS": ("name",),
    "SHOW LISTS": ("list",),
    "SHOW STATE": ("key",),
    "SHOW CONFIG": ("key",),
    "SHOW PEERS": ("peer_id",),
}
# The range of the numbers in SHOW that are not in COUNTS.
RANGES = {
    "port": (0, 65535),
    "local_port": (0, 65535),
    "remote_pid": (0, INT4_MAX),
    "maxwait": (0, LONGEST_WAIT),
    "maxwait_us": (0, 999_999),
    "wait": (0, LONGEST_WAIT),
    "wait_us": (0, 999_999),
    "paused": (0, 1),
    "disabled": (0, 1),
    "close_needed": (0, 1),
    # Microseconds. avg_wait_time is the wait of all clients in a second: of a million clients at most.
    "avg_xact_time": (0, LONGEST_WAIT * 10**6),
    "avg_query_time": (0, LONGEST_WAIT * 10**6),
    "avg_wait_time": (0, 10**12),
}
# Columns of SHOW that hold a number which is never negative. A column that is neither here nor in RANGES, nor begins
# with total_ or avg_, is text.
COUNTS = frozenset(
    """
    cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel sv_being_canceled sv_idle
    sv_used sv_tested sv_login pool_size min_pool_size reserve_pool_size reserve_pool server_lifetime max_connections
    current_connections max_client_connections current_client_connections max_user_connections
    max_user_client_connections items id prepared_statements peer_id
    """.split()
)


def whole(value, low=0, high=INT8_MAX):
    """Return a value as an integer, None if it is none or out of range.

    :param value: an int, a Decimal or a text; PgBouncer pads numbers with blanks
    """
    if isinstance(value, str):
        value = _parsed(value) if len(value) <= MAX_LENGTH else None
    elif isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high else None


def _parsed(text):
    text = text.strip(" ")
    return int(text) if text.isascii() and text.isdecimal() else None


def number(value, low=0.0, high=float(INT8_MAX)):
    """Return a value as a float, None if it is not a number or out of range."""
    try:
        value = float(value)
    except (TypeError, ValueError):
        return None
    return value if low <= value <= high else None  # NaN is in no range


def console(answers, version=""):
    """Return the answers of a console with typed values.

    Rows without a key, and further rows with the same key, are left out. An unknown column keeps its text.

    :param dict answers: command -> list of rows: column -> text or None
    :param str version: of PgBouncer, such as 1.24.1
    :return: command -> list of rows: column -> int, str or None
    """
    typed = {command: _rows(command, rows) for command, rows in answers.items()}
    if "SHOW USERS" in typed and (1, 23) <= version_tuple(version) < (1, 25):
        _forget_repeated(typed["SHOW USERS"])
    timeout = whole(by_key(typed.get("SHOW CONFIG", ())).get("query_wait_timeout"))
    for row in typed.get("SHOW POOLS", ()) if timeout else ():
        if (row.get("maxwait") or 0) > timeout + LATE_SECONDS:  # the clock was put forward
            row |= {"maxwait": None, "maxwait_us": None}
    for row in typed.get("SHOW CLIENTS", ()):
        is_unmeasured = row.get("state") == "waiting" and row.get("wait") == row.get("wait_us") == 0
        # The wait of a console is the time since its first command. The wait for a login is 0, see longest_wait.
        if row.get("database") == CONSOLE or is_unmeasured:
            row |= {name: None for name in ("wait", "wait_us") if name in row}
    return typed


def _rows(command, rows):
    """Return the rows with typed numbers, and only the first one of each key."""
    ranges = {name: limits for name in (rows[0] if rows else ()) if (limits := _range(name))}
    numbers = {limits: _Numbers(limits) for limits in ranges.values()}
    columns = [(name, numbers[limits]) for name, limits in ranges.items()]
    typed = [row | {name: known[row[name]] for name, known in columns} for row in rows]
    if command not in KEYS or missing_key(command, typed):
        return typed
    found = {}
    for row in typed:
        key = tuple(map(row.get, KEYS[command]))
        if None not in key:
            found.setdefault(key, row)
    return list(found.values())


class _Numbers(dict):
    """Raw value -> integer. Most cells of an answer hold one of a few texts."""

    def __init__(self, limits):
        super().__init__()
        self.limits = limits

    def __missing__(self, value):
        self[value] = found = whole(value, *self.limits)
        return found


def _range(name):
    """Return the range of a column of integers, None for another column."""
    if name in RANGES:
        return RANGES[name]
    if name.startswith(("total_", "avg_")):
        return 0, INT8_MAX
    return (0, INT4_MAX) if name in COUNTS else None


def missing_key(command, rows):
    """Return the columns of the command's key that these rows lack."""
    return [name for name in KEYS[command] if rows and name not in rows[0]]


def _forget_repeated(users):
    """Remove what PgBouncer 1.23 and 1.24 print for a user without a number: that of the user before."""
    for name in ("pool_size", "reserve_pool_size"):
        last = None
        for user in users:
            is_repeated, last = user.get(name) is not None and user.get(name) == last, user.get(name)
            if is_repeated:
                user[name] = None


def version_tuple(version):
    """Return the numbers of a PgBouncer version for comparisons: (1, 25, 2) for 1.25.2, also for 1.25.2rc1."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def console_state(rows):
    """Return the state in SHOW STATE: active, paused, suspended or unknown."""
    states = [row.get("key") for row in rows if row.get("value") == "yes"]
    return states[0] if states and states[0] in ("active", "paused", "suspended") else "unknown"


def database_state(row, state):
    """Return active, paused, disabled or unknown.

    :param dict row: of SHOW DATABASES
    :param str state: `console_state` of the instance
    """
    if row.get("paused") or state in ("paused", "suspended"):
        return "paused"
    if row.get("disabled"):
        return "disabled"
    return "active" if state == "active" and row.get("paused") == row.get("disabled") == 0 else "unknown"


def by_key(rows, name="key", value="value"):
    """Return two columns of an answer as a dictionary, such as the settings of SHOW CONFIG."""
    return {row.get(name): row.get(value) for row in rows}


def seconds(row, name):
    """Return a time that PgBouncer shows in two columns, ``name`` and its microseconds; None if one is unknown."""
    whole_seconds, microseconds = row.get(name), row.get(f"{name}_us")
    return None if whole_seconds is None or microseconds is None else whole_seconds + microseconds / 1e6


def longest_wait(pool):
    """Return how many seconds the first client in a pool's queue has waited, None if unknown.

    PgBouncer does not measure the wait for a server that is logging in: it reports 0.

    :param dict pool: a row of SHOW POOLS
    """
    waited = seconds(pool, "maxwait")
    return None if waited == 0 and pool.get("cl_waiting") != 0 else waited


def plausible_growth(grown, interval, highest):
    """Return the growth of counters, with None for one that is impossible in the interval.

    :param dict grown: name -> list
    :param float interval: seconds
    :param dict highest: name -> list with the highest possible growth of each counter, None for no limit of its own
    """
    fastest = FASTEST_GROWTH * interval
    return {
        name: [
            count if (count or 0) <= (fastest if limit is None else limit) else None
            for count, limit in zip(counts, highest[name], strict=True)
        ]
        for name, counts in grown.items()
    }


def identifier(name):
    r"""Return a name as PostgreSQL stores it, truncated to 63 bytes; PgBouncer shows it in full. A byte that is not
    UTF-8, shown as ``\xe9``, counts as one."""
    if not name or len(name) <= IDENTIFIER_BYTES // 4:
        return name
    stored = re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), name.encode())[:IDENTIFIER_BYTES]
    return stored.decode(errors="backslashreplace" if "\\x" in name else "ignore")


def argument(name):
    """Return a name as an argument of a console command, None if it is too long for PgBouncer.

    Quotes count: a long name gets none if it needs none.
    """
    quoted = '"{}"'.format(name.replace('"', '""'))
    if len(quoted.encode()) <= ARGUMENT_BYTES:
        return quoted
    return name if re.fullmatch(rf"[A-Za-z0-9_]{{1,{ARGUMENT_BYTES}}}", name) else None


def is_listed(name, names):
    """Return whether a name is in a list of PgBouncer, compared as PgBouncer does: between commas or blanks, so that
    the name may contain blanks (strlist_contains in util.c).

    :param str names: of SHOW CONFIG, e.g. admin_users
    """
    return bool(name) and bool(re.search(rf"(?<![^\s,]){re.escape(name)}(?![^\s,])", names or "", re.ASCII))


def age(connect_time, now):
    """Return the seconds between two times of PgBouncer, None if unknown.

    They are local times such as ``2026-10-25 02:59:58 CET``. If the clock was changed between them, the difference is
    wrong by an hour or two: shortly after a change the age is unknown, later it is a lower bound.
    """
    (then, then_zone), (latest, latest_zone) = _local_time(connect_time), _local_time(now)
    if then is None or latest is None:
        return None
    if then_zone == latest_zone:
        return (latest - then).total_seconds() if latest >= then else None
    return (latest - then - CLOCK_CHANGE).total_seconds() if latest - then > CLOCK_CHANGE else None


def _local_time(text):
    """Return the time and the name of its zone, None and None for another text."""
    try:
        return datetime.strptime(text[:19], "%Y-%m-%d %H:%M:%S"), text[19:].strip()
    except (TypeError, ValueError):
        return None, None


def postgresql(answers):
    """Return the answers of PostgreSQL to the queries of ``probes.postgres`` with typed values.

    :param dict answers: query -> list of rows: column -> text, number or None
    """
    return {query: [_postgresql_row(row) for row in rows] for query, rows in answers.items()}


def _postgresql_row(row):
    return {name: _postgresql_value(name, value) for name, value in row.items()}


def _postgresql_value(name, value):
    if name in ("role", "track", "datid", "datname", "state"):
        return value
    if name in ("started_at", "stats_reset", "notification_queue_usage") or name.endswith("_age"):
        return number(value)
    return whole(value)


def postgresql_setting(value, kind, unit):
    """Return a value of pg_settings as a bool, a number of bytes or seconds, another number, or a text. None if it is
    unknown.

    :param str value: as text
    :param str kind: ``vartype``
    :param str unit: such as 8kB, None if it has none
    """
    if kind == "bool":
        return {"on": True, "off": False}.get(value)
    if kind not in ("integer", "real"):
        return value
    count, name = re.fullmatch(r"(\d*)(.*)", unit or "").groups()
    found = number(value, low=-float(INT8_MAX)) if kind == "real" else whole(value)
    if found is None or not unit:
        return found
    return found * int(count or 1) * UNITS[name] if name in UNITS else None
