"""Actions on sessions. Opens the PgBouncer rows that they are joined to, writes to the endpoint's chatter."""

import psycopg2
from markupsafe import escape

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL

from ...analysis import blocking
from ...analysis.joins import network_address
from ...probes import postgres
from ...tools import labelled, notification
from .pg_stat_activity import PREPARED

# The part of a session's id that is its PID: Linux has no larger ones.
MAX_PID = (1 << 22) - 1


class PgStatActivity(models.Model):
    _inherit = "pg.stat.activity"

    def action_open_blockers(self):
        """Return the action that shows the sessions at the root of what this one waits for, see
        `analysis.blocking.roots`. A prepared transaction has no session: a message explains how to end it."""
        blocked = self.search([("blocked_by", "!=", False)])
        roots = self._root_blockers(blocked)
        if roots == {PREPARED}:
            chain = [pid for pid, blockers in blocked._waits_for().items() if PREPARED in blockers]
            raise UserError("\n\n".join(self._explain_prepared(chain)))
        return self._open([("pid", "in", list(roots - {PREPARED}))])

    @api.model
    def _explain_prepared(self, pids):
        """Return in words which prepared transactions hold what these backends wait for, and how to end each."""
        found = self.env.execute_query(SQL(postgres.PREPARED_BLOCKERS, list(pids)))
        return [
            self.env._(
                "The prepared transaction “%(gid)s” of %(owner)s has held the lock since %(since)s UTC. It has no "
                "session and survives a restart. If its application does not end it, connect to the database "
                "%(database)s as %(owner)s or as a superuser and run: %(remedy)s",
                gid=gid,
                owner=owner,
                since=fields.Datetime.to_string(prepared),
                database=database,
                remedy=f"ROLLBACK PREPARED {literal};",
            )
            for gid, literal, owner, database, prepared in found
        ] or [self.env._("A prepared transaction holds the lock: see pg_prepared_xacts.")]

    def _root_blockers(self, blocked):
        """Return the PIDs that these sessions wait for in the end, see `analysis.blocking.roots`.

        :param blocked: all sessions that wait for a lock
        """
        return blocking.roots(self.mapped("pid"), blocked._waits_for())

    def _waits_for(self):
        """Return PID -> the PIDs that it waits for, of these sessions, all of which wait for a lock."""
        return blocking.waits_for((session.pid, session.blocked_by) for session in self)

    def _client(self):
        """Return the address of the client that uses this session."""
        if self.client_addr:
            own = network_address(self.client_addr, self.client_port)
        else:
            own = self.env._("unknown") if self.is_hidden else self.env._("unix socket")
        return self.pooled_client or own

    def action_open_pool(self):
        return self.env["pgbouncer.pool"]._open([("id", "=", self.pool_id.id)])

    def action_open_server(self):
        return self.env["pgbouncer.server"]._open([("id", "=", self.server_id.id)])

    def action_open_client(self):
        return self.env["pgbouncer.client"]._open([("id", "=", self.client_id.id)])

    def action_cancel(self):
        """Cancel the current query of these sessions, see ``_signal``."""
        return self._signal("pg_cancel_backend")

    def action_terminate(self):
        """Terminate these sessions, see ``_signal``."""
        return self._signal("pg_terminate_backend")

    def _signal(self, function):
        """Run a function of PostgreSQL on the backends of these sessions, and return the notification of the outcome,
        which is also written to the chatter of the PostgreSQL endpoint.

        The statement that sends the signal finds the session by its id, which is its PID and the second of its start:
        a session that has ended, or whose PID serves another session now, gets no signal.
        """
        endpoint = self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql")
        endpoint.check_access("write")
        who = {session.id: session._identify() for session in self.search([("id", "in", self.ids)])}
        signals = {session_id: f"{function}({session_id & MAX_PID})" for session_id in self.ids}
        records = endpoint._record(
            *(
                self.env._("%(signal)s: about to be sent. %(who)s", signal=signal, who=who.get(session_id, ""))
                for session_id, signal in signals.items()
            )
        )
        outcomes = []
        for record, (session_id, signal) in zip(records, signals.items(), strict=True):
            is_done, outcome = self._signal_one(function, session_id)
            outcomes.append((is_done, labelled(self.env, signal, f"{outcome} {who.get(session_id, '')}".strip())))
            record.body = escape(outcomes[-1][1])
        done = sum(is_done for is_done, _outcome in outcomes)
        return notification(
            self.env._("%(done)s of %(count)s done", done=done, count=len(outcomes)),
            "\n".join(outcome for _is_done, outcome in outcomes),
            "success" if done == len(outcomes) else "warning" if done else "danger",
        )

    def _identify(self):
        """Return in words whose session it is, for the chatter."""
        client = self._client()
        if self.pooled_client:
            client = self.env._("%(client)s, behind %(pgbouncer)s", client=client, pgbouncer=self.endpoint_id.name)
        return self.env._(
            "Session of %(user)s on %(database)s, application %(name)s, client %(client)s, state %(state)s, connected "
            "since %(start)s UTC.",
            user=self.usename or "-",
            database=self.datname or "-",
            name=self.application_name or "-",
            client=client,
            state=self.state or "-",
            start=fields.Datetime.to_string(self.backend_start) or "-",
        )

    @api.model
    def _signal_one(self, function, session_id):
        """Return whether PostgreSQL sent the signal, and the outcome in words."""
        try:
            with self.env.cr.savepoint():
                # In a transaction PostgreSQL shows the sessions as they were at the first query.
                self.env.cr.execute("SELECT pg_stat_clear_snapshot()")
                self.env.cr.execute(self._signal_query(function, session_id), log_exceptions=False)
                rows = self.env.cr.fetchall()
        except psycopg2.errors.InsufficientPrivilege as error:
            [(role,)] = self.env.execute_query(SQL("SELECT quote_ident(current_user)"))
            return False, self.env._(
                "PostgreSQL refuses: %(error)s. Only a superuser may end a superuser's session. For those of other "
                "roles, run as a superuser: %(remedy)s",
                error=" ".join(filter(None, (error.diag.message_primary, error.diag.message_detail))).rstrip("."),
                remedy=f"GRANT pg_signal_backend TO {role};",
            )
        problem = self._signal_problem(*rows[0]) if rows else self._gone()
        return not problem, problem or self.env._("the signal was sent.")

    @api.model
    def _gone(self):
        return self.env._(
            "nothing was done, because this session is gone. If its PID is still listed, it serves another session now."
        )

    @api.model
    def _signal_query(self, function, session_id) -> SQL:
        """Return the query that sends a signal, and whose row is the arguments of `_signal_problem`."""
        # An idle session ignores a cancel.
        may_signal = SQL(
            "pid <> pg_backend_pid() AND backend_start IS NOT NULL AND backend_type = 'client backend'%s",
            SQL(" AND state = 'active'") if function == "pg_cancel_backend" else SQL(),
        )
        return SQL(
            """SELECT state, backend_type, pid = pg_backend_pid(), CASE WHEN %s THEN %s(pid) END
                 FROM pg_stat_activity
                WHERE %s = %s""",
            may_signal,
            SQL.identifier(function),
            self._session_id(),
            session_id,
        )

    @api.model
    def _signal_problem(self, state, backend_type, is_own, is_sent):
        """Return in words why no signal was sent; None if it was."""
        if is_own:
            return self.env._("nothing was done, because this session works on your own request.")
        if not backend_type:
            return self.env._(
                "nothing was done, because Odoo's role may not see when this session started: it could be another one "
                "by now. The list shows how to grant it."
            )
        if backend_type != "client backend":
            return self.env._("nothing was done, because it is no client's session: %s.", backend_type)
        if is_sent is None:
            return self.env._("nothing was done, because it runs no query now: it is %s.", state)
        return None if is_sent else self.env._("the session ended before the signal came.")
