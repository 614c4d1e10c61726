import socket
from datetime import timedelta
from unittest.mock import patch

from odoo.tests import tagged
from odoo.tools import config

from ...models.listen_check.connection_check import KEPT
from ..pure.findings import DELIVERED, DIRECT, LOST, SESSION_POOL, UNREACHABLE, VERDICTS, found
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
                here = socket.gethostname()
                self.assertEqual(bus._server_text(), "bus-host:8072" if steps["bus"]["processes"] else here)
                self.assertEqual(cron._server_text(), "cron-host:8069" if steps["cron"]["result"] else here)

    def test_reverse_proxy_that_passes_to_another_process(self):
        steps = found(live=None, is_open=False)
        steps["bus"]["misled"] = ["https://odoo.example.com"]
        bus, _cron = self.conclude(steps)
        self.assertEqual((bus.verdict, bus.level), ("session", "critical"))
        self.assertIn("location /websocket", bus.remedy)

    def test_pool_that_is_too_small(self):
        steps = found(DELIVERED, SESSION_POOL | {"pool_size": 3})
        steps["slots"] |= {"here": "warning", "bus": "warning", "level": "warning", "code": "too_small"}
        for check in self.conclude(steps):
            self.assertEqual((check.verdict, check.level), ("session", "warning"))
            self.assertIn("The pool is too small", check.summary)
            self.assertIn("pool_mode=session pool_size=5", check.remedy)

    def test_pool_of_unknown_size(self):
        steps = found()
        steps["slots"] |= {"here": "unknown", "bus": "unknown"}
        self.assertEqual(self.conclude(steps).mapped("level"), ["warning", "warning"])

    def test_other_clients_without_a_server(self):
        """One worker that receives notifications does not prove it for all."""
        steps = found(DIRECT, bus=DIRECT, job=DIRECT)
        steps["listeners"] |= {"deaf_cron": ["10.0.0.9:4711"]}
        bus, cron = self.conclude(steps)
        self.assertEqual((bus.level, cron.level), ("ok", "warning"))
        self.assertIn("Some cron workers have no server and receive nothing: 10.0.0.9:4711.", cron.summary)

    def test_what_an_earlier_browser_received(self):
        """It is no evidence for this check."""
        for live, level in ((False, "warning"), (None, "ok"), (True, "ok"), (None, "ok")):
            bus = self.Check._conclude(found(live=live))[0]
            self.assertEqual((bus.level, bus.is_live), (level, {True: "yes", False: "no"}.get(live, False)))

    def test_bus_of_another_database(self):
        elsewhere = DIRECT | {"database": "other"}
        bus, _cron = self.conclude(found(DIRECT, bus=elsewhere, delay=None))
        self.assertIn("The bus listens on the database other (10.0.0.1:5432)", bus.summary)

    def test_connection_that_is_cut(self):
        steps = found()
        steps["bus"]["processes"][0]["cuts"] = [[1_700_000_000.0, "closed by the peer"]]
        bus, _cron = self.conclude(steps)
        self.assertIn("last at 2023-11-14 22:13:20 UTC (closed by the peer)", bus.summary)
        short = DIRECT | {"idle_timeout": 50.0}
        bus, _cron = self.conclude(found(short, bus=short, job=short))
        self.assertIn("after 50 s without traffic", bus.summary)
        self.assertIn('IN DATABASE "postgres" SET idle_session_timeout = 0;', bus.remedy)

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
            with patch.object(type(self.env["connection.endpoint"]), "_is_pooled", return_value=is_pooled):
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
