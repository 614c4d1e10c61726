"""Lines that change sizes and limits of databases and users."""

from operator import itemgetter

from ..planner.quoting import database_error
from .findings import Step
from .remedies import set_pgbouncer


def set_lines(place, options):
    """Return the Step that changes options of lines, as a tuple. A name that no line can have is left out: those of
    users follow the same rules as those of databases.

    :param str place: "databases" or "users"
    :param dict options: name -> option -> value
    """
    lines = tuple(
        " ".join([name, "=", *(f"{option}={value}" for option, value in values.items())])
        for name, values in sorted(options.items())
        if not database_error(name)
    )
    return (Step(place, lines, "reload"),) if lines else ()


def resize(console, sizes):
    """Return the Steps that give pools other sizes, with limits that allow them.

    Before 1.23, SHOW USERS lacks max_user_connections: a user's own cannot be seen, so that of all is changed.

    :param dict sizes: Pool -> its new size
    """
    databases, users, settings = {}, {}, {}
    is_shown = any("max_user_connections" in user for user in console.users)
    for pool, size in sizes.items():
        lines, name = (users, pool.user) if pool.is_of_user else (databases, pool.database)
        if size != pool.size:
            _set_at_least(lines, name, "pool_size", size)
        if size > pool.allowed and 0 < pool.database_limit < size + pool.reserve:
            _set_at_least(databases, pool.database, "max_db_connections", size + pool.reserve)
        if size > pool.allowed and 0 < pool.user_limit < size + pool.reserve:
            _set_at_least(users if is_shown else settings, pool.user, "max_user_connections", size + pool.reserve)
    steps = (*set_lines("databases", databases), *set_lines("users", users))
    if settings:
        steps = (set_pgbouncer(console, **max(settings.values(), key=itemgetter("max_user_connections"))), *steps)
    return steps


def _set_at_least(lines, name, option, value):
    """Two pools may have the same line: the larger value is enough for both."""
    options = lines.setdefault(name, {})
    options[option] = max(value, options.get(option, 0))
