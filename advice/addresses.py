"""What kind of address a server, a client or a listener has."""

from functools import lru_cache
from ipaddress import ip_address

from ..planner import hosts

# PgBouncer listens on all addresses of its host.
ALL = ("*", "0.0.0.0", "::")


def is_local(host):
    """Return whether only this host itself can connect there. PgBouncer shows "unix" for a client's unix socket."""
    return host == "unix" or hosts.is_local(host)


@lru_cache  # many clients have one address
def is_public(host):
    """Return whether it is an address on the internet. A name is not taken for one."""
    try:
        return ip_address(host).is_global
    except ValueError:
        return False
