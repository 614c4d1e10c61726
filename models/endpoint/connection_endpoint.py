"""The address and the credentials of an endpoint, and the fields that other files compute. Queries no server."""

import logging

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from ...fields import NullableFloat, NullableInteger
from ...odoo_internals import is_closed
from ...tools import LEVELS

_logger = logging.getLogger(__name__)

# Environment variable with the password of endpoints that store none. libpq's password file is the alternative.
PASSWORD_VARIABLE = "PGBOUNCER_MONITOR_PASSWORD"
# If one of these changes, the endpoint is a different server.
ADDRESS_FIELDS = ("host", "port", "user", "sslmode")


class ConnectionEndpoint(models.Model):
    """A monitored server: the admin console of one PgBouncer process, or the PostgreSQL of this Odoo, which has one
    record that is created at installation.

    ``state``, ``version`` and the fields that follow them are not stored: reading them queries the console.
    ``level`` and the figures next to it come from the last sample.
    """

    _name = "connection.endpoint"
    _inherit = ["mail.thread", "mail.activity.mixin"]
    _description = "Connection Endpoint"
    _order = "kind desc, name, id"

    name = fields.Char(required=True, tracking=True)
    kind = fields.Selection(
        [("postgresql", "PostgreSQL"), ("pgbouncer", "PgBouncer")], required=True, readonly=True, default="pgbouncer"
    )
    active = fields.Boolean(default=True, tracking=True)
    host = fields.Char(
        default="127.0.0.1",
        tracking=True,
        help="A host name, an IP address, or the directory of PgBouncer's unix socket. An IP address needs no DNS.",
    )
    port = fields.Integer(default=6432, aggregator=None)
    # The chatter shows an integer with a thousands separator.
    tracked_port = fields.Char("Port Number", compute="_compute_tracked_port", tracking=True)
    user = fields.Char(default="pgbouncer", tracking=True, help="A user in PgBouncer's stats_users or admin_users.")
    # Written by the form. Nobody can read it.
    password = fields.Char(
        compute="_compute_password",
        inverse="_inverse_password",
        groups="base.group_system",
        copy=False,
        help="Leave empty to use Odoo's environment (PGBOUNCER_MONITOR_PASSWORD) or libpq's password file "
        "(~/.pgpass, or PGPASSFILE) of the user that runs Odoo.",
    )
    stored_password = fields.Char(groups=fields.NO_ACCESS, copy=False, prefetch=False)
    # Whether an administrator entered the address: no other address may receive the passwords and the certificate
    # of Odoo's environment.
    is_trusted = fields.Boolean(groups=fields.NO_ACCESS, copy=False)
    has_password = fields.Boolean("Password Stored", compute="_compute_has_password", groups="base.group_system")
    sslmode = fields.Selection(
        [
            ("disable", "disable: never encrypt"),
            ("prefer", "prefer: encrypt if the server supports it"),
            ("require", "require: always encrypt"),
            ("verify-ca", "verify-ca: encrypt and verify the certificate's issuer"),
            ("verify-full", "verify-full: encrypt and verify the certificate's issuer and host"),
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
        help="Gets an activity while an alert lasts: the first Manager if this user is archived or not a Viewer.",
    )

    # The last sample.
    reading_ids = fields.One2many("connection.reading", "endpoint_id", groups=fields.NO_ACCESS, copy=False)
    level = fields.Selection(LEVELS, compute="_compute_reading", search="_search_level", compute_sudo=True)
    sampled_at = fields.Datetime(
        "Last Sample", compute="_compute_reading", compute_sudo=True, help="Time of the last sample."
    )
    last_seen = fields.Datetime(
        compute="_compute_reading", compute_sudo=True, help="Time of the last sample that the server answered."
    )
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
        help="Used connections in percent of the capacity.",
    )
    pool_pressure = NullableFloat(
        "Fullest Pool (%)",
        compute="_compute_reading",
        compute_sudo=True,
        digits=(16, 1),
        help="Servers in use plus waiting clients, in percent of the pool size. Above 100, clients wait.",
    )
    used = NullableInteger(
        compute="_compute_reading",
        compute_sudo=True,
        help="PostgreSQL: client backends. PgBouncer: client connections.",
    )
    capacity = NullableInteger(
        compute="_compute_reading",
        compute_sudo=True,
        help="PostgreSQL: max_connections minus the reserved connections. PgBouncer: max_client_conn.",
    )
    waiting = NullableInteger(
        compute="_compute_reading", compute_sudo=True, help="Clients that waited for a server connection, in all pools."
    )
    maxwait = NullableFloat(
        "Longest Wait (s)",
        compute="_compute_reading",
        compute_sudo=True,
        digits=(16, 3),
        help="Longest wait of a client for a server connection.",
    )

    # What the console reports now.
    console_error = fields.Text(compute="_compute_console", help="Why the console cannot be queried, and what to do.")
    version = fields.Char(compute="_compute_console")
    version_warning = fields.Text("Known Vulnerabilities", compute="_compute_console")
    state = fields.Selection(
        [("active", "Active"), ("paused", "Paused"), ("suspended", "Suspended"), ("unknown", "Unknown")],
        compute="_compute_console",
        help="Paused: no client of any database gets a server connection. Unknown: the console does not answer, or "
        "PgBouncer is older than 1.19, which does not report its state.",
    )
    started_at = fields.Datetime(
        "Up Since", compute="_compute_console", help="Start of the PgBouncer process. Only known over a unix socket."
    )
    is_admin = fields.Boolean(
        "Admin User",
        compute="_compute_console",
        help="The user is in PgBouncer's admin_users, and may pause, resume and reload.",
    )
    max_client_conn = NullableInteger(
        "Maximum Clients",
        compute="_compute_console",
        help="max_client_conn: the maximum number of client connections.",
    )
    used_clients = NullableInteger(compute="_compute_console", help="Connected clients.")
    login_clients = NullableInteger(
        compute="_compute_console", help="Clients that are logging in. If many stay in this state, no server answers."
    )
    free_clients = NullableInteger(
        compute="_compute_console", help="Allocated entries for clients that are free. More clients may connect."
    )
    used_servers = NullableInteger(compute="_compute_console", help="Connections to PostgreSQL.")
    free_servers = NullableInteger(
        compute="_compute_console", help="Allocated entries for servers that are free. More servers may be opened."
    )
    databases = NullableInteger(compute="_compute_console", help="Databases in PgBouncer, including its own.")
    users = NullableInteger(compute="_compute_console", help="Users in PgBouncer.")
    pools = NullableInteger(compute="_compute_console", help="Pools, one for each pair of database and user.")
    peers = NullableInteger(
        compute="_compute_console", help="Other PgBouncer processes that cancel requests are forwarded to. Since 1.19."
    )
    peer_pools = NullableInteger(
        compute="_compute_console", help="Connections to peers for cancel requests. Since 1.19."
    )
    dns_names = NullableInteger("DNS Names", compute="_compute_console", help="Host names in PgBouncer's DNS cache.")
    dns_zones = NullableInteger("DNS Zones", compute="_compute_console", help="DNS zones in PgBouncer's DNS cache.")
    dns_queries = NullableInteger("DNS Queries", compute="_compute_console", help="DNS queries in progress.")
    dns_pending = NullableInteger("DNS Pending", compute="_compute_console", help="Not used by PgBouncer.")

    _one_postgresql = models.UniqueIndex(
        "(kind) WHERE kind = 'postgresql'", "There is already an endpoint for the PostgreSQL of this Odoo."
    )

    @api.depends("port")
    def _compute_tracked_port(self):
        for endpoint in self:
            endpoint.tracked_port = str(endpoint.port) if endpoint.port else False

    @api.depends("stored_password")
    def _compute_has_password(self):
        for endpoint in self:
            endpoint.has_password = bool(endpoint.sudo().stored_password)

    def _compute_password(self):
        self.password = False

    def _inverse_password(self):
        for endpoint in self:
            endpoint._store_password(endpoint.password)

    def _store_password(self, password):
        """Store a password, remove it if it is empty, and log that, but not the password."""
        endpoint = self.sudo()
        if password:
            text = self.env._("The stored password was changed.")
            self._message_log(body=text if endpoint.stored_password else self.env._("A password was stored."))
        elif endpoint.stored_password:
            self._message_log(body=self.env._("The stored password was removed."))
        endpoint.stored_password = password

    @api.constrains("kind", "host", "port", "user")
    def _check_address(self):
        # PostgreSQL needs no address: Odoo has a connection to it.
        for endpoint in self.filtered(lambda endpoint: endpoint.kind == "pgbouncer" or endpoint.host):
            if not endpoint.host or not endpoint.user:
                raise ValidationError(self.env._("Enter the host and the user of %s.", endpoint.name))
            folder, _slash, file = endpoint.host.rpartition("/")
            if folder and file.startswith(".s.PGSQL."):
                raise ValidationError(
                    self.env._(
                        "“%(host)s” is the socket itself. Enter its directory, %(folder)s, as the host, and the number "
                        "at its end as the port.",
                        host=endpoint.host,
                        folder=folder,
                    )
                )
            if endpoint.host.startswith("["):
                raise ValidationError(
                    self.env._("Enter an IPv6 address without brackets and port, not “%s”.", endpoint.host)
                )
            if "," in endpoint.host or any(map(str.isspace, endpoint.host)):
                raise ValidationError(self.env._("Enter one host without commas and spaces, not “%s”.", endpoint.host))
            if not 1 <= endpoint.port <= 65535:
                raise ValidationError(self.env._("The port must be between 1 and 65535, not %s.", endpoint.port))

    @api.model_create_multi
    def create(self, vals_list):
        endpoints = super().create(vals_list)
        endpoints.sudo().is_trusted = self._may_trust()
        endpoints.sudo().message_subscribe(self._managers().partner_id.ids)
        return endpoints

    def write(self, vals):
        """Remove the stored password if the address changes: nobody may send a password that they cannot read to a
        server of their own by changing the host."""
        self.check_access("write")
        for endpoint in self:
            if any(name in vals and vals[name] != endpoint[name] for name in ADDRESS_FIELDS):
                endpoint._store_password(False)
                endpoint.sudo().is_trusted = self._may_trust()
        return super().write(vals)

    @api.model
    def _may_trust(self):
        return self.env.su or self.env.user.has_group("base.group_system")

    def action_remove_password(self):
        self.ensure_one()
        self.password = False

    def _record(self, *texts):
        """Log in the chatter what is about to be done to a server, and commit it.

        What is done cannot be undone by a rollback, so its record must not be, either. There may be no free connection
        for a transaction of its own.

        :return: the messages; the caller adds the results to their bodies
        """
        messages = self.env["mail.message"].sudo().union(*(self._message_log(body=text) for text in texts))
        self._commit()
        return messages

    @api.model
    def _commit(self):
        """Commit, even if Odoo then has no free connection to notify browsers and the mail queue.

        It notifies them one by one, each over a new connection. Without it, they follow by their own timers.
        """
        cr = self.env.cr
        cr.flush()  # an error in here is no error of a commit
        while True:
            try:
                cr.commit()  # pylint: disable=invalid-commit
                return
            except Exception as error:
                if is_closed(cr) or getattr(error, "pgcode", None):  # not committed
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
                self.env._(
                    "The PostgreSQL of this Odoo cannot be deleted: its chatter is the log of the actions on it."
                )
            )

    @api.ondelete(at_uninstall=False)
    def _log_deletion(self):
        """Log the deletion on the endpoint that stays: the chatters of the others are deleted with them."""
        kept = self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql", raise_if_not_found=False)
        if kept:
            names = ", ".join(self.mapped("name"))
            kept._message_log(body=self.env._("Deleted with history, chatter and rules: %s", names))

    @api.onchange("host")
    def _onchange_host(self):
        if self.kind == "postgresql" and self.host and not self.port:
            self.port = 5432
