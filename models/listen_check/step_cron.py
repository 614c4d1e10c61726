"""The step that triggers jobs and measures how long they wait."""

import os
import socket
import threading

from odoo import api, fields, models
from odoo.tools import SQL, config

from ...analysis.listening import WOKEN_SECONDS, can_notify, is_delivered, is_woken
from ...odoo_internals import ended_cron_threads, listener_info, local_ends, server_pid, wake_cron_workers
from ...probes import listen
from ...tools import format_ms
from .connection_check_run import RUN_TIME

# So that at least one of the jobs was started by a notification: see `is_woken`.
MORE_JOBS_THAN_WORKERS = 2


def job_count():
    """Return how many jobs are triggered, one after the other."""
    return config["max_cron_threads"] + MORE_JOBS_THAN_WORKERS


class ConnectionCheckRun(models.TransientModel):
    _inherit = "connection.check.run"

    def _step_cron(self):
        if not can_notify(self.steps["pooler"]["result"]):
            return {"level": "critical", "code": "cannot_notify"}
        if not self.env["connection.settings"]._cron("listen").active:
            return {"level": "unknown", "code": "switched_off", "count": job_count()}
        if not self.job:
            self.job = {"triggered": [self._clock()], "started": [], "workers": []}
            self.is_waiting = True
            self._trigger_job()
        job, delays = self.job, self._job_delays()
        facts = {
            "count": job_count(),
            "result": job.get("result"),
            "workers": job["workers"],
            "server": job.get("server"),
            "delays": delays,
            "delay": max(delays, default=None),
            "is_woken": False,
            "has_workers": config["max_cron_threads"] > 0,
            "ended_threads": ended_cron_threads(),
            "is_pending": self.is_waiting and self._clock() - job["triggered"][-1] < WOKEN_SECONDS,
        }
        if facts["is_pending"]:
            return facts | {"level": None, "code": "pending"}
        if self.is_waiting:
            return facts | {"level": "critical", "code": "not_started"}
        if not is_woken(delays, job["workers"]):
            return facts | {"level": "critical", "code": "not_woken"}
        facts["is_woken"] = True
        if is_delivered(job["result"]):
            return facts | {"level": "ok", "code": "woken"}
        return facts | {"level": "critical", "code": "old_connections"}

    @api.model
    def _describe_cron(self, facts):
        code, means = facts["code"], self._cron_meanings()
        if code == "cannot_notify":
            seen = self.env._("Triggering a job sends a NOTIFY, and there is no connection for it now.")
            return self.env._("Nothing."), seen, means[code]
        done = self.env._(
            "Triggered a scheduled action that does nothing, %s times in a row, and measured how long it waited.",
            facts["count"],
        )
        seen = {
            "switched_off": self.env._("The scheduled action “LISTEN check: start” is inactive or deleted."),
            "pending": self.env._("Waiting for the job."),
            "not_started": self.env._("The job did not start within %s s.", WOKEN_SECONDS),
        }.get(code)
        if not seen:
            workers = dict.fromkeys(map(tuple, facts["workers"]))
            seen = self.env._(
                "It started after %(delays)s ms in %(workers)s. LISTEN in the last of these: %(seen)s",
                delays=", ".join(format_ms(self.env, delay) for delay in facts["delays"]),
                workers=", ".join(
                    self.env._("PID %(pid)s on %(host)s", pid=pid, host=host) for host, pid, _thread in workers
                ),
                seen=self._describe_result(facts["result"])[0],
            )
        return done, seen, means.get(code)

    @api.model
    def _cron_meanings(self):
        return {
            "cannot_notify": self.env._("Every request that triggers a job blocks or fails."),
            "switched_off": self.env._("How long a triggered job waits is unknown. Activate the scheduled action."),
            "not_started": self.env._(
                "The cron workers receive no notifications and wait for their timer of one minute, or all of them are "
                "busy, or there are none."
            ),
            "not_woken": self.env._("The cron workers receive no notifications, or all of them were busy."),
            "woken": self.env._("Notifications wake the cron workers."),
            "old_connections": self.env._(
                "The cron workers still receive notifications over older connections. Their next connections will not."
            ),
        }

    def _job_delays(self):
        """Return how many seconds each job waited that has started."""
        pairs = zip(self.job["triggered"], self.job["started"], strict=False)  # the newest may not have started
        return [started - triggered for triggered, started in pairs]

    @api.model
    def _clock(self):
        """Return PostgreSQL's time, in seconds: the clocks of hosts may differ."""
        return self.env.execute_query(SQL("SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8"))[0][0]

    @api.model
    def _trigger_job(self):
        """Trigger the job as ir.cron does, but by a NOTIFY that does not wait minutes for a connection."""
        cron = self.env["connection.settings"]._cron("listen")
        self.env["ir.cron.trigger"].sudo().create({"cron_id": cron.id, "call_at": fields.Datetime.now()})
        dbname = self.env.cr.dbname
        self.env.cr.postcommit.add(lambda: wake_cron_workers(dbname))

    @api.model
    def _start_job(self):
        """Record the start of the job: this is its scheduled action."""
        started = self._clock()
        is_last = any(run._is_last_job(started) for run in self.search([("is_waiting", "=", True)]))
        last = {"result": listen.probe(listener_info())[0]._asdict(), "server": self._own_server()} if is_last else {}
        # A page may write at this moment, too: then it is done again, and the job does not fail.
        self.env["connection.check"]._commit_with_retries(lambda runs: runs._record_start(started, last))

    @api.model
    def _own_server(self):
        """Return the ``port`` and the ``pid`` of the Odoo server of this cron worker, how many ``workers`` of this kind
        it has, and the ``sockets`` of this one."""
        pid = os.getpid()
        worker = {"host": self._host(), "pid": pid, "ends": [end for end, of in local_ends().items() if of == pid]}
        server = {"port": config["http_port"], "pid": server_pid(), "workers": config["max_cron_threads"]}
        return server | {"sockets": self._sockets(worker)}

    def _is_last_job(self, started):
        is_late = started - self.job["triggered"][-1] >= WOKEN_SECONDS
        return is_late or len(self.job["started"]) + 1 >= job_count()

    @api.model
    def _record_start(self, started, last):
        """Store that the job started, and trigger the next one or finish.

        :param dict last: if it was the last job of a run: the ``result`` of LISTEN in this worker, and its ``server``
        """
        worker = [socket.gethostname(), os.getpid(), threading.get_ident()]
        for run in self.search([("is_waiting", "=", True)]):
            job = run.job | {"started": [*run.job["started"], started], "workers": [*run.job["workers"], worker]}
            if last and run._is_last_job(started):
                job |= last
                run.is_waiting = False
            else:
                job["triggered"] = [*job["triggered"], started]
                self._trigger_job()
            run.job = job
            if run.is_waiting:
                continue
            run.step("cron")
            if run.check_ids:  # it came too late for these, and may know more
                run.check_ids._conclude_again(run.steps)
            elif run.is_scheduled:
                run.finish()

    @api.model
    def _finish_forgotten(self):
        """Finish scheduled checks whose job never started."""
        late = [("is_scheduled", "=", True), ("create_date", "<", fields.Datetime.now() - RUN_TIME)]
        for run in self.search([*late, ("check_ids", "=", False)]):
            run.finish()

    def _finish_unless_job(self, is_pending):
        """Finish a scheduled check, unless its job will: LISTEN works in the cron worker that runs this."""
        if not is_pending or not is_delivered(self.steps["pooler"]["result"]):
            self.finish()
