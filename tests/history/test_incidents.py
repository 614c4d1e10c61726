"""An alert on the graph: of what, when, with which marks. And the domains of the points of a graph."""

from datetime import timedelta

from odoo import fields
from odoo.tests import new_test_user

from ..cases import SampleCase, insert_samples


class TestIncidents(SampleCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.viewer = new_test_user(cls.env, "viewer", groups="pgbouncer_monitor.group_viewer", tz="Asia/Kolkata")
        cls.now = fields.Datetime.now().replace(minute=30, second=0)
        cls.pool = {"database": "shop", "user": "shop"}

    def sample(self, ago, **values):
        at = fields.Datetime.to_string(self.now - ago)
        common = {"endpoint_id": self.endpoint.id, "period": "minute", "sample_count": 1, "level": "ok"}
        insert_samples(self.env, common | {"sampled_at": at} | values)

    def open_value(self, rule, ago=timedelta(minutes=20), duration=timedelta(minutes=10), **values):
        opened = self.now - ago
        alert = self.env["connection.alert"].create(
            {
                "endpoint_id": self.endpoint.id,
                "endpoint_name": "Test PgBouncer",
                "rule": rule,
                "level": "critical",
                "opened_at": opened,
                "closed_at": duration and opened + duration,
            }
            | values
        )
        action = alert.with_user(self.viewer).action_open_value()
        return action, action.get("context", {})

    def test_pool(self):
        for minutes in (60, 25, 15, 5):
            self.sample(timedelta(minutes=minutes), maxwait=minutes, **self.pool)
        self.sample(timedelta(minutes=15), maxwait=99)  # of the instance
        self.set_rule("maxwait", warning=1, critical=5)
        action, context = self.open_value("maxwait", **self.pool)
        self.assertEqual(self.Sample.search(action["domain"]).mapped("maxwait"), [5, 15, 25])
        self.assertEqual(context["graph_measure"], "maxwait")
        self.assertEqual(context["graph_groupbys"], ["minute", "endpoint_id", "database", "user"])
        incident = context["incident"]
        self.assertEqual(incident["opened"], fields.Datetime.to_string(self.now - timedelta(minutes=20)))
        self.assertEqual(incident["ended"], fields.Datetime.to_string(self.now - timedelta(minutes=10)))
        thresholds = [(line["level"], line["value"]) for line in incident["thresholds"]]
        self.assertEqual(thresholds, [("warning", 1), ("critical", 5)])
        self.set_rule("maxwait", is_on=False)
        _action, context = self.open_value("maxwait", duration=None, **self.pool)
        self.assertEqual((context["incident"]["ended"], context["incident"]["thresholds"]), (False, []))

    def test_period_of_the_points(self):
        for ago, duration, bucket in (
            (timedelta(hours=1), timedelta(hours=1), "minute"),
            (timedelta(hours=12), timedelta(hours=12), "ten_minutes"),
            (timedelta(days=3), timedelta(days=2), "hour"),
            (timedelta(days=9), timedelta(minutes=5), "hour"),  # its minutes are merged
        ):
            _action, context = self.open_value("maxwait", ago, duration, **self.pool)
            self.assertEqual(context["graph_groupbys"][0], bucket, (ago, duration))

    def test_what_shows_the_value(self):
        """The number of clients, or their mean number where no sample caught them; a gap; another screen."""
        for rule, facts, measure in (
            ("waiting_samples", {"waiting": 3}, "waiting_max"),
            ("waiting_samples", {"waiting": 0, "waiting_mean": 2}, "waiting_mean_max"),
            ("unanswered_samples", None, "pressure_max"),
            ("pgbouncer_pressure", None, "pressure_max"),
        ):
            _action, context = self.open_value(rule, situation_facts=facts and {"sample": facts})
            self.assertEqual(context["graph_measure"], measure)
            self.assertEqual(bool(context["incident"]["thresholds"]), rule == "pgbouncer_pressure")
        self.assertEqual(self.open_value("deaf_bus_samples")[0]["tag"], "pgbouncer_monitor.listen_check")
        self.assertEqual(self.open_value("critical_advice")[0]["res_model"], "connection.advice")

    def test_deleted_endpoint(self):
        """Its thresholds are gone with it."""
        _action, context = self.open_value("pgbouncer_pressure", endpoint_id=False)
        self.assertEqual(context["incident"]["thresholds"], [])

    def test_domains_of_points(self):
        """The domain of a point finds the samples of its period, in the time zone of the user."""
        day = self.now.replace(hour=20) - timedelta(days=3)  # 01:30 of the next day in Kolkata
        for minutes in (0, 1, 25, 119):
            self.sample(self.now - day - timedelta(minutes=minutes))
        self.sample(self.now - day + timedelta(hours=3))
        self.sample(self.now - day.replace(minute=0) - timedelta(hours=5), period="hour", sample_count=60)
        Sample = self.Sample.with_user(self.viewer).with_context(tz="Asia/Kolkata")
        own = [("endpoint_id", "=", self.endpoint.id)]
        for bucket, counts in (
            ("minute", [1, 1, 1, 1, 1, 1]),
            ("hour", [1, 3, 1, 1]),
            ("sampled_at:day", [1, 5]),
        ):
            groups = Sample.formatted_read_group(own, [bucket], ["__count"])
            self.assertEqual([group["__count"] for group in groups], counts)
            for group in groups:
                self.assertEqual(Sample.search_count(own + group["__extra_domain"]), group["__count"], bucket)
