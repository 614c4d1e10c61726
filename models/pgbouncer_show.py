import hashlib
import json

from odoo import api, fields, models
from odoo.tools import SQL

from ..fields import NullableInteger
from ..probes import session


class PgbouncerShow(models.AbstractModel):
    """Rows of one SHOW command, asked from every active PgBouncer endpoint.

    A model that inherits this one declares the command, the columns that tell its rows
    apart, and a field for each column that it shows. A column that a PgBouncer lacks is
    empty; one that no field is declared for is ignored. An endpoint that does not answer
    has no rows, and a notice.
    """

    _name = "pgbouncer.show"
    _inherit = "connection.live"
    _description = "PgBouncer Console Command"

    # What to ask: the command whose rows these are, e.g. "SHOW POOLS", then others that
    # `_make_rows` needs; and the columns whose values are unique in the first one's answer.
    _show_commands = ()
    _show_key = ()

    endpoint_id = fields.Many2one("connection.endpoint", readonly=True, help="The PgBouncer that said so.")

    @property
    def _table_query(self) -> SQL:
        return self._rows_query(lambda: self._once("rows", self._rows))

    @api.model
    def _rows(self):
        """All consoles' rows as JSON."""
        names = list(self._columns())
        return json.dumps(
            [
                list(map(row.get, names))
                for endpoint, answer in self._answers().items()
                if not isinstance(answer, session.SessionError)
                for row in self._make_rows(endpoint.id, *answer)
            ],
            separators=(",", ":"),
        )

    @api.model
    def _answers(self):
        """What each console answers, asked once in a transaction.

        :return: endpoint -> the rows of each of ``_show_commands``, or session.SessionError
        """
        return self._once("answers", self._ask)

    @api.model
    def _ask(self):
        # Archived ones are never asked, whatever the caller's context says.
        domain = [("kind", "=", "pgbouncer"), ("active", "=", True)]
        endpoints = self.env["connection.endpoint"].sudo().search(domain)
        return {
            endpoint: reading
            if isinstance(reading, session.SessionError)
            else self._check_answer([reading.answers[command] for command in self._show_commands])
            for endpoint, reading in endpoints._read(*self._show_commands).items()
        }

    @api.model
    def _check_answer(self, answer):
        """The answer, fit for this model's fields: a text where a number belongs becomes the
        number that it holds, or unknown. Without its key columns it is an error."""
        rows, *others = answer
        if rows and (missing := [name for name in self._show_key if name not in rows[0]]):
            return session.SessionError("other", f"{self._show_commands[0]}: no column {', '.join(missing)}")
        for name, field in self._fields.items():
            if isinstance(field, NullableInteger) and str in {type(row.get(name)) for row in rows}:
                rows = [row | {name: int(row[name]) if str(row[name]).isdecimal() else None} for row in rows]
        return [rows, *others]

    @api.model
    def _make_rows(self, endpoint_id, rows):
        """Make one console's rows of SHOW, name -> value, rows of this model: with an id, and
        in the models that override this with what is not a column.

        :param rows: of the first of ``_show_commands``; then those of the others
        """
        return [
            row | {"id": self._row_id(endpoint_id, *map(row.get, self._show_key)), "endpoint_id": endpoint_id}
            for row in rows
        ]

    @api.model
    def _row_id(self, endpoint_id, *key):
        """The id of the row with this key, the same in every request."""
        digest = hashlib.sha256(repr((endpoint_id, *key)).encode()).digest()
        # 52 bits: all of them whole in JavaScript's numbers.
        return int.from_bytes(digest[:8], "big") >> 12

    @api.model
    def _notices(self):
        return [
            {"type": "danger", "text": f"{endpoint.name}: {message}", "remedy": remedy}
            for endpoint, answer in self._answers().items()
            if isinstance(answer, session.SessionError)
            for message, remedy in [endpoint._explain(answer)]
        ]
