import math

from odoo import api, models
from odoo.exceptions import ValidationError

from ..fields import NullableFloat
from ..pressure import THRESHOLDS

THRESHOLD_FIELDS = [f"{name}_{level}" for name in THRESHOLDS for level in ("warning", "critical")]


def thresholds(get):
    """:param get: a function that returns the threshold with a field's name, False for an empty one
    :return: name -> (warning, critical), None for what is never reached"""
    pairs = {name: (get(f"{name}_warning"), get(f"{name}_critical")) for name in THRESHOLDS}
    return {name: tuple(None if value is False else value for value in pair) for name, pair in pairs.items()}


class ConnectionThresholds(models.AbstractModel):
    """From which measured values on a sample is a warning, and from which on it is critical:
    the defaults and their sources are in ``pressure.THRESHOLDS``. An empty one is never reached.
    """

    _name = "connection.thresholds"
    _description = "Thresholds of Connection Pressure"

    postgresql_pressure_warning = NullableFloat(
        "PostgreSQL's Connections, Warning (%)",
        help="Client backends, in percent of the connections that PostgreSQL has for ordinary roles.",
    )
    postgresql_pressure_critical = NullableFloat("PostgreSQL's Connections, Critical (%)")
    pgbouncer_pressure_warning = NullableFloat(
        "PgBouncer's Connections, Warning (%)",
        help="Clients in percent of max_client_conn, and servers of a database in percent of max_db_connections.",
    )
    pgbouncer_pressure_critical = NullableFloat("PgBouncer's Connections, Critical (%)")
    waiting_samples_warning = NullableFloat(
        "Samples with Waiting Clients, Warning",
        digits=(16, 0),
        help="In so many samples in a row clients of a pool waited for a server.",
    )
    waiting_samples_critical = NullableFloat("Samples with Waiting Clients, Critical", digits=(16, 0))
    maxwait_warning = NullableFloat(
        "Longest Wait, Warning (s)", help="How long the first client in a pool's queue has waited for a server."
    )
    maxwait_critical = NullableFloat("Longest Wait, Critical (s)")
    idle_in_transaction_age_warning = NullableFloat(
        "Idle in Transaction, Warning (s)",
        help="How long a session has been idle with a transaction open: it holds its locks, and in a pool its server.",
    )
    idle_in_transaction_age_critical = NullableFloat("Idle in Transaction, Critical (s)")

    @api.constrains(*THRESHOLD_FIELDS)
    def _check_thresholds(self):
        for record in self:
            for name, (warning, critical) in thresholds(record.__getitem__).items():
                label = record._fields[f"{name}_warning"]._description_string(self.env)
                if any(value is not None and not 0 <= value < math.inf for value in (warning, critical)):
                    raise ValidationError(
                        self.env._("%s: enter 0 or more. An empty threshold is never reached.", label)
                    )
                if warning is not None and critical is not None and warning > critical:
                    raise ValidationError(
                        self.env._(
                            "%(label)s: enter a warning (%(warning)s) that is not above critical (%(critical)s).",
                            label=label,
                            warning=warning,
                            critical=critical,
                        )
                    )
