"""Connection pressure: how much is asked of a server, in percent of what it can give.

Plain functions, without I/O and without Odoo. None is "unknown" everywhere: nothing that
could not be read becomes a number or an "ok".
"""

# From harmless to worst. What is unknown may hide anything, so it is worse than "ok".
LEVELS = ("ok", "unknown", "warning", "critical")


def postgresql_capacity(max_connections, superuser_reserved_connections, reserved_connections=0):
    """How many connections PostgreSQL has for ordinary roles: what is neither kept for
    superusers nor, since version 16, for pg_use_reserved_connections.

    PostgreSQL does not start with more reserved slots than there are: such an answer is unknown.
    """
    if max_connections is None or superuser_reserved_connections is None:
        return None
    capacity = max_connections - superuser_reserved_connections - (reserved_connections or 0)
    return capacity if capacity > 0 else None


def pressure(demand, capacity):
    """Demand in percent of capacity: above 100 somebody waits. None if either is unknown, or
    if there is no limit, which is how PgBouncer reads a limit of 0."""
    if demand is None or not capacity:
        return None
    return 100.0 * demand / capacity


def level(value, thresholds):
    """The level of a measured value.

    :param thresholds: (warning, critical); each of them may be None, for never. A threshold of 0
        is reached by whatever is more than 0.
    """
    if value is None:
        return "unknown"
    warning, critical = thresholds
    if value > 0 and critical is not None and value >= critical:
        return "critical"
    return "warning" if value > 0 and warning is not None and value >= warning else "ok"


def severity(level):
    """A number that is the higher the worse a level is."""
    return LEVELS.index(level)


def increase(now, before, times=0):
    """How much counters grew between two readings of one server.

    :param dict now: name -> list of counters, each of which only grows; None for one that is unknown
    :param dict before: those of the reading before; None if there was none
    :param int times: how many of them, the last ones, are measured by the server's clock: if that was put back,
        they go down
    :return: name -> list of differences, None for one that is unknown. A name that is new has counted from 0 since.
        None if a counter went down: the server or its statistics were started anew, and what was counted in between
        cannot be known.
    """
    if before is None:
        return None
    increases = {}
    for name, values in now.items():
        old = before.get(name) or [0] * len(values)
        grown = [
            None if value is None or past is None else value - past for value, past in zip(values, old, strict=True)
        ]
        for number, growth in enumerate(grown):
            if growth is not None and growth < 0:
                if number < len(grown) - times:
                    return None
                grown[number] = None
        increases[name] = grown
    return increases


def mean_waiting(waited_seconds, interval):
    """How many clients waited on average: the seconds that all of them together waited, per
    second. It sees a queue that came and went between two looks (Little's law).

    PgBouncer counts a wait when it ends, so a long one counts where it ended.
    """
    if waited_seconds is None or not interval or interval <= 0:
        return None
    return waited_seconds / interval
