from collections import Counter, defaultdict
from datetime import timedelta

import psycopg2

from odoo import api, fields, models
from odoo.tools import SQL
from odoo.tools.misc import formatLang

from .. import pressure
from ..analysis.joins import UNIX
from ..analysis.readings import CONSOLE
from ..fields import selection_label
from ..probes.session import SessionError
from .connection_check import LISTENERS
from .connection_endpoint import CONSOLE_TIMEOUT, EPOCH
from .connection_rule import tell_duration
from .pg_stat_activity import CLIENT_BACKENDS, PREPARED, UNSEEN

CHART_HOURS = 1
# In seconds: what is shorter is everywhere in a busy Odoo, and gone before anybody can look.
MIN_AGE = 1.0
# How much is shown of what may be long: the lists show the rest.
FIRST_CARDS = 8
MAX_TREES = 5
MAX_BLOCKED = 5
MAX_LONGEST = 3
MAX_POOLS = 20
MAX_HOLDING_POOLS = 3
MAX_HOSTS = 10
MAX_OPEN_ALERTS = 10
MAX_ENDED_ALERTS = 5
# The rule whose thresholds are about the pressure of the whole server.
PRESSURE_RULES = {"postgresql": "postgresql_pressure", "pgbouncer": "pgbouncer_pressure"}
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


def blocking_trees(waits_for):
    """Who blocks whom.

    :param dict waits_for: PID -> the PIDs that it waits for, of each session that waits for a lock
    :return: a list of trees, the largest first: each is a list of (PID, depth, PID of whom it waits for), its root
        (depth 0, None) first. Each session is in one tree, once, as near to a root as can be. Of a deadlock any is
        the root.
    """
    blocks = defaultdict(list)
    for pid, blockers in waits_for.items():
        for blocker in blockers:
            blocks[blocker].append(pid)
    below, roots, seen = {}, [], set()
    for starts in ([pid for pid in blocks if pid not in waits_for], *([pid] for pid in blocks)):
        found = [pid for pid in starts if pid not in seen]
        roots += found
        seen.update(found)
        for pid in found:  # which grows meanwhile
            below[pid] = [blocked for blocked in dict.fromkeys(blocks[pid]) if blocked not in seen]
            seen.update(below[pid])
            found += below[pid]
    trees = []
    for root in roots:
        tree, rest = [], [(root, 0, None)]
        while rest:
            pid, depth, parent = rest.pop()
            tree.append((pid, depth, parent))
            rest += [(blocked, depth + 1, pid) for blocked in reversed(below[pid])]
        trees.append(tree)
    return sorted(trees, key=len, reverse=True)


def link(model, domain, label):
    """What the screen opens behind a number: the rows of a list that it counts.

    :param list domain: of these rows
    :param str label: of the filter
    """
    return {"model": model, "domain": domain, "label": label}


class ConnectionOverview(models.AbstractModel):
    """The first screen: are we in danger, and who is it?

    All of it comes in one answer. The servers are asked when it is read, each of them once, side by side and within
    CONSOLE_TIMEOUT; nothing is stored. What could not be read is None, and a text says why.
    """

    _name = "connection.overview"
    _description = "Connection Overview"

    @api.model
    def get_overview(self):
        """Everything that the screen shows.

        :return: a dictionary that JSON can hold: ``read_at`` (UTC), ``is_manager``, ``cards`` (see `_cards`; if they
            are more than ``first_cards`` the worst come first), ``silent`` (the names of PgBouncers that do not
            answer), ``pools`` (`_pools`), ``pgbouncers`` (`_pgbouncers`), ``alerts`` (`_alerts`), what `_sessions`
            tells, and ``problem``: why it does not
        """
        endpoints = self.env["connection.endpoint"].search([("active", "=", True)])
        looks = self._look(endpoints, "SHOW CLIENTS")
        cards = self._cards(looks)
        if len(cards) > FIRST_CARDS:
            cards.sort(key=lambda card: pressure.severity(card["level"]), reverse=True)
        overview = {
            "read_at": fields.Datetime.to_string(fields.Datetime.now()),
            "is_manager": self.env.user.has_group("pgbouncer_monitor.group_manager"),
            "cards": cards,
            "first_cards": FIRST_CARDS,
            "silent": [
                endpoint.name for endpoint in endpoints if endpoint.kind == "pgbouncer" and not looks[endpoint].answer
            ],
            "pools": self._pools(looks),
            "pgbouncers": self._pgbouncers(),
            "alerts": self._alerts(),
            "problem": None,
        }
        try:
            with self.env["connection.endpoint"]._time_limit(CONSOLE_TIMEOUT / 3):
                return overview | self._sessions(looks)
        except psycopg2.Error as error:
            problem = self.env._(
                "PostgreSQL did not tell its sessions within %(seconds)s s: %(error)s. The next look tries again.",
                seconds=formatLang(self.env, CONSOLE_TIMEOUT / 3, digits=1),
                error=str(error).strip(),
            )
            return overview | {"problem": problem}

    @api.model
    def get_card(self, endpoint_id):
        """The card of one endpoint, for its form.

        :return: a dictionary, see `_cards`, with its ``pools`` (see `_pool`), the fullest first; None if the endpoint
            is archived
        """
        endpoint = self.env["connection.endpoint"].search([("id", "=", endpoint_id), ("active", "=", True)])
        if not endpoint:
            return None
        looks = self._look(endpoint)
        [card] = self._cards(looks)
        rows = [row for row in looks[endpoint].rows if row.get("user")]
        rows.sort(key=lambda row: (-(row["pressure"] or 0), row["database"], row["user"]))
        return card | {
            "pools": [self._pool(endpoint, row) for row in rows[:MAX_POOLS]],
            "pools_link": link("pgbouncer.pool", [("endpoint_id", "=", endpoint.id)], endpoint.name),
        }

    @api.model
    def _look(self, endpoints, *commands):
        """:return: endpoint -> Look, see `connection.sample._look`"""
        # The passwords are needed, and what the sampler remembers.
        looks = self.env["connection.sample"].sudo()._look(endpoints.sudo(), *commands)
        return {endpoint: looks[endpoint] for endpoint in endpoints}

    # Are we in danger?

    @api.model
    def _cards(self, looks):
        """:return: for each endpoint the figures of now; the level that a sample would have now or, if that is worse,
        of its open alerts; the last hour for a chart; and of the PostgreSQL of this Odoo the verdicts of the LISTEN
        check. Ages are texts with a unit."""
        charts = self._charts(looks)
        alerts = self.env["connection.alert"]._lasting(self.env["connection.endpoint"].union(*looks))
        return [
            self._card(endpoint, look, list(alerts[endpoint].values())) | {"chart": charts[endpoint]}
            for endpoint, look in looks.items()
        ]

    @api.model
    def _card(self, endpoint, look, alerts):
        whole = look.rows[0]
        used, capacity = whole.get("used"), whole.get("capacity")
        of_endpoint = [("endpoint_id", "=", endpoint.id)]
        worst = max(alerts, key=lambda alert: pressure.severity(alert.level), default=None)
        level, reasons = whole["level"], [whole["reason"]]
        if worst and pressure.severity(worst.level) > pressure.severity(level):
            level = worst.level
            reasons.append(
                self.env._(
                    "Alert, open for %(age)s: %(alert)s",
                    age=self._age(worst.opened_at),
                    alert=": ".join(filter(None, (self.env["connection.rule"]._label(worst.rule), worst._pool()))),
                )
            )
        card = {
            "id": endpoint.id,
            "name": endpoint.name,
            "kind": endpoint.kind,
            "level": level,
            "reason": "\n".join(filter(None, reasons)) or None,
            "is_answering": bool(look.answer),
            "is_paused": bool(whole.get("is_paused")),
            "used": used,
            "capacity": capacity,
            "left": max(capacity - used, 0) if capacity and used is not None else None,
            "pressure": whole.get("pressure"),
            "missing_sample": endpoint._missing_sample(),
            "sample_age": self._age(endpoint.sampled_at),
            "last_seen": fields.Datetime.to_string(endpoint.last_seen) or None,
            "last_seen_age": self._age(endpoint.last_seen),
            "open_alerts": {
                "count": len(alerts),
                "link": link(
                    "connection.alert", [*of_endpoint, ("closed_at", "=", False)], self.env._("Open: %s", endpoint.name)
                ),
            },
            "history_link": link(
                "connection.sample",
                [*of_endpoint, ("sampled_at", ">=", f"-{CHART_HOURS}H")],
                self.env._("Last Hour: %s", endpoint.name),
            ),
        }
        if endpoint.kind == "postgresql":
            used_link = link("pg.stat.activity", CLIENT_BACKENDS, self.env._("Client Backends"))
            return card | {"used_link": used_link, "checks": self._checks()}
        pools = [row for row in look.rows if row.get("user") and row["pressure"] is not None]
        fullest = max(pools, key=lambda row: row["pressure"], default=None)
        name = endpoint.name
        waiting = [*of_endpoint, ("database", "!=", CONSOLE), ("state", "=", "waiting")]
        return card | {
            "used_link": link("pgbouncer.client", of_endpoint, self.env._("Clients of %s, its console included", name)),
            "waiting": whole.get("waiting"),
            "waiting_mean": whole.get("waiting_mean"),
            "maxwait": self._tell_seconds(whole.get("maxwait")),
            "waiting_link": link("pgbouncer.client", waiting, self.env._("Waiting: %s", name)),
            "fullest_pool": fullest and self._pool(endpoint, fullest),
        }

    @api.model
    def _checks(self):
        """:return: for each listener of this Odoo the verdict in words, its level, and what it says"""
        Check, checks = self.env["connection.check"], []
        for listener in LISTENERS.values():
            check = Check._worst(listener) or Check._last(listener)
            if not check:
                label = self.env._("%s: Not Checked", selection_label(Check, "listener", listener))
            elif check._is_old():
                label = self.env._("%s, but that is old", check.display_name)
            else:
                label = check.display_name
            level = check.level if check and not check._is_old() else "unknown"
            checks.append({"label": label, "level": level, "summary": check.summary or ""})
        return checks

    @api.model
    def _charts(self, looks):
        """The last hour of endpoints, in one query, and this moment.

        :return: endpoint -> ``since`` and ``until`` (seconds since 1970), ``lines``: a label and points of seconds
            and percent, which is None in a gap; and ``thresholds`` of the first line: a level, a label and percent
        """
        Sample, until = self.env["connection.sample"], fields.Datetime.now()
        since = until - timedelta(hours=CHART_HOURS)
        Sample.check_access("read")
        # Odoo's own search would say it so that no index helps.
        query = SQL(
            """SELECT endpoint_id, sampled_at, pressure_max, pool_pressure
                 FROM connection_sample
                WHERE endpoint_id = ANY(%s) AND database IS NULL AND sampled_at >= %s
             ORDER BY sampled_at""",
            [endpoint.id for endpoint in looks],
            since,
        )
        rows = defaultdict(list)
        for endpoint_id, *row in self.env.execute_query(query):
            rows[endpoint_id].append(row)
        gap = Sample._gap()
        charts = {}
        for endpoint, look in looks.items():
            points, last = [], until
            for sampled_at, *percents in rows[endpoint.id]:
                seconds = (sampled_at - EPOCH).total_seconds()
                points += [[seconds, None, None]] * (sampled_at - last > gap)
                points.append([seconds, *percents])
                last = sampled_at
            whole, now = look.rows[0], (until - EPOCH).total_seconds()
            points += [[now, None, None]] * (until - last > gap)
            points.append([now, whole.get("pressure"), whole.get("pool_pressure")])
            charts[endpoint] = self._chart(endpoint, look.rules, points) | {
                "since": (since - EPOCH).total_seconds(),
                "until": now,
            }
        return charts

    @api.model
    def _chart(self, endpoint, rules, points):
        """:param points: seconds, the pressure of the whole server, and that of its fullest pool"""
        labels = [self.env._("Connections (%)")]
        words = {level: selection_label(endpoint, "level", level) for level in pressure.LEVELS}
        if endpoint.kind == "pgbouncer":
            labels = [self.env._("Clients (%)"), self.env._("Fullest Pool (%)")]
            words = {level: self.env._("Clients: %s", word) for level, word in words.items()}
        rule = rules.get(PRESSURE_RULES[endpoint.kind])
        thresholds = dict(zip(("warning", "critical"), rule.thresholds, strict=True)) if rule else {}
        return {
            "lines": [
                {"label": label, "points": [[point[0], point[number]] for point in points]}
                for number, label in enumerate(labels, 1)
            ],
            "thresholds": [
                {"level": level, "label": words[level], "percent": percent}
                for level, percent in thresholds.items()
                if percent is not None
            ],
        }

    # Who is it?

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
        limits = Session._limits()
        _limit, *notices = Session._tell_limits(len(clients), hidden, untracked, limits)
        idle = clients.filtered(lambda session: (session.state or "").startswith("idle in transaction"))
        busy = clients.filtered(lambda session: not session.is_own)
        is_idle, is_other = ("state", "=like", "idle in transaction%"), ("is_own", "=", False)
        return {
            "notices": notices,
            "hidden": hidden,
            "unseen": hidden + untracked,
            "holders": self._holders(clients, rules, pools, limits),
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
    def _holders(self, clients, rules, pools, limits):
        """Whose the client backends are.

        :param dict pools: id -> name
        :param limits: of `pg.stat.activity._limits`
        :return: ``rows``: of each component and PgBouncer a label, how many, and their share of what ordinary roles
            can have in percent; those with ``is_part`` are the largest pools of the row before them. The same of all
            of them, with the ``level`` (None if the rule is off), and the limits
        """
        max_connections, reserved, _role = limits
        usable = pressure.postgresql_capacity(max_connections, reserved)

        def row(label, sessions, condition, is_part=False):
            return {
                "label": label,
                "is_part": is_part,
                "count": len(sessions),
                "share": pressure.pressure(len(sessions), usable),
                "link": link("pg.stat.activity", [*CLIENT_BACKENDS, *condition], label),
            }

        def by_count(grouped):
            return sorted(grouped.items(), key=lambda item: (-len(item[1]), str(item[0])))

        rows = []
        components = clients.grouped(lambda session: (session.component, session.endpoint_id))
        for (component, pgbouncer), sessions in by_count(components):
            label = selection_label(clients, "component", component) if component else self.env._("Unknown")
            label = f"{label}: {pgbouncer.name}" if pgbouncer else label
            rows.append(row(label, sessions, [("component", "=", component), ("endpoint_id", "=", pgbouncer.id)]))
            if pgbouncer:
                largest = by_count(sessions.grouped(lambda session: session.pool_id.id))[:MAX_HOLDING_POOLS]
                rows += [
                    row(pools.get(pool_id, "?"), of_pool, [("pool_id", "=", pool_id)], is_part=True)
                    for pool_id, of_pool in largest
                ]
        total = pressure.pressure(len(clients), usable)
        return {
            "rows": rows,
            "count": len(clients),
            "share": total,
            "level": self._level(total, rules.get("postgresql_pressure")),
            "usable": usable,
            "max_connections": max_connections,
            "reserved": reserved,
            "link": link("pg.stat.activity", CLIENT_BACKENDS, self.env._("Client Backends")),
        }

    @api.model
    def _pgbouncers(self):
        """Which hosts stand behind the servers of each PgBouncer that answers.

        :return: for each its name, how many clients and servers it has, and the same of each host: its clients,
            how many of them wait, and how many have a server just now
        """
        Client, pgbouncers = self.env["pgbouncer.client"], []
        Client.check_access("read")
        for endpoint, answer in Client._answers().items():
            if isinstance(answer, SessionError):
                continue
            hosts = defaultdict(Counter)
            for row in Client._make_rows(endpoint.id, *answer):
                if row.get("database") != CONSOLE:
                    hosts[row.get("addr")].update(
                        clients=1, waiting=int(row.get("state") == "waiting"), servers=int("server_id" in row)
                    )
            _clients, servers, *_others = answer
            busiest = sorted(hosts, key=lambda host: (-hosts[host]["clients"], host or ""))
            of_clients = [("endpoint_id", "=", endpoint.id), ("database", "!=", CONSOLE)]
            pgbouncers.append(
                {
                    "id": endpoint.id,
                    "name": endpoint.name,
                    "clients": {
                        "count": sum(counts["clients"] for counts in hosts.values()),
                        "link": link("pgbouncer.client", of_clients, self.env._("Clients of %s", endpoint.name)),
                    },
                    "servers": {
                        "count": len(servers),
                        "link": link(
                            "pgbouncer.server",
                            [("endpoint_id", "=", endpoint.id)],
                            self.env._("Servers of %s", endpoint.name),
                        ),
                    },
                    "more_hosts": max(len(hosts) - MAX_HOSTS, 0),
                    "hosts": [self._host(host, hosts[host], of_clients) for host in busiest[:MAX_HOSTS]],
                }
            )
        return pgbouncers

    @api.model
    def _host(self, host, counts, of_clients):
        """:param domain of_clients: all clients of the PgBouncer"""
        of_host = [*of_clients, ("addr", "=", host)]
        label = self.env._("unix socket") if host == UNIX else host
        links = {
            "clients": (self.env._("Clients from %s", label), []),
            "waiting": (self.env._("Waiting, from %s", label), [("state", "=", "waiting")]),
            "servers": (self.env._("With a server, from %s", label), [("server_id", "!=", False)]),
        }
        return {"label": label} | {
            name: {"count": counts[name], "link": link("pgbouncer.client", [*of_host, *domain], text)}
            for name, (text, domain) in links.items()
        }

    # What hurts?

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

    @api.model
    def _pools(self, looks):
        """The pools with clients that wait.

        :return: how many they are, of how many it is ``unknown``, and the ``pools`` (see `_pool`), the longest wait
            first
        """
        pools = [(endpoint, row) for endpoint, look in looks.items() for row in look.rows if row.get("user")]
        waiting = [(endpoint, row) for endpoint, row in pools if row["waiting"]]
        waiting.sort(key=lambda pool: (pool[1]["maxwait"] or 0, pool[1]["waiting"]), reverse=True)
        return {
            "count": len(waiting),
            "unknown": sum(row["waiting"] is None for _endpoint, row in pools),
            "pools": [self._pool(*pool) for pool in waiting[:MAX_POOLS]],
            "link": link("pgbouncer.pool", [("cl_waiting", ">", 0)], self.env._("Clients Waiting")),
        }

    @api.model
    def _pool(self, endpoint, row):
        """What is shown of a pool.

        :param dict row: of a Look
        """
        pool_id = self.env["pgbouncer.pool"]._row_id(endpoint.id, row["database"], row["user"])
        name, of_pool = f"{row['database']}/{row['user']}", [("pool_id", "=", pool_id)]
        bottleneck = row["bottleneck"]
        return {
            "id": pool_id,
            "name": name,
            "endpoint": endpoint.name,
            "used": row["used"],
            "capacity": row["capacity"],
            "pressure": row["pressure"],
            "waiting": row["waiting"],
            "maxwait": self._tell_seconds(row["maxwait"]),
            "bottleneck": bottleneck and self.env["pgbouncer.pool"]._explain_bottleneck(bottleneck),
            "clients_link": link(
                "pgbouncer.client", [*of_pool, ("state", "=", "waiting")], self.env._("Waiting for %s", name)
            ),
            "servers_link": link(
                "pgbouncer.server", [*of_pool, ("state", "=", "active")], self.env._("In use: %s", name)
            ),
        }

    @api.model
    def _alerts(self):
        """:return: how many are open, their worst ``level``, ``alerts``: those, the worst first, and the last that
        ended, and how many ``more`` are open"""
        Alert = self.env["connection.alert"]
        is_open = [("closed_at", "=", False)]
        lasting = Alert.search(is_open).sorted(lambda alert: pressure.severity(alert.level), reverse=True)
        ended = Alert.search([("closed_at", "!=", False)], limit=MAX_ENDED_ALERTS)
        return {
            "count": len(lasting),
            "level": lasting[:1].level or None,
            "more": max(len(lasting) - MAX_OPEN_ALERTS, 0),
            "link": link("connection.alert", is_open, self.env._("Open")),
            "alerts": [
                {
                    "id": alert.id,
                    "name": alert.display_name,
                    "level": alert.level,
                    "worst": alert.worst or "",
                    "advice": alert.advice,
                    "opened_at": fields.Datetime.to_string(alert.opened_at),
                    "is_open": not alert.closed_at,
                    "duration": tell_duration(alert.duration) if alert.closed_at else self._age(alert.opened_at),
                    "acknowledged_by": alert.sudo().acknowledged_by.name or None,
                }
                for alert in lasting[:MAX_OPEN_ALERTS] | ended
            ],
        }

    # In words

    @api.model
    def _level(self, value, rule):
        """None if the rule is off."""
        return pressure.level(value, rule.thresholds) if rule else None

    @api.model
    def _tell_seconds(self, seconds):
        """Seconds with their unit; None of what is unknown."""
        is_known = seconds is not None and seconds is not False
        return self.env["connection.rule"]._tell_value("maxwait", seconds) if is_known else None

    @api.model
    def _age(self, time):
        return tell_duration(max((fields.Datetime.now() - time).total_seconds(), 0)) if time else None
