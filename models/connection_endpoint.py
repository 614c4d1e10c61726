from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ..probes import console

# How long the consoles of one list may take together, in seconds.
CONSOLE_TIMEOUT = 3.0


class ConnectionEndpoint(models.Model):
    """A server that is watched: the admin console of one PgBouncer process."""

    _name = "connection.endpoint"
    _inherit = ["mail.thread"]
    _description = "Connection Endpoint"
    _order = "name, id"

    name = fields.Char(required=True)
    kind = fields.Selection([("pgbouncer", "PgBouncer")], required=True, default="pgbouncer")
    active = fields.Boolean(default=True, tracking=True)
    host = fields.Char(
        required=True,
        default="127.0.0.1",
        tracking=True,
        help="A host name, an address, or the folder of PgBouncer's unix socket. An address needs no name server.",
    )
    port = fields.Integer(required=True, default=6432, tracking=True)
    user = fields.Char(
        required=True, default="pgbouncer", tracking=True, help="One of PgBouncer's stats_users or admin_users."
    )
    # What the form writes; it can be read by nobody.
    password = fields.Char(
        compute="_compute_password",
        inverse="_inverse_password",
        groups="base.group_system",
        copy=False,
        help="Leave empty to use libpq's password file (~/.pgpass, or PGPASSFILE) of the user that runs Odoo.",
    )
    stored_password = fields.Char(groups=fields.NO_ACCESS, copy=False, prefetch=False)
    # Whether an administrator entered the address: only there may the password file be used.
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
    last_seen = fields.Datetime(
        "Last Successful Test", readonly=True, copy=False, help="When a test last got an answer."
    )
    last_error = fields.Text(
        "Error of the Last Test", readonly=True, copy=False, help="What the last test got instead of an answer."
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

    @api.constrains("port")
    def _check_port(self):
        for endpoint in self:
            if not 1 <= endpoint.port <= 65535:
                raise ValidationError(self.env._("The port must be between 1 and 65535, not %s.", endpoint.port))

    @api.constrains("host")
    def _check_host(self):
        for endpoint in self:
            if "," in endpoint.host or any(map(str.isspace, endpoint.host)):
                raise ValidationError(self.env._("Enter one host, without commas and spaces: not “%s”.", endpoint.host))

    @api.model_create_multi
    def create(self, vals_list):
        endpoints = super().create(vals_list)
        endpoints.sudo().is_trusted = self._may_trust()
        return endpoints

    def write(self, vals):
        """A password, and what the last test said, belong to one address: with another one
        they are forgotten. Nobody can send a password that he may not read to a server of
        his own by changing the host."""
        self.check_access("write")
        for endpoint in self:
            if any(name in vals and vals[name] != endpoint[name] for name in ("host", "port", "user", "sslmode")):
                super(ConnectionEndpoint, endpoint.sudo()).write(
                    {"last_seen": False, "last_error": False, "stored_password": False, "is_trusted": self._may_trust()}
                )
        return super().write(vals)

    @api.model
    def _may_trust(self):
        return self.env.su or self.env.user.has_group("base.group_system")

    def action_remove_password(self):
        self.ensure_one()
        self.password = False

    def action_test(self):
        """Ask the console for its version, keep what came of it in ``last_seen`` or
        ``last_error``, and tell the user."""
        self.ensure_one()
        self.check_access("write")
        answer = self._show("SHOW VERSION")[self]
        if isinstance(answer, console.ConsoleError):
            message, remedy = self._explain(answer)
            self.last_error = f"{message}\n{remedy}"
            title, kind = self.env._("No connection to %s", self.name), "danger"
            message = self.last_error
        else:
            self.last_seen = fields.Datetime.now()
            self.last_error = False
            title, kind = self.env._("Connection to %s works", self.name), "success"
            message = self.env._(
                "PgBouncer %(version)s answered the user %(user)s.", version=answer.version, user=self.user
            )
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "title": title,
                "message": message,
                "type": kind,
                "sticky": kind == "danger",
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }

    def _show(self, command):
        """Run a console command on these endpoints side by side, within CONSOLE_TIMEOUT.

        :return: endpoint -> console.Reading or console.ConsoleError
        """
        return console.show(
            {
                endpoint: console.Address(
                    host=endpoint.host,
                    port=endpoint.port,
                    user=endpoint.user,
                    password=endpoint.sudo().stored_password or "",
                    sslmode=endpoint.sslmode,
                    use_passfile=endpoint.sudo().is_trusted,
                )
                for endpoint in self
            },
            command,
            CONSOLE_TIMEOUT,
        )

    def _explain(self, error):
        """Say in words what a console.ConsoleError of this endpoint means.

        :return: (what is wrong, what to do)
        """
        self.ensure_one()
        is_socket = self.host.startswith("/")
        where = f"{self.host}/.s.PGSQL.{self.port}" if is_socket else f"{self.host}:{self.port}"
        causes = {
            "unresolved": (
                self.env._("The host name of %s cannot be resolved.", where),
                self.env._("Check the name, or enter the server's address instead."),
            ),
            "refused": (
                self.env._("Nobody listens at %s.", where),
                self.env._("Check that PgBouncer is running, and its listen_addr, listen_port and unix_socket_dir."),
            ),
            "unreachable": (
                self.env._("There is no way in the network to %s.", where),
                self.env._("Check the address, the routes and the firewall."),
            ),
            "timeout": (
                self.env._("%(where)s did not answer within %(seconds)s s.", where=where, seconds=CONSOLE_TIMEOUT),
                self.env._(
                    "Something is there that is silent: a PgBouncer that is suspended, stopped or out of file "
                    "descriptors, a firewall that drops packets, or another service on this port."
                ),
            ),
            "closed": (
                self.env._("%s closed the connection before it answered.", where),
                self.env._("Look into PgBouncer's log: was it stopped? Or is another service on this port?"),
            ),
            "no_password": (
                self.env._(
                    "%(where)s asks for a password of the user %(user)s, and there is none.",
                    where=where,
                    user=self.user,
                ),
                self.env._(
                    "Enter the password, or add a line to the password file of the user that runs Odoo. The file is "
                    "only used for an address that an administrator entered."
                ),
            ),
            "wrong_password": (
                self.env._("%(where)s refuses the user %(user)s or the password.", where=where, user=self.user),
                self.env._("Enter the password that PgBouncer's auth_file has for this user."),
            ),
            "unknown_user": (
                self.env._("%(where)s does not know the user %(user)s.", where=where, user=self.user),
                self.env._("Add the user to PgBouncer's auth_file, and reload PgBouncer."),
            ),
            "not_allowed": (
                self.env._("The user %(user)s may not use the console of %(where)s.", where=where, user=self.user),
                self.env._("Add %s to the list stats_users in pgbouncer.ini, and reload PgBouncer.", self.user),
            ),
            "tls_required": (
                self.env._("%s only accepts encrypted connections.", where),
                self.env._("Set the SSL mode to “require”."),
            ),
            "tls_unavailable": (
                self.env._("%s does not offer encryption.", where),
                self.env._("Set client_tls_sslmode in pgbouncer.ini, or the SSL mode to “prefer”."),
            ),
            "tls_failed": (
                self.env._("No encrypted connection to %s could be made.", where),
                self.env._("Check its certificate, and the root certificate of the user that runs Odoo."),
            ),
            "not_pgbouncer": (
                self.env._("What listens at %s is not PgBouncer.", where),
                self.env._("Enter PgBouncer's own port: it is 6432 unless listen_port says otherwise."),
            ),
        }
        message, remedy = causes.get(
            error.reason,
            (self.env._("The console of %s could not be read.", where), self.env._("Look into PgBouncer's log.")),
        )
        return (f"{message} ({error.detail})" if error.detail else message), remedy
