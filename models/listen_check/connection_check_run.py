import secrets
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError

# The steps that the browser takes part in.
ANSWERED_STEPS = ("bus", "browser")
ROUTE = "/websocket/pgbouncer_monitor/listen"
# So many in a row must arrive: one alone may be fetched by chance.
ECHOES = 3
# A check is over by then, and nothing is answered to it any more.
RUN_TIME = timedelta(minutes=2)
# What a step must know of those before it.
NEEDS = {"listen": {"pooler"}, "slots": {"pooler", "listeners"}, "cron": {"pooler"}}


class ConnectionCheckRun(models.TransientModel):  # pylint: disable=no-wizard-in-models
    """A LISTEN check while it runs: a step after the other, so that a page can show how far it is.

    ``start``, then ``step`` for each of the steps until it is not pending any more, then ``finish``.
    """

    _name = "connection.check.run"
    _description = "LISTEN Check in Progress"

    # Whoever has it may ask the bus process.
    token = fields.Char(groups=fields.NO_ACCESS, default=lambda self: secrets.token_urlsafe(32))
    is_scheduled = fields.Boolean(groups=fields.NO_ACCESS)
    # name -> what a step found: `done`, `seen` and `means` in words, `level`, and figures
    steps = fields.Json(groups=fields.NO_ACCESS)
    # when jobs were triggered and started, in seconds of PostgreSQL's clock, by which workers, and what the
    # last of these found
    job = fields.Json(groups=fields.NO_ACCESS)
    is_waiting = fields.Boolean(groups=fields.NO_ACCESS, help="For a job to start.")
    check_ids = fields.Many2many("connection.check", groups=fields.NO_ACCESS)

    @api.model
    def start(self):
        """:return: a dictionary: the ``id`` of a new run, its ``token``, its ``steps``: a list of dictionaries
        with ``name`` and ``title``, and how many ``echoes`` the step ``browser`` wants"""
        run = self.create({}).sudo()
        steps = [{"name": name, "title": title} for name, title in run._titles().items()]
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
        if str(name) not in self._titles():
            raise UserError(self.env._("There is no step “%s”.", name))
        run._check_order(NEEDS.get(name, set()))
        look = getattr(run, f"_look_{name}")
        told = look(answer) if name in ANSWERED_STEPS else look()
        if not told.get("is_pending"):  # the job writes meanwhile
            run.steps = (run.steps or {}) | {name: told}
        return {key: told.get(key) for key in ("done", "seen", "means", "level", "is_pending")}

    def _own(self):
        """This run with all rights, if it is the user's."""
        self.ensure_one()
        self.check_access("write")
        return self.sudo()

    def _check_order(self, names):
        if set(names) - (self.steps or {}).keys():
            raise UserError(self.env._("The steps of a check must be done in their order."))

    def finish(self):
        """Write down what the steps found.

        :return: the two records of connection.check
        """
        run = self._own()
        if not run.check_ids:
            run._check_order(run._titles().keys() - {"cron"})  # a scheduled check may know without it
            run.check_ids = self.env["connection.check"].sudo()._conclude(run.steps, run._titles())
        return run.check_ids

    def _release(self):
        """A probe takes seconds: no server of a pool is held meanwhile by what was read before it."""
        self.env.cr.commit()  # pylint: disable=invalid-commit

    @api.model
    def _titles(self):
        """The steps, in their order: name -> title."""
        return {
            "configuration": self.env._("Configuration"),
            "pooler": self.env._("Is a pooler in the path?"),
            "listen": self.env._("Does LISTEN survive?"),
            "bus": self.env._("What does the bus process do?"),
            "browser": self.env._("Does it reach this browser?"),
            "listeners": self.env._("Who else listens through a pool?"),
            "slots": self.env._("Will it stay so?"),
            "cron": self.env._("How long does a triggered job wait?"),
        }
