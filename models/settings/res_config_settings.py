"""The settings page. Shows and stores what `connection.settings` and the rules hold."""

import math

from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ...fields import NullableFloat, NullableInteger
from ...tools import format_number
from ..endpoint.connection_settings import DEFAULTS

# The settings of this module, whose changes are logged. Odoo itself stores the last one.
OWN, CHANNEL = ("is_sampling", "sample_minutes", *DEFAULTS, "is_checking", "check_hours"), "alert_channel_id"


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    # With `config_parameter`, Odoo replaces 0 and empty by the default. So get_values and set_values handle these.
    is_sampling = fields.Boolean("Log Connection Pressure")
    sample_minutes = fields.Integer("Sampling Interval (minutes)")
    minute_days = NullableInteger(
        "Keep Each Sample (days)", help="After this many days, the samples of an hour are merged into one."
    )
    sample_days = NullableInteger(
        "Keep the Samples of Hours (days)", help="After this many days, samples and resolved alerts are deleted."
    )
    is_checking = fields.Boolean("Check LISTEN Regularly")
    check_hours = fields.Integer("Hours between Checks")
    connection_rule_ids = fields.Many2many(
        "connection.rule", default=lambda self: self.env["connection.rule"].search([("endpoint_id", "=", False)])
    )
    reminder_hours = NullableFloat("Hours until a Reminder", help="Leave empty for no reminders.")
    are_steps_shown = fields.Boolean("First Steps on the Overview")
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
        return super().get_values() | self._own_values()

    @api.model
    def _own_values(self):
        """Return name -> value of the OWN settings."""
        shared = self.env["connection.settings"]
        return (
            {"is_sampling": shared._cron("sample").active, "sample_minutes": shared._interval("sample") // 60}
            | {"is_checking": shared._cron("check").active, "check_hours": shared._interval("check") // 3600 or 1}
            | {name: shared._value(name) for name in DEFAULTS}
        )

    def set_values(self):
        before = self._logged_values()
        result = super().set_values()
        for name in DEFAULTS:
            self.env["connection.settings"]._set_value(name, self[name])
        self._set_cron("sample", "is_sampling", "sample_minutes")
        self._set_cron("check", "is_checking", "check_hours")
        self._log_changes(before, self._logged_values())
        return result

    @api.model
    def _logged_values(self):
        """Return name -> value of the module's settings that are in force, in words."""
        values, channel = self._own_values(), self.env["connection.endpoint"]._alert_channel()
        return {name: self._value_text(name, values[name]) for name in OWN} | {CHANNEL: channel.display_name or "–"}

    @api.model
    def _value_text(self, name, value):
        if self._fields[name].type == "boolean":
            return self.env._("on") if value else self.env._("off")
        return format_number(self.env, value) if value is not False else "–"

    @api.model
    def _log_changes(self, before, now):
        """Log changed settings where they stay: in the chatter of the endpoint that cannot be deleted."""
        changes = [
            Markup("<li>%s: %s → %s</li>") % (self._fields[name]._description_string(self.env), before[name], now[name])
            for name in (*OWN, CHANNEL)
            if before[name] != now[name]
        ]
        endpoint = self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql", raise_if_not_found=False)
        if changes and endpoint:
            title = self.env._("Settings changed:")
            endpoint._message_log(body=Markup("%s<ul>%s</ul>") % (title, Markup().join(changes)))

    def _set_cron(self, name, is_on, number):
        shown = self._own_values()
        if (self[is_on], self[number]) != (shown[is_on], shown[number]):
            interval = {"interval_number": self[number], "interval_type": number.rpartition("_")[2]}
            values = interval | {"active": self[is_on], "nextcall": fields.Datetime.now()}
            self.env["connection.settings"]._cron(name).write(values)
