"""SHOW CONFIG."""

from odoo import api, fields, models


class PgbouncerSetting(models.Model):
    """One row of SHOW CONFIG: a setting that PgBouncer works with. Not all of them: see probes.settings."""

    _name = "pgbouncer.setting"
    _inherit = "pgbouncer.show"
    _description = "PgBouncer Setting"
    _auto = False
    _rec_name = "key"
    _order = "endpoint_id, key"
    _show_commands = ("SHOW CONFIG",)

    key = fields.Char("Setting", readonly=True, help="Its name in pgbouncer.ini.")
    value = fields.Char(readonly=True, help="As PgBouncer says it: without a unit.")
    default = fields.Char(readonly=True, help="What it is if pgbouncer.ini does not set it.")
    changeable = fields.Char(readonly=True, help="no: takes effect at the next start, not at RELOAD.")
    is_changed = fields.Boolean("Not the Default", readonly=True, help="Whether the value is another than the default.")

    @api.model
    def _make_rows(self, endpoint_id, rows):
        made = super()._make_rows(endpoint_id, rows)
        for row in made:
            row["is_changed"] = (row.get("value") or "") != (row.get("default") or "")
        return made
