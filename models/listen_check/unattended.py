"""LISTEN checks without a browser: by RPC, by the scheduled action, and after Odoo has started."""

import logging
import socket
import time
from datetime import timedelta

from odoo import api, fields, models

from ...odoo_internals import retrying, server_started_at

_logger = logging.getLogger(__name__)

# The pause between two attempts to find out whether a job has started.
POLL_SECONDS = 0.5
# How long Odoo may take to start all its processes.
START_TIME = timedelta(seconds=60)


class ConnectionCheck(models.Model):
    _inherit = "connection.check"

    @api.model
    def action_check(self):
        """Check now, without a browser: with one, the page does the steps of connection.check.run.

        :return: the new records, one for each listener. Each step is committed, because a scheduled
            action takes part.
        """
        self.env["connection.check.run"].check_access("create")
        run_id, done = self._do_steps({})
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
        for name in self.env["connection.check.run"]._step_names():
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
        """Check from the scheduled action. The cron worker that runs it can start the triggered job only afterwards:
        then the job itself finishes the check."""
        run_id, done = self._do_steps({"is_scheduled": True})
        self._commit_with_retries(lambda runs: runs.browse(run_id)._finish_unless_job(done["is_pending"]))

    @api.model
    def _watch(self):
        """Check this Odoo server once after each start, when all its processes are up, and finish checks whose job
        never started. An error is logged: the caller goes on."""
        try:
            with self.env.cr.savepoint():
                self.env["connection.check.run"]._finish_forgotten()
                is_new = self._claim_start(self.env["connection.settings"]._cron("check").active)
            self.env["ir.cron"]._commit_progress()
            if is_new:
                self._cron_check()
        except Exception:
            _logger.exception("LISTEN could not be checked")

    @api.model
    def _claim_start(self, is_checking):
        """Return whether the caller must check this Odoo server because it has started. It is returned once.

        :param bool is_checking: whether checks are scheduled at all
        """
        started_at = server_started_at()
        if not started_at or not is_checking:
            return False
        parameters, name = self.env["ir.config_parameter"].sudo(), f"pgbouncer_monitor.started.{socket.gethostname()}"
        if parameters.get_param(name) == str(started_at) or fields.Datetime.now() - started_at < START_TIME:
            return False
        parameters.set_param(name, str(started_at))
        return True
