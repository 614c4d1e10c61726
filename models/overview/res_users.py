from odoo import api, fields, models


class ResUsers(models.Model):
    _inherit = "res.users"

    has_connection_light = fields.Boolean(
        "Database Connections in the Menu Bar",
        compute="_compute_has_connection_light",
        inverse="_inverse_has_connection_light",
        help="Shows the worst level and the number of open alerts in the menu bar. Takes effect when the page is "
        "reloaded.",
    )

    @property
    def SELF_READABLE_FIELDS(self):
        return [*super().SELF_READABLE_FIELDS, "has_connection_light"]

    @property
    def SELF_WRITEABLE_FIELDS(self):
        return [*super().SELF_WRITEABLE_FIELDS, "has_connection_light"]

    @api.depends("res_users_settings_id.has_connection_light")
    def _compute_has_connection_light(self):
        for user in self:
            settings = user.sudo().res_users_settings_id
            user.has_connection_light = not settings or settings.has_connection_light

    def _inverse_has_connection_light(self):
        for user in self:
            # The settings are those of the user who writes: nobody changes those of others.
            settings = self.env["res.users.settings"]._find_or_create_for_user(user).with_env(self.env)
            settings.has_connection_light = user.has_connection_light
