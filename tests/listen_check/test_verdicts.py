import socket
from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.tests import tagged
from odoo.tools import config

from ...models.listen_check.connection_check import KEPT
from ..pure.findings import DIRECT, LOST, SESSION_POOL, UNREACHABLE, VERDICTS, found
from .cases import CheckCase


@tagged("-at_install", "post_install")
class TestVerdicts(CheckCase):
    def test_verdicts(self):
        for name, (steps, *expected) in VERDICTS.items():
            with self.subTest(name):
                checks = self.conclude(steps)
                self.assertEqual([f"{check.verdict} {check.level}" for check in checks], expected)
                for check in checks:
                    self.assertTrue(check.summary)
                    self.assertEqual(check.level == "ok", not check.remedy, "whatever is not OK has a remedy")
                bus, cron = checks
                self.assertEqual(bus.host, "bus-host" if steps["bus"].get("bus") else socket.gethostname())
                self.assertEqual(cron.host, "cron-host" if steps["cron"]["result"] else socket.gethostname())

    def test_reverse_proxy_that_passes_to_another_process(self):
        steps = found()
        steps["bus"]["misled"] = ["https://odoo.example.com"]
        bus, _cron = self.conclude(steps)
        self.assertEqual((bus.verdict, bus.level), ("session", "critical"))
        self.assertIn("location /websocket", bus.remedy)

    def test_pool_that_is_too_small(self):
        steps = found(pool=SESSION_POOL)
        steps["slots"] |= {"level": "warning", "code": "too_small"}
        for check in self.conclude(steps):
            self.assertEqual((check.verdict, check.level), ("session", "warning"))
            self.assertIn("The pool is too small", check.summary)
            self.assertIn("postgres = host=10.0.0.1 port=5432 pool_mode=session pool_size=5", check.remedy)

    def test_pool_of_unknown_size(self):
        steps = found()
        steps["slots"]["level"] = "unknown"
        self.assertEqual(self.conclude(steps).mapped("level"), ["warning", "warning"])

    def test_other_clients_without_a_server(self):
        """One worker that receives notifications does not prove it for all."""
        steps = found(DIRECT, bus=DIRECT, job=DIRECT)
        steps["listeners"] |= {"deaf": 1, "deaf_clients": ["10.0.0.9:4711"]}
        for check in self.conclude(steps):
            self.assertEqual(check.level, "warning")
            self.assertIn("If these clients listen, they receive no notifications: 10.0.0.9:4711.", check.summary)

    def test_without_a_browser(self):
        """The result of the last browser is valid until another one has a different result."""
        for live, level in ((None, "ok"), (False, "critical"), (None, "critical"), (True, "ok"), (None, "ok")):
            bus = self.Check._conclude(found(live=live))[0]
            self.assertEqual(bus.level, level)

    def test_browser_of_a_deaf_bus(self):
        """When the bus is fixed, a scheduled check notices it without a browser."""
        for live in (True, False):
            self.Check._conclude(found(LOST, bus=LOST, delay=None, live=live))
            bus = self.Check._conclude(found(live=None))[0]
            self.assertEqual((bus.verdict, bus.level), ("session", "ok"))

    def test_queried_on_its_own_host(self):
        """Only a browser can prove that the reverse proxy passes requests to that process."""
        for live, level in ((None, "warning"), (True, "ok")):
            steps = found(live=live)
            steps["bus"]["is_direct"] = True
            bus, _cron = self.conclude(steps)
            self.assertEqual((bus.verdict, bus.level), ("session", level))

    def test_each_host(self):
        """A good check of one Odoo server does not hide a bad one of another."""
        values = {"listener": "bus", "verdict": "deaf", "level": "critical", "host": "one"}
        bad = self.Check.create(values)
        self.Check.create(values | {"verdict": "direct", "level": "ok", "host": "two"})
        self.assertEqual(self.Check._worst("bus"), bad)
        good = self.Check.create(values | {"verdict": "direct", "level": "ok"})
        self.assertEqual(self.Check._worst("bus").level, "ok")
        good.checked_at -= timedelta(hours=49)
        bad.checked_at -= timedelta(hours=50)
        self.assertEqual(self.Check._worst("bus").host, "two", "a host without recent checks does not count")
        self.Check.search([]).checked_at = fields.Datetime.now() - timedelta(hours=49)
        self.assertFalse(self.Check._worst("bus"))
        self.assertTrue(self.Check.last()[0]["is_old"])

    def test_old_checks_are_deleted(self):
        """Also those of hosts that no longer exist, after the same time as the history."""
        old, new = self.conclude(found())
        old.checked_at -= timedelta(days=401)
        self.Check._gc_checks()
        self.assertFalse(old.exists())
        self.assertTrue(new.exists())

    def test_user_without_a_name(self):
        """As in a container: the remedy has lines all the same."""
        with patch("getpass.getuser", side_effect=KeyError):
            bus, _cron = self.conclude(found(LOST, bus=LOST, delay=None, job=None))
        self.assertIn("User=odoo", bus.remedy)

    def test_no_lines_for_a_direct_connection(self):
        """Without a PgBouncer in the path, a line for pgbouncer.ini would be useless."""
        for is_pooled in (False, True):
            with patch.object(type(self.Check), "_is_pooled", lambda _self, is_pooled=is_pooled: is_pooled):
                _bus, cron = self.conclude(found(UNREACHABLE, bus=UNREACHABLE, delay=None, job=None))
                self.assertEqual("pool_mode=session" in cron.remedy, is_pooled)
                self.assertIn("no such database: postgres", cron.summary)

    def test_direct_address_from_another_host(self):
        """A loopback address of PostgreSQL means PgBouncer's host."""
        self.patch(config, "options", config.options.new_child({"db_host": "db.example.com"}))
        bus, _cron = self.conclude(found(bus=LOST | {"server": ("127.0.0.1", 5433)}))
        self.assertIn("imdispatcher_db_host = db.example.com\nimdispatcher_db_port = 5433", bus.remedy)

    def test_the_last_ones_are_kept(self):
        first = self.conclude(found())
        for _number in range(KEPT):
            last = self.Check._conclude(found())
        self.assertFalse(first.exists())
        self.assertEqual(self.Check.search_count([("listener", "=", "bus")]), KEPT)
        self.assertEqual([check["id"] for check in self.Check.last()], last.ids)
