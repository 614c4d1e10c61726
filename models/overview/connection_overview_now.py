"""What blocks, and what takes long. Reads PostgreSQL's sessions, once."""

from odoo import api, models

from ...analysis.blocking import blocking_trees
from ..live.pg_stat_activity import CLIENT_BACKENDS, PREPARED, UNSEEN
from .values import format_seconds, link, pool_id, pool_name, pool_rows, rule_level

# In seconds: what is shorter is everywhere in a busy Odoo, and over before it can be read.
MIN_AGE = 1.0
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
    def _sessions(self, measured):
        """Return what the page shows of PostgreSQL's sessions.

        :return: ``notices`` (see `connection.notices`), ``hidden`` (how many sessions show nothing), ``unseen``
            (those, and how many do not show what they do), ``holders`` (`_holders`), ``blocked`` (`_blocked`),
            ``idle_in_transaction`` and ``transactions`` (`_longest`)
        """
        Session = self.env["pg.stat.activity"]
        # The endpoint of PostgreSQL may be archived.
        rules = next((sample.rules for endpoint, sample in measured.items() if endpoint.kind == "postgresql"), {})
        readable = [name for name in SESSION_FIELDS if Session._has_field_access(Session._fields[name], "read")]
        sessions = Session.search_fetch([], readable)
        clients = sessions.filtered_domain(CLIENT_BACKENDS)
        hidden, untracked = (len(clients.filtered(name)) for name in UNSEEN)
        # The names of pools: to read them as records would cost as much again.
        pools = {
            pool_id(self.env, endpoint, row): pool_name(row)
            for endpoint, sample in measured.items()
            for row in pool_rows(sample.rows)
        }
        activity = Session._activity()
        return {
            "notices": Session._unseen_notices(activity),
            "hidden": hidden,
            "unseen": hidden + untracked,
            "holders": self._holders(clients, rules, pools, activity),
            "blocked": self._blocked(sessions, rules, pools),
            "idle_in_transaction": self._idle_in_transaction(clients, rules, pools),
            "transactions": self._transactions(clients, rules, pools),
        }

    @api.model
    def _idle_in_transaction(self, clients, rules, pools):
        idle = clients.filtered(lambda session: (session.state or "").startswith("idle in transaction"))
        condition, label = ("state", "=like", "idle in transaction%"), self.env._("Idle in Transaction")
        return self._longest(idle, "state_age", rules.get("idle_in_transaction_age"), pools) | {
            "link": self._longest_link("state_age", condition, label)
        }

    @api.model
    def _transactions(self, clients, rules, pools):
        others = clients.filtered(lambda session: not session.is_own)
        condition, label = ("is_own", "=", False), self.env._("In a Transaction")
        return self._longest(others, "xact_age", rules.get("xact_age"), pools) | {
            "link": self._longest_link("xact_age", condition, label)
        }

    @api.model
    def _longest_link(self, age, condition, label):
        return link("pg.stat.activity", [*CLIENT_BACKENDS, (age, ">=", MIN_AGE), condition], label)

    @api.model
    def _longest(self, sessions, age, rule, pools):
        """Return the sessions whose age is highest.

        :param str age: the field by which they are measured
        :param incidents.Rule rule: that judges it; None if it is off
        :param dict pools: id -> name
        :return: the ``count`` of those from MIN_AGE on, the ``level`` of the longest, the longest ``sessions``
            (`_session`), and how many ``more`` there are
        """
        long = sessions.filtered(lambda session: session[age] is not False and session[age] >= MIN_AGE)
        shown = long.sorted(age, reverse=True)[:MAX_LONGEST]
        return {
            "count": len(long),
            "level": rule_level(shown[:1][age] or 0, rule),
            "sessions": [self._session(session, session.pid, pools) for session in shown],
            "more": len(long) - len(shown),
        }

    @api.model
    def _blocked(self, sessions, rules, pools):
        """Return who blocks whom for MIN_AGE or longer.

        :param dict pools: id -> name
        :return: the ``count`` of sessions that have waited that long, the ``level`` of the longest wait, the largest
            ``trees`` (`_tree`), and how many ``more`` sessions wait in other trees
        """
        blocked = sessions.filtered("blocked_by").sorted("blocked_age", reverse=True)
        # Before PostgreSQL 14 it is unknown how long a session that is not tracked has waited.
        long = blocked.filtered(lambda session: session.blocked_age is False or session.blocked_age >= MIN_AGE)
        pids, waits_for = set(long.mapped("pid")), blocked._waits_for()
        trees = [tree for tree in blocking_trees(waits_for) if not pids.isdisjoint(pid for pid, *_others in tree)]
        by_pid = {session.pid: session for session in sessions}
        is_long = [("blocked_by", "!=", False), ("blocked_age", ">=", MIN_AGE)]
        return {
            "count": len(long),
            "level": rule_level(self._longest_wait(long), rules.get("blocked_age")),
            "trees": [self._tree(tree, waits_for, by_pid, pools) for tree in trees[:MAX_TREES]],
            "more": sum(len(tree) - 1 for tree in trees[MAX_TREES:]),
            "link": link("pg.stat.activity", is_long, self.env._("Blocked")),
        }

    @api.model
    def _longest_wait(self, blocked):
        """Return for how many seconds the first of these sessions has waited: 0 if there is none, None if unknown."""
        if not blocked:
            return 0
        return None if blocked[0].blocked_age is False else blocked[0].blocked_age

    @api.model
    def _tree(self, tree, waits_for, by_pid, pools):
        """Return one tree of sessions that wait for each other.

        :param list tree: see `blocking_trees`
        :param dict by_pid: PID -> session
        :return: ``nodes`` (see `_session`, with their ``depth`` and ``parent``; the root, which comes first, with how
            many it ``blocks``), how many ``more`` there are, and a link to all of them
        """
        [root, *_others], Session = tree, self.env["pg.stat.activity"]
        pids = [pid for pid, _depth, _parent in tree]
        nodes = [
            self._session(by_pid.get(pid, Session), pid, pools) | {"depth": depth, "parent": parent}
            for pid, depth, parent in tree[: 1 + MAX_BLOCKED]
        ]
        nodes[0]["blocks"] = len(tree) - 1
        if root[0] == PREPARED:
            behind = [pid for pid, blockers in waits_for.items() if PREPARED in blockers]
            nodes[0]["who"] = " ".join(Session._explain_prepared(behind))
        label = self.env._("PID %s and the sessions that it blocks", root[0])
        tree_link = link("pg.stat.activity", [("pid", "in", pids)], label)
        return {"nodes": nodes, "more": len(tree) - len(nodes), "link": tree_link}

    @api.model
    def _session(self, session, pid, pools):
        """Return what the page shows of a session.

        :param session: empty if it has ended
        :param dict pools: id -> name
        :return: ``id`` (None if it has ended), ``who``, ``state``, ages as texts, and ``action``, what a Manager may
            do: cancel its query, or terminate it
        """
        if not session:
            return {"id": None, "pid": pid, "who": self.env._("The session has ended.")}
        is_client = session.backend_type == "client backend"
        state = self.env._("unknown, because track_activities is off") if session.is_untracked else session.state
        role = "/".join(filter(None, (session.usename, session.datname)))
        who = " ".join(filter(None, (role, session.application_name)))
        return {
            "id": session.id,
            "pid": pid,
            "who": who or session.backend_type or self.env._("background process"),
            "client": session._client() if is_client and not session.is_hidden else None,
            "client_id": session.client_id.id or None,
            "pool": pools.get(session.pool_id.id),
            "state": state or None,
            "state_age": format_seconds(self.env, session.state_age),
            "xact_age": format_seconds(self.env, session.xact_age),
            "blocked_age": format_seconds(self.env, session.blocked_age),
            "query": session.query if self.env.user.has_group("pgbouncer_monitor.group_manager") else None,
            "action": self._session_action(session) if is_client else None,
        }

    @api.model
    def _session_action(self, session):
        # What is not tracked may run or idle: only to terminate it is certain to have an effect.
        if session.is_untracked or (session.state or "").startswith("idle in transaction"):
            return "terminate"
        return "cancel" if session.state == "active" else None
