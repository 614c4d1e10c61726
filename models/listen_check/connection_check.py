import logging
import socket
import time
from datetime import timedelta

import psutil

import odoo.service.server
from odoo import api, fields, models
from odoo.service.model import retrying

from ...analysis import pressure
from ...fields import NullableFloat
from ...tools import EPOCH, LEVELS, selection_label

_logger = logging.getLogger(__name__)

# So many checks of each listener of a host are kept.
KEPT = 20
# How often to look whether a job has started.
POLL_SECONDS = 0.5
# How long Odoo may take to start all its processes.
START_TIME = timedelta(seconds=60)
# The steps that are about the other listener.
OF_OTHER = {"bus": ("cron",), "cron": ("bus", "browser")}


def is_heard(hearing):
    """Whether a listen.Hearing, as a dictionary, proves that LISTEN works."""
    return hearing["outcome"] == "heard"


def can_notify(hearing):
    """Whether a listen.Hearing, as a dictionary, proves that a NOTIFY can be sent."""
    return is_heard(hearing) or (hearing["outcome"] == "lost" and not hearing["reason"])


def route_verdict(hearing, pool):
    """The verdict on a route.

    :param dict hearing: of a listen.Hearing
    :param dict pool: of `connection.check.run`, that the route leads through; None if it is not known
    """
    if is_heard(hearing):
        return "session" if hearing["is_pooled"] else "direct"
    if hearing["outcome"] == "blocked" and pool and pool["pool_mode"] == "session":
        return "session"
    return {"lost": "deaf", "unreachable": "unreachable"}.get(hearing["outcome"], "unknown")


class ConnectionCheck(models.Model):
    """The verdict of a LISTEN check: on which kind of connection the bus, or the cron workers, of this
    Odoo server listen. Proven by what was heard: the evidence says by which steps.

    - ``direct``: on PostgreSQL itself
    - ``session``: through a pooler in session mode, which works as long as the pool has servers
    - ``deaf``: LISTEN is lost, or nobody listens
    - ``unreachable``: no connection to the database postgres can be made
    - ``unknown``: it could not be found out; or cron's jobs were late, for which there may be other reasons

    ``level`` is ``ok`` only for what works and will go on working.
    """

    _name = "connection.check"
    _description = "LISTEN Check"
    _order = "checked_at desc, id desc"
    _rec_name = "checked_at"

    listener = fields.Selection([("bus", "Bus"), ("cron", "Cron")], required=True, readonly=True)
    verdict = fields.Selection(
        [
            ("direct", "Direct"),
            ("session", "Session Mode"),
            ("deaf", "Deaf"),
            ("unreachable", "Unreachable"),
            ("unknown", "Unknown"),
        ],
        required=True,
        readonly=True,
        help="Direct: listens on PostgreSQL itself. Session Mode: through a pooler, where it works as long as the pool "
        "has servers. Deaf: looks connected, and hears nothing. Unreachable: cannot connect to the database postgres.",
    )
    level = fields.Selection(LEVELS, required=True, readonly=True, help="OK: it works, and will go on working.")
    summary = fields.Char(readonly=True)
    checked_at = fields.Datetime("Checked", required=True, readonly=True, default=fields.Datetime.now)
    host = fields.Char("Odoo Server", readonly=True, help="The host whose listener was checked. Others may differ.")
    is_live = fields.Selection(
        [("yes", "Yes"), ("no", "No")],
        "Reaches the Browser",
        readonly=True,
        help="Whether notifications arrived at the browser that took part, in this check or the last one that had one.",
    )
    delay = NullableFloat(
        "Job Waited (s)",
        readonly=True,
        digits=(16, 3),
        help="The longest that a triggered job waited for its start: less than a second where the cron workers hear, "
        "up to a minute where they do not. Empty: it has not started yet.",
    )
    steps = fields.Json(readonly=True)
    ways = fields.Json(readonly=True)
    evidence = fields.Text(compute="_compute_evidence")
    remedy = fields.Text(compute="_compute_remedy")

    @api.depends("listener", "verdict")
    def _compute_display_name(self):
        for check in self:
            check.display_name = f"{check._word('listener')}: {check._word('verdict')}"

    @api.depends("steps")
    def _compute_evidence(self):
        for check in self:
            check.evidence = "\n\n".join(
                f"{number}. {step['title']} [{step['level']}]\n{step['done']}\n{step['seen']}\n{step['means']}"
                for number, step in enumerate(check.steps or [], 1)
            )

    @api.depends("ways")
    def _compute_remedy(self):
        for check in self:
            check.remedy = "\n\n".join(
                "\n".join(way[key] for key in ("title", "lines", "then") if key in way) for way in check.ways or []
            )

    def _word(self, name):
        return selection_label(self, name, self[name])

    @api.model
    def action_check(self):
        """Check now, without a browser: with one, the page does the steps of connection.check.run.

        :return: the new records, one for the bus and one for cron. Each step is committed, because a scheduled
            action takes part.
        """
        self.env["connection.check.run"].check_access("create")
        run_id, told = self._do_steps({})
        while told["is_pending"]:
            time.sleep(POLL_SECONDS)
            told = self._commit_with_retries(lambda runs: runs.browse(run_id).step("cron"))
        return self.browse(self._commit_with_retries(lambda runs: runs.browse(run_id).finish().ids))

    @api.model
    def _do_steps(self, values):
        """Make a run with these values, and do its steps.

        :return: its id, and what the last step told
        """
        run_id = self._commit_with_retries(lambda runs: runs.create(values).id)
        told = {}
        for name in self.env["connection.check.run"]._titles():
            told = self._commit_with_retries(lambda runs, name=name: runs.browse(run_id).step(name))
        return run_id, told

    @api.model
    def _commit_with_retries(self, function):
        """Commit what a function does with connection.check.run, and call it again if another transaction came
        in between. There may be no second connection for it."""
        self.env["connection.endpoint"]._commit()
        return retrying(lambda: function(self.env["connection.check.run"]), self.env)

    @api.model
    def last(self):
        """The last checks, for the page.

        :return: a list of the values of at most two records, the bus before cron
        """
        names = ["listener", "verdict", "level", "summary", "checked_at", "host", "delay", "steps", "ways"]
        checks = self._last("bus") | self._last("cron")
        return [
            values | {"is_old": check._is_old()}
            for check, values in zip(checks, checks.read([*names, "evidence", "remedy"]), strict=True)
        ]

    @api.model
    def _last(self, listener):
        return self.search([("listener", "=", listener)], limit=1)

    @api.model
    def _worst(self, listener):
        """The worst of the last checks of each Odoo server, of those that are not too old to count."""
        last = [checks[0] for checks in self.search([("listener", "=", listener)]).grouped("host").values()]
        last = [check for check in last if not check._is_old()]
        return max(last, key=lambda check: pressure.severity(check.level), default=self.browse())

    def _is_old(self):
        """Whether it is so long ago that another one should have been done."""
        patience = 2 * self.env["connection.settings"]._interval("check")
        return self.checked_at < fields.Datetime.now() - timedelta(seconds=patience)

    # Kept watch

    @api.model
    def _cron_check(self):
        """Check without a browser. The cron worker that does this learns how long a job waits when it is free
        again: the job itself then ends the check."""
        run_id, told = self._do_steps({"is_scheduled": True})
        self._commit_with_retries(lambda runs: runs.browse(run_id)._finish_unless_job(told["is_pending"]))

    @api.model
    def _watch(self):
        """Check this Odoo server, once, after it has started: when all of it is up; and end what was forgotten.
        It may not keep others from their work."""
        try:
            with self.env.cr.savepoint():
                self.env["connection.check.run"]._finish_forgotten()
                is_new = self._claim_start()
            self.env["ir.cron"]._commit_progress()
            if is_new:
                self._cron_check()
        except Exception:
            _logger.exception("LISTEN could not be checked")

    @api.model
    def _claim_start(self):
        """Whether this Odoo server is to be checked because it has started: the caller does it, nobody else."""
        server = odoo.service.server.server
        if not server or not self.env["connection.settings"]._cron("check").active:
            return False
        started_at = EPOCH + timedelta(seconds=int(psutil.Process(server.pid).create_time()))
        parameters, name = self.env["ir.config_parameter"].sudo(), f"pgbouncer_monitor.started.{socket.gethostname()}"
        if parameters.get_param(name) == str(started_at) or fields.Datetime.now() - started_at < START_TIME:
            return False
        parameters.set_param(name, str(started_at))
        return True

    # Verdicts

    @api.model
    def _conclude(self, steps, titles):
        """Write down the verdicts.

        :param dict steps: name -> what a step of connection.check.run found
        :param dict titles: name -> title
        :return: the new records, the bus before cron
        """
        checks = self.create([self._values(listener, steps, titles) for listener in ("bus", "cron")])
        for check in checks:
            others = [("listener", "=", check.listener), ("host", "=", check.host)]
            self.search(others, offset=KEPT).unlink()
        return checks

    def _judge_again(self, steps):
        """Write what a job found that started after the verdict.

        :param self: the records of one check
        """
        titles = self.env["connection.check.run"]._titles()
        for check in self.filtered(lambda check: check.listener == "cron"):
            check.write(self._values("cron", steps, titles))

    @api.model
    def _values(self, listener, steps, titles):
        words = ("done", "seen", "means", "level")
        told = [
            {"name": name, "title": title} | {key: steps[name].get(key) for key in words}
            for name, title in titles.items()
            if name in steps and name not in OF_OTHER[listener]
        ]
        last = self._last(listener)
        is_live = {True: "yes", False: "no"}.get(steps["browser"].get("is_live"), last.is_live)
        if listener == "bus":
            host = (steps["bus"].get("bus") or {}).get("host")
            verdict, level, summary, ways = self._judge_bus(steps, is_live)
            if verdict not in ("direct", "session"):
                is_live = last.is_live  # that it does not reach the browser has another reason
        else:
            host = next((host for host, _pid, _thread in reversed(steps.get("cron", {}).get("workers", []))), None)
            verdict, level, summary, ways = self._judge_cron(steps)
        return {
            "listener": listener,
            "verdict": verdict,
            "level": level,
            "summary": summary,
            "ways": ways,
            "steps": told,
            "host": host or socket.gethostname(),
            "is_live": is_live if listener == "bus" else False,
            "delay": steps.get("cron", {}).get("delay") if listener == "cron" else None,
        }

    # Ways to mend it

    @api.autovacuum
    def _gc_checks(self):
        """Checks are kept as long as samples are: of hosts that are gone, too."""
        return self.env["connection.settings"]._delete_old(self, "checked_at")
