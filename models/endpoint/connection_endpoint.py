import logging

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from ...fields import NullableFloat, NullableInteger
from ...odoo_internals import is_closed
from ...tools import LEVELS

_logger = logging.getLogger(__name__)

# The password of endpoints that store none, beside libpq's password file.
PASSWORD_VARIABLE = "PGBOUNCER_MONITOR_PASSWORD"
# With another one of these, an endpoint is another server.
ADDRESS_FIELDS = ("host", "port", "user", "sslmode")


class ConnectionEndpoint(models.Model):
    """A server that is watched: the admin console of one PgBouncer process, or the PostgreSQL
    of this Odoo, of which there is one record, made at installation.

    What is not stored is asked from the console when it is read: ``state``, ``version`` and
    all that follows them. ``level`` and its like are what the last sample found.
    """

    _name = "connection.endpoint"
    _inherit = ["mail.thread", "mail.activity.mixin"]
    _description = "Connection Endpoint"
    _order = "kind desc, name, id"

    name = fields.Char(required=True)
    kind = fields.Selection(
        [("postgresql", "PostgreSQL"), ("pgbouncer", "PgBouncer")], required=True, readonly=True, default="pgbouncer"
    )
    active = fields.Boolean(default=True, tracking=True)
    host = fields.Char(
        default="127.0.0.1",
        tracking=True,
        help="A host name, an address, or the folder of PgBouncer's unix socket. An address needs no name server.",
    )
    port = fields.Integer(default=6432, tracking=True)
    user = fields.Char(default="pgbouncer", tracking=True, help="One of PgBouncer's stats_users or admin_users.")
    # What the form writes; it can be read by nobody.
    password = fields.Char(
        compute="_compute_password",
        inverse="_inverse_password",
        groups="base.group_system",
        copy=False,
        help="Leave empty to use Odoo's environment (PGBOUNCER_MONITOR_PASSWORD) or libpq's password file "
        "(~/.pgpass, or PGPASSFILE) of the user that runs Odoo.",
    )
    stored_password = fields.Char(groups=fields.NO_ACCESS, copy=False, prefetch=False)
    # Whether an administrator entered the address: only there may the passwords and the certificate
    # of Odoo's surroundings go.
    is_trusted = fields.Boolean(groups=fields.NO_ACCESS, copy=False)
    has_password = fields.Boolean("Password Stored", compute="_compute_has_password", groups="base.group_system")
    sslmode = fields.Selection(
        [
            ("disable", "disable: never encrypt"),
            ("prefer", "prefer: encrypt if the server can"),
            ("require", "require: always encrypt"),
            ("verify-ca", "verify-ca: encrypt, and check the certificate's issuer"),
            ("verify-full", "verify-full: encrypt, and check the certificate's issuer and host"),
        ],
        "SSL Mode",
        required=True,
        default="prefer",
        tracking=True,
    )
    responsible_id = fields.Many2one(
        "res.users",
        default=lambda self: self.env.user.filtered("active"),
        tracking=True,
        domain=[("share", "=", False)],
        help="Who gets an activity while an alert lasts. If that user is archived or not a Viewer: the first Manager.",
    )

    # What the last sample found.
    reading_ids = fields.One2many("connection.reading", "endpoint_id", groups=fields.NO_ACCESS, copy=False)
    level = fields.Selection(LEVELS, compute="_compute_reading", search="_search_level", compute_sudo=True)
    sampled_at = fields.Datetime(
        "Last Sample", compute="_compute_reading", compute_sudo=True, help="When it was measured last."
    )
    last_seen = fields.Datetime(compute="_compute_reading", compute_sudo=True, help="When a sample last got an answer.")
    last_error = fields.Text(
        "Reason",
        compute="_compute_last_error",
        compute_sudo=True,
        help="Why the last sample is unknown, or which threshold it reached.",
    )
    pressure = NullableFloat(
        "Pressure (%)",
        compute="_compute_reading",
        compute_sudo=True,
        digits=(16, 1),
        help="Used in percent of the capacity.",
    )
    pool_pressure = NullableFloat(
        "Fullest Pool (%)",
        compute="_compute_reading",
        compute_sudo=True,
        digits=(16, 1),
        help="Servers in use and clients waiting, in percent of the pool's size. Above 100 somebody waits.",
    )
    used = NullableInteger(
        compute="_compute_reading",
        compute_sudo=True,
        help="PostgreSQL: client backends. PgBouncer: its clients.",
    )
    capacity = NullableInteger(
        compute="_compute_reading",
        compute_sudo=True,
        help="PostgreSQL: max_connections without the reserved slots. PgBouncer: max_client_conn.",
    )
    waiting = NullableInteger(
        compute="_compute_reading", compute_sudo=True, help="Clients that waited for a server, in all pools."
    )
    maxwait = NullableFloat(
        "Longest Wait (s)",
        compute="_compute_reading",
        compute_sudo=True,
        digits=(16, 3),
        help="How long the first client in a queue had waited.",
    )

    # What the console says now.
    console_error = fields.Text(compute="_compute_console", help="Why the console cannot be read, and what to do.")
    version = fields.Char(compute="_compute_console")
    version_warning = fields.Text("Known Holes", compute="_compute_console")
    state = fields.Selection(
        [("active", "Active"), ("paused", "Paused"), ("suspended", "Suspended"), ("unknown", "Unknown")],
        compute="_compute_console",
        help="Paused: no client of any database gets a server. Unknown: the console does not answer, or is older than "
        "1.19, which does not tell.",
    )
    started_at = fields.Datetime(
        "Up Since", compute="_compute_console", help="Only a unix socket tells which process is at its other end."
    )
    is_admin = fields.Boolean(
        "Admin User",
        compute="_compute_console",
        help="The user is one of PgBouncer's admin_users: it may pause, resume and reload.",
    )
    max_client_conn = NullableInteger(
        "Maximum Clients",
        compute="_compute_console",
        help="How many clients PgBouncer accepts. The next one is refused.",
    )
    used_clients = NullableInteger(compute="_compute_console", help="Clients that are connected now.")
    login_clients = NullableInteger(
        compute="_compute_console", help="Clients that are logging in: many for long means that no server answers."
    )
    free_clients = NullableInteger(
        compute="_compute_console", help="Places in memory that are ready for clients: not how many may still come."
    )
    used_servers = NullableInteger(compute="_compute_console", help="Connections to PostgreSQL.")
    free_servers = NullableInteger(
        compute="_compute_console", help="Places in memory that are ready for servers: not how many may still be made."
    )
    databases = NullableInteger(compute="_compute_console", help="Databases that PgBouncer knows, its own included.")
    users = NullableInteger(compute="_compute_console", help="Users that PgBouncer knows.")
    pools = NullableInteger(compute="_compute_console", help="Pools: a pair of a database and a user has one.")
    peers = NullableInteger(
        compute="_compute_console", help="Other processes that PgBouncer forwards cancels to. Since 1.19."
    )
    peer_pools = NullableInteger(compute="_compute_console", help="Connections to peers, for cancels. Since 1.19.")
    dns_names = NullableInteger("DNS Names", compute="_compute_console", help="Host names in PgBouncer's cache.")
    dns_zones = NullableInteger("DNS Zones", compute="_compute_console", help="DNS zones in PgBouncer's cache.")
    dns_queries = NullableInteger(
        "DNS Queries", compute="_compute_console", help="Host names that are being looked up now."
    )
    dns_pending = NullableInteger("DNS Pending", compute="_compute_console", help="Not used by PgBouncer.")

    _one_postgresql = models.UniqueIndex(
        "(kind) WHERE kind = 'postgresql'", "There is one endpoint for the PostgreSQL of this Odoo already."
    )

    @api.depends("stored_password")
    def _compute_has_password(self):
        for endpoint in self:
            endpoint.has_password = bool(endpoint.sudo().stored_password)

    def _compute_password(self):
        self.password = False

    def _inverse_password(self):
        for endpoint in self:
            endpoint.sudo().stored_password = endpoint.password

    @api.constrains("kind", "host", "port", "user")
    def _check_address(self):
        # PostgreSQL needs no address: Odoo is connected to it.
        for endpoint in self.filtered(lambda endpoint: endpoint.kind == "pgbouncer" or endpoint.host):
            if not endpoint.host or not endpoint.user:
                raise ValidationError(self.env._("Enter the host and the user of %s.", endpoint.name))
            folder, _slash, file = endpoint.host.rpartition("/")
            if folder and file.startswith(".s.PGSQL."):
                raise ValidationError(
                    self.env._(
                        "“%(host)s” is the socket itself. Enter its folder, %(folder)s, as the host, and the number at "
                        "its end as the port.",
                        host=endpoint.host,
                        folder=folder,
                    )
                )
            if endpoint.host.startswith("["):
                raise ValidationError(
                    self.env._("Enter an IPv6 address without brackets and port: not “%s”.", endpoint.host)
                )
            if "," in endpoint.host or any(map(str.isspace, endpoint.host)):
                raise ValidationError(self.env._("Enter one host, without commas and spaces: not “%s”.", endpoint.host))
            if not 1 <= endpoint.port <= 65535:
                raise ValidationError(self.env._("The port must be between 1 and 65535, not %s.", endpoint.port))

    @api.model_create_multi
    def create(self, vals_list):
        endpoints = super().create(vals_list)
        endpoints.sudo().is_trusted = self._may_trust()
        endpoints.sudo().message_subscribe(self._managers().partner_id.ids)
        return endpoints

    def write(self, vals):
        """A password belongs to one address: with another one it is forgotten. Nobody can send a
        password that he may not read to a server of his own by changing the host."""
        self.check_access("write")
        for endpoint in self:
            if any(name in vals and vals[name] != endpoint[name] for name in ADDRESS_FIELDS):
                super(ConnectionEndpoint, endpoint.sudo()).write(
                    {"stored_password": False, "is_trusted": self._may_trust()}
                )
        return super().write(vals)

    @api.model
    def _may_trust(self):
        return self.env.su or self.env.user.has_group("base.group_system")

    def action_remove_password(self):
        self.ensure_one()
        self.password = False

    def _record(self, *texts):
        """Write into the chatter what is about to be done to a server, for good: it cannot be taken back,
        whatever becomes of this transaction. It is committed here, because there may be no second connection.

        :return: the messages, whose bodies are to be completed by what came of it
        """
        messages = self.env["mail.message"].sudo().union(*(self._message_log(body=text) for text in texts))
        self._commit()
        return messages

    @api.model
    def _commit(self):
        """Commit, whether or not Odoo then finds a connection to wake up browsers and the mail queue. It wakes them
        one by one, by a connection each, of which there may be none just now: they come by themselves later."""
        cr = self.env.cr
        cr.flush()  # what fails in there is not committed
        while True:
            try:
                cr.commit()  # pylint: disable=invalid-commit
                return
            except Exception as error:
                if is_closed(cr) or getattr(error, "pgcode", None):  # it is not committed
                    raise
                _logger.warning("Browsers and the mail queue are notified later: %s", error)

    @api.model
    def _managers(self):
        users = self.env.ref("pgbouncer_monitor.group_manager").sudo().all_user_ids
        return users.filtered(lambda user: user.active and not user.share).sorted("id")

    @api.ondelete(at_uninstall=False)
    def _keep_postgresql(self):
        if "postgresql" in self.mapped("kind"):
            raise UserError(
                self.env._("The PostgreSQL of this Odoo cannot be deleted: it holds the record of what was done to it.")
            )

    @api.onchange("host")
    def _onchange_host(self):
        if self.kind == "postgresql" and self.host and not self.port:
            self.port = 5432
