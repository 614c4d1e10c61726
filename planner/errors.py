"""Inputs from which nothing can be computed.

The reasons, with their figures. The field of each Finding is the input that must change:

- ``below``: value, minimum; ``above``: value, maximum; both have ``unit``: "connections", "processes", "bytes" ...
- ``unknown_choice``: value, choices
- ``no_slots``: max_connections, reserved: no slot is left for clients
- ``larger_than_postgresql``: value (of db_maxconn or db_maxconn_gevent), max_connections
- ``larger_than_memory``: value (of shared_buffers), memory
- ``busier_than_postgresql``: value (of mean_busy), limit: connections of clients

Texts that no file can hold are errors of the files, not of the sizes.
"""

from .inputs import AUTH, BUS, VERSIONS, Finding, Reason
from .room import limit

# PostgreSQL: MAX_BACKENDS.
MOST_BACKENDS = 2**18 - 1
KB, MB, TB = 2**10, 2**20, 2**40
# Field: minimum, maximum, unit. A larger installation than these is probably a mistake of typing; those of PostgreSQL
# are its own. None is allowed for what may be unknown.
LIMITS = {
    "servers": (1, 1_000, "servers"),
    "workers": (0, 1_000, "processes"),
    "requests": (1, 10_000, "requests"),
    "max_cron_threads": (0, 1_000, "processes"),
    "gevent_connections": (0, 10_000, "connections"),
    "databases": (1, 1_000, "databases"),
    "db_maxconn": (1, 100_000, "connections"),
    "db_maxconn_gevent": (0, 100_000, "connections"),
    "max_connections": (1, MOST_BACKENDS, "connections"),
    "superuser_reserved_connections": (0, MOST_BACKENDS, "connections"),
    "reserved_connections": (0, MOST_BACKENDS, "connections"),
    "cores": (1, 4_096, "cores"),
    "memory": (64 * MB, 1_024 * TB, "bytes"),
    "shared_buffers": (128 * KB, 8 * TB, "bytes"),
    "work_mem": (64 * KB, 2 * TB, "bytes"),
    "backend_memory": (64 * KB, 1 * TB, "bytes"),
    "pgbouncers": (1, 1_000, "processes"),
    "mean_busy": (0, MOST_BACKENDS, "connections"),
    "peak_busy": (0, 1_000_000, "connections"),
    "db_port": (1, 65_535, ""),
    "pgbouncer_port": (1, 65_535, ""),
    "http_port": (1, 65_535, ""),
    "gevent_port": (1, 65_535, ""),
}
OTHER_LIMITS = (0, 10_000, "connections")
CHOICES = {"version": VERSIONS, "bus": BUS, "auth": AUTH}


def errors(inputs):
    """Return what makes planning impossible, as a list of Findings.

    :param Inputs inputs: of any value
    """
    values = [(name, getattr(inputs, name), *LIMITS[name]) for name in LIMITS]
    values += [("others", other.count, *OTHER_LIMITS) for other in inputs.others]
    found = [_range(*value) for value in values]
    found += [_choice(name, getattr(inputs, name), CHOICES[name]) for name in CHOICES]
    found = [error for error in found if error]
    return found or _contradictions(inputs)


def _error(field, code, **figures):
    return Finding("critical", field, Reason(code, figures))


def _range(field, value, minimum, maximum, unit):
    if value is None or minimum <= value <= maximum:
        return None
    if value > maximum:
        return _error(field, "above", value=value, maximum=maximum, unit=unit)
    return _error(field, "below", value=value, minimum=minimum, unit=unit)


def _choice(field, value, choices):
    return None if value in choices else _error(field, "unknown_choice", value=value, choices=tuple(choices))


def _contradictions(inputs):
    """Return the errors of values that are possible, but not together."""
    found, most = [], inputs.max_connections
    if limit(inputs) < 1:
        reserved = most - limit(inputs)
        found.append(_error("max_connections", "no_slots", max_connections=most, reserved=reserved))
    for name in ("db_maxconn", "db_maxconn_gevent"):
        if getattr(inputs, name) > most:
            found.append(
                _error(name, "larger_than_postgresql", value=getattr(inputs, name), max_connections=most),
            )
    if None not in (inputs.shared_buffers, inputs.memory) and inputs.shared_buffers >= inputs.memory:
        figures = {"value": inputs.shared_buffers, "memory": inputs.memory}
        found.append(_error("shared_buffers", "larger_than_memory", **figures))
    if inputs.mean_busy is not None and inputs.mean_busy > limit(inputs):
        found.append(_error("mean_busy", "busier_than_postgresql", value=inputs.mean_busy, limit=limit(inputs)))
    return found
