"""Base classes for tests of samples, and of the models above them."""

import json
import logging
import time
from contextlib import closing, contextmanager
from datetime import timedelta
from types import SimpleNamespace
from unittest.mock import patch

from psycopg2.extras import wait_select

from odoo import fields
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from ..models.history.connection_sample import _logger
from ..probes import query
from .common import TILL, ServerCase, answering, connect, connect_pooled

SAMPLER = "odoo.addons.pgbouncer_monitor.models.history.connection_sample"
GAP, DOWN = "gap", "down"

POOL = {"database": "shop", "user": "shop", "sv_active": 1, "cl_waiting": 0, "maxwait": 0, "maxwait_us": 0}
DATABASE = {"name": "shop", "pool_size": 20, "max_connections": 0, "current_connections": 4, "paused": 0, "disabled": 0}
STATS = {
    "database": "shop",
    "total_xact_count": 10,
    "total_query_count": 20,
    "total_received": 30,
    "total_sent": 40,
    "total_wait_time": 0,
}
ANSWERS = {
    "SHOW POOLS": [POOL],
    "SHOW DATABASES": [DATABASE],
    "SHOW STATS": [STATS],
    "SHOW LISTS": [{"list": "used_clients", "items": 5}],
    "SHOW CONFIG": [{"key": "max_client_conn", "value": "100"}],
    "SHOW STATE": [{"key": "active", "value": "yes"}],
}


def insert_samples(env, *samples):
    """Store samples: dictionaries of values, in which ``reason_facts`` are a dictionary, too."""
    names = dict.fromkeys(name for sample in samples for name in sample)
    columns = {name: [sample.get(name) for sample in samples] for name in names}
    if "reason_facts" in columns:
        columns["reason_facts"] = [facts and json.dumps(facts) for facts in columns["reason_facts"]]
    env["connection.sample"]._insert([columns])


class _Unknown:
    """Equal to False alone, where 0 is equal to False in Python."""

    def __eq__(self, other):
        return other is False

    def __repr__(self):
        return "unknown"


UNKNOWN = _Unknown()


@tagged("-at_install", "post_install")
class SampleCase(ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env.ref("pgbouncer_monitor.ir_cron_check").active = False  # not with each sample of a new Odoo
        cls.postgresql = cls.env.ref("pgbouncer_monitor.connection_endpoint_postgresql")
        cls.postgresql.active = True
        cls.Sample = cls.env["connection.sample"]

    def take(self, endpoint=None):
        """Take the samples of an endpoint: of the instance, which comes first, of its pools, of its databases."""
        endpoint = endpoint or self.endpoint
        newest = self.Sample.search([], order="id desc", limit=1).id
        with self.assertLogs(_logger, logging.INFO) as logs:
            self.Sample._sample(endpoint)
        self.env.invalidate_all()
        [record] = logs.records
        self.line = f"{record.levelname} {record.getMessage()}"
        return self.Sample.search([("endpoint_id", "=", endpoint.id), ("id", ">", newest or 0)], order="id")

    def set_rule(self, name, endpoint=None, **values):
        """Change a rule, of all endpoints or of one of them."""
        Rule = self.env["connection.rule"]
        rule = Rule.search([("rule", "=", name), ("endpoint_id", "=", endpoint.id if endpoint else False)])
        if rule:
            rule.write(values)
        else:
            rule.create({"rule": name, "endpoint_id": endpoint.id} | values)

    def execute(self, statement):
        """As PostgreSQL's superuser, at once."""
        with closing(connect()) as superuser, superuser.cursor() as cursor:
            cursor.execute(statement)

    def grant_monitor(self):
        """Odoo's role may see the sessions of all roles."""
        self.execute("GRANT pg_monitor TO odoo")
        self.addCleanup(self.execute, "REVOKE pg_monitor FROM odoo")

    @contextmanager
    def clock_forward(self, seconds):
        """Only the time of day: freezegun would stop the probe's own clock, too."""
        real_time = time.time
        clock = SimpleNamespace(monotonic=time.monotonic, time=lambda: real_time() + seconds)
        now = fields.Datetime.now() + timedelta(seconds=seconds)
        with patch.object(query, "time", clock), freeze_time(now):
            yield

    def start(self, query, **options):
        """Send a query and do not wait for its answer: the cursor, whose connection can be polled."""
        connection = self.client(connect_pooled(dbname=TILL, async_=True, **options))
        wait_select(connection)
        cursor = connection.cursor()
        cursor.execute(query)
        connection.poll()
        self.addCleanup(cursor.close)
        return cursor

    @contextmanager
    def console(self, **answers):
        """A console that answers what no real one can be brought to say, e.g. pools=[…]."""
        with answering({self.endpoint: ANSWERS | {f"SHOW {name.upper()}": rows for name, rows in answers.items()}}):
            yield


class AlertCase(SampleCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.Alert = cls.env["connection.alert"]
        cls.subtype = cls.env.ref("pgbouncer_monitor.mt_alert")
        cls.admin = cls.env.ref("base.user_admin")

    def messages(self, endpoint=None):
        """The alerts in the chatter, the oldest first."""
        endpoint = endpoint or self.endpoint
        return endpoint.message_ids.filtered(lambda message: message.subtype_id == self.subtype).sorted("id")

    def minute(self, minute, endpoint=None, **answers):
        """Take the sample of a minute: the messages that come of it."""
        known = self.messages(endpoint)
        with mute_logger(SAMPLER), self.console(**answers), self.clock_forward(60 * minute):
            self.Sample._sample(endpoint or self.endpoint)
            self.Alert._notify()
        self.env.invalidate_all()
        return self.messages(endpoint) - known

    def waited(self, *minutes):
        """Let clients of the pool wait so many seconds, minute by minute: minute -> the subject of the message."""
        told = {}
        for number, seconds in enumerate(minutes):
            if seconds == GAP:
                continue
            # DOWN: an answer that cannot be used.
            answers = {"pools": [{"database": "shop"}] if seconds == DOWN else [self.pool(seconds)]}
            for message in self.minute(number, **answers):
                self.assertNotIn(number, told, "one message at most")
                told[number] = message.subject.removesuffix(": Test PgBouncer")
        return told

    def pool(self, seconds, **values):
        if seconds is None:
            return {name: value for name, value in POOL.items() if name not in ("maxwait", "maxwait_us")}
        return POOL | {"maxwait": int(seconds), "maxwait_us": round(seconds % 1 * 1e6)} | values
