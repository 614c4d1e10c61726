"""Commands that change a PgBouncer: PAUSE, RESUME, RELOAD, RECONNECT. Sends them to its console, and logs them."""

from markupsafe import escape

from odoo import models
from odoo.exceptions import UserError
from odoo.tools import SQL

from ...analysis import readings
from ...probes import query
from ...probes.console import CONSOLE_TIMEOUT
from ...probes.errors import QueryError
from ...tools import labelled, notification


class ConnectionEndpoint(models.Model):
    _inherit = "connection.endpoint"

    def _check_console(self):
        if self.kind != "pgbouncer":
            raise UserError(self.env._("%s is not a PgBouncer: it has no console.", self.name))

    def action_reload(self):
        """Reload the configuration files of PgBouncer."""
        return self._command("RELOAD")

    def action_reconnect(self):
        """Replace the server connections of PgBouncer, each as soon as it is released."""
        return self._command("RECONNECT")

    def action_pause(self):
        """Pause all databases of PgBouncer: no client gets a server connection."""
        return self._command("PAUSE")

    def action_resume(self):
        """Resume all databases of PgBouncer."""
        return self._command("RESUME")

    def _command(self, verb, database=None):
        """Send a command to the console, log the result in the chatter, and notify the user.

        :param str verb: RELOAD, RECONNECT, PAUSE or RESUME
        :param str database: a name that this console reported; by default all databases
        """
        self.ensure_one()
        self.check_access("write")
        self._check_console()
        if verb == "PAUSE" and self._carries_this_request(database):
            raise UserError(
                self.env._(
                    "Not paused: this Odoo is connected through it, and could not resume it. Pause it in psql, where "
                    "you can also resume it."
                )
            )
        command = f"{verb} {self._argument(verb, database)}" if database else verb
        record = self._record(self.env._("%s: about to be sent.", command))
        reading = query.run({self: (self._address(), [command])}, CONSOLE_TIMEOUT)[self]
        result, kind = self._outcome(verb, command, reading)
        record.body = escape(labelled(self.env, command, result))
        return notification(labelled(self.env, self.name, command), result, kind)

    def _argument(self, verb, database):
        """Return the name of a database, quoted for a command: the console has no parameters."""
        if name := readings.argument(database):
            return name
        raise UserError(
            self.env._(
                "PgBouncer accepts no command with a name of more than %(bytes)s bytes, including quotes. Nothing was "
                "sent. Send %(verb)s from the endpoint, for all databases, or give “%(database)s” a shorter name in "
                "pgbouncer.ini.",
                bytes=readings.ARGUMENT_BYTES,
                verb=verb,
                database=database,
            )
        )

    def _outcome(self, verb, command, reading):
        """Return the result of a command in words, and the kind of notification."""
        if isinstance(reading, QueryError):
            return self._unanswered(verb, reading)
        error = reading.answers[command]
        if isinstance(error, QueryError):
            if error.reason == "admin_needed":
                return " ".join(self._explain(error)), "danger"
            return self.env._("PgBouncer rejected it: %s", error.detail), "danger"
        if verb == "RELOAD" and readings.version_tuple(reading.version) < (1, 25):
            return (
                self.env._(
                    "PgBouncer %s reports success. Before version 1.25, it does so even if it could not read its "
                    "files: check its log.",
                    reading.version,
                ),
                "warning",
            )
        return self.env._("PgBouncer reports success."), "success"

    def _carries_this_request(self, database=None):
        """Return whether this request uses a server connection of this PgBouncer, and of that database."""
        [(pid,)] = self.env.execute_query(SQL("SELECT pg_backend_pid()"))
        domain = [("endpoint_id", "=", self.id), ("remote_pid", "=", pid)]
        if database is not None:
            domain.append(("database", "=", database))
        return bool(self.env["pgbouncer.server"].sudo().search_count(domain))

    def _unanswered(self, verb, error):
        """Return the result of a command without an answer in words, and the kind of notification."""
        if not error.is_sent:
            return self.env._("Not sent. %s", " ".join(self._explain(error))), "danger"
        if verb == "PAUSE":
            return (
                self.env._(
                    "Sent, but not complete within %s s. PgBouncer is still pausing: it waits for the server "
                    "connections in use, and assigns them to no other client. The databases show what is paused. Use "
                    "Resume to end the pause.",
                    self._timeout(),
                ),
                "warning",
            )
        return (
            self.env._("Sent, but not answered within %s s. It may or may not have taken effect.", self._timeout()),
            "warning",
        )
