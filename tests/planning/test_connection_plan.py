from odoo.tests import TransactionCase, tagged

from ...planner.inputs import Inputs, Other


@tagged("-at_install", "post_install")
class TestConnectionPlan(TransactionCase):
    def test_inputs(self):
        """What is entered is what the planner gets; a new plan has the defaults of the planner."""
        plan = self.env["connection.plan"].create({"name": "Today"})
        self.assertEqual(plan._inputs(), Inputs())
        plan.write(
            {
                "version": "18",
                "memory": 16 * 2**30,
                "mean_busy": 0,
                "db_names": "shop\n\n my shop \n",
                "other_ids": [(0, 0, {"name": "Backup", "count": 2}), (0, 0, {"name": "BI", "is_pooled": True})],
            }
        )
        inputs = plan._inputs()
        self.assertEqual((inputs.version, inputs.memory, inputs.mean_busy), (18, 16 * 2**30, 0))
        self.assertEqual(inputs.db_names, ("shop", "my shop"))
        self.assertEqual(inputs.others, (Other("Backup", 2), Other("BI", 1, is_pooled=True)))
