"""Settings that other models read: intervals of scheduled actions, numbers and switches. Touches system parameters
and crons."""

from datetime import timedelta

from odoo import api, fields, models
from odoo.tools import str2bool
from odoo.tools.constants import GC_UNLINK_LIMIT

from ...odoo_internals import cron_interval

# Numbers and switches that are stored as system parameters, and their defaults.
DEFAULTS = {
    "minute_days": 7,
    "sample_days": 400,
    # The repeat_interval of Prometheus's Alertmanager.
    "reminder_hours": 4.0,
    # The first steps on the Overview, until they are done or a Manager dismisses them.
    "are_steps_shown": True,
}


class ConnectionSettings(models.AbstractModel):
    """The settings of all endpoints. The settings page shows and changes them."""

    _name = "connection.settings"
    _description = "Settings of Database Connections"

    @api.model
    def _value(self, name):
        """Return the current value of one of DEFAULTS, False if it is empty."""
        value = self.env["ir.config_parameter"].sudo().get_param(f"pgbouncer_monitor.{name}")
        if value == "False":
            return False
        default = DEFAULTS[name]
        try:
            convert = str2bool if isinstance(default, bool) else type(default)
            return convert(value) if value else default
        except ValueError:  # the parameter can be edited by hand
            return default

    @api.model
    def _set_value(self, name, value):
        """Set one of DEFAULTS. False is empty."""
        # Compared as texts: 0 and False are equal in Python.
        if str(value) != str(self._value(name)):
            self.env["ir.config_parameter"].sudo().set_param(f"pgbouncer_monitor.{name}", str(value))

    @api.model
    def _cron(self, name):
        """Return a scheduled action of this module, active or not; an empty recordset if it was deleted."""
        cron = self.env.ref(f"pgbouncer_monitor.ir_cron_{name}", raise_if_not_found=False)
        return cron.sudo() if cron else self.env["ir.cron"].sudo()

    @api.model
    def _interval(self, name):
        """Return the interval of a scheduled action of this module, in seconds."""
        return cron_interval(self._cron(name))

    @api.model
    def _delete_old(self, model, name):
        """Delete a batch of records that are older than the days of history, for Odoo's autovacuum.

        :param str name: the field with the time of the record
        :return: how many records were deleted, and whether there are more
        """
        days = self._value("sample_days")
        if days is False:
            return 0, 0
        old = model.search([(name, "<", fields.Datetime.now() - timedelta(days=days))], limit=GC_UNLINK_LIMIT)
        old.unlink()
        return len(old), int(len(old) == GC_UNLINK_LIMIT)
