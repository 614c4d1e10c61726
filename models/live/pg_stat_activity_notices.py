"""What the rows of a list of sessions do not show. Reads PostgreSQL and, for its notices, the PgBouncers."""

from odoo import api, models
from odoo.fields import Domain

from ...analysis import pressure
from ...tools import format_number


class PgStatActivity(models.Model):
    _inherit = "pg.stat.activity"

    @api.model
    def _notices(self, domain=()):
        activity = self._activity()
        if unread := self._unread():
            return unread
        return [self._limit_notice(activity), *self._unseen_notices(activity), *self._form_notices(domain)]

    @api.model
    def _form_notices(self, domain=()):
        of_endpoints = Domain("endpoint_id", "any", self._endpoints_of(domain))
        return [
            notice | {"text": " ".join([notice["text"], self.env._("Its sessions cannot be identified.")])}
            for notice in self.env["pgbouncer.server"].sudo()._notices(of_endpoints)
        ]

    @api.model
    def _unread(self, _endpoint_id=False):
        problem = self.env.cr.cache.get((self._name, "primary"))
        if not problem:
            return []
        text = self.env._("The primary server could not be read: %s", problem)
        return [{"type": "danger", "text": text, "remedy": self.env._("This request is connected to a standby.")}]

    @api.model
    def _explain_absence(self):
        return self.env._("This session has ended.")

    @api.model
    def _limit_notice(self, activity):
        """Return the notice that says how many connections are in use.

        :param activity: of `_activity`
        """
        reserved = activity["superuser_reserved_connections"] + activity["reserved_connections"]
        usable = pressure.postgresql_capacity(activity["max_connections"], reserved)
        text = self.env._(
            "%(used)s of %(usable)s connections are in use: max_connections is %(max_connections)s, of which "
            "%(reserved)s are reserved.",
            used=format_number(self.env, activity["client_backends"]),
            usable=format_number(self.env, usable),
            max_connections=format_number(self.env, activity["max_connections"]),
            reserved=format_number(self.env, reserved),
        )
        return {"type": "info", "text": text, "remedy": ""}

    @api.model
    def _unseen_notices(self, activity):
        """Return the notices about client backends that PostgreSQL does not show in full.

        :param activity: of `_activity`
        """
        notices = []
        if activity["hidden_backends"]:
            text = self.env._(
                "Sessions of other roles: %(count)s. Odoo's role %(role)s may not see their state, times, client and "
                "query, which are empty here. To see them, run as a superuser:",
                count=format_number(self.env, activity["hidden_backends"]),
                role=activity["role"],
            )
            notices.append({"type": "warning", "text": text, "remedy": f"GRANT pg_monitor TO {activity['role']};"})
        if activity["untracked_backends"]:
            text = self.env._(
                "Sessions with track_activities off: %s. Their state, times and query are unknown. To track new "
                "sessions, run as a superuser:",
                format_number(self.env, activity["untracked_backends"]),
            )
            notices.append({"type": "warning", "text": text, "remedy": activity["track"] or ""})
        return notices
