"""What models have in common whose rows a server holds. Knows no server: the models that inherit it read the rows."""

from psycopg2.extensions import adapt

from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import SQL


class LateParameter:
    """A parameter of a query that is computed when the query runs. Odoo makes queries only to read their columns,
    too, and that must not query a server."""

    def __init__(self, compute):
        self.compute = compute

    def __conform__(self, _protocol):
        try:
            return adapt(self.compute())
        except TypeError as error:  # psycopg2 would report it as "cannot be adapted"
            raise ValueError(str(error)) from error


class ConnectionLive(models.AbstractModel):
    """Rows that a server holds right now: nothing is stored. An export that is not grouped ends with the notices."""

    _name = "connection.live"
    _inherit = "connection.notices"
    _description = "Live Rows of a Server"

    def export_data(self, fields_to_export):
        exported = super().export_data(fields_to_export)
        # A grouped export reads the rows by their ids, and has no place for other lines.
        if fields_to_export[0] != ".id":
            for notice in filter(lambda notice: notice["type"] != "info", self._notices()):
                line = f"{notice['text']} {notice['remedy']}"
                exported["datas"].append([line, *[""] * (len(fields_to_export) - 1)])
        return exported

    @api.model
    def _reading(self, domain):
        return super()._reading(domain) | {"unreported": self._unreported(domain)}

    @api.model
    def _unreported(self, domain=()):
        """Return the names of the columns that are empty because no server of a domain's rows reports them, in its
        version."""
        return []

    @api.readonly
    def web_read_live(self, specification, endpoint_id=False):
        """Return a row for its form, which shows a row that is gone as it was last seen.

        :param dict specification: as of ``web_read``
        :param int endpoint_id: the PgBouncer that reported the row, if this is known
        :return: a dictionary with ``records``: as of ``web_read``, none if the row is gone; and ``reading``: as of
            ``_reading``, with ``absence``: in words, that the row is gone, or that this is unknown
        """
        self.browse().check_access("read")  # web_read does not, if it returns ids alone
        records = self.web_read(specification)
        notices = self._form_notices() if records else self._unread(endpoint_id)
        absence = self.env._("It is unknown whether it still exists.") if notices else self._explain_absence()
        reading = {"read_at": fields.Datetime.to_string(fields.Datetime.now()), "notices": notices}
        return {"records": records, "reading": reading | {"absence": not records and absence}}

    @api.model
    def _form_notices(self):
        """Return what the form of a row does not show: see ``_reading``."""
        return []

    @api.model
    def _unread(self, endpoint_id):
        """Return notices about what could not be read, and may have a row that was not found.

        :param int endpoint_id: see ``web_read_live``
        """
        raise NotImplementedError

    @api.model
    def _explain_absence(self):
        """Return in words that a row is gone."""
        raise NotImplementedError

    @api.model
    def search_count(self, domain, limit=None):
        return super(ConnectionLive, self._narrowed(domain)).search_count(domain, limit)

    @api.model
    def _once(self, what, compute):
        """Return what ``compute`` returns, computed once in a transaction."""
        cache, key = self.env.cr.cache, (self._name, what)
        if key not in cache:
            cache[key] = compute()
        return cache[key]

    @api.model
    def _open(self, domain):
        """Return the action that shows the rows of a domain: the form of the only one, or the list."""
        action = self.env["ir.actions.act_window"]._for_xml_id(f"pgbouncer_monitor.{self._table}_action")
        rows = self.search(domain)
        if len(rows) == 1:
            return action | {"views": [(False, "form")], "res_id": rows.id, "context": {}}
        return action | {"domain": domain, "context": {}}

    @api.model
    def _columns(self):
        """Return name -> SQL type of all that a row holds, the id first."""
        # The ids of live rows are larger than those of Odoo's tables.
        return {"id": "int8"} | {
            name: "int8" if field.type == "many2one" else field.column_type[1]
            for name, field in self._fields.items()
            if field.store and name != "id"
        }

    @api.model
    def _narrowed(self, domain, order=""):
        """Return this model with a query that has no other columns than those that a domain and an order compare; with
        all of them if these name anything but columns."""
        domain = Domain(domain) & Domain(self.env["ir.rule"]._compute_domain(self._name, "read"))
        names = {"id", *(condition.field_expr for condition in domain.iter_conditions())}
        names.update(term.split()[0] for term in order.split(",") if term.strip())
        return self.with_context(live_columns=(self._name, names)) if names <= self._columns().keys() else self

    @api.model
    def _queried_columns(self):
        """Return the part of `_columns` that the query has, see `_narrowed`."""
        # Queries of other models that this one compares with inherit the context.
        model, names = self.env.context.get("live_columns", (None, None))
        return {name: kind for name, kind in self._columns().items() if model != self._name or name in names}

    @api.model
    def _rows_query(self, get_rows) -> SQL:
        """Return the SQL for rows that come from elsewhere, with this model's types.

        :param get_rows: a function, called when the query runs, that gets the names of the columns and returns the
            rows as JSON: a list of lists of values in this order, which are a quarter of the text of objects.
        """
        columns = self._queried_columns()
        values = [
            SQL("(live->>%s)::%s AS %s", position, SQL(sql_type), SQL.identifier(name))
            for position, (name, sql_type) in enumerate(columns.items())
        ]
        rows = LateParameter(lambda: get_rows(list(columns)))
        return SQL("SELECT %s FROM jsonb_array_elements(%s::jsonb) AS live", SQL(", ").join(values), rows)
