"""Join what PgBouncer and PostgreSQL show: session, server, client, pool. And the addresses of their ends, as text."""

from collections import defaultdict
from typing import NamedTuple

from .readings import by_key, identifier

# What SHOW has instead of the address of a unix socket.
UNIX = "unix"


class Backend(NamedTuple):
    """A server of a PgBouncer, which is a backend of PostgreSQL.

    ``console`` is the key of its PgBouncer, ``server`` its row of SHOW SERVERS, ``client`` the pointer of the client
    that it works for right now, and ``client_address`` that client's address; None without a client.
    """

    console: object
    server: dict
    client: str | None
    client_address: str | None


def network_address(host, port):
    """Return a host and its port as one writes them: 10.0.0.5:6432, [::1]:6432, or the file of a unix socket.

    :param str host: a name, an address, the folder of a unix socket, or an abstract one such as ``@pool``
    """
    if host.startswith(("/", "@")):
        return f"{host}/.s.PGSQL.{port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def socket_address(addr, port, remote_pid):
    """Return the address of the other end of a connection of SHOW CLIENTS or SHOW SERVERS: an address and a port, or
    the process at a unix socket; empty if SHOW does not have it."""
    if not addr:
        return ""
    if addr == UNIX:
        return f"unix socket, PID {remote_pid}" if remote_pid else "unix socket"
    return network_address(addr, port) if port is not None and port is not False else addr


def links(rows, others):
    """Return pointer -> pointer of the other end, of the connections that work for each other right now.

    Both must name each other: the two commands are not of the same instant.

    :param rows: of SHOW CLIENTS or SHOW SERVERS
    :param others: of the other one
    """
    back = by_key(others, "ptr", "link")
    return {row["ptr"]: row["link"] for row in rows if row.get("link") and back.get(row["link"]) == row["ptr"]}


def client_pools(clients, databases, pools):
    """Return pointer -> (database, user) of each client's pool.

    A request to cancel has no user, and so no pool. Of a database that SHOW DATABASES leaves out, the force_user is
    unknown: its clients may have none, either.

    :param clients: the rows of SHOW CLIENTS; ``databases`` and ``pools`` likewise
    """
    force_user = by_key(databases, "name", "force_user")
    known = {(pool.get("database"), pool.get("user")) for pool in pools}
    found = {}
    for client in clients:
        database = client.get("database")
        key = database, force_user.get(database) or client.get("user")
        if key in known:
            found[client["ptr"]] = key
    return found


def backends(consoles):
    """Return (pid, port, user, database) -> the Backends that PostgreSQL shows with these four. More than one cannot be
    told apart.

    The port is that of PgBouncer's end, -1 for a unix socket. A PID is unique in one cluster only, and there may be
    several; a PgBouncer that is watched through two endpoints counts once.

    :param dict consoles: key -> the rows of SHOW SERVERS, SHOW CLIENTS and SHOW DATABASES
    """
    found = defaultdict(dict)
    for console, (servers, clients, databases) in consoles.items():
        linked = links(servers, clients)
        clients = {client.get("ptr"): client for client in clients}
        datname = by_key(databases, "name", "database")
        for server in servers:
            # A database of “*” may be left out of SHOW DATABASES. It has its own name in PostgreSQL, too, unless “*”
            # has a dbname.
            database = datname.get(server.get("database"), server.get("database"))
            port = -1 if server.get("addr") == UNIX else server.get("local_port")
            key = server.get("remote_pid"), port, identifier(server.get("user")), identifier(database)
            client = linked.get(server["ptr"])
            address = client and socket_address(*map(clients[client].get, ("addr", "port", "remote_pid")))
            identity = tuple(map(server.get, ("ptr", "addr", "port", "local_addr", "local_port", "connect_time")))
            found[key][identity] = Backend(console, server, client, address)
    return {key: list(same.values()) for key, same in found.items()}
