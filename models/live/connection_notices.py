"""Notices that travel with the rows of a list. Knows no server and no other model."""

from odoo import api, fields, models


class ConnectionNotices(models.AbstractModel):
    """Rows that need a notice about what they do not show.

    The rows of a list come with a ``reading``: when they were read, and what is missing from them. Both are in one
    answer, so that they are always from the same moment. Pivots and graphs request the notices separately.
    """

    _name = "connection.notices"
    _description = "Rows with Notices"

    @api.model
    def web_search_read(self, *args, **kwargs):
        return super().web_search_read(*args, **kwargs) | {"reading": self._reading()}

    @api.model
    def web_read_group(self, *args, **kwargs):
        return super().web_read_group(*args, **kwargs) | {"reading": self._reading()}

    @api.model
    def _reading(self):
        """Return ``read_at`` (UTC) and ``notices``: a list of dictionaries with ``type`` (Bootstrap's: danger, warning,
        info), ``text`` and ``remedy``."""
        return {"read_at": fields.Datetime.to_string(fields.Datetime.now()), "notices": self._notices()}

    @api.model
    def get_notices(self):
        """Return the notices of a reading that is made now."""
        self.check_access("read")
        return self._notices()

    @api.model
    def _notices(self):
        """Return what the rows do not show, and what to do about it: see ``_reading``."""
        return []
