"""The lines of the series: the same in OpenMetrics and in the text format of Prometheus.

They are made as texts, in one pass for each family, because 1,000 pools have 50,000 of them. What is unknown has no
line.
"""

from functools import lru_cache

from . import metric_families, readings
from .metric_families import FAMILIES, STATES
from .readings import CONSOLE

# Stands for the name in lines that several families share. PostgreSQL and consoles know no such character.
NAME = "\0"
LEVEL_VALUES = {"ok": 0, "warning": 1, "critical": 2}


@lru_cache(maxsize=10_000)  # the names of the last sample
def _escaped(value):
    """Return what stands between the quotes of a label."""
    text = "" if value is None else str(value)
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def unique_labels(names):
    """Return the value of the label ``endpoint`` for each endpoint: its name, with its id if another one has that name.

    :param dict names: id -> name
    :return: id -> label
    """
    labels = {}
    for number, name in sorted(names.items()):
        while name in labels.values():
            name = f"{name} ({number})"
        labels[number] = name
    return labels


class _Rows:
    """The rows of an answer.

    Many columns have the same values, such as 0 in each row: their lines differ in the name alone.

    :param list labels: of each row, see `_labels`
    """

    def __init__(self, labels):
        self.labels, self.texts = labels, {}

    def lines(self, name, values):
        """Return the lines of one family: name -> text."""
        values = tuple(values)
        if values not in self.texts:
            pairs = zip(self.labels, values, strict=True)
            lines = [f"{NAME}{label} {value}\n" for label, value in pairs if value is not None]
            self.texts[values] = "".join(lines)
        return {name: self.texts[values].replace(NAME, name)}


def _labels(names, rows):
    """Return what stands between the name and the value of each line.

    :param names: of the labels
    :param rows: the values of the labels of each line
    """
    form = "{{{}}}".format(",".join(f'{name}="%s"' for name in names)) if names else ""
    return [form % (*map(_escaped, values),) for values in rows]


def _labels_of(names, endpoint, answer):
    """Return the labels of the rows of an answer. The first label is the endpoint, the others are columns."""
    _endpoint, *columns = names
    return _labels(names, ((endpoint, *map(row.get, columns)) for row in answer))


def series(name, rows):
    """Return the lines of one family: name -> text.

    :param rows: (value, values of the labels) of each series; the value None is unknown
    """
    rows = list(rows)
    labels = _labels(FAMILIES[name].labels, (values for _value, *values in rows))
    return _Rows(labels).lines(name, [row[0] for row in rows])


def instance_lines(endpoint, kind, is_up, instance):
    """Return the lines of what PostgreSQL and PgBouncer have in common: family -> text.

    :param str endpoint: of `unique_labels`
    :param str kind: postgresql or pgbouncer
    :param bool is_up: whether it answered
    :param Samples instance: its sample
    """
    columns = {name: column[0] for name, column in instance.columns.items()}
    values = {
        "level": LEVEL_VALUES.get(columns["level"]),
        "pressure_ratio": _ratio(columns.get("pressure")),
        "used": columns.get("used"),
        "capacity": columns.get("capacity") or None,  # 0 is no limit
    }
    lines = series("pg_up" if kind == "postgresql" else "pgbouncer_up", [(int(is_up), endpoint)])
    for suffix, value in values.items():
        lines |= series(f"odoo_connection_{suffix}", [(value, endpoint, kind)])
    rules = instance.values.items()
    return lines | series("odoo_connection_rule_value", [(value, endpoint, rule) for rule, [value] in rules])


def postgresql_lines(endpoint, row, states):
    """Return the lines of a PostgreSQL: family -> text.

    :param dict row: the answer to ``postgres.ACTIVITY``
    :param list states: the answer to ``postgres.STATES``
    """
    lines = series("odoo_connection_notification_queue_ratio", [(_ratio(row["notification_queue_usage"]), endpoint)])
    for name in metric_families.SETTINGS:
        lines |= series(f"pg_settings_{name}", [(row[name], endpoint)])
    sessions = _sessions(states)
    counts = [(count, endpoint, *key) for key, (count, _age) in sessions.items()]
    ages = [(age, endpoint, *key) for key, (_count, age) in sessions.items()]
    return lines | series("pg_stat_activity_count", counts) | series("pg_stat_activity_max_tx_duration", ages)


def _sessions(rows):
    """Return (database, state) -> (number of sessions, age of their oldest transaction).

    A session that is hidden or not tracked may be in any state: the states of its database are unknown.
    """
    unknown = {row["datname"] for row in rows if row["unseen"] != 0 or row["count"] is None}
    found = {(row["datname"], state): (0, 0) for row in rows if row["datname"] not in unknown for state in STATES}
    for row in rows:
        key = row["datname"], row["state"]
        if key in found:  # a session that has just started has no state
            count, age = found[key]
            found[key] = count + row["count"], max(age, row["xact_age"] or 0)
    return found


def pgbouncer_lines(endpoint, version, answers, tables):
    """Return the lines of a PgBouncer: family -> text.

    :param str version: such as 1.24.1
    :param dict answers: command -> typed rows
    :param tables: the Samples of the instance, its pools and its databases
    """
    _instance, pools, databases = tables
    waiting = [
        (mean, endpoint, database)
        for mean, database in zip(databases.columns["waiting_mean"], databases.columns["database"], strict=True)
    ]
    lists = readings.by_key(answers["SHOW LISTS"], "list", "items")
    settings = readings.by_key(answers["SHOW CONFIG"])
    lines = series("pgbouncer_version_info", [(1, endpoint, version)])
    for row, name in metric_families.LISTS.items():
        lines |= series(f"pgbouncer_{name}", [(lists.get(row), endpoint)])
    for row, name in metric_families.CONFIG.items():
        lines |= series(f"pgbouncer_config_{name}", [(readings.whole(settings.get(row)), endpoint)])
    return (
        lines
        | series("odoo_connection_database_waiting_mean", waiting)
        | _pools(endpoint, answers["SHOW POOLS"], pools)
        | _databases(endpoint, answers["SHOW DATABASES"])
        | _statistics(endpoint, answers["SHOW STATS"])
    )


def _pools(endpoint, answer, pools):
    labels = _labels_of(metric_families.POOL, endpoint, answer)
    rows = _Rows(labels)
    lines = rows.lines("pgbouncer_pools_client_maxwait_seconds", map(readings.longest_wait, answer))
    for column, name in metric_families.POOLS.items():
        lines |= rows.lines(f"pgbouncer_pools_{name}", [row.get(column) for row in answer])
    # There is no sample of the console's pool.
    sampled = [(label, row) for label, row in zip(labels, answer, strict=True) if row["database"] != CONSOLE]
    return lines | _sampled([label for label, _row in sampled], [row for _label, row in sampled], pools)


def _sampled(labels, answer, pools):
    """Return the lines of the samples of pools.

    :param list labels: and ``answer``: those of the pools with a sample
    """
    columns, rows = pools.columns, _Rows(labels)
    modes = [row.get("pool_mode") for row in answer]
    with_modes = [f'{label[:-1]},pool_mode="{_escaped(mode)}"}}' for label, mode in zip(labels, modes, strict=True)]
    return (
        rows.lines("odoo_connection_pool_level", map(LEVEL_VALUES.get, columns["level"]))
        | rows.lines("odoo_connection_pool_pressure_ratio", map(_ratio, columns["pressure"]))
        | rows.lines("odoo_connection_pool_waiting_mean", columns["waiting_mean"])
        | _Rows(with_modes).lines("odoo_connection_pool_mode_info", [mode and 1 for mode in modes])
    )


def _databases(endpoint, answer):
    rows, lines = _Rows(_labels_of(metric_families.DATABASE_LINE, endpoint, answer)), {}
    for column, name in metric_families.DATABASES.items():
        if answer and column in answer[0]:
            lines |= rows.lines(f"pgbouncer_databases_{name}", [row[column] for row in answer])
    return lines


def _statistics(endpoint, answer):
    rows, lines = _Rows(_labels_of(metric_families.DATABASE, endpoint, answer)), {}
    for column, name in metric_families.STATS.items():
        values = [row.get(column) for row in answer]
        if column.endswith("_time"):
            values = [None if value is None else value / 1e6 for value in values]
        for prefix in metric_families.STATS_PREFIXES:
            lines |= rows.lines(prefix + name, values)
    return lines


def _ratio(percent):
    return None if percent is None else percent / 100
