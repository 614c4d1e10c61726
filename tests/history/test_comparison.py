from datetime import timedelta

from odoo import fields
from odoo.exceptions import AccessError
from odoo.tests import Form, freeze_time, new_test_user, tagged

from ..cases import SampleCase, insert_samples
from ..common import TourCase

NOW = fields.Datetime.to_datetime("2026-03-02 12:00:00")
FIRST, SECOND = NOW - timedelta(hours=4), NOW - timedelta(hours=1)


@freeze_time(NOW)
class TestComparison(SampleCase):
    def setUp(self):
        super().setUp()
        self.env["connection.endpoint"].search([]).active = False
        (self.endpoint + self.postgresql).active = True
        self.Sample.search([]).sudo().unlink()

    def insert(self, start, minutes, endpoint=None, **values):
        """Store a sample for each of these minutes since the start."""
        sample = {"endpoint_id": (endpoint or self.endpoint).id, "period": "minute", "sample_count": 1, "level": "ok"}
        sample |= {"interval": 60, "used": 1} | values
        times = [{"sampled_at": fields.Datetime.to_string(start + timedelta(minutes=minute))} for minute in minutes]
        insert_samples(self.env, *(sample | time for time in times))

    def compare(self, **values):
        made = {"first_start": FIRST, "second_start": SECOND, "duration": 1, "unit": "hours"} | values
        return self.env["connection.comparison"].create(made)

    def shown(self, comparison, endpoint=None):
        """Return figure -> its texts of both periods and the ratio, of an endpoint; and the words of the endpoint."""
        name = (endpoint or self.endpoint).name
        [words] = [words for words in comparison.comparison["endpoints"] if words["name"] == name]
        rows = {row["name"]: [cell["text"] for cell in row["cells"]] + [row["ratio"]] for row in words["rows"]}
        return rows, words

    def test_figures(self):
        """Peaks, means of samples, rates by the time that the counters cover, and each transaction once."""
        self.insert(FIRST, [-1, 60], used=99, used_max=99, pressure_max=99)  # outside
        calm = {"used_max": 5, "pressure": 10, "pressure_max": 12, "waiting_max": 0, "waiting_mean": 0, "maxwait": 0}
        calm |= {"pool_pressure": 50, "xact_count": 60, "xact_time": 6, "xact_mean": 100}
        self.insert(FIRST, range(60), **calm)
        self.insert(SECOND, range(30), **calm)
        busy = {"used_max": 9, "pressure": 30, "pressure_max": 48, "waiting_max": 40, "waiting_mean": 4, "maxwait": 2.5}
        self.insert(SECOND, range(30, 60), **calm | busy | {"xact_count": 180, "xact_time": 36, "xact_mean": 200})
        self.insert(FIRST, range(60), database="shop", user="shop", xact_count=60, waiting_max=70)  # counted once
        rows, words = self.shown(self.compare())
        self.assertEqual(
            rows,
            {
                "pressure_max": ["12", "48", "4×"],
                "pressure": ["10", "20", "2×"],
                "used_max": ["5", "9", "1.8×"],
                "pool_pressure": ["50", "50", "1×"],
                "waiting_max": ["0", "40", ""],
                "waiting_mean": ["0", "2", ""],
                "maxwait": ["0", "2.5", ""],
                "transactions": ["1", "2", "2×"],
                "xact_mean": ["100", "175", "1.8×"],
                "alerts": ["0", "0", ""],
            },
        )
        self.assertEqual(words["samples"], [{"text": "60", "note": ""}] * 2)

    def test_postgresql(self):
        """The rate of sessions, refused requests, and the alerts that were open, whenever they opened."""
        self.insert(FIRST, range(60), self.postgresql, sessions=50, refused=2)
        self.insert(SECOND, range(60), self.postgresql, sessions=1, refused=0)
        self.insert(SECOND, [minute + 0.5 for minute in range(60)], self.postgresql, sessions=None)
        alert = {"endpoint_id": self.postgresql.id, "rule": "maxwait", "level": "critical"}
        for opened, closed in ((-60, -1), (-60, 10), (5, 15), (6, False), (60, 70)):
            self.env["connection.alert"].create(
                alert
                | {"database": str(opened), "opened_at": FIRST + timedelta(minutes=opened)}
                | {"closed_at": closed and FIRST + timedelta(minutes=closed)}
            )
        rows, _words = self.shown(self.compare(), self.postgresql)
        self.assertEqual(rows["sessions"], ["50", "1", "0.02×"])
        self.assertEqual(rows["refused"], ["120", "0", "0×"])
        self.assertEqual(rows["alerts"], ["3", "1", "0.33×"])
        self.assertNotIn("xact_mean", rows)

    def test_ratio_and_basis(self):
        """A ratio is short whatever its size. A figure that few samples have says so."""
        self.insert(FIRST, range(60), self.postgresql, sessions=5000, pressure_max=2, used_max=3)
        self.insert(SECOND, range(60), self.postgresql, sessions=1, pressure_max=90, used_max=32)
        self.insert(SECOND, [60], self.postgresql, refused=4)
        for sample in self.Sample.search([("sampled_at", ">=", SECOND)], limit=31):
            self.env.cr.execute("UPDATE connection_sample SET pressure_max = NULL WHERE id = %s", [sample.id])
        rows, words = self.shown(self.compare(), self.postgresql)
        ratios = [rows[name][2] for name in ("sessions", "pressure_max", "used_max")]
        self.assertEqual(ratios, ["< 0.01×", "45×", "11×"])
        [pressure] = [row for row in words["rows"] if row["name"] == "pressure_max"]
        self.assertEqual([cell["note"] for cell in pressure["cells"]], ["", "in 30 of 60 samples"])

    def test_before_pgbouncer(self):
        """What was not sampled is unknown, not 0: no ratio, no line, no claim that no alert was open."""
        self.insert(SECOND, range(30), pressure_max=10, xact_count=60)
        self.insert(SECOND, range(30, 40), used=None, pressure_max=None, interval=None, level="unknown")
        comparison = self.compare()
        rows, words = self.shown(comparison)
        self.assertEqual(rows["pressure_max"], ["?", "10", ""])
        self.assertEqual(rows["alerts"], ["?", "0", ""])
        samples = [{"text": "No samples", "note": ""}, {"text": "30", "note": "50 % of the time"}]
        self.assertEqual(words["samples"], samples)
        first, second = words["chart"]["lines"]
        self.assertEqual((first, second[0], second[35]), ([], [0, 10], [35, None]))
        self.assertEqual(self.shown(comparison, self.postgresql)[1]["rows"], [], "nothing at all")

    def test_hours(self):
        """A merged hour counts as often as it was sampled, in each period that has a part of it."""
        hour = {"period": "hour", "sample_count": 60, "interval": 3600}
        self.insert(FIRST, [0], **hour, pressure=10, pressure_max=80, xact_count=7200, waiting_mean=0)
        part = {"sample_count": 20, "interval": 600, "pressure": 50, "pressure_max": 60}
        part |= {"xact_count": 0, "waiting_mean": 7}
        self.insert(FIRST, [60], **hour | part)
        comparison = self.compare(duration=2)
        rows, words = self.shown(comparison)
        self.assertEqual(rows["pressure"][0], "20")
        self.assertEqual((rows["transactions"][0], rows["waiting_mean"][0]), ("1.7", "1"))
        self.assertEqual(words["samples"][0], {"text": "80", "note": "68 % of the time"})
        self.assertEqual(words["chart"]["lines"][0], [[0, 80], [60, 60]], "an hour is one point, and no gap")
        self.assertEqual(comparison.comparison["notes"], [])
        comparison.first_start = FIRST + timedelta(minutes=20)
        rows, words = self.shown(comparison)
        self.assertEqual((rows["pressure"][0], words["chart"]["lines"][0]), ("20", [[0, 80], [60, 60]]))
        self.assertIn("Choose full hours", *comparison.comparison["notes"])

    def test_line_has_gaps(self):
        self.insert(FIRST, [0, 1, 2, 10], waiting_max=3)
        self.insert(SECOND, range(60), waiting_max=4)
        _rows, words = self.shown(self.compare(figure="waiting_max"))
        first, second = words["chart"]["lines"]
        self.assertEqual(words["chart"]["decimals"], 0, "as in the table")
        self.assertEqual(first, [[0, 3], [1, 3], [2, 3], [9.5, None], [10, 3]])
        self.assertEqual(second, [[minute, 4] for minute in range(60)])
        self.assertFalse(self.shown(self.compare(figure="sessions"))[1]["chart"], "PgBouncer has no sessions")

    def test_form(self):
        """It opens with all that there is, follows each change at once, and says what to change."""
        self.insert(NOW - timedelta(hours=5), range(300), pressure_max=10)
        viewer = new_test_user(self.env, "viewer", groups="pgbouncer_monitor.group_viewer", tz="Asia/Kathmandu")
        with Form(self.env["connection.comparison"].with_user(viewer).with_context(tz="Asia/Kathmandu")) as form:
            self.assertEqual((form.duration, form.unit, form.first_start), (2, "hours", NOW - timedelta(hours=4)))
            [first, second] = form.comparison["periods"]
            self.assertEqual((first["end"], second["start"]), (second["start"], first["end"]))
            self.assertIn("3:45", second["start"], "in the user's time zone")
            form.endpoint_id = self.endpoint
            self.assertEqual([words["name"] for words in form.comparison["endpoints"]], [self.endpoint.name])
            for name, value, text in (
                ("duration", 0, "at least 1 minute"),
                ("duration", 10**12, "at most 400 days"),
                ("first_start", False, "when each period starts"),
                ("second_start", NOW + timedelta(days=1), "in the future"),
                ("second_start", form.first_start, "start at the same time"),
            ):
                before = form[name]
                form[name] = value
                self.assertIn(text, form.error)
                self.assertFalse(form.comparison)
                form[name] = before
                self.assertFalse(form.error)
            self.assertTrue(form.comparison)

    def test_no_samples_at_all(self):
        with Form(self.env["connection.comparison"]) as form:
            self.assertIn("No samples yet", form.empty_help)
            self.assertFalse(form.comparison)

    def test_rights(self):
        """Viewers compare, but only endpoints that a rule lets them see. What they chose is nobody else's."""
        self.insert(FIRST, range(60), pressure_max=10)
        users = [new_test_user(self.env, name, groups="pgbouncer_monitor.group_viewer") for name in ("one", "two")]
        Comparison = self.env["connection.comparison"].with_user(users[0])
        values = {"first_start": FIRST, "second_start": SECOND, "duration": 1, "unit": "hours"}
        own = Comparison.create(values | {"endpoint_id": self.endpoint.id})
        self.assertEqual(len(own.comparison["endpoints"]), 1)
        with self.assertRaises(AccessError):
            own.with_user(users[1]).read(["comparison"])
        self.env["ir.rule"].create(
            {
                "name": "Some",
                "model_id": self.env["ir.model"]._get_id("connection.endpoint"),
                "domain_force": [("id", "=", self.postgresql.id)],
            }
        )
        hidden = Comparison.create(values | {"endpoint_id": self.endpoint.id})
        self.assertEqual(hidden.comparison["endpoints"], [])
        nobody = new_test_user(self.env, "nobody", groups="base.group_user")
        with self.assertRaises(AccessError):
            self.env["connection.comparison"].with_user(nobody).onchange({}, [], {"comparison": {}})


@tagged("-at_install", "post_install")
class TestComparisonTour(TourCase):
    browser_size = "1366x768"

    def test_compare(self):
        """Two periods are chosen; the table and the lines follow at once."""
        self.env["connection.sample"].search([]).sudo().unlink()
        postgresql = self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql")
        postgresql.active = True
        self.env.ref("base.user_admin").tz = "UTC"
        sample = {"endpoint_id": postgresql.id, "period": "minute", "sample_count": 1, "level": "ok", "used": 1}
        sample |= {"interval": 60, "sessions": 5}
        for day, minutes, pressure in ((1, range(30), 80), (2, [*range(10), *range(20, 30)], 40)):
            times = [{"sampled_at": f"2026-03-{day:02} 10:{minute:02}:00"} for minute in minutes]
            insert_samples(self.env, *(sample | time | {"pressure_max": pressure} for time in times))
        self.start_tour("/odoo/connection-compare", "pgbouncer_monitor_comparison", login="admin", timeout=60)
