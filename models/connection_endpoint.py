import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import psycopg2.errors
from markupsafe import escape

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import SQL, config, format_datetime
from odoo.tools.misc import formatLang

from .. import pressure
from ..analysis import readings
from ..analysis.joins import network_address
from ..fields import NullableFloat, NullableInteger, selection_label
from ..probes import gate, postgres, session
from ..tools import localized

_logger = logging.getLogger(__name__)

# How long the servers of one list, or of one run of the sampler, may take together, in seconds.
CONSOLE_TIMEOUT = 3.0
# The password of endpoints that store none, beside libpq's password file.
PASSWORD_VARIABLE = "PGBOUNCER_MONITOR_PASSWORD"

EPOCH = datetime(1970, 1, 1)
LEVELS = [(level, level.upper() if level == "ok" else level.capitalize()) for level in pressure.LEVELS]
# What a sample of a PgBouncer is made of.
SAMPLE_COMMANDS = [
    f"SHOW {what}" for what in ("POOLS", "STATS", "DATABASES", "USERS", "LISTS", "STATE", "CONFIG", "SERVERS")
]
# An endpoint of which no sample came for so many intervals is not watched any more.
MISSED_SAMPLES = 3
# What an endpoint shows of connection.reading: the figures of the last sample, and how it was taken.
FIGURES = ("level", "pressure", "pool_pressure", "used", "capacity", "waiting", "maxwait")
READING_FIELDS = (*FIGURES, "sampled_at", "last_seen", "last_error")


def understood(reading, kind="pgbouncer"):
    """Return a session.Reading of a kind of endpoint with typed values, see `analysis.readings`, or its
    session.SessionError."""
    reading = session.check(reading)
    if isinstance(reading, session.SessionError):
        return reading
    if kind == "postgresql":
        return reading._replace(answers=readings.postgresql(reading.answers))
    return reading._replace(answers=readings.console(reading.answers, reading.version))


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
    rule_ids = fields.One2many("connection.rule", "endpoint_id", "Rules of Its Own")
    alert_ids = fields.One2many("connection.alert", "endpoint_id")
    open_alert_count = fields.Integer("Open Alerts", compute="_compute_open_alert_count")

    # What the last sample found.
    reading_ids = fields.One2many("connection.reading", "endpoint_id", groups=fields.NO_ACCESS, copy=False)
    level = fields.Selection(LEVELS, compute="_compute_reading", search="_search_level", compute_sudo=True)
    sampled_at = fields.Datetime(
        "Last Sample", compute="_compute_reading", compute_sudo=True, help="When it was measured last."
    )
    last_seen = fields.Datetime(compute="_compute_reading", compute_sudo=True, help="When a sample last got an answer.")
    last_error = fields.Text(
        "Reason",
        compute="_compute_reading",
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
            if any(name in vals and vals[name] != endpoint[name] for name in ("host", "port", "user", "sslmode")):
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

    def action_test(self):
        """Take a sample, and tell the user whether the server at this address answered."""
        answer, problem = self._sample_now()
        if problem:
            return self._no_connection()
        title = self.env._("Connection to %s works", self.name)
        message = self.env._(
            "%(server)s %(version)s answered the user %(user)s.",
            server=selection_label(self, "kind", self.kind),
            version=answer.version,
            user=self.user or self._own_connection("current_user"),
        )
        return self._notification(title, message, "success", {"tag": "soft_reload"})

    def action_sample(self):
        """Take a sample, and tell the user what it found."""
        answer, _problem = self._sample_now()
        if not answer:
            return self._no_connection()
        message = self.env._(
            "Level %(level)s: %(used)s of %(capacity)s connections are used.",
            level=selection_label(self, "level", self.level),
            used=localized(self.env, self.used, 0),
            capacity=localized(self.env, self.capacity, 0),
        )
        kind = "warning" if self.last_error else "success"
        message = "\n".join(filter(None, [message, self.last_error]))
        return self._notification(self.env._("%s was measured", self.name), message, kind, {"tag": "soft_reload"})

    def _sample_now(self):
        """Take a sample now.

        :return: what `connection.sample._sample` does for this endpoint
        """
        self.ensure_one()
        self.check_access("write")
        measured = self.env["connection.sample"].sudo()._sample(self)
        if self not in measured:
            raise UserError(self.env._("%s is being measured right now. Try again in a few seconds.", self.name))
        return measured[self]

    def _no_connection(self):
        title = self.env._("No connection to %s", self.name)
        return self._notification(title, self.last_error, "danger", {"tag": "soft_reload"})

    @api.model
    def _own_connection(self, expression):
        """:return: what PostgreSQL says of Odoo's own connection, e.g. current_user"""
        return self.env.execute_query(SQL("SELECT %s", SQL(expression)))[0][0]

    def action_open_alerts(self):
        action = self.env["ir.actions.act_window"]._for_xml_id("pgbouncer_monitor.connection_alert_action")
        context = {"search_default_open": 1} if self.open_alert_count else {}
        return action | {"domain": [("endpoint_id", "=", self.id)], "context": context}

    def action_open_samples(self):
        """The history of this endpoint; of a PgBouncer, that of its pools."""
        action = self.env["ir.actions.act_window"]._for_xml_id("pgbouncer_monitor.connection_sample_action")
        context = {"search_default_last_hour": 1}
        if self.kind == "pgbouncer":
            context |= {"search_default_pools": 1, "graph_groupbys": ["minute", "database", "user"]}
        return action | {"domain": [("endpoint_id", "=", self.id)], "context": context}

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
        # A name cannot be a parameter on the console.
        name = database and readings.argument(database)
        if database and not name:
            raise UserError(
                self.env._(
                    "PgBouncer takes no command with a name of more than %(bytes)s bytes, its quotes included. Nothing "
                    "was sent. Send %(verb)s from the endpoint, for all databases, or give “%(database)s” a shorter "
                    "name in pgbouncer.ini.",
                    bytes=readings.ARGUMENT_BYTES,
                    verb=verb,
                    database=database,
                )
            )
        command = f"{verb} {name}" if name else verb
        record = self._record(self.env._("%s: about to be sent.", command))
        reading = session.run({self: (self._address(), [command])}, CONSOLE_TIMEOUT)[self]
        if isinstance(reading, session.SessionError):
            result, kind = self._unanswered(verb, reading)
        elif isinstance(reading.answers[command], session.SessionError):
            kind, error = "danger", reading.answers[command]
            result = self.env._("PgBouncer refused it: %s", error.detail)
            if error.reason == "admin_needed":
                result = " ".join(self._explain(error))
        elif verb == "RELOAD" and readings.version_tuple(reading.version) < (1, 25):
            kind = "warning"
            result = self.env._(
                "PgBouncer %s says that it is done. It says so even if it could not read its files: before version "
                "1.25 only its log tells.",
                reading.version,
            )
        else:
            result, kind = self.env._("PgBouncer says that it is done."), "success"
        record.body = escape(f"{command}: {result}")
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
            self.env._("Sent, but not answered within %s s. It may or may not have taken effect.", self._timeout()),
            "warning",
        )

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
                if cr.closed or cr._cnx.closed or getattr(error, "pgcode", None):  # it is not committed
                    raise
                _logger.warning("Browsers and the mail queue are notified later: %s", error)

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

    # Alerts

    @api.depends("alert_ids.closed_at")
    def _compute_open_alert_count(self):
        lasting = [("endpoint_id", "in", self.ids), ("closed_at", "=", False)]
        counts = dict(self.env["connection.alert"]._read_group(lasting, ["endpoint_id"], ["__count"]))
        for endpoint in self:
            endpoint.open_alert_count = counts.get(endpoint._origin, 0)

    @api.model
    def _managers(self):
        users = self.env.ref("pgbouncer_monitor.group_manager").sudo().all_user_ids
        return users.filtered(lambda user: user.active and not user.share).sorted("id")

    def _plan_activity(self, alerts):
        """Have an activity while alerts last, for whoever is responsible."""
        kind = ["pgbouncer_monitor.mail_activity_alert"]
        if not alerts:
            self.activity_unlink(kind)
            return
        summary = ", ".join(map(self.env["connection.rule"]._label, alerts.grouped("rule")))
        if planned := self.activity_search(kind):
            planned.summary = summary
            return
        responsible = self.responsible_id
        if not responsible.active or not responsible.has_group("pgbouncer_monitor.group_viewer"):
            responsible = self._managers()[:1]
        if responsible:
            # He gets the message: no second one about the activity.
            quiet = self.with_context(mail_activity_quick_update=True)
            quiet.activity_schedule(*kind, user_id=responsible.id, summary=summary)

    def _post_alert(self, title, values):
        """Post in the chatter what followers of alerts shall know, and in the Discuss channel what all
        its members may know.

        :param dict values: for the template connection_alert_message
        :return: the message in the chatter
        """
        bot = self.env.ref("base.partner_root")
        values = values | {"title": title, "url": f"{self.get_base_url()}/odoo/"}
        # A mail server that hangs must not keep the sampler waiting: the mail queue sends it. Whoever asked
        # for the sample is told, too.
        endpoint = self.with_context(mail_notify_force_send=False, mail_notify_author=True)
        message = endpoint.message_post_with_source(
            "pgbouncer_monitor.connection_alert_message",
            render_values=values,
            subtype_xmlid="pgbouncer_monitor.mt_alert",
            subject=f"{title}: {self.name}",
            author_id=bot.id,
        )
        self.env.ref("mail.ir_cron_mail_scheduler_action").sudo()._trigger()
        if channel := self._alert_channel():
            body = self.env["ir.qweb"]._render(
                "pgbouncer_monitor.connection_alert_message", values | {"endpoint": self, "evidence": None}
            )
            channel.message_post(body=body, author_id=bot.id, message_type="comment", subtype_xmlid="mail.mt_comment")
        return message

    @api.model
    def _alert_channel(self):
        """The Discuss channel that alerts are also posted to, or none."""
        channel_id = self.env["ir.config_parameter"].sudo().get_param("pgbouncer_monitor.alert_channel_id")
        return self.env["discuss.channel"].sudo().browse(int(channel_id or 0)).exists()

    def _notify_get_recipients(self, message, msg_vals=False, **kwargs):
        """An alert shows who is connected: it is not sent to a follower who may not see that any more."""
        recipients = super()._notify_get_recipients(message, msg_vals=msg_vals, **kwargs)
        if message.subtype_id != self.env.ref("pgbouncer_monitor.mt_alert"):
            return recipients
        users = self.env["res.users"].sudo().browse(recipient["uid"] for recipient in recipients if recipient["uid"])
        readers = users.filtered(lambda user: user.has_group("pgbouncer_monitor.group_viewer")).ids
        return [recipient for recipient in recipients if recipient["uid"] in readers]

    def action_send_test_alert(self):
        """Post a message as an alert would, and tell the user where it goes."""
        self.ensure_one()
        self.check_access("write")
        line = self.env._(
            "This is a test that %s asked for. An alert looks like this, and goes the same ways.", self.env.user.name
        )
        message = self.sudo()._post_alert(self.env._("Test Alert"), {"parts": [{"lines": [line]}]})
        self._commit()
        names = [*message.notified_partner_ids.mapped("name"), *self._alert_channel().mapped("display_name")]
        told = self.env._("It is in the chatter, and on its way to: %s.", ", ".join(names))
        if not names:
            told = self.env._("It is in the chatter. Nobody follows the alerts of this endpoint.")
        title = self.env._("A test alert was posted")
        return self._notification(title, told, "success" if names else "warning", {"tag": "soft_reload"})

    @api.ondelete(at_uninstall=False)
    def _keep_alerts(self):
        """They are over, and stay when the endpoint, and with it the chatter, is gone."""
        alerts = self.env["connection.alert"].sudo()
        alerts = alerts.search([("endpoint_id", "in", self.ids), ("closed_at", "=", False)])
        alerts._end("deleted")
        alerts.told_level = "ok"

    @api.ondelete(at_uninstall=False)
    def _keep_postgresql(self):
        if "postgresql" in self.mapped("kind"):
            raise UserError(
                self.env._("The PostgreSQL of this Odoo cannot be deleted: it holds the record of what was done to it.")
            )

    def _compute_console(self):
        # An archived endpoint is not asked, nor one that is not saved yet.
        asked = self.filtered(lambda endpoint: endpoint.active and isinstance(endpoint.id, int))
        answered = asked._read("SHOW STATE", "SHOW LISTS", "SHOW CONFIG")
        nothing = {name: False for name, field in self._fields.items() if field.compute == "_compute_console"}
        for endpoint in self:
            endpoint.update(nothing | {"state": "unknown"})
            reading = answered.get(endpoint)
            if endpoint.kind == "postgresql":
                [(endpoint.version,)] = self.env.execute_query(
                    SQL("SELECT split_part(current_setting('server_version'), ' ', 1)")
                )
            if isinstance(reading, session.SessionError):
                endpoint.console_error = "\n".join(endpoint._explain(reading))
            elif reading:
                lists = readings.by_key(reading.answers["SHOW LISTS"], "list", "items")
                settings = readings.by_key(reading.answers["SHOW CONFIG"])
                endpoint.update({name: lists[name] for name in nothing.keys() & lists.keys()})
                endpoint.version = reading.version
                endpoint.version_warning = endpoint._version_warning(reading.version)
                endpoint.state = readings.console_state(reading.answers["SHOW STATE"])
                endpoint.started_at = reading.started_at and EPOCH + timedelta(seconds=reading.started_at)
                endpoint.is_admin = endpoint._is_admin(settings)
                endpoint.max_client_conn = readings.whole(settings.get("max_client_conn"))

    def _is_admin(self, settings):
        """May this endpoint's user do more than SHOW? Read from SHOW CONFIG: to try would be to do."""
        # PgBouncer's own operating system user needs no entry, over a unix socket.
        is_stats_user = readings.is_listed(self.user, settings.get("stats_users"))
        is_owner = self.user == "pgbouncer" and self.host.startswith(("/", "@")) and not is_stats_user
        is_listed = readings.is_listed(self.user, settings.get("admin_users"))
        return is_listed or settings.get("auth_type") == "any" or is_owner

    @api.model
    def _version_warning(self, version):
        if (1, 24) <= readings.version_tuple(version) < (1, 25, 2):
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

        :return: endpoint -> session.Reading or session.SessionError. A command that this
            PgBouncer does not know has no rows.
        """
        known = self.env.cr.cache.setdefault(self._name, {})
        questions = {}
        for endpoint in self.filtered(lambda endpoint: endpoint.kind == "pgbouncer"):
            reading = known.get(endpoint.id)
            if isinstance(reading, session.SessionError):
                continue
            if missing := [command for command in commands if not reading or command not in reading.answers]:
                questions[endpoint.id] = endpoint._address(), missing
        for endpoint_id, reading in gate.run(questions, CONSOLE_TIMEOUT, self._gate_folder()).items():
            reading = understood(reading)
            if isinstance(reading, session.Reading) and endpoint_id in known:
                reading = reading._replace(answers=known[endpoint_id].answers | reading.answers)
            known[endpoint_id] = reading
        return {endpoint: known[endpoint.id] for endpoint in self if endpoint.id in known}

    @api.model
    def _gate_folder(self):
        """Where the processes of this Odoo on this host keep which servers do not answer."""
        return Path(config["data_dir"]) / "pgbouncer_monitor" / self.env.cr.dbname

    def _measure(self, *more_commands, is_forced=False):
        """Ask these servers for a sample, in parallel, within CONSOLE_TIMEOUT.

        :param more_commands: that PgBouncers are asked in addition, and others in this transaction need not ask
        :param bool is_forced: whether a server is queried that did not answer a few seconds ago
        :return: endpoint -> a session.Reading, or None if there was no answer, and what is wrong,
            in words, or None. Of a PostgreSQL whose own address fails there is both: then Odoo's
            own connection tells.
        """
        questions = {}
        for endpoint in self:
            if endpoint.kind == "pgbouncer":
                questions[endpoint.id] = endpoint._address(), [*SAMPLE_COMMANDS, *more_commands]
            elif endpoint.host:
                questions[endpoint.id] = endpoint._address(), self._postgresql_queries(CONSOLE_TIMEOUT)
        with ThreadPoolExecutor(max_workers=1) as executor:
            others = executor.submit(gate.run, questions, CONSOLE_TIMEOUT, self._gate_folder(), is_forced)
            own = self._read_own() if "postgresql" in self.mapped("kind") else None
            measured = others.result()
        measured = {
            endpoint.id: understood(measured[endpoint.id], endpoint.kind)
            for endpoint in self
            if endpoint.id in measured
        }
        known = self.env.cr.cache.setdefault(self._name, {})
        for endpoint in self.filtered(lambda endpoint: endpoint.kind == "pgbouncer"):
            known[endpoint.id] = measured[endpoint.id]
        return {endpoint: endpoint._check_reading(measured.get(endpoint.id), own) for endpoint in self}

    def _check_reading(self, reading, own):
        """:return: what `_measure` says of this endpoint"""
        answer, problem = reading or own, None
        if reading and self.kind == "postgresql":
            answer, problem = self._check_postgresql(reading, own)
        if isinstance(answer, session.SessionError):
            return None, "\n".join(self._explain(answer))
        return answer, problem

    def _check_postgresql(self, answer, own):
        """Whether the server at the address of its own is the one that Odoo works on. If it is not,
        or does not answer, Odoo's own connection tells, and what is wrong is said beside it."""
        if isinstance(own, session.SessionError):
            return answer, None
        if isinstance(answer, session.Reading):
            rows = (reading.answers[postgres.ACTIVITY] for reading in (answer, own))
            there, here = (next(iter(found), {}).get("started_at") for found in rows)
            if there is None or there != here:
                answer = session.SessionError("wrong_server")
        if isinstance(answer, session.SessionError):
            told = self.env._("Odoo's own connection told instead.")
            return own, "\n".join([*self._explain(answer), told])
        return answer, None

    @api.model
    def _postgresql_queries(self, timeout):
        return postgres.sample_queries(self.env.cr._cnx.server_version, timeout)

    @contextmanager
    def _time_limit(self, seconds):
        """PostgreSQL works no longer than so many seconds on each query of Odoo's own connection in here.
        If one fails, those before it are undone, too."""
        with self.env.cr.savepoint(flush=False):
            set_limit = "SELECT set_config('statement_timeout', %s, true)"
            before = self._own_connection("current_setting('statement_timeout')")
            self.env.cr.execute(set_limit, [f"{seconds}s"])
            yield
            self.env.cr.execute(set_limit, [before])

    @api.model
    def _read_own(self):
        """:return: a session.Reading of this Odoo's PostgreSQL over Odoo's own connection, or a
        session.SessionError"""
        # The transaction is open already, and goes on.
        _begin, _timeout, *queries, _commit = self._postgresql_queries(CONSOLE_TIMEOUT / 3)
        version = self.env.cr._cnx.info.parameter_status("server_version").partition(" ")[0]
        try:
            with self._time_limit(CONSOLE_TIMEOUT / 3):
                self.env.cr.execute("SELECT pg_stat_clear_snapshot()", log_exceptions=False)
                answers = {}
                for query in queries:
                    self.env.cr.execute(query, log_exceptions=False)
                    answers[query] = self.env.cr.dictfetchall()
        except psycopg2.errors.QueryCanceled as error:
            return session.SessionError("timeout", str(error).strip())
        except psycopg2.Error as error:
            return session.SessionError("other", str(error).strip())
        return understood(session.Reading(version, None, answers, time.time()), "postgresql")

    def _last_reading(self):
        """What the sampler remembers of this endpoint, if that was of the same address."""
        reading = self.sudo().reading_ids
        return reading if reading.address == self._address_key() else reading.browse()

    def _keep_reading(self, values):
        """Let the sampler remember this of the endpoint."""
        values = values | {"endpoint_id": self.id, "address": self._address_key()}
        reading = self.sudo().reading_ids
        return reading.write(values) if reading else reading.create(values)

    def _address_key(self):
        return f"{self.user or ''}@{self.host or ''}:{self.port or ''} {self.sslmode}"

    @api.onchange("host")
    def _onchange_host(self):
        if self.kind == "postgresql" and self.host and not self.port:
            self.port = 5432

    @api.depends("active", "host", "port", "user", "sslmode", *(f"reading_ids.{name}" for name in READING_FIELDS))
    def _compute_reading(self):
        for endpoint in self:
            reading = endpoint._last_reading()
            for name in READING_FIELDS:
                endpoint[name] = reading[name]
            if not endpoint.active:
                endpoint.level = "unknown"
            elif missing := endpoint._missing_sample():
                endpoint.update({"level": "unknown", "last_error": missing})

    def _missing_sample(self):
        """Why there is no sample of these minutes, in words; None if there is one."""
        sampled_at = self._last_reading().sampled_at
        if not sampled_at:
            return self.env._("It was not measured yet at this address.")
        if sampled_at >= fields.Datetime.now() - timedelta(seconds=self._sample_patience()):
            return None
        return self.env._(
            "It was not measured since %s UTC. Check that “Log Connection Pressure” is on in the Settings, and that "
            "Odoo's scheduled actions run.",
            sampled_at,
        )

    @api.model
    def _sample_patience(self):
        """How many seconds after a sample the next one is missed."""
        return MISSED_SAMPLES * self.env["res.config.settings"]._interval("sample") + CONSOLE_TIMEOUT

    @api.model
    def _search_level(self, operator, value):
        if operator != "in":
            return NotImplemented
        endpoints = self.search([("active", "in", (True, False))])
        return [("id", "in", endpoints.filtered(lambda endpoint: endpoint.level in value).ids)]

    def _address(self):
        endpoint = self.sudo()
        from_environment = endpoint.is_trusted and os.environ.get(PASSWORD_VARIABLE)
        return session.Address(
            host=endpoint.host,
            port=endpoint.port,
            user=endpoint.user,
            password=endpoint.stored_password or from_environment or "",
            sslmode=endpoint.sslmode,
            is_trusted=endpoint.is_trusted,
            dbname=None if endpoint.kind == "pgbouncer" else self._own_connection("current_database()"),
        )

    @api.model
    def _timeout(self):
        """CONSOLE_TIMEOUT as the user's language writes it."""
        return formatLang(self.env, CONSOLE_TIMEOUT, digits=1)

    def _explain(self, error):
        """Say in words what a session.SessionError of this endpoint means.

        :return: (what is wrong, what to do)
        """
        self.ensure_one()
        host = self.host or ""
        where = network_address(host, self.port) if host else self.env._("PostgreSQL, over Odoo's own connection,")
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
                self.env._("%(where)s did not answer within %(seconds)s s.", where=where, seconds=self._timeout()),
                self.env._(
                    "Something is there that is silent: a PgBouncer that is suspended, stopped or out of file "
                    "descriptors, a firewall that drops packets, or another service on this port."
                ),
            ),
            "silent_login": (
                self._explain_silent_login(where),
                self.env._(
                    "With auth_query, PgBouncer looks up the password of a user that is not in its auth_file in "
                    "PostgreSQL, and waits if PostgreSQL does not answer. Add %s to the auth_file, and reload "
                    "PgBouncer.",
                    self.user,
                ),
            ),
            "too_large": (
                self.env._("%s sent more than the addon reads.", where),
                self.env._(
                    "A PgBouncer with 10,000 clients sends about 3 MB. Check that PgBouncer listens there, and nothing "
                    "else."
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
            "wrong_server": (
                self.env._("What listens at %s is not PgBouncer.", where),
                self.env._("Enter PgBouncer's own port: it is 6432 unless listen_port says otherwise."),
            ),
        }
        if self.kind == "postgresql":
            causes |= self._explain_postgresql(where)
        message, remedy = causes.get(
            error.reason,
            (self.env._("%s could not be read.", where), self.env._("Look into its log.")),
        )
        message = f"{message} ({error.detail})" if error.detail else message
        if error.since:
            since = format_datetime(self.env, EPOCH + timedelta(seconds=error.since), dt_format="medium")
            message += " " + self.env._("First seen at %s. The server is queried again every few seconds.", since)
        return message, remedy

    def _explain_silent_login(self, where):
        return self.env._(
            "%(where)s accepted the connection, and did not log in %(user)s within %(seconds)s s.",
            where=where,
            user=self.user,
            seconds=self._timeout(),
        )

    def _explain_postgresql(self, where):
        """Where `_explain` says something else of a PostgreSQL than of a console."""
        return {
            "refused": (
                self.env._("Nobody listens at %s.", where),
                self.env._("Check that PostgreSQL is running, and its listen_addresses and port."),
            ),
            "wrong_password": (
                self.env._("%(where)s refuses the role %(user)s or the password.", where=where, user=self.user),
                self.env._("Enter the password that this role has in PostgreSQL."),
            ),
            "not_allowed": (
                self.env._("%(where)s does not let the role %(user)s in from here.", where=where, user=self.user),
                self.env._("Add a line for it to pg_hba.conf, and reload PostgreSQL."),
            ),
            "full": (
                self.env._("%(where)s has no connection left for the role %(user)s.", where=where, user=self.user),
                self.env._(
                    "From PostgreSQL 16 on, a role with pg_use_reserved_connections finds a place if some are kept by "
                    "reserved_connections."
                ),
            ),
            "silent_login": (
                self._explain_silent_login(where),
                self.env._("Check what its authentication waits for, such as LDAP, and whether it is overloaded."),
            ),
            "tls_unavailable": (
                self.env._("%s does not offer encryption.", where),
                self.env._("Set ssl in postgresql.conf, or the SSL mode to “prefer”."),
            ),
            "wrong_server": (
                self.env._("What listens at %s is not the PostgreSQL of this Odoo.", where),
                self.env._("Enter the address of the server that holds this Odoo's database."),
            ),
        }
