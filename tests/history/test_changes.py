"""The sampler notices changes that listeners depend on."""

from unittest.mock import patch

from odoo import fields

from ...probes import query
from ...probes.errors import QueryError
from ..cases import DATABASE, POOL, STATS, SampleCase
from ..common import connect_pooled, psql


class TestChanges(SampleCase):
    def sampled(self, sessions, mode="session", size=20):
        """Take a sample, and return which times it set: of a restart, of a change."""
        pools = [POOL, POOL | {"database": "postgres", "pool_mode": mode}]
        stats = [STATS, STATS | {"database": "pgbouncer", "total_xact_count": sessions}]
        databases = [DATABASE, DATABASE | {"name": "postgres", "pool_size": size}]
        with self.console(pools=pools, stats=stats, databases=databases):
            self.take()
        return self.times()

    def times(self, endpoint=None):
        reading = (endpoint or self.endpoint)._last_reading()
        found = [reading[name] == reading.sampled_at for name in ("restarted_at", "changed_at")]
        reading.write({"restarted_at": False, "changed_at": False})
        return found

    def test_pool_of_listeners(self):
        self.assertEqual(self.sampled(1), [False, False], "the first sample ever")
        self.assertEqual(self.sampled(2, "transaction"), [False, True])
        self.assertEqual(self.sampled(3, "transaction"), [False, False], "once")
        self.assertEqual(self.sampled(4), [False, True], "back")
        self.assertEqual(self.sampled(5, size=7), [False, True])
        self.assertEqual(self.sampled(1, size=7), [True, False])
        with patch.object(query, "_query", side_effect=QueryError("timeout")):
            self.take()
        self.assertEqual(self.times(), [False, False])
        self.assertEqual(self.sampled(2, "transaction", 7), [False, True], "across a gap")
        self.endpoint.port += 1
        self.assertEqual(self.sampled(1), [False, False], "another server")

    def test_times_are_kept(self):
        self.sampled(1)
        then = fields.Datetime.now()
        self.endpoint._last_reading().write({"restarted_at": then, "changed_at": then})
        with self.clock_forward(60):
            self.take()
        reading = self.endpoint._last_reading()
        self.assertEqual((reading.restarted_at, reading.changed_at), (then, then))

    def test_real_pool(self):
        """Its size is changed while it runs."""
        self.client(connect_pooled(dbname="postgres"))  # otherwise there may be none
        self.take()
        self.take()
        self.assertEqual(self.times(), [False, False])
        self.addCleanup(psql, "SET default_pool_size = 20", "ADMIN")
        psql("SET default_pool_size = 19", "ADMIN")
        self.take()
        self.assertEqual(self.times(), [False, True])

    def test_postgresql(self):
        self.take(self.postgresql)
        self.take(self.postgresql)
        self.assertEqual(self.times(self.postgresql), [False, False])
        reading = self.postgresql._last_reading()
        reading.counters = reading.counters.replace('"started_at": ', '"started_at": 1')
        self.take(self.postgresql)
        self.assertEqual(self.times(self.postgresql), [True, False])
