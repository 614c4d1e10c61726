import hashlib
import json
from itertools import repeat

from odoo import api, fields, models
from odoo.tools import SQL

from ..fields import NullableInteger
from ..probes import console


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

    # What to ask, e.g. "SHOW POOLS", and the columns whose values are unique in its answer.
    _show_command = None
    _show_key = ()

    endpoint_id = fields.Many2one("connection.endpoint", readonly=True)

    @property
    def _table_query(self) -> SQL:
        return self._rows_query(self._rows)

    @api.model
    def _rows(self):
        """All consoles' rows as JSON."""
        cache, key = self.env.cr.cache, (self._name, "rows")
        if key not in cache:
            names = list(self._columns())
            cache[key] = json.dumps(
                [
                    list(map(row.get, names))
                    for endpoint, answer in self._answers().items()
                    if isinstance(answer, console.Reading)
                    for row in map(self._row, answer.rows, repeat(endpoint.id))
                ],
                separators=(",", ":"),
            )
        return cache[key]

    @api.model
    def _answers(self):
        """Each console's answer, asked once in a transaction.

        :return: endpoint -> console.Reading or console.ConsoleError
        """
        cache, key = self.env.cr.cache, (self._name, "answers")
        if key not in cache:
            endpoints = self.env["connection.endpoint"].sudo().search([("kind", "=", "pgbouncer")])
            answers = endpoints._show(self._show_command)
            cache[key] = {endpoint: self._check_answer(answer) for endpoint, answer in answers.items()}
        return cache[key]

    @api.model
    def _check_answer(self, answer):
        """The answer, fit for this model's fields: a text where a number belongs becomes the
        number that it holds, or unknown. Without its key columns it is an error."""
        if not isinstance(answer, console.Reading) or not answer.rows:
            return answer
        if missing := [name for name in self._show_key if name not in answer.rows[0]]:
            return console.ConsoleError("other", f"{self._show_command}: no column {', '.join(missing)}")
        for name, field in self._fields.items():
            if isinstance(field, NullableInteger) and str in {type(row.get(name)) for row in answer.rows}:
                for row in answer.rows:
                    row[name] = int(row[name]) if str(row[name]).isdecimal() else None
        return answer

    @api.model
    def _row(self, row, endpoint_id):
        """Make a row of SHOW, name -> value, one of this model: add what is not a column."""
        identity = repr([endpoint_id, *[row[name] for name in self._show_key]])
        digest = hashlib.sha256(identity.encode()).digest()
        # 52 bits: all of them whole in JavaScript's numbers.
        row["id"] = int.from_bytes(digest[:8], "big") >> 12
        row["endpoint_id"] = endpoint_id
        return row

    @api.model
    def _notices(self):
        return [
            {"type": "danger", "text": f"{endpoint.name}: {message}", "remedy": remedy}
            for endpoint, answer in self._answers().items()
            if isinstance(answer, console.ConsoleError)
            for message, remedy in [endpoint._explain(answer)]
        ]
