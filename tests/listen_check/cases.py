"""Base classes of the tests of LISTEN checks."""

from odoo.tests import new_test_user

from ..common import ServerCase
from ..pure.findings import DIRECT


class CheckCase(ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.Check = cls.env["connection.check"]
        cls.manager = new_test_user(cls.env, "manager", groups="pgbouncer_monitor.group_manager")
        cls.Run = cls.env["connection.check.run"].with_user(cls.manager)
        cls.classPatch(type(cls.Run), "_commit_before_waiting", lambda _run: None)  # the test's one transaction goes on
        cls.classPatch(type(cls.Check), "_listen_direct", lambda _check, _own, _values: DIRECT)  # no address is real

    def conclude(self, steps):
        self.Check.search([]).unlink()
        return self.Check._conclude(steps)


class StepCase(CheckCase):
    """The steps over the route of the tests' own Odoo: a PgBouncer that has postgres in session mode."""

    def setUp(self):
        super().setUp()
        started = self.Run.start()
        self.run_id, self.token = started["id"], started["token"]
        self.names = [step["name"] for step in started["steps"]]
        self.run_record = self.Run.browse(self.run_id)

    def step(self, name, *answer):
        return self.run_record.step(name, *answer)

    def start_job(self):
        """As a cron worker does, by a cursor of its own."""
        self.env.flush_all()
        self.Run.sudo()._start_job()
        self.env.invalidate_all()

    def figures(self, name):
        return self.run_record.sudo().steps[name]
