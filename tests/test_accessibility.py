from pathlib import Path
from unittest.mock import patch

from odoo.tests import tagged
from odoo.tools.misc import file_path

from odoo.addons.web.models.ir_http import IrHttp

from .common import TILL, TourCase, connect_pooled, endpoint_values, variable


@tagged("-at_install", "post_install")
class TestAccessibility(TourCase):
    """axe-core finds nothing serious on the first steps, the Overview, the light in the menu bar and the cards."""

    def check(self):
        postgresql = self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql")
        postgresql.active = True
        endpoint = self.env["connection.endpoint"].create(endpoint_values())
        client = connect_pooled(dbname=TILL)
        self.addCleanup(client.close)
        self.env["connection.alert"].create(
            {"endpoint_id": endpoint.id, "rule": "maxwait", "level": "critical", "opened_at": "2026-01-02 03:04:05"}
        )
        values = {"listener": "bus", "verdict": "direct", "level": "ok"}
        self.env["connection.check"].create(values | {"conclusion": {"text": "It listens."}})
        self.refresh()
        self.env["connection.sample"]._sample(postgresql + endpoint)
        code = Path(variable("AXE_CORE")).read_text()
        code += Path(file_path("pgbouncer_monitor/static/tests/check_accessibility.js")).read_text()
        ready = "!!document.querySelector('.o_first_steps')"
        self.browser_js("/odoo/connection-overview", code, ready=ready, login="admin", timeout=90)

    def test_light_colors(self):
        self.check()

    def test_dark_colors(self):
        # Odoo Community has the colors, and no switch.
        with patch.object(IrHttp, "color_scheme", lambda _self: "dark"):
            self.check()
