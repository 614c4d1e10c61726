"""The sessions at the time an alert opened or got worse: stored as facts, shown in the reader's language.
May use endpoints, pools and sessions."""

import logging

from odoo import api, fields, models
from odoo.fields import Domain

from ...probes.console import CONSOLE_TIMEOUT
from ...tools import format_number
from .connection_rule import LISTENERS

_logger = logging.getLogger(__name__)

# How many sessions are stored with an alert, and how many are read to select them.
MAX_SESSIONS = 5
MAX_SESSIONS_READ = 1000
# Rules that are not about sessions.
NO_SESSIONS = ("paused_samples", "unanswered_samples", "critical_advice", "refused_requests", *LISTENERS)
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

    def _record_evidence(self):
        """Store the current sessions of each alert, and separately their queries, which only Managers may read."""
        alerts = self.filtered(lambda alert: alert.rule not in NO_SESSIONS)
        if not alerts:
            return
        self.env.flush_all()  # a failure below must not roll back anything else
        try:
            with self.env["connection.endpoint"]._time_limit(CONSOLE_TIMEOUT / 3):
                sessions = alerts._read_sessions()
                found = {alert: alert._evidence_facts(sessions) for alert in alerts}
        except Exception as error:  # an alert without sessions is better than none
            _logger.exception("The sessions of an alert could not be read")
            found = dict.fromkeys(alerts, ({"problem": str(error).strip()}, None))
        at = fields.Datetime.to_string(fields.Datetime.now())
        for alert, (evidence, queries) in found.items():
            alert.write({"evidence_facts": evidence | {"at": at}, "queries_facts": queries})

    @api.model
    def _read_sessions(self):
        """Return the sessions that are in a transaction, and those whose transactions are not visible."""
        own_pid = self.env["connection.endpoint"]._own_connection("pg_backend_pid()")
        clients = Domain("backend_type", "=", "client backend") & Domain("xact_start", "!=", False)
        unseen = Domain("is_hidden", "=", True) | Domain("is_untracked", "=", True)
        domain = (clients | unseen) & Domain("pid", "!=", own_pid)
        return self.env["pg.stat.activity"].sudo().search_fetch(domain, SESSION_FIELDS, limit=MAX_SESSIONS_READ)

    def _evidence_facts(self, sessions):
        """Select the sessions that concern the alert.

        :return: facts about them, and (PID, query) of each, None if there are none
        """
        blocked = sessions.filtered("blocked_by")
        roots = blocked._root_blockers(blocked)
        concerned = self._concerned(sessions, roots)
        hidden = concerned.filtered("is_hidden")
        untracked = concerned.filtered("is_untracked")
        # Only their locks are known.
        idle = untracked.filtered(lambda session: session.pid not in roots and not session.blocked_by)
        shown = (concerned - hidden - idle)[:MAX_SESSIONS]
        facts = {
            "count": len(concerned),
            "hidden": len(hidden),
            "untracked": len(untracked),
            "is_complete": len(sessions) < MAX_SESSIONS_READ,
            "sessions": [self._session_facts(session, roots) for session in shown],
        }
        return facts, [(session.pid, session.query) for session in shown] or None

    def _concerned(self, sessions, roots):
        """Return the sessions that concern the alert, the most important first.

        :param roots: the PIDs of sessions that block others and are not blocked
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

    @api.model
    def _session_facts(self, session, roots):
        """Return the facts about a session: None for values that are unknown or do not apply."""
        return {
            "pid": session.pid,
            "role": session.usename or None,
            "database": session.datname or None,
            "application": session.application_name or None,
            "client": session._client() if session.pooled_client or session.client_addr else None,
            "state": (not session.is_untracked and session.state) or None,
            "xact_age": None if session.xact_age is False else session.xact_age,
            "blocked_by": session.blocked_by or None,
            "is_blocking": session.pid in roots,
        }

    @api.depends("evidence_facts")
    @api.depends_context("lang")
    def _compute_evidence(self):
        for alert in self:
            facts = alert.evidence_facts or {}
            alert.evidence = alert._evidence_html(facts) if "at" in facts else facts.get("html")

    def _evidence_html(self, facts):
        sessions = facts.get("sessions")
        values = {
            "note": self._evidence_note(facts),
            "heading": sessions
            and self.env._(
                "Sessions at %(date_time)s UTC (%(shown)s of %(count)s):",
                shown=len(sessions),
                count=facts["count"],
                date_time=facts["at"],
            ),
            "lines": sessions and list(map(self._session_line, sessions)),
        }
        return self.env["ir.qweb"]._render("pgbouncer_monitor.connection_alert_sessions", values)

    @api.model
    def _evidence_note(self, facts):
        """Return what is unknown about the sessions, and why; None if nothing is."""
        if "problem" in facts:
            return self.env._("The sessions could not be read: %s", facts["problem"])
        if facts["hidden"]:
            return self.env._(
                "Sessions of other roles, hidden from Odoo's role: %s. GRANT pg_monitor makes them visible.",
                format_number(self.env, facts["hidden"]),
            )
        if facts["untracked"]:
            return self.env._(
                "Sessions with track_activities off: %s. Their activity is unknown.",
                format_number(self.env, facts["untracked"]),
            )
        if facts["is_complete"] and not facts["sessions"]:
            return self.env._("No session was in a transaction on this Odoo's PostgreSQL.")
        return None

    @api.model
    def _session_line(self, session):
        """Return the text for facts of `_session_facts`."""
        age = session["xact_age"]
        line = self.env._(
            "PID %(pid)s: %(user)s on %(database)s, %(name)s, client %(client)s: %(state)s, transaction open for "
            "%(age)s.",
            pid=session["pid"],
            user=session["role"] or "?",
            database=session["database"] or "?",
            name=session["application"] or self.env._("no application name"),
            client=session["client"] or self.env._("unix socket"),
            state=session["state"] or "?",
            age="?" if age is None else self.env["connection.rule"]._format_value("xact_age", age),
        )
        if session["blocked_by"]:
            return line + " " + self.env._("Waits for PID %s.", session["blocked_by"])
        return line + " " + self.env._("It blocks others.") if session["is_blocking"] else line

    @api.depends("queries_facts")
    def _compute_queries(self):
        for alert in self:
            facts = alert.queries_facts
            if isinstance(facts, list):
                values = {"queries": facts}
                alert.queries = self.env["ir.qweb"]._render("pgbouncer_monitor.connection_alert_queries", values)
            else:
                alert.queries = facts and facts["html"]
