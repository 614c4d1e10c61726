"""Which checks count: of which listener, and how old."""

import os
import socket
from contextlib import closing
from datetime import timedelta

from odoo import fields
from odoo.tests import tagged
from odoo.tools import config

from ..common import connect, connect_pooled
from ..pure.findings import found
from .cases import CheckCase

HERE = socket.gethostname()


def own_end(connection):
    with closing(socket.socket(fileno=os.dup(connection.fileno()))) as end:
        return end.getsockname()


@tagged("-at_install", "post_install")
class TestCurrent(CheckCase):
    def setUp(self):
        super().setUp()
        self.Check.search([]).unlink()

    def check(self, host="one", port=8072, level="critical", hours=0, **values):
        values |= {"listener": "bus", "host": host, "port": port, "level": level}
        values["verdict"] = "direct" if level == "ok" else "deaf"
        return self.Check.create(values | {"checked_at": fields.Datetime.now() - timedelta(hours=hours)})

    def conclude(self, host=HERE, port=8073, pid=None, addresses=(), is_found=True):
        """Conclude a check of a bus that works."""
        steps = found() if is_found else found(bus=None)
        if is_found:
            [bus] = steps["bus"]["processes"]
            bus |= {"host": host, "port": port, "pid": pid or os.getpid()}
            bus["sockets"] = [{"endpoint_id": number, "address": address} for number, address in addresses]
        return self.Check._conclude(steps)[0]

    def worst(self):
        return self.Check._worst("bus")

    def test_each_service(self):
        """A good check of one service does not hide a bad one of another, on another host or on the same."""
        for host, port in (("two", 8072), ("one", 8073)):
            bad = self.check()
            self.check(host, port, "ok")
            self.assertEqual(self.worst(), bad)
            self.check(level="ok")
            self.assertEqual(self.worst().level, "ok")

    def test_services_that_were_checked_together(self):
        """Behind one address: the record is about the one that is bad."""
        self.check("one")
        self.check("two", level="ok", covered=[["two", 8072], ["one", 8072]])
        self.assertEqual((self.worst().host, self.worst().level), ("two", "ok"))
        self.check("one", covered=[["two", 8072], ["one", 8072]])
        self.assertEqual(self.worst().host, "one")

    def test_listeners_that_were_checked_elsewhere(self):
        """Each recent check covers its bus processes, and the cron workers of its server."""
        self.assertEqual(self.Check._count_elsewhere([]), 0)
        _bus, cron = self.Check._conclude(found())
        cron_key, bus_key = ("cron-host", 8069), ("bus-host", 8072)
        self.assertEqual(self.Check._count_elsewhere([]), 3)
        self.assertEqual(self.Check._count_elsewhere([bus_key]), 2)
        self.assertEqual(self.Check._count_elsewhere([bus_key, cron_key]), 0)
        cron.checked_at -= timedelta(hours=49)
        self.assertEqual(self.Check._count_elsewhere([]), 1)

    def test_too_old(self):
        """It does not count while others are recent. Otherwise all is unknown."""
        self.check(hours=49)
        self.assertEqual(self.worst()._level_now(), "unknown")
        self.assertTrue(self.Check.last()[0]["is_old"])
        for level in ("ok", "warning", "unknown"):
            recent = self.check("two", level=level)
            self.assertEqual((self.worst(), self.worst()._level_now()), (recent, level))
        self.Check.search([]).checked_at = fields.Datetime.now() - timedelta(hours=49)
        self.assertEqual(self.worst()._level_now(), "unknown")
        self.assertEqual(self.Check.browse()._level_now(), "unknown")

    def test_page(self):
        """The worst, and of how many."""
        self.check(level="ok")
        [bus] = self.Check.last()
        self.assertEqual((bus["level"], bus["server"], bus["others"]), ("ok", "one:8072", False))
        self.check("two")
        [bus] = self.Check.last()
        self.assertEqual((bus["level"], bus["server"]), ("critical", "two:8072"))
        self.assertEqual(bus["others"], "The worst of 2 listeners.")
        self.check("three", hours=50)
        self.assertEqual(self.Check.last()[0]["others"], "The worst of 3 listeners. Outdated: three:8072")

    def test_process_that_has_ended(self):
        """A service of this host that has another port now, or that was checked before ports were known."""
        for values in ({"pid": 2**22 + 1}, {"pid": 0}, {"port": 0}):
            self.check(HERE, **values)
            good = self.conclude()
            self.assertEqual((self.worst(), self.worst().level), (good, "ok"), values)
        bad = self.check(HERE, pid=os.getppid())
        self.conclude()
        self.assertEqual(self.worst(), bad, "it exists")
        bad = self.check("two", pid=2**22 + 1)
        self.conclude()
        self.assertEqual(self.worst(), bad, "unknown here")

    def test_process_that_was_not_found(self):
        """Until this server finds it."""
        missing = self.conclude(is_found=False)
        self.assertEqual((missing.host, missing.port, missing.level), (HERE, 0, "unknown"))
        self.check("two", level="ok")
        self.assertEqual(self.worst(), missing)
        self.conclude()
        self.assertEqual(self.worst().level, "ok")

    def test_container_that_was_replaced(self):
        """The new one has the address and the port of the old one, and another name."""
        seen = [[self.endpoint.id, "10.0.0.7"]]
        self.check("old", addresses=seen)
        self.conclude("new", 8072, addresses=seen)
        self.assertEqual(self.worst().host, "new")
        self.patch(type(self.Check), "_connected_addresses", lambda _check: {})
        bad = self.check("old", 8070, addresses=seen)
        self.conclude("new", 8072, addresses=seen)
        self.assertFalse(bad.is_gone, "another port")

    def test_container_at_the_same_address_of_another_network(self):
        """As another server sees it; or each host has that address."""
        seen = [[self.endpoint.id, "10.0.0.7"]]
        self.patch(type(self.Check), "_connected_addresses", lambda _check: {0: {"127.0.0.1", "10.0.0.7"}})
        for old, new in ((seen, [[0, "10.0.0.7"]]), ([[0, "127.0.0.1"]], [[0, "127.0.0.1"]]), ([], []), ([], seen)):
            bad = self.check("old", addresses=old)
            self.conclude("new", 8072, addresses=new)
            self.assertFalse(bad.is_gone, (old, new))

    def test_host_that_is_not_connected_any_more(self):
        """Its address is known, and no server has a connection from there."""
        for seen, is_gone in (
            ([[0, "10.9.9.9"]], True),
            ([[self.endpoint.id, "10.9.9.9"], [0, "10.9.9.9"]], True),
            ([[0, "10.9.9.9"], [0, "127.0.0.1"]], False),
            ([[self.endpoint.id + 1000, "10.9.9.9"]], False),
            ([], False),
        ):
            with self.subTest(seen):
                bad = self.check(addresses=seen)
                self.env.cr.cache.clear()
                self.conclude()
                self.assertEqual(bad.is_gone, is_gone)
                bad.unlink()
        self.endpoint.port = self.silent_server()
        self.env.cr.cache.clear()
        bad = self.check(addresses=[[0, "10.9.9.9"]])
        self.conclude()
        self.assertFalse(bad.is_gone, "it may be connected to the one that does not answer")

    def test_addresses(self):
        """Those that servers see, but no unix socket."""
        good = self.conclude(addresses=[(0, "10.0.0.7"), (self.endpoint.id, None), (0, "10.0.0.7")])
        self.assertEqual(good.addresses, [[0, "10.0.0.7"]])

    def test_address_of_a_real_connection(self):
        sessions = {
            0: connect(user="odoo"),
            self.endpoint.id: connect_pooled(dbname="postgres", user="odoo", password=config["db_password"]),
        }
        for endpoint_id, session in sessions.items():
            self.client(session)
            self.refresh()
            worker = {"host": HERE, "pid": 0, "ends": [own_end(session)]}
            [seen] = self.Run.sudo()._sockets(worker)
            self.assertEqual((seen["endpoint_id"], seen["address"]), (endpoint_id, "127.0.0.1"))
            self.assertIn("127.0.0.1", self.Check._connected_addresses()[endpoint_id])
