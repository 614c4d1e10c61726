"""What an endpoint and its card show of the last reading, and which alert it has."""

from odoo.tests import tagged

from ..common import endpoint_values
from .cases import AdviceCase

NOT_CHECKED = ("unknown", "Not Checked", None)


@tagged("-at_install", "post_install")
class TestAdvisedEndpoints(AdviceCase):
    def shown(self, endpoint):
        """Return the level and the words, and the number of critical findings, which alerts depend on."""
        self.env.invalidate_all()
        critical = self.Advice._critical(endpoint)
        return endpoint.advice_level, endpoint.advice_summary, None if critical is None else len(critical)

    def test_never_and_outdated(self):
        self.assertEqual(self.shown(self.endpoint), NOT_CHECKED)
        self.find(self.endless("critical"))
        self.assertEqual(self.shown(self.endpoint), ("critical", "Critical: 1", 1))
        self.assertEqual(self.shown(self.postgresql), ("ok", "No Findings", 0))
        with self.clock_forward(3 * 86400):
            self.assertEqual(self.shown(self.endpoint), ("unknown", "Critical: 1 (outdated)", None))

    def test_a_reading_that_did_not_reach_it(self):
        self.find(self.endless("critical"))
        self.find(self.gap("console", name="Test PgBouncer"), silent=self.endpoint)
        self.assertEqual(self.shown(self.endpoint), NOT_CHECKED)
        self.assertEqual(self.shown(self.postgresql), ("ok", "No Findings", 0))
        self.find(silent=self.postgresql)
        self.assertEqual(self.shown(self.endpoint), ("ok", "No Findings", 0))
        self.assertEqual(self.shown(self.postgresql), NOT_CHECKED)

    def test_archived(self):
        """A PgBouncer has no open findings then. Those of PostgreSQL stay: no other endpoint has those of Odoo."""
        [critical, accepted, of_postgresql] = self.find(
            self.endless("critical"), self.endless(setting="a"), self.endless("hint", console=False)
        )
        accepted.action_accept("A test", "9999-01-01")
        (self.endpoint + self.postgresql).active = False
        self.assertEqual(self.Advice.search([]), of_postgresql)
        self.assertFalse(critical.exists() or accepted.active)
        self.endpoint.active = True
        self.assertEqual(self.shown(self.endpoint), NOT_CHECKED)
        self.assertEqual(self.find(self.endless(setting="a")), accepted)
        self.assertTrue(accepted.is_accepted)

    def test_a_change_after_the_reading(self):
        later = self.endpoint.create(endpoint_values(name="Unarchived later", active=False))
        self.find()
        later.active = True
        self.assertEqual(self.shown(later), NOT_CHECKED)
        self.assertEqual(self.shown(self.endpoint.create(endpoint_values(name="Created later"))), NOT_CHECKED)
        self.endpoint.host = "other.example.com"
        self.assertEqual(self.shown(self.endpoint), NOT_CHECKED)
