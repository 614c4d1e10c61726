"""What a plan needs of PostgreSQL, of its host, and of the PgBouncers. Queries them."""

from dataclasses import dataclass, field

import psutil
import psycopg2

from odoo import api, models
from odoo.tools import SQL

from ...analysis import installation, readings
from ...analysis.listen_remedies import is_loopback
from ...odoo_internals import alt_connection, connected_to, protocol_pid, system_database
from ...planner.inputs import VERSIONS
from ...probes import postgres
from ...probes.console import CONSOLE_TIMEOUT, SAMPLE_COMMANDS
from ...probes.errors import QueryError
from ..live.pg_stat_activity import CLIENT_BACKENDS

# An installation is read without the statistics of its databases.
COMMANDS = [*(command for command in SAMPLE_COMMANDS if command != "SHOW STATS"), "SHOW CLIENTS"]
LIMITS = ("max_connections", "superuser_reserved_connections", "reserved_connections")
SIZES = ("shared_buffers", "work_mem")
SESSION_FIELDS = ["pid", "datname", "usename", "application_name", "client_addr", "component"]
# A process and the backend with its PID are the same if their start times differ by less than this, in seconds.
SAME_START = 10

# The values of auth_type with which passwords are in auth_file.
PASSWORD_TYPES = ("plain", "md5", "scram-sha-256")


@dataclass
class Reading:
    """What the servers answered.

    :ivar tuple address: host and port to which Odoo is connected, as ``user``
    :ivar dict consoles: endpoint -> command -> typed rows
    :ivar dict versions: endpoint -> version, such as 1.24.1
    :ivar list unread: facts about the servers that did not answer, PostgreSQL first
    :ivar address_error: the QueryError of PostgreSQL's own address, None if that answered
    :ivar dict activity: see `probes.postgres.ACTIVITY`
    :ivar dict server: ``pid`` and ``started_at`` of Odoo's own backend, PostgreSQL's ``address``, and SIZES
    :ivar bool is_pooled: whether a pooler is in the path of Odoo's own connection
    :ivar str host: of PostgreSQL, HERE if its processes are on this host
    :ivar list sessions: SESSION_FIELDS of the client backends
    :ivar list poolers: see `installation.poolers`; their keys are endpoints
    """

    address: tuple
    user: str
    consoles: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)
    unread: list = field(default_factory=list)
    address_error: QueryError | None = None
    activity: dict = field(default_factory=dict)
    server: dict = field(default_factory=dict)
    is_pooled: bool = False
    host: str = "PostgreSQL"
    sessions: list = field(default_factory=list)
    poolers: list = field(default_factory=list)


class ConnectionPlan(models.Model):
    _inherit = "connection.plan"

    @api.model
    def _read_servers(self):
        """Return the Reading of this installation."""
        *address, user = connected_to(self.env.cr)
        reading, Endpoint = Reading(tuple(address), user), self.env["connection.endpoint"]
        endpoints = Endpoint.search([("active", "=", True)])
        get_measured = endpoints._start_measuring(COMMANDS)
        postgresql = endpoints.filtered(lambda endpoint: endpoint.kind == "postgresql")
        own = None if postgresql else Endpoint._check_reading(None, Endpoint._read_own())
        measured = get_measured()
        answer, error = own or measured.pop(postgresql)
        reading.address_error = error
        if answer:
            [reading.activity] = answer.answers[postgres.ACTIVITY]
        else:
            reading.unread.append(self._no_answer(postgresql, error))
        for endpoint, (answer, error) in measured.items():
            if answer:
                reading.consoles[endpoint], reading.versions[endpoint] = answer.answers, answer.version
            else:
                reading.unread.append(self._no_answer(endpoint, error))
        try:
            with Endpoint._time_limit(CONSOLE_TIMEOUT):
                self._read_sessions(reading)
        except psycopg2.Error as error:
            reading.unread.insert(0, self._no_answer(postgresql, QueryError("timeout", str(error).strip())))
        return reading

    @api.model
    def _no_answer(self, endpoint, error):
        return {"code": "no_answer", "endpoint_id": endpoint.id, **endpoint._reason(None, error)}

    @api.model
    def _read_sessions(self, reading):
        """Read what Odoo's own connection shows, and join it with the consoles."""
        query = SQL(
            """
            SELECT pid, EXTRACT(EPOCH FROM backend_start)::float8, host(inet_server_addr()),
                   pg_size_bytes(current_setting('shared_buffers')), pg_size_bytes(current_setting('work_mem'))
              FROM pg_stat_activity
             WHERE pid = pg_backend_pid()
            """
        )
        [row] = self.env.execute_query(query)
        reading.server = dict(zip(("pid", "started_at", "address", *SIZES), row, strict=True))
        reading.is_pooled = protocol_pid(self.env.cr) != reading.server["pid"]
        address = reading.server["address"]
        if self._is_local(reading.server):
            reading.host = installation.HERE
        elif address and not is_loopback(address):
            reading.host = address
        reading.poolers = installation.poolers(reading.consoles, self.env["connection.sample"]._backends())
        reading.sessions = self._client_backends()

    @api.model
    def _client_backends(self):
        """Return dictionaries of SESSION_FIELDS. As records, a thousand would take three times as long."""
        Activity = self.env["pg.stat.activity"]
        query = Activity._search(CLIENT_BACKENDS)
        columns = [Activity._field_to_sql(Activity._table, name, query) for name in SESSION_FIELDS]
        rows = self.env.execute_query(query.select(*columns))
        return [dict(zip(SESSION_FIELDS, row, strict=True)) for row in rows]

    @api.model
    def _is_local(self, server):
        """Return whether Odoo's own backend is a process of this host.

        Addresses do not show it: behind a pooler they are those of its host, and a container has a host of its own.
        """
        try:
            started_at = psutil.Process(server["pid"]).create_time()
        except psutil.Error:
            return False
        return abs(started_at - server["started_at"]) < SAME_START

    @api.model
    def _postgresql_values(self, reading):
        found = {name: reading.activity.get(name) for name in LIMITS} | {
            name: reading.server.get(name) for name in SIZES
        }
        values = {name: value for name, value in found.items() if value is not None}
        return values, [(name, reading.unread[0]) for name in found if name not in values]

    @api.model
    def _host_values(self, reading):
        if reading.host != installation.HERE:
            reason = {"code": "not_local"} if reading.server else reading.unread[0]
            return {}, [(name, reason) for name in ("cores", "memory", "backend_memory")]
        values = {"cores": psutil.cpu_count(logical=False) or psutil.cpu_count()}
        values["memory"] = psutil.virtual_memory().total
        if measured := self._backend_memory(reading):
            return values | {"backend_memory": measured}, []
        reason = {"code": "not_permitted"} if reading.sessions else reading.unread[0]
        return values, [("backend_memory", reason)]

    @api.model
    def _backend_memory(self, reading):
        """Return the mean private memory of the backends of this database in bytes, None if it cannot be read.

        It is the resident memory that is not shared. psutil's ``uss`` needs more rights, and includes pages of
        shared_buffers that no other backend has used.
        """
        found = []
        for pid in [session["pid"] for session in reading.sessions if session["datname"] == self.env.cr.dbname]:
            try:
                memory = psutil.Process(pid).memory_info()
            except psutil.NoSuchProcess:
                continue
            except psutil.Error:
                return None
            found.append(memory.rss - memory.shared)
        return sum(found) // len(found) if found else None

    @api.model
    def _pgbouncer_values(self, reading):
        server, pgbouncer = ("db_host", "db_port"), ("pgbouncer_host", "pgbouncer_port")
        connected, other = (pgbouncer, server) if reading.is_pooled else (server, pgbouncer)
        values = {"db_user": reading.user} | dict(zip(connected, reading.address, strict=True))
        if not reading.poolers:
            reason = next(iter(reading.unread), {"code": "no_pgbouncer"})
            names = ("pgbouncers", "version", "bus", "auth", "stats_user", *other)
            return values, [(name, reason) for name in names]
        endpoint = reading.poolers[0].key
        values["stats_user"] = endpoint.user
        if not reading.is_pooled:
            values |= dict(zip(pgbouncer, (endpoint.host, endpoint.port), strict=True))
        found, missing = self._merged(
            reading,
            self._pgbouncer_count,
            self._pgbouncer_version,
            self._pgbouncer_bus,
            self._pgbouncer_auth,
            self._behind_pgbouncer,
        )
        values |= found
        return values, [(name, facts) for name, facts in missing if name not in values]

    @api.model
    def _pgbouncer_count(self, reading):
        for pooler in reading.poolers:
            if readings.by_key(reading.consoles[pooler.key]["SHOW CONFIG"]).get("so_reuseport") not in (None, "0"):
                return {}, [("pgbouncers", {"code": "shared_port", "endpoint_id": pooler.key.id})]
        if reading.unread:
            return {}, [("pgbouncers", reading.unread[0])]
        return {"pgbouncers": len(reading.poolers)}, []

    @api.model
    def _pgbouncer_bus(self, reading):
        if alt_connection():
            return {"bus": "alt"}, []
        if installation.mode(reading.consoles[reading.poolers[0].key], system_database()) == "session":
            return {"bus": "session"}, []
        return {}, [("bus", {"code": "not_session"})]

    @api.model
    def _pgbouncer_auth(self, reading):
        settings = readings.by_key(reading.consoles[reading.poolers[0].key]["SHOW CONFIG"])
        if settings.get("auth_user"):
            return {"auth": "auth_query"}, []
        if settings.get("auth_type") in PASSWORD_TYPES and settings.get("auth_file"):
            return {"auth": "userlist"}, []
        return {}, [("auth", {"code": "auth_type", "auth_type": settings.get("auth_type") or "?"})]

    @api.model
    def _pgbouncer_version(self, reading):
        versions = [reading.versions[pooler.key] for pooler in reading.poolers]
        minor = installation.minor_version(versions)
        if minor in VERSIONS:
            return {"version": str(minor)}, []
        return {}, [("version", {"code": "version", "version": ", ".join(versions)})]

    @api.model
    def _behind_pgbouncer(self, reading):
        """Return the address of PostgreSQL as the first PgBouncer connects to it."""
        pooler = reading.poolers[0]
        addresses = installation.by_name(reading.consoles[pooler.key])
        of_odoo = [addresses.get(name) for name in (self.env.cr.dbname, *sorted(pooler.databases))]
        host, port = next(filter(None, of_odoo), (None, None))
        values = {"db_host": host} if host else {}
        return values | ({"db_port": port} if port else {}), [
            (name, {"code": "unix_socket"}) for name, value in (("db_host", host), ("db_port", port)) if not value
        ]
