"""Findings of the last reading, stored as facts, with who accepted them."""

from datetime import timedelta

from odoo import api, fields, models
from odoo.tools import SQL, format_datetime

from ...advice.findings import LEVELS

NOT_ACCEPTED = dict.fromkeys(
    ("accepted_by", "accepted_at", "accepted_until", "accept_reason", "accepted_databases"), False
)


class ConnectionAdvice(models.Model):
    """What is wrong with the configuration that runs, as of the last reading, or could not be judged (``unknown``).

    There is one record for each code, endpoint and setting, and for each Odoo server if it depends on that; of what
    could not be judged, for each endpoint and what is needed: its ``code`` is that of `advice.findings.Unknown`, its
    ``evidence_facts`` are the ``rules``.

    The ``_facts`` fields are JSON. The words are made from them, in the reader's language.
    """

    _name = "connection.advice"
    _inherit = "connection.notices"
    _description = "Connection Advice"
    _order = "level, code, id"

    code = fields.Char(readonly=True, required=True, index=True)
    level = fields.Selection(
        [(level, level.capitalize()) for level in LEVELS],
        readonly=True,
        required=True,
        help="Critical: it breaks something, or will at the next peak. Warning: it costs, or will hurt. Hint: it could "
        "be better. Unknown: it could not be judged.",
    )
    endpoint_id = fields.Many2one(
        "connection.endpoint",
        readonly=True,
        required=True,
        index=True,
        ondelete="cascade",
        help="The PgBouncer. What concerns PostgreSQL, Odoo or the monitoring itself is at PostgreSQL.",
    )
    server = fields.Char(
        "Odoo Server",
        readonly=True,
        help="The server that found it, if it depends on its odoo.conf or on how it connects. Another one does not end "
        "it, unless it was not found again for 7 days.",
    )
    active = fields.Boolean(default=True, readonly=True, help="Off: accepted, and not found by the last reading.")
    setting = fields.Char(readonly=True)
    databases = fields.Json(readonly=True)  # the names of all that it concerns
    evidence_facts = fields.Json(readonly=True)
    figure_facts = fields.Json(readonly=True)
    step_facts = fields.Json(readonly=True)
    found_at = fields.Datetime("Found Since", readonly=True, required=True)
    read_at = fields.Datetime(
        "Last Found", readonly=True, required=True, help="The last reading that found it. Others could not judge it."
    )

    # Words, in the reader's language.
    name = fields.Char("Finding", compute="_compute_words", search="_search_name")
    database = fields.Char(compute="_compute_database", search="_search_database")
    evidence = fields.Text(compute="_compute_words", search="_search_evidence")
    why = fields.Text("Why It Matters", compute="_compute_words")
    remedy_text = fields.Text(compute="_compute_words", help="What to do, without the lines.")
    steps = fields.Json(compute="_compute_steps")  # of each the place, the lines to paste there, and what to do then
    remedy = fields.Text(compute="_compute_remedy", help="What to do, with all lines.")
    text = fields.Text(compute="_compute_text", help="All of it, for a ticket.")

    accepted_by = fields.Many2one("res.users", readonly=True)
    accepted_at = fields.Datetime("Accepted", readonly=True)
    accepted_until = fields.Date(readonly=True, help="The last day. It is open again afterwards, or when it changes.")
    accept_reason = fields.Text("Reason", readonly=True)
    accepted_databases = fields.Json(readonly=True)  # those at that time: one more opens it again
    is_accepted = fields.Boolean(compute="_compute_is_accepted", search="_search_is_accepted")

    @api.depends("accepted_until")
    def _compute_is_accepted(self):
        today = fields.Date.today()
        for advice in self:
            advice.is_accepted = bool(advice.accepted_until) and advice.accepted_until >= today

    @api.model
    def _search_is_accepted(self, operator, value):
        if operator != "in":
            return NotImplemented
        today = fields.Date.today()
        domains = {
            True: [("accepted_until", ">=", today)],
            False: ["|", ("accepted_until", "=", False), ("accepted_until", "<", today)],
        }
        return fields.Domain.OR(domains[bool(wanted)] for wanted in value)

    def _order_field_to_sql(self, alias, field_name, direction, nulls, query):
        if field_name != "level":
            return super()._order_field_to_sql(alias, field_name, direction, nulls, query)
        level = self._field_to_sql(alias, field_name, query)
        return SQL("array_position(%s, %s::text) %s", list(LEVELS), level, direction)

    @api.model
    def _notices(self, domain=()):
        """Return when the last reading was, and what is wrong with it: an empty list alone says nothing."""
        reading, notices = self._last_reading(), []
        if error := self._failure():
            notices.append({"type": "danger", "text": error, "remedy": ""})
        if not reading.get("read_at"):
            text = self.env._("Nothing has been checked yet. A check takes a few seconds: press Check Now.")
            return [*notices, {"type": "warning", "text": text, "remedy": ""}]
        time = format_datetime(self.env, reading["read_at"])
        text = self.env._("Last check: %s.", time)
        if len(set(self.search([("server", "!=", False)]).mapped("server"))) > 1:
            text = self.env._("Last check: %(date_time)s, by %(server)s.", date_time=time, server=reading["server"])
        is_old = self._is_old()
        if is_old:
            text += " " + self.env._(
                "It is outdated: check that the scheduled action “%s” is active, or press Check Now.",
                self.env["connection.settings"]._cron("advice").name,
            )
        elif not error and not self.search_count([], limit=1):
            text += " " + self.env._("Nothing was found.")
        return [*notices, {"type": "warning" if is_old or error else "info", "text": text, "remedy": ""}]

    @api.model
    def _failure(self):
        """Return in words that the last reading failed, "" if it did not."""
        reading = self._last_reading()
        if "error" not in reading:
            return ""
        return self.env._(
            "The check of %(date_time)s failed: %(error)s. The details are in Odoo's log.",
            date_time=format_datetime(self.env, reading["failed_at"]),
            error=reading["error"],
        )

    @api.model
    def _is_old(self):
        """Return whether there is no reading, or another one should have been made since."""
        read_at = self._last_reading().get("read_at")
        patience = timedelta(seconds=2 * self.env["connection.settings"]._interval("advice"))
        return not read_at or read_at < fields.Datetime.now() - patience

    @api.model
    def _critical(self, endpoint):
        """Return the critical findings of an endpoint that are not accepted; None if there is no recent reading."""
        if self._is_old() or not endpoint._is_advised():
            return None
        return self.search([("endpoint_id", "=", endpoint.id), ("level", "=", "critical"), ("is_accepted", "=", False)])
