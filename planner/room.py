"""How the connections of PostgreSQL are divided between PgBouncer's pools and what connects directly."""

from math import ceil
from typing import NamedTuple

from . import demand
from .statements import AUTH_DBNAME_SINCE

# NOTIFYs and health checks at the same time, where there is no room for one of each process of an Odoo server: they
# take milliseconds, so others wait for that long. A judgement.
LEAST_AT_ONCE = 4
# PgBouncer's own default_pool_size, to aim at where nothing is known.
USUAL_POOL_SIZE = 20
# Connections to postgres of a LISTEN check.
CHECKS = 2
# Direct connections of this addon: that of the sampler, and those of a LISTEN check of a direct listener.
MONITORING = 1 + CHECKS


class Room(NamedTuple):
    """What a plan has to share.

    :param int limit: connections of clients that are not superusers: max_connections -
        superuser_reserved_connections - reserved_connections (PostgreSQL's manual, Connection Settings)
    :param int outside: the ceiling of what connects directly, and MONITORING
    :param int listeners: of the Odoo servers that may be connected to the same PgBouncer, see `divide`. Each holds a
        server of its pool of postgres
    :param int at_once: more servers of this pool, for NOTIFYs and health checks
    :param int postgres_login: servers of the database postgres for auth_query's user, apart from this pool
    :param int login: the same of each business database: with auth_dbname there is none
    :param int pgbouncers: processes
    :param int databases: business databases; each has a pool in each PgBouncer
    :param int least: servers that each pool needs. A cron worker that runs a job holds JOB_CONNECTIONS, and needs one
        more where the job has invalidated a cache (``IrCron._callback``): in a smaller pool, all of them can wait for
        each other until query_wait_timeout. And one is for the rest
    :param int target: servers that each pool should have
    """

    limit: int
    outside: int
    listeners: int
    at_once: int
    postgres_login: int
    login: int
    pgbouncers: int
    databases: int
    least: int
    target: int

    @property
    def postgres_pool_size(self):
        """Return the size of each pool of postgres."""
        return self.listeners + self.at_once + CHECKS

    @property
    def postgres(self):
        """Return how many servers the database postgres can have in all PgBouncers."""
        return self.pgbouncers * (self.postgres_pool_size + self.postgres_login)

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
    """Return how many NOTIFYs and health checks one Odoo server sends at the same time at most, as the LISTEN check
    counts them."""
    return (inputs.workers or inputs.requests) + inputs.max_cron_threads


def most_servers(inputs):
    """Return how many Odoo servers one PgBouncer serves while another one is down."""
    return ceil(inputs.servers / max(inputs.pgbouncers - 1, 1))


def least_servers(cron_workers):
    """Return ``least`` of the Room."""
    return cron_workers * demand.JOB_CONNECTIONS + 2


def divide(inputs):
    """Return the Room of a plan. What the pools of business databases do not aim at is for NOTIFYs.

    All processes of an Odoo server connect to the same PgBouncer, and the servers are divided evenly. The pools of
    postgres have room for the listeners even while one PgBouncer is down, and the others have its servers.

    :param Inputs inputs: without errors
    """
    parts = demand.components(inputs)
    total, code = demand.servers(inputs)
    target = ceil(total / inputs.pgbouncers)
    cron_workers = ceil(inputs.servers / inputs.pgbouncers) * inputs.max_cron_threads
    least = least_servers(cron_workers)
    most = most_at_once(inputs)
    listeners = sum(part.listeners for part in parts if part.is_pooled) // inputs.servers
    is_query = inputs.auth == "auth_query"
    room = Room(
        limit=limit(inputs),
        outside=sum(part.ceiling for part in parts if not part.is_pooled) + MONITORING,
        listeners=listeners * most_servers(inputs),
        at_once=min(LEAST_AT_ONCE, most),
        postgres_login=int(is_query),
        login=int(is_query and inputs.version < AUTH_DBNAME_SINCE),
        pgbouncers=inputs.pgbouncers,
        databases=max(inputs.databases, len(inputs.named_databases)),
        least=least,
        target=max(min(target, USUAL_POOL_SIZE) if code == "pool_unknown" else target, least),
    )
    more = max((room.limit - room.backends(room.target)) // room.pgbouncers, 0)
    return room._replace(at_once=min(room.at_once + more, most))
