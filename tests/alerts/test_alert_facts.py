"""An alert stores facts: each reader gets the texts in their own language."""

import time
from unittest.mock import patch

from odoo import fields
from odoo.modules import get_module_path
from odoo.modules.migration import load_script
from odoo.tests import new_test_user
from odoo.tools import mute_logger
from odoo.tools.translate import code_translations

from ..cases import AlertCase

MODULE = "pgbouncer_monitor"
LANGUAGE = "fr_FR"


class _Prefixed(dict):
    """A translation that has every text."""

    def get(self, source, default=None):
        return f"~{source}"


class TestFacts(AlertCase):
    def setUp(self):
        super().setUp()
        self.env["res.lang"]._activate_lang(LANGUAGE)
        translation = patch.dict(code_translations.python_translations, {(MODULE, LANGUAGE): _Prefixed()})
        self.startPatcher(translation)

    def open_alert(self, **context):
        """An alert about clients that wait, opened in the language of a context."""
        self.set_rule("waiting_samples", warning=1)
        self.grant_monitor()
        for _number in range(6):
            self.start("BEGIN; SELECT 'a secret', pg_sleep(5)", application_name="till")
        time.sleep(0.3)
        self.refresh()
        self.Sample = self.Sample.with_context(**context)
        self.take()
        return self.Alert.search([])

    def as_user(self, alert, language):
        user = new_test_user(self.env, language, groups="pgbouncer_monitor.group_manager", lang=language)
        return alert.with_env(self.env(user=user, context=user.with_user(user).context_get()))

    def test_each_reader_has_their_own_language(self):
        alert = self.open_alert(lang=LANGUAGE)
        english, french = self.as_user(alert, "en_US"), self.as_user(alert, LANGUAGE)
        for name in ("situation", "evidence", "advice", "worst", "display_name"):
            self.assertNotIn("~", english[name], name)
        for name in ("situation", "evidence", "advice"):
            self.assertIn("~", french[name], name)
        for reader in (english, french):
            self.assertRegex(reader.situation, r"^~?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: ~?Servers in use: 5 of 5\. ")
            self.assertIn("PID", reader.evidence)
            self.assertIn("a secret", reader.queries)

    def test_message_is_in_the_language_of_the_company(self):
        self.open_alert()
        self.Alert.with_context(lang=LANGUAGE)._notify()
        [message] = self.messages()
        self.assertNotIn("~", message.body)
        self.env.company.partner_id.lang = LANGUAGE
        alert = self.Alert.search([])
        alert.reported_level = False
        alert.reported_at = False
        self.Alert.with_context(lang="en_US")._notify()
        message = self.messages()[-1]
        self.assertIn("~Clients of a pool are waiting", message.body)
        self.assertIn("~PID", message.body)

    def test_facts_have_no_queries(self):
        alert = self.open_alert()
        self.assertNotIn("secret", f"{alert.situation_facts} {alert.evidence_facts}")
        self.assertEqual(str(alert.queries_facts).count("a secret"), 5)

    def test_text_is_kept_when_the_endpoint_is_deleted(self):
        reason = patch.object(
            type(self.endpoint),
            "_reason_text",
            lambda endpoint, facts: f"{endpoint.name} has {facts['code']}",
            create=True,
        )
        self.startPatcher(reason)
        now = fields.Datetime.now()
        facts = {"at": "2026-01-01 00:00:00", "reason": {"code": "login"}}
        values = {"rule": "unanswered_samples", "level": "critical", "opened_at": now, "closed_at": now}
        alert = self.Alert.create(values | {"endpoint_id": self.endpoint.id, "situation_facts": facts})
        words = "2026-01-01 00:00:00 UTC: Test PgBouncer has login"
        self.assertEqual(alert.situation, words)
        self.endpoint.unlink()
        self.assertFalse(alert.endpoint_id)
        self.assertEqual(alert.situation, words)

    def test_alert_whose_evidence_fails(self):
        failing = patch.object(type(self.Alert), "_concerned", side_effect=ZeroDivisionError("nothing there"))
        with failing, mute_logger("odoo.addons.pgbouncer_monitor.models.alerts.connection_alert_evidence"):
            self.waited(2, 2)
        alert = self.Alert.search([])
        self.assertIn("The sessions could not be read: nothing there", alert.evidence)
        self.assertFalse(alert.queries)

    def test_old_texts_are_kept_by_the_upgrade(self):
        now = fields.Datetime.now()
        values = {"level": "warning", "opened_at": now, "closed_at": now, "endpoint_id": self.endpoint.id}
        old, empty = self.Alert.create([values | {"rule": "maxwait"}, values | {"rule": "paused_samples"}])
        self.env.flush_all()
        for facts in ("situation_facts", "evidence_facts", "queries_facts"):
            column = facts.removesuffix("_facts")
            self.env.cr.execute(f"ALTER TABLE connection_alert DROP {facts}, ADD IF NOT EXISTS {column} text")
        self.env.cr.execute("ALTER TABLE connection_alert RENAME reported_level TO told_level")
        self.env.cr.execute("ALTER TABLE connection_alert RENAME reported_at TO told_at")
        self.env.cr.execute(
            "UPDATE connection_alert SET situation = %s, evidence = %s, queries = %s, told_level = 'ok' WHERE id = %s",
            ["2026-01-01: “Ça” attend.", "<p>PID 1</p><script>x</script>", "<code>SELECT 1 &lt; 2</code>", old.id],
        )
        script = load_script(f"{get_module_path(MODULE)}/migrations/19.0.2.0.0/pre-alerts.py", "pre-alerts")
        for _number in range(2):
            script.migrate(self.env.cr, "19.0.1.0.0")
        self.env.invalidate_all()
        self.assertEqual(old.situation, "2026-01-01: “Ça” attend.")
        self.assertEqual(str(old.evidence), "<p>PID 1</p>")
        self.assertIn("SELECT 1 &lt; 2", old.queries)
        self.assertEqual(old.reported_level, "ok")
        self.assertEqual((empty.situation, empty.evidence, empty.queries), (False, False, False))
