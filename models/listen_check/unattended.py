"""LISTEN checks without a browser: by RPC, by the scheduled action, and after Odoo has started."""

import logging
import socket
import time
from datetime import timedelta

from odoo import api, fields, models
from odoo.tools import config

from ...odoo_internals import own_url, retrying, server_started_at
from ...probes import http
from ...probes.errors import QueryError
from .bus_process import SILENCE
from .connection_check_run import ROUTE, TOKEN_HEADER
from .silence import start_silence
from .step_bus import HTTP_SECONDS

_logger = logging.getLogger(__name__)

# The pause between two attempts to find out whether a job has started.
POLL_SECONDS = 0.5
# How long Odoo may take to start all its processes, and its listeners to connect again: the bus waits for 50 s.
START_TIME = timedelta(seconds=60)
# System parameters: this, and an Odoo server -> the start of its last check without a browser.
CHECKED = "pgbouncer_monitor.checked."


class ConnectionCheck(models.Model):
    _inherit = "connection.check"

    @api.model
    def action_check(self):
        """Check now, without a browser: with one, the page does the steps of connection.check.run.

        :return: the new records, one for each listener. Each step is committed, because a scheduled
            action takes part.
        """
        self.env["connection.check.run"].check_access("create")
        return self._check_and_wait({})

    @api.model
    def _check_and_wait(self, values):
        """Do a check, and wait for its job.

        :param dict values: of its connection.check.run
        :return: the new records
        """
        run_id, done = self._do_steps(values)
        while done["is_pending"]:
            time.sleep(POLL_SECONDS)
            done = self._commit_with_retries(lambda runs: runs.browse(run_id).step("cron"))
        return self.browse(self._commit_with_retries(lambda runs: runs.browse(run_id).finish().ids))

    @api.model
    def _do_steps(self, values):
        """Create a run with these values, and do its steps.

        :return: its id, and what the last step returned
        """
        run_id = self._commit_with_retries(lambda runs: runs.create(values).id)
        done = {}
        for name in self.env["connection.check.run"].browse(run_id).sudo()._step_names():
            done = self._commit_with_retries(lambda runs, name=name: runs.browse(run_id).step(name))
        return run_id, done

    @api.model
    def _commit_with_retries(self, function):
        """Commit what a function does with connection.check.run, and call it again after a serialization failure.
        There may be no second connection for it."""
        self.env["connection.endpoint"]._commit()
        return retrying(lambda: function(self.env["connection.check.run"]), self.env)

    @api.model
    def _cron_check(self):
        """Check from the scheduled action, in a thread of its own: it leaves connections idle for a minute, and neither
        a cron worker nor a transaction is held meanwhile. The thread is another process's, if there is one that serves
        HTTP: a cron worker ends when its own connection is closed."""
        run = self.env["connection.check.run"].sudo().create({})
        params, headers = {"run_id": run.id, "whom": SILENCE}, {"X-Odoo-Database": self.env.cr.dbname}
        self.env["connection.endpoint"]._commit()
        url = own_url(config["http_port"]) + ROUTE
        answer, _none = http.exchange(url, HTTP_SECONDS, params=params, headers=headers | {TOKEN_HEADER: run.token})
        if isinstance(answer, QueryError) or answer.status != 200:
            start_silence(self.env.cr.dbname)

    @api.model
    def _check_from_job(self):
        """Check from a scheduled action. The cron worker that runs it can start the triggered job only afterwards: then
        the job itself finishes the check."""
        self._set_checked()
        run_id, done = self._do_steps({"is_scheduled": True})
        self._commit_with_retries(lambda runs: runs.browse(run_id)._finish_unless_job(done["is_pending"]))

    @api.model
    def _set_checked(self):
        now = fields.Datetime.to_string(fields.Datetime.now())
        self.env["ir.config_parameter"].sudo().set_param(self._own_parameter(), now)

    @api.model
    def _watch(self):
        """Check this Odoo server if it is due, and finish checks whose job never started. An error is logged: the
        caller goes on."""
        try:
            with self.env.cr.savepoint():
                self.env["connection.check.run"]._finish_forgotten()
                is_due = self.env["connection.settings"]._cron("check").active and self._is_due()
            self.env["ir.cron"]._commit_progress()
            if is_due:
                self._check_from_job()
        except Exception:
            _logger.exception("LISTEN could not be checked")

    @api.model
    def _is_due(self):
        """Return whether this Odoo server has not been checked since its start, since the last change of a pool or
        restart of a server, or for an interval."""
        started_at, now = server_started_at(), fields.Datetime.now()
        if not started_at or now < started_at + START_TIME:
            return False
        checked = self.env["ir.config_parameter"].sudo().get_param(self._own_parameter())
        if not checked:
            return True
        checked_at = fields.Datetime.to_datetime(checked)
        interval = timedelta(seconds=self.env["connection.settings"]._interval("check"))
        times = ["changed_at:max", "restarted_at:max"]
        [(changed_at, restarted_at)] = self.env["connection.reading"].sudo()._read_group([], [], times)
        # The scheduled action, which checks one of several servers, comes first.
        due = [started_at + START_TIME, checked_at + interval + START_TIME, changed_at]
        due.append(restarted_at and restarted_at + START_TIME)
        return any(checked_at < time <= now for time in due if time)

    @api.model
    def _own_server(self):
        """Return the name of this Odoo server, the same in all of its processes."""
        return f"{socket.gethostname()}:{config['http_port']}"

    @api.model
    def _own_parameter(self):
        return f"{CHECKED}{self._own_server()}"

    @api.autovacuum
    def _gc_checked(self):
        """Forget servers that are gone: those whose check is overdue."""
        patience = timedelta(seconds=2 * self.env["connection.settings"]._interval("check"))
        overdue = [("key", "=like", f"{CHECKED}%"), ("write_date", "<", fields.Datetime.now() - patience)]
        self.env["ir.config_parameter"].sudo().search(overdue).unlink()
