"""How the connections of PostgreSQL are divided between PgBouncer's pools and what connects directly."""

from math import ceil
from typing import NamedTuple

from . import demand

# NOTIFYs and health checks at the same time, where there is no room for one of each process of an Odoo server: they
# take milliseconds, so others wait for that long. A judgement.
LEAST_AT_ONCE = 4
# PgBouncer's own default_pool_size, to aim at where nothing is known.
USUAL_POOL_SIZE = 20
# Connections to postgres of a LISTEN check.
CHECKS = 2


class Room(NamedTuple):
    """What a plan has to share.

    :param int limit: connections of clients that are not superusers: max_connections -
        superuser_reserved_connections - reserved_connections (PostgreSQL's manual, Connection Settings)
    :param int outside: the ceiling of what connects directly
    :param int listeners: of all Odoo servers, which hold a server of a pool of postgres each
    :param int at_once: more servers of one of these pools, for NOTIFYs and health checks
    :param int login: servers of one of these pools, and of those of business databases, for auth_query's user
    :param int pgbouncers: processes
    :param int databases: business databases; each has a pool in each PgBouncer
    :param int least: servers that each pool needs. A cron worker that runs a job holds a server, and needs a second
        one: in a smaller pool, all of them wait for each other until query_wait_timeout
    :param int target: servers that each pool should have
    """

    limit: int
    outside: int
    listeners: int
    at_once: int
    login: int
    pgbouncers: int
    databases: int
    least: int
    target: int

    @property
    def postgres_pool_size(self):
        """Return the size of each pool of postgres. All listeners may be connected to the same PgBouncer."""
        return self.listeners + self.at_once + CHECKS

    @property
    def postgres(self):
        """Return how many servers the pools of postgres can have. Each listener holds one, and may have left another
        one behind when it reconnected to another PgBouncer, until server_idle_timeout."""
        each = self.at_once + CHECKS + self.login
        return min(self.pgbouncers, 2) * self.listeners + self.pgbouncers * each

    @property
    def pool(self):
        """Return the servers that are left for each pool of a business database, negative if there are too few."""
        return (self.limit - self.outside - self.postgres) // (self.pgbouncers * self.databases) - self.login

    def pools(self, size):
        """Return how many servers all pools of business databases have if each has ``size``, and that of ``login``."""
        return self.pgbouncers * self.databases * (size + self.login)

    def backends(self, size):
        """Return the highest number of connections to PostgreSQL with such pools."""
        return self.outside + self.postgres + self.pools(size)


def limit(inputs):
    """Return the connections of clients that are not superusers."""
    return inputs.max_connections - inputs.superuser_reserved_connections - inputs.reserved_connections


def most_at_once(inputs):
    """Return how many NOTIFYs and health checks one Odoo server sends at the same time at most: what the LISTEN check
    asks for, too."""
    return (inputs.workers or inputs.requests) + inputs.max_cron_threads


def divide(inputs):
    """Return the Room of a plan. What the pools of business databases do not aim at is for NOTIFYs.

    :param Inputs inputs: without errors
    """
    parts = demand.components(inputs)
    total, code = demand.servers(inputs)
    target = ceil(total / inputs.pgbouncers)
    least = ceil(inputs.servers * inputs.max_cron_threads / inputs.pgbouncers) + demand.JOB_CONNECTIONS
    most = most_at_once(inputs)
    room = Room(
        limit=limit(inputs),
        outside=sum(part.ceiling for part in parts if not part.is_pooled),
        listeners=sum(part.listeners for part in parts if part.is_pooled),
        at_once=min(LEAST_AT_ONCE, most),
        login=int(inputs.auth == "auth_query"),
        pgbouncers=inputs.pgbouncers,
        databases=max(inputs.databases, len(inputs.db_names)),
        least=least,
        target=max(min(target, USUAL_POOL_SIZE) if code == "pool_unknown" else target, least),
    )
    more = max((room.limit - room.backends(room.target)) // room.pgbouncers, 0)
    return room._replace(at_once=min(room.at_once + more, most))
