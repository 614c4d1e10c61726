import json
from pathlib import Path
from unittest.mock import patch

from odoo.modules.migration import load_script
from odoo.tests import new_test_user, tagged
from odoo.tools.translate import code_translations

from ...probes import listen
from ..pure.findings import BLOCKED, DELIVERED, DIRECT, FAILED, LOST, REJECTED, UNREACHABLE, VERDICTS, found
from .cases import CheckCase

MIGRATION = Path(__file__).parents[2] / "migrations/19.0.2.0.0/post-listen_check.py"
FRENCH = {
    "LISTEN works on this route.": "LISTEN fonctionne.",
    "Configuration": "Réglages",
    "Restart Odoo, and the bus if it is a separate service, so that its listeners reconnect.": "Redémarrez Odoo.",
    (
        "The bus receives no notifications, although a new connection would. Chat and notifications are not live."
    ): "Le bus est sourd.",
}


@tagged("-at_install", "post_install")
class TestWords(CheckCase):
    """Facts are stored, and put into words when they are shown."""

    def test_two_languages(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        key = "pgbouncer_monitor", "fr_FR"
        self.enterContext(patch.dict(code_translations.python_translations, {key: FRENCH}))
        bus, _cron = self.conclude(found(delay=None))
        english, french = (
            bus.with_user(
                new_test_user(self.env, lang, lang=lang, groups="pgbouncer_monitor.group_viewer")
            ).with_context(lang=lang)
            for lang in ("en_US", "fr_FR")
        )
        for reader, words in ((english, list(FRENCH)), (french, list(FRENCH.values()))):
            works, title, remedy, summary = words
            self.assertEqual(reader.summary, summary)
            self.assertEqual(reader.remedy, remedy)
            self.assertIn(works, reader.evidence)
            self.assertEqual(reader.steps[0]["title"], title)
            self.assertEqual(reader.last()[0]["summary"], summary)
            found_ones = reader.search([("summary", "ilike", summary[:12]), ("id", "=", bus.id)])
            self.assertEqual(found_ones, reader)
        self.assertFalse(french.search([("summary", "ilike", "The bus receives no")]))

    def test_everything_has_words(self):
        """Whatever was found."""
        for name, (steps, *_verdicts) in VERDICTS.items():
            for check in self.conclude(steps):
                with self.subTest(name, listener=check.listener):
                    for words in [check.summary, check.evidence, check.remedy]:
                        self.assertNotRegex(words, r"\bNone\b|\bFalse\b|%\(|%s")
                    self.assertTrue(all(step["seen"] and step["means"] for step in check.steps))

    def test_results(self):
        """They are those of the probe, each with words of its own."""
        words = set()
        for result in (DELIVERED, LOST, REJECTED, BLOCKED, FAILED, UNREACHABLE):
            self.assertEqual(tuple(result), listen.ListenResult._fields)
            words |= {self.Run._describe_result(result)[0]}
            seen, _means = self.Run._describe_result(result | {"leftover": 4711})
            self.assertEqual("4711" in seen, result["outcome"] != "delivered")
        self.assertEqual(len(words), 6)

    def test_endpoint_that_was_deleted(self):
        """What was found about it stays."""
        steps = found(DIRECT, bus=DIRECT, job=DIRECT)
        unread = {"id": self.endpoint.id, "name": "Test PgBouncer", "reason": "refused", "detail": ""}
        steps["listeners"]["unread"] = [unread]
        bus, _cron = self.conclude(steps)
        self.assertIn("Test PgBouncer: No server listens at", bus.evidence)
        self.endpoint.unlink()
        self.env.invalidate_all()
        self.assertIn("Test PgBouncer: refused", bus.evidence)

    def test_check_before_facts(self):
        """It is shown as it was."""
        check, other = self.conclude(found())
        step = {"name": "listen", "title": "T", "done": "D", "seen": "S", "means": "M", "level": "ok"}
        remedy = {"title": "R", "lines": "a\nb", "then": "W"}
        self.env.flush_all()
        self.env.cr.execute(
            """ALTER TABLE connection_check
                ADD COLUMN IF NOT EXISTS summary varchar,
                ADD COLUMN IF NOT EXISTS steps jsonb,
                ADD COLUMN IF NOT EXISTS ways jsonb;
            UPDATE connection_check SET conclusion = NULL, step_facts = NULL, remedy_facts = NULL;
            UPDATE connection_check SET summary = 'Found.', steps = %s, ways = %s WHERE id = %s""",
            [json.dumps([step]), json.dumps([remedy]), check.id],
        )
        run = self.Run.browse(self.Run.start()["id"])
        self.env.flush_all()
        load_script(str(MIGRATION), "post_listen_check").migrate(self.env.cr, "19.0.1.0.0")
        self.env.invalidate_all()
        self.assertEqual((check.summary, check.steps, check.remedies), ("Found.", [step], [remedy]))
        self.assertEqual(check.evidence, "1. T [ok]\nD\nS\nM")
        self.assertEqual(check.remedy, "R\na\nb\nW")
        self.assertEqual((other.summary, other.steps, other.remedy), ("", False, ""))
        self.assertFalse(run.exists())
