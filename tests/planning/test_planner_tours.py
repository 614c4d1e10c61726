from odoo.tests import new_test_user, tagged

from ..common import TourCase, endpoint_values
from .common import CLASSIC

LIST = "/odoo/connection-planner"


@tagged("-at_install", "post_install")
class TestPlannerTours(TourCase):
    def setUp(self):
        super().setUp()
        self.env["connection.endpoint"].create(endpoint_values())

    def walk(self, name="", path=LIST, login="admin"):
        self.start_tour(path, f"pgbouncer_monitor_planner{name}", login=login, timeout=120)

    def test_plan(self):
        """Fill in, read the verdict, change a number, read the files, compare."""
        self.walk()
        plan = self.env["connection.plan"].search([("name", "=", "Black Friday")])
        self.assertEqual((plan.expected, plan.memory), (110, 2**34))
        self.assertTrue(plan.comparison)

    def test_viewer(self):
        new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        plan = self.env["connection.plan"].create(CLASSIC)
        self.walk("_viewer", f"{LIST}/{plan.id}", login="viewer")

    def test_nobody(self):
        """A user without the rights, who knows the address, is shown nothing."""
        new_test_user(self.env, "nobody", groups="base.group_user")
        plan = self.env["connection.plan"].create(CLASSIC)
        self.walk("_nobody", f"{LIST}/{plan.id}", login="nobody")

    def test_fill_in(self):
        plan = self.env["connection.plan"].create(CLASSIC)
        self.refresh()
        self.walk("_fill_in", f"{LIST}/{plan.id}")
        self.assertEqual(plan.mean_busy, 2)


@tagged("-at_install", "post_install")
class TestPlannerOnPhone(TourCase):
    browser_size = "390x844"
    touch_enabled = True

    def test_plan(self):
        plan = self.env["connection.plan"].create({"name": "Today"})
        self.start_tour(f"{LIST}/{plan.id}", "pgbouncer_monitor_planner_phone", login="admin", timeout=120)
