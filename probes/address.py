"""Where a server is, and which of libpq's files may be used on the way to it."""

import socket
from dataclasses import dataclass, field

from .errors import QueryError

# libpq ignores a file that does not exist. An empty name would select its default file.
NO_FILE = "/nonexistent"


@dataclass(frozen=True)
class Address:
    """The address of a server, and the user that connects to it.

    :ivar str dbname: a database of PostgreSQL; None is PgBouncer's console
    :ivar str host: a host name, an address, or the folder of a unix socket
    :ivar str sslmode: libpq's
    :ivar bool is_trusted: whether libpq may use its password file and its client certificate. Only for an address
        that an administrator entered: an entry of the file may match any host, and its password would be sent there.
    """

    host: str
    port: int
    user: str
    password: str = field(default="", repr=False)
    sslmode: str = "prefer"
    is_trusted: bool = False
    dbname: str | None = None

    @property
    def is_console(self):
        return self.dbname is None

    @property
    def is_unix_socket(self):
        return is_unix_socket(self.host)

    def parameters(self):
        """Return psycopg2's parameters, except those of the host.

        What Odoo's environment holds is meant for its own database, so it is overridden: PgBouncer rejects
        PGOPTIONS, and must not get PGPASSWORD. An empty password still lets libpq read the password file.
        """
        return {
            "dbname": "pgbouncer" if self.is_console else self.dbname,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "sslmode": self.sslmode,
            "application_name": "pgbouncer_monitor",
            "options": "",
            "gssencmode": "disable",
            "target_session_attrs": "any",
        } | ({} if self.is_trusted else {"passfile": NO_FILE, "sslcert": NO_FILE})


def is_unix_socket(host):
    """Return whether a host is the folder of a unix socket, or an abstract one such as ``@pool``."""
    return host.startswith(("/", "@"))


def resolve(host, port):
    """Return libpq's parameters of a host, with its addresses.

    libpq would resolve the name while it holds Python's global lock: a slow name server would stop all threads.

    :raise QueryError: the name cannot be resolved
    """
    if "," in host:
        raise QueryError("unresolved", "one host at a time")  # libpq would read it as a list
    if is_unix_socket(host):
        return {"host": host, "hostaddr": ""}
    try:
        # As libpq does: Python's own encoding of names is stricter.
        found = socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM)
        # With the interface of a link-local address.
        names = [socket.getnameinfo(entry[4], socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0] for entry in found]
    except (OSError, ValueError) as error:
        raise QueryError("unresolved", str(error)) from error
    addresses = list(dict.fromkeys(names))
    return {"host": ",".join([host] * len(addresses)), "hostaddr": ",".join(addresses)}
