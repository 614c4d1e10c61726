"""Where the two ends of a connection are, as text."""

# What SHOW has instead of the address of a unix socket.
UNIX = "unix"


def network_address(host, port):
    """Return a host and its port as one writes them: 10.0.0.5:6432, [::1]:6432, or the file of a unix socket.

    :param str host: a name, an address, the folder of a unix socket, or an abstract one such as ``@pool``
    """
    if host.startswith(("/", "@")):
        return f"{host}/.s.PGSQL.{port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def socket_address(addr, port, remote_pid):
    """Return where the other end of a connection of SHOW CLIENTS or SHOW SERVERS is: an address and a port, or the
    process at a unix socket; empty if SHOW does not tell."""
    if not addr:
        return ""
    if addr == UNIX:
        return f"unix socket, PID {remote_pid}" if remote_pid else "unix socket"
    return network_address(addr, port) if port is not None and port is not False else addr
