import json
import logging
from collections import defaultdict

from odoo import api, fields, models
from odoo.tools import SQL, format_datetime

from ...analysis import incidents, pressure, readings
from ...analysis.bottleneck import bottleneck, pool_size, servers_of_users
from ...analysis.incidents import QUEUES, severity_code
from ...analysis.readings import CONSOLE
from ...fields import NullableInteger, NullableReal
from ...probes import postgres
from ...tools import LEVELS, format_number

_logger = logging.getLogger(__name__)

# Columns of SHOW POOLS that a sample holds as they are; sv_active and cl_waiting are `used` and `waiting`.
POOL_COLUMNS = (
    "cl_active",
    "cl_active_cancel_req",
    "cl_waiting_cancel_req",
    "sv_active_cancel",
    "sv_being_canceled",
    "sv_idle",
    "sv_used",
    "sv_tested",
    "sv_login",
)
# The servers that a pool has.
POOL_SERVERS = ("used", *(name for name in POOL_COLUMNS if name.startswith("sv_")))
# Columns of SHOW STATS that only grow, and the fields that hold by how much. The wait is in microseconds.
POOL_COUNTERS = {
    "total_xact_count": "xact_count",
    "total_query_count": "query_count",
    "total_received": "received",
    "total_sent": "sent",
    "total_wait_time": "wait_time",
}
SESSION_COUNTERS = ("sessions", "sessions_abandoned", "sessions_fatal", "sessions_killed")
# Columns of the answer to postgres.ACTIVITY that tell nothing while sessions are hidden.
ACTIVITY_COLUMNS = (
    "active_backends",
    "idle_backends",
    "idle_in_transaction_backends",
    "blocked_backends",
    "xact_age",
    "idle_in_transaction_age",
)
# Ages that rules judge, and that hidden sessions may exceed.
AGES = ("xact_age", "idle_in_transaction_age")


TWICE = "Counted for the whole server, and again for its parts: look at one of them."

# Fields to group by, and their seconds: Odoo's own grouping of times has nothing below an hour.
BUCKETS = {"minute": 60, "ten_minutes": 600, "hour": 3600}
BUCKET_FORMAT = "%Y-%m-%d %H:%M"


def _known(combine, values):
    """What a function makes of values, None if one of them is unknown."""
    return None if None in values else combine(values)


def _mean(column) -> SQL:
    """The mean of a column of samples, each of which counts as often as it was taken."""
    return SQL("sum(%s * sample_count) / sum(sample_count) FILTER (WHERE %s IS NOT NULL)", column, column)


def gauge(label, aggregator="avg", decimals=1, **attributes):
    return NullableReal(label, readonly=True, aggregator=aggregator, digits=(16, decimals), **attributes)


def bucket_field(name, label):
    return fields.Char(
        label,
        compute="_compute_buckets",
        search=lambda self, operator, value: self._search_bucket(name, operator, value),
        help="The beginning of the time that the sample falls into: in UTC, and in groups on the user's clock.",
    )


class ConnectionSample(models.Model):
    """One measurement: of a PostgreSQL, of a PgBouncer (then it has no database), of one of its
    pools (database and user), or of a database that has a limit of its own or several pools (no
    user). After some days the samples of an hour become one, with means and maxima.

    Empty is unknown, or not known to this kind of server. What is counted, such as transactions,
    is what happened in ``interval`` seconds before the sample.
    """

    _name = "connection.sample"
    _inherit = "connection.notices"
    _description = "Connection Sample"
    _order = "sampled_at desc, id desc"
    _rec_name = "sampled_at"
    _log_access = False

    endpoint_id = fields.Many2one("connection.endpoint", required=True, readonly=True, ondelete="cascade")
    database = fields.Char(readonly=True, help="The database's name in PgBouncer. Empty: the whole server.")
    user = fields.Char(readonly=True, help="The role of the pool. Empty: the whole server, or all of a database.")
    sampled_at = fields.Datetime(
        "Time", required=True, readonly=True, help="When it was measured; of an hour, when the hour began."
    )
    minute = bucket_field("minute", "Minute")
    ten_minutes = bucket_field("ten_minutes", "Ten Minutes")
    hour = bucket_field("hour", "Hour")
    period = fields.Selection(
        [("minute", "One sample"), ("hour", "Hour")],
        required=True,
        readonly=True,
        help="Whether it is one sample, or those of an hour: then the figures are means, unless they say otherwise.",
    )
    sample_count = fields.Integer("Samples", readonly=True, help="How many samples it stands for.")
    interval = gauge(
        "Interval (s)",
        aggregator="sum",
        help="The seconds since the last sample: what is counted was counted in them. Empty after a restart of the"
        " server: nobody knows what it counted before.",
    )
    level = fields.Selection(
        LEVELS, required=True, readonly=True, help="By the thresholds of that time. Of an hour, the worst."
    )
    reason = fields.Char(readonly=True, help="Why it is unknown, or which threshold was reached.")
    is_paused = fields.Boolean("Paused", readonly=True, help="No client got a server.")

    capacity = gauge(
        "Capacity",
        aggregator="max",
        decimals=0,
        help="PostgreSQL: max_connections without the reserved slots. PgBouncer: max_client_conn. A pool: its "
        "size. A database: max_db_connections. Empty: unknown or unlimited.",
    )
    used = gauge(
        "Used",
        help="PostgreSQL: client backends. PgBouncer: clients. A pool: sv_active. A database: its servers.",
    )
    used_max = gauge("Used, Maximum", aggregator="max", help="The most that were used.")
    waiting = gauge("Waiting", help="cl_waiting: clients that waited for a server at the moment of the look.")
    waiting_max = gauge("Waiting, Maximum", aggregator="max", help="The most that waited.")
    maxwait = gauge(
        "Longest Wait (s)",
        aggregator="max",
        decimals=3,
        help="How long the first client in the queue had waited: maxwait with its microseconds.",
    )
    pressure = gauge(
        "Pressure (%)",
        help="Used, and in a pool also waiting, in percent of the capacity. Above 100 somebody waits.",
    )
    pressure_max = gauge("Pressure, Maximum (%)", aggregator="max", help="The highest pressure.")
    pool_pressure = gauge(
        "Fullest Pool (%)", aggregator="max", help="The highest pressure of the pools of a whole PgBouncer."
    )

    # PgBouncer's counters
    waiting_mean = gauge(
        "Waiting between Samples",
        decimals=2,
        help="How many clients waited on average since the last sample, by the growth of total_wait_time: it shows"
        " queues that came and went between two looks. A wait counts when it has ended.",
    )
    waiting_mean_max = gauge(
        "Waiting between Samples, Maximum", aggregator="max", decimals=2, help="The most that waited on average."
    )
    wait_time = gauge("Time Waited (s)", aggregator="sum", help=f"By all clients together: total_wait_time. {TWICE}")
    xact_count = NullableInteger("Transactions", readonly=True, help=f"total_xact_count. {TWICE}")
    query_count = NullableInteger("Queries", readonly=True, help=f"total_query_count. {TWICE}")
    received = NullableInteger("Received (bytes)", readonly=True, help=f"From clients. {TWICE}")
    sent = NullableInteger("Sent (bytes)", readonly=True, help=f"To clients. {TWICE}")

    # Other columns of SHOW POOLS
    cl_active = gauge("Clients Active", help="With a server, or idle.")
    cl_active_cancel_req = gauge("Cancels Active", help="Since 1.18.")
    cl_waiting_cancel_req = gauge("Cancels Waiting", help="Since 1.18.")
    sv_active_cancel = gauge("Servers Cancelling", help="Since 1.18.")
    sv_being_canceled = gauge("Servers Cancelled", help="Since 1.18.")
    sv_idle = gauge("Servers Idle", help="Could be used at once.")
    sv_used = gauge("Servers Used", help="Idle, to be checked before use.")
    sv_tested = gauge("Servers Tested", help="Being reset or checked.")
    sv_login = gauge("Servers in Login", help="Logging in to PostgreSQL.")

    # PostgreSQL
    active_backends = gauge("Backends Active", help="Client backends with a query.")
    idle_backends = gauge("Backends Idle", help="Waiting for their clients.")
    idle_in_transaction_backends = gauge(
        "Backends Idle in Transaction",
        help="Waiting for their clients, with a transaction open.",
    )
    untracked_backends = gauge(
        "Backends Not Tracked",
        help="track_activities is off for them: their states and ages are unknown.",
    )
    hidden_backends = gauge(
        "Backends Hidden",
        help="Of other roles: the states, ages and locks of these may not be seen. GRANT pg_monitor shows them.",
    )
    blocked_backends = gauge("Backends Blocked", help="Waiting for a lock. Unknown while backends are hidden.")
    blocked_age = gauge(
        "Longest Blocked (s)",
        aggregator="max",
        help="For how long a backend has waited for a lock. Before PostgreSQL 14: since its query began.",
    )
    xact_age = gauge("Oldest Transaction (s)", aggregator="max", help="Unknown while backends are hidden.")
    idle_in_transaction_age = gauge(
        "Longest Idle in Transaction (s)",
        aggregator="max",
        help="Unknown while backends are hidden.",
    )
    notification_queue_usage = gauge(
        "Notification Queue (%)",
        aggregator="max",
        help="How full the queue of NOTIFY is.",
    )
    sessions = NullableInteger("Sessions Opened", readonly=True, help="Since PostgreSQL 14.")
    sessions_abandoned = NullableInteger(readonly=True, help="The client was lost. Since PostgreSQL 14.")
    sessions_fatal = NullableInteger(readonly=True, help="Ended by an error. Since PostgreSQL 14.")
    sessions_killed = NullableInteger(readonly=True, help="Ended by an administrator. Since PostgreSQL 14.")

    _sampled_at_idx = models.Index("(sampled_at)")
    # Otherwise the thinning would pass all the hours to find the oldest minute.
    _minute_idx = models.Index("(sampled_at) WHERE period = 'minute'")
    # A chart of some servers passes by the samples of their pools.
    _whole_idx = models.Index("(endpoint_id, sampled_at) WHERE database IS NULL")

    @api.model
    def _found(self, rows, rules):
        """What is not well in the samples of one endpoint.

        :return: (rule, database, user) -> its incidents.severity_code, and the sample
        """
        found = {}
        for row in sorted(rows, key=lambda row: not row.get("user")):  # pools before their databases
            database, user = row.get("database"), row.get("user")
            for name, value in row["values"].items():
                key = name, database, user
                code = severity_code(value, rules[name]) if name in rules else incidents.WELL
                if name == "paused_samples" and database:  # that is never a pool alone
                    key = name, database, None
                    if rows[0]["is_paused"] and code != incidents.WELL:
                        code = incidents.UNKNOWN  # all of it is, and nobody knows about the database
                elif name == "pgbouncer_pressure" and database and row["waiting"] == 0:
                    continue  # a limit that is reached by servers that nobody waits for hurts nobody
                elif name in QUEUES and database and not user:
                    if any(other[:2] == key[:2] and found[other][0] >= code for other in found):
                        code = min(code, incidents.UNKNOWN)  # its pools tell who waits
                if code != incidents.WELL:
                    found[key] = code, row
        return found

    @api.model
    def _pool_growth(self, measured, samples):
        """How many more servers the pools may open to the PostgreSQL of this Odoo, without their
        reserves. Of a database counts what has a server there now: PostgreSQL itself must know it.

        :param dict measured: see `_sample`
        :param list samples: of all PgBouncers
        :return: the number, or None if a PgBouncer did not tell
        """
        consoles = self.env["connection.endpoint"].sudo().search([("kind", "=", "pgbouncer"), ("active", "=", True)])
        answers = {console.id: measured.get(console, (None, None))[0] for console in consoles}
        if not answers or not all(answers.values()):
            return None
        servers = [
            [endpoint_id, *map(row.get, ("database", "remote_pid", "local_port")), readings.identifier(row.get("user"))]
            for endpoint_id, answer in answers.items()
            for row in answer.answers["SHOW SERVERS"]
        ]
        query = SQL(
            """
            SELECT DISTINCT (server->>0)::int, server->>1
              FROM jsonb_array_elements(%s::jsonb) AS server
              JOIN pg_stat_activity
                ON pid = (server->>2)::int
               AND COALESCE(client_port, -1) IN (-1, (server->>3)::int)
               AND %s = server->>4
            """,
            json.dumps(servers),
            SQL(postgres.readable("usename::text")),
        )
        of_databases = defaultdict(list)
        for sample in samples:
            of_databases[sample["endpoint_id"], sample.get("database")].append(sample)
        growth = 0
        for key in self.env.execute_query(query):
            pools = [sample for sample in of_databases[key] if sample.get("user")]
            if any(pool["capacity"] is None for pool in pools):
                return None
            room = sum(max(pool["capacity"] - sum(pool[name] or 0 for name in POOL_SERVERS), 0) for pool in pools)
            for limit in of_databases[key]:
                if not limit.get("user") and limit["capacity"] and limit["used"] is not None:
                    room = min(room, max(limit["capacity"] - limit["used"], 0))
            growth += room
        return growth

    @api.model
    def _postgresql_rows(self, answer, before, rules, _memory):
        """Make one sample of what PostgreSQL answered.

        :param Reading answer: of ``postgres.sample_queries``
        :param dict before: the counters that this returned the last time
        :param dict rules: name -> incidents.Rule
        :return: a list of one dictionary of values, and the counters of this time
        """
        [row] = answer.answers[postgres.ACTIVITY]
        databases = answer.answers.get(postgres.SESSIONS, [])
        counters = {
            "read_at": answer.read_at,
            "resets": {database["datid"]: database["stats_reset"] for database in databases},
            "counts": {database["datid"]: [database[name] for name in SESSION_COUNTERS] for database in databases},
        }
        used, hidden, untracked = row["client_backends"], row["hidden_backends"], row["untracked_backends"]
        is_seen = hidden == 0 and untracked == 0
        capacity = pressure.postgresql_capacity(
            row["max_connections"], row["superuser_reserved_connections"], row["reserved_connections"]
        )
        sample = {
            "used": used,
            "capacity": capacity,
            "pressure": pressure.pressure(used, capacity),
            "hidden_backends": hidden,
            "untracked_backends": untracked,
            "blocked_age": row["blocked_age"],
            "notification_queue_usage": row["notification_queue_usage"],
        }
        if is_seen:
            sample |= {name: row[name] or 0 for name in ACTIVITY_COLUMNS}
        # An incident of a session that may be seen is over when that is well.
        values = {name: row[name] or 0 for name in AGES}
        values |= {"postgresql_pressure": sample["pressure"], "blocked_age": row["blocked_age"]}
        unknown = [name for name in AGES if not is_seen and name in rules]
        self._judge(sample, rules, values, unknown)
        if unknown and sample["level"] == "unknown" and (hidden or untracked):
            sample["reason"] = self._explain_unseen(row)
        interval, grown = self._grown(counters, before)
        resets = before.get("resets", {})
        if grown and all(resets.get(name, reset) == reset for name, reset in counters["resets"].items()):
            totals = [_known(sum, column) for column in zip(*grown.values(), strict=True)]
            sample |= {"interval": interval} | dict(zip(SESSION_COUNTERS, totals, strict=True))
        return [sample], counters

    @api.model
    def _explain_unseen(self, row):
        """Why what sessions do is unknown, and what to do.

        :param dict row: of postgres.ACTIVITY
        """
        if row["hidden_backends"]:
            return self.env._(
                "%(count)s session(s) belong to other roles, and it cannot be seen whether they are idle in a "
                "transaction. As a superuser, run: GRANT pg_monitor TO %(role)s;",
                count=format_number(self.env, row["hidden_backends"]),
                role=row["role"],
            )
        return self.env._(
            "track_activities is off for %(count)s session(s): it is unknown whether they are idle in a "
            "transaction. As a superuser, run, for their next sessions: %(remedy)s",
            count=format_number(self.env, row["untracked_backends"]),
            remedy=row["track"],
        )

    @api.model
    def _pgbouncer_rows(self, answer, before, rules, memory):
        """Make samples of what a console answered: of the whole PgBouncer, which comes first, of
        each pool, and of each database that has a limit of its own or several pools.

        :param Reading answer: of ``SAMPLE_COMMANDS``
        :param dict before: the counters that this returned the last time
        :param dict rules: name -> incidents.Rule
        :param incidents.Memory memory: of the samples before
        :return: a list of dictionaries of values, and the counters of this time
        """
        answers = answer.answers
        if missing := readings.missing_key("SHOW POOLS", answers["SHOW POOLS"]):
            raise ValueError(f"SHOW POOLS: no column {', '.join(missing)}")
        databases = {row.get("name"): row for row in answers["SHOW DATABASES"]}
        users = {row.get("name"): row for row in answers["SHOW USERS"]}
        of_users = servers_of_users(answers["SHOW POOLS"])
        config = readings.by_key(answers["SHOW CONFIG"])
        lists = readings.by_key(answers["SHOW LISTS"], "list", "items")
        max_client_conn = readings.whole(config.get("max_client_conn"))
        counters = {
            "read_at": answer.read_at,
            "counts": {row.get("database"): [row.get(name) for name in POOL_COUNTERS] for row in answers["SHOW STATS"]},
        }
        interval, grown = self._grown(counters, before, times=1)
        timeout = readings.whole(config.get("query_wait_timeout"))
        grown = readings.plausible_growth(grown, interval, max_client_conn, timeout)

        state = readings.console_state(answers["SHOW STATE"])
        pools = defaultdict(list)
        for row in answers["SHOW POOLS"]:
            if row["database"] != CONSOLE:
                database, user = databases.get(row["database"], {}), users.get(row["user"], {})
                sample = self._pool_sample(row, pool_size(database, user))
                of_database = readings.database_state(database, state)
                of_user = of_users[row["user"]]
                sample["bottleneck"] = bottleneck(row, database, user, of_user, config, of_database)
                pools[row["database"]].append(sample)
        samples = []
        for name, members in pools.items():
            # SHOW STATS does not tell the pools of a database apart.
            limit = databases.get(name, {}).get("max_connections")
            if limit or len(members) > 1:
                whole = self._database_sample(name, databases.get(name, {}), limit, members)
                members.append(whole)
            members[-1].update(self._counted(interval, grown and grown.get(name)))
            is_paused = readings.database_state(databases.get(name, {}), state) == "paused"
            for sample in members:
                sample["is_paused"] = is_paused
                self._judge_pool(sample, rules, memory)
                if sample["level"] == "unknown" and name not in databases:
                    # It looked for unused ones just when the only client logged in.
                    sample["reason"] += " " + self.env._(
                        "PgBouncer takes this database for unused until another client logs in: SHOW DATABASES does "
                        "not tell how large its pools may be, and after autodb_idle_timeout its clients are "
                        "disconnected. Give it a line of its own under [databases], and RELOAD."
                    )
            samples += members

        of_pools = [sample for sample in samples if sample["user"]]
        used, capacity = lists.get("used_clients"), max_client_conn
        is_paused = state in ("paused", "suspended")
        whole = {
            "used": used,
            "capacity": capacity,
            "pressure": pressure.pressure(used, capacity),
            "waiting": _known(sum, [sample["waiting"] for sample in of_pools]),
            "maxwait": _known(max, [0.0, *(sample["maxwait"] for sample in of_pools)]),
            "is_paused": is_paused,
            "pool_pressure": max((row["pressure"] for row in of_pools if row["pressure"] is not None), default=None),
        }
        values = {
            "pgbouncer_pressure": 0 if capacity == 0 else whole["pressure"],
            "paused_samples": memory.count(("paused_samples", None, None), is_paused),
        }
        self._judge(whole, rules, values)
        worst = max([whole, *samples], key=lambda sample: pressure.severity(sample["level"]))
        if worst is not whole:  # as bad as its worst part
            where = "/".join(filter(None, [worst["database"], worst["user"]]))
            whole |= {"level": worst["level"], "reason": f"{where}: {worst['reason']}"}
        of_databases = [counts for name, counts in (grown or {}).items() if name != CONSOLE]
        totals = [_known(sum, column) for column in zip(*of_databases, strict=True)]
        whole |= self._counted(interval, totals or (grown and [0] * len(POOL_COUNTERS)))
        return [whole, *samples], counters

    @api.model
    def _pool_sample(self, row, capacity):
        """:param dict row: of SHOW POOLS"""
        used, waiting = row.get("sv_active"), row.get("cl_waiting")
        return {name: row.get(name) for name in POOL_COLUMNS} | {
            "database": row["database"],
            "user": row["user"],
            "used": used,
            "waiting": waiting,
            "capacity": capacity,
            "pressure": pressure.pressure(_known(sum, [used, waiting]), capacity),
            "maxwait": readings.longest_wait(row),
        }

    @api.model
    def _database_sample(self, name, database, limit, pools):
        used = database.get("current_connections")
        return {
            "database": name,
            "user": None,
            "used": used,
            "waiting": _known(sum, [pool["waiting"] for pool in pools]),
            "bottleneck": next(filter(None, (pool["bottleneck"] for pool in pools)), None),
            "capacity": limit,
            "pressure": pressure.pressure(used, limit),
            "maxwait": _known(max, [pool["maxwait"] for pool in pools]),
        }

    @api.model
    def _judge_pool(self, sample, rules, memory):
        """Judge the sample of a pool, or of a database."""
        key = sample["database"], sample["user"]
        used, waiting, capacity = sample["used"], sample["waiting"], sample["capacity"]
        # Also a queue that was over at both looks, if on average one client waited between them. At a look
        # the pools of a database wait each for itself.
        has_waited = bool(waiting and sample["user"]) or (sample.get("waiting_mean") or 0) >= 1
        values = {
            "maxwait": sample["maxwait"],
            "waiting_samples": memory.count(("waiting_samples", *key), has_waited),
            "paused_samples": memory.count(("paused_samples", *key), sample["is_paused"]),
        }
        is_unknown = False
        if sample["user"] is None:
            values["pgbouncer_pressure"] = 0 if capacity == 0 else sample["pressure"]
        # SHOW DATABASES leaves out those that “*” made and nobody uses: nothing presses there.
        elif sample["pressure"] is None and capacity != 0:
            is_unknown = (used, waiting) != (0, 0)
        self._judge(sample, rules, values, unknown=["pressure"] * is_unknown)
        if sample["level"] == "unknown" and sample.get("bottleneck") == "login":
            sample["reason"] = self.env["pgbouncer.pool"]._explain_bottleneck("login")

    @api.model
    def _judge(self, sample, rules, values, unknown=()):
        """Give a sample the worst level of some values, and the reason if it is bad.

        :param dict rules: name -> incidents.Rule
        :param dict values: name of a rule -> the measured value
        :param unknown: names, of rules or fields, of what matters and may be worse than anybody could tell
        """
        sample["values"] = values
        levels = {name: pressure.level(values[name], rules[name].thresholds) for name in values if name in rules}
        levels |= {name: "unknown" for name in unknown if levels.get(name, "ok") == "ok"}
        name = max(levels, key=lambda name: pressure.severity(levels[name]), default=None)
        sample["level"] = levels.get(name, "ok")
        if sample["level"] == "ok":
            return
        Rule = self.env["connection.rule"]
        label = Rule._label(name) if name in rules else self._fields[name]._description_string(self.env)
        if sample["level"] == "unknown":
            sample["reason"] = self.env._("The server did not tell enough to judge: %s", label)
        else:
            sample["reason"] = f"{label}: {Rule._format_value(name, values[name])}"

    @api.model
    def _grown(self, counters, before, times=0):
        """:param int times: see `pressure.increase`
        :return: the seconds since the counters were read before, and how much each has grown;
        None and None if that cannot be known"""
        grown = pressure.increase(counters["counts"], before.get("counts"), times)
        interval = grown and counters["read_at"] - before["read_at"]
        return (interval, grown) if interval and interval > 0 else (None, None)

    @api.model
    def _counted(self, interval, counts):
        """:param list counts: how much each of POOL_COUNTERS has grown; None if that is unknown
        :return: the values of a sample, none if they are unknown"""
        if not counts:
            return {}
        counted = dict(zip(POOL_COUNTERS.values(), counts, strict=True))
        if counted["wait_time"] is not None:
            counted["wait_time"] /= 1e6
        counted["interval"] = interval
        counted["waiting_mean"] = pressure.mean_waiting(counted["wait_time"], interval)
        return counted

    # Looking back

    @api.model
    def _notices(self):
        """Of when the newest sample is, and what was wrong with the last one of each endpoint."""
        endpoints = self.env["connection.endpoint"].search([("active", "=", True)])
        notices = [
            {"type": "warning", "text": f"{endpoint.name}: {endpoint.last_error}", "remedy": ""}
            for endpoint in endpoints
            if endpoint.last_error
        ]
        newest = max(endpoints.filtered("sampled_at").mapped("sampled_at"), default=None)
        if newest:
            text = self.env._("The last sample is of %s.", format_datetime(self.env, newest))
            notices.insert(0, {"type": "info", "text": text, "remedy": ""})
        return notices

    # Keeping little
