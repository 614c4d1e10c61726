"""What a plan is made from: the inputs of `planner`, as fields of the same names."""

from odoo import fields, models

from ...fields import LargeInteger, NullableFloat, NullableInteger
from ...planner.inputs import VERSIONS, Inputs, Other

# The fields of Inputs that are fields of connection.plan as they are.
SAME = tuple(name for name in Inputs.__dataclass_fields__ if name not in ("others", "version", "db_names"))


class ConnectionPlan(models.Model):
    """A planned installation. What follows from its inputs is computed when it is read.

    By RPC: create a plan, then read ``demand``, ``proposal`` and ``files``.
    """

    _name = "connection.plan"
    _description = "Connection Plan"
    _order = "name, id"

    name = fields.Char(required=True, default=lambda self: self.env._("Today"))

    # Fields that could not be filled in from this installation, with the facts of the reasons: pairs.
    missing = fields.Json(readonly=True, copy=False)

    # Odoo
    servers = LargeInteger("Odoo Servers", required=True, default=Inputs.servers)
    workers = LargeInteger(
        "HTTP Workers", required=True, default=Inputs.workers, help="Of each server. 0: multi-threaded."
    )
    requests = LargeInteger(
        "Concurrent Requests",
        required=True,
        default=Inputs.requests,
        help="HTTP requests that a multi-threaded server processes at the same time.",
    )
    max_cron_threads = LargeInteger(
        "Cron Workers", required=True, default=Inputs.max_cron_threads, help="max_cron_threads of each server."
    )
    gevent_connections = LargeInteger(
        "Connections of the Gevent Process",
        required=True,
        default=Inputs.gevent_connections,
        help="Of the process that serves websockets (longpolling), besides the one that listens.",
    )
    databases = LargeInteger(
        required=True,
        default=Inputs.databases,
        help="Databases of Odoo that a process uses within ten minutes. It keeps a connection to each of them.",
    )
    db_maxconn = LargeInteger(
        "db_maxconn",
        required=True,
        default=Inputs.db_maxconn,
        help="The connections that one process may open, over all databases. It is not a limit per server.",
    )
    db_maxconn_gevent = LargeInteger(
        "db_maxconn_gevent",
        required=True,
        default=Inputs.db_maxconn_gevent,
        help="The same of the gevent process. 0: db_maxconn.",
    )
    has_replica = fields.Boolean(
        "Replica",
        help="Odoo reads from a replica (db_replica_host). Connections to it count against the replica's own limit.",
    )
    has_queue_job = fields.Boolean("Job Queue", help="The runner of queue_job listens on each database.")
    other_ids = fields.One2many("connection.plan.other", "plan_id", "Other Programs", copy=True)

    # PostgreSQL
    max_connections = LargeInteger("max_connections", required=True, default=Inputs.max_connections)
    superuser_reserved_connections = LargeInteger(
        "superuser_reserved_connections",
        required=True,
        default=Inputs.superuser_reserved_connections,
        help="Connections of max_connections that only superusers can use.",
    )
    reserved_connections = LargeInteger(
        "reserved_connections",
        required=True,
        default=Inputs.reserved_connections,
        help="Connections that only members of pg_use_reserved_connections can use, from PostgreSQL 16 on.",
    )
    cores = NullableInteger("CPU Cores", help="Of PostgreSQL's host. Empty: unknown.")
    memory = NullableInteger("RAM", help="Of PostgreSQL's host. Empty: unknown.")
    shared_buffers = NullableInteger("shared_buffers", help="Empty: unknown.")
    work_mem = NullableInteger("work_mem", help="Empty: unknown.")
    backend_memory = NullableInteger(
        "Memory of a Backend", help="Private memory of one backend, measured. Empty: a typical value is used."
    )

    # PgBouncer
    pgbouncers = LargeInteger(
        "PgBouncer Processes",
        required=True,
        default=Inputs.pgbouncers,
        help="All that connect to this PostgreSQL, on all hosts. They share its connections.",
    )
    version = fields.Selection(
        [(str(version), f"1.{version}") for version in VERSIONS],
        "PgBouncer Version",
        required=True,
        default=str(Inputs.version),
        help="The files use settings of this version only.",
    )
    bus = fields.Selection(
        [
            ("session", "postgres in session mode"),
            ("alt", "bus_alt_connection"),
            ("service", "Separate gevent service"),
        ],
        "LISTEN",
        required=True,
        default=Inputs.bus,
        help="How the bus listens. The cron workers always listen through the database postgres in session mode.",
    )
    auth = fields.Selection(
        [("userlist", "userlist.txt"), ("auth_query", "auth_query")],
        "Passwords",
        required=True,
        default=Inputs.auth,
        help="Where PgBouncer finds the secrets of its users: in a file, or by a query in PostgreSQL.",
    )

    # History
    mean_busy = NullableFloat(
        "Busy Server Connections (Mean)",
        digits=(16, 2),
        help="Server connections in use on average, in the busiest hour of the last 7 days, over all pools.",
    )
    peak_busy = NullableInteger(
        "Busy Server Connections (Peak)",
        help="The highest sum of busy server connections and waiting clients in the last 7 days.",
    )

    # Files
    db_host = fields.Char(
        "PostgreSQL Host",
        required=True,
        default=Inputs.db_host,
        help="As PgBouncer connects to it: a name, an address, or the directory of a unix socket.",
    )
    db_port = LargeInteger("PostgreSQL Port", required=True, default=Inputs.db_port, aggregator=None)
    db_user = fields.Char("Role of Odoo", required=True, default=Inputs.db_user)
    db_names = fields.Text(
        "Database Names", help="One in each line. Empty: every database, by the line * in pgbouncer.ini."
    )
    pgbouncer_host = fields.Char(
        "PgBouncer Host",
        required=True,
        default=Inputs.pgbouncer_host,
        help="As Odoo connects to it: a name, an address, or the directory of a unix socket.",
    )
    pgbouncer_port = LargeInteger("PgBouncer Port", required=True, default=Inputs.pgbouncer_port, aggregator=None)
    stats_user = fields.Char(
        "Console User",
        required=True,
        default=Inputs.stats_user,
        help="Of PgBouncer's stats_users. This addon reads the console as this user.",
    )
    http_port = LargeInteger("HTTP Port", required=True, default=Inputs.http_port, aggregator=None)
    gevent_port = LargeInteger(required=True, default=Inputs.gevent_port, aggregator=None)

    def _inputs(self):
        """Return this plan as `Inputs`."""
        values = {name: self[name] for name in SAME}
        for name in SAME:
            if isinstance(self._fields[name], (NullableFloat, NullableInteger)) and values[name] is False:
                values[name] = None
            elif isinstance(self._fields[name], fields.Char):
                values[name] = values[name] or ""
        names = (line.strip() for line in (self.db_names or "").splitlines())
        return Inputs(
            **values,
            version=int(self.version or Inputs.version),
            db_names=tuple(filter(None, names)),
            others=tuple(Other(other.name or "", other.count, other.is_pooled) for other in self.other_ids),
        )
