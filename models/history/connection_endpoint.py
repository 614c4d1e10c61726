"""Samples of an endpoint: take one now, open them, and say in words why a level is not OK."""

from odoo import api, models
from odoo.exceptions import UserError

from ...tools import format_number, notification, selection_label


class ConnectionEndpoint(models.Model):
    _inherit = "connection.endpoint"

    def action_test(self):
        """Take a sample, and tell the user whether the server at this address answered."""
        snapshot = self._sample_now()
        if snapshot.problem:
            return self._no_connection()
        title = self.env._("Connection to %s works", self.name)
        message = self.env._(
            "%(server)s %(version)s answered the user %(user)s.",
            server=selection_label(self, "kind", self.kind),
            version=snapshot.answer.version,
            user=self.user or self._own_connection("current_user"),
        )
        return notification(title, message, "success")

    def action_sample(self):
        """Take a sample, and tell the user what it found."""
        if not self._sample_now().answer:
            return self._no_connection()
        message = self.env._(
            "Level %(level)s: %(used)s of %(capacity)s connections are used.",
            level=selection_label(self, "level", self.level),
            used=format_number(self.env, self.used, 0),
            capacity=format_number(self.env, self.capacity, 0),
        )
        kind = "warning" if self.last_error else "success"
        message = "\n".join(filter(None, [message, self.last_error]))
        return notification(self.env._("%s was measured", self.name), message, kind)

    def _sample_now(self):
        """Take a sample now.

        :return: a Snapshot, see `connection.sample._sample`
        """
        self.ensure_one()
        self.check_access("write")
        measured = self.env["connection.sample"].sudo()._sample(self)
        if self not in measured:
            raise UserError(self.env._("%s is being measured right now. Try again in a few seconds.", self.name))
        return measured[self]

    def _no_connection(self):
        title = self.env._("No connection to %s", self.name)
        return notification(title, self.last_error, "danger")

    def _reason_text(self, reason):
        """Return in words why a sample's level is not OK.

        :param dict reason: the facts, see `analysis.samples` and `connection.sample._problem`
        """
        lines = [super()._reason_text(reason)]
        if reason and reason.get("rule"):
            where = "/".join(filter(None, (reason.get("database"), reason.get("user"))))
            lines.append(": ".join(filter(None, (where, self._rule_text(**reason)))))
        return "\n".join(filter(None, lines)) or None

    @api.model
    def _rule_text(self, rule, value=None, code=None, params=None, **_others):
        """Return in words by what rule, or figure, a level is not OK."""
        if code in ("hidden", "untracked"):
            return self._unseen_text(code, **params)
        Rule, Pool = self.env["connection.rule"], self.env["pgbouncer.pool"]
        if value is not None:
            return f"{Rule._label(rule)}: {Rule._format_value(rule, value)}"
        if code == "login" or code == "unused_database" and params["is_login"]:
            text = Pool._explain_bottleneck("login")
        else:
            label = selection_label(self.env["connection.sample"], "rule", rule)
            text = self.env._("The server did not tell enough to judge: %s", label)
        if code == "unused_database":
            text += " " + self.env._(
                "PgBouncer takes this database for unused until another client logs in: SHOW DATABASES does not tell "
                "how large its pools may be, and after autodb_idle_timeout its clients are disconnected. Give it a "
                "line of its own under [databases], and RELOAD."
            )
        return text

    @api.model
    def _unseen_text(self, code, count, role=None, remedy=None):
        """Return why what sessions do is unknown, and what to do."""
        if code == "hidden":
            return self.env._(
                "%(count)s session(s) belong to other roles, and it cannot be seen whether they are idle in a "
                "transaction. As a superuser, run: GRANT pg_monitor TO %(role)s;",
                count=format_number(self.env, count),
                role=role,
            )
        return self.env._(
            "track_activities is off for %(count)s session(s): it is unknown whether they are idle in a "
            "transaction. As a superuser, run, for their next sessions: %(remedy)s",
            count=format_number(self.env, count),
            remedy=remedy,
        )

    def action_open_samples(self):
        """The history of this endpoint; of a PgBouncer, that of its pools."""
        action = self.env["ir.actions.act_window"]._for_xml_id("pgbouncer_monitor.connection_sample_action")
        context = {"search_default_last_hour": 1}
        if self.kind == "pgbouncer":
            context |= {"search_default_pools": 1, "graph_groupbys": ["minute", "database", "user"]}
        return action | {"domain": [("endpoint_id", "=", self.id)], "context": context}
