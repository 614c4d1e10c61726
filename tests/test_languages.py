"""The screens in the languages of i18n, and from right to left."""

import json
import re
from pathlib import Path

import polib

from odoo.tests import tagged
from odoo.tools.misc import file_path

from .common import TourCase

LANGUAGES = {"de": "de_DE", "es": "es_ES", "fr": "fr_FR"}
WORD = re.compile("[A-Za-z]{3}")
PLACEHOLDER = re.compile(r"%(?:\\?\(\w+\\?\))?s")


def pattern(text):
    """Return a regular expression for what users see of a term."""
    return PLACEHOLDER.sub(".+", re.escape(" ".join(text.split())).replace("%%", "%"))


@tagged("-at_install", "post_install")
class TestLanguages(TourCase):
    def setUp(self):
        super().setUp()
        postgresql = self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql")
        postgresql.active = True
        self.env["connection.sample"]._sample(postgresql)
        self.alert = self.env["connection.alert"].create(
            {
                "endpoint_id": postgresql.id,
                "rule": "postgresql_pressure",
                "level": "critical",
                "opened_at": "2026-01-02 03:04:05",
                "worst_value": 97,
            }
        )
        self.refresh()

    def check_page(self, language, **page):
        """Open the Overview, an alert and the LISTEN check."""
        self.env["res.lang"]._activate_lang(language)
        self.env.ref("base.user_admin").lang = language
        module = self.env["ir.module.module"].search([("name", "=", "pgbouncer_monitor")])
        module._update_translations(language)
        page |= {"alert": self.alert.id}
        code = f"const page = {json.dumps(page)};\n"
        code += Path(file_path("pgbouncer_monitor/static/tests/check_language.js")).read_text()
        ready = "!!document.querySelector('.o_connection_overview canvas')"
        self.browser_js("/odoo/connection-overview", code, ready=ready, login="admin", timeout=60)

    def check_language(self, name):
        terms = polib.pofile(file_path(f"pgbouncer_monitor/i18n/{name}.po"))
        changed = [entry for entry in terms if entry.msgid != entry.msgstr]
        english = [pattern(entry.msgid) for entry in changed if WORD.search(PLACEHOLDER.sub("", entry.msgid))]
        self.check_page(LANGUAGES[name], english=english, translated=[pattern(entry.msgstr) for entry in changed])

    def test_german(self):
        self.check_language("de")

    def test_spanish(self):
        self.check_language("es")

    def test_french(self):
        self.check_language("fr")

    def test_right_to_left(self):
        self.check_page("ar_001", direction="rtl")
