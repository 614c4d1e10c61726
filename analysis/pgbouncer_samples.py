"""The samples of a PgBouncer instance, its pools and its databases, from typed answers of its console."""

from . import readings
from .bottleneck import bottleneck, pool_size, reserve_size, servers_of_users
from .pressure import mean_duration, mean_waiting, pressure, severity
from .readings import CONSOLE
from .samples import Samples, growth, judge, known

# Columns of SHOW POOLS that a sample stores under their own name; sv_active and cl_waiting are `used` and `waiting`.
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
# Counters in SHOW STATS, and the fields that store their growth. New ones go to the end, see `pressure.increase`.
POOL_COUNTERS = {
    "total_xact_count": "xact_count",
    "total_query_count": "query_count",
    "total_received": "received",
    "total_sent": "sent",
    "total_wait_time": "wait_time",
    "total_server_assignment_count": "server_assignment_count",
    "total_xact_time": "xact_time",
    "total_query_time": "query_time",
}
# Those in microseconds, by PgBouncer's clock; they are stored in seconds. PgBouncer counts a time when it ends. The
# time of a transaction or a query includes its wait for a server.
TIMES = frozenset(("wait_time", "xact_time", "query_time"))
TIMES_AT = frozenset(number for number, name in enumerate(POOL_COUNTERS.values()) if name in TIMES)
WAIT_AT, XACT_AT = (list(POOL_COUNTERS.values()).index(name) for name in ("wait_time", "xact_time"))
# Fields that depend on the growth of counters.
COUNTED = (*POOL_COUNTERS.values(), "interval", "waiting_mean", "xact_mean", "query_mean")
NOT_COUNTED = (None,) * len(COUNTED)
# The times of two readings may differ from those of their answers by the deadline of a reading, in seconds.
READING_SECONDS = 3


class _Console:
    """The answers of a console, indexed by name."""

    def __init__(self, answers):
        if missing := readings.missing_key("SHOW POOLS", answers["SHOW POOLS"]):
            raise ValueError(f"SHOW POOLS: no column {', '.join(missing)}")
        self.pools = [row for row in answers["SHOW POOLS"] if row["database"] != CONSOLE]
        self.all_pools = answers["SHOW POOLS"]
        self.stats = answers["SHOW STATS"]
        self.databases = {row.get("name"): row for row in answers["SHOW DATABASES"]}
        self.users = {row.get("name"): row for row in answers["SHOW USERS"]}
        self.settings = readings.by_key(answers["SHOW CONFIG"])
        self.lists = readings.by_key(answers["SHOW LISTS"], "list", "items")
        self.state = readings.console_state(answers["SHOW STATE"])
        self.max_client_conn = readings.whole(self.settings.get("max_client_conn"))
        # name -> the numbers of its pools
        self.pools_of = {}
        for number, row in enumerate(self.pools):
            self.pools_of.setdefault(row["database"], []).append(number)
        self.states = {
            name: readings.database_state(self.databases.get(name, {}), self.state) for name in self.pools_of
        }
        # Databases with a sample of their own: they have a limit, or several pools, which SHOW STATS does not split.
        self.measured = [name for name in self.pools_of if self.limit(name) or len(self.pools_of[name]) > 1]

    def limit(self, database):
        return self.databases.get(database, {}).get("max_connections")


def pgbouncer_samples(answers, read_at, before, rules, memory):
    """Return the samples of a PgBouncer instance, of its pools, and of its databases that have a limit or several
    pools; and the counters that the next samples need.

    :param dict answers: command -> rows, of ``SAMPLE_COMMANDS``
    :param float read_at: time of the answers, in seconds since the epoch
    :param dict before: the counters of the previous samples, {} if there were none
    :param dict rules: name -> incidents.Rule
    :param incidents.Memory memory: of the previous samples
    :return: ([Samples of the instance, of the pools, of the databases], counters)
    :raise ValueError: SHOW POOLS lacks a key column
    """
    console = _Console(answers)
    counters = {
        "read_at": read_at,
        "counts": {row.get("database"): list(map(row.get, POOL_COUNTERS)) for row in console.stats},
    }
    interval, grown = growth(counters, before, TIMES_AT)
    unfinished = before.get("unfinished", {})
    if grown:
        grown = readings.plausible_growth(grown, interval, _highest_growth(console, grown, interval, unfinished))
        counters["unfinished"] = _unfinished(console, grown, interval, unfinished)
    grown = grown or {}
    pools = _pools(console)
    databases = _databases(console, pools)
    for samples in (pools, databases):
        _add_growth(samples, interval, grown, console)
    _judge_pools(pools, rules, memory, console)
    _judge_databases(databases, rules, memory, console)
    instance = _instance(console, pools, interval, grown, rules, memory)
    _take_worst(instance, (pools, databases))
    return [instance, pools, databases], counters


def _highest_growth(console, grown, interval, unfinished):
    """Return name -> the highest possible growth of each of POOL_COUNTERS, None for no limit of its own.

    A clock that is put forward adds an hour to each time. No client waits longer than the interval and
    query_wait_timeout. Transactions take no longer than the interval on each server, their waits, and what those that
    began before it have taken until then.
    """
    timeout = readings.whole(console.settings.get("query_wait_timeout"))
    limits = {}
    if console.max_client_conn and timeout:
        limits["wait_time"] = console.max_client_conn * (interval + timeout) * 1e6
    highest = {}
    for name, counts in grown.items():
        busy = {}
        if servers := _most_servers(console, name):
            seconds = servers * (interval + READING_SECONDS) + unfinished.get(name, 0)
            longest = seconds * 1e6 + (counts[WAIT_AT] or 0)
            busy = {"xact_time": longest, "query_time": longest}
        highest[name] = list(map((limits | busy).get, POOL_COUNTERS.values()))
    return highest


def _most_servers(console, database):
    """Return how many servers the pools of a database may have, None if that is unknown or unlimited."""
    row, total = console.databases.get(database, {}), 0
    for number in console.pools_of.get(database, ()):
        user = console.users.get(console.pools[number]["user"], {})
        size = pool_size(row, user)
        if not size:
            return None
        total += size + (reserve_size(row, user) or 0)
    return total or None


def _unfinished(console, grown, interval, before):
    """Return name -> the seconds that transactions which have not ended have taken, as far as samples showed it.

    :param dict before: the same of the previous sample
    """
    found = {}
    for name, numbers in console.pools_of.items():
        active = known(sum, [console.pools[number].get("sv_active") for number in numbers])
        if active and name in grown:
            waited, ended = ((grown[name][number] or 0) / 1e6 for number in (WAIT_AT, XACT_AT))
            found[name] = max(before.get(name, 0) + waited - ended, 0) + active * interval
    return found


def _pools(console):
    rows = console.pools
    columns = {name: [row.get(name) for row in rows] for name in ("database", "user", *POOL_COLUMNS)}
    columns["used"], columns["waiting"] = ([row.get(name) for row in rows] for name in ("sv_active", "cl_waiting"))
    databases = [console.databases.get(name, {}) for name in columns["database"]]
    users = [console.users.get(name, {}) for name in columns["user"]]
    columns["capacity"] = list(map(pool_size, databases, users))
    demands = [known(sum, pair) for pair in zip(columns["used"], columns["waiting"], strict=True)]
    columns["pressure"] = list(map(pressure, demands, columns["capacity"]))
    columns["maxwait"] = list(map(readings.longest_wait, rows))
    columns["bottleneck"] = [None] * len(rows)
    if any(columns["waiting"]):
        of_users = servers_of_users(console.all_pools)
        columns["bottleneck"] = [
            bottleneck(row, *of_pool, of_users[row["user"]], console.settings, console.states[row["database"]])
            for row, *of_pool in zip(rows, databases, users, strict=True)
        ]
    return Samples(len(rows), columns)


def _databases(console, pools):
    def of_pools(name, combine):
        column = pools.columns[name]
        return [combine([column[number] for number in console.pools_of[database]]) for database in console.measured]

    limits = [console.limit(name) for name in console.measured]
    used = [console.databases.get(name, {}).get("current_connections") for name in console.measured]
    columns = {
        "database": console.measured,
        "user": [None] * len(console.measured),
        "used": used,
        "waiting": of_pools("waiting", lambda values: known(sum, values)),
        "capacity": limits,
        "pressure": list(map(pressure, used, limits)),
        "maxwait": of_pools("maxwait", lambda values: known(max, values)),
        "bottleneck": of_pools("bottleneck", lambda values: next(filter(None, values), None)),
    }
    return Samples(len(console.measured), columns)


def _add_growth(samples, interval, grown, console):
    """Add the columns COUNTED. A pool has them only if its database has no sample."""
    measured = set(console.measured)
    rows = [
        NOT_COUNTED if user is not None and name in measured else _counted(interval, grown.get(name))
        for name, user in zip(samples.columns["database"], samples.columns["user"], strict=True)
    ]
    samples.columns |= {name: [row[number] for row in rows] for number, name in enumerate(COUNTED)}


def _counted(interval, counts):
    """Return the values of COUNTED.

    :param list counts: growth of each of POOL_COUNTERS; None if it is unknown
    """
    if not counts:
        return NOT_COUNTED
    values = {
        name: count / 1e6 if name in TIMES and count is not None else count
        for name, count in zip(POOL_COUNTERS.values(), counts, strict=True)
    }
    return (
        *values.values(),
        interval,
        mean_waiting(values["wait_time"], interval),
        mean_duration(values["xact_time"], values["xact_count"]),
        mean_duration(values["query_time"], values["query_count"]),
    )


def _judge_pools(pools, rules, memory, console):
    columns = pools.columns
    _judge(pools, columns["waiting"], memory, console)
    figures = zip(columns["pressure"], columns["capacity"], columns["used"], columns["waiting"], strict=True)
    # SHOW DATABASES omits unused databases that “*” created: they have no pressure.
    unknown = [
        number
        for number, (percent, capacity, *used_and_waiting) in enumerate(figures)
        if percent is None and capacity != 0 and used_and_waiting != [0, 0]
    ]
    judge(pools, rules, {"pressure": unknown} if unknown else {})
    _explain_unknown(pools, console)


def _judge_databases(databases, rules, memory, console):
    columns = databases.columns
    _judge(databases, [0] * databases.count, memory, console)  # each pool has its own queue
    limited = zip(columns["pressure"], columns["capacity"], columns["waiting"], strict=True)
    # A limit that no client waits for is harmless: its servers may all be idle.
    databases.values["pgbouncer_pressure"] = [
        0 if capacity == 0 or waiting == 0 else percent for percent, capacity, waiting in limited
    ]
    judge(databases, rules)
    _explain_unknown(databases, console)


def _judge(samples, waiting, memory, console):
    """Add the values that are the same for pools and databases.

    :param list waiting: number of clients in the queue of each sample
    """
    columns = samples.columns
    keys = list(zip(columns["database"], columns["user"], strict=True))
    columns["is_paused"] = [console.states[name] == "paused" for name in columns["database"]]
    # A queue also counts if it was gone in both samples, but one client waited on average between them.
    have_waited = [count or (mean or 0) >= 1 for count, mean in zip(waiting, columns["waiting_mean"], strict=True)]
    samples.values = {
        "maxwait": columns["maxwait"],
        "waiting_samples": memory.count_all("waiting_samples", keys, have_waited),
        "paused_samples": memory.count_all("paused_samples", keys, columns["is_paused"]),
    }


def _explain_unknown(samples, console):
    """Add to the facts why levels are unknown."""
    columns = samples.columns
    for number, level in enumerate(columns["level"]):
        if level != "unknown":
            continue
        facts = columns["reason"][number]
        if columns["bottleneck"][number] == "login":
            facts["code"] = "login"
        if columns["database"][number] not in console.databases:
            # PgBouncer collected unused databases while the only client logged in.
            facts |= {"code": "unused_database", "params": {"is_login": facts.get("code") == "login"}}


def _instance(console, pools, interval, grown, rules, memory):
    used, capacity = console.lists.get("used_clients"), console.max_client_conn
    is_paused = console.state in ("paused", "suspended")
    sample = {
        "used": used,
        "capacity": capacity,
        "pressure": pressure(used, capacity),
        "waiting": known(sum, pools.columns["waiting"]),
        "maxwait": known(max, [0.0, *pools.columns["maxwait"]]),
        "is_paused": is_paused,
        "pool_pressure": max((percent for percent in pools.columns["pressure"] if percent is not None), default=None),
    }
    sample |= dict(zip(COUNTED, _counted(interval, _totals(grown)), strict=True))
    values = {
        "pgbouncer_pressure": 0 if capacity == 0 else sample["pressure"],
        "paused_samples": memory.count(("paused_samples", None, None), is_paused),
    }
    instance = Samples.single(sample, values)
    judge(instance, rules)
    return instance


def _take_worst(instance, parts):
    """Raise the level of the instance to that of its worst part."""
    for samples in parts:
        levels = samples.columns["level"]
        number = levels.index(max(levels, key=severity)) if levels else None
        if levels and severity(levels[number]) > severity(instance.columns["level"][0]):
            where = {name: samples.columns[name][number] for name in ("database", "user")}
            facts = samples.columns["reason"][number] | {name: value for name, value in where.items() if value}
            instance.columns |= {"level": [levels[number]], "reason": [facts]}


def _totals(grown):
    """Return the growth of the counters of all databases together, None if it is unknown."""
    if not grown:
        return None
    of_databases = [counts for name, counts in grown.items() if name != CONSOLE]
    return [known(sum, column) for column in zip(*of_databases, strict=True)] or [0] * len(POOL_COUNTERS)
