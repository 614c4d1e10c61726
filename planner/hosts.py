"""What kind of address the host of a server is."""

from ipaddress import ip_address


def is_socket(host):
    """Return whether it is the folder of a unix socket, or an abstract one."""
    return host.startswith(("/", "@"))


def is_local(host):
    """Return whether only this host itself can connect there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or is_socket(host)
