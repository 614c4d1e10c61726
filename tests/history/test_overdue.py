"""A sampler that has not run: when that is noticed, why, and who is notified."""

from contextlib import closing, contextmanager
from datetime import timedelta
from unittest.mock import patch

import psycopg2

from odoo import fields
from odoo.sql_db import db_connect
from odoo.tests import TransactionCase, new_test_user, tagged
from odoo.tools import SQL, config, mute_logger

from ...models.alerts import send_mails
from ...models.history import connection_sample_overdue
from ...models.history.connection_sample_overdue import REPORTED
from ...models.history.standstill_texts import REASONS
from ..cases import AlertCase

MODULE = connection_sample_overdue.__name__


class TestOverdue(AlertCase):
    def setUp(self):
        super().setUp()
        self.cron = self.env.ref("pgbouncer_monitor.ir_cron_sample")
        self.server = {"server_started_at": None, "ended_cron_threads": 0, "server_pid": 4711}
        self.server["configured_databases"] = []
        for name in self.server:
            self.startPatcher(patch(f"{MODULE}.{name}", lambda name=name: self.server[name]))
        self.startPatcher(patch.dict(config.options, {"max_cron_threads": 2}))
        at = {"write_date": self.ago(86400), "nextcall": self.ago(600), "lastcall": self.ago(600)}
        self.set_row("ir_cron", self.cron.id, active=True, failure_count=0, **at)
        self.env.cr.execute("UPDATE ir_cron SET lastcall = %s WHERE id <> %s", [self.ago(700), self.cron.id])
        self.sampled(600)

    def ago(self, seconds):
        return fields.Datetime.now() - timedelta(seconds=seconds)

    def set_row(self, table, row_id, **values):
        """As SQL, because the ORM sets write_date."""
        self.env.flush_all()
        for name, value in values.items():
            names = SQL.identifier(table), SQL.identifier(name)
            self.env.cr.execute(SQL("UPDATE %s SET %s = %s WHERE id = %s", *names, value, row_id))
        self.env.invalidate_all()

    def sampled(self, seconds):
        """All endpoints were sampled so many seconds ago. Return the time."""
        at = self.ago(seconds)
        for endpoint in self.env["connection.endpoint"].search([]):
            endpoint._keep_reading({"level": "ok", "pressure": 12.5, "sampled_at": at, "last_seen": at, "reason": None})
            self.set_row("connection_endpoint", endpoint.id, write_date=self.ago(86400))
        return at

    def overdue(self, code):
        """Check the code of the likely reason. Return what is said, and to be done."""
        self.env.invalidate_all()
        overdue = self.Sample._overdue()
        self.assertEqual(overdue and overdue["code"], code)
        return overdue and f"{overdue['text']} {overdue['remedy']}"

    @contextmanager
    def running(self, job, minutes=9):
        session = [self.ago(60 * minutes), 77, "odoo-4712", "10.0.0.5"]
        with patch.object(type(self.Sample), "_running_jobs", lambda _self: {job.id: session}):
            yield session[0]

    def test_when(self):
        self.sampled(170)
        self.overdue(None)
        at = self.sampled(190)
        self.assertIn(f"since {at} UTC", self.overdue("stopped"))
        self.cron.interval_number = 5
        self.set_row("ir_cron", self.cron.id, write_date=self.ago(1000), lastcall=self.ago(1000))
        self.overdue(None)
        self.sampled(-3600)  # the clock was set back
        self.overdue("stopped")
        self.sampled(1000)
        self.server["server_started_at"] = self.ago(60)
        self.overdue(None)
        self.server["server_started_at"] = self.ago(1000)
        self.overdue("stopped")
        self.cron.priority = 2  # somebody changes it, for example switches it on
        self.overdue(None)
        self.set_row("ir_cron", self.cron.id, write_date=self.ago(86400), interval_number=1)
        # One endpoint that is sampled proves that the sampler runs.
        self.endpoint._keep_reading({"sampled_at": self.ago(100)})
        self.overdue(None)
        self.env["connection.endpoint"].search([]).active = False
        self.overdue(None)

    def test_first_endpoint(self):
        """While there was none, the runs of the sampler stored nothing."""
        endpoints = self.env["connection.endpoint"].search([])
        for endpoint in endpoints:
            self.set_row("connection_endpoint", endpoint.id, write_date=self.ago(10))
        self.set_row("ir_cron", self.cron.id, lastcall=self.ago(30))
        self.overdue(None)
        self.set_row("ir_cron", self.cron.id, lastcall=self.ago(300))
        self.overdue("stopped")
        self.env["connection.reading"].search([]).unlink()
        self.assertIn("Nothing has been sampled yet", self.overdue("stopped"))

    def test_scheduled_action(self):
        def told(code, *expected):
            text = self.overdue(code)
            for part in expected:
                self.assertIn(part, text)

        self.set_row("ir_cron", self.cron.id, lastcall=self.ago(30))
        told("no_samples", "stored nothing")
        self.set_row("ir_cron", self.cron.id, failure_count=4)
        told("failing", "in a row: 4", "Odoo's log")
        at = self.ago(-7200)
        self.set_row("ir_cron", self.cron.id, lastcall=self.ago(600), nextcall=at)
        told("planned", f"for {at}", "“Database Connections: log connection pressure”")
        self.set_row("ir_cron", self.cron.id, active=False)
        told("deactivated", "Odoo deactivated the scheduled action")
        self.set_row("ir_cron", self.cron.id, write_date=self.ago(500))
        told("off", "disabled in the Settings")
        self.env["ir.config_parameter"].set_param("database.is_neutralized", "True")
        told("neutralized", "neutralized copy")
        self.assertEqual(self.Sample._overdue()["level"], "unknown")
        self.cron.unlink()
        told("deleted", "was deleted")

    def test_odoo(self):
        other = self.env.ref("base.autovacuum_job")
        base, mail = (self.env.ref(f"base.module_{name}") for name in ("base", "mail"))
        with self.running(self.cron) as at:
            text = self.overdue("running")
        self.assertIn(f"started at {at}", text)
        for part in ("odoo-4712 10.0.0.5", "terminate PID 77"):
            self.assertIn(part, text)
        with self.running(other):
            self.assertIn(other.cron_name, self.overdue("busy"))
        self.set_row("ir_cron", other.id, lastcall=self.ago(60))
        self.overdue("skipped")
        version = base.latest_version
        self.set_row("ir_module_module", base.id, latest_version="19.0.1.0")
        self.assertIn(f"-u base -d {self.env.cr.dbname}", self.overdue("outdated"))
        self.set_row("ir_module_module", mail.id, state="to upgrade")
        self.assertIn("removed: mail.", self.overdue("modules"))
        self.set_row("ir_module_module", base.id, latest_version=version)
        self.set_row("ir_module_module", mail.id, state="installed")
        self.set_row("ir_cron", other.id, lastcall=self.ago(700))
        self.assertIn("(PID 4711)", self.overdue("stopped"))
        self.server["ended_cron_threads"] = 2
        self.assertIn("Restart Odoo on ", self.overdue("ended"))
        self.server["configured_databases"] = ["another"]
        self.assertNotIn("another ", self.overdue("not_served").replace("another role", ""))
        config["max_cron_threads"] = 0
        self.assertIn("Whether other servers have any is unknown", self.overdue("no_workers"))

    def test_every_reason_has_words(self):
        for code in REASONS:
            facts = self.Sample._standstill_facts(self.cron, None, timedelta(), {})
            words = self.Sample._standstill_words(code, self.cron, None, facts, {})
            self.assertNotIn("%", "".join(words))
        sessions = {self.cron.id: [self.ago(540), 77, "", None]}
        text, _remedy = self.Sample._standstill_words("running", self.cron, None, facts, sessions)
        self.assertIn("has not ended: PID 77.", text, "PostgreSQL shows no process")

    def test_one_message(self):
        """Whoever finds it first: a Viewer, too. The mails do not wait for the mail queue, a scheduled action."""
        viewer = new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        self.env["res.lang"]._activate_lang("fr_FR")
        Overview = self.env["connection.overview"].with_user(viewer).with_context(lang="fr_FR")
        known = self.messages(self.postgresql)
        status = Overview.get_status()
        self.assertEqual((status["level"], status["overdue"]["level"]), ("warning", "warning"))
        [message] = self.messages(self.postgresql) - known
        self.assertEqual(message.subject, "Nothing is sampled: PostgreSQL of this Odoo")
        self.assertIn("Nothing has been sampled since", message.body)
        self.assertIn("What to do first: Restart the Odoo servers", message.body, "in the company's language")
        self.assertIn(self.admin.partner_id, message.notified_partner_ids)
        self.assertEqual(message.author_id, self.env.ref("base.partner_root"))
        Overview.get_status()
        Overview.get_overview()
        [notice] = self.Alert.with_user(viewer).with_context(lang="fr_FR")._notices()
        self.assertEqual((notice["text"], notice["remedy"]), (status["overdue"]["text"], status["overdue"]["remedy"]))
        self.assertEqual(self.messages(self.postgresql) - known, message)
        with mute_logger("odoo.addons.pgbouncer_monitor.models.history.connection_sample"):
            self.Sample._sample(self.env["connection.endpoint"].search([]))
        self.assertIsNone(Overview.get_status()["overdue"])
        self.assertEqual(self.messages(self.postgresql) - known, message, "a sample by hand is no run of the sampler")
        with mute_logger("odoo.addons.pgbouncer_monitor.models.history.connection_sample"):
            self.Sample._cron_sample()
            self.Sample._cron_sample()
        [resolved] = self.messages(self.postgresql) - known - message
        self.assertIn("Nothing was sampled from ", resolved.body)
        self.sampled(600)
        Overview.get_status()
        self.assertEqual(len(self.messages(self.postgresql) - known), 3, "the next standstill")

    def test_who_gets_no_message(self):
        known = self.messages(self.postgresql)
        with patch.object(type(self.env.cr), "readonly", True):
            self.assertTrue(self.Sample._report_overdue())
        self.set_row("ir_cron", self.cron.id, active=False)
        self.env["ir.config_parameter"].set_param("database.is_neutralized", "True")
        self.assertEqual(self.env["connection.overview"].get_status()["overdue"]["level"], "unknown")
        self.assertEqual(self.messages(self.postgresql), known)
        self.env.cr.execute("SELECT 1 FROM ir_config_parameter WHERE key = %s", [REPORTED])
        self.assertFalse(self.env.cr.rowcount)

    def test_message_that_fails(self):
        """It costs the page nothing, and the next request tries again."""
        known = self.messages(self.postgresql)
        failing = patch.object(type(self.postgresql), "_post_alert", side_effect=ValueError)
        with failing, self.assertLogs(MODULE, "ERROR"):
            self.assertTrue(self.env["connection.overview"].get_status()["overdue"])
        self.env["connection.overview"].get_status()
        self.assertEqual(len(self.messages(self.postgresql) - known), 1)

    def test_no_connection_is_left(self):
        """Neither to notify browsers, nor for the mails: the page is served, and the mails stay in the queue."""

        def fail(*_args):
            raise psycopg2.OperationalError("too many connections")

        def commit():
            cr.flush()
            cr.postcommit.run()

        cr, known = self.env.cr, self.messages(self.postgresql)
        cr.postcommit.clear()
        cr.postcommit.add(fail)
        self.patch(cr, "commit", commit)
        with (
            patch.object(send_mails.threading, "Thread") as thread,
            self.assertLogs("odoo.addons.pgbouncer_monitor.models.endpoint", "WARNING") as logs,
        ):
            self.assertTrue(self.env["connection.overview"].get_status()["overdue"])
            self.assertFalse(cr.postcommit, "the commit of the request cannot fail")
        self.assertIn("too many connections", logs.output[0])
        target, args = thread.call_args.kwargs["target"], thread.call_args.kwargs["args"]
        mails = (self.messages(self.postgresql) - known).mail_ids
        self.assertEqual(args, (cr.dbname, mails.ids))
        self.assertEqual(mails.recipient_ids, self.admin.partner_id)
        Mail = type(mails)
        with patch.object(Mail, "send", autospec=True) as send:
            target(*args)
        self.assertEqual(send.call_args.args[0].ids, mails.ids)
        with patch.object(Mail, "send", fail), self.assertLogs(send_mails._logger, "ERROR"):
            target(*args)
        self.assertEqual(mails.mapped("state"), ["outgoing"])


@tagged("-at_install", "post_install")
class TestRunningJob(TransactionCase):
    def test_run_is_seen(self):
        """While Odoo runs a scheduled action, a transaction of its own is open."""
        job_id = self.env.ref("base.autovacuum_job").id
        with closing(db_connect(self.env.cr.dbname).cursor()) as cr:
            self.assertNotIn(job_id, self.env["connection.sample"]._running_jobs())
            jobs = self.env["ir.cron"].with_env(self.env(cr=cr))
            job = jobs._acquire_one_job(cr, job_id, include_not_ready=True)
            jobs._clear_schedule(job)
            self.env.cr.execute("SELECT pg_stat_clear_snapshot()")
            started_at, backend, _application, _address = self.env["connection.sample"]._running_jobs()[job_id]
            cr.execute("SELECT pg_backend_pid()")
            self.assertEqual(cr.fetchone(), (backend,))
            self.assertAlmostEqual(started_at.timestamp(), fields.Datetime.now().timestamp(), delta=10)
            cr.rollback()

    def test_other_statements(self):
        """Whatever they look like, they cost no page its answer."""
        with closing(db_connect(self.env.cr.dbname).cursor()) as cr:
            cr.execute("SELECT 'ir_cron cron_id = 99999999999'")
            self.env.cr.execute("SELECT pg_stat_clear_snapshot()")
            self.env["connection.sample"]._running_jobs()
            cr.rollback()
