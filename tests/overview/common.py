"""The base class of the tests of the Overview's answer."""

import json

from psycopg2.extras import wait_select

from ..cases import SampleCase
from ..common import connect, empty_pools, wait_until


class OverviewCase(SampleCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        empty_pools()

    def overview(self, user=None):
        """Return what the page gets, converted to JSON and back."""
        self.refresh()
        Overview = self.env["connection.overview"]
        return json.loads(json.dumps((Overview.with_user(user) if user else Overview).get_overview()))

    def card(self, endpoint=None, overview=None):
        cards = (overview or self.overview())["cards"]
        return next(card for card in cards if card["id"] == (endpoint or self.endpoint).id)

    def waiter(self, *commands, connect=connect, **options):
        """Open a session that runs commands and waits in the last one."""
        waiter = self.client(connect(user="odoo", async_=True, connect_timeout=None, **options))
        wait_select(waiter)
        cursor = waiter.cursor()
        for command in commands[:-1]:
            cursor.execute(command)
            wait_select(waiter)
        cursor.execute(commands[-1])
        waiter.poll()
        return waiter

    def lock_tree(self):
        """Open three sessions, each of which waits for the one before. Return their PIDs."""
        lock = "SELECT pg_advisory_xact_lock(%s)"
        first = self.client(connect(user="odoo", application_name="first"))
        first.cursor().execute(f"BEGIN; {lock % 701}")
        second = self.waiter(f"BEGIN; {lock % 702}", lock % 701, application_name="second")
        third = self.waiter(f"BEGIN; {lock % 702}", application_name="third")
        sessions = [first, second, third]

        def blocked():
            self.refresh()
            pids = [connection.info.backend_pid for connection in sessions]
            return self.env["pg.stat.activity"].search_count([("pid", "in", pids), ("blocked_by", "!=", False)]) == 2

        wait_until(blocked)
        return [connection.info.backend_pid for connection in sessions]

    def pairs(self, part):
        """Return all (count, link) pairs in a part of the answer."""
        if isinstance(part, list):
            return [pair for item in part for pair in self.pairs(item)]
        if not isinstance(part, dict):
            return []
        own = [(part["count"], part["link"])] if part.keys() >= {"count", "link"} else []
        return own + self.pairs(list(part.values()))

    def count(self, link):
        return self.env[link["model"]].search_count(link["domain"])
