import threading
import time
from datetime import timedelta
from unittest.mock import DEFAULT, patch

import psycopg2
from psycopg2.extras import wait_select

from odoo import fields
from odoo.tests import new_test_user, tagged

from ...models.listen_check import step_cron
from ...odoo_internals import LOSSES
from ...probes import query
from ..cases import insert_samples
from ..common import DESK, TINY, TourCase, closed_port, connect, connect_pooled, endpoint_values, variable


@tagged("-at_install", "post_install")
class TestTours(TourCase):
    def test_pools_fill_before_the_users_eyes(self):
        """The tour waits for a waiting client that comes only after the list was opened."""
        self.env["connection.endpoint"].create(
            [endpoint_values(), endpoint_values(name="Lost PgBouncer", port=closed_port())]
        )
        clients = [connect_pooled(dbname=TINY)]
        self.addCleanup(lambda: [client.close() for client in clients])
        clients[0].cursor().execute("BEGIN")

        opened = threading.Event()

        def wait_in_the_queue():
            opened.wait(timeout=90)
            waiter = connect_pooled(dbname=TINY, async_=True, connect_timeout=None)
            clients.append(waiter)
            while waiter.poll():
                time.sleep(0.01)
            waiter.cursor().execute("SELECT 1")

        def read(*args):
            opened.set()
            return DEFAULT

        thread = threading.Thread(target=wait_in_the_queue)
        thread.start()
        self.addCleanup(thread.join)
        self.startPatcher(patch.object(query, "run", wraps=query.run, side_effect=read))
        self.start_tour("/odoo/pgbouncer-pools", "pgbouncer_monitor_pools", login="admin", timeout=120)

    def test_sessions(self):
        self.start_tour("/odoo/pg-sessions", "pgbouncer_monitor_sessions", login="admin", timeout=120)

    def test_hidden_sessions(self):
        """Odoo's role may not see what the shop's does, and each view says so."""
        other = connect(user="shop", dbname="shop")
        self.addCleanup(other.close)
        self.start_tour("/odoo/pg-sessions", "pgbouncer_monitor_hidden", login="admin", timeout=120)

    def test_viewer(self):
        new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        self.start_tour("/odoo/pg-sessions", "pgbouncer_monitor_viewer", login="viewer", timeout=120)

    def test_who_blocks(self):
        """30 clients on 5 servers: from a blocked session to the client that blocks it."""
        self.env["connection.endpoint"].create(endpoint_values())
        holder = connect_pooled(dbname=DESK, user="odoo", application_name="culprit")
        self.addCleanup(holder.close)
        holder.cursor().execute("BEGIN; SELECT pg_advisory_xact_lock(30)")
        waiting = []
        for _number in range(29):
            client = connect_pooled(dbname=DESK, user="odoo", async_=True, connect_timeout=None)
            self.addCleanup(client.close)
            wait_select(client)
            waiting.append(client.cursor())
            waiting[-1].execute("SELECT pg_advisory_xact_lock(30)")
        self.refresh()
        self.start_tour("/odoo/pg-sessions", "pgbouncer_monitor_who_blocks", login="admin", timeout=120)

    def test_form_of_a_session(self):
        """The session begins a transaction while its form is open. Then the tour terminates it."""
        session = connect(user="odoo", application_name="to be ended")
        self.addCleanup(session.close)
        self.refresh()
        Live = self.env.registry["connection.live"]
        web_read_live, readings = Live.web_read_live, []

        def read(rows, *args):
            rows.env.cr.execute("SELECT pg_stat_clear_snapshot()")  # a request of a tour is no transaction of its own
            result = web_read_live(rows, *args)
            if not readings:
                session.cursor().execute("BEGIN")
            readings.append(result)
            return result

        self.patch(Live, "web_read_live", read)
        self.start_tour("/odoo/pg-sessions", "pgbouncer_monitor_session_form", login="admin", timeout=120)
        with self.assertRaises(psycopg2.OperationalError):
            session.cursor().execute("SELECT 1")

    def test_commands(self):
        self.env["connection.endpoint"].create(
            endpoint_values(user=variable("PGBOUNCER_ADMIN"), password=variable("PGBOUNCER_ADMIN_PASSWORD"))
        )
        self.start_tour("/odoo/connection-endpoints", "pgbouncer_monitor_commands", login="admin", timeout=120)
        endpoint = self.env["connection.endpoint"].search([("kind", "=", "pgbouncer")])
        said = " ".join(endpoint.message_ids.mapped("body"))
        for command in ("RELOAD", "PAUSE", "RESUME"):
            self.assertIn(command, said)
        author = self.env.ref("base.user_admin").partner_id
        self.assertEqual(endpoint.message_ids.filtered(lambda message: "PAUSE" in message.body).author_id, author)

    def test_stats_user_is_offered_no_command(self):
        self.env["connection.endpoint"].create(endpoint_values())
        self.start_tour("/odoo/connection-endpoints", "pgbouncer_monitor_no_commands", login="admin", timeout=120)

    def test_lists(self):
        """Each of the console's screens has rows, and opens without an error."""
        self.env["connection.endpoint"].create(endpoint_values())
        client = connect_pooled(dbname=TINY)
        self.addCleanup(client.close)
        client.cursor().execute("BEGIN; SELECT 1")
        self.refresh()
        self.start_tour("/odoo/pgbouncer-clients", "pgbouncer_monitor_lists", login="admin", timeout=180)

    def test_users_and_peers(self):
        """Their views are made from the fields alone."""
        self.env["connection.endpoint"].create(endpoint_values())
        tour = "pgbouncer_monitor_users_and_peers"
        self.start_tour("/odoo/pgbouncer-users", tour, login="admin", timeout=120)

    def test_sample(self):
        self.env["connection.endpoint"].create(endpoint_values())
        client = connect_pooled(dbname=TINY)
        self.addCleanup(client.close)
        client.cursor().execute("SELECT 1")
        self.start_tour("/odoo/connection-endpoints", "pgbouncer_monitor_sample", login="admin", timeout=120)

    def test_history(self):
        pgbouncer = self.env["connection.endpoint"].create(endpoint_values())
        postgresql = self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql")
        start = fields.Datetime.now().replace(second=0) - timedelta(minutes=30)
        pressures = {pgbouncer: {0: 10, 3: 0, 4: 40}, postgresql: {0: 20, 3: None, 4: 50}}
        insert_samples(
            self.env,
            *(
                {
                    "endpoint_id": endpoint.id,
                    "sampled_at": fields.Datetime.to_string(start + timedelta(minutes=minute)),
                    "period": "minute",
                    "sample_count": 1,
                    "level": "ok" if value is not None else "unknown",
                    "reason_facts": None if value is not None else {"text": "It was frozen."},
                    "pressure": value,
                    "pressure_max": value,
                    "used_max": None if value is None else value / 5,
                    "capacity": None if value is None else 40 if minute == 4 else 20,
                    "waiting_max": 3 * (minute == 4) if endpoint == pgbouncer else None,
                }
                for endpoint, values in pressures.items()
                for minute, value in values.items()
            ),
        )
        self.start_tour("/odoo/connection-history", "pgbouncer_monitor_history", login="admin", timeout=120)

    def test_alert(self):
        """Clients wait, then no more: what is seen of it in the chatter."""
        self.env.ref("base.user_admin").email = "admin@example.com"
        endpoint = self.env["connection.endpoint"].create(
            endpoint_values(responsible_id=self.env.ref("base.user_admin").id)
        )
        rule = self.env["connection.rule"].search([("rule", "=", "waiting_samples")])
        rule.write({"warning": 1, "critical": 1})
        holder = connect_pooled(dbname=TINY, user="odoo")
        self.addCleanup(holder.close)
        holder.cursor().execute("BEGIN; SELECT 1")
        waiter = connect_pooled(dbname=TINY, user="odoo", async_=True, connect_timeout=None)
        self.addCleanup(waiter.close)
        wait_select(waiter)
        cursor = waiter.cursor()
        cursor.execute("SELECT 2")
        self.refresh()
        self.env["connection.sample"]._sample(endpoint)
        self.env["connection.alert"]._notify()
        self.start_tour("/odoo/connection-endpoints", "pgbouncer_monitor_alert", login="admin", timeout=120)
        self.assertEqual(endpoint.alert_ids.acknowledged_by, self.env.ref("base.user_admin"))
        endpoint.alert_ids._close("well")
        self.env["connection.alert"]._notify()
        self.start_tour("/odoo/connection-endpoints", "pgbouncer_monitor_alert_is_over", login="admin", timeout=120)
        self.assertEqual((endpoint.rule_ids.rule, endpoint.rule_ids.critical), ("maxwait", 7))

    def test_thresholds(self):
        self.start_tour("/odoo/settings", "pgbouncer_monitor_thresholds", login="admin", timeout=120)
        number = self.env["connection.settings"]._value
        rule = self.env["connection.rule"].search([("rule", "=", "maxwait"), ("endpoint_id", "=", False)])
        self.assertIs(rule.critical, False)
        self.assertEqual(str(rule.warning), "0.0")
        self.assertIs(number("sample_days"), False)
        self.assertEqual(number("minute_days"), 7)

    def test_endpoint(self):
        values = endpoint_values()
        self.start_tour("/odoo/connection-endpoints", "pgbouncer_monitor_endpoint", login="admin", timeout=120)
        endpoint = self.env["connection.endpoint"].search([("kind", "=", "pgbouncer")])
        self.assertEqual(endpoint.name, "From the tour")
        self.assertIn("No server listens", endpoint.last_error)
        endpoint.write(values)
        endpoint.action_test()
        self.assertFalse(endpoint.last_error)

    def test_listen_check(self):
        self.env["connection.endpoint"].create(endpoint_values())
        self.patch(step_cron, "ended_cron_threads", lambda: 0)  # the tests' server never started any
        self.patch(LOSSES, "losses", [])  # other tests may have ended its connection
        self.start_tour("/odoo/listen-check", "pgbouncer_monitor_listen_check", login="admin", timeout=180)

    def test_listen_check_that_was_done(self):
        new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer")
        values = {"listener": "bus", "verdict": "direct", "level": "ok", "host": "h"}
        self.env["connection.check"].create(values | {"conclusion": {"text": "It hears."}})
        self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql").active = True
        self.start_tour("/odoo/listen-check", "pgbouncer_monitor_listen_check_viewer", login="viewer", timeout=120)
        self.start_tour("/odoo/settings", "pgbouncer_monitor_listen_check_settings", login="admin", timeout=120)
