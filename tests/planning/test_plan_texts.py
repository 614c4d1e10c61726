"""Every reason of the planner has words."""

import ast
import itertools
from pathlib import Path

from odoo.modules import get_module_path
from odoo.tests import TransactionCase, tagged

from ...models.planning import plan_texts
from ...planner import configuration, demand, sizing
from ...planner.inputs import AUTH, BUS, Inputs, Other, Reason

# Of the functions that make a Reason: the position of the code among their arguments.
MAKERS = {"Reason": 0, "_error": 1, "_finding": 1}


def named_codes():
    """Return the codes that the sources of the planner name, but those of need.py, which are the Overview's."""
    paths = list(Path(get_module_path("pgbouncer_monitor"), "planner").glob("*.py"))
    trees = [ast.parse(path.read_text()) for path in paths if path.stem != "need"]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    codes = [
        call.args[MAKERS[call.func.id]]
        for call in calls
        if getattr(call.func, "id", "") in MAKERS and len(call.args) > MAKERS[call.func.id]
    ]
    return {code.value for code in codes if isinstance(code, ast.Constant)}


def many_inputs():
    """Yield installations that differ in all that decides which reasons there are."""
    programs = ((), (Other("BI", 10),), (Other("BI", 5, is_pooled=True),))
    for workers, bus, auth, others, cores, mean, limit, pgbouncers, replica in itertools.product(
        (0, 4), BUS, AUTH, programs, (None, 2, 8), (None, 0.5, 3), (23, 10_000), (1, 2), (False, True)
    ):
        yield Inputs(
            servers=1 + replica,
            workers=workers,
            bus=bus,
            auth=auth,
            others=others,
            cores=cores,
            mean_busy=mean,
            peak_busy=mean and int(2 * mean),
            max_connections=limit,
            pgbouncers=pgbouncers,
            pgbouncer_host="pgbouncer" if auth == "auth_query" else "127.0.0.1",
            has_replica=replica,
            has_queue_job=replica,
            db_maxconn=2 if cores else 20,
            memory=2**27 if cores else None,
            shared_buffers=2**26 if cores else None,
            work_mem=2**22 if cores else None,
            backend_memory=2**22 if mean else None,
        )


@tagged("-at_install", "post_install")
class TestPlanTexts(TransactionCase):
    def words(self, reason):
        return plan_texts.reason_text(self.env, reason, lambda name: name)

    def test_every_code_that_is_named(self):
        self.assertGreater(len(named_codes()), 20)
        self.assertFalse(named_codes() - plan_texts.TEXTS.keys())

    def test_every_code_that_is_made(self):
        """All figures of the words are there, whatever the installation."""
        seen = {}
        for inputs in many_inputs():
            if sizing.errors(inputs):
                continue
            proposal = sizing.propose(inputs)
            parts = demand.components(inputs) + demand.replica_components(inputs)
            reasons = [part.reason for part in parts]
            reasons += [figure.reason for figure in (*proposal.figures.values(), *proposal.memory.values())]
            reasons += [finding.reason for finding in proposal.findings]
            for reason in reasons:
                unknown = frozenset(name for name, value in reason.figures.items() if value is None)
                seen[reason.code, unknown, reason.figures.get("pgbouncers", 1) > 1] = reason
            for component in parts:
                self.assertTrue(component.name or component.code in plan_texts.COMPONENTS)
        for reason in seen.values():
            reason = Reason(reason.code, reason.figures | {"field": "x"})
            self.assertNotRegex(self.words(reason), r"%\(|None", reason)
        made = plan_texts.DEMAND | plan_texts.FIGURES | plan_texts.FINDINGS
        variants = {name for name in made if name.endswith(("_shared", "_typical", "_raise", "_no_cron", "_full"))}
        codes = {code for code, *_others in seen}
        self.assertFalse(made.keys() - variants - codes, "never made")

    def test_every_error(self):
        seen = set()
        for values in (
            {"servers": 0},
            {"memory": 2**60},
            {"bus": "x"},
            {"db_host": ""},
            {"db_host": "\1"},
            {"db_user": "\ud800"},
            {"gevent_port": 65535, "bus": "service"},
            {"gevent_port": 8069},
            {"db_names": ("a b",)},
            {"db_names": ("pgbouncer",)},
            {"superuser_reserved_connections": 100},
            {"db_maxconn": 1_000},
            {"memory": 2**30, "shared_buffers": 2**31},
            {"mean_busy": 99.5},
            {"pgbouncer_port": 5432},
            {"db_user": " x"},
            {"db_user": "False"},
            {"db_user": "x" * 64},
            {"stats_user": "a,b"},
            {"version": 15, "db_user": '"' * 40},
        ):
            errors = [error for check in (sizing, configuration) for error in check.errors(Inputs(**values))]
            self.assertTrue(errors, values)
            for error in errors:
                self.assertNotRegex(self.words(error.reason), r"%\(|None", error)
                seen.add(error.reason.code)
        self.assertEqual(seen, plan_texts.ERRORS.keys())

    def test_every_setting(self):
        """A setting that is no figure has words, too."""
        for auth, host in itertools.product(AUTH, ("127.0.0.1", "/tmp", "pgbouncer")):
            inputs = Inputs(auth=auth, pgbouncer_host=host)
            proposal = sizing.propose(inputs)
            for name in configuration.settings(inputs, proposal):
                self.assertTrue(name in proposal.figures or name in plan_texts.SETTINGS, name)
