import threading
import time
from types import SimpleNamespace
from unittest.mock import patch

from odoo.exceptions import UserError
from odoo.tests import new_test_user, tagged
from odoo.tools import config

from ... import odoo_internals
from ...models.listen_check import connection_check, step_queue_job
from ...models.listen_check import queue_job as remedies
from ...probes import runner
from ..cases import AlertCase
from ..common import connect, variable
from ..pure.findings import (
    DIRECT,
    HIDDEN,
    LOST,
    NOBODY,
    QUEUE_JOB_VERDICTS,
    SILENT,
    found,
    found_queue_job,
)
from .cases import CheckCase, StepCase

# Not the real one: no other runner holds it.
KEY = 1 << 40 | 7


def installed(test, is_installed=True):
    """Let an Odoo have queue_job for a test."""
    test.enterContext(patch.object(connection_check, "needs_job_runner", lambda _env: is_installed))


@tagged("-at_install", "post_install")
class TestVerdict(CheckCase):
    def setUp(self):
        super().setUp()
        installed(self)
        self.enterContext(patch.object(remedies, "has_job_runner_section", lambda: True))

    def conclude_queue_job(self, step):
        return self.conclude(found() | {"queue_job": step})[-1]

    def test_everything_has_words(self):
        for name, (step, expected) in QUEUE_JOB_VERDICTS.items():
            with self.subTest(name):
                check = self.conclude_queue_job(step)
                self.assertEqual((check.listener, f"{check.verdict} {check.level}"), ("queue_job", expected))
                self.assertEqual(check.level == "ok", not check.remedy)
                for words in (check.summary, check.evidence, check.remedy):
                    self.assertNotRegex(words, r"\bNone\b|\bFalse\b|%\(|%s")
                self.assertEqual([step["name"] for step in check.steps], ["queue_job"])
                self.assertEqual(check.steps[0]["means"], check.summary)

    def test_runners_are_told_apart(self):
        own = self.conclude_queue_job(found_queue_job(DIRECT))
        self.assertIn("queue_job's runner listens on PostgreSQL directly", own.summary)
        self.assertIn("10.0.0.2:5000, this server's own runner. It reacted after 10, 20, 30 ms.", own.evidence)
        other = self.conclude_queue_job(found_queue_job(DIRECT, is_here=False))
        self.assertNotIn("listens on PostgreSQL directly", other.summary)
        self.assertIn("takes over", other.summary)
        self.assertNotIn("own runner. It", other.evidence)
        self.assertIn("did not react within 1 s", self.conclude_queue_job(found_queue_job(DIRECT, SILENT)).evidence)
        self.assertIn("no runner", self.conclude_queue_job(found_queue_job(None)).evidence)

    def test_other_verdicts_do_not_mention_it(self):
        checks = self.conclude(found() | {"queue_job": found_queue_job(LOST, NOBODY)})
        self.assertEqual(checks.mapped("level"), ["ok", "ok", "critical"])
        for check in checks[:2]:
            self.assertNotIn("queue_job", f"{check.summary}{check.evidence}{check.remedy}")

    def remedy(self, **values):
        step = found_queue_job(LOST, NOBODY)
        step["direct"]["result"] = DIRECT | values
        return self.conclude_queue_job(step).remedy

    def test_section(self):
        remedy = self.remedy()
        self.assertIn("[queue_job]\njobrunner_db_host = 10.0.0.1\njobrunner_db_port = 5432\nThen run RECONNECT", remedy)

    def test_environment(self):
        self.enterContext(patch.object(remedies, "has_job_runner_section", lambda: False))
        lines = "ODOO_QUEUE_JOB_JOBRUNNER_DB_HOST=10.0.0.1\nODOO_QUEUE_JOB_JOBRUNNER_DB_PORT=5432"
        self.assertIn(lines, self.remedy())

    def test_address_that_does_not_work(self):
        """What was tested is said, and the lines are those that are needed."""
        for reason, detail, words, needs_user in (
            ("wrong_password", 'password authentication failed for user "odoo"', "a role of PostgreSQL", True),
            ("tls_unavailable", "server does not support SSL", "db_sslmode", False),
            ("refused", "Connection refused", "Replace it by an address", False),
        ):
            remedy = self.remedy(outcome="unreachable", reason=reason, detail=detail)
            self.assertIn(f"A test of this address failed: 10.0.0.1:5432: {detail}", remedy)
            self.assertIn(words, remedy)
            self.assertEqual("jobrunner_db_user = …\njobrunner_db_password = …" in remedy, needs_user)

    def test_other_remedies(self):
        self.assertIn(
            "server_wide_modules = " + ",".join([*config["server_wide_modules"], "queue_job"]),
            self.conclude_queue_job(found_queue_job(None, NOBODY)).remedy,
        )
        lines = "SELECT pg_terminate_backend(4711);"
        self.assertIn(lines, self.conclude_queue_job(found_queue_job(DIRECT, SILENT)).remedy)
        self.assertIn('TO "odoo";', self.conclude_queue_job(found_queue_job(DIRECT, HIDDEN)).remedy)

    def test_last_and_worst(self):
        """A viewer, who has no rights on queue_job, sees it."""
        check = self.conclude_queue_job(found_queue_job(LOST, NOBODY))
        viewer = new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        last = self.Check.with_user(viewer).last()
        self.assertEqual([values["listener"] for values in last], ["bus", "cron", "queue_job"])
        self.assertIn("jobrunner_db_host", last[-1]["remedy"])
        self.assertEqual(self.Check._worst("queue_job"), check)

    def test_uninstalled(self):
        """An earlier check is still readable, and counts no more."""
        check = self.conclude_queue_job(found_queue_job(LOST, NOBODY))
        installed(self, False)
        self.env.invalidate_all()
        self.assertEqual(self.Check.last()[-1]["listener"], "cron")
        self.assertFalse(self.Check._worst("queue_job"))
        self.assertIn("Does queue_job receive notifications?", check.evidence)
        self.assertIn("[queue_job]", check.remedy)


class FakeRunner(threading.Thread):
    """It does to the database what queue_job's runner does."""

    def __init__(self, connection, is_deaf=False):
        super().__init__(daemon=True)
        self.connection = connection
        cursor = connection.cursor()
        cursor.execute("SELECT pg_advisory_lock(%s)", [KEY])
        if not is_deaf:
            cursor.execute("LISTEN queue_job")
        self.start()

    def run(self):
        cursor = self.connection.cursor()
        while not self.connection.closed:
            self.connection.poll()
            while self.connection.notifies:
                self.connection.notifies.pop()
                cursor.execute('DECLARE "select_jobs" CURSOR WITH HOLD FOR SELECT 1')
                cursor.execute('CLOSE "select_jobs"')
            time.sleep(0.01)


@tagged("-at_install", "post_install")
class TestStep(StepCase):
    def setUp(self):
        installed(self)
        super().setUp()
        self.enterContext(patch.object(step_queue_job, "has_job_runner", lambda: True))
        self.enterContext(patch.object(runner, "START_SECONDS", 0.5))
        self.info = odoo_internals.connection_info_for(self.env.cr.dbname)[1]
        self.direct = {"host": variable("TEST_PGHOST"), "port": variable("TEST_PGPORT")}
        module = SimpleNamespace(_connection_info_for=lambda _database: self.info, PG_ADVISORY_LOCK_ID=KEY)
        self.enterContext(patch.object(step_queue_job, "job_runner", lambda: module))

    def start_runner(self, **values):
        password = {"password": config["db_password"]}
        return FakeRunner(self.client(connect(dbname=self.env.cr.dbname, user="odoo", **password)), **values)

    def verdict(self):
        words = self.step("queue_job")
        facts = self.figures("queue_job")
        conclusion = step_queue_job.judge_queue_job(facts)
        self.assertEqual(words["level"], conclusion.level)
        self.assertNotIn(config["db_password"], f"{facts}{words}")
        return f"{conclusion.verdict} {conclusion.level}", words

    def test_is_there(self):
        self.assertEqual(self.names[-2:], ["queue_job", "cron"])

    def test_transaction_mode(self):
        """The route of the tests' own Odoo. PostgreSQL's own address is tested, too."""
        verdict, words = self.verdict()
        self.assertEqual(verdict, "deaf critical")
        self.assertIn("No notification within", words["seen"])
        direct = self.figures("queue_job")["direct"]
        self.assertEqual((direct["port"], direct["result"]["outcome"]), (int(self.direct["port"]), "delivered"))

    def test_direct(self):
        self.info |= self.direct
        self.start_runner()
        verdict, words = self.verdict()
        self.assertEqual(verdict, "direct ok")
        self.assertIn("this server's own runner. It reacted after", words["seen"])

    def test_deaf_runner_on_a_good_route(self):
        self.info |= self.direct
        self.start_runner(is_deaf=True)
        self.assertEqual(self.verdict()[0], "deaf critical")

    def test_earlier_connection(self):
        """It works, while the next one would not."""
        self.start_runner()
        verdict, words = self.verdict()
        self.assertEqual(verdict, "deaf warning")
        self.assertIn("Jobs still start", words["means"])

    def test_runner_elsewhere(self):
        self.enterContext(patch.object(step_queue_job, "has_job_runner", lambda: False))
        self.assertEqual(self.verdict()[0], "deaf critical")
        self.start_runner()
        verdict, words = self.verdict()
        self.assertEqual(verdict, "unknown unknown")
        self.assertIn("has no runner", words["seen"])


@tagged("-at_install", "post_install")
class TestAlert(AlertCase):
    def setUp(self):
        super().setUp()
        self.check = {"listener": "queue_job", "verdict": "deaf", "level": "critical", "host": "h"}
        self.check["conclusion"] = {"listener": "queue_job", "sentences": [{"code": "no_runner"}]}

    def subjects(self, minute):
        return [message.subject for message in self.minute(minute, self.postgresql)]

    def test_alert(self):
        installed(self)
        self.env["connection.check"].create(self.check)
        self.assertEqual(self.subjects(0), [f"Critical: Deaf Job Queue: {self.postgresql.name}"])
        alert = self.env["connection.alert"].search([("rule", "=", "deaf_queue_job_samples")])
        self.assertIn("No runner of queue_job is connected", alert.situation)
        installed(self, False)
        self.assertEqual(self.subjects(1), [f"Resolved: Deaf Job Queue: {self.postgresql.name}"])

    def test_without_queue_job(self):
        """No step, no verdict, no rule, no alert."""
        Rule, Check = self.env["connection.rule"], self.env["connection.check"]
        Check.create(self.check)
        self.assertEqual(self.subjects(0), [])
        rule = [("rule", "=", "deaf_queue_job_samples")]
        self.assertFalse(Rule.search(rule))
        self.assertNotIn("deaf_queue_job_samples", dict(Rule.fields_get(["rule"])["rule"]["selection"]))
        self.assertEqual(list(dict(Check.fields_get(["listener"])["listener"]["selection"])), ["bus", "cron"])
        self.assertNotIn("Job Queue", str(self.env["connection.overview"]._checks()))
        run = self.env["connection.check.run"].start()
        self.assertNotIn("queue_job", [step["name"] for step in run["steps"]])
        with self.assertRaisesRegex(UserError, "no step"):
            self.env["connection.check.run"].browse(run["id"]).step("queue_job")
        installed(self)
        self.assertTrue(Rule.search(rule))
        self.assertIn("deaf_queue_job_samples", dict(Rule.fields_get(["rule"])["rule"]["selection"]))
        self.assertEqual(Check.fields_get(["listener"])["listener"]["selection"][-1], ("queue_job", "Job Queue"))
        self.assertIn("Job Queue: Deaf", str(self.env["connection.overview"]._checks()))
