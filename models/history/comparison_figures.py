"""The figures of two periods: which there are, and how samples make them. Queries nothing."""

from typing import NamedTuple

from odoo.tools import SQL

from .connection_sample import _duration, _mean


class Figure(NamedTuple):
    label: str
    value: SQL  # the aggregate over samples
    known: str  # the column that is known where the figure is
    kinds: tuple = ("postgresql", "pgbouncer")  # of endpoints that have it
    decimals: int = 1


def _maximum(name) -> SQL:
    return SQL("max(%s)::float8", SQL.identifier(name))


def _rate(name, seconds) -> SQL:
    """Return the growth of a counter in so many seconds. The time in which it is unknown does not count."""
    column = SQL.identifier(name)
    return SQL(
        '%s * sum(%s)::float8 / NULLIF(sum("interval") FILTER (WHERE %s IS NOT NULL), 0)', seconds, column, column
    )


_POSTGRESQL, _PGBOUNCER = ("postgresql",), ("pgbouncer",)
FIGURES = {
    "pressure_max": Figure("Pressure, Maximum (%)", _maximum("pressure_max"), "pressure_max"),
    "pressure": Figure(
        "Pressure, Mean (%)", _mean(SQL.identifier("pressure"), SQL.identifier("sample_count")), "pressure"
    ),
    "used_max": Figure("Used, Maximum", _maximum("used_max"), "used_max", decimals=0),
    "pool_pressure": Figure("Fullest Pool (%)", _maximum("pool_pressure"), "pool_pressure", _PGBOUNCER),
    "waiting_max": Figure("Waiting, Maximum", _maximum("waiting_max"), "waiting_max", _PGBOUNCER, 0),
    "waiting_mean": Figure(
        "Waiting, Mean",
        _mean(SQL.identifier("waiting_mean"), SQL.identifier("interval")),
        "waiting_mean",
        _PGBOUNCER,
        2,
    ),
    "maxwait": Figure("Longest Wait (s)", _maximum("maxwait"), "maxwait", _PGBOUNCER, 3),
    "transactions": Figure("Transactions/s", _rate("xact_count", 1), "xact_count", _PGBOUNCER),
    "xact_mean": Figure(
        "Average Transaction (ms)",
        _duration(*map(SQL.identifier, ("xact_mean", "xact_time", "xact_count"))),
        "xact_time",
        _PGBOUNCER,
        2,
    ),
    "sessions": Figure("Sessions Opened per Minute", _rate("sessions", 60), "sessions", _POSTGRESQL),
    "refused": Figure("Requests Refused", SQL("sum(refused)::float8"), "refused", _POSTGRESQL, 0),
}
