"""Connection pressure: demand in percent of capacity, and its level.

None means unknown everywhere: a value that could not be read never becomes a number or "ok".
"""

from itertools import zip_longest

# From best to worst. Unknown may hide anything, so it is worse than "ok".
LEVELS = ("ok", "unknown", "warning", "critical")


def postgresql_capacity(max_connections, superuser_reserved_connections, reserved_connections=0):
    """Return the number of connections for ordinary roles: not reserved for superusers or, since version 16, for
    pg_use_reserved_connections. None if it is unknown.

    PostgreSQL does not start with more reserved connections than max_connections: that answer is unknown, too.
    """
    if max_connections is None or superuser_reserved_connections is None:
        return None
    capacity = max_connections - superuser_reserved_connections - (reserved_connections or 0)
    return capacity if capacity > 0 else None


def pressure(demand, capacity):
    """Return the demand in percent of the capacity: above 100, clients wait. None if one of them is unknown or
    unlimited: PgBouncer's limit 0."""
    if demand is None or not capacity:
        return None
    return 100.0 * demand / capacity


def level(value, thresholds):
    """Return the level of a value.

    :param thresholds: (warning, critical); None is never reached, 0 is reached by any value above 0
    """
    if value is None:
        return "unknown"
    warning, critical = thresholds
    if value > 0 and critical is not None and value >= critical:
        return "critical"
    return "warning" if value > 0 and warning is not None and value >= warning else "ok"


def severity(level):
    """Return a number that is higher for a worse level."""
    return LEVELS.index(level)


def increase(now, before, times=()):
    """Return by how much counters grew between two readings of one server.

    :param dict now: name -> list of counters, which never decrease; None for an unknown one
    :param dict before: the counters of the previous reading, None if there was none
    :param times: positions of the counters that depend on the server's clock: they decrease if it is set back
    :return: name -> list of differences, None for an unknown one. A new name counts from 0; a new counter, at the end
        of the lists, is unknown. None if a counter decreased: the server restarted, or its statistics were reset
    """
    if before is None:
        return None
    increases = {}
    for name, values in now.items():
        old = before.get(name) or [0] * len(values)
        grown = [None if value is None or past is None else value - past for value, past in zip_longest(values, old)]
        for number, growth in enumerate(grown):
            if growth is not None and growth < 0:
                if number not in times:
                    return None
                grown[number] = None
        increases[name] = grown
    return increases


def mean_duration(seconds, count):
    """Return the average duration in milliseconds, None if it is unknown or nothing has ended.

    PgBouncer counts transactions and queries when they begin, and their time when they end.
    """
    return 1000 * seconds / count if seconds and count else None


def mean_waiting(waited_seconds, interval):
    """Return the average number of waiting clients: the seconds that all clients waited, per second (Little's law).
    It reveals queues that appear and disappear between two samples.

    PgBouncer counts a wait when it ends.
    """
    if waited_seconds is None or not interval or interval <= 0:
        return None
    return waited_seconds / interval
