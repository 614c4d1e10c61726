import re
from pathlib import Path
from unittest.mock import patch

from odoo.tests import new_test_user, tagged
from odoo.tools.translate import code_translations

from ...models.endpoint.problems import POSTGRESQL_PROBLEMS, PROBLEMS
from ...probes import errors
from ...probes.errors import QueryError
from ..common import ServerCase, closed_port

PROBES = Path(errors.__file__).parent
# Not a problem: a command that this server does not know has no rows.
SILENT = {"unknown_command"}


@tagged("-at_install", "post_install")
class TestProblems(ServerCase):
    def explain(self, reason, endpoint=None, **values):
        return (endpoint or self.endpoint)._explain(QueryError(reason, **values))

    def test_every_reason_has_words(self):
        tables = (errors.REASONS, errors.POSTGRESQL_REASONS)
        reasons = {reason for table in tables for _text, reason in table}
        reasons |= {*errors.SQLSTATE_REASONS.values(), *errors.ERRNO_REASONS.values()}
        for file in PROBES.glob("*.py"):
            reasons.update(re.findall(r'QueryError\("(\w+)"', file.read_text()))
        self.assertIn("silent_login", reasons, "one that only the code of the probes has")
        self.assertFalse(reasons - SILENT - PROBLEMS.keys() - POSTGRESQL_PROBLEMS.keys())
        postgresql = self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql")
        for endpoint in (self.endpoint, postgresql):
            for reason in reasons:
                for text in self.explain(reason, endpoint):
                    self.assertTrue(text.strip())
                    self.assertNotIn("%", text, reason)

    def test_words_depend_on_the_kind_of_server(self):
        postgresql = self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql")
        self.assertIn("auth_file", self.explain("wrong_password")[1])
        self.assertIn("PostgreSQL", self.explain("wrong_password", postgresql)[1])
        self.assertEqual(self.explain("full"), self.explain("other"), "a console is never full")
        self.assertNotEqual(self.explain("full", postgresql), self.explain("other", postgresql))

    def test_detail_and_beginning_are_shown(self):
        message, _remedy = self.explain("other", detail="100% odd", since=1767225600)
        self.assertIn("(100% odd)", message)
        self.assertIn("2026", message)

    def test_error_can_be_stored(self):
        error = QueryError("closed", "server\0went", since=12.5)
        again = QueryError.from_facts(error.facts())
        self.assertEqual(again.facts(), {"reason": "closed", "detail": "server\\x00went", "since": 12.5})

    def test_reason_is_read_in_the_readers_language(self):
        """The sampler runs in one language; each reader has another."""
        self.env["res.lang"]._activate_lang("de_DE")
        readers = {
            lang: new_test_user(self.env, f"reader_{lang}", groups="pgbouncer_monitor.group_viewer", lang=lang)
            for lang in ("en_US", "de_DE")
        }
        terms = {text: f"DE {text}" for text in map(self.env._, PROBLEMS["refused"])}
        self.endpoint.port = closed_port()
        self.endpoint.action_test()
        error = QueryError("refused")
        self.endpoint._keep_reading({"reason": self.endpoint._reason(None, error)})
        self.env.flush_all()
        with patch.dict(code_translations.python_translations, {("pgbouncer_monitor", "de_DE"): terms}):
            read = {
                lang: self.endpoint.with_user(user).with_context(lang=lang).last_error for lang, user in readers.items()
            }
        self.assertEqual(read["de_DE"], "\n".join(f"DE {line}" for line in read["en_US"].split("\n")))

    def test_reason_keeps_the_address_that_it_is_about(self):
        reason = self.endpoint._reason(None, QueryError("refused"))
        before = self.endpoint._reason_text(reason)
        self.endpoint.port = closed_port()
        self.assertEqual(self.endpoint._reason_text(reason), before)

    def test_no_reason(self):
        self.assertEqual(self.endpoint._reason(None, None), {})
        for reason in ({}, None, False):
            self.assertIsNone(self.endpoint._reason_text(reason))
        self.assertEqual(self.endpoint._reason_text({"text": "from before"}), "from before")
