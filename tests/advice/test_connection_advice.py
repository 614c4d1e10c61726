"""What is stored of a reading, and its words."""

from contextlib import closing
from unittest.mock import patch

from psycopg2.errors import SerializationFailure

from odoo.tests import tagged
from odoo.tools import mute_logger
from odoo.tools.translate import code_translations

from ...advice.findings import Finding
from ..common import connect, psql
from .cases import STEP, AdviceCase, answering

EVIDENCE = "query_wait_timeout = %(query_wait_timeout)s"
READING = "odoo.addons.pgbouncer_monitor.models.advice.connection_advice_reading"


@tagged("-at_install", "post_install")
class TestReading(AdviceCase):
    def test_records_are_kept_while_they_are_found(self):
        gaps = self.gap(days=7), self.gap(days=1), self.gap("local")
        first = self.find(self.endless("critical"), *gaps, self.endless("hint", console=False))
        self.assertEqual(first.mapped("level"), ["critical", "hint", *["unknown"] * 3])
        self.assertEqual(first.mapped("endpoint_id"), self.endpoint + self.postgresql)
        again = self.find(self.endless(console=False), self.endless("critical"), *reversed(gaps))
        self.assertEqual(set(again), set(first))
        self.assertEqual(again.mapped("level"), ["critical", "warning", *["unknown"] * 3])
        self.assertEqual(self.find(self.endless("critical")), first[0])
        self.assertFalse((first - first[0]).exists())
        self.assertFalse(self.find())

    def test_servers(self):
        """The tests' own servers, with and without a fault."""
        self.addCleanup(psql, "RELOAD", "ADMIN")
        for timeout, expected in ((0, self.endpoint), (120, self.endpoint.browse())):
            psql(f"SET query_wait_timeout = {timeout}", "ADMIN")
            self.Advice._cron_read()
            found = self.Advice.search([("code", "=", "endless_queue")])
            self.assertEqual(found.endpoint_id, expected)
            self.assertNotIn("failed", self.Advice.search([]).mapped("code"))
            self.assertNotIn("?", "".join(self.Advice.search([]).mapped("text")))

    def test_two_readings_at_once(self):
        """The second one does nothing, and does not fail."""
        with closing(connect(dbname=self.env.cr.dbname)) as other:
            other.cursor().execute("SELECT pg_advisory_lock(hashtext('connection_advice'))")
            self.assertIsNone(self.Advice._read())
            self.assertIn("being read right now", self.Advice.action_read()["params"]["message"])
            other.cursor().execute("SELECT pg_advisory_unlock_all()")  # its backend may outlive the connection
        self.find()

    def test_what_could_not_be_judged_is_not_gone(self):
        """A PgBouncer that does not answer has the findings of the last time that it did."""
        found = self.find(self.endless(), self.endless(console=False))
        both = self.find(self.gap("console", name="Test PgBouncer"))
        self.assertEqual(both.mapped("level"), ["warning", "unknown"])
        self.assertEqual(both[0].endpoint_id, self.endpoint)
        self.assertIn(both[0], found)
        self.assertEqual(self.find(), self.Advice)

    def test_one_rule_twice_at_one_endpoint(self):
        found = self.find(self.endless(setting="a"), self.endless(setting="b"))
        self.assertEqual(found.mapped("setting"), ["a", "b"])
        self.assertEqual(self.find(self.endless(setting="b"), self.endless(setting="a")), found)
        self.assertEqual(found.mapped("setting"), ["a", "b"])
        self.assertEqual(self.find(self.endless(setting="b")), found[1])

    def on(self, host):
        return patch(f"{READING}.socket.gethostname", return_value=host)

    def test_several_odoo_servers(self):
        """Each of them only ends and overwrites its own findings, and those of no server."""
        threaded = Finding("threaded", "hint", setting="workers", evidence={"workers": 0})
        with self.on("one"):
            [endless, first] = self.find(threaded, self.endless())
            first.action_accept("A test", "9999-01-01")
            self.assertRegex(first.server, r"^one:\d+$")
            self.assertFalse(endless.server)
        with self.on("two"):
            self.assertEqual(self.find(), first)
            both = self.find(threaded)
            self.assertEqual(both.mapped("is_accepted"), [True, False])
            self.assertRegex(self.Advice._notices()[0]["text"], r"^Last check: .*, by two:\d+\.$")
        with self.on("one"):
            self.assertEqual(self.find(threaded), both)
            self.assertTrue(both[0].is_accepted)
            self.assertEqual(self.find(), both[1])
            self.assertNotIn(" by ", self.Advice._notices()[0]["text"])
            with self.clock_forward(8 * 86400):
                self.assertFalse(self.find(), "not found for more than 7 days")

    def test_a_container_with_a_new_name(self):
        """The only host: nobody else would end what the earlier container found."""
        threaded = Finding("threaded", "hint", setting="workers")
        with self.on("container1"):
            found = self.find(threaded, hosts=1)
        with self.on("container2"):
            self.assertEqual(self.find(threaded, hosts=1), found)
            self.assertTrue(found.server.startswith("container2:"))
        with self.on("container3"):
            self.assertFalse(self.find(hosts=1))

    @mute_logger(READING)
    def test_a_reading_that_fails_keeps_the_findings(self):
        found = self.find(self.endless())
        with patch.object(type(self.Advice), "_snapshot", side_effect=ValueError("broken")):
            self.assertIs(self.Advice._read(), False)
            message = self.Advice.action_read()["params"]["message"]
        self.assertEqual(self.Advice.search([]), found)
        [failed, last] = self.Advice._notices()
        self.assertRegex(failed["text"], r"failed: ValueError\. ")
        self.assertEqual(message, failed["text"])
        self.assertEqual((failed["type"], last["type"]), ("danger", "warning"))
        self.find()
        [notice] = self.Advice._notices()
        self.assertEqual(notice["type"], "info")
        self.assertRegex(notice["text"], r"Last check: .*\. Nothing was found\.")

    @mute_logger(READING, "odoo.sql_db")
    def test_what_cannot_be_stored_is_a_reading_that_failed(self):
        found = self.find(self.endless())
        wrong_name, wrong_level = self.endless(console=False, setting="x\0"), Finding("x", "odd")
        for wrong in (wrong_name, wrong_level, Finding("x", "hint", databases=(0, "a"))):
            with answering(self.env, self.endless("hint"), wrong):
                self.assertIs(self.Advice._read(), False)
            self.env.invalidate_all()
            self.assertEqual(self.Advice.search([]), found)
            self.assertEqual((found.level, self.Advice._notices()[0]["type"]), ("warning", "danger"))

    def test_two_accept_while_it_reads(self):
        """The reading is made again, and is none that failed."""
        conflict = patch.object(type(self.Advice), "_store", side_effect=SerializationFailure)
        with answering(self.env), conflict, self.assertRaises(SerializationFailure):
            self.Advice._read()

    def test_never_and_outdated(self):
        [notice] = self.Advice._notices()
        self.assertEqual(notice["type"], "warning")
        self.assertIn("Nothing has been checked yet", notice["text"])
        self.find()
        with self.clock_forward(2 * 86400 + 60):
            [notice] = self.Advice._notices()
        self.assertEqual(notice["type"], "warning")
        self.assertIn("outdated", notice["text"])


@tagged("-at_install", "post_install")
class TestWords(AdviceCase):
    def test_words(self):
        names = tuple(f"shop{number}" for number in range(7))
        [advice, unknown] = self.find(self.endless(databases=names), self.gap(days=1500))
        self.assertEqual(advice.name, "Endless Queue")
        self.assertEqual(advice.evidence, "query_wait_timeout = 0")
        self.assertEqual(advice.database, "shop0, shop1, shop2, shop3, shop4 and 2 more")
        self.assertTrue(
            advice.remedy.endswith(
                "\nIn pgbouncer.ini, section [pgbouncer]:\nquery_wait_timeout = 120\nThen RELOAD PgBouncer."
            )
        )
        self.assertEqual(unknown.name, "More samples are needed. Days: 1,500")
        self.assertEqual(unknown.evidence, "Could not be judged: Endless Queue")
        for domain in (["name", "ilike", "endless"], ["database", "ilike", "shop2"], ["evidence", "=like", "query%"]):
            self.assertEqual(self.Advice.search([domain]), advice, domain)

    def test_steps_that_take_effect_in_the_same_way(self):
        steps = [STEP, STEP, STEP._replace(apply="restart"), STEP._replace(apply="")]
        advice = self.find(self.endless(steps=steps))
        restart = "Then restart PgBouncer: its clients lose their connections."
        self.assertEqual([step["then"] for step in advice.steps], [False, "Then RELOAD PgBouncer.", restart, None])

    def test_settings_as_they_are_and_figures_in_the_format_of_the_language(self):
        values = {"1500": 1500, "0.5": 0.5, "on": True, "off": False, "?": None, "1500, x": [1500, "x"]}
        for text, value in values.items():
            advice = self.find(self.endless(evidence={"query_wait_timeout": value}))
            self.assertEqual(advice.evidence, f"query_wait_timeout = {text}")
        advice = self.find(self.endless(evidence={}, figures={"query_wait_timeout": 1500.25}))
        self.assertEqual(advice.evidence, "query_wait_timeout = 1,500.25")

    def test_a_translation_with_a_wrong_format(self):
        advice = self.find(self.endless())
        self.env["res.lang"]._activate_lang("de_DE")
        for wrong in ("Schlange %(query_wait_timeout)", "Schlange %(query_wait_timeout)d", "100 %"):
            with patch.dict(code_translations.python_translations, {("pgbouncer_monitor", "de_DE"): {EVIDENCE: wrong}}):
                self.env.invalidate_all()
                self.assertEqual(advice.with_context(lang="de_DE").evidence, "query_wait_timeout = 0", wrong)

    def test_words_that_lack_a_value_or_a_text(self):
        """They cost no other finding its words."""
        advice = self.find(self.endless(evidence={}), Finding("unheard_of", "hint"))
        self.assertEqual(advice.mapped("evidence"), ["query_wait_timeout = ?", False])
        self.assertEqual(advice[1].name, "unheard_of")
