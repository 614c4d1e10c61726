from datetime import timedelta
from pathlib import Path

import psycopg2
from psycopg2.extras import wait_select

from odoo import fields
from odoo.tests import tagged
from odoo.tools.misc import file_path

from ..cases import insert_samples
from ..common import TINY, TourCase, connect, connect_pooled, endpoint_values, variable

LONG_NAME = "بوابة الاتصال of a name that has all of the 63 characters"
# What runs in the page, and when it can start.
PHONE_PAGE = "pgbouncer_monitor/static/tests/phone_page.js"
READY = "!!document.querySelector('.o_kanban_record')"


@tagged("-at_install", "post_install")
class TestOnAPhone(TourCase):
    browser_size = "375x800"
    touch_enabled = True

    def setUp(self):
        super().setUp()
        self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql").active = True
        self.env.ref("pgbouncer_monitor.ir_cron_sample").active = False
        self.endpoint = self.env["connection.endpoint"].create(endpoint_values(name=LONG_NAME))
        values = {"listener": "bus", "verdict": "direct", "level": "ok", "host": "a-host." * 9}
        self.env["connection.check"].create(values | {"conclusion": {"text": "It listens."}})

    def start(self, connection, *statements):
        """Send statements, and do not wait for the last one."""
        self.addCleanup(connection.close)
        wait_select(connection)
        cursor = connection.cursor()
        self.addCleanup(cursor.close)
        for statement in statements:
            wait_select(connection)
            cursor.execute(statement)
        connection.poll()
        return connection

    def alert(self):
        """A client waits for the only server of a pool: an alert opens."""
        rule = self.env["connection.rule"].search([("rule", "=", "waiting_samples")])
        rule.write({"warning": 1, "critical": 1})
        for statements in (("BEGIN", "SELECT 1"), ("SELECT 2",)):
            self.start(connect_pooled(dbname=TINY, user="odoo", async_=True, connect_timeout=None), *statements)
        self.refresh()
        self.env["connection.sample"]._sample(self.endpoint)

    def test_cards(self):
        """Each screen shows what matters, fits, and is accessible; a query is canceled, an alert acknowledged."""
        self.alert()
        options = {"user": "odoo", "application_name": "canceled_" + "x" * 54, "async_": True}
        compared = {"endpoint_id": self.endpoint.id, "period": "minute", "sample_count": 1, "level": "ok", "used": 1}
        ago = fields.Datetime.now() - timedelta(minutes=15)
        insert_samples(self.env, compared | {"sampled_at": fields.Datetime.to_string(ago), "pressure_max": 12.5})
        victim = self.start(connect(**options), "SELECT pg_sleep(600)")
        hidden = connect(user="shop", dbname="shop")
        self.addCleanup(hidden.close)
        self.refresh()
        code = Path(variable("AXE_CORE")).read_text() + Path(file_path(PHONE_PAGE)).read_text()
        self.browser_js("/odoo/pg-sessions", code, ready=READY, login="admin", timeout=180)
        with self.assertRaises(psycopg2.extensions.QueryCanceledError):
            wait_select(victim)
        self.assertEqual(self.endpoint.alert_ids.acknowledged_by, self.env.ref("base.user_admin"))
