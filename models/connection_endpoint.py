import os
import re
from datetime import datetime, timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import SQL

from ..fields import NullableInteger
from ..probes import console

# How long the consoles of one list may take together, in seconds.
CONSOLE_TIMEOUT = 3.0
# The password of endpoints that store none, beside libpq's password file.
PASSWORD_VARIABLE = "PGBOUNCER_MONITOR_PASSWORD"

EPOCH = datetime(1970, 1, 1)


def console_state(rows):
    """The state in the rows of SHOW STATE: active, paused or suspended, else unknown."""
    states = [row.get("key") for row in rows if row.get("value") == "yes"]
    return states[0] if states and states[0] in ("active", "paused", "suspended") else "unknown"


def version_tuple(version):
    """Numbers to compare of PgBouncer's version: (1, 25, 2) of 1.25.2, also of 1.25.2rc1."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


class ConnectionEndpoint(models.Model):
    """A server that is watched: the admin console of one PgBouncer process, or the PostgreSQL
    of this Odoo, of which there is one record, made at installation.

    What is not stored is asked from the console when it is read: ``state``, ``version`` and
    all that follows them.
    """

    _name = "connection.endpoint"
    _inherit = ["mail.thread"]
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
    last_seen = fields.Datetime(
        "Last Successful Test", readonly=True, copy=False, help="When a test last got an answer."
    )
    last_error = fields.Text(
        "Error of the Last Test", readonly=True, copy=False, help="What the last test got instead of an answer."
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
        for endpoint in self.filtered(lambda endpoint: endpoint.kind == "pgbouncer"):
            if not endpoint.host or not endpoint.user:
                raise ValidationError(self.env._("Enter the host and the user of %s.", endpoint.name))
            if "," in endpoint.host or any(map(str.isspace, endpoint.host)):
                raise ValidationError(self.env._("Enter one host, without commas and spaces: not “%s”.", endpoint.host))
            if not 1 <= endpoint.port <= 65535:
                raise ValidationError(self.env._("The port must be between 1 and 65535, not %s.", endpoint.port))

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
        self._check_console()
        reading = console.run({self: (self._address(), [])}, CONSOLE_TIMEOUT)[self]
        if isinstance(reading, console.ConsoleError):
            self.last_error = "\n".join(self._explain(reading))
            title = self.env._("No connection to %s", self.name)
            return self._notification(title, self.last_error, "danger", {"tag": "soft_reload"})
        self.last_seen = fields.Datetime.now()
        self.last_error = False
        message = self.env._(
            "PgBouncer %(version)s answered the user %(user)s.", version=reading.version, user=self.user
        )
        title = self.env._("Connection to %s works", self.name)
        return self._notification(title, message, "success", {"tag": "soft_reload"})

    def _check_console(self):
        if self.kind != "pgbouncer":
            raise UserError(self.env._("%s is no PgBouncer: it has no console.", self.name))

    def action_reload(self):
        """Have PgBouncer read its configuration files again."""
        return self._command("RELOAD")

    def action_reconnect(self):
        """Have PgBouncer replace its server connections, each when it is free."""
        return self._command("RECONNECT")

    def action_pause(self):
        """Have PgBouncer give no client a server any more."""
        return self._command("PAUSE")

    def action_resume(self):
        """End a pause of the whole PgBouncer."""
        return self._command("RESUME")

    def _command(self, verb, database=None):
        """Send a command to the console, write what came of it into the chatter, and tell the user.

        :param str verb: RELOAD, RECONNECT, PAUSE or RESUME
        :param str database: a name that this console itself reported; all of them if not given
        """
        self.ensure_one()
        self.check_access("write")
        self._check_console()
        if verb == "PAUSE" and self._carries_this_request(database):
            raise UserError(
                self.env._(
                    "Not paused: this Odoo works through it, and could not end the pause. Pause it in psql, in which "
                    "you can also resume it."
                )
            )
        # A name cannot be a parameter on the console: it is quoted as PostgreSQL quotes identifiers.
        command = verb if database is None else " ".join((verb, '"{}"'.format(database.replace('"', '""'))))
        reading = console.run({self: (self._address(), [command])}, CONSOLE_TIMEOUT)[self]
        if isinstance(reading, console.ConsoleError):
            result, kind = self._unanswered(verb, reading)
        elif isinstance(reading.answers[command], console.ConsoleError):
            kind, error = "danger", reading.answers[command]
            result = self.env._("PgBouncer refused it: %s", error.detail)
            if error.reason == "admin_needed":
                result = " ".join(self._explain(error))
        elif verb == "RELOAD" and version_tuple(reading.version) < (1, 25):
            kind = "warning"
            result = self.env._(
                "PgBouncer %s says that it is done. It says so even if it could not read its files: before version "
                "1.25 only its log tells.",
                reading.version,
            )
        else:
            result, kind = self.env._("PgBouncer says that it is done."), "success"
        self._log_action(f"{command}: {result}")
        return self._notification(f"{self.name}: {command}", result, kind, {"tag": "soft_reload"})

    def _carries_this_request(self, database=None):
        """Does a server of this PgBouncer, and of that database, work for this very request?"""
        [(pid,)] = self.env.execute_query(SQL("SELECT pg_backend_pid()"))
        domain = [("endpoint_id", "=", self.id), ("remote_pid", "=", pid)]
        if database is not None:
            domain.append(("database", "=", database))
        return bool(self.env["pgbouncer.server"].sudo().search_count(domain))

    def _unanswered(self, verb, error):
        """:return: what to say of a command that got no answer, and the kind of notification"""
        if not error.is_sent:
            return self.env._("It was not sent. %s", " ".join(self._explain(error))), "danger"
        if verb == "PAUSE":
            return (
                self.env._(
                    "It was sent, and has not ended within %s s. PgBouncer goes on pausing: it waits for the servers "
                    "that are in use, and gives them to nobody else. The databases show what is paused; RESUME ends "
                    "it.",
                    CONSOLE_TIMEOUT,
                ),
                "warning",
            )
        return (
            self.env._("It was sent, and not answered within %s s: it may or may not be done.", CONSOLE_TIMEOUT),
            "warning",
        )

    def _log_action(self, text):
        """Write into the chatter what was done to a server, for good: it is done, whatever
        becomes of this transaction."""
        with self.env.registry.cursor() as cr:
            self.with_env(self.env(cr=cr)).message_post(body=text, subtype_xmlid="mail.mt_note")

    @api.model
    def _notification(self, title, message, kind, next_action):
        """The client action that tells the user, and then does another one."""
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "title": title,
                "message": message,
                "type": kind,
                "sticky": kind != "success",
                "next": {"type": "ir.actions.client"} | next_action,
            },
        }

    @api.ondelete(at_uninstall=False)
    def _keep_postgresql(self):
        if "postgresql" in self.mapped("kind"):
            raise UserError(
                self.env._("The PostgreSQL of this Odoo cannot be deleted: it holds the record of what was done to it.")
            )

    def _compute_console(self):
        # An archived endpoint is not asked, nor one that is not saved yet.
        asked = self.filtered(lambda endpoint: endpoint.active and isinstance(endpoint.id, int))
        readings = asked._read("SHOW STATE", "SHOW LISTS", "SHOW CONFIG")
        nothing = {name: False for name, field in self._fields.items() if field.compute == "_compute_console"}
        for endpoint in self:
            endpoint.update(nothing | {"state": "unknown"})
            reading = readings.get(endpoint)
            if endpoint.kind == "postgresql":
                [(endpoint.version,)] = self.env.execute_query(
                    SQL("SELECT split_part(current_setting('server_version'), ' ', 1)")
                )
            if isinstance(reading, console.ConsoleError):
                endpoint.console_error = "\n".join(endpoint._explain(reading))
            elif reading:
                lists = {row.get("list"): row.get("items") for row in reading.answers["SHOW LISTS"]}
                config = {row.get("key"): row.get("value") for row in reading.answers["SHOW CONFIG"]}
                endpoint.update({name: lists[name] for name in nothing.keys() & lists.keys()})
                endpoint.version = reading.version
                endpoint.version_warning = endpoint._version_warning(reading.version)
                endpoint.state = console_state(reading.answers["SHOW STATE"])
                endpoint.started_at = reading.started_at and EPOCH + timedelta(seconds=reading.started_at)
                endpoint.is_admin = endpoint._is_admin(config)
                limit = config.get("max_client_conn") or ""
                endpoint.max_client_conn = limit.isdecimal() and int(limit)

    def _is_admin(self, config):
        """May this endpoint's user do more than SHOW? Read from SHOW CONFIG: to try would be to do."""
        admins, stats = (re.split(r"[,\s]+", config.get(key) or "") for key in ("admin_users", "stats_users"))
        # PgBouncer's own operating system user needs no entry, over a unix socket.
        is_owner = self.user == "pgbouncer" and self.host.startswith("/") and self.user not in stats
        return self.user in admins or config.get("auth_type") == "any" or is_owner

    @api.model
    def _version_warning(self, version):
        if (1, 24) <= version_tuple(version) < (1, 25, 2):
            return self.env._(
                "PgBouncer %s has a known hole (CVE-2026-6667): whoever may look at its console may also end the "
                "connections of clients (KILL_CLIENT). It is closed in 1.25.2; distributions close it without "
                "changing the number, so look at your package's changelog.",
                version,
            )
        return False

    def _read(self, *commands):
        """What the consoles of these endpoints answer, asked once in a transaction and side by
        side, within CONSOLE_TIMEOUT. A console that could not be read is not asked again.

        :return: endpoint -> console.Reading or console.ConsoleError. A command that this
            PgBouncer does not know has no rows.
        """
        known = self.env.cr.cache.setdefault(self._name, {})
        questions = {}
        for endpoint in self.filtered(lambda endpoint: endpoint.kind == "pgbouncer"):
            reading = known.get(endpoint.id)
            if isinstance(reading, console.ConsoleError):
                continue
            if missing := [command for command in commands if not reading or command not in reading.answers]:
                questions[endpoint.id] = endpoint._address(), missing
        for endpoint_id, reading in console.run(questions, CONSOLE_TIMEOUT).items():
            if isinstance(reading, console.Reading):
                answers = {
                    command: [] if getattr(answer, "reason", None) == "unknown_command" else answer
                    for command, answer in reading.answers.items()
                }
                error = next((answer for answer in answers.values() if isinstance(answer, console.ConsoleError)), None)
                before = known[endpoint_id].answers if endpoint_id in known else {}
                reading = error or reading._replace(answers=before | answers)
            known[endpoint_id] = reading
        return {endpoint: known[endpoint.id] for endpoint in self if endpoint.id in known}

    def _address(self):
        endpoint = self.sudo()
        from_environment = endpoint.is_trusted and os.environ.get(PASSWORD_VARIABLE)
        return console.Address(
            host=endpoint.host,
            port=endpoint.port,
            user=endpoint.user,
            password=endpoint.stored_password or from_environment or "",
            sslmode=endpoint.sslmode,
            is_trusted=endpoint.is_trusted,
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
                    "Enter the password, or give it to the user that runs Odoo, in its environment or password file. "
                    "Those are only used for an address that an administrator entered."
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
            "admin_needed": (
                self.env._("The user %(user)s may only look at the console of %(where)s.", where=where, user=self.user),
                self.env._("Add %s to the list admin_users in pgbouncer.ini, and reload PgBouncer.", self.user),
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
                self.env._(
                    "Check its certificate, and the files of the user that runs Odoo: whom to trust in "
                    "~/.postgresql/root.crt or PGSSLROOTCERT, and if PgBouncer asks for a client's certificate, that "
                    "in postgresql.crt and postgresql.key, or PGSSLCERT and PGSSLKEY. The latter are only used for an "
                    "address that an administrator entered."
                ),
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
