"""The last sample of an endpoint, in the database only: no server is queried here."""

from odoo import fields, models

from ...fields import NullableFloat
from ...tools import LEVELS

# The fields of connection.reading that an endpoint shows: the figures of the last sample, and when it was taken.
FIGURES = ("level", "pressure", "pool_pressure", "used", "capacity", "waiting", "maxwait")
READING_FIELDS = (*FIGURES, "sampled_at", "last_seen")


class ConnectionReading(models.Model):
    """The last sample of an endpoint, and the counters that the next sample is compared with.

    Only the sampler writes it.
    """

    _name = "connection.reading"
    _description = "Last Reading of an Endpoint"
    _log_access = False

    endpoint_id = fields.Many2one("connection.endpoint", required=True, ondelete="cascade")
    address = fields.Char(help="The address that was sampled. A different address is a different server.")
    sampled_at = fields.Datetime(help="Time of the last sample.")
    level = fields.Selection(LEVELS)
    last_seen = fields.Datetime(help="Time of the last sample that the server answered.")
    restarted_at = fields.Datetime(help="Time of the first sample after the server's last restart.")
    changed_at = fields.Datetime(
        help="Time of the first sample after the last change of a pool on which Odoo listens: its mode or its size."
    )
    reason = fields.Json()  # why the sample is unknown, or which threshold it reached, as facts
    pressure = NullableFloat()
    pool_pressure = NullableFloat()
    capacity = NullableFloat()
    used = NullableFloat()
    waiting = NullableFloat()
    maxwait = NullableFloat()
    counters = fields.Text(prefetch=False)  # those of the server at that time, as JSON

    _endpoint_uniq = models.UniqueIndex("(endpoint_id)")
