from odoo import fields, models

from ...fields import NullableFloat
from ...tools import LEVELS

# What an endpoint shows of connection.reading: the figures of the last sample, and how it was taken.
FIGURES = ("level", "pressure", "pool_pressure", "used", "capacity", "waiting", "maxwait")
READING_FIELDS = (*FIGURES, "sampled_at", "last_seen")


class ConnectionReading(models.Model):
    """What the last sample of an endpoint found, and the counters from which the next one
    tells what happened in between. Written by the sampler alone."""

    _name = "connection.reading"
    _description = "Last Reading of an Endpoint"
    _log_access = False

    endpoint_id = fields.Many2one("connection.endpoint", required=True, ondelete="cascade")
    address = fields.Char(help="Whose counters these are: with another address it is another server.")
    sampled_at = fields.Datetime(help="When the last sample was taken.")
    level = fields.Selection(LEVELS)
    last_seen = fields.Datetime(help="When a sample last got an answer.")
    reason = fields.Json(help="The facts of what is wrong since then.")
    pressure = NullableFloat()
    pool_pressure = NullableFloat()
    capacity = NullableFloat()
    used = NullableFloat()
    waiting = NullableFloat()
    maxwait = NullableFloat()
    counters = fields.Text(prefetch=False, help="What the server had counted when it was read, as JSON.")

    _endpoint_uniq = models.UniqueIndex("(endpoint_id)")
