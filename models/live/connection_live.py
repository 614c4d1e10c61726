from psycopg2.extensions import adapt

from odoo import api, models
from odoo.tools import SQL


class LateParameter:
    """A query's parameter that is worked out when the query runs. Odoo makes queries only to
    look at their columns, too, and a server must not be asked for that."""

    def __init__(self, compute):
        self.compute = compute

    def __conform__(self, _protocol):
        try:
            return adapt(self.compute())
        except TypeError as error:  # psycopg2 would take it for "cannot be adapted"
            raise ValueError(str(error)) from error


class ConnectionLive(models.AbstractModel):
    """Rows that a server holds at this very moment: nothing is stored. An export that is not
    grouped ends with the notices."""

    _name = "connection.live"
    _inherit = "connection.notices"
    _description = "Live Rows of a Server"

    def export_data(self, fields_to_export):
        exported = super().export_data(fields_to_export)
        # A grouped export asks for the rows by their ids, and has no place for other lines.
        if fields_to_export[0] != ".id":
            for notice in filter(lambda notice: notice["type"] != "info", self._notices()):
                line = f"{notice['text']} {notice['remedy']}"
                exported["datas"].append([line, *[""] * (len(fields_to_export) - 1)])
        return exported

    @api.model
    def _once(self, what, compute):
        """What ``compute`` returns, worked out once in a transaction."""
        cache, key = self.env.cr.cache, (self._name, what)
        if key not in cache:
            cache[key] = compute()
        return cache[key]

    @api.model
    def _open(self, domain):
        """The action that shows the rows of a domain: the form of the only one, or the list."""
        action = self.env["ir.actions.act_window"]._for_xml_id(f"pgbouncer_monitor.{self._table}_action")
        rows = self.search(domain)
        if len(rows) == 1:
            return action | {"views": [(False, "form")], "res_id": rows.id, "context": {}}
        return action | {"domain": domain, "context": {}}

    @api.model
    def _columns(self):
        """:return: name -> SQL type of everything that a row holds, the id first"""
        # The ids of live rows are larger than those of Odoo's tables.
        return {"id": "int8"} | {
            name: "int8" if field.type == "many2one" else field.column_type[1]
            for name, field in self._fields.items()
            if field.store and name != "id"
        }

    @api.model
    def _rows_query(self, get_rows) -> SQL:
        """SQL for rows that come from elsewhere, with this model's types.

        :param get_rows: a function, called when the query runs, that returns the rows as JSON:
            a list of lists of values, in the order of ``_columns``. Lists are a quarter of the
            text of objects, and PostgreSQL only converts the columns that are asked for.
        """
        values = [
            SQL("(live->>%s)::%s AS %s", position, SQL(sql_type), SQL.identifier(name))
            for position, (name, sql_type) in enumerate(self._columns().items())
        ]
        return SQL(
            "SELECT %s FROM jsonb_array_elements(%s::jsonb) AS live", SQL(", ").join(values), LateParameter(get_rows)
        )
