"""Readings that find what a test says."""

from contextlib import contextmanager
from unittest.mock import patch

from ...advice.findings import Finding, Gap, Step
from ...advice.snapshot import Console, Odoo, PostgreSQL, Snapshot, Watch
from ...models.advice.connection_advice_reading import judge
from ...models.planning import connection_plan_fill_servers
from ..cases import SampleCase

STEP = Step("pgbouncer", ("query_wait_timeout = 120",), "reload")


@contextmanager
def answering(env, *found, silent=(), **odoo):
    """Let readings find this, Findings and Gaps, of all active endpoints except silent ones, which do not answer."""

    def snapshot(self):
        consoles = {
            endpoint.id: Console(endpoint.id, endpoint.name, is_answering=endpoint not in silent)
            for endpoint in self._pgbouncers()
        }
        postgresql = PostgreSQL(role="odoo", sessions=None if self._postgresql() in silent else [])
        return Snapshot(consoles, postgresql, Odoo(**odoo), Watch())

    gaps = [item for item in found if isinstance(item, Gap)]
    result = [item for item in found if item not in gaps], gaps
    with (
        patch.object(judge, "judge", lambda _snapshot: result),
        patch.object(type(env["connection.advice"]), "_snapshot", snapshot),
    ):
        yield


class AdviceCase(SampleCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.Advice = cls.env["connection.advice"]

    def endless(self, level="warning", console=True, **values):
        """Return a Finding of the endpoint, or of PostgreSQL."""
        values = {"evidence": {"query_wait_timeout": 0}, "steps": (STEP,)} | values
        return Finding("endless_queue", level, self.endpoint.id if console else None, **values)

    def gap(self, needs="history", rule="endless_queue", console=True, **figures):
        return Gap(rule, self.endpoint.id if console else None, needs, figures)

    def find(self, *found, **options):
        """Store what a reading finds. Return the records that are shown.

        :param options: of `answering`
        """
        with answering(self.env, *found, **options):
            self.assertTrue(self.Advice._read())
        self.env.invalidate_all()
        return self.Advice.search([])


class SnapshotCase(SampleCase):
    def snapshot(self):
        self.refresh()
        return self.env["connection.advice"]._snapshot()

    def console_of(self, endpoint=None):
        """Return the snapshot, and the Console of an endpoint."""
        snapshot = self.snapshot()
        return snapshot, snapshot.consoles[(endpoint or self.endpoint).id]

    def direct(self):
        """Odoo is connected to PostgreSQL itself."""
        pid = self.env["connection.endpoint"]._own_connection("pg_backend_pid()")
        return patch.object(connection_plan_fill_servers, "protocol_pid", lambda _cr: pid)
