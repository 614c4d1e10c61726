import hashlib
import json

from odoo import api, fields, models
from odoo.tools import SQL

from ...analysis import readings
from ...probes.errors import QueryError


class PgbouncerShow(models.AbstractModel):
    """Rows of one SHOW command, asked from every active PgBouncer endpoint.

    A model that inherits this one declares the command, and a field for each column that it shows. A
    column that a PgBouncer lacks is empty; one that no field is declared for is ignored. An endpoint
    that does not answer has no rows, and a notice.
    """

    _name = "pgbouncer.show"
    _inherit = "connection.live"
    _description = "PgBouncer Console Command"

    # What to query: the command whose rows these are, e.g. "SHOW POOLS", then others that
    # `_make_rows` needs.
    _show_commands = ()

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
                if not isinstance(answer, QueryError)
                for row in self._make_rows(endpoint.id, *answer)
            ],
            separators=(",", ":"),
        )

    @api.model
    def _answers(self):
        """What each console answers, asked once in a transaction.

        :return: endpoint -> the rows of each of ``_show_commands``, or QueryError
        """
        return self._once("answers", self._ask)

    @api.model
    def _ask(self):
        # Archived ones are never asked, whatever the caller's context says.
        domain = [("kind", "=", "pgbouncer"), ("active", "=", True)]
        endpoints = self.env["connection.endpoint"].sudo().search(domain)
        return {
            endpoint: reading
            if isinstance(reading, QueryError)
            else self._check_answer([reading.answers[command] for command in self._show_commands])
            for endpoint, reading in endpoints._read(*self._show_commands).items()
        }

    @api.model
    def _check_answer(self, answer):
        """The answer, or a QueryError if its rows cannot be told apart."""
        command = self._show_commands[0]
        if missing := readings.missing_key(command, answer[0]):
            return QueryError("other", f"{command}: no column {', '.join(missing)}")
        return answer

    @api.model
    def _make_rows(self, endpoint_id, rows):
        """Make one console's rows of SHOW, name -> value, rows of this model: with an id, and
        in the models that override this with what is not a column.

        :param rows: of the first of ``_show_commands``; then those of the others
        """
        key = readings.KEYS[self._show_commands[0]]
        return [row | {"id": self._row_id(endpoint_id, *map(row.get, key)), "endpoint_id": endpoint_id} for row in rows]

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
            if isinstance(answer, QueryError)
            for message, remedy in [endpoint._explain(answer)]
        ]
