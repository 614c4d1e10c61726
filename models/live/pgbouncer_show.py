"""What the models of the console's SHOW commands have in common. Reads consoles through `connection.endpoint`."""

import hashlib
import json
from functools import lru_cache

from odoo import api, fields, models
from odoo.tools import SQL

from ...analysis import readings
from ...probes.errors import QueryError


@lru_cache(maxsize=1 << 16)
def stable_id(*key):
    """Return the same number for a key in every process, of 52 bits: JavaScript's numbers hold no more."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 12


class PgbouncerShow(models.AbstractModel):
    """Rows of one SHOW command of every active PgBouncer endpoint.

    A model that inherits this one declares the command, and a field for each column that it shows. A column that a
    PgBouncer lacks is empty; one that has no field is ignored. An endpoint that does not answer has no rows, and a
    notice.
    """

    _name = "pgbouncer.show"
    _inherit = "connection.live"
    _description = "PgBouncer Console Command"

    # The command whose rows these are, e.g. "SHOW POOLS", then others that `_make_rows` needs.
    _show_commands = ()
    # The first version of PgBouncer that has it, if not all supported versions do, e.g. (1, 19).
    _show_since = ()

    endpoint_id = fields.Many2one("connection.endpoint", readonly=True, help="The PgBouncer that reports it.")

    @property
    def _table_query(self) -> SQL:
        def get_rows(names):
            rows = [list(map(row.get, names)) for row in self._rows().values()]
            return json.dumps(rows, separators=(",", ":"))

        return self._rows_query(get_rows)

    @api.model
    def search_fetch(self, domain, field_names=None, offset=0, limit=None, order=None):
        narrowed = self._narrowed(domain, order or self._order)
        found = super(PgbouncerShow, narrowed).search_fetch(domain, field_names, offset, limit, order)
        return found.with_env(self.env)

    def _fetch_query(self, query, fields):
        """PostgreSQL only finds the rows: their values are here already."""
        found = self.browse(query)
        rows = self._rows()
        of_found = [rows[row_id] for row_id in found.ids]
        for field in fields:
            if field.name != "id":
                field._insert_cache(found, [row.get(field.name) for row in of_found])
        return found

    @api.model
    def _rows(self):
        """Return id -> row (field -> value) of all consoles, made once in a transaction."""
        return self._once(
            "rows",
            lambda: {
                row["id"]: row
                for endpoint, answer in self._answers().items()
                if not isinstance(answer, QueryError)
                for row in self._make_rows(endpoint.id, *answer)
            },
        )

    @api.model
    def _answers(self):
        """Return what each console answers, queried once in a transaction: endpoint -> the rows of each of
        ``_show_commands``, or QueryError."""
        return self._once("answers", self._read_answers)

    @api.model
    def _read_answers(self):
        # Archived endpoints are never queried, whatever the caller's context says.
        domain = [("kind", "=", "pgbouncer"), ("active", "=", True)]
        endpoints = self.env["connection.endpoint"].sudo().search(domain)
        return {
            endpoint: reading if isinstance(reading, QueryError) else self._check_answer(reading)
            for endpoint, reading in endpoints._read(*self._show_commands).items()
        }

    @api.model
    def _check_answer(self, reading):
        """Return the rows of each of ``_show_commands``, or a QueryError if this version does not have the first, or
        its rows have no key."""
        command = self._show_commands[0]
        if readings.version_tuple(reading.version) < self._show_since:
            return QueryError("unknown_command", reading.version)
        if missing := readings.missing_key(command, reading.answers[command]):
            return QueryError("other", f"{command}: no column {', '.join(missing)}")
        return [reading.answers[command] for command in self._show_commands]

    @api.model
    def _make_rows(self, endpoint_id, rows):
        """Return one console's rows of SHOW (column -> value) as rows of this model: with an id, and, in the models
        that override this, with what is no column.

        :param rows: of the first of ``_show_commands``; then those of the others
        """
        key = readings.KEYS[self._show_commands[0]]
        return [row | {"id": self._row_id(endpoint_id, *map(row.get, key)), "endpoint_id": endpoint_id} for row in rows]

    @api.model
    def _row_id(self, endpoint_id, *key):
        """Return the id of the row with this key, the same in every request."""
        return stable_id(endpoint_id, *key)

    @api.model
    def _notices(self):
        return [
            self._notice(endpoint, answer)
            for endpoint, answer in self._answers().items()
            if isinstance(answer, QueryError)
        ]

    @api.model
    def _notice(self, endpoint, error):
        if error.reason == "unknown_command":
            kind, message = "warning", self.env._("PgBouncer %s does not have this command.", error.detail)
            remedy = self.env._("It was added in PgBouncer %s.", ".".join(map(str, self._show_since)))
        else:
            kind, (message, remedy) = "danger", endpoint._explain(error)
        return {"type": kind, "text": f"{endpoint.name}: {message}", "remedy": remedy}
