"""The requests of Odoo that were refused until the last sample. Reads no server."""

from odoo import api, fields, models
from odoo.tools import format_datetime

from ...tools import format_number
from .values import link

# How many hosts and kinds a card lists.
MAX_LINES = 3


class ConnectionOverview(models.AbstractModel):
    _inherit = "connection.overview"

    @api.model
    def _refused(self, endpoint):
        """Return what was refused in the last sample of this Odoo's PostgreSQL: a text with its lines and a link, or
        why it is unknown; None if nothing was refused, or the sample is too old."""
        if endpoint._missing_sample(endpoint._sample_patience()):
            return None
        Refusal = self.env["connection.refusal"]
        if problem := Refusal._uncounted_text(endpoint):
            return {"text": problem, "lines": [], "link": None}
        instance = [("endpoint_id", "=", endpoint.id), ("database", "=", False)]
        sample = self.env["connection.sample"].search(instance, limit=1)
        if not sample.refused:
            return None
        refusals = Refusal._of_last_sample()
        since, at = (format_datetime(self.env, time) for time in (refusals[:1].since, sample.sampled_at))
        count = format_number(self.env, sample.refused, 0)
        domain = [("sampled_at", "=", fields.Datetime.to_string(sample.sampled_at))]
        facts = [(row.host, row.kind, row.count) for row in refusals[:MAX_LINES]]
        return {
            "text": self.env._("Requests refused since %(since)s: %(count)s", since=since, count=count),
            "lines": Refusal._lines(facts).splitlines(),
            "link": link("connection.refusal", domain, at),
        }
