"""What ran when an alert opened."""

from odoo import api, fields, models
from odoo.fields import Domain

from ...probes.console import CONSOLE_TIMEOUT
from ...tools import format_number
from .connection_alert import _logger
from .connection_rule import LISTENERS

# … so many sessions are shown, of so many that were looked at.
MAX_SESSIONS = 5
MAX_LOOKED_AT = 1000
# Rules that are not about what sessions do.
NO_SESSIONS = ("paused_samples", "unanswered_samples", *LISTENERS)
SESSION_FIELDS = (
    "pid",
    "usename",
    "datname",
    "application_name",
    "client_addr",
    "client_port",
    "pooled_client",
    "state",
    "state_age",
    "xact_age",
    "is_hidden",
    "is_untracked",
    "blocked_by",
    "query",
    "endpoint_id",
    "pool_id",
)


class ConnectionAlert(models.Model):
    _inherit = "connection.alert"

    def _gather(self):
        """Write down what runs now: sessions without their queries for all who see the alert, and
        the queries for those who may."""
        if not self:
            return
        self.env.flush_all()  # what fails in there must undo nothing else
        try:
            with self.env["connection.endpoint"]._time_limit(CONSOLE_TIMEOUT / 3):
                Session = self.env["pg.stat.activity"].sudo()
                own_pid = self.env["connection.endpoint"]._own_connection("pg_backend_pid()")
                clients = Domain("backend_type", "=", "client backend") & Domain("xact_start", "!=", False)
                unseen = Domain("is_hidden", "=", True) | Domain("is_untracked", "=", True)
                telling = (clients | unseen) & Domain("pid", "!=", own_pid)
                sessions, problem = Session.search_fetch(telling, SESSION_FIELDS, limit=MAX_LOOKED_AT), None
        except Exception as error:  # what is not known about an alert must not cost it
            _logger.exception("What ran could not be read")
            sessions, problem = self.env["pg.stat.activity"], str(error).strip()
        blocked = sessions.filtered("blocked_by")
        roots = blocked._root_blockers(blocked)
        render = self.env["ir.qweb"]._render
        for alert in self.filtered(lambda alert: alert.rule not in NO_SESSIONS):
            involved = alert._involved(sessions, roots)
            hidden = involved.filtered("is_hidden")
            untracked = involved.filtered("is_untracked")
            # Of those only locks are known.
            idle = untracked.filtered(lambda session: session.pid not in roots and not session.blocked_by)
            shown = (involved - hidden - idle)[:MAX_SESSIONS]
            if problem:
                note = self.env._("What ran could not be read: %s", problem)
            elif hidden:
                note = self.env._(
                    "Of %s sessions of other roles Odoo's role may not see what they do. GRANT pg_monitor shows them.",
                    format_number(self.env, len(hidden)),
                )
            elif untracked:
                note = self.env._(
                    "track_activities is off for %s sessions: what they do is unknown.",
                    format_number(self.env, len(untracked)),
                )
            else:
                is_none = len(sessions) < MAX_LOOKED_AT and not shown
                note = is_none and self.env._("None of its sessions was in a transaction on this Odoo's PostgreSQL.")
            values = {
                "note": note,
                "heading": self.env._(
                    "%(shown)s of %(count)s sessions at %(time)s UTC:",
                    shown=len(shown),
                    count=len(involved),
                    time=fields.Datetime.now(),
                ),
                "lines": [alert._session_line(session, roots) for session in shown],
                "queries": [(session.pid, session.query) for session in shown],
            }
            alert.evidence = render("pgbouncer_monitor.connection_alert_sessions", values)
            alert.queries = bool(shown) and render("pgbouncer_monitor.connection_alert_queries", values)

    def _involved(self, sessions, roots):
        """Those of the sessions that the alert is about, the most telling first.

        :param roots: the PIDs of those that block others and wait for none
        """
        if self.endpoint_id.kind == "pgbouncer":
            sessions = sessions.filtered(lambda session: session.endpoint_id == self.endpoint_id)
        if self.database:
            of_alert = [("endpoint_id", "=", self.endpoint_id.id), ("database", "=", self.database)]
            if self.user:
                of_alert.append(("user", "=", self.user))
            pools = self.env["pgbouncer.pool"].search(of_alert)
            sessions = sessions.filtered(lambda session: session.pool_id in pools)
        if self.rule == "idle_in_transaction_age":
            idle = sessions.filtered(
                lambda session: session.is_hidden
                or session.is_untracked
                or (session.state or "").startswith("idle in transaction")
            )
            return idle.sorted("state_age", reverse=True)
        return sessions.sorted(lambda session: (session.pid not in roots, not session.blocked_by))

    def _session_line(self, session, roots):
        line = self.env._(
            "PID %(pid)s: %(user)s on %(database)s, %(name)s, client %(client)s: %(state)s, transaction open for "
            "%(age)s.",
            pid=session.pid,
            user=session.usename or "?",
            database=session.datname or "?",
            name=session.application_name or self.env._("no application name"),
            client=session._client(),
            state="?" if session.is_untracked else session.state or "?",
            age="?"
            if session.xact_age is False
            else self.env["connection.rule"]._tell_value("xact_age", session.xact_age),
        )
        if session.blocked_by:
            return line + " " + self.env._("It waits for PID %s.", session.blocked_by)
        return line + " " + self.env._("It blocks others.") if session.pid in roots else line

    @api.model
    def _situation(self, endpoint, rule, sample):
        """What a sample found, in a sentence."""
        if rule in LISTENERS:
            check = self.env["connection.check"]._worst(LISTENERS[rule])
            return f"{check.host}: {check.summary}"
        if sample.get("used") is None:
            return endpoint._reason_text(sample["reason"])
        figures = {name: format_number(self.env, sample.get(name), 0) for name in ("used", "waiting", "capacity")}
        if sample["capacity"] == 0:
            figures["capacity"] = "∞"
        if endpoint.kind == "postgresql":
            text = self.env._("%(used)s of %(capacity)s connections are in use.", **figures)
            if sample["hidden_backends"]:
                text += " " + self.env._(
                    "What %s sessions of other roles do is hidden.", format_number(self.env, sample["hidden_backends"])
                )
            return text
        if rule == "paused_samples":
            return self.env._("%s clients wait.", figures["waiting"])
        if not sample.get("database"):
            return self.env._("%(used)s of %(capacity)s clients are connected, of which %(waiting)s wait.", **figures)
        return self._queue_situation(sample, figures)

    @api.model
    def _queue_situation(self, sample, figures):
        """What the sample of a pool or a database found."""
        if sample["user"]:
            text = self.env._("%(used)s of %(capacity)s servers are in use.", **figures)
        else:
            text = self.env._("%(used)s servers are connected, the limit is %(capacity)s.", **figures)
        if sample["maxwait"] is None:
            text += " " + self.env._("%(waiting)s clients wait.", **figures)
        else:
            maxwait = self.env["connection.rule"]._tell_value("maxwait", sample["maxwait"])
            text += " " + self.env._("%(waiting)s clients wait, longest wait %(maxwait)s.", maxwait=maxwait, **figures)
        if sample["bottleneck"]:
            text += " " + self.env["pgbouncer.pool"]._explain_bottleneck(sample["bottleneck"])
        # A wait counts when it is over: those that last are only seen by the reading.
        mean = sample.get("waiting_mean") or 0
        if mean >= 1 and mean > (sample["waiting"] or 0):
            text += " " + self.env._("Since the last sample %s waited on average.", format_number(self.env, mean, 0))
        return text
