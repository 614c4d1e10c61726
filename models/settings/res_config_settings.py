import math
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools.constants import GC_UNLINK_LIMIT

from ...fields import NullableFloat, NullableInteger
from ...odoo_internals import cron_interval

# The numbers that are kept as system parameters, and what they are until somebody sets them.
DEFAULTS = {
    "minute_days": 7,
    "sample_days": 400,
    # The repeat_interval of Prometheus's Alertmanager.
    "reminder_hours": 4.0,
}


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    # Odoo's own `config_parameter` turns 0 and empty into the default: these are read and written here.
    is_sampling = fields.Boolean("Log Connection Pressure")
    sample_minutes = fields.Integer("Sampling Interval (minutes)")
    minute_days = NullableInteger("Days of Minutes", help="After so many days the samples of an hour become one.")
    sample_days = NullableInteger(
        "Days of History", help="After so many days samples, and alerts that are over, are deleted."
    )
    is_checking = fields.Boolean("Check LISTEN Regularly")
    check_hours = fields.Integer("Hours between Checks")
    connection_rule_ids = fields.Many2many(
        "connection.rule", default=lambda self: self.env["connection.rule"].search([("endpoint_id", "=", False)])
    )
    reminder_hours = NullableFloat("Hours until a Reminder", help="Empty: there are no reminders.")
    alert_channel_id = fields.Many2one(
        "discuss.channel",
        config_parameter="pgbouncer_monitor.alert_channel_id",
        help="All its members see the alerts there, without the sessions.",
    )

    @api.constrains("sample_minutes", "check_hours", "minute_days", "sample_days", "reminder_hours")
    def _check_sampling(self):
        for settings in self:
            if settings.sample_minutes < 1:
                raise ValidationError(
                    self.env._("Connection pressure: enter an interval of at least 1 minute, or switch the log off.")
                )
            if settings.is_checking and settings.check_hours < 1:
                raise ValidationError(
                    self.env._("LISTEN check: enter at least 1 hour between checks, or switch them off.")
                )
            for name in ("minute_days", "sample_days"):
                if settings[name] is not False and settings[name] < 1:
                    raise ValidationError(
                        self.env._(
                            "Connection pressure: enter at least 1 day, or nothing to keep the samples as they are."
                        )
                    )
            if settings.reminder_hours is not False and not 0 < settings.reminder_hours < math.inf:
                raise ValidationError(
                    self.env._("Alerts: enter more than 0 hours until a reminder, or nothing for no reminders.")
                )

    @api.model
    def get_values(self):
        return (
            super().get_values()
            | {"is_sampling": self._cron("sample").active, "sample_minutes": self._interval("sample") // 60}
            | {"is_checking": self._cron("check").active, "check_hours": self._interval("check") // 3600 or 1}
            | {name: self._number(name) for name in DEFAULTS}
        )

    def set_values(self):
        result = super().set_values()
        parameters = self.env["ir.config_parameter"].sudo()
        for name in DEFAULTS:
            # As texts: 0 and False are equal in Python.
            if str(self[name]) != str(self._number(name)):
                parameters.set_param(f"pgbouncer_monitor.{name}", str(self[name]))
        self._set_cron("sample", "is_sampling", "sample_minutes")
        self._set_cron("check", "is_checking", "check_hours")
        return result

    def _set_cron(self, name, is_on, number):
        shown = self.get_values()
        if (self[is_on], self[number]) != (shown[is_on], shown[number]):
            interval = {"interval_number": self[number], "interval_type": number.rpartition("_")[2]}
            self._cron(name).write(interval | {"active": self[is_on], "nextcall": fields.Datetime.now()})

    @api.model
    def _number(self, name):
        """One of DEFAULTS as it is set now; False if it was emptied."""
        value = self.env["ir.config_parameter"].sudo().get_param(f"pgbouncer_monitor.{name}")
        if value == "False":
            return False
        try:
            return type(DEFAULTS[name])(value) if value else DEFAULTS[name]
        except ValueError:  # somebody wrote something else into the parameter
            return DEFAULTS[name]

    @api.model
    def _delete_old(self, model, name):
        """Delete what has this time before the history begins, some at a time, as Odoo's autovacuum wants it."""
        days = self._number("sample_days")
        if days is False:
            return 0, 0
        old = model.search([(name, "<", fields.Datetime.now() - timedelta(days=days))], limit=GC_UNLINK_LIMIT)
        old.unlink()
        return len(old), int(len(old) == GC_UNLINK_LIMIT)

    @api.model
    def _cron(self, name):
        """A scheduled action of this module, switched off or on; nothing if somebody deleted it."""
        cron = self.env.ref(f"pgbouncer_monitor.ir_cron_{name}", raise_if_not_found=False)
        return cron.sudo() if cron else self.env["ir.cron"].sudo()

    @api.model
    def _interval(self, name):
        """How many seconds lie between two runs of a scheduled action of this module."""
        return cron_interval(self._cron(name))
