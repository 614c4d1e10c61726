"""Notices that travel with the rows of a list. Knows no server, and of the endpoints only which ones rows belong to."""

from markupsafe import Markup

from odoo import api, fields, models
from odoo.fields import Domain


class ConnectionNotices(models.AbstractModel):
    """Rows that need a notice about what they do not show.

    The rows of a list come with a ``reading``: when they were read, and what is missing from them. Both are in one
    answer, so that they are always from the same moment. Pivots and graphs request the notices separately. A list of
    the rows of one endpoint has only the notices about this endpoint.
    """

    _name = "connection.notices"
    _description = "Rows with Notices"

    @api.model
    def web_search_read(self, domain, *args, **kwargs):
        return super().web_search_read(domain, *args, **kwargs) | {"reading": self._reading(domain)}

    @api.model
    def web_read_group(self, domain, *args, **kwargs):
        return super().web_read_group(domain, *args, **kwargs) | {"reading": self._reading(domain)}

    @api.model
    def _reading(self, domain):
        """Return ``read_at`` (UTC) and ``notices``: a list of dictionaries with ``type`` (Bootstrap's: danger, warning,
        info), ``text`` and ``remedy``; and ``empty_help``, see `_empty_help`."""
        return {"read_at": fields.Datetime.to_string(fields.Datetime.now()), "notices": self._notices(domain)} | {
            "empty_help": self._empty_help()
        }

    @api.model
    def get_notices(self, domain=()):
        """Return the notices of a reading that is made now.

        :param list domain: of the rows
        """
        self.check_access("read")
        return self._notices(domain)

    @api.model
    def get_empty_help(self):
        """Return what a chart without rows shows, see `_empty_help`."""
        self.check_access("read")
        return self._empty_help()

    @api.model
    def _empty_help(self):
        """Return the HTML that an empty list shows, whatever its filter is; "" for the help of the action."""
        return ""

    @api.model
    def _help_html(self, title, text, icon="empty_folder", button=None):
        """Return HTML for `_empty_help`.

        :param str icon: of Odoo's ``o_view_nocontent`` classes
        :param dict button: ``label``, and the attributes of a link of type action; None for none
        """
        html = Markup('<p class="o_view_nocontent_{icon}">{title}</p><p>{text}</p>').format(
            icon=icon, title=title, text=text
        )
        if button:
            attributes = {"type": "action", "class": "btn btn-primary"} | button
            label = attributes.pop("label")
            names = Markup(" ").join(Markup('{}="{}"').format(*attribute) for attribute in attributes.items())
            html += Markup("<p><a {}>{}</a></p>").format(names, label)
        return html

    @api.model
    def _notices(self, domain=()):
        """Return what the rows of a domain do not show, and what to do about it: see ``_reading``."""
        return []

    @api.model
    def _endpoints_of(self, domain):
        """Return a domain of endpoints: those that rows of a domain may belong to."""

        def of_endpoint(condition):
            if condition.field_expr != "endpoint_id":
                return Domain.TRUE
            if condition.operator in ("any!", "not any!"):
                return Domain.TRUE
            if condition.operator in ("any", "not any"):
                return condition.value if condition.operator == "any" else ~condition.value
            return Domain("id" if "in" in condition.operator.split() else "name", condition.operator, condition.value)

        return Domain(domain).optimize(self).map_conditions(of_endpoint)
