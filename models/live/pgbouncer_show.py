"""What the models of the console's SHOW commands have in common. Reads consoles through `connection.endpoint`."""

import hashlib
import json
from functools import lru_cache

from odoo import api, fields, models
from odoo.tools import SQL

from ...analysis import readings
from ...probes.errors import QueryError
from ...tools import labelled

# The columns of SHOW that have other names than their fields, in some version at least.
OTHER_NAMES = {"socket_id": "id", "reserve_pool_size": "reserve_pool"}


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
    def _notices(self, domain=()):
        answers = self._answers_of(domain)
        return [self._notice(endpoint, error) for endpoint, error in answers.items() if isinstance(error, QueryError)]

    @api.model
    def _answers_of(self, domain):
        """Return those of `_answers` that rows of a domain may be in."""
        answers = self._answers()
        endpoints = answers and self.env["connection.endpoint"].sudo().search(self._endpoints_of(domain))
        return {endpoint: answer for endpoint, answer in answers.items() if endpoint in endpoints}

    @api.model
    def _unreported(self, domain=()):
        answers = self._answers_of(domain)
        # All rows of an answer have the same columns.
        reported = set().union(
            *(answer[0][0] for answer in answers.values() if not isinstance(answer, QueryError) and answer[0])
        )
        if not reported:
            return []
        ids = {endpoint.id for endpoint in answers}
        rows = [row for row in self._rows().values() if row["endpoint_id"] in ids]
        columns = self._columns().keys() - {"id"}
        return sorted(name for name in columns if not self._is_reported(self._fields[name], reported, rows))

    @api.model
    def _is_reported(self, field, reported, rows):
        """Return whether a field shows one of the columns in ``reported``, or is made from others.

        :param list rows: of `_rows`
        """
        if field.type == "selection":
            return any(row.get(field.name) != "unknown" for row in rows)
        if any(row.get(field.name) is not None for row in rows):  # `_make_rows` may add what is no column
            return True
        is_column = field.type in ("char", "integer")
        return not is_column or field.name in reported or OTHER_NAMES.get(field.name) in reported

    @api.model
    def _unread(self, endpoint_id):
        answers = self._answers()
        if endpoint_id:
            answers = {endpoint: answer for endpoint, answer in answers.items() if endpoint.id == endpoint_id}
            if not answers:
                text = self.env._("Its endpoint is archived or deleted, and is not queried.")
                return [{"type": "warning", "text": text, "remedy": ""}]
        return [
            self._notice(endpoint, answer)
            for endpoint, answer in answers.items()
            if isinstance(answer, QueryError) and answer.reason != "unknown_command"
        ]

    @api.model
    def _explain_absence(self):
        return self.env._("PgBouncer no longer reports this row.")

    @api.model
    def _empty_help(self):
        answers = self._answers()
        if not answers:
            is_manager = self.env["connection.endpoint"].has_access("create")
            text = self.env._("This list shows what the watched PgBouncers report.")
            if not is_manager:
                text += " " + self.env._("A Manager can add one.")
            add = {
                "label": self.env._("Add a PgBouncer"),
                "data-model": "connection.endpoint",
                "data-method": "action_add_pgbouncer",
            }
            return self._help_html(self.env._("No PgBouncer is watched"), text, button=add if is_manager else None)
        if all(isinstance(answer, QueryError) and answer.reason != "unknown_command" for answer in answers.values()):
            return self._help_html(self.env._("No PgBouncer answers"), self.env._("The lines above say why."))
        return ""

    @api.model
    def _notice(self, endpoint, error):
        if error.reason == "unknown_command":
            kind, message = "warning", self.env._("PgBouncer %s does not have this command.", error.detail)
            remedy = self.env._("It was added in PgBouncer %s.", ".".join(map(str, self._show_since)))
        else:
            kind, (message, remedy) = "danger", endpoint._explain(error)
        return {"type": kind, "text": labelled(self.env, endpoint.name, message), "remedy": remedy}
