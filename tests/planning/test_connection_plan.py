import json

from odoo.exceptions import ValidationError
from odoo.fields import Command
from odoo.tests import Form, TransactionCase, tagged

from ...planner import configuration, demand, sizing
from ...planner.inputs import Inputs, Other
from .common import CLASSIC, CLASSIC_INPUTS


@tagged("-at_install", "post_install")
class TestConnectionPlan(TransactionCase):
    def plan(self, **values):
        return self.env["connection.plan"].create(CLASSIC | values)

    def test_inputs(self):
        """What is entered is what the planner gets; a new plan has the defaults of the planner."""
        plan = self.env["connection.plan"].create({"name": "Today"})
        self.assertEqual(plan._inputs(), Inputs())
        plan.write(
            {
                "version": "18",
                "memory": 16 * 2**30,
                "mean_busy": 0,
                "db_names": "shop\n\n my-shop \n",
                "other_ids": [
                    Command.create({"name": "Backup", "count": 2}),
                    Command.create({"name": "BI", "is_pooled": True}),
                ],
            }
        )
        inputs = plan._inputs()
        self.assertEqual((inputs.version, inputs.memory, inputs.mean_busy), (18, 16 * 2**30, 0))
        self.assertEqual(inputs.db_names, ("shop", "my-shop"))
        self.assertEqual(inputs.others, (Other("Backup", 2), Other("BI", 1, is_pooled=True)))

    def finding(self, code, **values):
        """Return the text of a finding of the classic case."""
        return next(found["text"] for found in self.plan(**values).proposal["findings"] if found["code"] == code)

    def test_databases_open(self):
        self.assertIn("Planned databases: 1. The line * also serves others", self.finding("databases_open", cores=8))
        self.assertEqual(
            self.finding("databases_open", cores=8, max_connections=87),
            "One more database: up to 85 connections, 84 available. Enter “Database Names”.",
        )

    def test_classic(self):
        """110 connections against 97: the figures of the planner, with their reasons in words."""
        plan, proposal = self.plan(), sizing.propose(CLASSIC_INPUTS)
        self.assertEqual([row["expected"] for row in plan.demand], [100, 5, 2, 3])
        self.assertEqual([row["label"] for row in plan.demand[2:]], ["Backup", "psql"])
        self.assertIn("Servers 5 x workers 20 x connections 1 = 100", plan.demand[0]["why"])
        self.assertEqual((plan.expected, plan.available), (110, 97))
        self.assertEqual(plan.pooled_ceiling, proposal.pooled["ceiling"])
        self.assertEqual(
            plan.verdict,
            "Connections: 110 expected, 97 available. Without PgBouncer, PostgreSQL refuses 13. With PgBouncer, "
            f"PostgreSQL has at most {proposal.pooled['ceiling']} connections.",
        )
        self.assertEqual(plan.level, "ok")
        figure = plan.proposal["figures"]["default_pool_size"]
        self.assertEqual(figure["value"], 20)
        room = proposal.figures["default_pool_size"].reason.figures["room"]
        self.assertEqual(figure["why"], f"CPU cores 8 x 2 + 4 = 20, within the {room} that PostgreSQL has left.")
        self.assertEqual(plan.files, configuration.files(CLASSIC_INPUTS, proposal))
        self.assertEqual(plan.chart["bars"][0]["refused_text"], "refused 13")
        self.assertEqual(sum(part["count"] for part in plan.chart["bars"][1]["parts"]), plan.pooled_ceiling)
        self.assertFalse(plan.error)

    def test_results_follow_while_typing(self):
        form = Form(self.env["connection.plan"])
        form.servers = 5
        form.workers = 20
        form.max_cron_threads = 0
        form.gevent_connections = 0
        self.assertIn("Connections: 105 expected", form.proposal["verdict"][0]["text"])
        with form.other_ids.new() as other:
            other.name = "Backup"
            other.count = 5
        self.assertIn("Connections: 110 expected", form.proposal["verdict"][0]["text"])
        form.servers = 0
        self.assertEqual(form.error, "Odoo Servers: enter at least 1, not 0.")
        self.assertFalse(form.proposal)
        with self.assertRaisesRegex(ValidationError, "Odoo Servers: enter at least 1"):
            form.save()
        form.servers = 1
        plan = form.save()
        self.assertEqual(plan.expected, 26)

    def test_errors(self):
        """Each impossible input has a sentence, and nothing is computed from it; also beyond the database's numbers."""
        plan = self.plan(pgbouncer_host="127.0.0.1")
        for name, value, sentence in (
            ("servers", -1, "Odoo Servers: enter at least 1, not -1."),
            ("workers", 10**12, "HTTP Workers: enter at most 1,000, not 1,000,000,000,000."),
            ("max_connections", 10**30, "max_connections: enter at most 262,143"),
            ("memory", 1, "RAM: enter at least 64 MB, not 1 B."),
            ("mean_busy", 98, "Connections (Mean): 98 is more than PostgreSQL has for clients. Enter at most 97."),
            ("db_user", "\t", "Role of Odoo"),
            ("db_names", "shop\npgbouncer", "Database Names: remove “pgbouncer”"),
            ("pgbouncer_port", 5432, "PgBouncer Port: PgBouncer and PostgreSQL would use the same port"),
            ("db_maxconn", 101, "db_maxconn: 101 is more than max_connections. Enter at most 100."),
            ("other_ids", [Command.create({"name": "BI", "count": -1})], "Other Programs: enter at least 0, not -1."),
        ):
            new = plan.new({name: value}, origin=plan)
            self.assertIn(sentence, new.error, name)
            self.assertFalse(any((new.demand, new.proposal, new.files, new.verdict, new.level, new.chart)), name)
            self.assertIn(sentence, new.text)
            with self.assertRaises(ValidationError) as raised, self.env.cr.savepoint():
                plan.write({name: value})
            self.assertIn(sentence, raised.exception.args[0])
        with self.assertRaises(ValidationError), self.env.cr.savepoint():
            plan.other_ids[0].count = -1

    def test_nothing_fits(self):
        """A plan that cannot fit says what gives way, and has no files."""
        plan = self.plan(max_connections=20, db_maxconn=8)
        self.assertEqual(plan.level, "critical")
        self.assertIn("even the smallest pools need", plan.verdict)
        self.assertRegex(plan.verdict, "Lower “.+”, or raise max_connections to [0-9]+[.]$")
        other = self.plan(max_connections=8, db_maxconn=8, other_ids=[])
        self.assertRegex(other.verdict, "Raise max_connections to [0-9]+[.]$")
        self.assertFalse(plan.files or plan.rollout)
        self.assertEqual(plan.proposal["figures"]["default_pool_size"]["text"], "?")
        self.assertIn("for a pool. Minimum", plan.text)

    def test_copy(self):
        """A scenario is a copy with its lines; what was read is not copied."""
        plan = self.plan()
        plan._write_facts({"missing": [["memory", {"code": "not_local"}]]})
        copied = plan.copy({"name": "Black Friday"})
        self.assertEqual(copied._inputs(), CLASSIC_INPUTS)
        self.assertFalse(copied.missing)
        copied.other_ids[0].count = 10
        self.assertEqual((plan.expected, copied.expected), (110, 118))

    def test_replica(self):
        plan = self.plan(has_replica=True)
        self.assertEqual(
            [row["expected"] for row in plan.replica_demand],
            [part.expected for part in demand.replica_components(plan._inputs())],
        )
        self.assertIn("Connections to the Replica", plan.text)

    def test_text(self):
        """The text for a ticket has all of the plan."""
        plan = self.plan()
        for row in plan.demand:
            self.assertIn(row["why"], plan.text)
        for text in plan.files.values():
            self.assertEqual(plan.text.count(text.rstrip()), 1)
        for step in plan.rollout:
            self.assertIn(step["title"], plan.text)
        for figure in plan.proposal["figures"].values():
            self.assertIn(figure["why"], plan.text)
        self.assertIn("[Critical] Connections: 110 expected", plan.text)

    def test_missing(self):
        """What could not be read is named until somebody enters it."""
        plan = self.plan()
        not_local, no_history = {"code": "not_local"}, {"code": "no_history"}
        plan._write_facts({"missing": [["memory", not_local], ["cores", not_local], ["mean_busy", no_history]]})
        lines = plan.missing_text.splitlines()
        self.assertRegex(lines[0], "^RAM, CPU Cores: PostgreSQL does not run on this host")
        plan.write({"memory": 2**34, "cores": 8, "workers": 4})
        self.assertEqual(plan.missing_text.splitlines(), lines[1:])

    def test_facts_cannot_be_forged(self):
        """What is computed from them relies on their shape: RPC cannot write them."""
        forged = {"running": {"x": 1}, "missing": [{"x": 1}]}
        plan = self.env["connection.plan"].with_context(default_running={"x": 1}).create(CLASSIC | forged)
        plan.write(forged | {"name": "Forged"})
        self.assertEqual((plan.name, plan.running, plan.missing), ("Forged", False, False))
        self.assertFalse(plan.comparison or plan.missing_text)

    def test_results_are_json(self):
        plan = self.plan()
        names = ("demand", "replica_demand", "proposal", "files", "rollout", "chart")
        self.assertEqual(json.loads(json.dumps(plan.read(names)))[0]["files"], plan.files)
