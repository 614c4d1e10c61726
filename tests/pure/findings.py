"""What the steps of LISTEN checks found, and the verdicts on it. The tests in Odoo read this, too."""

DELIVERED = {
    "outcome": "delivered",
    "reason": None,
    "detail": None,
    "route": ["db", 6432],
    "own_end": ["h", 5000],
    "is_pooled": True,
    "server": ["10.0.0.1", 5432],
    "database": "postgres",
    "started_at": 1_700_000_000.0,
    "idle_timeout": 0.0,
    "seconds": 0.005,
    "leftover": None,
    "is_mixed": None,
}
DIRECT = DELIVERED | {"is_pooled": False, "route": ["db", 5432]}
LOST = DELIVERED | {"outcome": "lost", "seconds": None}
REJECTED = LOST | {"reason": "other", "detail": "cannot execute LISTEN during recovery"}
BLOCKED = LOST | {"outcome": "blocked", "reason": "timeout", "detail": ""}
FAILED = LOST | {"outcome": "failed", "reason": "other", "detail": "something else"}
UNREACHABLE = FAILED | {"outcome": "unreachable", "detail": "no such database: postgres", "server": None}
UNREACHABLE |= {"database": None, "started_at": None, "idle_timeout": None}
TRANSACTION_POOL = {
    "endpoint": "PgBouncer",
    "pool_mode": "transaction",
    "pool_size": 20,
    "servers": 20,
    "server": [None, None],
    "is_shared_port": False,
    "max_connections": 0,
    "name": "postgres",
    "database": "postgres",
    "user": "odoo",
    "user_pool_mode": None,
    "user_pool_size": None,
    "default_pool_mode": "transaction",
    "state": "active",
    "is_own_state": False,
    "behind": None,
}
SESSION_POOL = TRANSACTION_POOL | {"pool_mode": "session"}


CONFIGURATION = {
    "level": "ok",
    "route": ["db", 6432],
    "user": "odoo",
    "bus_route": None,
    "is_alt_missing": False,
    "wrong_variables": [],
}
LISTENERS = {
    "level": "ok",
    "direct": 0,
    "count": 3,
    "own": 3,
    "unasked": 0,
    "unknown": [],
    "deaf_cron": [],
    "unread": [],
}
SLOTS = {
    "level": "ok",
    "here": "ok",
    "bus": "ok",
    "code": "enough",
    "endpoint": "PgBouncer",
    "needed": 5,
    "listeners": 3,
    "count": 3,
    "at_once": 2,
    "has_filter": False,
    "pool_size": 20,
}


def process(result=DELIVERED, delay=0.003, **values):
    """Return the facts of a process of the bus."""
    return {
        "host": "bus-host",
        "pid": 7,
        "port": 8072,
        "started_at": 1_700_000_000.0,
        "sources": ["browser"],
        "result": result,
        "pool": None,
        "delay": delay,
        "missed": 0,
        "losses": [],
        "cuts": [],
        "websockets": 0,
        "ends": [["h", 5001]],
        "sockets": [],
    } | values


def found(*here_and_pool, live=True, is_open=True, delay=0.003, waited=0.2, **results):
    """Return what the steps of a check found: on the route from here, in the bus process, and in the job."""
    here, pool = (*here_and_pool, *(DELIVERED, None)[len(here_and_pool) :])
    bus, job = results.get("bus", DELIVERED), results.get("job", DELIVERED)
    delays = None if live is None else [0.01, 0.02, 0.03 if live else None]
    is_woken = bool(job) and waited < 5
    return {
        "configuration": {**CONFIGURATION},
        "pooler": {"level": "ok", "result": here, "pool": pool},
        "listen": {"level": "ok", "result": here},
        "bus": {
            "level": "ok",
            "processes": [process(bus, delay, pool=pool)] if bus else [],
            "answers": [] if bus else [["browser", {"problem": "timeout"}]],
            "misled": [],
            "is_proxied": bool(bus),
            "is_refused": False,
        },
        "websocket": {"level": "ok", "url": "https://odoo.example.com", "is_open": is_open}
        | ({} if is_open else {"problem": "http", "detail": 502}),
        "browser": {"level": "ok", "delays": delays, "is_live": live},
        "listeners": {**LISTENERS},
        "slots": {**SLOTS},
        "cron": {
            "level": "ok" if is_woken else "critical",
            "code": "woken" if is_woken else "not_woken" if job else "not_started",
            "count": 4,
            "result": job,
            "workers": [["cron-host", 1, 1]] if job else [],
            "server": {"port": 8069, "pid": 1, "workers": 2, "sockets": []} if job else None,
            "delays": [waited] if job else [],
            "delay": waited,
            "is_woken": is_woken,
            "has_workers": True,
            "ended_threads": 0,
        },
    }


# What the steps found -> verdict and level of the bus, and of cron.
VERDICTS = {
    "direct": (found(DIRECT, bus=DIRECT, job=DIRECT), "direct ok", "direct ok"),
    "session": (found(pool=SESSION_POOL), "session ok", "session ok"),
    "nobody watches the pooler": (found(), "session ok", "session ok"),
    "no browser took part": (found(live=None), "session ok", "session ok"),
    "lost": (found(LOST, bus=LOST, delay=None, live=False, job=None), "deaf critical", "deaf critical"),
    "rejected": (found(REJECTED, bus=REJECTED, delay=None, job=None), "deaf critical", "deaf critical"),
    "lost without a pooler": (
        found(LOST | {"is_pooled": False}, bus=LOST | {"is_pooled": False}, delay=None, job=None),
        "deaf critical",
        "deaf critical",
    ),
    "only old connections work": (found(LOST, bus=LOST, job=LOST), "deaf warning", "deaf warning"),
    "old connections are deaf": (found(delay=None, job=None), "deaf critical", "unknown unknown"),
    "only the first jobs were woken up": (found(waited=43.0), "session ok", "unknown unknown"),
    "the bus goes another way": (found(LOST, bus=DIRECT, job=None), "direct ok", "deaf critical"),
    "the cron workers go another way": (found(LOST, bus=LOST, delay=None, job=DIRECT), "deaf critical", "direct ok"),
    "not to this browser": (found(live=False), "session warning", "session ok"),
    "not to browsers": (found(live=False, is_open=False), "session critical", "session ok"),
    "no websocket can be opened": (found(live=None, is_open=False), "session critical", "session ok"),
    "whether a websocket can be opened is unknown": (
        found(live=None, is_open=None),
        "session warning",
        "session ok",
    ),
    "browsers take another way than web.base.url": (found(is_open=False), "session ok", "session ok"),
    "the bus process is not found": (found(bus=None), "unknown unknown", "session ok"),
    "…and browsers are notified": (found(DIRECT, bus=None, live=True), "unknown unknown", "session ok"),
    "a session pool that is full": (
        found(BLOCKED, SESSION_POOL, bus=BLOCKED, delay=None, job=None),
        "session critical",
        "session critical",
    ),
    "a session pool that is nearly full": (
        found(BLOCKED, SESSION_POOL, bus=BLOCKED, job=BLOCKED),
        "session warning",
        "session warning",
    ),
    "blocked, for an unknown reason": (
        found(BLOCKED, bus=BLOCKED, delay=None, job=None),
        "unknown unknown",
        "unknown unknown",
    ),
    "blocked in a transaction pool": (
        found(BLOCKED, TRANSACTION_POOL, bus=BLOCKED, delay=0.1, job=BLOCKED),
        "unknown unknown",
        "unknown unknown",
    ),
    "failed": (found(FAILED, bus=FAILED, job=None), "unknown unknown", "unknown unknown"),
    "the bus process is direct, and nobody can notify": (
        found(UNREACHABLE, bus=DIRECT, job=None),
        "direct critical",
        "unreachable critical",
    ),
    "unreachable": (
        found(UNREACHABLE, bus=UNREACHABLE, delay=None, job=None),
        "unreachable critical",
        "unreachable critical",
    ),
}


RUNNER = {
    "pid": 4711,
    "address": "10.0.0.2",
    "port": 5000,
    "application_name": "odoo-7",
    "is_hidden": False,
    "is_busy": False,
    "seconds": [0.01, 0.02, 0.03],
    "reason": None,
    "detail": None,
}
SILENT = RUNNER | {"seconds": [0.01, None]}
HIDDEN = RUNNER | {"is_hidden": True, "seconds": []}
BUSY = RUNNER | {"is_busy": True, "seconds": []}
NOBODY = dict.fromkeys(RUNNER) | {"is_hidden": False, "is_busy": False, "seconds": []}
UNREAD = NOBODY | {"reason": "timeout", "detail": ""}


def found_queue_job(result, runner=RUNNER, pool=None, is_here=True):
    """Return what the step found.

    :param dict result: on the route of this server's own runner, None if it has none
    """
    is_broken = result and result["outcome"] != "delivered"
    direct = {"host": "10.0.0.1", "port": 5432, "result": DIRECT} if is_broken else None
    found_ones = {"database": "shop", "result": result, "pool": pool, "direct": direct, "runner": runner}
    return found_ones | {"is_here": is_here and result is not None, "level": "ok"}


# What the step found -> verdict and level of queue_job's runner.
QUEUE_JOB_VERDICTS = {
    "direct": (found_queue_job(DIRECT), "direct ok"),
    "another server's runner works now": (found_queue_job(DIRECT, is_here=False), "direct ok"),
    "a session pool": (found_queue_job(DELIVERED, pool=SESSION_POOL), "session ok"),
    "a session pool that nobody watches": (found_queue_job(DELIVERED), "session warning"),
    "a session pool that is full": (found_queue_job(BLOCKED, NOBODY, SESSION_POOL), "session critical"),
    "a session pool that became full": (found_queue_job(BLOCKED, pool=SESSION_POOL), "session warning"),
    "lost": (found_queue_job(LOST, SILENT), "deaf critical"),
    "lost, and nobody holds the lock": (found_queue_job(LOST, NOBODY), "deaf critical"),
    "lost, and the holder cannot be seen": (found_queue_job(LOST, HIDDEN), "deaf critical"),
    "lost, but an earlier connection works": (found_queue_job(LOST), "deaf warning"),
    "rejected": (found_queue_job(REJECTED, NOBODY), "deaf critical"),
    "unreachable": (found_queue_job(UNREACHABLE, NOBODY), "unreachable critical"),
    "failed": (found_queue_job(FAILED), "unknown unknown"),
    "an earlier connection is deaf": (found_queue_job(DIRECT, SILENT), "deaf critical"),
    "nobody holds the lock": (found_queue_job(DIRECT, NOBODY), "deaf critical"),
    "the holder cannot be seen": (found_queue_job(DIRECT, HIDDEN), "unknown unknown"),
    "the holder is busy": (found_queue_job(DIRECT, BUSY), "unknown unknown"),
    "the holder cannot be read": (found_queue_job(DIRECT, UNREAD), "unknown unknown"),
    "no runner anywhere": (found_queue_job(None, NOBODY), "deaf critical"),
    "a runner elsewhere": (found_queue_job(None), "unknown unknown"),
    "a deaf runner elsewhere": (found_queue_job(None, SILENT), "deaf critical"),
    "a runner elsewhere that cannot be seen": (found_queue_job(None, HIDDEN), "unknown unknown"),
}
