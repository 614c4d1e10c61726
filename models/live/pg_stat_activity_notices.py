"""What the rows of a list of sessions do not show. Reads PostgreSQL and, for its notices, the PgBouncers."""

from odoo import api, models

from ...analysis import pressure
from ...tools import format_number


class PgStatActivity(models.Model):
    _inherit = "pg.stat.activity"

    @api.model
    def _notices(self):
        activity = self._activity()
        if problem := self.env.cr.cache.get((self._name, "primary")):
            text = self.env._("The primary server could not be read: %s", problem)
            return [{"type": "danger", "text": text, "remedy": self.env._("This request is connected to a standby.")}]
        unmatched = [
            notice | {"text": self.env._("%s Its sessions cannot be identified.", notice["text"])}
            for notice in self.env["pgbouncer.server"].sudo()._notices()
        ]
        return [self._limit_notice(activity), *self._unseen_notices(activity), *unmatched]

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
                "%(count)s session(s) belong to other roles. Odoo's role %(role)s may not see their state, "
                "times, client "
                "and query, which are empty here. To see them, run as a superuser:",
                count=format_number(self.env, activity["hidden_backends"]),
                role=activity["role"],
            )
            notices.append({"type": "warning", "text": text, "remedy": f"GRANT pg_monitor TO {activity['role']};"})
        if activity["untracked_backends"]:
            text = self.env._(
                "track_activities is off for %s session(s): their state, times and query are unknown. To track new "
                "sessions, run as a superuser:",
                format_number(self.env, activity["untracked_backends"]),
            )
            notices.append({"type": "warning", "text": text, "remedy": activity["track"] or ""})
        return notices
