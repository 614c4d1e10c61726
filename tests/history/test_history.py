from datetime import timedelta

from odoo import fields
from odoo.tests import freeze_time, new_test_user

from ..cases import UNKNOWN, SampleCase, insert_samples


class TestHistory(SampleCase):
    START = fields.Datetime.to_datetime("2026-03-02 10:00:00")

    def add(self, minutes, **values):
        """Return the values of a sample, minutes after START."""
        return {
            "endpoint_id": self.endpoint.id,
            "sampled_at": fields.Datetime.to_string(self.START + timedelta(minutes=minutes)),
            "period": "minute",
            "sample_count": 1,
            "level": "ok",
        } | values

    def insert(self, *samples):
        self.Sample.search([]).sudo().unlink()
        insert_samples(self.env, *samples)

    def thin(self, now):
        with freeze_time(now):
            while self.Sample._gc_minutes()[1]:
                pass
        self.env.invalidate_all()
        return self.Sample.search([], order="sampled_at, database desc, id")

    def test_hours(self):
        """The minutes of old hours become means, maxima and sums; nothing is lost or counted twice."""
        self.insert(
            self.add(0, used=2, used_max=2, pressure=10, pressure_max=10, maxwait=0)
            | {"interval": 60, "wait_time": 6, "waiting_mean": 0.1, "xact_count": 5},
            self.add(1, used=4, used_max=4, pressure=30, pressure_max=30, maxwait=2)
            | {"interval": 60, "wait_time": 60, "waiting_mean": 1, "waiting_mean_max": 1, "xact_count": 1},
            self.add(2, level="unknown", reason_facts={"text": "It was frozen."}),
            self.add(3, level="warning", used=3, used_max=3, pressure=20, pressure_max=20, maxwait=0),
            self.add(5, database="shop", user="shop", used=1),
            self.add(60, used=7),
        )
        self.assertEqual(len(self.thin(self.START + timedelta(days=7, minutes=59))), 6, "not before the hour is over")
        whole, pool, later = self.thin(self.START + timedelta(days=7, minutes=60))
        self.assertEqual((whole.period, whole.sampled_at, whole.sample_count), ("hour", self.START, 4))
        self.assertEqual((whole.used, whole.used_max), (3, 4))
        self.assertEqual((whole.pressure, whole.pressure_max, whole.maxwait), (20, 30, 2))
        self.assertEqual((whole.xact_count, whole.interval, whole.wait_time), (6, 120, 66))
        self.assertAlmostEqual(whole.waiting_mean, 66 / 120, 4)
        self.assertEqual(whole.waiting_mean_max, 1)
        self.assertEqual((whole.level, whole.reason), ("warning", "It was frozen."))
        self.assertEqual((pool.database, pool.user, pool.used, pool.xact_count), ("shop", "shop", 1, UNKNOWN))
        self.assertEqual((later.period, later.used), ("minute", 7))

    def test_late_sample_joins_its_hour(self):
        self.insert(self.add(0, used=1), self.add(1, used=2))
        now = self.START + timedelta(days=8)
        self.thin(now)
        insert_samples(self.env, self.add(2, used=6))
        [hour] = self.thin(now)
        self.assertEqual((hour.sample_count, hour.used), (3, 3))

    def test_settable(self):
        self.insert(self.add(0), self.add(1))
        self.env["res.config.settings"].create({"minute_days": False, "sample_days": False}).execute()
        self.assertEqual(len(self.thin(self.START + timedelta(days=4000))), 2)
        with freeze_time(self.START + timedelta(days=4000)):
            self.assertEqual(self.Sample._gc_samples(), (0, 0))
            self.env["res.config.settings"].create({"sample_days": 4001}).execute()
            self.assertEqual(self.Sample._gc_samples(), (0, 0))
            self.env["res.config.settings"].create({"sample_days": 3999}).execute()
            self.assertEqual(self.Sample._gc_samples(), (2, 0))
        self.assertFalse(self.Sample.search([]))

    def groups(self, bucket="minute", tz="UTC"):
        Sample = self.Sample.with_context(fill_temporal=True, tz=tz)
        groups = Sample.formatted_read_group([], [bucket], ["used:max"])
        return [(group[bucket][-5:], group["used:max"]) for group in groups]

    def test_graph_has_gaps_where_samples_are_missing(self):
        self.insert(self.add(0, used=1), self.add(1, used=0), self.add(4, used=3), self.add(5), self.add(6, used=5))
        expected = [("10:00", 1), ("10:01", 0), ("10:02", UNKNOWN), ("10:03", UNKNOWN), ("10:04", 3)]
        expected += [("10:05", UNKNOWN), ("10:06", 5)]
        groups = self.groups()
        self.assertEqual(groups, expected)
        self.assertNotEqual(groups[1][1], UNKNOWN, "0 is not unknown")

    def test_sample_that_comes_some_seconds_late_is_no_gap(self):
        """A scheduled action every 66 seconds leaves out a minute now and then."""
        self.insert(*(self.add(1.1 * number, used=number) for number in range(20)))
        self.assertEqual([used for _minute, used in self.groups()], list(range(20)))

    def test_longer_interval_is_no_gap(self):
        self.env.ref("pgbouncer_monitor.ir_cron_sample").interval_number = 5
        self.insert(*(self.add(minute, used=minute) for minute in (0, 5, 10, 20)))
        used = [used for _minute, used in self.groups()]
        self.assertEqual((used[:3], used[3:-1], used[-1]), ([0, 5, 10], [UNKNOWN] * 9, 20))

    def test_times_are_the_users(self):
        self.insert(self.add(0, used=1), self.add(14, used=2), self.add(16, used=3))
        self.assertEqual(self.groups("minute", "Asia/Kathmandu")[0], ("15:45", 1))
        self.assertEqual(self.groups("ten_minutes"), [("10:00", 1), ("10:10", 3)])
        self.assertEqual(self.groups("hour", "America/New_York"), [("05:00", 3)])
        Sample = self.Sample.with_context(tz="Asia/Kathmandu")
        first, second = Sample.formatted_read_group([], ["ten_minutes"], ["__count"])
        self.assertEqual(second["ten_minutes"], "2026-03-02 15:55")
        self.assertEqual(Sample.search(second["__extra_domain"]).mapped("used"), [3, 2], "what a click opens")
        self.assertEqual(Sample.search(first["__extra_domain"]).ten_minutes, "2026-03-02 10:00", "in UTC")

    def test_hour_that_a_clock_passes_twice(self):
        """On 25 October 2026 at 3 o'clock, Berlin's clocks are set back to 2."""
        night, later = {"sampled_at": "2026-10-25 00:30:00"}, {"sampled_at": "2026-10-25 01:30:00"}
        self.insert(self.add(0, used=1) | night, self.add(0, used=2) | later)
        groups = self.Sample.with_context(tz="Europe/Berlin").formatted_read_group([], ["hour"], ["used:max"])
        labels = [(group["hour"], group["used:max"]) for group in groups]
        self.assertEqual(labels, [("2026-10-25 02:00 CEST", 1), ("2026-10-25 02:00 CET", 2)])

    def test_hours_are_no_gaps(self):
        self.insert(*(self.add(60 * number, used=number, period="hour") for number in (0, 1, 3)))
        self.assertEqual([used for _minute, used in self.groups("hour")], [0, 1, UNKNOWN, 3])
        used = [used for _minute, used in self.groups()]
        self.assertEqual(used[:3] + used[-1:], [0, 1, UNKNOWN, 3])

    def test_means_of_hours_and_minutes(self):
        """A sample of an hour weighs as much as the samples that it stands for."""
        self.insert(self.add(0, used=10, period="hour", sample_count=60), self.add(60, used=71), self.add(61))
        [[used]] = self.Sample._read_group([], [], ["used:avg"])
        self.assertEqual(used, 11)

    def ran(self, minutes, count, milliseconds, **values):
        """A minute of transactions, which took a number of milliseconds each; None if nothing is known of it."""
        seconds = None if milliseconds is None else count * milliseconds / 1000
        counted = {"interval": 60, "xact_count": count, "xact_time": seconds}
        return self.add(minutes, **counted, xact_mean=milliseconds if count else None) | values

    def average(self, domain=()):
        [[mean]] = self.Sample._read_group(list(domain), [], ["xact_mean:avg"])
        return mean

    def test_average_duration(self):
        """It is the mean of the transactions, not of the samples. What is unknown counts neither as 0 nor as quick."""
        self.insert(
            self.ran(0, 1, 1000), self.ran(1, 99, 10), self.ran(2, 0, 0), self.ran(3, 5000, None), self.ran(60, 100, 40)
        )
        quiet = self.Sample.search([("xact_count", "=", 0)])
        self.assertEqual((quiet.xact_time, quiet.xact_mean), (0, UNKNOWN), "nothing ran")
        minutes = self.average()
        self.assertAlmostEqual(minutes, (1990 + 4000) / 200, 4)
        self.thin(self.START + timedelta(days=7, minutes=60))
        hour = self.Sample.search([("period", "=", "hour")])
        self.assertAlmostEqual(hour.xact_mean, 19.9, 4)
        self.assertEqual(hour.xact_count, 5100)
        self.assertAlmostEqual(hour.xact_time, 1.99, 4)
        self.thin(self.START + timedelta(days=8))
        self.assertEqual(self.Sample.search([]).mapped("period"), ["hour", "hour"])
        insert_samples(self.env, self.ran(61, 300, 0.5))
        self.thin(self.START + timedelta(days=8))
        self.assertAlmostEqual(self.Sample.search([])[0].xact_mean, (4000 + 150) / 400, 4, "a late sample")

    def test_transaction_that_began_in_the_sample_before(self):
        """PgBouncer counts it when it begins, and its time when it ends."""
        self.insert(self.ran(0, 1, None, xact_time=0), self.ran(1, 0, None, xact_time=2), self.ran(2, 1, 500))
        self.assertEqual(self.average(), 1250)
        self.assertEqual(self.average([("sampled_at", "<=", self.START)]), UNKNOWN, "it runs")
        [hour] = self.thin(self.START + timedelta(days=8))
        self.assertEqual((hour.xact_mean, self.average()), (1250, 1250))

    def test_average_duration_of_groups(self):
        self.insert(self.ran(0, 1, 100), self.ran(1, 3, 20), self.ran(60, 0, None))
        groups = self.Sample.formatted_read_group([], ["hour"], ["xact_mean:avg", "query_mean:avg", "xact_mean:max"])
        self.assertAlmostEqual(groups[0]["xact_mean:avg"], 40, 4)
        self.assertEqual(groups[1]["xact_mean:avg"], UNKNOWN)
        self.assertEqual([group["query_mean:avg"] for group in groups], [UNKNOWN, UNKNOWN])
        self.assertEqual(groups[0]["xact_mean:max"], 100)
        rows = self.Sample.search([("xact_mean", ">", 50)])
        self.assertEqual(rows.mapped("xact_mean"), [100])
        rows = self.Sample.search([("xact_mean", "!=", False)], order="xact_mean desc")
        self.assertEqual(rows.mapped("xact_mean"), [100, 20])

    def test_mean_of_waiting_clients(self):
        """An interval counts as long as it was."""
        self.insert(self.add(0, waiting_mean=4, interval=60), self.add(1, waiting_mean=1, interval=180), self.add(2))
        [[mean]] = self.Sample._read_group([], [], ["waiting_mean:avg"])
        self.assertEqual(mean, 1.75)

    def test_unknown_is_empty_when_exported(self):
        self.insert(self.add(0))
        [row] = self.Sample.search([]).export_data(["level", "used", "xact_count", "pressure"])["datas"]
        self.assertEqual(row, ["OK", "", "", ""])

    def test_is_read_by_viewers_and_written_by_nobody(self):
        self.insert(self.add(0))
        viewer = new_test_user(self.env, "history_viewer", groups="pgbouncer_monitor.group_viewer")
        as_viewer = self.Sample.with_user(viewer)
        self.assertEqual(as_viewer.search_count([]), 1)
        self.assertFalse(any(as_viewer.has_access(operation) for operation in ("create", "write", "unlink")))
        endpoint = self.endpoint.with_user(viewer)
        self.assertEqual(endpoint.level, "unknown")
        manager = new_test_user(self.env, "history_manager", groups="pgbouncer_monitor.group_manager")
        self.assertFalse(self.env["connection.reading"].with_user(manager).has_access("read"))
        self.assertFalse(any(self.Sample.with_user(manager).has_access(operation) for operation in ("write", "unlink")))
