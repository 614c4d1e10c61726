"""What the console of a PgBouncer reports about itself."""

from datetime import timedelta

from odoo import api, models
from odoo.tools import SQL

from ...analysis import readings
from ...probes.address import is_unix_socket
from ...probes.errors import QueryError
from ...tools import EPOCH


class ConnectionEndpoint(models.Model):
    _inherit = "connection.endpoint"

    @api.depends_context("lang", "tz")
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
            if isinstance(reading, QueryError):
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
        is_owner = self.user == "pgbouncer" and is_unix_socket(self.host) and not is_stats_user
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
