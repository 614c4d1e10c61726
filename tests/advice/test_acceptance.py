"""Findings that are accepted, and the alert about critical ones."""

from datetime import timedelta

from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import tagged

from ...advice.findings import Finding
from ..cases import POOL, AlertCase
from .cases import AdviceCase


def days(number):
    return fields.Date.today() + timedelta(days=number)


@tagged("-at_install", "post_install")
class TestAcceptance(AdviceCase):
    def accept(self, advice, number=30):
        advice.action_accept("Only a test server", days(number))

    def test_accept_and_revoke(self):
        advice = self.find(self.endless())
        self.accept(advice)
        self.assertEqual((advice.accepted_by, advice.accept_reason), (self.env.user, "Only a test server"))
        self.assertTrue(advice.is_accepted)
        self.assertEqual(self.Advice.search([("is_accepted", "=", True)]), advice)
        self.assertFalse(self.Advice.search([("is_accepted", "=", False)]))
        log = self.endpoint.message_ids[0].body
        self.assertIn(f"Endless Queue. Accepted until {days(30)}: Only a test server", log)
        advice.action_revoke()
        self.assertFalse(advice.is_accepted or advice.accept_reason)
        self.assertIn("Endless Queue. No longer accepted", self.endpoint.message_ids[0].body)

    def test_a_reason_and_a_date_are_needed(self):
        advice = self.find(self.endless())
        for reason, until in ((" ", days(1)), (False, days(1)), ("r", False), ("r", days(-1))):
            with self.assertRaises(UserError):
                advice.action_accept(reason, until)
        advice.action_accept("r", str(days(0)))

    def test_until_a_date(self):
        advice = self.find(self.endless())
        self.accept(advice, 2)
        with self.clock_forward(2 * 86400):
            self.env.invalidate_all()
            self.assertTrue(advice.is_accepted)
        with self.clock_forward(3 * 86400):
            self.env.invalidate_all()
            self.assertFalse(advice.is_accepted)
            self.assertEqual(self.Advice.search([("is_accepted", "=", False)]), advice)

    def test_what_ends_an_acceptance(self):
        for change, is_accepted in (
            ({}, True),
            ({"figures": {"count": 8}}, True),
            ({"steps": ()}, True),
            ({"level": "critical"}, False),
            ({"evidence": {"query_wait_timeout": 9}}, False),
            ({"databases": ("shop", "blog")}, False),
        ):
            with self.subTest(change):
                advice = self.find(self.endless(databases=("shop",), figures={"count": 7}))
                self.accept(advice)
                self.assertEqual(self.find(self.endless(**{"databases": ("shop",)} | change)), advice)
                self.assertEqual(advice.is_accepted, is_accepted)
                advice.unlink()

    def test_databases_that_come_and_go(self):
        """PgBouncer has those of a line ``*`` while they are in use."""
        advice = self.find(self.endless(databases=("blog", "shop")))
        self.accept(advice)
        for databases, is_accepted in ((("shop",), True), (("blog", "shop"), True), (("blog", "new"), False)):
            self.find(self.endless(databases=databases))
            self.assertEqual((advice.databases, advice.is_accepted), ([*databases], is_accepted))

    def test_an_accepted_finding_that_comes_back(self):
        advice = self.find(self.endless())
        self.accept(advice)
        self.assertFalse(self.find())
        self.assertTrue(advice.exists())
        self.assertEqual(self.find(self.endless()), advice)
        self.assertTrue(advice.is_accepted)
        self.find()
        with self.clock_forward(31 * 86400):
            self.find()
        self.assertFalse(advice.exists(), "the acceptance has ended")


@tagged("-at_install", "post_install")
class TestAlert(AdviceCase, AlertCase):
    def critical(self, *codes):
        return self.find(*(Finding(code, "critical", self.endpoint.id) for code in codes), self.endless())

    def subjects(self, minute):
        return self.minute(minute, pools=[POOL]).mapped("subject")

    def test_alert(self):
        self.assertEqual(self.subjects(0), [], "never read: unknown")
        self.critical("one", "two")
        self.assertEqual(self.subjects(1), ["Critical: Critical Advice: Test PgBouncer"])
        message = self.messages()[-1]
        self.assertIn("2 findings (Critical from 1 finding)<br>Findings: one, two<", message.body)
        self.assertIn("Open Advice and follow the remedies", message.body)
        self.assertEqual(self.subjects(2), [])

        self.critical("one", "two", "three")
        self.assertEqual(self.subjects(3), ["Critical: Critical Advice: Test PgBouncer"])
        self.assertIn("New: three<br>Still found: one, two<", self.messages()[-1].body)
        self.assertEqual(self.subjects(4), [])

        self.critical("two", "three")
        self.assertEqual(self.subjects(5), ["Partly resolved: Critical Advice: Test PgBouncer"])
        self.assertIn("<li>Still found: three, two</li>", self.messages()[-1].body)
        self.assertIn("<li>No longer found, or accepted: one</li>", self.messages()[-1].body)
        self.assertEqual(self.subjects(6), [])

        alert = self.Alert.search([("rule", "=", "critical_advice")])
        self.assertTrue(alert.situation.endswith("UTC: Findings: three, two"))
        self.critical("four", "three")
        self.assertEqual(self.subjects(7), ["Critical: Critical Advice: Test PgBouncer"])
        self.assertIn("New: four<br>Still found: three<br>No longer found, or accepted: two<", self.messages()[-1].body)
        self.assertEqual(self.subjects(8), [])

        advice = self.critical("four", "three").filtered(lambda advice: advice.level == "critical")
        advice.action_accept("Known", days(9))
        self.assertEqual(self.subjects(9), ["Resolved: Critical Advice: Test PgBouncer"])
        self.assertEqual(len(self.Alert.search([("rule", "=", "critical_advice")])), 1)

    def test_an_outdated_reading_resolves_nothing(self):
        self.critical("one")
        self.subjects(0)
        self.assertEqual(self.subjects(3 * 1440), ["Still open: Critical Advice: Test PgBouncer"])
        self.assertFalse(self.Alert.search([("rule", "=", "critical_advice")]).closed_at)

    def test_findings_of_postgresql(self):
        self.find(Finding("one", "critical"))
        [message] = self.minute(0, self.postgresql)
        self.assertEqual(message.subject, "Critical: Critical Advice: PostgreSQL of this Odoo")
        self.assertEqual(self.subjects(1), [])
