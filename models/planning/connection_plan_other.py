"""The programs beside Odoo that a plan counts."""

from odoo import api, fields, models

from ...fields import LargeInteger


class ConnectionPlanOther(models.Model):
    """A program beside Odoo that connects to PostgreSQL, e.g. backups, psql or reports."""

    _name = "connection.plan.other"
    _description = "Other Program of a Plan"
    _order = "sequence, id"

    plan_id = fields.Many2one("connection.plan", required=True, ondelete="cascade", index=True)
    sequence = fields.Integer(default=10)
    name = fields.Char("Program", required=True)
    count = LargeInteger("Connections", required=True, default=1, help="Its connections at the same time.")
    is_pooled = fields.Boolean(
        "Pooled",
        help="It connects through PgBouncer, which suits short transactions. Backups need PostgreSQL itself.",
    )

    @api.constrains("name", "count")
    def _check_plan(self):
        self.plan_id._check_inputs()
