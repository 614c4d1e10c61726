from odoo import fields, models


class ResUsersSettings(models.Model):
    _inherit = "res.users.settings"

    has_connection_light = fields.Boolean("Database Connections in the Menu Bar", default=True)
