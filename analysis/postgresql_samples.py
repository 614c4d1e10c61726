"""The sample of a PostgreSQL instance, from typed answers to the queries of ``probes.postgres``."""

from . import pressure
from .samples import Samples, growth, judge, known

# Counters in pg_stat_database, since PostgreSQL 14.
SESSION_COUNTERS = ("sessions", "sessions_abandoned", "sessions_fatal", "sessions_killed")
# Columns that are unknown while sessions are hidden or not tracked.
ACTIVITY_COLUMNS = (
    "active_backends",
    "idle_backends",
    "idle_in_transaction_backends",
    "blocked_backends",
    "xact_age",
    "idle_in_transaction_age",
)
# Ages that a hidden session may exceed.
AGES = ("xact_age", "idle_in_transaction_age")


def postgresql_samples(row, databases, read_at, before, rules):
    """Return the sample of a PostgreSQL, and the counters that the next sample needs.

    :param dict row: the answer to ``postgres.ACTIVITY``
    :param list databases: the answer to ``postgres.SESSIONS``
    :param float read_at: time of the answer, in seconds since the epoch
    :param dict before: the counters of the previous sample, {} if there was none
    :param dict rules: name -> incidents.Rule
    :return: ([Samples], counters)
    """
    is_seen = row["hidden_backends"] == row["untracked_backends"] == 0
    capacity = pressure.postgresql_capacity(
        row["max_connections"], row["superuser_reserved_connections"], row["reserved_connections"]
    )
    sample = {
        "used": row["client_backends"],
        "capacity": capacity,
        "pressure": pressure.pressure(row["client_backends"], capacity),
        "hidden_backends": row["hidden_backends"],
        "untracked_backends": row["untracked_backends"],
        "blocked_age": row["blocked_age"],
        "notification_queue_usage": row["notification_queue_usage"],
    }
    if is_seen:
        sample |= {name: row[name] or 0 for name in ACTIVITY_COLUMNS}
    counters = _counters(databases, read_at)
    sample |= _session_growth(counters, before)
    # Ages of visible sessions are judged in any case, so that an incident of one of them can end.
    values = {name: row[name] or 0 for name in AGES}
    values |= {"postgresql_pressure": sample["pressure"], "blocked_age": row["blocked_age"]}
    instance = Samples.single(sample, values)
    unknown = {} if is_seen else {name: [0] for name in AGES if name in rules}
    judge(instance, rules, unknown)
    if unknown and instance.columns["level"] == ["unknown"]:
        instance.columns["reason"][0] |= _unseen(row)
    return [instance], counters


def _unseen(row):
    """Return the facts: why sessions are not visible, and what the remedy needs."""
    if row["hidden_backends"]:
        return {"code": "hidden", "params": {"count": row["hidden_backends"], "role": row["role"]}}
    if row["untracked_backends"]:
        return {"code": "untracked", "params": {"count": row["untracked_backends"], "remedy": row["track"]}}
    return {}


def _counters(databases, read_at):
    return {
        "read_at": read_at,
        "resets": {database["datid"]: database["stats_reset"] for database in databases},
        "counts": {database["datid"]: [database[name] for name in SESSION_COUNTERS] for database in databases},
    }


def _session_growth(counters, before):
    """Return the growth of SESSION_COUNTERS since the previous sample, {} if it is unknown."""
    interval, grown = growth(counters, before)
    resets = before.get("resets", {})
    if not grown or any(resets.get(name, reset) != reset for name, reset in counters["resets"].items()):
        return {}
    totals = [known(sum, column) for column in zip(*grown.values(), strict=True)]
    return {"interval": interval} | dict(zip(SESSION_COUNTERS, totals, strict=True))
