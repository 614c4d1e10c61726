"""Trigger jobs, and see how long they wait."""

import os
import socket
import threading
from contextlib import suppress

from odoo import api, fields, models
from odoo.sql_db import connection_info_for
from odoo.tools import SQL, config

from odoo.addons.bus.models import bus as odoo_bus

from ...probes import listen
from ...probes.errors import QueryError
from ...probes.listen import POSTGRES
from ...tools import format_ms
from .connection_check import can_notify, is_heard
from .connection_check_run import RUN_TIME

# A job that starts later was not woken up: where LISTEN works it takes less than a second, otherwise up
# to a minute, Odoo's timer. By its timer a worker starts one job in that time at most: when there were
# more jobs than workers that started them, at least one of these was woken up.
WOKEN_SECONDS = 5
MORE_JOBS_THAN_WORKERS = 2


def _jobs():
    """How many jobs in a row are triggered."""
    return config["max_cron_threads"] + MORE_JOBS_THAN_WORKERS


class ConnectionCheckRun(models.TransientModel):
    _inherit = "connection.check.run"

    def _look_cron(self):
        done = self.env._(
            "Triggered a scheduled action that does nothing, %s times in a row, and measured how long it waited.",
            _jobs(),
        )
        cron = self.env["connection.settings"]._cron("listen")
        if not can_notify(self.steps["pooler"]["hearing"]):
            return {
                "done": self.env._("Nothing."),
                "seen": self.env._("To trigger a job sends a NOTIFY, for which there is no connection now."),
                "means": self.env._("Whatever triggers a job hangs or fails."),
                "level": "critical",
            }
        if not cron.active:
            return {
                "done": done,
                "seen": self.env._("The scheduled action “LISTEN check: start” is switched off, or deleted."),
                "means": self.env._("How long a triggered job waits is not known. Switch the action on."),
                "level": "unknown",
            }
        if not self.job:
            self.job = {"triggered": [self._clock()], "started": [], "workers": []}
            self.is_waiting = True
            self._trigger_job()
        job = self.job
        waited = self._clock() - job["triggered"][-1]
        told = {
            "done": done,
            "hearing": job.get("hearing"),
            "workers": job["workers"],
            "delay": max(self._job_delays(), default=None),
            "is_woken": False,
            "is_pending": self.is_waiting and waited < WOKEN_SECONDS,
        }
        if told["is_pending"]:
            return told | {"seen": self.env._("Waiting for the job.")}
        if self.is_waiting:
            return told | {
                "seen": self.env._("The job did not start within %s s.", WOKEN_SECONDS),
                "means": self.env._(
                    "The cron workers are deaf and wait for their timer of a minute, or they are all busy, or there "
                    "are none."
                ),
                "level": "critical",
            }
        seen = self.env._(
            "It started after %(delays)s ms, in %(workers)s. LISTEN in the last of these: %(seen)s",
            delays=", ".join(format_ms(self.env, delay) for delay in self._job_delays()),
            workers=", ".join(
                self.env._("PID %(pid)s on %(host)s", pid=pid, host=host)
                for host, pid, _thread in dict.fromkeys(map(tuple, job["workers"]))
            ),
            seen=self._tell_hearing(job["hearing"])[0],
        )
        is_woken = told["delay"] < WOKEN_SECONDS and len(set(map(tuple, job["workers"]))) < len(job["workers"])
        if not is_woken:
            means = self.env._("The cron workers are deaf, or they were all busy.")
        elif is_heard(job["hearing"]):
            means = self.env._("The cron workers are woken up.")
        else:
            means = self.env._(
                "The cron workers still hear over connections that were made before. The next ones will be deaf."
            )
        level = "ok" if is_woken and is_heard(job["hearing"]) else "critical"
        return told | {"seen": seen, "means": means, "level": level, "is_woken": is_woken}

    def _job_delays(self):
        """How long the jobs waited that have started, in seconds."""
        pairs = zip(self.job["triggered"], self.job["started"], strict=False)  # the newest may not have started
        return [started - triggered for triggered, started in pairs]

    @api.model
    def _clock(self):
        """PostgreSQL's time, in seconds: hosts may differ."""
        return self.env.execute_query(SQL("SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8"))[0][0]

    @api.model
    def _trigger_job(self):
        """As ir.cron's own trigger, but for a NOTIFY that does not wait for a connection for minutes."""
        cron = self.env["connection.settings"]._cron("listen")
        self.env["ir.cron.trigger"].sudo().create({"cron_id": cron.id, "call_at": fields.Datetime.now()})
        info, dbname = connection_info_for(POSTGRES)[1], self.env.cr.dbname

        @self.env.cr.postcommit.add
        def notify():
            with suppress(QueryError):  # the job then waits for the timer, which is measured
                listen.notify(info, "cron_trigger", dbname, odoo_bus.ODOO_NOTIFY_FUNCTION)

    @api.model
    def _start_job(self):
        """The scheduled action whose start is measured."""
        started = self._clock()
        is_last = any(run._is_last_job(started) for run in self.search([("is_waiting", "=", True)]))
        hearing = listen.probe(connection_info_for(POSTGRES)[1])[0]._asdict() if is_last else None
        # A page may write at this moment, too: then it is done again, and the job does not fail.
        self.env["connection.check"]._commit_with_retries(lambda runs: runs._note_job(started, hearing))

    def _is_last_job(self, started):
        is_late = started - self.job["triggered"][-1] >= WOKEN_SECONDS
        return is_late or len(self.job["started"]) + 1 >= _jobs()

    @api.model
    def _note_job(self, started, hearing):
        """Write down that the job started.

        :param dict hearing: of a listen.Hearing in this worker; None if it was not the last job of a run
        """
        worker = [socket.gethostname(), os.getpid(), threading.get_ident()]
        for run in self.search([("is_waiting", "=", True)]):
            job = run.job | {"started": [*run.job["started"], started], "workers": [*run.job["workers"], worker]}
            if hearing and run._is_last_job(started):
                job["hearing"] = hearing
                run.is_waiting = False
            else:
                job["triggered"] = [*job["triggered"], started]
                self._trigger_job()
            run.job = job
            if run.is_waiting:
                continue
            run.step("cron")
            if run.check_ids:  # it came too late for these, and may know more
                run.check_ids._judge_again(run.steps)
            elif run.is_scheduled:
                run.finish()

    @api.model
    def _finish_forgotten(self):
        """End scheduled checks whose job never started."""
        late = [("is_scheduled", "=", True), ("create_date", "<", fields.Datetime.now() - RUN_TIME)]
        for run in self.search([*late, ("check_ids", "=", False)]):
            run.finish()

    def _finish_unless_job(self, is_pending):
        """End a scheduled check, unless its job will do that: LISTEN works in the cron worker that asks."""
        if not is_pending or not is_heard(self.steps["pooler"]["hearing"]):
            self.finish()
