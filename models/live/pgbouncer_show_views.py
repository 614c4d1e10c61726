"""The views of a SHOW model that has none of its own: all its columns, in the order of their declaration."""

from lxml.builder import E

from odoo import api, models

READ_ONLY = {"create": "0", "edit": "0", "delete": "0"}
AS_IT_IS = {"options": "{'enable_formatting': false}"}


class PgbouncerShow(models.AbstractModel):
    _inherit = "pgbouncer.show"

    @api.model
    def _get_default_list_view(self):
        fields = [field(optional="show") if name != self._rec_name else field() for name, field in self._view_fields()]
        return E.list(*fields, READ_ONLY, js_class="live_list")

    @api.model
    def _get_default_form_view(self):
        fields = {name: field() for name, field in self._view_fields()}
        title = E.div({"class": "oe_title"}, E.label({"for": self._rec_name}), E.h1(fields.pop(self._rec_name)))
        return E.form(E.sheet(title, E.group(E.group(*fields.values()))), READ_ONLY, js_class="live_form")

    @api.model
    def _get_default_kanban_view(self):
        title = E.div({"class": "fs-5 fw-bold"}, E.field(name=self._rec_name))
        facts = [
            E.span(
                {"t-if": f"![false, ''].includes(record.{name}.raw_value)"},
                E.span({"class": "text-700 me-1"}, self._label(name)),
                field(),
            )
            for name, field in self._view_fields()
            if name != self._rec_name
        ]
        card = E.t({"t-name": "card"}, title, E.div({"class": "d-flex flex-wrap column-gap-3"}, *facts))
        return E.kanban(E.templates(card), READ_ONLY, js_class="live_kanban")

    @api.model
    def _get_default_search_view(self):
        texts = [name for name, _field in self._view_fields() if self._fields[name].type in ("char", "selection")]
        groups = [
            E.filter(
                name=f"group_by_{name}",
                string=self._label(name),
                context=f"{{'group_by': '{name}'}}",
            )
            for name in ("endpoint_id", *texts)
        ]
        return E.search(*(E.field(name=name) for name in (*texts, "endpoint_id")), E.group(*groups))

    @api.model
    def _label(self, name):
        return self._fields[name].get_description(self.env, ["string"])["string"]

    @api.model
    def _view_fields(self):
        """Return pairs of a column's name and a function that makes its element, with further attributes."""

        def maker(name, field):
            # What is not summed up, such as a port, is a name: it gets no thousands separator.
            is_name = field.type == "integer" and not field.aggregator
            return lambda **attributes: E.field(attributes, AS_IT_IS if is_name else {}, name=name)

        columns = self._columns().keys() - {"id"}
        return [(name, maker(name, field)) for name, field in self._fields.items() if name in columns]
