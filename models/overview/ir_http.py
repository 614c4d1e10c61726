from odoo import models

VIEWER = "pgbouncer_monitor.group_viewer"


class IrHttp(models.AbstractModel):
    _inherit = "ir.http"

    def session_info(self):
        """Add whether the user is a Viewer: the web client needs no request to learn it."""
        info = super().session_info()
        info["groups"][VIEWER] = self.env.user.has_group(VIEWER)
        return info
