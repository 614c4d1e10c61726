"""The settings page. Shows and stores what `connection.settings` and the rules hold."""

import math

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ...fields import NullableFloat, NullableInteger
from ..endpoint.connection_settings import DEFAULTS


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    # With `config_parameter`, Odoo replaces 0 and empty by the default. So get_values and set_values handle these.
    is_sampling = fields.Boolean("Log Connection Pressure")
    sample_minutes = fields.Integer("Sampling Interval (minutes)")
    minute_days = NullableInteger(
        "Days of Minutes", help="After this many days, the samples of an hour are merged into one."
    )
    sample_days = NullableInteger(
        "Days of History", help="After this many days, samples and resolved alerts are deleted."
    )
    is_checking = fields.Boolean("Check LISTEN Regularly")
    check_hours = fields.Integer("Hours between Checks")
    connection_rule_ids = fields.Many2many(
        "connection.rule", default=lambda self: self.env["connection.rule"].search([("endpoint_id", "=", False)])
    )
    reminder_hours = NullableFloat("Hours until a Reminder", help="Leave empty for no reminders.")
    alert_channel_id = fields.Many2one(
        "discuss.channel",
        config_parameter="pgbouncer_monitor.alert_channel_id",
        help="Alerts are also posted in this channel, without the sessions. All its members can read them.",
    )

    @api.constrains("sample_minutes", "check_hours", "minute_days", "sample_days", "reminder_hours")
    def _check_sampling(self):
        for settings in self:
            if settings.sample_minutes < 1:
                raise ValidationError(
                    self.env._("Connection pressure: enter an interval of at least 1 minute, or disable the log.")
                )
            if settings.is_checking and settings.check_hours < 1:
                raise ValidationError(
                    self.env._("LISTEN check: enter at least 1 hour between checks, or disable them.")
                )
            for name in ("minute_days", "sample_days"):
                if settings[name] is not False and settings[name] < 1:
                    raise ValidationError(
                        self.env._("Connection pressure: enter at least 1 day, or leave it empty to keep all samples.")
                    )
            if settings.reminder_hours is not False and not 0 < settings.reminder_hours < math.inf:
                raise ValidationError(
                    self.env._("Alerts: enter more than 0 hours until a reminder, or leave it empty for no reminders.")
                )

    @api.model
    def get_values(self):
        shared = self.env["connection.settings"]
        return (
            super().get_values()
            | {"is_sampling": shared._cron("sample").active, "sample_minutes": shared._interval("sample") // 60}
            | {"is_checking": shared._cron("check").active, "check_hours": shared._interval("check") // 3600 or 1}
            | {name: shared._number(name) for name in DEFAULTS}
        )

    def set_values(self):
        result = super().set_values()
        for name in DEFAULTS:
            self.env["connection.settings"]._set_number(name, self[name])
        self._set_cron("sample", "is_sampling", "sample_minutes")
        self._set_cron("check", "is_checking", "check_hours")
        return result

    def _set_cron(self, name, is_on, number):
        shown = self.get_values()
        if (self[is_on], self[number]) != (shown[is_on], shown[number]):
            interval = {"interval_number": self[number], "interval_type": number.rpartition("_")[2]}
            values = interval | {"active": self[is_on], "nextcall": fields.Datetime.now()}
            self.env["connection.settings"]._cron(name).write(values)
