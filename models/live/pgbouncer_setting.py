"""SHOW CONFIG."""

from odoo import api, fields, models


class PgbouncerSetting(models.Model):
    """One row of SHOW CONFIG. Settings that may hold a secret are left out, see probes.settings."""

    _name = "pgbouncer.setting"
    _inherit = "pgbouncer.show"
    _description = "PgBouncer Setting"
    _auto = False
    _rec_name = "key"
    _order = "endpoint_id, key"
    _show_commands = ("SHOW CONFIG",)

    key = fields.Char("Setting", readonly=True, help="The name in pgbouncer.ini.")
    value = fields.Char(readonly=True, help="As PgBouncer reports it: without a unit.")
    default = fields.Char(readonly=True, help="The value if pgbouncer.ini does not set it.")
    changeable = fields.Char(readonly=True, help="no: takes effect after a restart, not after RELOAD.")
    is_changed = fields.Boolean("Not the Default", readonly=True, help="Whether the value differs from the default.")

    @api.model
    def _make_rows(self, endpoint_id, rows):
        made = super()._make_rows(endpoint_id, rows)
        for row in made:
            row["is_changed"] = (row.get("value") or "") != (row.get("default") or "")
        return made
