from odoo import api, fields, models
from odoo.tools import SQL


class ConnectionLive(models.AbstractModel):
    """Rows that a server holds at this very moment: nothing is stored.

    What list views load carries a ``reading`` beside the rows: when they were read, and
    what is missing from them. It travels in the same answer, so that an empty list and
    the error that explains it cannot be told apart by time.
    """

    _name = "connection.live"
    _description = "Live Rows of a Server"

    @api.model
    def web_search_read(self, *args, **kwargs):
        return super().web_search_read(*args, **kwargs) | {"reading": self._reading()}

    @api.model
    def web_read_group(self, *args, **kwargs):
        return super().web_read_group(*args, **kwargs) | {"reading": self._reading()}

    @api.model
    def _reading(self):
        """:return: ``read_at`` (UTC) and ``notices``: a list of dictionaries with ``type``
        (Bootstrap's: danger, warning), ``text``, and ``remedy``, or False"""
        return {"read_at": fields.Datetime.to_string(fields.Datetime.now()), "notices": self._notices()}

    @api.model
    def _notices(self):
        """What the rows do not show, and what to do about it."""
        return []

    @api.model
    def _columns(self):
        """The names of the fields that a row fills."""
        return [name for name, field in self._fields.items() if field.store and name != "id"]

    @api.model
    def _rows_query(self, rows) -> SQL:
        """SQL for rows that are not this database's own, with this model's types.

        :param str rows: a JSON list of objects: ``id`` and what is known of the columns
        """
        return SQL(
            "SELECT * FROM jsonb_to_recordset(%s::jsonb) AS live(id bigint, %s)",
            rows,
            SQL(", ").join(
                SQL("%s %s", SQL.identifier(name), SQL(self._fields[name].column_type[1])) for name in self._columns()
            ),
        )
