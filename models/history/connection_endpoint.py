"""Sample an endpoint now, open its history, and put into words why a level is not OK."""

from odoo import api, models
from odoo.exceptions import UserError

from ...tools import format_number, labelled, notification, selection_label


class ConnectionEndpoint(models.Model):
    _inherit = "connection.endpoint"

    def action_test(self):
        """Take a sample, and notify the user whether the server at this address answered, and who would be notified
        of an alert."""
        snapshot = self._sample_now()
        recipients, is_fine = self._recipients_text()
        if snapshot.problem:
            return self._no_connection(recipients)
        title = self.env._("Connection to %s works", self.name)
        message = self.env._(
            "Connected to %(server)s %(version)s as %(user)s.",
            server=selection_label(self, "kind", self.kind),
            version=snapshot.answer.version,
            user=self.user or self._own_connection("current_user"),
        )
        action = notification(title, f"{message} {recipients}", "success")
        action["params"]["sticky"] = not is_fine
        return action

    def action_sample(self):
        """Take a sample, and notify the user of the result."""
        if not self._sample_now().answer:
            return self._no_connection()
        message = self.env._(
            "Level %(level)s: %(used)s of %(capacity)s connections are in use.",
            level=selection_label(self, "level", self.level),
            used=format_number(self.env, self.used, 0),
            capacity=format_number(self.env, self.capacity, 0),
        )
        kind = "warning" if self.last_error else "success"
        message = "\n".join(filter(None, [message, self.last_error]))
        return notification(self.env._("%s: sample taken", self.name), message, kind)

    def _sample_now(self):
        """Take a sample now and return its Snapshot."""
        self.ensure_one()
        self.check_access("write")
        measured = self.env["connection.sample"].sudo()._sample(self)
        if self not in measured:
            raise UserError(self.env._("%s is being sampled right now. Try again in a few seconds.", self.name))
        return measured[self]

    def _no_connection(self, *more):
        title = self.env._("No connection to %s", self.name)
        return notification(title, " ".join([self.last_error, *more]), "danger")

    def _reason_text(self, reason):
        """Return in words why a level is not OK, None if it is OK.

        :param dict reason: facts of `analysis.samples`, beside those of the room below
        """
        lines = [super()._reason_text(reason)]
        if reason and reason.get("rule"):
            where = "/".join(filter(None, (reason.get("database"), reason.get("user"))))
            lines.append(labelled(self.env, where, self._rule_text(**reason)))
        return "\n".join(filter(None, lines)) or None

    @api.model
    def _rule_text(self, rule, value=None, code=None, params=None, **_others):
        """Return in words which rule or figure determined a level."""
        if code in ("hidden", "untracked"):
            return self._unseen_text(code, **params)
        Rule, Pool = self.env["connection.rule"], self.env["pgbouncer.pool"]
        if value is not None:
            return labelled(self.env, Rule._label(rule), Rule._format_value(rule, value))
        if code == "login" or code == "unused_database" and params["is_login"]:
            text = Pool._explain_bottleneck("login")
        else:
            label = selection_label(self.env["connection.sample"], "rule", rule)
            text = self.env._("Not enough data to determine: %s", label)
        if code == "unused_database":
            text += " " + self.env._(
                "PgBouncer treats this database as unused until another client logs in: SHOW DATABASES does not show "
                "its pool size, and after autodb_idle_timeout its clients are disconnected. Add a line for it under "
                "[databases], and RELOAD."
            )
        return text

    @api.model
    def _unseen_text(self, code, count, role=None, remedy=None):
        """Return in words why the state of sessions is unknown, and the remedy."""
        if code == "hidden":
            return self.env._(
                "Hidden sessions of other roles: %(count)s. It is unknown whether they are idle in a transaction. As a "
                "superuser, run: GRANT pg_monitor TO %(role)s;",
                count=format_number(self.env, count),
                role=role,
            )
        return self.env._(
            "Sessions with track_activities off: %(count)s. It is unknown whether they are idle in a transaction. As a "
            "superuser, run the following. It takes effect in new sessions: %(remedy)s",
            count=format_number(self.env, count),
            remedy=remedy,
        )

    def action_open_samples(self):
        """Open the history of this endpoint, of a PgBouncer the history of its pools."""
        action = self.env["ir.actions.act_window"]._for_xml_id("pgbouncer_monitor.connection_sample_action")
        context = {"search_default_last_hour": 1}
        if self.kind == "pgbouncer":
            context |= {"search_default_pools": 1, "graph_groupbys": ["minute", "database", "user"]}
        return action | {"domain": [("endpoint_id", "=", self.id)], "context": context}
