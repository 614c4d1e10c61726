"""Connection pressure: how much is asked of a server, in percent of what it can give.

Plain functions, without I/O and without Odoo. None is "unknown" everywhere: nothing that
could not be read becomes a number or an "ok".
"""

# From harmless to worst. What is unknown may hide anything, so it is worse than "ok".
LEVELS = ("ok", "unknown", "warning", "critical")

# What is measured -> from which value on it is a warning, and from which on critical; None is never.
THRESHOLDS = {
    # Percent of the connections that PostgreSQL has for ordinary roles: CrunchyData's pgmonitor.
    "postgresql_pressure": (75.0, 90.0),
    # Percent of max_client_conn or max_db_connections: the Grafana mixin of PgBouncer's exporter.
    "pgbouncer_pressure": (80.0, 90.0),
    # Samples in a row in which clients waited. A short queue is normal under load, one that
    # stays is not: a minute or five of it is what others' rules wait for before they alert.
    "waiting_samples": (2.0, 5.0),
    # Seconds that the first client in the queue has waited: what a user of a web page notices.
    "maxwait": (1.0, 5.0),
    # Seconds that a session has been idle in a transaction: CrunchyData's pgmonitor.
    "idle_in_transaction_age": (300.0, 900.0),
}


def postgresql_capacity(max_connections, superuser_reserved_connections, reserved_connections=0):
    """How many connections PostgreSQL has for ordinary roles: what is neither kept for
    superusers nor, since version 16, for pg_use_reserved_connections.

    PostgreSQL does not start with more reserved slots than there are: such an answer is unknown.
    """
    if max_connections is None or superuser_reserved_connections is None:
        return None
    capacity = max_connections - superuser_reserved_connections - (reserved_connections or 0)
    return capacity if capacity > 0 else None


def pool_capacity(database_pool_size, user_pool_size=None):
    """How many servers a pool may have, without its reserve: the user's own pool_size (SHOW USERS,
    since 1.23), if it has one, goes before the database's (SHOW DATABASES)."""
    return database_pool_size if user_pool_size is None else user_pool_size


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


def pressure_level(demand, capacity, thresholds):
    """The level of demand against capacity. What has no limit is not under pressure."""
    return "ok" if capacity == 0 else level(pressure(demand, capacity), thresholds)


def severity(level):
    """A number that is the higher the worse a level is."""
    return LEVELS.index(level)


def increase(now, before):
    """How much counters grew between two readings of one server.

    :param dict now: name -> list of counters, each of which only grows
    :param dict before: those of the reading before; None if there was none
    :return: name -> list of differences. A name that is new has counted from 0 since. None if a
        counter is missing, or went down: the server or its statistics were started anew, and what
        was counted in between cannot be known.
    """
    if before is None:
        return None
    increases = {}
    for name, values in now.items():
        old = before.get(name, [0] * len(values))
        if None in values or None in old:
            return None
        increases[name] = [value - before_that for value, before_that in zip(values, old, strict=True)]
        if min(increases[name]) < 0:
            return None
    return increases


def mean_waiting(waited_seconds, interval):
    """How many clients waited on average: the seconds that all of them together waited, per
    second. It sees a queue that came and went between two looks (Little's law).

    PgBouncer counts a wait when it ends, so a long one counts where it ended.
    """
    if waited_seconds is None or not interval or interval <= 0:
        return None
    return waited_seconds / interval


def waiting_since(before, now, waiting, waiting_mean):
    """Since when clients have waited at each look: at its moment, or on average one of them all the
    time since the look before.

    :param float before: what it was at the last look, None if nobody waited then
    :param float now: the time of this look, in seconds
    :return: the time, or None if nobody waits
    """
    waited = bool(waiting) or (waiting_mean or 0) >= 1
    return min(before or now, now) if waited else None


def waiting_samples(since, now, interval):
    """In how many samples in a row clients have waited, this one included: looks that follow each
    other more quickly than the interval do not make more of it."""
    return 0 if since is None else 1 + round((now - since) / interval)
