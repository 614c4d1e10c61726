"""The records of LISTEN checks: facts, and the words that are made of them when they are shown.

It calls the steps of a check for their titles and words only.
"""

import socket
from datetime import timedelta

from odoo import api, fields, models

from ...analysis import listening, pressure
from ...fields import NullableFloat
from ...odoo_internals import needs_job_runner
from ...tools import LEVELS, selection_label

# How many checks of each listener of a host are kept.
KEPT = 20
# The steps that are about other listeners.
OF_OTHER = {
    "bus": ("cron", "queue_job"),
    "cron": ("bus", "browser", "queue_job"),
    "queue_job": ("configuration", "pooler", "listen", "bus", "browser", "listeners", "slots", "cron"),
}


class ConnectionCheck(models.Model):
    """The verdict of a LISTEN check: on which kind of connection the bus, the cron workers or
    queue_job's runner of this Odoo server listen. Proven by notifications: the evidence shows each step.

    - ``direct``: on PostgreSQL itself
    - ``session``: through a pooler in session mode, which works as long as the pool has servers
    - ``deaf``: notifications are lost, or nobody listens
    - ``unreachable``: no connection to the database postgres can be made
    - ``unknown``: nothing was proven; or triggered jobs were late, which may have other reasons

    ``level`` is ``ok`` only for what works and will go on working.
    """

    _name = "connection.check"
    _description = "LISTEN Check"
    _order = "checked_at desc, id desc"
    _rec_name = "checked_at"

    listener = fields.Selection(
        [("bus", "Bus"), ("cron", "Cron"), ("queue_job", "Job Queue")], required=True, readonly=True
    )
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
        help="Direct: listens on PostgreSQL directly. Session Mode: listens through a pooler in session mode, which "
        "works as long as the pool has free servers. Deaf: looks connected but receives no notifications. "
        "Unreachable: cannot connect to the database postgres.",
    )
    level = fields.Selection(LEVELS, required=True, readonly=True, help="OK: it works, and will continue to work.")
    checked_at = fields.Datetime("Checked", required=True, readonly=True, default=fields.Datetime.now)
    host = fields.Char(
        "Odoo Server", readonly=True, help="The host of the listener that was checked. Other hosts may differ."
    )
    is_live = fields.Selection(
        [("yes", "Yes"), ("no", "No")],
        "Reaches the Browser",
        readonly=True,
        help="Whether notifications arrived at the browser, in this check or the last one in which a browser took "
        "part.",
    )
    delay = NullableFloat(
        "Job Delay (s)",
        readonly=True,
        digits=(16, 3),
        help="The longest time that a triggered job waited for its start: less than a second if the cron workers "
        "receive notifications, up to a minute if they do not. Empty: it has not started yet.",
    )
    # Facts: see `_conclusion_text`, `connection.check.run._step_words` and `_remedy_words`.
    conclusion = fields.Json(readonly=True)
    step_facts = fields.Json(readonly=True)
    remedy_facts = fields.Json(readonly=True)
    # Words, in the reader's language.
    summary = fields.Char(compute="_compute_summary", search="_search_summary")
    steps = fields.Json(compute="_compute_steps")
    remedies = fields.Json(compute="_compute_remedies")
    evidence = fields.Text(compute="_compute_steps")
    remedy = fields.Text(compute="_compute_remedies")

    @api.depends("listener", "verdict")
    @api.depends_context("lang")
    def _compute_display_name(self):
        for check in self:
            check.display_name = f"{check._label('listener')}: {check._label('verdict')}"

    @api.depends("conclusion")
    @api.depends_context("lang")
    def _compute_summary(self):
        for check in self:
            check.summary = self._conclusion_text(check.conclusion) if check.conclusion else False

    @api.model
    def _search_summary(self, operator, value):
        # Few checks are kept, and the database does not have their words.
        checks = self.search([("conclusion", "!=", False)])
        return [("id", "in", checks.filtered_domain([("summary", operator, value)]).ids)]

    @api.depends("step_facts")
    @api.depends_context("lang")
    def _compute_steps(self):
        words = self.env["connection.check.run"]._step_words
        for check in self:
            check.steps = steps = [words(facts) for facts in check.step_facts or []]
            check.evidence = "\n\n".join(
                f"{number}. {step['title']} [{step['level']}]\n{step['done']}\n{step['seen']}\n{step['means']}"
                for number, step in enumerate(steps, 1)
            )

    @api.depends("remedy_facts")
    @api.depends_context("lang")
    def _compute_remedies(self):
        for check in self:
            check.remedies = remedies = [self._remedy_words(facts) for facts in check.remedy_facts or []]
            check.remedy = "\n\n".join(
                "\n".join(remedy[key] for key in ("title", "lines", "then") if key in remedy) for remedy in remedies
            )

    def _label(self, name):
        return selection_label(self, name, self[name])

    @api.model
    def last(self):
        """Return the last checks, for the page.

        :return: a list of the values of at most one record for each of the `_listeners`
        """
        names = ["listener", "verdict", "level", "summary", "checked_at", "host", "delay", "steps", "remedies"]
        checks = self.browse().concat(*map(self._last, self._listeners()))
        return [
            values | {"is_old": check._is_old()}
            for check, values in zip(checks, checks.read([*names, "evidence", "remedy"]), strict=True)
        ]

    @api.model
    def _listeners(self):
        """Return the listeners that this Odoo has: queue_job's runner only where jobs need it."""
        return ["bus", "cron", "queue_job"] if needs_job_runner(self.env) else ["bus", "cron"]

    @api.model
    def fields_get(self, allfields=None, attributes=None):
        """Leave out listeners that this Odoo does not have."""
        found = super().fields_get(allfields, attributes)
        if "selection" in found.get("listener", {}):
            listeners = self._listeners()
            found["listener"]["selection"] = [
                (name, label) for name, label in found["listener"]["selection"] if name in listeners
            ]
        return found

    @api.model
    def _last(self, listener):
        return self.search([("listener", "=", listener)], limit=1)

    @api.model
    def _worst(self, listener):
        """Return the worst of the last checks of each Odoo server, without those that are too old to count. None of a
        listener that this Odoo does not have."""
        if listener not in self._listeners():
            return self.browse()
        last = [checks[0] for checks in self.search([("listener", "=", listener)]).grouped("host").values()]
        last = [check for check in last if not check._is_old()]
        return max(last, key=lambda check: pressure.severity(check.level), default=self.browse())

    def _is_old(self):
        """Return whether another check should have been made since."""
        patience = 2 * self.env["connection.settings"]._interval("check")
        return self.checked_at < fields.Datetime.now() - timedelta(seconds=patience)

    @api.model
    def _conclude(self, steps):
        """Store the verdicts.

        :param dict steps: name -> what a step of connection.check.run found
        :return: the new records, the bus before cron and queue_job
        """
        values = [self._bus_values(steps), self._cron_values(steps)]
        if "queue_job" in steps:
            values.append(self._values("queue_job", steps, listening.judge_queue_job(steps["queue_job"]), None))
        checks = self.create(values)
        for check in checks:
            others = [("listener", "=", check.listener), ("host", "=", check.host)]
            self.search(others, offset=KEPT).unlink()
        return checks

    def _conclude_again(self, steps):
        """Store what a job found that started after the verdict.

        :param self: the records of one check
        """
        self.filtered(lambda check: check.listener == "cron").write(self._cron_values(steps))

    @api.model
    def _bus_values(self, steps):
        last = self._last("bus")
        is_live = {True: "yes", False: "no"}.get(steps["browser"].get("is_live"), last.is_live)
        conclusion = listening.judge_bus(steps, is_live, self._is_pooled())
        if conclusion.verdict not in ("direct", "session"):
            is_live = last.is_live  # that it does not reach the browser has another reason
        host = (steps["bus"].get("bus") or {}).get("host")
        return self._values("bus", steps, conclusion, host) | {"is_live": is_live}

    @api.model
    def _cron_values(self, steps):
        job = steps.get("cron", {})
        host = next((host for host, _pid, _thread in reversed(job.get("workers", []))), None)
        conclusion = listening.judge_cron(steps, self._is_pooled())
        return self._values("cron", steps, conclusion, host) | {"delay": job.get("delay")}

    @api.model
    def _values(self, listener, steps, conclusion, host):
        return {
            "listener": listener,
            "verdict": conclusion.verdict,
            "level": conclusion.level,
            "conclusion": {"listener": listener, "sentences": conclusion.sentences},
            "step_facts": [
                {"name": name} | steps[name]
                for name in self.env["connection.check.run"]._titles()
                if name in steps and name not in OF_OTHER[listener]
            ],
            "remedy_facts": [self._remedy_facts(code, steps) for code in conclusion.remedies],
            "host": host or socket.gethostname(),
        }

    @api.autovacuum
    def _gc_checks(self):
        """Delete checks that are older than the history, those of hosts that are gone, too."""
        return self.env["connection.settings"]._delete_old(self, "checked_at")
