from odoo.tests import TransactionCase, tagged

from ...planner import statements
from .common import CLASSIC

ALWAYS = "install backup files limits start check switch restart listen watch back restore".split()


@tagged("-at_install", "post_install")
class TestRollout(TransactionCase):
    def steps(self, **values):
        """Return the steps of a plan, by name, in their order."""
        defaults = CLASSIC | {"workers": 0, "other_ids": [], "max_connections": 1000}
        plan = self.env["connection.plan"].create(defaults | values)
        self.assertFalse(plan.error)
        for step in plan.rollout:
            self.assertTrue(step["title"] and step["text"] and step["verify"], step["name"])
        return {step["name"]: step for step in plan.rollout}

    def added(self, **values):
        """Return the names of the steps that not every plan has."""
        names = list(self.steps(**values))
        self.assertEqual([name for name in names if name in ALWAYS], ALWAYS)
        return [name for name in names if name not in ALWAYS]

    def test_steps(self):
        """Each variant has the steps that it needs."""
        self.assertEqual(self.added(), [])
        self.assertEqual(self.added(pgbouncers=2), ["userlist"])
        self.assertEqual(self.added(workers=20), [], "the port of the bus stays")
        self.assertEqual(self.added(bus="alt", workers=20), ["module"])
        self.assertEqual(self.added(bus="service"), ["bus", "websocket"])
        self.assertEqual(list(self.steps(bus="service", pgbouncers=2))[2:5], ["files", "userlist", "limits"])

    def test_standby(self):
        """A standby whose max_connections is lower than its primary's stops: it comes first."""
        values = {"max_connections": 60, "db_maxconn": 16, "workers": 20, "cores": 32}
        self.assertEqual(self.added(**values), ["max_connections"])
        names = list(self.steps(**values, has_replica=True))
        self.assertLess(names.index("standby"), names.index("max_connections"))
        self.assertNotIn("standby", self.steps(has_replica=True))

    def test_statements(self):
        """They run on the PostgreSQL that is planned."""
        for values, words in (
            ({"db_port": 5433}, "-p 5433 -U postgres"),
            ({"db_host": "db.example.com"}, "-h db.example.com -p 5432 -U postgres"),
            ({"db_host": "/run/pg"}, "-h /run/pg -p 5432 -U postgres"),
        ):
            copy, *lines = self.steps(auth="auth_query", **values)["files"]["lines"].splitlines()
            self.assertIn("pgbouncer.ini /etc/pgbouncer/", copy)
            for line, name in zip(lines, ("roles.sql", "auth_query.sql", "userlist.sql"), strict=True):
                self.assertIn(f" {words} ", line)
                self.assertTrue(line.endswith(f" < {name}"), line)

    def test_running_pgbouncer(self):
        """What is replaced is kept before, and restored by the way back."""
        steps = self.steps()
        self.assertLess(list(steps).index("backup"), list(steps).index("files"))
        folder = statements.USERLIST.rpartition("/")[0]
        self.assertIn(f"cp -a {folder} {folder}.backup", steps["backup"]["lines"])
        self.assertIn(f"cp -aT {folder}.backup {folder} &&", steps["restore"]["lines"])

    def test_the_way_back(self):
        """What the switch keeps is what the way back restores; a bus of its own is stopped."""
        steps = self.steps(bus="service")
        self.assertIn("cp -a /etc/odoo/odoo.conf /etc/odoo/odoo.conf.backup", steps["switch"]["text"])
        self.assertIn("cp -a /etc/odoo/odoo.conf.backup /etc/odoo/odoo.conf &&", steps["back"]["lines"])
        self.assertIn("disable --now odoo-bus", steps["back"]["lines"])
        self.assertNotIn("odoo-bus", self.steps()["back"]["lines"])
        self.assertIn("8073", steps["websocket"]["text"])
