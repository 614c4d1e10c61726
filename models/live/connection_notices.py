"""Notices that travel with the rows of a list."""

from odoo import api, fields, models


class ConnectionNotices(models.AbstractModel):
    """Rows that do not tell everything by themselves.

    What list views load carries a ``reading`` beside the rows: when they were read, and
    what is missing from them. It travels in the same answer, so that rows and notices are
    always of the same moment. Pivots and graphs ask for the notices apart.
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
        """:return: ``read_at`` (UTC) and ``notices``: a list of dictionaries with ``type``
        (Bootstrap's: danger, warning, info), ``text`` and ``remedy``"""
        return {"read_at": fields.Datetime.to_string(fields.Datetime.now()), "notices": self._notices()}

    @api.model
    def get_notices(self):
        """The notices of a reading that is made now."""
        self.check_access("read")
        return self._notices()

    @api.model
    def _notices(self):
        """What the rows do not show, and what to do about it: see ``_reading``."""
        return []
