"""Identifiers and times in all views."""

from lxml import etree

from odoo.tests import TransactionCase, tagged

from .test_access import LIVE_MODELS, MODELS

TYPES = ("list", "form", "kanban")
# The integers that have no sum are identifiers, but for these.
QUANTITIES = {"maxwait_us", "wait_us", "server_lifetime", "server_count"}
# The last words of names of identifiers.
IDENTIFIERS = {"id", "oid", "pid", "port"}


@tagged("-at_install", "post_install")
class TestViewFormats(TransactionCase):
    def archs(self):
        """Return pairs of a model and the XML of one of its views."""
        views = self.env["ir.ui.view"].search([("model", "in", MODELS), ("type", "in", TYPES)])
        made = [
            (model, kind)
            for model in LIVE_MODELS
            for kind in ("list", "form")
            if not views.filtered(lambda view, model=model, kind=kind: (view.model, view.type) == (model, kind))
        ]
        return [(view.model, view.arch) for view in views] + [
            (model, self.env[model].get_view(view_type=kind)["arch"]) for model, kind in made
        ]

    def options(self, *types):
        """Return triples of a field of one of these types, where it is shown, and its options there.

        Fields of cards that are outside of their template are loaded, not shown.
        """
        return [
            (field, f"{model}, line {node.sourceline}", node.get("options", ""))
            for model, arch in self.archs()
            for node in etree.fromstring(arch).iter("field")
            if (field := self.env[model]._fields.get(node.get("name"))) and field.type in types
            if node.getparent().tag != "kanban"
        ]

    def test_identifiers_are_not_summed(self):
        """Else the header of a group would show the sum of its ports."""
        for model in MODELS:
            for name, field in self.env[model]._fields.items():
                if field.type == "integer" and name != "id" and name.split("_")[-1] in IDENTIFIERS:
                    self.assertFalse(field.aggregator, f"{model}.{name}")

    def test_identifiers_have_no_thousands_separator(self):
        """5432, not 5,432: also those of a new field or view."""
        shown = [
            (field, where, options)
            for field, where, options in self.options("integer")
            if field.store and not field.aggregator and field.name not in QUANTITIES
        ]
        for field, where, options in shown:
            self.assertIn("'enable_formatting': false", options, f"{field} in {where}")
        names = {str(field) for field, _where, _options in shown}
        self.assertLessEqual({"pg.stat.activity.pid", "connection.endpoint.port", "pgbouncer.peer.port"}, names)

    def test_times_have_seconds(self):
        """Two times on a screen are compared with each other."""
        shown = self.options("datetime")
        for field, where, options in shown:
            self.assertIn("'show_seconds': true", options, f"{field} in {where}")
        names = {str(field) for field, _where, _options in shown}
        self.assertLessEqual({"pg.stat.activity.xact_start", "connection.alert.opened_at"}, names)
