"""What Prometheus reads, checked with the parsers of its own library."""

import gzip
import time
from collections import Counter
from contextlib import closing
from datetime import timedelta
from unittest.mock import patch

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from odoo import fields
from odoo.tests import freeze_time, new_test_user
from odoo.tools import file_open, mute_logger

from ...analysis import metric_lines
from ...analysis.metric_families import FAMILIES
from ...models.metrics import connection_metrics, connection_sample, exposition
from ...probes import postgres
from ..cases import ANSWERS, POOL, SAMPLER, SampleCase
from ..common import answering, connect, endpoint_values
from .test_health import AddressCase

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
NASTY = 'a "b" \\ \n c'


def parsed(content, kind):
    """Return the series of an answer: (name, labels as a set of pairs) -> value."""
    text = content.decode()
    families = list((parse_openmetrics if kind.startswith("application/openmetrics") else parse_text)(text))
    series = [(sample.name, frozenset(sample.labels.items())) for family in families for sample in family.samples]
    assert not [name for name, count in Counter(family.name for family in families).items() if count > 1]
    assert len(set(series)) == len(series), "a series is there twice"
    assert {name for name, _labels in series} <= FAMILIES.keys()
    return dict(zip(series, (sample.value for family in families for sample in family.samples), strict=True))


def value_of(found, name, **labels):
    """Return the value of a series, None if it is left out."""
    return found.get((name, frozenset(labels.items())))


def end_pooled_sessions():
    """End the servers that PgBouncer keeps of earlier tests: their sessions are hidden from Odoo's role."""
    with closing(connect()) as superuser, superuser.cursor() as cursor:
        theirs = "FROM pg_stat_activity WHERE usename = 'shop'"
        cursor.execute(f"SELECT pg_terminate_backend(pid) {theirs}")
        for _attempt in range(100):
            cursor.execute(f"SELECT count(*) {theirs}")
            if not cursor.fetchone()[0]:
                return
            time.sleep(0.01)
    raise AssertionError("these sessions do not end")


class Scraping:
    """Samples of consoles that answer what a test says, and what a scrape shows of them."""

    def scrape(self, accept=""):
        self.env.flush_all()
        self.env.invalidate_all()
        return parsed(*self.env["connection.metrics"]._scrape(accept, False, False))

    def value(self, name, **labels):
        return value_of(self.scrape(), name, **labels)

    def sample(self, *endpoints, **answers):
        """Take samples: of PgBouncers with these answers, of the real PostgreSQL."""
        answers = ANSWERS | {f"SHOW {name.upper()}": rows for name, rows in answers.items()}
        every = self.env["connection.endpoint"].browse(endpoint.id for endpoint in endpoints)
        with mute_logger(SAMPLER), answering({endpoint: answers for endpoint in every}):
            self.env["connection.sample"]._sample(every)

    def row(self, endpoint):
        return self.env["connection.metrics"].search([("endpoint_id", "=", endpoint.id)])


class TestMetrics(Scraping, SampleCase):
    def test_two_pgbouncers_of_one_name_and_postgresql(self):
        """Names may be anything, and no series is there twice."""
        self.endpoint.name = NASTY
        twin = self.endpoint.create(endpoint_values(name=NASTY))
        pools = [POOL, POOL | {"user": NASTY}, POOL | {"user": "\\xe9", "database": "été"}]
        self.sample(self.endpoint, twin, self.postgresql, pools=pools)
        text, openmetrics = self.scrape(), self.scrape(OPENMETRICS)
        self.assertEqual(text, openmetrics)
        names = {dict(labels)["endpoint"] for name, labels in text if name == "pgbouncer_up"}
        self.assertEqual(names, {NASTY, f"{NASTY} ({twin.id})"})
        for user in (NASTY, "shop"):
            labels = {"endpoint": NASTY, "database": "shop", "user": user}
            self.assertEqual(value_of(text, "pgbouncer_pools_server_active_connections", **labels), 1)
        own = {"endpoint": self.postgresql.name}
        self.assertEqual(value_of(text, "pg_up", **own), 1)
        self.assertEqual(value_of(text, "pg_settings_max_connections", **own), 100)
        self.assertEqual(value_of(text, "odoo_connection_rule_value", **own, rule="unanswered_samples"), 0)
        self.assertLess(value_of(text, "odoo_connection_sample_age_seconds", **own, kind="postgresql"), 60)
        self.assertEqual(value_of(text, "odoo_connection_sampler_interval_seconds"), 60)

    def test_endpoint_that_does_not_answer(self):
        self.sample(self.endpoint, pools=[{"database": "no user"}])
        name, found = self.endpoint.name, self.scrape()
        self.assertEqual(value_of(found, "pgbouncer_up", endpoint=name), 0)
        rule = {"endpoint": name, "rule": "unanswered_samples"}
        self.assertEqual(value_of(found, "odoo_connection_rule_value", **rule), 1)
        self.assertIsNone(value_of(found, "odoo_connection_level", endpoint=name, kind="pgbouncer"))
        self.assertNotIn("pgbouncer_used_clients", {name for name, _labels in found})

    def test_old_sample_has_an_age_only(self):
        labels = {"endpoint": self.endpoint.name}
        self.sample(self.endpoint)
        sampled_at = self.endpoint.sampled_at
        with self.clock_forward(185):
            self.assertIsNone(self.value("pgbouncer_up", **labels))
            age = self.value("odoo_connection_sample_age_seconds", kind="pgbouncer", **labels)
            self.assertEqual(age, (fields.Datetime.now() - sampled_at).total_seconds())
        with self.clock_forward(170):
            self.assertEqual(self.value("pgbouncer_up", **labels), 1)
        self.endpoint.host = "192.0.2.1"  # another server
        self.assertEqual(self.value("pgbouncer_up", **labels), None)

    def test_archived_deleted_and_renamed(self):
        twin = self.endpoint.create(endpoint_values(name="Twin"))
        self.sample(self.endpoint, twin)
        twin.name = "Sister"
        self.assertIsNone(self.value("pgbouncer_up", endpoint="Sister"), "its lines have the old name")
        self.assertIsNone(self.value("pgbouncer_up", endpoint="Twin"))
        self.sample(twin)
        self.assertEqual(self.value("pgbouncer_up", endpoint="Sister"), 1)
        self.endpoint.active = False
        self.assertFalse(self.row(self.endpoint))
        self.sample(self.endpoint)  # by hand
        self.assertFalse(self.row(self.endpoint))
        self.assertNotIn(self.endpoint.name, {dict(labels).get("endpoint") for _name, labels in self.scrape()})
        twin.unlink()
        self.assertFalse(self.row(twin))

    def test_failure_costs_this_endpoint_only(self):
        twin = self.endpoint.create(endpoint_values(name="Twin"))
        self.sample(self.endpoint, twin, self.postgresql)
        with (
            patch.object(metric_lines, "_databases", side_effect=KeyError("x")),
            self.assertLogs(connection_metrics._logger, "ERROR") as logs,
        ):
            self.sample(self.endpoint, self.postgresql)
        self.assertIn(f"No metrics of {self.endpoint.name}", logs.output[0])
        self.assertFalse(self.row(self.endpoint), "its old lines would look new")
        found = self.scrape()
        self.assertIsNone(value_of(found, "pgbouncer_up", endpoint=self.endpoint.name))
        self.assertEqual(value_of(found, "pgbouncer_up", endpoint="Twin"), 1)
        self.assertEqual(value_of(found, "pg_up", endpoint=self.postgresql.name), 1)
        self.assertEqual(self.endpoint.level, "ok", "the sample was stored")
        alerts = {"endpoint": self.endpoint.name, "level": "critical"}
        self.assertEqual(value_of(found, "odoo_connection_open_alerts", **alerts), 0, "it is still there")

    def test_failure_to_store_costs_the_metrics_only(self):
        self.sample(self.endpoint)
        sampled_at = self.endpoint.sampled_at
        with (
            self.clock_forward(60),
            patch.object(exposition, "member", side_effect=UnicodeEncodeError("utf-8", "x", 0, 1, "x")),
            patch.object(connection_metrics, "MAX_TEXT", 0),
            self.assertLogs(connection_sample._logger, "ERROR"),
        ):
            self.sample(self.endpoint)
            self.assertGreater(self.endpoint.sampled_at, sampled_at)
            self.assertIsNone(self.value("pgbouncer_up", endpoint=self.endpoint.name), "of the sample before")

    def test_never_sampled(self):
        """It has no age, but alerts, by which Prometheus knows it."""
        name = self.endpoint.name
        self.assertEqual(self.value("odoo_connection_open_alerts", endpoint=name, level="critical"), 0)
        self.assertIsNone(self.value("odoo_connection_sample_age_seconds", endpoint=name, kind="pgbouncer"))

    def states(self):
        """Return database -> state -> number of sessions, in the metrics."""
        found = {}
        for (name, labels), value in self.scrape().items():
            if name == "pg_stat_activity_count":
                found.setdefault(dict(labels)["datname"], {})[dict(labels)["state"]] = value
        return found

    def test_states_are_those_of_pg_stat_activity(self):
        end_pooled_sessions()
        self.client(connect(dbname="shop")).cursor().execute("BEGIN; SELECT txid_current()")
        self.sample(self.postgresql)
        self.assertNotIn("shop", self.states(), "hidden from Odoo's role: its sessions may be in any state")
        self.assertIn(self.env.cr.dbname, self.states(), "those of its own role are not hidden")
        self.grant_monitor()
        with closing(connect()) as superuser, superuser.cursor() as cursor:
            query = (
                "SELECT state, count(*) FROM pg_stat_activity WHERE datname = 'shop' AND usename IS NOT NULL GROUP BY 1"
            )
            cursor.execute(query)
            expected = {("shop", state): count for state, count in cursor.fetchall()}
        self.sample(self.postgresql)
        shown = {("shop", state): count for state, count in self.states()["shop"].items() if count}
        self.assertEqual(shown, expected)
        self.assertGreaterEqual(shown["shop", "idle in transaction"], 1)
        with closing(connect(dbname="shop")) as untracked:
            untracked.cursor().execute("SET track_activities = off")
            self.sample(self.postgresql)
            self.assertNotIn("shop", self.states())

    def test_what_depends_on_the_moment(self):
        self.sample(self.endpoint)
        now = fields.Datetime.now()
        values = {"endpoint_id": self.endpoint.id, "endpoint_name": self.endpoint.name, "opened_at": now}
        for rule, level in (("maxwait", "warning"), ("waiting_samples", "warning"), ("paused_samples", "critical")):
            alert = self.env["connection.alert"].create(values | {"rule": rule, "level": level})
        alert.closed_at = now
        Check = self.env["connection.check"]
        Check.search([]).unlink()
        values = {"listener": "bus", "checked_at": now}
        bus = Check.create(values | {"verdict": "direct", "level": "ok"})
        Check.create(values | {"listener": "cron", "verdict": "deaf", "level": "critical"})
        total = {"host": 'the "host"', "kind": "pool_full", "total": 3, "read_at": now}
        self.env["connection.refusal.total"].create(total)
        found, name = self.scrape(OPENMETRICS), self.endpoint.name
        for level, count in (("warning", 2), ("critical", 0)):
            self.assertEqual(value_of(found, "odoo_connection_open_alerts", endpoint=name, level=level), count)
        self.assertEqual(value_of(found, "odoo_connection_listen_ok", listener="bus"), 1)
        self.assertEqual(value_of(found, "odoo_connection_listen_ok", listener="cron"), 0)
        self.assertEqual(value_of(found, "odoo_connection_refused_total", host='the "host"', kind="pool_full"), 3)
        for verdict, level, value in (
            ("session", "warning", 1),
            ("session", "critical", 0),  # its pool is full
            ("deaf", "warning", 0),
            ("unreachable", "critical", 0),
            ("unknown", "unknown", None),
        ):
            bus.write({"verdict": verdict, "level": level})
            self.assertEqual(self.value("odoo_connection_listen_ok", listener="bus"), value)
        bus.write({"verdict": "direct", "level": "ok", "checked_at": "2026-01-01"})
        self.assertIsNone(self.value("odoo_connection_listen_ok", listener="bus"), "too old")
        Check.search([]).unlink()
        self.assertIsNone(self.value("odoo_connection_listen_ok", listener="bus"))

    def test_neutralized_copy(self):
        self.sample(self.endpoint, self.postgresql)
        self.env.flush_all()
        with file_open("pgbouncer_monitor/data/neutralize.sql") as script:
            self.env.cr.execute(script.read())
        self.env.invalidate_all()
        self.assertFalse(self.env["connection.metrics"].search([]))

    def test_without_the_library(self):
        with patch.object(exposition, "library", None):
            self.sample(self.endpoint)
        self.assertFalse(self.row(self.endpoint))
        self.sample(self.endpoint)
        with patch.object(exposition, "library", None), self.clock_forward(60):
            self.sample(self.endpoint)
        self.assertIsNone(self.value("pgbouncer_up", endpoint=self.endpoint.name), "not of the last sample")

    def test_postgresql_without_states(self):
        """A server that did not answer one of the queries costs its series alone."""
        with patch.object(postgres, "STATES", "SELECT 1 AS datname WHERE false"):
            self.sample(self.postgresql)
        self.assertEqual(self.states(), {})
        self.assertEqual(self.value("pg_up", endpoint=self.postgresql.name), 1)


class TestAddress(Scraping, AddressCase):
    def setUp(self):
        super().setUp()
        manager = new_test_user(self.env, "manager", groups="pgbouncer_monitor.group_manager")
        self.keys = {"viewer": self.key(self.viewer), "manager": self.key(manager)}
        self.postgresql = self.endpoint
        self.endpoint = self.endpoint.create(endpoint_values())

    def scraped(self, user, query="", **headers):
        self.env.flush_all()
        self.env.invalidate_all()
        headers = {"Authorization": f"Bearer {self.keys[user]}", **headers}
        return self.url_open(f"/pgbouncer_monitor/metrics{query}", headers=headers)

    def test_formats(self):
        self.sample(self.endpoint)
        labels = {"endpoint": self.endpoint.name}
        for accept in ("", "*/*", OPENMETRICS, "text/plain;version=0.0.4"):
            for encoding in ("gzip", "identity", "gzip;q=0"):
                answer = self.scraped("viewer", Accept=accept, **{"Accept-Encoding": encoding})
                kind = answer.headers["Content-Type"]
                self.assertEqual(kind.startswith("application/openmetrics-text"), accept == OPENMETRICS)
                self.assertEqual(answer.headers.get("Content-Encoding"), "gzip" if encoding == "gzip" else None)
                self.assertEqual(value_of(parsed(answer.content, kind), "pgbouncer_up", **labels), 1)

    def test_live(self):
        self.sample(self.endpoint, self.postgresql, pools=[POOL | {"sv_active": 4}])
        before = self.env["connection.sample"].search_count([])
        labels = {"endpoint": self.endpoint.name, "database": "shop", "user": "shop"}
        self.assertEqual(self.scraped("viewer", "?live=1").status_code, 403)
        self.assertEqual(self.scraped("manager", "?live=true").status_code, 400)
        before_now = fields.Datetime.now() - timedelta(seconds=100)
        self.endpoint.reading_ids.sampled_at = self.row(self.endpoint).sampled_at = before_now
        self.postgresql.reading_ids.unlink()
        with answering({self.endpoint: ANSWERS}):
            answer = self.scraped("manager", "?live=1")
        found = parsed(answer.content, answer.headers["Content-Type"])
        name = "pgbouncer_pools_server_active_connections"
        self.assertEqual(value_of(found, name, **labels), 1)
        ages = {
            dict(labels)["endpoint"]: value
            for (name, labels), value in found.items()
            if name == "odoo_connection_sample_age_seconds"
        }
        self.assertEqual(ages.keys(), {self.endpoint.name}, "the other one was never sampled")
        self.assertGreaterEqual(ages[self.endpoint.name], 100, "of the last sample that is stored")
        own = {"endpoint": self.postgresql.name, "rule": "unanswered_samples"}
        self.assertEqual(value_of(found, "odoo_connection_rule_value", **own), 0)
        stored = self.scraped("manager")
        found = parsed(stored.content, stored.headers["Content-Type"])
        self.assertEqual(value_of(found, name, **labels), 4, "nothing of it is stored")
        self.assertEqual(self.env["connection.sample"].search_count([]), before)

    def test_no_secret(self):
        end_pooled_sessions()
        theirs = connect(dbname="shop", application_name="a_program", user="odoo")
        self.addCleanup(theirs.close)
        theirs.cursor().execute("SELECT 'a_query'")
        clients = [{"addr": "192.0.2.77", "ptr": "1", "database": "shop", "user": "shop"}]
        self.sample(self.endpoint, self.postgresql, clients=clients, servers=[{"addr": "192.0.2.78", "ptr": "2"}])
        text = self.scraped("viewer").text
        self.assertIn('datname="shop"', text)
        for word in ("a_program", "a_query", "192.0.2", endpoint_values()["password"]):
            self.assertNotIn(word, text)

    def test_without_the_library(self):
        with patch.object(exposition, "library", None):
            answer = self.scraped("viewer")
        self.assertEqual(answer.status_code, 501)
        self.assertIn("pip install odoo-addon-pgbouncer-monitor[metrics]", answer.text)

    def test_packed_answer_is_one_file(self):
        """With few lines of a name and with many, which are compressed with the sample."""
        self.sample(self.endpoint, self.postgresql, pools=[POOL | {"user": f"u{number}"} for number in range(100)])
        self.assertTrue(self.row(self.endpoint).content)
        self.assertFalse(self.row(self.postgresql).content)
        with freeze_time(fields.Datetime.now()):  # the ages are equal
            packed, kind = self.env["connection.metrics"]._scrape(OPENMETRICS, True, False)
            plain, _kind = self.env["connection.metrics"]._scrape(OPENMETRICS, False, False)
        self.assertEqual(gzip.decompress(packed), plain)
        self.assertTrue(plain.endswith(b"\n# EOF\n"))
        self.assertEqual(plain.count(b"# EOF"), 1)
        self.assertTrue(kind.startswith("application/openmetrics-text"))
