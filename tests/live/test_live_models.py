from odoo.models import MAGIC_COLUMNS
from odoo.tests import TransactionCase, tagged

from ..test_access import LIVE_MODELS


@tagged("-at_install", "post_install")
class TestLiveModels(TransactionCase):
    def test_every_column_is_explained(self):
        """Many column names of PgBouncer are misleading: cl_active is no load, wait is not only waiting."""
        for model in LIVE_MODELS:
            for name, field in self.env[model]._fields.items():
                if name not in (*MAGIC_COLUMNS, "display_name"):
                    self.assertTrue(field.help, f"{model}.{name}")
