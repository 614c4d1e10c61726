"""What readings of consoles and sessions say about an installation: its PgBouncers, its hosts, its other programs."""

from collections import Counter
from typing import NamedTuple

from .growth import databases_here
from .joins import UNIX
from .listen_remedies import is_loopback
from .readings import CONSOLE, by_key, version_tuple

# The host that reads.
HERE = ""


class Pooler(NamedTuple):
    """A PgBouncer that connects to this PostgreSQL: the ``key`` of its console, its ``databases`` there, and those
    ``elsewhere``, on other servers."""

    key: object
    databases: frozenset
    elsewhere: frozenset


def poolers(consoles, backends):
    """Return the PgBouncers that connect to this PostgreSQL. One that is read through two consoles counts once.

    One without a connection right now counts if its databases are at an address where another one connects to it.

    :param dict consoles: key -> command -> typed rows
    :param dict backends: PID -> (client port, role), see `growth.databases_here`
    """
    found, idle, processes, targets = {}, [], set(), set()
    for key, answers in consoles.items():
        here = databases_here(answers["SHOW SERVERS"], backends)
        servers = {row["remote_pid"] for row in answers["SHOW SERVERS"] if row.get("database") in here}
        if not here:
            idle.append(key)
        elif servers.isdisjoint(processes):
            addresses = by_name(answers)
            found[key] = {addresses[name] for name in here & addresses.keys()}
            targets |= {address for address in found[key] if not is_loopback(address[0] or "")}
        processes |= servers
    found |= {key: targets for key in idle if targets.intersection(by_name(consoles[key]).values())}
    return [_pooler(key, by_name(consoles[key]), own) for key, own in found.items()]


def by_name(answers):
    """Return database -> (host, port) of SHOW DATABASES. The host of a unix socket is None."""
    return {row.get("name"): (row.get("host"), row.get("port")) for row in answers["SHOW DATABASES"]}


def _pooler(key, addresses, own):
    """:param dict addresses: see `by_name`; ``own`` are those of this PostgreSQL"""
    names = {name for name, address in addresses.items() if address in own}
    return Pooler(key, frozenset(names), frozenset(addresses.keys() - names - {CONSOLE}))


def minor_version(versions):
    """Return the minor version of the oldest of these PgBouncers, such as 24 for 1.24.1; None for another program."""
    major, minor, *_patch = *min(map(version_tuple, versions)), 0, 0
    return minor if major == 1 else None


def mode(answers, database):
    """Return the pool mode of a database, None if it is unknown."""
    modes = by_key(answers["SHOW DATABASES"], "name", "pool_mode")
    return modes[database] or by_key(answers["SHOW CONFIG"]).get("pool_mode") if database in modes else None


def hosts(connections, own):
    """Return the hosts that connections come from, this one as HERE.

    :param connections: (address of the client, host of its server); the address is None or "unix" for a unix socket,
        the host is a name, an address, the folder of a unix socket, or HERE
    :param own: the addresses of this host
    """
    found = set()
    for address, server in connections:
        host = server if address in (None, UNIX) or is_loopback(address) else address
        found.add(HERE if is_loopback(host) or host in own else host)
    return found


def programs(names):
    """Return (name, count) of programs, the largest first.

    :param names: the program of each connection
    """
    return sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
