"""What readings of consoles and sessions say about an installation: its PgBouncers, its hosts, its other programs."""

from collections import Counter
from typing import NamedTuple

from .growth import databases_here
from .joins import UNIX, links
from .listen_remedies import is_loopback, is_same_address
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


def databases_at(answers, addresses):
    """Return the databases of a console whose servers are at one of these addresses.

    :param dict answers: command -> typed rows
    :param addresses: (host, port); a loopback host, or None, stands for all of them
    """
    names = by_name(answers)
    at = {
        address
        for address in set(names.values())
        if address[1] and any(is_same_address(address, other) for other in addresses)
    }
    return {name for name, address in names.items() if address in at and name != CONSOLE}


def is_located(answers, here):
    """Return whether it is known if a console has databases on this PostgreSQL.

    It is if it has some, or if all have connections to another one, or the address of such a database.

    :param dict answers: command -> typed rows
    :param here: the names of those that are known to be
    """
    names = by_name(answers)
    used = {row.get("database") for row in answers["SHOW SERVERS"]} & names.keys()
    elsewhere, found = {names[name] for name in used}, set(names) - {CONSOLE}
    return bool(here) or bool(found) and {names[name] for name in found} <= elsewhere


def twins(consoles, pids):
    """Return the consoles that are one process: lists of keys. They have a PID, or a connection, in common.

    :param dict consoles: key -> command -> typed rows
    :param dict pids: key -> PID on this host, None if it is unknown
    """
    owners, groups = {}, {key: [key] for key in consoles}
    for key, answers in consoles.items() if len(consoles) > 1 else ():
        marks = {_identity(row) for command in ("SHOW SERVERS", "SHOW CLIENTS") for row in answers[command]}
        if pids.get(key):
            marks.add(pids[key])
        for mark in marks:
            joined, own = groups[owners.setdefault(mark, key)], groups[key]
            if joined is not own:
                joined += own
                groups |= dict.fromkeys(own, joined)
    found = {id(group): group for group in groups.values() if len(group) > 1}.values()
    return [[key for key in consoles if key in group] for group in found]


def _identity(row):
    return tuple(map(row.get, ("ptr", "addr", "port", "local_addr", "local_port", "remote_pid", "connect_time")))


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


def client_addresses(pid, consoles):
    """Return the addresses that the client of a backend has: with PgBouncers in a row, at the first one.

    :param int pid: of a backend that the client holds right now
    :param consoles: of each console, command -> typed rows
    """
    reached, by_end, found = [], {}, set()
    for answers in consoles:
        linked = links(answers["SHOW SERVERS"], answers["SHOW CLIENTS"])
        clients = {client.get("ptr"): client for client in answers["SHOW CLIENTS"]}
        for server in answers["SHOW SERVERS"]:
            client = clients.get(linked.get(server.get("ptr")))
            if client and server.get("remote_pid") == pid:
                reached.append(client)
            elif client:
                by_end[server.get("local_addr"), server.get("local_port")] = client
    while reached:
        client = reached.pop()
        if behind := by_end.pop((client.get("addr"), client.get("port")), None):
            reached.append(behind)
        else:
            found.add(client.get("addr"))
    return found - {None, UNIX}


def programs(names):
    """Return (name, count) of programs, the largest first.

    :param names: the program of each connection
    """
    return sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
