"""What a Manager does with findings: check now, accept, revoke."""

from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command

from ...tools import format_number, labelled, notification
from .connection_advice import NOT_ACCEPTED


class ConnectionAdvice(models.Model):
    _inherit = "connection.advice"

    @api.model
    def _check_manager(self):
        self.env["connection.advice.acceptance"].check_access("create")

    @api.model
    def action_read(self):
        """Read the installation now, and notify the user of the result."""
        self._check_manager()
        is_read, title = self._read(), self.env._("Advice")
        if is_read is None:
            message = self.env._("The installation is being read right now. Try again in a few seconds.")
            return notification(title, message, "warning")
        if not is_read:
            return notification(title, self._failure(), "danger")
        return notification(title, self._summary(self.search([("is_accepted", "=", False)])), "success")

    def action_accept(self, reason, until):
        """Accept findings until the end of a day, and log it in the chatter.

        :param str reason: why it is accepted
        :param until: a date, or its text as 2026-12-31
        :return: True, because XML-RPC has no None
        """
        self._check_manager()
        until = fields.Date.to_date(until)
        if not (reason or "").strip():
            raise UserError(self.env._("Enter the reason why it is accepted."))
        if not until or until < fields.Date.today():
            raise UserError(self.env._("Enter a date that is not in the past."))
        self.check_access("read")
        reason = reason.strip()
        values = {"accepted_by": self.env.uid, "accepted_at": fields.Datetime.now(), "accepted_until": until}
        for advice in self.sudo():
            advice.write(values | {"accept_reason": reason, "accepted_databases": advice.databases})
        text = self.env._("Accepted until %(until)s: %(reason)s", until=until, reason=reason)
        return self._log_in_chatter(text)

    def action_revoke(self):
        """End the acceptance, and log it in the chatter."""
        self._check_manager()
        self.check_access("read")
        accepted = self.filtered("is_accepted")
        accepted.sudo().write(NOT_ACCEPTED)
        return accepted._log_in_chatter(self.env._("No longer accepted"))

    def _log_in_chatter(self, text):
        """Log in the chatter of each endpoint what was done with which of its findings."""
        for endpoint, of_endpoint in self.grouped("endpoint_id").items():
            endpoint.sudo()._message_log(body=f"{', '.join(of_endpoint.mapped('name'))}. {text}")
        return True

    @api.model
    def _summary(self, advice):
        """Return how many findings there are of each level, as a text."""
        counts = {level: len(records) for level, records in advice.grouped("level").items()}
        found = [
            labelled(self.env, label, format_number(self.env, counts[level]))
            for level, label in self._fields["level"]._description_selection(self.env)
            if level in counts
        ]
        return ", ".join(found) or self.env._("No Findings")


class ConnectionAdviceAcceptance(models.TransientModel):  # pylint: disable=no-wizard-in-models
    """The dialog in which findings are accepted."""

    _name = "connection.advice.acceptance"
    _description = "Acceptance of Connection Advice"

    advice_ids = fields.Many2many(
        "connection.advice",
        required=True,
        default=lambda self: [Command.set(self.env.context.get("active_ids", []))],
    )
    reason = fields.Text(required=True)
    until = fields.Date(
        "Accepted Until",
        required=True,
        default=lambda self: fields.Date.today() + timedelta(days=90),
        help="The last day. The finding is open again afterwards, or when it changes.",
    )

    def action_accept(self):
        self.advice_ids.action_accept(self.reason, self.until)
