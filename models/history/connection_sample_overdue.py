"""A sampler that has not run: since when, the likely reason, and what to do. Found by whoever opens a page or polls the
light, because the sampler itself cannot report it. Queries no server but Odoo's own database."""

import logging
import socket
from datetime import timedelta

import psycopg2

from odoo import api, fields, models
from odoo.tools import SQL, config
from odoo.tools.misc import get_lang

from ...analysis.standstill import DELIBERATE, Facts, likely_reason
from ...odoo_internals import (
    RUNNING_JOB,
    configured_databases,
    ended_cron_threads,
    is_skipped_version,
    server_pid,
    server_started_at,
)
from ...tools import first_names
from .standstill_texts import REASONS

_logger = logging.getLogger(__name__)

# The system parameter that exists while a standstill is reported: the time of the last sample.
REPORTED = "pgbouncer_monitor.standstill"
MAX_NAMES = 3


class ConnectionSample(models.Model):
    _inherit = "connection.sample"

    @api.model
    def _overdue(self):
        """Return why the sampler has not run for three of its intervals, None if it has or need not.

        It has as long after a sample of any endpoint, a change of its scheduled action, and the start of this Odoo
        server.

        :return: ``since``, the time of the last sample or None; the ``level``: "unknown" if it is off on purpose, else
            "warning"; the ``code`` of the likely reason; ``text`` and ``remedy`` in the user's language
        """
        patience = timedelta(seconds=self.env["connection.endpoint"]._sample_patience())
        cron, now = self.env["connection.settings"]._cron("sample"), fields.Datetime.now()
        count, since, changed_at = self._watched_since()
        # A run without endpoints, or before all of them were changed, need not have sampled.
        idle_run = cron.lastcall if not cron.failure_count and (cron.lastcall or now) < (changed_at or now) else None
        times = [since, cron.write_date, idle_run, server_started_at()]
        # A time in the future is one before the clock was set back.
        if not count or any(abs(now - time) <= patience for time in times if time):
            return None
        jobs = self._running_jobs()
        facts = self._standstill_facts(cron, since, patience, jobs)
        code = likely_reason(facts)
        text, remedy = self._standstill_words(code, cron, since, facts, jobs)
        level = "unknown" if code in DELIBERATE else "warning"
        return {"since": since, "level": level, "code": code, "text": text, "remedy": remedy}

    @api.model
    def _watched_since(self):
        """Return the number of active endpoints, the time of their last sample at any address, and the time at which
        the first of them was changed last."""
        self.env["connection.endpoint"].flush_model()
        self.env["connection.reading"].flush_model()
        query = SQL(
            "SELECT count(*), max(sampled_at), min(endpoint.write_date) FROM connection_endpoint endpoint"
            " LEFT JOIN connection_reading reading ON reading.endpoint_id = endpoint.id WHERE endpoint.active"
        )
        return self.env.execute_query(query)[0]

    @api.model
    def _running_jobs(self):
        """Return the scheduled actions of this database that run now: id -> since when, and what PostgreSQL shows of
        the session: PID, application and address of the client."""
        query = SQL(
            "SELECT substring(query, %(job)s)::int, xact_start AT TIME ZONE 'UTC', pid, application_name, client_addr"
            "  FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle' AND query ~ %(job)s"
            " ORDER BY xact_start",
            job=RUNNING_JOB,
        )
        return {job: session for job, *session in self.env.execute_query(query)}

    @api.model
    def _standstill_facts(self, cron, since, patience, jobs):
        """Return the Facts of a sampler that has not run.

        :param timedelta patience: three of its intervals
        :param dict jobs: of `_running_jobs`
        """
        now, dbname = fields.Datetime.now(), self.env.cr.dbname
        waiting, is_outdated, others_ran_at, is_owner = self._odoo_facts(cron)
        names = configured_databases()
        return Facts(
            exists=bool(cron),
            is_active=cron.active,
            is_neutralized=bool(self.env["ir.config_parameter"].sudo().get_param("database.is_neutralized")),
            is_changed=not cron.lastcall or cron.write_date > cron.lastcall,
            is_recent=bool(cron.lastcall) and cron.lastcall >= now - patience,
            failures=cron.failure_count,
            is_planned=bool(cron.nextcall) and cron.nextcall > now,
            waiting=waiting,
            is_outdated=is_outdated,
            running=list(jobs),
            id=cron.id,
            did_others_run=bool(others_ran_at and since and others_ran_at > since + patience),
            is_served=dbname in names if names else is_owner,
            workers=config["max_cron_threads"],
            ended=ended_cron_threads(),
        )

    @api.model
    def _odoo_facts(self, cron):
        """Return the names of modules that wait, whether the version of the database is one that Odoo skips, when
        another scheduled action ran last, and whether the database belongs to Odoo's role: without db_name, the cron
        workers serve only those."""
        query = SQL(
            """
            SELECT array_agg(name ORDER BY name) FILTER (WHERE state LIKE 'to %%'),
                   max(latest_version) FILTER (WHERE name = 'base'),
                   (SELECT max(lastcall) FROM ir_cron WHERE id <> %(cron)s),
                   (SELECT pg_get_userbyid(datdba) = current_user FROM pg_database WHERE datname = current_database())
              FROM ir_module_module
            """,
            cron=cron.id or 0,
        )
        [(waiting, version, others_ran_at, is_owner)] = self.env.execute_query(query)
        return waiting or [], is_skipped_version(version), others_ran_at, is_owner

    @api.model
    def _standstill_words(self, code, cron, since, facts, jobs):
        """Return the likely reason and what to do, in the user's language.

        :param dict jobs: of `_running_jobs`
        """
        job = cron.id if code == "running" else next(iter(jobs), None)
        started_at, backend, application, address = jobs.get(job, [None] * 4)
        values = {
            "action": cron.cron_name,
            "ran_at": cron.lastcall,
            "next_at": cron.nextcall,
            "failures": cron.failure_count,
            "modules": first_names(self.env, facts.waiting, MAX_NAMES),
            "jobs": self.env["ir.cron"].sudo().browse(job).cron_name,
            # PostgreSQL may show neither.
            "process": " ".join(filter(None, [application, address])) or f"PID {backend}",
            "started_at": started_at and started_at.replace(microsecond=0),
            "backend": backend,
            "database": self.env.cr.dbname,
            "host": socket.gethostname(),
            "pid": server_pid(),
        }
        reason, remedy = (text % values for text in map(self.env._, REASONS[code]))
        text = self.env._("Nothing has been sampled since %s UTC: no alert opens or closes.", since)
        if not since:
            text = self.env._("Nothing has been sampled yet: no alert opens or closes.")
        return f"{text} {reason}", remedy

    @api.model
    def _report_overdue(self):
        """Return what `_overdue` does, and post it to those who receive the alerts of PostgreSQL: once for each
        standstill, whoever finds it first. Then commit: Odoo may have no connection left to notify browsers, and must
        not fail with the request."""
        overdue = self._overdue()
        if overdue and overdue["code"] != "neutralized" and not self.env.cr.readonly:
            try:
                with self.env.cr.savepoint():
                    is_reported = self._claim_report(overdue["since"])
                    if is_reported:
                        self._in_company_language()._post_overdue()
            except psycopg2.OperationalError:  # another one reports it at this moment: Odoo repeats the request
                raise
            except Exception:  # a failing message must not cost the page its answer
                _logger.exception("The standstill of the sampler could not be posted; the next request tries again")
            else:
                if is_reported:
                    self.env["connection.endpoint"]._commit()
        return overdue

    @api.model
    def _in_company_language(self):
        """Return this model in the language of a message: it has many readers."""
        return self.with_context(lang=get_lang(self.env, self.env.company.partner_id.lang).code)

    @api.model
    def _claim_report(self, since):
        """Return whether this transaction reports the standstill: only one can insert the system parameter. Not through
        the ORM, which would fail where another one has done so."""
        query = SQL(
            """
            INSERT INTO ir_config_parameter (key, value, create_uid, create_date, write_uid, write_date)
            SELECT %(key)s, %(since)s, %(user)s, %(now)s, %(user)s, %(now)s
             WHERE NOT EXISTS (SELECT FROM ir_config_parameter WHERE key = %(key)s)
            ON CONFLICT (key) DO NOTHING
            """,
            key=REPORTED,
            since=str(since or fields.Datetime.now()),
            user=self.env.uid,
            now=fields.Datetime.now(),
        )
        self.env.cr.execute(query, log_exceptions=False)
        return bool(self.env.cr.rowcount)

    @api.model
    def _post_overdue(self):
        """Post the standstill. The mails do not wait for the mail queue, a scheduled action, too."""
        overdue = self._overdue()
        advice = self.env._("What to do first: %s", overdue["remedy"])
        values = {"parts": [{"lines": [overdue["text"]]}], "advice": [advice]}
        self._log_endpoint()._post_alert(self.env._("Nothing is sampled"), values, is_queued=False)

    @api.model
    def _report_running(self):
        """Post that the sampler runs again, if a standstill was reported. An error is logged: the caller goes on."""
        query = SQL("DELETE FROM ir_config_parameter WHERE key = %s RETURNING value", REPORTED)
        try:
            with self.env.cr.savepoint():
                for [since] in self.env.execute_query(query):
                    samples, now = self._in_company_language(), fields.Datetime.now()
                    line = samples.env._("Nothing was sampled from %(since)s to %(now)s UTC.", since=since, now=now)
                    title = samples.env._("Resolved: samples are taken again")
                    samples._log_endpoint()._post_alert(title, {"parts": [{"lines": [line]}]})
        except Exception:
            _logger.exception("The end of a standstill could not be posted; the next run tries again")

    @api.model
    def _log_endpoint(self):
        """Return the endpoint that cannot be deleted: its chatter stays."""
        return self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql").sudo()
