"""Whose are the connections on which somebody listens?"""

from typing import NamedTuple


class Connection(NamedTuple):
    """A client of PgBouncer, or a session of PostgreSQL. ``end`` is its client's address and port, None for a unix
    socket; ``pid`` its client's process, None for unknown; ``program`` its application_name; ``is_deaf``: whether it
    has no server of a pool; ``endpoint_id``: its PgBouncer."""

    name: str
    end: tuple | None
    pid: int | None
    program: str
    is_deaf: bool = False
    endpoint_id: int | None = None


def unaccounted(listeners, others, local, known):
    """Return the listeners that belong to no known process, although their process serves this database, too: other
    installations of Odoo may listen on the same PostgreSQL.

    :param listeners: Connections to the database on which Odoo listens
    :param others: Connections to Odoo's own database
    :param dict local: ends of the connections of this host -> PID
    :param known: the ends and PIDs of known processes, as one set
    """
    keys = {_process(connection, local) for connection in others}
    # PgBouncer forgets the name of a client whose connection is used again.
    nameless = {key[0] for key in keys if isinstance(key, tuple) and not key[1]}
    found = []
    for connection in listeners:
        key = _process(connection, local)
        is_here = key in keys or (isinstance(key, tuple) and key[0] in nameless)
        if is_here and not _is_known(connection, local, known):
            found.append(connection)
    return found


def recognized(listeners, local, known):
    """Return the listeners that belong to known processes. For the parameters see `unaccounted`."""
    return [connection for connection in listeners if _is_known(connection, local, known)]


def _is_known(connection, local, known):
    return connection.end in known or _process(connection, local) in known


def _process(connection, local):
    """Return the PID of a connection's process if it runs on this host, otherwise its address and program."""
    pid = local.get(connection.end) or connection.pid
    return pid or (connection.end and connection.end[0], connection.program)
