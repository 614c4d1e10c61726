"""What the rules judge: one reading of an installation, already cleaned. None is unknown.

Rows are those of `analysis.readings`: column -> int, str or None. Sizes are in bytes, times in seconds.
"""

from dataclasses import dataclass, field
from functools import wraps

from .findings import Unknown


def known(value, needs, **figures):
    """Return a value.

    :param str needs: why it could be None, see `findings.Unknown`
    :raise Unknown: it is None
    """
    if value is None:
        raise Unknown(needs, figures)
    return value


def once(function):
    """Make a function of a Console, or of a Snapshot, compute its result once for each of them: they never change."""
    name = f"{function.__module__}.{function.__name__}"

    @wraps(function)
    def cached(subject):
        results = vars(subject)
        if name not in results:
            results[name] = function(subject)
        return results[name]

    return cached


@dataclass(frozen=True)
class History:
    """The samples of one pool, or of one instance, of the last 7 days.

    Of a large installation not all are read: of its pools every nth minute, and those in which most clients waited.

    :param int minutes: how many minutes samples cover
    :param int used_max: the highest number of used connections, of a pool its servers
    :param int demand_max: of a pool, the highest sv_active + cl_waiting
    :param int full_minutes: of a pool, how many minutes clients waited while all of its servers were in use; at least
    :param int waiting_minutes: of a pool, how many minutes clients waited, for whatever reason
    """

    minutes: int
    used_max: int | None = None
    demand_max: int | None = None
    full_minutes: int | None = None
    waiting_minutes: int | None = None


@dataclass(frozen=True)
class Console:
    """One PgBouncer process, as its console reports it.

    :param int key: of its endpoint
    :param str name: of its endpoint
    :param str host: of its endpoint: a name, an address, or the folder of a unix socket
    :param str user: of its endpoint
    :param bool is_answering: all that follows is unknown if it is not
    :param tuple version: such as (1, 24, 1)
    :param dict settings: SHOW CONFIG: name -> text; those of `probes.settings`
    :param frozenset reloadable: the settings that RELOAD changes
    :param list databases: rows of SHOW DATABASES, without the console's; ``users``, ``pools``, ``clients``,
        ``servers`` those of SHOW USERS, SHOW POOLS, SHOW CLIENTS and SHOW SERVERS, without those of consoles
    :param list consoles: rows of SHOW CLIENTS that are consoles, the reading's own among them
    :param frozenset here: the databases of it that are on this Odoo's PostgreSQL
    :param bool is_located: whether it is known if any of its databases is on this PostgreSQL. One without servers right
        now may be, if its address is not known to be elsewhere: it may be another name of this PostgreSQL
    :param bool is_of_odoo: whether an Odoo server connects through it: this one, or another one with Odoo's role, to
        this database or to postgres. None if several processes may share its port: only one of them answers
    :param int descriptors: how many files its process may open; known over a unix socket, or on this host
    :param bool is_shared_port: whether several processes listen on its port; known without so_reuseport, on this host,
        or over a unix socket, which belongs to one of them
    :param dict history: (database, user) -> History of a pool; {} if there are no samples
    """

    key: int
    name: str
    host: str = "127.0.0.1"
    port: int = 6432
    user: str = ""
    is_answering: bool = True
    version: tuple = ()
    settings: dict = field(default_factory=dict)
    reloadable: frozenset = frozenset()
    databases: list = field(default_factory=list)
    users: list = field(default_factory=list)
    pools: list = field(default_factory=list)
    clients: list = field(default_factory=list)
    servers: list = field(default_factory=list)
    consoles: list = field(default_factory=list)
    here: frozenset = frozenset()
    is_located: bool = True
    is_of_odoo: bool | None = None
    descriptors: int | None = None
    is_shared_port: bool | None = None
    history: dict | None = None

    def text(self, name):
        """Return a setting.

        :raise Unknown: this version does not have it, or it could not be read
        """
        return known(self.settings.get(name), "setting", setting=name)

    def number(self, name):
        """Return a setting as a number. See `text`."""
        try:
            return float(self.text(name)) if "." in self.text(name) else int(self.text(name))
        except ValueError as error:
            raise Unknown("setting", {"setting": name}) from error

    def get(self, name, default=""):
        """Return a setting that not all versions have, as text."""
        return self.settings.get(name) or default

    def samples(self):
        """Return ``history``.

        :raise Unknown: it could not be read, or there are no samples
        """
        return known(known(self.history, "history_unread") or None, "history", days=7)

    def database(self, name):
        """Return a row of ``databases``, {} if there is none."""
        return next((row for row in self.databases if row.get("name") == name), {})


@dataclass(frozen=True)
class PostgreSQL:
    """The PostgreSQL of this Odoo.

    :param int version: 150004 for 15.4
    :param dict settings: of pg_settings: name -> value in base units of bytes and seconds; bool, int, float or str. As
        the server is configured, not as the session of the reading has them: one that is set for the role, or in the
        session, is missing
    :param str role: Odoo's
    :param bool is_superuser: whether Odoo's role is one
    :param bool is_monitor: whether the role that reads has the privileges of pg_monitor
    :param str reader: that role
    :param dict role_settings: what is set for Odoo's role in this database: name -> (value as text, "role", "database",
        "role in database", or "all" for ALTER ROLE ALL). PostgreSQL's own settings only
    :param dict system_settings: the same for Odoo's role in the database postgres, on which Odoo listens
    :param bool is_bootstrap: whether Odoo's role is the one that initdb created: its oid is 10
    :param int role_limit: rolconnlimit of Odoo's role in pg_roles; -1 for none
    :param int database_limit: datconnlimit of this database in pg_database; -1 for none
    :param str host: as seen by this Odoo: "" for this host
    :param int usable: connections of roles that are not superusers, without the reserved ones
    :param list sessions: client backends: dictionaries of pid, datname, usename, application_name, client_addr,
        component
    :param list prepared: prepared transactions: dictionaries of gid, owner, database, age
    :param int cores: and ``memory``, ``backend_memory``: of its host; known if it is this one
    :param History history: of the endpoint of PostgreSQL; of 0 minutes if there are no samples
    :param float catalog_sessions: sessions of the database postgres per minute, since its statistics were reset
    """

    version: int | None = None
    settings: dict = field(default_factory=dict)
    role: str = ""
    is_superuser: bool | None = None
    is_monitor: bool | None = None
    reader: str = ""
    role_settings: dict | None = None
    system_settings: dict | None = None
    is_bootstrap: bool | None = None
    role_limit: int | None = None
    database_limit: int | None = None
    host: str | None = None
    usable: int | None = None
    sessions: list | None = None
    prepared: list | None = None
    cores: int | None = None
    memory: int | None = None
    backend_memory: int | None = None
    history: History | None = None
    catalog_sessions: float | None = None

    def setting(self, name):
        """Return a setting.

        :raise Unknown: it could not be read
        """
        needs, figures = ("postgresql_setting", {"setting": name}) if self.settings else ("postgresql", {})
        return known(self.settings.get(name), needs, **figures)

    def system_sessions(self):
        """Return ``catalog_sessions``.

        :raise Unknown: it could not be read; before PostgreSQL 14, there is no such number
        """
        is_counted = self.version is None or self.version >= 140000
        return known(self.catalog_sessions, "postgresql" if is_counted else "sessions")


@dataclass(frozen=True)
class Odoo:
    """This Odoo server.

    :param str database: of this registry
    :param str user: with which it logs in; PostgreSQL's ``role`` is another one if a PgBouncer forces a user
    :param str host: to which it is connected; ``port`` likewise
    :param bool is_pooled: whether a pooler is in the path of its own connection
    :param int route: the key of the Console that it connects through; None for none, or one that is not watched
    :param str system_error: why Odoo cannot connect to the database postgres in the same way; "" if it can
    :param int hosts: hosts with an Odoo that is connected to ``database`` right now, this one among them; None if not
        all clients are seen
    :param int workers: and what follows: options of odoo.conf
    :param bool has_alt: whether bus_alt_connection is loaded
    :param bool is_alt_set: whether its options or variables are set
    :param dict alt_variables: the variables of its readme that are set and that it does not read: name -> value, see
        `odoo_internals.unread_alt_variables`
    :param bool has_job_runner: whether jobs of this database need queue_job's runner, and this server runs it
    :param bool is_job_runner_elsewhere: whether they need it, and another server runs it: how it connects is unknown
    :param tuple replica: host and port of the replica; empty without one
    :param tuple job_runner: host and port to which the runner connects; None for those of Odoo
    :param bool is_job_runner_pooled: whether a pooler is in its path
    :param bool has_job_runner_section: whether it reads the section [queue_job] of odoo.conf, see
        `odoo_internals.has_job_runner_section`
    :param tuple dev_mode: options of dev_mode; empty in production
    :param int cores: the CPUs that Odoo may use: of its host, or of its container
    :param str replica_error: why the replica could not be reached; "" if it could; None without a replica
    """

    database: str = ""
    user: str = ""
    host: str = ""
    port: int = 5432
    is_pooled: bool | None = None
    route: int | None = None
    system_error: str | None = None
    hosts: int | None = None
    workers: int = 0
    max_cron_threads: int = 2
    db_maxconn: int = 64
    db_maxconn_gevent: int = 0
    limit_time_real: int = 120
    limit_time_real_cron: int = -1
    dbfilter: str = ""
    db_names: tuple = ()
    replica: tuple = ()
    replica_error: str | None = None
    server_wide_modules: tuple = ()
    has_alt: bool = False
    is_alt_set: bool = False
    alt_variables: dict = field(default_factory=dict)
    has_job_runner: bool = False
    is_job_runner_elsewhere: bool = False
    job_runner: tuple | None = None
    is_job_runner_pooled: bool | None = None
    has_job_runner_section: bool = True
    dev_mode: tuple = ()
    cores: int | None = None

    def is_runner_pooled(self):
        """Return whether a pooler is in the path of queue_job's runner.

        :raise Unknown: another server runs it, or its address is not a known one
        """
        needs = "runner_address" if self.job_runner else "postgresql"
        return known(self.is_job_runner_pooled, needs if self.has_job_runner else "runner")


@dataclass(frozen=True)
class Watch:
    """How this addon watches.

    :param bool is_sampler_on: whether its scheduled action is active
    :param bool is_postgresql_on: whether the endpoint of PostgreSQL is active
    :param float sample_age: of the last sample of any endpoint, or of what came later: the last change of the sampler's
        scheduled action, such as when it was created or switched on, and the start of this Odoo server
    :param int interval: of the sampler
    :param bool has_address: whether the endpoint of PostgreSQL has an address of its own, that answers
    :param str address_error: the code of the reason why that does not answer, of `probes.errors`; "" if it does, or if
        there is none
    :param list twins: lists of keys of consoles that are one process
    :param list others: names of other databases of this cluster in which this addon samples
    :param bool is_complete: whether all databases that could have it were examined
    :param int limit: how many databases are examined at most
    """

    is_sampler_on: bool | None = None
    is_postgresql_on: bool | None = None
    sample_age: float | None = None
    interval: int = 60
    has_address: bool | None = None
    address_error: str = ""
    twins: list = field(default_factory=list)
    others: list | None = None
    is_complete: bool = False
    limit: int = 0


@dataclass(frozen=True)
class Snapshot:
    """One reading of everything.

    :param dict consoles: key -> Console, of the active endpoints
    """

    consoles: dict
    postgresql: PostgreSQL
    odoo: Odoo
    watch: Watch

    @property
    def poolers(self):
        """Return the consoles that connect to this Odoo's PostgreSQL, of each process one.

        :raise Unknown: see `require_poolers`
        """
        self.require_poolers()
        return self.seen_poolers

    @property
    def seen_poolers(self):
        """Return the same of those that are known; there may be more."""
        again = {key for keys in self.watch.twins for key in keys[1:]}
        return [console for console in self.consoles.values() if console.here and console.key not in again]

    def require_poolers(self):
        """Check that all `poolers` are known.

        :raise Unknown: it is not known whether a console is one
        """
        for console in self.consoles.values():
            known(console.is_answering or None, "console", name=console.name)
            known(console.is_located or None, "servers", name=console.name)
