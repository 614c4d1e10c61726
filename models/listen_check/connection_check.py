"""The records of LISTEN checks: facts, and the words that are made of them when they are shown.

It calls the steps of a check for their titles and words only.
"""

import socket

from odoo import api, fields, models
from odoo.tools import config

from ...analysis import listen_verdicts, listening
from ...fields import NullableFloat
from ...odoo_internals import needs_job_runner, server_pid
from ...tools import LEVELS, labelled, selection_label

# How many checks of each listener are kept.
KEPT = 20
# The steps that are about other listeners.
OF_OTHER = {
    "bus": ("cron", "queue_job"),
    "cron": ("bus", "websocket", "browser", "queue_job"),
    "queue_job": "configuration pooler listen bus websocket browser silence listeners slots cron".split(),
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
    port = fields.Integer(
        readonly=True,
        aggregator=None,
        help="The port on which the Odoo service of this listener accepts requests. 0: its process was not found.",
    )
    # These prove that a listener is gone: a process of its host, and from where servers saw the listener connected, as
    # pairs of an endpoint's id (0: PostgreSQL) and an address.
    pid = fields.Integer("PID", readonly=True, aggregator=None)
    addresses = fields.Json(readonly=True)
    is_gone = fields.Boolean(readonly=True, help="The listener of this check does not exist any more.")
    covered = fields.Json(readonly=True)  # host and port of each listener that was checked with this one
    is_live = fields.Selection(
        [("yes", "Yes"), ("no", "No")],
        "Reaches the Browser",
        readonly=True,
        help="Whether notifications arrived at the browser that took part in this check. Empty: none took part.",
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
            check.display_name = labelled(self.env, check._label("listener"), check._label("verdict"))

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
        """Return the worst of the current checks of each kind of listener, for the page.

        :return: a list of the values of at most one record for each of the `_listeners`
        """
        names = ["listener", "verdict", "level", "summary", "checked_at", "host", "port", "delay", "steps", "remedies"]
        checks = self.browse().concat(*map(self._worst, self._listeners()))
        return [
            values | {"is_old": check._is_old(), "server": check._server_text(), "others": check._others_text()}
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
    def _conclude(self, steps):
        """Store the verdicts.

        :param dict steps: name -> what a step of connection.check.run found
        :return: the new records, the bus before cron and queue_job
        """
        values = [self._bus_values(steps), self._cron_values(steps)]
        if "queue_job" in steps:
            server = {"host": socket.gethostname(), "port": config["http_port"], "pid": server_pid(), "sockets": []}
            values.append(self._values("queue_job", steps, listen_verdicts.judge_queue_job(steps["queue_job"]), server))
        checks = self.create(values)
        for check in checks:
            names = ("listener", "host", "port")
            self.search([(name, "=", check[name]) for name in names], offset=KEPT).unlink()
        checks._mark_gone()
        return checks

    def _conclude_again(self, steps):
        """Store what a job found that started after the verdict.

        :param self: the records of one check
        """
        checks = self.filtered(lambda check: check.listener == "cron")
        checks.write(self._cron_values(steps))
        checks._mark_gone()

    @api.model
    def _bus_values(self, steps):
        conclusion = listen_verdicts.judge_bus(steps, self.env["connection.endpoint"]._is_pooled())
        is_live = {True: "yes", False: "no"}.get(steps["browser"]["is_live"])
        covered = [[process["host"], process["port"]] for process in steps["bus"]["processes"]]
        values = self._values("bus", steps, conclusion, listening.concerned(steps))
        return values | {"is_live": is_live, "covered": covered}

    @api.model
    def _cron_values(self, steps):
        job, process = steps.get("cron", {}), None
        if server := job.get("server"):
            process = server | {"host": job["workers"][-1][0]}
        conclusion = listen_verdicts.judge_cron(steps, self.env["connection.endpoint"]._is_pooled())
        return self._values("cron", steps, conclusion, process) | {"delay": job.get("delay")}

    @api.model
    def _values(self, listener, steps, conclusion, process):
        """Return the values of a check.

        :param dict process: where the listener is: its ``host``, ``port``, ``pid``, and the ``sockets`` that servers
            see; None if it was not found
        """
        process = process or {"host": socket.gethostname(), "port": 0, "pid": server_pid(), "sockets": []}
        pairs = {(seen["endpoint_id"], seen["address"]) for seen in process["sockets"] if seen.get("address")}
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
            "remedy_facts": self._remedies(listener, conclusion.remedies, steps),
            "host": process["host"],
            "port": process["port"],
            "pid": process["pid"],
            "addresses": sorted(pairs),
        }

    @api.autovacuum
    def _gc_checks(self):
        """Delete checks that are older than the history, those of hosts that are gone, too."""
        return self.env["connection.settings"]._delete_old(self, "checked_at")
