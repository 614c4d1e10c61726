from odoo.tests import HttpCase, tagged

from odoo.addons.web.tests import test_js


@tagged("-at_install", "post_install")
class TestHoot(HttpCase):
    def test_javascript(self):
        """Run static/tests/**/*.test.js in Chromium, as Odoo's own module web runs its unit tests."""
        suite = test_js.HOOTCommon._generate_hash(None, "@pgbouncer_monitor")
        self.browser_js(
            f"/web/tests?headless&loglevel=2&preset=desktop&timeout=15000&id={suite}",
            code="",
            login="admin",
            timeout=300,
            success_signal="[HOOT] Test suite succeeded",
            error_checker=test_js.unit_test_error_checker,
        )
