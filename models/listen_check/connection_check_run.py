"""A LISTEN check while it runs. Each step is in a file ``step_*.py``, as two methods: `_step_<name>` returns facts,
and `_describe_<name>` puts them into words."""

import secrets
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError

from ...analysis.listening import IN_A_ROW

# The steps that the browser takes part in.
ANSWERED_STEPS = ("bus", "browser")
ROUTE = "/websocket/pgbouncer_monitor/listen"
TOKEN_HEADER = "X-Listen-Check-Token"
# A check is over by then, and its token is not accepted any more.
RUN_TIME = timedelta(minutes=4)
# The steps that must be done before a step.
NEEDS = {
    "listen": {"pooler"},
    "silence": {"bus"},
    "listeners": {"bus"},
    "slots": {"pooler", "bus", "listeners"},
    "cron": {"pooler"},
}
# The step that a check with a browser leaves out, because it takes a minute, and the one that a job may finish later.
OPTIONAL = {"silence", "cron"}
# How many notifications in a row must arrive at the browser.
ECHOES = IN_A_ROW


class ConnectionCheckRun(models.TransientModel):  # pylint: disable=no-wizard-in-models
    """A LISTEN check while it runs: one step after the other, so that a page can show its progress.

    ``start``, then ``step`` for each of the steps until it is not pending any more, then ``finish``.
    """

    _name = "connection.check.run"
    _description = "LISTEN Check in Progress"

    # Whoever has it may query the bus process.
    token = fields.Char(groups=fields.NO_ACCESS, default=lambda self: secrets.token_urlsafe(32))
    is_scheduled = fields.Boolean(groups=fields.NO_ACCESS)
    # of connections that were left idle, by listener, and when
    silence = fields.Json(groups=fields.NO_ACCESS, default=lambda self: self._last_silence())
    # name -> the facts that a step found, and their `level`
    steps = fields.Json(groups=fields.NO_ACCESS)
    # when jobs were triggered and started, in seconds of PostgreSQL's clock, by which workers, and of the last of these
    # the result of LISTEN and its server
    job = fields.Json(groups=fields.NO_ACCESS)
    is_waiting = fields.Boolean(groups=fields.NO_ACCESS)  # for a job to start
    check_ids = fields.Many2many("connection.check", groups=fields.NO_ACCESS)

    @api.model
    def start(self):
        """Start a check.

        :return: a dictionary: the ``id`` of the run, its ``token``, its ``steps``: a list of dictionaries with
            ``name`` and ``title``, and how many ``echoes`` the step ``browser`` needs
        """
        run = self.create({}).sudo()
        titles = run._titles()
        steps = [{"name": name, "title": titles[name]} for name in run._step_names()]
        return {"id": run.id, "token": run.token, "steps": steps, "echoes": ECHOES}

    def step(self, name, answer=None):
        """Do one step.

        :param answer: of the browser: to ``bus`` what the route under /websocket/ answered it, to
            ``browser`` the list of the seconds that notifications took, null for one that was lost;
            null where no browser takes part
        :return: a dictionary: what was ``done`` and ``seen`` and what it ``means``, in words; its ``level``;
            ``is_pending`` if the step is to be called again, in a second
        """
        run = self._own()
        if str(name) not in run._step_names():
            raise UserError(self.env._("There is no step “%s”.", name))
        run._check_order(NEEDS.get(name, set()))
        do_step = getattr(run, f"_step_{name}")
        facts = do_step(answer) if name in ANSWERED_STEPS else do_step()
        if not facts.get("is_pending"):  # the job writes meanwhile
            run.steps = (run.steps or {}) | {name: facts}
        words = self._step_words(facts | {"name": name})
        return {key: words[key] for key in ("done", "seen", "means", "level")} | {"is_pending": facts.get("is_pending")}

    def _own(self):
        """Return this run with all rights, if it is the user's."""
        self.ensure_one()
        self.check_access("write")
        return self.sudo()

    def _check_order(self, names):
        if set(names) - (self.steps or {}).keys():
            raise UserError(self.env._("The steps of a check must be done in order."))

    def finish(self):
        """Store what the steps found, once.

        :return: the records of connection.check
        """
        run = self._own()
        if not run.check_ids:
            run._check_order(set(run._step_names()) - OPTIONAL)
            run.check_ids = self.env["connection.check"].sudo()._conclude(run.steps)
        return run.check_ids

    def _commit_before_waiting(self):
        """Commit, so that no server of a pool is held while a probe takes seconds."""
        self.env.cr.commit()  # pylint: disable=invalid-commit

    @api.model
    def _titles(self):
        """Return the steps, in their order: name -> title."""
        return {
            "configuration": self.env._("Configuration"),
            "pooler": self.env._("Is a pooler in the path?"),
            "listen": self.env._("Does LISTEN work?"),
            "bus": self.env._("Does the bus process receive notifications?"),
            "websocket": self.env._("Can a websocket be opened?"),
            "browser": self.env._("Do notifications reach this browser?"),
            "silence": self.env._("Does an idle connection stay open?"),
            "listeners": self.env._("Is every listener accounted for?"),
            "slots": self.env._("Is the pool large enough?"),
            "queue_job": self.env._("Does queue_job receive notifications?"),
            "cron": self.env._("How long does a triggered job wait?"),
        }

    def _step_names(self):
        """Return the names of the steps of this run, in their order."""
        left_out = {"queue_job"}.difference(self.env["connection.check"]._listeners())
        left_out |= set() if self.silence else {"silence"}
        return [name for name in self._titles() if name not in left_out]

    @api.model
    def _step_words(self, facts):
        """Return what a step found in words: its ``name``, ``title``, ``level``, what was ``done`` and ``seen`` and
        what it ``means``.

        :param dict facts: of the step, with its ``name``; or these words themselves, in a check before 2.0
        """
        if "title" in facts:
            return facts
        name = facts["name"]
        done, seen, means = getattr(self, f"_describe_{name}")(facts)
        words = {"title": self._titles()[name], "done": done, "seen": seen, "means": means}
        return {"name": name, "level": facts["level"]} | words
