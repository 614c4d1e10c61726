import json
import os
import socket
from datetime import timedelta
from types import SimpleNamespace
from unittest.mock import patch

import psutil
from psycopg2 import sql

import odoo.service.server
from odoo import fields
from odoo.exceptions import UserError, ValidationError
from odoo.tests import HttpCase, new_test_user, tagged
from odoo.tools import config, mute_logger

from odoo.addons.bus.models.bus import channel_with_db, dispatch

from ...models.listen_check.connection_check import KEPT
from ...models.listen_check.connection_check_run import ROUTE
from ...probes import listen
from ..cases import AlertCase
from ..common import ServerCase, answering, closed_port, connect, connect_pooled

HEARD = listen.Hearing(
    "heard", route=("db", 6432), own_end=("h", 5000), is_pooled=True, server=("10.0.0.1", 5432), seconds=0.005
)._asdict()
DIRECT = HEARD | {"is_pooled": False, "route": ("db", 5432)}
LOST = HEARD | {"outcome": "lost", "seconds": None}
BLOCKED = LOST | {"outcome": "blocked", "reason": "timeout"}
FAILED = LOST | {"outcome": "failed", "reason": "other", "detail": "something else"}
UNREACHABLE = FAILED | {"outcome": "unreachable", "detail": "no such database: postgres", "server": None}
SESSION_POOL = {"pool_mode": "session", "pool_size": 20}


def found(*here_and_pool, live=True, delay=0.003, waited=0.2, **hearings):
    """What the steps of a check found: on the route from here, in the bus process, and in the job."""
    here, pool = (*here_and_pool, *(HEARD, None)[len(here_and_pool) :])
    bus, job = hearings.get("bus", HEARD), hearings.get("job", HEARD)
    told = {"done": "", "seen": "", "means": "What it means.", "level": "ok"}
    bus = bus and {"hearing": bus, "delay": delay, "host": "bus-host"}
    is_woken = bool(job) and waited < 5
    workers = [["cron-host", 1, 1]] if job else []
    return {
        "pooler": told | {"hearing": here, "pool": pool},
        "bus": told | {"bus": bus, "is_misled": False, "is_direct": False},
        "browser": told | {"is_live": live},
        "listeners": told | {"deaf": 0},
        "slots": told | {"needed": 5},
        "cron": told | {"hearing": job, "delay": waited, "is_woken": is_woken, "workers": workers},
    }


# What the steps found -> verdict and level of the bus, and of cron.
VERDICTS = {
    "direct": (found(DIRECT, bus=DIRECT, job=DIRECT), "direct ok", "direct ok"),
    "session": (found(pool=SESSION_POOL), "session ok", "session ok"),
    "nobody watches the pooler": (found(), "session ok", "session ok"),
    "no browser took part": (found(live=None), "session ok", "session ok"),
    "lost": (found(LOST, bus=LOST, delay=None, live=False, job=None), "deaf critical", "deaf critical"),
    "only old connections hear": (found(LOST, bus=LOST, job=LOST), "deaf critical", "deaf critical"),
    "old connections are deaf": (found(delay=None, job=None), "deaf critical", "unknown unknown"),
    "only the first jobs were woken up": (found(waited=43.0), "session ok", "unknown unknown"),
    "the bus goes another way": (found(LOST, bus=DIRECT, job=None), "direct ok", "deaf critical"),
    "the cron workers go another way": (found(LOST, bus=LOST, delay=None, job=DIRECT), "deaf critical", "direct ok"),
    "not to the browser": (found(live=False), "session critical", "session ok"),
    "the bus process is not found": (found(bus=None), "unknown unknown", "session ok"),
    "…and browsers hear": (found(DIRECT, bus=None, live=True), "unknown unknown", "session ok"),
    "a session pool that is full": (
        found(BLOCKED, SESSION_POOL, bus=BLOCKED, delay=None, job=None),
        "session critical",
        "session critical",
    ),
    "a session pool that is nearly full": (
        found(BLOCKED, SESSION_POOL, bus=BLOCKED, job=BLOCKED),
        "session warning",
        "session warning",
    ),
    "blocked, nobody knows by what": (
        found(BLOCKED, bus=BLOCKED, delay=None, job=None),
        "unknown unknown",
        "unknown unknown",
    ),
    "blocked in a transaction pool": (
        found(BLOCKED, {"pool_mode": "transaction"}, bus=BLOCKED, delay=0.1, job=BLOCKED),
        "unknown unknown",
        "unknown unknown",
    ),
    "failed": (found(FAILED, bus=FAILED, job=None), "unknown unknown", "unknown unknown"),
    "the bus process is direct, and nobody can notify": (
        found(UNREACHABLE, bus=DIRECT, job=None),
        "direct critical",
        "unreachable critical",
    ),
    "unreachable": (
        found(UNREACHABLE, bus=UNREACHABLE, delay=None, job=None),
        "unreachable critical",
        "unreachable critical",
    ),
}


class CheckCase(ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.Check = cls.env["connection.check"]
        cls.manager = new_test_user(cls.env, "manager", groups="pgbouncer_monitor.group_manager")
        cls.Run = cls.env["connection.check.run"].with_user(cls.manager)
        cls.classPatch(type(cls.Run), "_release", lambda _run: None)  # the test's one transaction goes on

    def conclude(self, steps):
        self.Check.search([]).unlink()
        return self.Check._conclude(steps, self.Run._titles())


@tagged("-at_install", "post_install")
class TestVerdicts(CheckCase):
    def test_verdicts(self):
        for name, (steps, *expected) in VERDICTS.items():
            with self.subTest(name):
                checks = self.conclude(steps)
                self.assertEqual([f"{check.verdict} {check.level}" for check in checks], expected)
                for check in checks:
                    self.assertTrue(check.summary)
                    self.assertEqual(check.level == "ok", not check.remedy, "what is not well has a remedy")
                bus, cron = checks
                self.assertEqual(bus.host, "bus-host" if steps["bus"]["bus"] else socket.gethostname())
                self.assertEqual(cron.host, "cron-host" if steps["cron"]["hearing"] else socket.gethostname())

    def test_proxy_that_leads_elsewhere(self):
        steps = found()
        steps["bus"]["is_misled"] = True
        bus, _cron = self.conclude(steps)
        self.assertEqual((bus.verdict, bus.level), ("session", "critical"))
        self.assertIn("location /websocket", bus.remedy)

    def test_pool_that_is_too_small(self):
        steps = found(pool=SESSION_POOL)
        steps["slots"] |= {"level": "warning", "means": "It will block."}
        for check in self.conclude(steps):
            self.assertEqual((check.verdict, check.level), ("session", "warning"))
            self.assertIn("It will block.", check.summary)
            self.assertIn("postgres = host=10.0.0.1 port=5432 pool_mode=session pool_size=5", check.remedy)

    def test_not_known_whether_it_will_stay(self):
        steps = found()
        steps["slots"]["level"] = "unknown"
        self.assertEqual(self.conclude(steps).mapped("level"), ["warning", "warning"])

    def test_others_that_are_deaf(self):
        """One worker that hears is not all of them."""
        steps = found(DIRECT, bus=DIRECT, job=DIRECT)
        steps["listeners"] |= {"deaf": 1, "means": "Somebody is deaf."}
        for check in self.conclude(steps):
            self.assertEqual(check.level, "warning")
            self.assertIn("Somebody is deaf.", check.summary)

    def test_queue_job(self):
        steps = found()
        steps["listeners"] |= {"is_queue_job_deaf": True, "means": "queue_job is deaf."}
        _bus, cron = self.conclude(steps)
        self.assertEqual(cron.level, "warning")
        self.assertIn("jobrunner_db_host = 10.0.0.1\njobrunner_db_port = 5432", cron.remedy)

    def test_without_a_browser(self):
        """What the last browser saw stays true until another one sees something else."""
        for live, level in ((None, "ok"), (False, "critical"), (None, "critical"), (True, "ok"), (None, "ok")):
            bus = self.Check._conclude(found(live=live), self.Run._titles())[0]
            self.assertEqual(bus.level, level)

    def test_browser_of_a_deaf_bus(self):
        """When that is mended, nobody needs to open a page for the watch to see it."""
        for live in (True, False):
            self.Check._conclude(found(LOST, bus=LOST, delay=None, live=live), self.Run._titles())
            bus = self.Check._conclude(found(live=None), self.Run._titles())[0]
            self.assertEqual((bus.verdict, bus.level), ("session", "ok"))

    def test_asked_on_its_own_host(self):
        """Nobody knows whether browsers are led to that process, unless one of them tells."""
        for live, level in ((None, "warning"), (True, "ok")):
            steps = found(live=live)
            steps["bus"]["is_direct"] = True
            bus, _cron = self.conclude(steps)
            self.assertEqual((bus.verdict, bus.level), ("session", level))

    def test_each_host(self):
        """A good check of one Odoo server does not hide a bad one of another."""
        values = {"listener": "bus", "verdict": "deaf", "level": "critical", "summary": "s", "host": "one"}
        bad = self.Check.create(values)
        self.Check.create(values | {"verdict": "direct", "level": "ok", "host": "two"})
        self.assertEqual(self.Check._worst("bus"), bad)
        good = self.Check.create(values | {"verdict": "direct", "level": "ok"})
        self.assertEqual(self.Check._worst("bus").level, "ok")
        good.checked_at -= timedelta(hours=49)
        bad.checked_at -= timedelta(hours=50)
        self.assertEqual(self.Check._worst("bus").host, "two", "of a host that is gone nobody knows")
        self.Check.search([]).checked_at = fields.Datetime.now() - timedelta(hours=49)
        self.assertFalse(self.Check._worst("bus"))
        self.assertTrue(self.Check.last()[0]["is_old"])

    def test_old_checks_are_deleted(self):
        """Those of hosts that are gone, too; with the history."""
        old, new = self.conclude(found())
        old.checked_at -= timedelta(days=401)
        self.Check._gc_checks()
        self.assertFalse(old.exists())
        self.assertTrue(new.exists())

    def test_user_without_a_name(self):
        """As in a container: the lines are there all the same."""
        with patch("getpass.getuser", side_effect=KeyError):
            bus, _cron = self.conclude(found(LOST, bus=LOST, delay=None, job=None))
        self.assertIn("User=odoo", bus.remedy)

    def test_no_lines_for_a_direct_connection(self):
        """That cannot reach postgres: a line for a PgBouncer that is not there would lead nowhere."""
        for is_pooled in (False, True):
            with patch.object(type(self.Check), "_is_pooled", lambda _self, is_pooled=is_pooled: is_pooled):
                _bus, cron = self.conclude(found(UNREACHABLE, bus=UNREACHABLE, delay=None, job=None))
                self.assertEqual("pool_mode=session" in cron.remedy, is_pooled)
                self.assertIn("no such database: postgres", cron.summary)

    def test_direct_address_from_another_host(self):
        """A loopback address of PostgreSQL's is that of PgBouncer's host."""
        self.patch(config, "options", config.options.new_child({"db_host": "db.example.com"}))
        bus, _cron = self.conclude(found(bus=LOST | {"server": ("127.0.0.1", 5433)}))
        self.assertIn("imdispatcher_db_host = db.example.com\nimdispatcher_db_port = 5433", bus.remedy)

    def test_the_last_ones_are_kept(self):
        first = self.conclude(found())
        for _number in range(KEPT):
            last = self.Check._conclude(found(), self.Run._titles())
        self.assertFalse(first.exists())
        self.assertEqual(self.Check.search_count([("listener", "=", "bus")]), KEPT)
        self.assertEqual([check["id"] for check in self.Check.last()], last.ids)


@tagged("-at_install", "post_install")
class TestSteps(CheckCase):
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

    def test_order(self):
        wanted = ["configuration", "pooler", "listen", "bus", "browser", "listeners", "slots", "cron"]
        self.assertEqual(self.names, wanted)
        for name in ("unlink", "", None, ["pooler"]):
            with self.assertRaisesRegex(UserError, "no step"):
                self.step(name)
        for name in ("listen", "slots", "cron"):
            with self.assertRaisesRegex(UserError, "in their order"):
                self.step(name)
        with self.assertRaisesRegex(UserError, "in their order"):
            self.run_record.finish()

    def test_route(self):
        self.assertIn(f":{config['db_port']}", self.step("configuration")["seen"])
        told = self.step("pooler")
        self.assertIn("It is Test PgBouncer, and the pool is in session mode.", told["means"])
        self.assertEqual(self.figures("pooler")["pool"]["pool_size"], 20)
        told = self.step("listen")
        self.assertEqual(told["level"], "ok")
        self.assertRegex(told["seen"], r"^It arrived after [\d.]+ ms")
        self.assertFalse(told["is_pending"])

    def test_pooler_that_is_not_watched(self):
        self.endpoint.active = False
        self.assertIn("none of the endpoints", self.step("pooler")["means"])

    def test_endpoint_that_does_not_answer(self):
        """It costs no verdict."""
        self.endpoint.port = self.silent_server()
        self.step("pooler")
        self.assertEqual(self.figures("pooler")["hearing"]["outcome"], "heard")
        told = self.step("listeners")
        self.assertEqual(told["level"], "warning")
        self.assertIn("did not answer", told["means"])

    def test_traps(self):
        with patch.dict(os.environ, {"IMDISPATCHER_DB_PORT": "5432"}):
            told = self.step("configuration")
        self.assertEqual(told["level"], "warning")
        self.assertIn("ODOO_IMDISPATCHER_DB_PORT", told["means"])
        self.patch(config, "options", config.options.new_child({"imdispatcher_db_host": "db"}))
        self.assertIn("is not loaded", self.step("configuration")["means"])

    def test_bus_process(self):
        """Without workers it is this very process."""
        answer = self.Run.sudo()._answer_as_bus_process(self.run_id, self.token)
        self.assertNotIn("password", answer["text"])
        told = self.step("pooler") and self.step("bus", answer)
        self.assertIn("answered this browser", told["seen"])
        self.assertEqual(told["level"], "ok")
        self.assertIsNotNone(self.figures("bus")["bus"]["delay"], "the dispatcher was called")
        self.assertFalse([channel for channel in dispatch._channels_to_ws if "pgbouncer_monitor" in str(channel)])

    def test_dispatcher_that_is_called_by_others_only(self):
        """Not the check's own channel: that is not hearing."""
        with patch.object(listen, "notify"), connect() as session:
            session.autocommit = True
            payload = json.dumps([channel_with_db(self.env.cr.dbname, "broadcast")])
            session.cursor().execute(sql.SQL("NOTIFY imbus, {}").format(sql.Literal(payload)))
            self.assertIsNone(self.Run.sudo()._call_dispatcher())

    def test_answers_that_are_not_of_the_bus_process(self):
        good = self.Run.sudo()._answer_as_bus_process(self.run_id, self.token)
        other = self.Run.start()
        for answer in (
            good | {"signature": "0" * 64},
            good | {"text": good["text"].replace('"is_bus": true', '"is_bus": true ')},
            self.Run.sudo()._answer_as_bus_process(other["id"], other["token"]),
            {},
            {"text": None, "signature": None},
            "nonsense",
            [],
            7,
        ):
            with self.subTest(answer=str(answer)[:40]):
                self.assertNotIn("is_bus", self.run_record.sudo()._read_answer(answer))

    def test_bus_process_that_cannot_be_asked(self):
        """Nobody listens where it should be."""
        self.step("pooler")
        self.env["ir.config_parameter"].set_param("web.base.url", f"http://127.0.0.1:{closed_port()}")
        self.patch(config, "options", config.options.new_child({"http_port": closed_port()}))
        told = self.step("bus")
        self.assertEqual(told["level"], "unknown")
        self.assertIn("no connection", told["seen"])
        self.assertNotIn("bus", self.figures("bus"))

    def test_browser(self):
        for answer, level in (
            ([0.01, 0.02, 0.03], "ok"),
            ([0.01, 0.02, None], "critical"),
            ([0.01], "critical"),
            ([], "critical"),
            ([0.01, 0.02, 99], "critical"),
            ([0.01, 0.02, -1], "critical"),
            ([0.01, 0.02, "0.03"], "critical"),
            (None, "unknown"),
        ):
            self.assertEqual(self.step("browser", answer)["level"], level, answer)
        with self.assertRaisesRegex(UserError, "list of seconds"):
            self.step("browser", 5)

    def test_listeners_that_are_deaf(self):
        """A client of postgres that is connected for long, and has no server."""
        idle = self.client(connect_pooled(dbname="postgres", user="odoo", password=config["db_password"]))
        port = self.own_port(idle)
        of_idle = [("port", "=", port)]
        self.patch(type(self.Run), "_old_clients", lambda run: run.env["pgbouncer.client"].search(of_idle))
        told = self.step("listeners")
        self.assertIn("1 clients", told["seen"])
        self.assertIn(str(port), told["means"])

    def own_port(self, connection):
        with socket.socket(fileno=os.dup(connection.fileno())) as own_end:
            return own_end.getsockname()[1]

    def test_old_clients(self):
        rows = [
            {"database": "postgres", "connect_time": "2026-01-01 10:00:00 UTC", "ptr": "old"},
            {"database": "postgres", "connect_time": "2026-01-01 10:01:00 UTC", "ptr": "new"},
            {"database": "shop", "connect_time": "2026-01-01 09:00:00 UTC", "ptr": "of another database"},
            {"database": "pgbouncer", "connect_time": "2026-01-01 10:01:01 UTC", "ptr": "the console"},
        ]
        with answering({self.endpoint: {"SHOW CLIENTS": rows}}):
            self.assertEqual(self.run_record._old_clients().mapped("ptr"), ["old"])

    def test_slots(self):
        self.step("pooler")
        self.step("listeners")
        self.patch(config, "options", config.options.new_child({"max_cron_threads": 19, "workers": 0}))
        self.assertEqual(self.step("slots")["level"], "warning", "19 cron workers and the bus take all 20 servers")
        self.patch(config, "options", config.options.new_child({"max_cron_threads": 18}))
        self.assertIn("some of them wait for a moment", self.step("slots")["means"])
        self.patch(config, "options", config.options.new_child({"max_cron_threads": 2}))
        self.assertEqual(self.step("slots")["level"], "ok")

    def test_listeners_that_are_cut_off(self):
        self.step("pooler")
        self.step("listeners")
        run = self.run_record.sudo()
        pool = run.steps["pooler"]["pool"] | {"client_idle_timeout": "30"}
        run.steps = run.steps | {"pooler": run.steps["pooler"] | {"pool": pool}}
        told = self.step("slots")
        self.assertEqual(told["level"], "warning")
        self.assertIn("client_idle_timeout is 30 s", told["means"])

    def test_job_that_nobody_starts(self):
        """There are no cron workers in these tests."""
        self.step("pooler")
        self.assertTrue(self.step("cron")["is_pending"])
        with patch.object(type(self.Run), "_clock", lambda run: run.sudo().job["triggered"][-1] + 5):
            told = self.step("cron")
        self.assertEqual((told["is_pending"], told["level"]), (False, "critical"))
        self.assertIn("did not start within 5 s", told["seen"])

    def test_jobs_that_start(self):
        self.step("pooler")
        self.step("cron")
        for _number in range(config["max_cron_threads"] + 2):
            self.assertTrue(self.run_record.sudo().is_waiting)
            self.start_job()
        told = self.step("cron")
        self.assertEqual(told["level"], "ok")
        self.assertLess(self.figures("cron")["delay"], 5)

    def test_each_job_is_started_by_another_worker(self):
        """Each of them may have started it by its timer: that is no proof."""
        self.step("pooler")
        self.step("cron")
        for pid in range(config["max_cron_threads"] + 2):
            with patch("os.getpid", lambda pid=pid: pid):
                self.start_job()
        told = self.step("cron")
        self.assertEqual(told["level"], "critical")
        self.assertFalse(self.figures("cron")["is_woken"])

    def test_late_job(self):
        """It is told when the verdict is there already."""
        for name in self.names:
            self.step(name, *([None] if name in ("bus", "browser") else []))
        checks = self.run_record.finish()
        cron = checks.filtered(lambda check: check.listener == "cron")
        self.assertEqual(cron.delay, 0)
        clock = self.Run._clock()
        with patch.object(type(self.Run), "_clock", lambda _run: clock + 43):
            self.start_job()
        self.assertAlmostEqual(cron.delay, 43, delta=1)
        self.assertIn("It started after 43", cron.evidence)
        self.assertEqual(self.run_record.finish(), checks, "once")

    def test_action_that_is_switched_off(self):
        self.step("pooler")
        self.env.ref("pgbouncer_monitor.ir_cron_listen").active = False
        told = self.step("cron")
        self.assertEqual((told["level"], told["is_pending"]), ("unknown", None))

    def test_nothing_is_sent_that_would_block(self):
        """A NOTIFY without a connection for it would keep the request waiting."""
        self.run_record.sudo().steps = {"pooler": {"hearing": BLOCKED, "pool": None}}
        self.patch(config, "options", config.options.new_child({"db_port": closed_port()}))
        with patch.object(type(self.env["bus.bus"]), "_sendone", side_effect=AssertionError):
            self.assertFalse(self.run_record.echo("1"))
        self.assertIn("NOTIFY", self.step("cron")["seen"])
        self.assertFalse(self.run_record.sudo().is_waiting)


@tagged("-at_install", "post_install")
class TestWatch(AlertCase):
    """What is kept an eye on without a browser."""

    def check(self, listener, level, verdict="deaf"):
        values = {"listener": listener, "verdict": verdict, "level": level, "summary": "What was found.", "host": "h"}
        return self.env["connection.check"].create(values)

    def sample(self, minute):
        return [message.subject for message in self.minute(minute, self.postgresql)]

    def test_alert(self):
        self.check("bus", "ok", "direct")
        self.assertEqual(self.sample(0), [])
        self.check("bus", "critical")
        self.assertEqual(self.sample(1), [f"Critical: Deaf Bus: {self.postgresql.name}"])
        alert = self.env["connection.alert"].search([("rule", "=", "deaf_bus_samples")])
        self.assertIn("What was found.", alert.situation)
        self.check("bus", "unknown", "unknown")
        self.assertEqual(self.sample(2), [], "nobody knows whether it is over")
        self.check("bus", "ok", "session")
        self.assertEqual(self.sample(3), [f"Resolved: Deaf Bus: {self.postgresql.name}"])

    def test_both(self):
        self.check("bus", "critical", "unreachable")
        self.check("cron", "critical")
        [subject] = self.sample(0)
        self.assertIn("Deaf Bus", subject)
        self.assertIn("Deaf Cron", subject)

    def test_warning_and_unknown_are_no_alert(self):
        self.check("bus", "warning", "session")
        self.check("cron", "unknown", "unknown")
        self.assertEqual([*self.sample(0), *self.sample(1)], [])

    def test_after_a_restart(self):
        """Once, when all processes are up."""
        server = SimpleNamespace(pid=os.getpid())
        cron = self.env.ref("pgbouncer_monitor.ir_cron_check")

        def is_claimed(seconds):
            """So many seconds from now, when the process of the tests is a server that has started before."""
            with patch.object(odoo.service.server, "server", server), self.clock_forward(seconds):
                return self.env["connection.check"]._claim_start()

        cron.active = False
        self.assertFalse(is_claimed(3600))
        cron.active = True
        self.assertFalse(is_claimed(-3600), "it is only starting")
        self.assertTrue(is_claimed(3600))
        self.assertFalse(is_claimed(3600), "once")
        with patch.object(psutil.Process, "create_time", lambda _process: 1_000_000):
            self.assertTrue(is_claimed(3600), "it was started anew")

    def test_scheduled_check_whose_job_never_starts(self):
        """It has no verdict on cron, but one on the bus."""
        self.env["connection.check"]._cron_check()
        self.assertFalse(self.env["connection.check"].search([]))
        with self.clock_forward(180):
            self.env["connection.check.run"]._finish_forgotten()
            self.env["connection.check.run"]._finish_forgotten()
        checks = self.env["connection.check"].search([], order="id")
        self.assertEqual(checks.mapped("listener"), ["bus", "cron"])
        self.assertEqual(checks[1].verdict, "unknown")

    def test_settings(self):
        Settings = self.env["res.config.settings"]
        cron = self.env.ref("pgbouncer_monitor.ir_cron_check")
        cron.active = True
        self.assertEqual((Settings.create({}).is_checking, Settings.create({}).check_hours), (True, 24))
        Settings.create({"check_hours": 6}).set_values()
        self.assertEqual(Settings.create({}).check_hours, 6)
        Settings.create({"is_checking": False}).set_values()
        self.assertFalse(cron.active)
        with self.assertRaisesRegex(ValidationError, "at least 1 hour"):
            Settings.create({"is_checking": True, "check_hours": 0})
        cron.write({"active": True, "interval_number": 30, "interval_type": "minutes"})
        Settings.create({}).set_values()
        self.assertEqual((cron.interval_number, cron.interval_type), (30, "minutes"), "what was not changed stays")
        cron.unlink()
        Settings.create({}).set_values()


@tagged("-at_install", "post_install")
class TestRights(HttpCase):
    def setUp(self):
        super().setUp()
        for login in ("viewer", "manager", "other_manager"):
            new_test_user(self.env, login, groups=f"pgbouncer_monitor.group_{login.removeprefix('other_')}")
        new_test_user(self.env, "nobody", groups="base.group_user")

    def post(self, path, **params):
        answer = self.url_open(path, json={"params": params}).json()
        return answer["error"]["data"]["name"] if "error" in answer else answer["result"]

    def call_kw(self, model, method, *args):
        return self.post("/web/dataset/call_kw", model=model, method=method, args=args, kwargs={})

    @mute_logger("odoo.http", "odoo.models", "odoo.addons.base.models.ir_model", "odoo.addons.base.models.ir_rule")
    def test_only_managers_check(self):
        denied = "odoo.exceptions.AccessError"
        for login in ("nobody", "viewer"):
            self.authenticate(login, login)
            self.assertEqual(self.call_kw("connection.check", "action_check"), denied)
            self.assertEqual(self.call_kw("connection.check.run", "start"), denied)
        self.authenticate("manager", "manager")
        run = self.call_kw("connection.check.run", "start")
        self.assertTrue(self.call_kw("connection.check.run", "step", [run["id"]], "configuration")["seen"])
        for name in ("token", "steps", "job"):
            self.assertEqual(self.call_kw("connection.check.run", "read", [run["id"]], [name]), denied)
        for method, args in (("create", [[{}]]), ("write", [[1], {"verdict": "direct"}]), ("unlink", [[1]])):
            self.assertEqual(self.call_kw("connection.check", method, *args), denied)
        self.authenticate("other_manager", "other_manager")
        for method, args in (("step", ["configuration"]), ("echo", ["1"]), ("finish", [])):
            self.assertEqual(self.call_kw("connection.check.run", method, [run["id"]], *args), denied)

    @mute_logger("odoo.http")
    def test_bus_process_answers_a_check_only(self):
        self.authenticate("manager", "manager")
        run = self.call_kw("connection.check.run", "start")
        for login in ("manager", "viewer", "nobody", None):
            self.authenticate(login, login)
            for token in ("", "x", "ä", None, False, 0, []):
                self.assertEqual(self.post(ROUTE, run_id=run["id"], token=token), "odoo.exceptions.AccessError")
            for run_id in (0, -1, 1 << 40, "1", "x", None, [], True):
                self.assertEqual(self.post(ROUTE, run_id=run_id, token=run["token"]), "odoo.exceptions.AccessError")
        answer = self.post(ROUTE, run_id=run["id"], token=run["token"])
        self.assertTrue(json.loads(answer["text"])["is_bus"])
        self.assertNotIn(config["db_password"], str(answer))
        record = self.env["connection.check.run"].browse(run["id"])
        self.env.cr.execute("UPDATE connection_check_run SET create_date = create_date - interval '3 min'")
        record.invalidate_recordset()
        self.assertEqual(self.post(ROUTE, run_id=run["id"], token=run["token"]), "odoo.exceptions.AccessError", "old")
