"""Commands to the console of a PgBouncer."""

from markupsafe import escape

from odoo import models
from odoo.exceptions import UserError
from odoo.tools import SQL

from ...analysis import readings
from ...probes import query
from ...probes.console import CONSOLE_TIMEOUT
from ...probes.errors import QueryError
from ...tools import notification


class ConnectionEndpoint(models.Model):
    _inherit = "connection.endpoint"

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
        command = f"{verb} {self._argument(verb, database)}" if database else verb
        record = self._record(self.env._("%s: about to be sent.", command))
        reading = query.run({self: (self._address(), [command])}, CONSOLE_TIMEOUT)[self]
        result, kind = self._outcome(verb, command, reading)
        record.body = escape(f"{command}: {result}")
        return notification(f"{self.name}: {command}", result, kind)

    def _argument(self, verb, database):
        """Return a database's name as it is written in a command: a name cannot be a parameter on the console."""
        if name := readings.argument(database):
            return name
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

    def _outcome(self, verb, command, reading):
        """Return what to say of a command that was sent, and the kind of notification."""
        if isinstance(reading, QueryError):
            return self._unanswered(verb, reading)
        error = reading.answers[command]
        if isinstance(error, QueryError):
            if error.reason == "admin_needed":
                return " ".join(self._explain(error)), "danger"
            return self.env._("PgBouncer refused it: %s", error.detail), "danger"
        if verb == "RELOAD" and readings.version_tuple(reading.version) < (1, 25):
            return (
                self.env._(
                    "PgBouncer %s says that it is done. It says so even if it could not read its files: before "
                    "version 1.25 only its log tells.",
                    reading.version,
                ),
                "warning",
            )
        return self.env._("PgBouncer says that it is done."), "success"

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
