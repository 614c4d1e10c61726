"""What blocks, and what takes long."""

from odoo import api, models

from ...analysis.blocking import blocking_trees
from ..live.pg_stat_activity import CLIENT_BACKENDS, PREPARED, UNSEEN
from .connection_overview import MIN_AGE, link

MAX_TREES = 5
MAX_BLOCKED = 5
MAX_LONGEST = 3
SESSION_FIELDS = (
    "pid",
    "datid",
    "datname",
    "usesysid",
    "usename",
    "application_name",
    "client_addr",
    "client_port",
    "backend_type",
    "component",
    "endpoint_id",
    "client_id",
    "pool_id",
    "pooled_client",
    "state",
    "state_age",
    "xact_age",
    "blocked_by",
    "blocked_age",
    "is_hidden",
    "is_untracked",
    "is_own",
    "query",
)


class ConnectionOverview(models.AbstractModel):
    _inherit = "connection.overview"

    @api.model
    def _sessions(self, looks):
        """What the sessions of PostgreSQL tell.

        :return: ``notices`` (see `connection.notices`), ``hidden`` (how many sessions show nothing), ``unseen``
            (those, and how many do not show what they do), ``holders``
            (`_holders`), ``blocked`` (`_blocked`), ``idle_in_transaction`` and ``transactions`` (`_longest`)
        """
        Session = self.env["pg.stat.activity"]
        # None, if it is archived.
        rules = next((look.rules for endpoint, look in looks.items() if endpoint.kind == "postgresql"), {})
        readable = [name for name in SESSION_FIELDS if Session._has_field_access(Session._fields[name], "read")]
        sessions = Session.search_fetch([], readable)
        clients = sessions.filtered_domain(CLIENT_BACKENDS)
        hidden, untracked = (len(clients.filtered(name)) for name in UNSEEN)
        pool_id = self.env["pgbouncer.pool"]._row_id
        # The pools by their names: to read them as records would cost as much again.
        pools = {
            pool_id(endpoint.id, row["database"], row["user"]): f"{row['database']}/{row['user']}"
            for endpoint, look in looks.items()
            for row in look.rows
            if row.get("user")
        }
        activity = Session._activity()
        idle = clients.filtered(lambda session: (session.state or "").startswith("idle in transaction"))
        busy = clients.filtered(lambda session: not session.is_own)
        is_idle, is_other = ("state", "=like", "idle in transaction%"), ("is_own", "=", False)
        return {
            "notices": Session._unseen_notices(activity),
            "hidden": hidden,
            "unseen": hidden + untracked,
            "holders": self._holders(clients, rules, pools, activity),
            "blocked": self._blocked(sessions, rules, pools),
            "idle_in_transaction": self._longest(idle, "state_age", rules.get("idle_in_transaction_age"), pools)
            | {"link": self._link_longest("state_age", is_idle, self.env._("Idle in Transaction"))},
            "transactions": self._longest(busy, "xact_age", rules.get("xact_age"), pools)
            | {"link": self._link_longest("xact_age", is_other, self.env._("In a Transaction"))},
        }

    @api.model
    def _link_longest(self, age, condition, label):
        return link("pg.stat.activity", [*CLIENT_BACKENDS, (age, ">=", MIN_AGE), condition], label)

    @api.model
    def _blocked(self, sessions, rules, pools):
        """Who blocks whom for MIN_AGE or longer.

        :param dict pools: id -> name
        :return: how many wait for a lock for so long, the level, and ``trees``: ``nodes`` (see `_session`, and their
            ``depth`` and ``parent``; of the root, which comes first, how many it ``blocks``), how many ``more`` there
            are in it, and a link to all of them; and how many ``more`` there are in other trees
        """
        blocked = sessions.filtered("blocked_by").sorted("blocked_age", reverse=True)
        by_pid = {session.pid: session for session in sessions}
        # Before PostgreSQL 14 nobody knows since when a session waits that is not tracked.
        long = blocked.filtered(lambda session: session.blocked_age is False or session.blocked_age >= MIN_AGE)
        pids, trees, more = set(long.mapped("pid")), [], 0
        waits_for = blocked._waits_for()
        behind_prepared = [pid for pid, blockers in waits_for.items() if PREPARED in blockers]
        for tree in blocking_trees(waits_for):
            of_tree = [pid for pid, _depth, _parent in tree]
            if pids.isdisjoint(of_tree):
                continue
            if len(trees) == MAX_TREES:
                more += len(tree) - 1
                continue
            nodes = [
                self._session(by_pid.get(pid, sessions.browse()), pid, pools) | {"depth": depth, "parent": parent}
                for pid, depth, parent in tree[: 1 + MAX_BLOCKED]
            ]
            nodes[0]["blocks"] = len(tree) - 1
            if tree[0][0] == PREPARED:
                nodes[0]["who"] = " ".join(sessions._explain_prepared(behind_prepared))
            label = self.env._("PID %s and whom it blocks", tree[0][0])
            tree_link = link("pg.stat.activity", [("pid", "in", of_tree)], label)
            trees.append({"nodes": nodes, "more": len(tree) - len(nodes), "link": tree_link})
        is_long = [("blocked_by", "!=", False), ("blocked_age", ">=", MIN_AGE)]
        return {
            "count": len(long),
            "level": self._level(self._longest_blocked(long), rules.get("blocked_age")),
            "trees": trees,
            "more": more,
            "link": link("pg.stat.activity", is_long, self.env._("Blocked")),
        }

    @api.model
    def _longest_blocked(self, sessions):
        """For how long the first of these sessions has been blocked: 0 of none, None if that is unknown."""
        if not sessions:
            return 0
        return None if sessions[0].blocked_age is False else sessions[0].blocked_age

    @api.model
    def _longest(self, sessions, age, rule, pools):
        """:param age: the field by which they are measured
        :param pressure.Rule rule: that judges it; None if it is off
        :param dict pools: id -> name
        :return: how many there are from MIN_AGE on, the level of the longest, the ``sessions`` with the highest ages,
            and how many ``more`` there are"""
        long = sessions.filtered(lambda session: session[age] is not False and session[age] >= MIN_AGE)
        shown = long.sorted(age, reverse=True)[:MAX_LONGEST]
        return {
            "count": len(long),
            "level": self._level(shown[:1][age] or 0, rule),
            "sessions": [self._session(session, session.pid, pools) for session in shown],
            "more": len(long) - len(shown),
        }

    @api.model
    def _session(self, session, pid, pools):
        """What is shown of a session.

        :param session: nothing, if it is gone
        :param dict pools: id -> name
        :return: ``id`` (None if it is gone), ``who``, ``state``, ages, and ``action``, what a Manager may do: cancel
            its query, or terminate it
        """
        if not session:
            return {"id": None, "pid": pid, "who": self.env._("It is gone.")}
        is_client = session.backend_type == "client backend"
        in_transaction = (session.state or "").startswith("idle in transaction")
        # What is not tracked may run or idle: only its end is certain.
        is_ended = in_transaction or session.is_untracked
        action = "terminate" if is_ended else "cancel" if session.state == "active" else None
        state = self.env._("unknown, because track_activities is off") if session.is_untracked else session.state
        role = "/".join(filter(None, (session.usename, session.datname)))
        who = " ".join(filter(None, (role, session.application_name)))
        return {
            "id": session.id,
            "pid": pid,
            "who": who or session.backend_type or self.env._("a process of PostgreSQL's own"),
            "client": session._client() if is_client and not session.is_hidden else None,
            "client_id": session.client_id.id or None,
            "pool": pools.get(session.pool_id.id),
            "state": state or None,
            "state_age": self._tell_seconds(session.state_age),
            "xact_age": self._tell_seconds(session.xact_age),
            "blocked_age": self._tell_seconds(session.blocked_age),
            "query": session.query if self.env.user.has_group("pgbouncer_monitor.group_manager") else None,
            "action": action if is_client else None,
        }
