"""What the console of a PgBouncer reports now. Queries consoles."""

from datetime import timedelta

from odoo import api, models
from odoo.tools import SQL

from ...advice.vulnerabilities import describe, vulnerabilities
from ...analysis import readings
from ...probes.address import is_unix_socket
from ...probes.errors import QueryError
from ...tools import EPOCH


class ConnectionEndpoint(models.Model):
    _inherit = "connection.endpoint"

    @api.depends_context("lang", "tz")
    def _compute_console(self):
        # Neither an archived endpoint nor an unsaved one is queried.
        queried = self.filtered(lambda endpoint: endpoint.active and isinstance(endpoint.id, int))
        answered = queried._read("SHOW STATE", "SHOW LISTS", "SHOW CONFIG")
        nothing = {name: False for name, field in self._fields.items() if field.compute == "_compute_console"}
        for endpoint in self:
            endpoint.update(nothing | {"state": "unknown"})
            reading = answered.get(endpoint)
            if endpoint.kind == "postgresql":
                [(endpoint.version,)] = self.env.execute_query(
                    SQL("SELECT split_part(current_setting('server_version'), ' ', 1)")
                )
            if isinstance(reading, QueryError):
                endpoint.console_error = "\n".join(endpoint._explain(reading))
            elif reading:
                lists = readings.by_key(reading.answers["SHOW LISTS"], "list", "items")
                settings = readings.by_key(reading.answers["SHOW CONFIG"])
                endpoint.update({name: lists[name] for name in nothing.keys() & lists.keys()})
                endpoint.version = reading.version
                endpoint.version_warning = endpoint._version_warning(reading.version, settings)
                endpoint.state = readings.console_state(reading.answers["SHOW STATE"])
                endpoint.started_at = reading.started_at and EPOCH + timedelta(seconds=reading.started_at)
                endpoint.is_admin = endpoint._is_admin(settings)
                endpoint.max_client_conn = readings.whole(settings.get("max_client_conn"))

    def _is_admin(self, settings):
        """Return whether the user of this endpoint may run more than SHOW.

        Only the settings show it without running a command that changes something.

        :param dict settings: SHOW CONFIG, name -> text
        """
        # Over a unix socket, the operating system user that runs PgBouncer needs no entry.
        is_stats_user = readings.is_listed(self.user, settings.get("stats_users"))
        is_owner = self.user == "pgbouncer" and is_unix_socket(self.host) and not is_stats_user
        is_listed = readings.is_listed(self.user, settings.get("admin_users"))
        return is_listed or settings.get("auth_type") == "any" or is_owner

    @api.model
    def _version_warning(self, version, settings):
        found = vulnerabilities(readings.version_tuple(version), settings)
        if not found:
            return False
        names, fixed = describe(found)
        return self.env._(
            "PgBouncer %(version)s has known vulnerabilities: %(names)s. They are fixed in %(fixed)s. Distributions "
            "fix them without a new version number: check the changelog of your package.",
            version=version,
            names=names,
            fixed=fixed,
        )
