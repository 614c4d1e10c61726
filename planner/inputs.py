"""What a plan is made from, and the shapes of what it results in. Connections are counted, sizes are in bytes."""

from dataclasses import dataclass
from typing import NamedTuple

# How the bus and the cron workers get a connection on which LISTEN works: the database postgres in session mode, the
# OCA's bus_alt_connection, or a separate gevent service that connects to PostgreSQL directly.
BUS = ("session", "alt", "service")
# Where PgBouncer finds the secrets of its users.
AUTH = ("userlist", "auth_query")
# The minor versions of PgBouncer 1 that files can be written for.
VERSIONS = range(15, 27)


class Reason(NamedTuple):
    """Why a figure is what it is, as a code; its words are in the models. ``figures`` are the numbers to put in."""

    code: str
    figures: dict


@dataclass(frozen=True)
class Other:
    """A program beside Odoo that connects to PostgreSQL: backups, psql, reports.

    :param int count: its connections at the same time
    :param bool is_pooled: whether it will connect through PgBouncer
    """

    name: str
    count: int
    is_pooled: bool = False


@dataclass(frozen=True)
class Inputs:
    """An installation. None is unknown.

    Of each Odoo server:

    :param int workers: HTTP workers; 0 for a threaded server
    :param int requests: HTTP requests that a threaded server processes at the same time
    :param int gevent_connections: of the gevent process, besides its listener
    :param int databases: business databases that a process uses within ten minutes
    :param int db_maxconn_gevent: 0 for that of db_maxconn
    :param bool has_queue_job: whether queue_job's runner listens on each business database

    Of PostgreSQL:

    :param int cores: CPU cores of its host
    :param int memory: RAM of its host
    :param int backend_memory: private memory of one backend, measured

    Of PgBouncer:

    :param int pgbouncers: its processes that connect to this PostgreSQL, on all hosts
    :param int version: the minor version, one of VERSIONS
    :param float mean_busy: busy server connections on average in the busiest hour of the last 7 days, over all pools
    :param int peak_busy: the highest sv_active + cl_waiting of that time

    Of the files:

    :param str db_host: of PostgreSQL, as PgBouncer connects to it: a name, an address, or the folder of a unix socket
    :param tuple db_names: business databases with lines of their own; empty for the line ``*``
    :param str pgbouncer_host: as Odoo connects to it, like ``db_host``
    """

    servers: int = 1
    workers: int = 4
    requests: int = 10
    max_cron_threads: int = 2
    gevent_connections: int = 1
    databases: int = 1
    db_maxconn: int = 64
    db_maxconn_gevent: int = 0
    has_replica: bool = False
    has_queue_job: bool = False
    others: tuple[Other, ...] = ()

    max_connections: int = 100
    superuser_reserved_connections: int = 3
    reserved_connections: int = 0
    cores: int | None = None
    memory: int | None = None
    shared_buffers: int | None = None
    work_mem: int | None = None
    backend_memory: int | None = None

    pgbouncers: int = 1
    version: int = 24
    bus: str = "session"
    auth: str = "userlist"
    mean_busy: float | None = None
    peak_busy: int | None = None

    db_host: str = "127.0.0.1"
    db_port: int = 5432
    db_user: str = "odoo"
    db_names: tuple[str, ...] = ()
    pgbouncer_host: str = "127.0.0.1"
    pgbouncer_port: int = 6432
    stats_user: str = "odoo_monitor"
    http_port: int = 8069
    gevent_port: int = 8072

    @property
    def named_databases(self):
        """Return the business databases with lines of their own, each once."""
        return tuple(dict.fromkeys(name for name in self.db_names if name != "postgres"))


@dataclass(frozen=True)
class Component:
    """One kind of client of PostgreSQL, over all servers.

    :param str code: "http", "threaded", "cron", "gevent", "bus", "queue_job" or "other"
    :param str name: of an Other
    :param int count: its processes
    :param int expected: connections on a busy day, the listeners among them
    :param int ceiling: connections that it cannot exceed
    :param int listeners: connections that LISTEN, for good
    :param bool is_pooled: whether it will connect through PgBouncer
    """

    code: str
    name: str
    count: int
    expected: int
    ceiling: int
    listeners: int
    is_pooled: bool
    reason: Reason


@dataclass(frozen=True)
class Figure:
    """A proposed value, None if there is none, with its reason."""

    value: int | None
    reason: Reason


@dataclass(frozen=True)
class Finding:
    """What is wrong with a plan, or good to know.

    :param str level: "ok", "warning" or "critical"
    :param str field: the input that must give way, "" for none
    """

    level: str
    field: str
    reason: Reason


@dataclass(frozen=True)
class Proposal:
    """What a plan results in.

    :param dict figures: name -> Figure. Settings of PgBouncer: ``default_pool_size``, ``reserve_pool_size``,
        ``min_pool_size``, ``max_client_conn``, ``max_db_connections``: of each business database;
        ``postgres_pool_size``: the pool of the database postgres; ``file_descriptors``: of PgBouncer's process; of
        PostgreSQL: ``max_connections``
    :param dict direct: backends without PgBouncer: ``expected``, ``ceiling``, and ``limit``: what PostgreSQL has for
        clients that are not superusers
    :param dict pooled: the same with PgBouncer: ``pools``, ``postgres``, ``outside``: those that connect directly, as
        many of each as the files allow; their sum ``ceiling``; ``expected``, if all processes have work; and ``limit``
    :param dict memory: ``direct`` and ``pooled``: Figure of what PostgreSQL needs in bytes, with connections expected
        without PgBouncer, and at most with it
    :param list findings: the worst first
    """

    figures: dict[str, Figure]
    direct: dict[str, int]
    pooled: dict[str, int]
    memory: dict[str, Figure]
    findings: list[Finding]
