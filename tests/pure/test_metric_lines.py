import re
from pathlib import Path
from unittest import TestCase

from test_pgbouncer_samples import ANSWERS, DATABASE, POOL, RULES, STATS
from test_postgresql_samples import ROW

from analysis import metric_lines
from analysis.incidents import Memory
from analysis.metric_families import FAMILIES, OF_THE_MOMENT
from analysis.pgbouncer_samples import pgbouncer_samples
from analysis.postgresql_samples import postgresql_samples
from analysis.samples import Samples

PAGE = Path(__file__).parents[2] / "docs/metrics.md"
ACTIVE = {"datname": "shop", "state": "active", "count": 2, "unseen": 0, "xact_age": 1.5}


def pgbouncer(endpoint="A", **answers):
    """Return the lines of a PgBouncer after its second sample: family -> text."""
    answers = {f"SHOW {name.upper()}": rows for name, rows in (ANSWERS | answers).items()}
    _tables, before = pgbouncer_samples(answers, 100, {}, RULES, Memory(None, 100, every=60, patience=183))
    tables, _counters = pgbouncer_samples(answers, 160, before, RULES, Memory(None, 160, every=60, patience=183))
    lines = metric_lines.instance_lines(endpoint, "pgbouncer", True, tables[0])
    return lines | metric_lines.pgbouncer_lines(endpoint, "1.24.1", answers, tables)


def postgresql(states=(), **values):
    """Return the lines of a PostgreSQL: family -> text."""
    [instance], _counters = postgresql_samples(ROW | values, [], 100, {}, {})
    lines = metric_lines.instance_lines("A", "postgresql", True, instance)
    return lines | metric_lines.postgresql_lines("A", ROW | values, states)


class TestMetricLines(TestCase):
    def test_every_family_is_made_from_a_sample_or_at_the_scrape(self):
        made = {**pgbouncer(databases=[DATABASE | {"reserve_pool": 1}]), **postgresql()}
        self.assertEqual(made.keys() | OF_THE_MOMENT, FAMILIES.keys())

    def test_names_and_labels_of_each_line(self):
        two_pools = [POOL | {"pool_mode": "session"}, POOL | {"user": "bot"}]
        made = {**pgbouncer(pools=two_pools), **postgresql([ACTIVE])}
        for name, text in made.items():
            for line in text.splitlines():
                found, labels, value = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line).groups()
                self.assertEqual(found, name)
                self.assertEqual(tuple(re.findall(r'(\w+)="', labels)), FAMILIES[name].labels)
                float(value)

    def test_pgbouncer(self):
        row = DATABASE | {"host": None, "port": 5432, "database": "x", "reserve_pool_size": 3, "pool_mode": "session"}
        lines = pgbouncer(
            databases=[row],
            stats=[STATS | {"total_query_time": 1_500_000}],
            pools=[POOL | {"maxwait_us": 250_000, "cl_waiting": 1, "pool_mode": "statement"}],
            config=[{"key": "max_client_conn", "value": "100"}, {"key": "max_user_connections", "value": "many"}],
        )
        pool, database = '{endpoint="A",database="shop",user="shop"}', '{endpoint="A",database="shop"}'
        line = '{endpoint="A",name="shop",host="",port="5432",database="x",force_user="",pool_mode="session"}'
        for name, labels, value in (
            ("pgbouncer_up", '{endpoint="A"}', 1),
            ("pgbouncer_version_info", '{endpoint="A",version="1.24.1"}', 1),
            ("pgbouncer_pools_server_active_connections", pool, 1),
            ("pgbouncer_pools_client_maxwait_seconds", pool, 0.25),
            ("pgbouncer_databases_reserve_pool", line, 3),
            ("pgbouncer_stats_totals_queries_duration_seconds_total", database, 1.5),
            ("pgbouncer_stats_queries_duration_seconds_total", database, 1.5),
            ("pgbouncer_stats_queries_pooled_total", database, 20),
            ("pgbouncer_used_clients", '{endpoint="A"}', 5),
            ("pgbouncer_config_max_client_connections", '{endpoint="A"}', 100),
            ("odoo_connection_level", '{endpoint="A",kind="pgbouncer"}', 0),
            ("odoo_connection_pressure_ratio", '{endpoint="A",kind="pgbouncer"}', 0.05),
            ("odoo_connection_pool_pressure_ratio", pool, 0.1),
            ("odoo_connection_pool_waiting_mean", pool, 0),
            ("odoo_connection_pool_mode_info", pool.replace("}", ',pool_mode="statement"}'), 1),
        ):
            self.assertEqual(lines[name], f"{name}{labels} {value}\n")
        self.assertIn('rule="pgbouncer_pressure"} 5.0\n', lines["odoo_connection_rule_value"])
        self.assertEqual(lines["pgbouncer_config_max_user_connections"], "", "not a number")

    def test_unknown_is_left_out(self):
        waiting = POOL | {"cl_waiting": 1}  # for a server in login: the wait is not measured
        lines = pgbouncer(pools=[waiting], databases=[], lists=[], config=[], stats=[STATS | {"total_sent": None}])
        for name in (
            "pgbouncer_pools_client_maxwait_seconds",
            "pgbouncer_pools_client_active_connections",  # a column that this version lacks
            "pgbouncer_stats_totals_sent_bytes_total",
            "pgbouncer_used_clients",
            "pgbouncer_config_max_user_connections",
            "odoo_connection_capacity",
            "odoo_connection_pressure_ratio",
            "odoo_connection_level",
            "odoo_connection_pool_level",
            "odoo_connection_pool_pressure_ratio",
            "odoo_connection_pool_mode_info",
        ):
            self.assertEqual(lines[name], "", name)
        self.assertNotIn("pgbouncer_databases_pool_size", lines)

    def test_database_with_several_pools(self):
        lines = pgbouncer(pools=[POOL, POOL | {"user": "bot"}])
        self.assertEqual(lines["odoo_connection_pool_waiting_mean"], "", "PgBouncer counts both together")
        name = "odoo_connection_database_waiting_mean"
        self.assertEqual(lines[name], name + '{endpoint="A",database="shop"} 0.0\n')

    def test_no_limit_is_no_capacity(self):
        lines = pgbouncer(config=[{"key": "max_client_conn", "value": "0"}])
        self.assertEqual(lines["odoo_connection_capacity"], "")

    def test_console_is_a_pool_but_has_no_sample(self):
        lines = pgbouncer()
        self.assertIn('database="pgbouncer"', lines["pgbouncer_pools_server_active_connections"])
        self.assertNotIn('database="pgbouncer"', lines["odoo_connection_pool_level"])

    def test_no_answer(self):
        instance = Samples.single({"level": "unknown", "reason": None}, {"unanswered_samples": 3})
        lines = metric_lines.instance_lines("A", "pgbouncer", False, instance)
        self.assertEqual(
            "".join(lines.values()),
            'pgbouncer_up{endpoint="A"} 0\nodoo_connection_rule_value{endpoint="A",rule="unanswered_samples"} 3\n',
        )

    def test_levels(self):
        pools = [POOL | {"user": f"u{wait}", "cl_waiting": 1, "maxwait": wait} for wait in (0, 1, 5)]
        pools[0] |= {"cl_waiting": 0}
        name = "odoo_connection_pool_level"
        lines = [
            f'{name}{{endpoint="A",database="shop",user="u{wait}"}} {level}' for wait, level in ((0, 0), (1, 1), (5, 2))
        ]
        self.assertEqual(pgbouncer(pools=pools)[name].splitlines(), lines)

    def test_names_may_be_anything(self):
        name = 'a "b" \\ c\n%s {}=,'
        lines = pgbouncer(name, pools=[POOL | {"user": name}])
        escaped = r"a \"b\" \\ c\n%s {}=,"
        self.assertIn(f'{{endpoint="{escaped}",database="shop",user="{escaped}"}} 1\n', "".join(lines.values()))

    def test_postgresql(self):
        lines = postgresql()
        for name, labels, value in (
            ("pg_up", "", 1),
            ("pg_settings_max_connections", "", 100),
            ("pg_settings_superuser_reserved_connections", "", 3),
            ("odoo_connection_notification_queue_ratio", "", 0.005),
            ("odoo_connection_used", ',kind="postgresql"', 12),
            ("odoo_connection_capacity", ',kind="postgresql"', 97),
        ):
            self.assertEqual(lines[name], f'{name}{{endpoint="A"{labels}}} {value}\n')

    def test_sessions_by_state(self):
        idle = {"datname": "shop", "state": "idle in transaction", "count": 1, "unseen": 0, "xact_age": 9.0}
        new = {"datname": "shop", "state": None, "count": 1, "unseen": 0, "xact_age": None}
        other_encoding = ACTIVE | {"count": 1, "xact_age": None}
        lines = postgresql([ACTIVE, idle, new, other_encoding])
        counts = dict.fromkeys(metric_lines.STATES, 0) | {"active": 3, "idle in transaction": 1}
        ages = dict.fromkeys(metric_lines.STATES, 0) | {"active": 1.5, "idle in transaction": 9.0}
        for name, values in (("pg_stat_activity_count", counts), ("pg_stat_activity_max_tx_duration", ages)):
            expected = [
                f'{name}{{endpoint="A",datname="shop",state="{state}"}} {value}' for state, value in values.items()
            ]
            self.assertEqual(lines[name].splitlines(), expected)

    def test_states_of_a_database_with_unseen_sessions_are_unknown(self):
        hidden = {"datname": "till", "state": None, "count": 3, "unseen": 2, "xact_age": None}
        untracked = {"datname": "kiosk", "state": "disabled", "count": 1, "unseen": 1, "xact_age": None}
        lost = {"datname": "bank", "state": "idle", "count": None, "unseen": 0, "xact_age": None}
        others = [ACTIVE | {"datname": name} for name in ("till", "kiosk", "bank")]
        lines = postgresql([hidden, untracked, lost, *others, ACTIVE])
        self.assertEqual(set(re.findall('datname="(.*?)"', lines["pg_stat_activity_count"])), {"shop"})

    def test_labels_of_endpoints_are_unique(self):
        names = {1: "A", 2: "B", 4: "A", 3: "A (4)", 5: "A"}
        self.assertEqual(metric_lines.unique_labels(names), {1: "A", 2: "B", 3: "A (4)", 4: "A (4) (4)", 5: "A (5)"})

    def test_page_has_every_series_with_its_labels(self):
        rows = re.findall(r"^\| (`(?:pg|odoo).*?) \| (.*?) \|", PAGE.read_text(), re.MULTILINE)
        written = {}
        for names, labels in rows:
            for name in re.findall("`(.*?)`", names):
                self.assertNotIn(name, written)
                written[name] = tuple(re.findall("`(.*?)`", labels))
        self.assertEqual(written, {name: family.labels for name, family in FAMILIES.items()})
