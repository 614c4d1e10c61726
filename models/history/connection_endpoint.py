"""Samples of an endpoint."""

from odoo import models
from odoo.exceptions import UserError

from ...tools import format_number, notification, selection_label


class ConnectionEndpoint(models.Model):
    _inherit = "connection.endpoint"

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
        return notification(title, message, "success")

    def action_sample(self):
        """Take a sample, and tell the user what it found."""
        answer, _problem = self._sample_now()
        if not answer:
            return self._no_connection()
        message = self.env._(
            "Level %(level)s: %(used)s of %(capacity)s connections are used.",
            level=selection_label(self, "level", self.level),
            used=format_number(self.env, self.used, 0),
            capacity=format_number(self.env, self.capacity, 0),
        )
        kind = "warning" if self.last_error else "success"
        message = "\n".join(filter(None, [message, self.last_error]))
        return notification(self.env._("%s was measured", self.name), message, kind)

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
        return notification(title, self.last_error, "danger")

    def action_open_samples(self):
        """The history of this endpoint; of a PgBouncer, that of its pools."""
        action = self.env["ir.actions.act_window"]._for_xml_id("pgbouncer_monitor.connection_sample_action")
        context = {"search_default_last_hour": 1}
        if self.kind == "pgbouncer":
            context |= {"search_default_pools": 1, "graph_groupbys": ["minute", "database", "user"]}
        return action | {"domain": [("endpoint_id", "=", self.id)], "context": context}
