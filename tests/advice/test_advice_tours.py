from odoo.tests import tagged

from ...advice.findings import Finding
from ..common import TourCase, endpoint_values
from .cases import STEP, answering

LIST = "/odoo/connection-advice"


class AdviceTourCase(TourCase):
    def setUp(self):
        super().setUp()
        self.endpoint = self.env["connection.endpoint"].create(endpoint_values())
        evidence = {"query_wait_timeout": 0}
        endless = Finding("endless_queue", "critical", self.endpoint.id, (), "", evidence, steps=(STEP, STEP))
        self.enterContext(answering(self.env, endless))


@tagged("-at_install", "post_install")
class TestAdviceTours(AdviceTourCase):
    def test_manager(self):
        """Check, read the remedy, accept, revoke; the Overview and the endpoint say the same."""
        self.start_tour(LIST, "pgbouncer_monitor_advice", login="admin", timeout=120)
        advice = self.env["connection.advice"].search([])
        self.assertFalse(advice.is_accepted)
        self.assertIn("Only a test", self.endpoint.message_ids[1].body)


@tagged("-at_install", "post_install")
class TestAdviceOnPhone(AdviceTourCase):
    browser_size = "375x812"
    touch_enabled = True

    def test_phone(self):
        self.start_tour(LIST, "pgbouncer_monitor_advice_phone", login="admin", timeout=120)
