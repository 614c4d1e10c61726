import json
import time
from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import AccessError
from odoo.tests import new_test_user, tagged
from odoo.tools import mute_logger

from ...probes import query
from ...probes.errors import QueryError
from ..cases import ANSWERS, insert_samples
from ..common import KIOSK, answering, closed_port, connect, connect_pooled, endpoint_values
from .common import OverviewCase


@tagged("-at_install", "post_install")
class TestConnectionOverview(OverviewCase):
    def test_head_room(self):
        card = self.card(self.postgresql)
        self.assertEqual((card["level"], card["reason"], card["is_answering"]), ("ok", None, True))
        self.assertEqual(card["used"], self.count(card["used_link"]))
        self.assertEqual(card["left"], card["capacity"] - card["used"])
        self.assertAlmostEqual(card["pressure"], 100 * card["used"] / card["capacity"])
        holders = self.overview()["holders"]
        self.assertEqual(holders["usable"], card["capacity"])
        self.assertEqual(holders["usable"] + holders["reserved"], holders["max_connections"])
        card = self.card()
        self.assertEqual((card["used"], card["capacity"]), (self.count(card["used_link"]), 1000))

    def test_every_number_is_that_of_its_list(self):
        pooled = self.client(connect_pooled(dbname=KIOSK, user="odoo"))
        pooled.cursor().execute("BEGIN; SELECT 1")
        self.waiter("SELECT 2", connect=connect_pooled, dbname=KIOSK)
        self.client(connect(user="odoo")).cursor().execute("BEGIN; SELECT 3")
        self.lock_tree()
        time.sleep(1.1)  # shorter ones are not counted
        overview = self.overview()
        pairs = self.pairs(overview)
        for count, link in pairs:
            self.assertEqual((self.count(link), type(count)), (count, int), link)
        busy = {link["model"] for count, link in pairs if count}
        self.assertLessEqual({"pg.stat.activity", "pgbouncer.client", "pgbouncer.server", "pgbouncer.pool"}, busy)
        for name in ("blocked", "idle_in_transaction", "transactions"):
            self.assertGreater(overview[name]["count"], 0, name)
        holders = overview["holders"]
        whole = [row["count"] for row in holders["rows"] if not row["is_part"]]
        self.assertEqual(sum(whole), holders["count"])
        self.assertIn(f"{KIOSK}/odoo", [row["label"] for row in holders["rows"] if row["is_part"]])
        [host] = overview["pgbouncers"][0]["hosts"]
        self.assertEqual((host["label"], host["waiting"]["count"]), ("127.0.0.1", 1))
        [pool] = overview["pools"]["pools"]
        self.assertEqual((pool["name"], pool["waiting"], pool["used"], pool["capacity"]), (f"{KIOSK}/odoo", 1, 1, 1))
        self.assertEqual((self.count(pool["clients_link"]), self.count(pool["servers_link"])), (1, 1))
        card = self.card(overview=overview)
        self.assertEqual((card["waiting"], self.count(card["waiting_link"])), (1, 1))
        self.assertEqual(card["fullest_pool"], pool)
        self.assertEqual(self.env["pgbouncer.pool"].browse(pool["id"]).database, KIOSK)

    def test_level_is_that_of_a_sample_now(self):
        """Problems show at once, not only after the sampler has run, and nothing is stored."""
        self.assertEqual(self.card()["level"], "ok")
        self.set_rule("maxwait", is_on=False)  # the wait is as long as the machine is slow
        self.set_rule("waiting_samples", warning=1, critical=3)
        self.client(connect_pooled(dbname=KIOSK, user="odoo")).cursor().execute("BEGIN; SELECT 1")
        self.waiter("SELECT 2", connect=connect_pooled, dbname=KIOSK)
        for _request in range(5):
            overview = self.overview()
        card = self.card(overview=overview)
        self.assertEqual(card["level"], "warning", "five requests are not five samples")
        self.assertIn(f"{KIOSK}/odoo: Waiting Clients", card["reason"])
        self.assertFalse(self.Sample.search([]))
        self.assertFalse(self.endpoint.alert_ids)
        self.assertFalse(self.endpoint.sudo().reading_ids)

    def test_endpoint_that_does_not_answer(self):
        self.take()
        lost = self.endpoint.create(endpoint_values(name="Lost", port=closed_port()))
        silent = self.endpoint.create(endpoint_values(name="Silent", port=self.silent_server()))
        started = time.monotonic()
        overview = self.overview()
        self.assertLess(time.monotonic() - started, 3 + 1, "the servers are queried in parallel")
        for endpoint, reason in ((lost, "No server listens"), (silent, "did not answer within")):
            card = self.card(endpoint, overview)
            self.assertEqual((card["level"], card["is_answering"]), ("unknown", False))
            self.assertIn(reason, card["reason"])
            self.assertEqual([card[name] for name in ("used", "left", "pressure", "waiting")], [None] * 4)
            self.assertEqual(card["last_seen"], None)
            self.assertIn("Not sampled yet", card["missing_sample"])
        self.assertEqual(set(overview["silent"]), {"Lost", "Silent"})
        self.assertEqual(self.card(overview=overview)["level"], "ok", "the other endpoints are not affected")
        self.endpoint.port = closed_port()
        self.assertEqual(self.card()["last_seen"], None, "that answer came from another address")

    def test_time_of_the_last_answer(self):
        self.take()
        refused = QueryError("refused")
        with (
            self.clock_forward(600),
            patch.object(query, "run", lambda questions, _timeout: dict.fromkeys(questions, refused)),
        ):
            card = self.card()
        self.assertEqual(card["level"], "unknown")
        self.assertRegex(card["last_seen_age"], r"^10 min \d s$")
        self.assertTrue(card["last_seen"])

    def test_dead_sampler_is_reported(self):
        self.take(self.postgresql)
        card = self.card(self.postgresql)
        self.assertIsNone(card["missing_sample"])
        self.assertRegex(card["sample_age"], r"^\d s$")
        with self.clock_forward(3600):
            card = self.card(self.postgresql)
        self.assertIn("Check that “Log Connection Pressure” is enabled", card["missing_sample"])
        self.assertEqual(card["level"], "ok", "the current level")

    def test_last_hour(self):
        now = fields.Datetime.now()
        times = [now - timedelta(minutes=minutes) for minutes in (61, 40, 39, 5)]
        whole, pools = (90, 10, 20, None), (90, None, 300, 50)
        insert_samples(
            self.env,
            *(
                {
                    "endpoint_id": self.endpoint.id,
                    "sampled_at": fields.Datetime.to_string(sampled_at),
                    "period": "minute",
                    "sample_count": 1,
                    "level": "ok",
                    "database": database,
                    "user": database,
                    "pressure_max": percent,
                    "pool_pressure": None if database else pool,
                }
                for sampled_at, percent, pool in zip(times, whole, pools, strict=True)
                for database in (None, "shop")
            ),
        )
        chart = self.card()["chart"]
        clients, fullest = ([percent for _time, percent in line["points"]] for line in chart["lines"])
        self.assertEqual(clients[:-2], [10, 20, None, None], "a gap before the last one, which is unknown")
        self.assertEqual(fullest[:-2], [None, 300, None, 50])
        self.assertEqual(clients[-2:], [None, self.card()["pressure"]], "a gap, then the current value")
        self.assertEqual([line["label"] for line in chart["lines"]], ["Clients (%)", "Fullest Pool (%)"])
        self.assertEqual(chart["until"] - chart["since"], 3600)
        thresholds = [(threshold["level"], threshold["percent"]) for threshold in chart["thresholds"]]
        self.assertEqual(thresholds, [("warning", 80), ("critical", 90)])
        self.set_rule("pgbouncer_pressure", self.endpoint, warning=False, critical=70)
        thresholds = [(threshold["level"], threshold["percent"]) for threshold in self.card()["chart"]["thresholds"]]
        self.assertEqual(thresholds, [("critical", 70)])
        self.set_rule("postgresql_pressure", is_on=False)
        self.assertEqual(self.card(self.postgresql)["chart"]["thresholds"], [])

    def test_fullest_pool_is_kept(self):
        self.client(connect_pooled(dbname=KIOSK, user="odoo")).cursor().execute("BEGIN; SELECT 1")
        whole, *_pools = self.take()
        self.assertEqual(whole.pool_pressure, 100)
        self.assertEqual(self.endpoint.pool_pressure, 100)

    def test_listen_verdicts(self):
        Check = self.env["connection.check"]
        Check.search([]).unlink()
        checks = [(check["label"], check["level"]) for check in self.card(self.postgresql)["checks"]]
        self.assertEqual(checks, [("Bus: Not Checked", "unknown"), ("Cron: Not Checked", "unknown")])
        bus = {"listener": "bus", "verdict": "session", "level": "ok", "host": "a"}
        Check.create([bus, bus | {"verdict": "deaf", "level": "critical", "host": "b"}])
        Check.create({"listener": "cron", "verdict": "direct", "level": "ok", "checked_at": "2026-01-01"})
        checks = [(check["label"], check["level"]) for check in self.card(self.postgresql)["checks"]]
        self.assertEqual(checks, [("Bus: Deaf", "critical"), ("Cron: Direct (outdated)", "unknown")])
        [bus, _cron] = self.card(self.postgresql)["checks"]
        self.assertEqual(bus["summary"], "b: The worst of 2 listeners.")
        self.assertNotIn("checks", self.card())

    def test_alerts(self):
        now = fields.Datetime.now()
        alert = {"endpoint_id": self.endpoint.id, "endpoint_name": "E", "rule": "maxwait", "opened_at": now}
        alert |= {"level": "critical", "worst_value": 7}
        self.env["connection.alert"].create(
            [alert | {"database": "open"}]
            + [alert | {"database": str(number), "closed_at": now + timedelta(seconds=90)} for number in range(9)]
        )
        overview = self.overview()
        self.assertEqual(overview["alerts"]["count"], 1)
        lasting, *ended = overview["alerts"]["alerts"]
        self.assertIn("pool", lasting["advice"])
        shown = [lasting[name] for name in ("name", "is_open", "worst")]
        self.assertEqual(shown, ["E: Longest Wait: open", True, "7 s"])
        self.assertEqual(([a["is_open"] for a in ended], ended[0]["duration"]), ([False] * 5, "1 min 30 s"))
        card = self.card(overview=overview)
        self.assertEqual((card["open_alerts"]["count"], card["level"]), (1, "critical"), "until it ends")
        self.assertRegex(card["reason"], r"^Alert, open for \d s: Longest Wait: open$")
        self.env["connection.alert"].create([alert | {"database": str(number)} for number in range(12)])
        self.env["connection.alert"].search([("database", "=", "open")]).level = "warning"
        alerts = self.overview()["alerts"]
        self.assertEqual((alerts["count"], alerts["more"], alerts["level"]), (13, 3, "critical"))
        self.assertNotIn("open", str([alert["name"] for alert in alerts["alerts"]]), "the worst come first")

    def test_worst_card_comes_first_of_many(self):
        """A few cards keep their order."""
        lost = self.endpoint.create(endpoint_values(name="Lost", port=closed_port()))
        self.endpoint.create([endpoint_values(name=f"A {number}") for number in range(5)])
        self.assertNotEqual(self.overview()["cards"][0]["id"], lost.id)
        self.endpoint.create(endpoint_values(name="A 7"))
        overview = self.overview()
        self.assertEqual((overview["cards"][0]["id"], overview["first_cards"]), (lost.id, 8))

    def test_each_server_is_queried_once(self):
        self.endpoint.copy({"name": "Another"})
        with (
            patch.object(query, "run", wraps=query.run) as run,
            patch.object(query, "in_parallel", wraps=query.in_parallel) as opened,
        ):
            self.overview()
        for calls in (run.call_args_list, opened.call_args_list):
            self.assertEqual(sum(len(call.args[0]) for call in calls), 2)

    def test_viewer_sees_no_query_and_no_button(self):
        viewer = new_test_user(self.env, "overview_viewer", groups="pgbouncer_monitor.group_viewer")
        self.lock_tree()
        time.sleep(1.1)
        overview = self.overview(viewer)
        self.assertFalse(overview["is_manager"])
        self.assertNotIn("pg_advisory", json.dumps(overview))
        self.assertTrue(overview["blocked"]["trees"])
        manager = new_test_user(self.env, "overview_manager", groups="pgbouncer_monitor.group_manager")
        self.assertIn("pg_advisory", json.dumps(self.overview(manager)))
        outsider = new_test_user(self.env, "overview_outsider", groups="base.group_user")
        for call in ("get_overview", "get_card"):
            with self.assertRaises(AccessError), mute_logger("odoo.addons.base.models.ir_model"):
                arguments = [self.endpoint.id] if call == "get_card" else []
                getattr(self.env["connection.overview"].with_user(outsider), call)(*arguments)

    def test_no_password(self):
        self.endpoint.password = "a secret"
        self.assertNotIn("a secret", json.dumps(self.overview()))

    def test_card_of_a_form(self):
        get_card = self.env["connection.overview"].get_card
        self.assertEqual(get_card(self.endpoint.id)["name"], self.endpoint.name)
        self.endpoint.active = False
        self.assertIsNone(get_card(self.endpoint.id))
        self.assertNotIn(self.endpoint.id, [card["id"] for card in self.overview()["cards"]])

    def test_answer_with_other_columns(self):
        """What a console does not return is unknown, and the page works without it."""
        answers = {name: [{"surprise": 1}] for name in (*ANSWERS, "SHOW CLIENTS", "SHOW SERVERS")}
        with (
            answering({self.endpoint: answers}),
            mute_logger("odoo.addons.pgbouncer_monitor.models.history.connection_sample"),
        ):
            overview = self.overview()
        card = self.card(overview=overview)
        self.assertEqual((card["level"], card["used"], card["pressure"]), ("unknown", None, None))
        self.assertTrue(card["reason"])
        self.assertEqual((card["waiting"], overview["silent"]), (None, [self.endpoint.name]))
