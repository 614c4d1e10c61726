"""Made-up figures of a stress test, in the shape of figures.json: small round numbers, none of them measured."""

USERS = (50, 200, 500)
# Workers, and whether Odoo has a dbfilter.
PLANS = [(workers, has_db_filter) for workers in (4, 0) for has_db_filter in (True, False)]
START = 1_800_000_000


def make_run(users, workers, has_db_filter, side, turn):
    """Return a run in which pooling gains where there is no worker, and nothing else."""
    gains = side == "pooled" and not workers
    # The turns differ, and by as much on both sides.
    requests = (2 if gains else 1) * 10 * users * (1 + turn / 100)
    is_full = side == "direct" and not workers and users == 500
    return {
        "workers": workers,
        "has_db_filter": has_db_filter,
        "side": side,
        "turn": turn,
        "users": users,
        "started_at": START,
        "seconds": 12.0,
        "requests": requests,
        "rps": requests / 12,
        "p50": 0.1,
        "p95": 0.5 if gains else 1.0,
        "p99": 2.0,
        "failures": {"HTTP 500": 3} if is_full and turn == 1 else {},
        "unfinished": 7 if is_full else 0,
        "tasks": {"chat delivery": {"requests": 9, "failures": 0, "p50": 0.1, "p95": 0.2, "p99": 0.3}},
        "backends": 95 if is_full else 10,
        "sessions": 50,
        "refused": 4 if is_full else 0,
        "cpu": {"postgresql": 1.0, "pgbouncer": 0.5 if side == "pooled" else None, "odoo": 9.0},
        "memory": {"postgresql": 200 * 1024 * 1024},
        "pool": {"cl_waiting": 12, "maxwait": 0.05} if side == "pooled" else None,
        "samples": {
            "taken": 0 if is_full else 3,
            "used_max": None if is_full else 9,
            "capacity": None if is_full else 97,
            "waiting_max": 11 if side == "pooled" else None,
            "maxwait": 0.04 if side == "pooled" else None,
            "pressure_max": None if is_full else 0.1,
            "level": None if is_full else "ok",
            "reason": "Odoo's scheduled action stored no sample in this time" if is_full else None,
        },
    }


def make_crowd(clients, side, turn):
    served = clients if side == "pooled" else min(clients, 97)
    return {
        "clients": clients,
        "side": side,
        "turn": turn,
        "served": served,
        "refused": clients - served,
        "unanswered": 0,
        "errors": {"sorry, too many clients already": clients - served} if clients > served else {},
        "seconds": 3.0,
        "p50": 0.4,
        "p95": 0.9,
        "cl_waiting": clients - 20 if side == "pooled" else None,
        "maxwait": 0.45 if side == "pooled" else None,
        "backends": 20 if side == "pooled" else 96,
    }


def make_storm(connections, side, turn):
    gain = {"new": 10, "kept": 0.5}[connections] if side == "pooled" else 1
    transactions = int(1000 * gain * (1 + turn / 10))
    cpu = {"postgresql": 2.0, "pgbouncer": 1.0 if side == "pooled" else None}
    figures = {"side": side, "turn": turn, "transactions": transactions, "tps": transactions / 5, "cpu": cpu}
    return {"connections": connections} | figures


def make_phase(side, minute, failed):
    run = make_run(500, 100, False, side, 1) | {"failures": {"HTTP 500": failed} if failed else {}}
    start = START + 60 * minute
    return run | {"started_at": start, "ended_at": start + 180, "refused": failed, "ended_servers": 0, "timeline": []}


def make_sale():
    """Return a sale of six minutes: in the second, the third and the fourth Odoo fails, the metrics and the chatter
    show it, and PgBouncer ends it."""
    messages = [(1, "PostgreSQL: connections run out\nOpen since …"), (5, "PostgreSQL: connections run out: resolved")]
    minutes = [
        {"minute": START + 60 * minute, "requests": 900, "failures": 90 * is_bad, "refused": 50 * is_bad}
        | {"level": "critical" if is_bad else "ok", "open_alerts": int(is_bad)}
        | {"messages": [text for at, text in messages if at == minute]}
        for minute, is_bad in enumerate([False, True, True, False, False, False])
    ]
    minutes[3] |= {"refused": None, "level": None, "open_alerts": None}  # no scrape while Odoo restarts
    return {
        "phases": [make_phase("direct", 0, 180), make_phase("pooled", 3, 0)],
        "scrapes": [],
        "samples": [],
        "messages": [{"at": START + 60 * minute + 20, "text": text} for minute, text in messages],
        "minutes": minutes,
    }


def make_figures(users=USERS, plans=PLANS, clients=(110, 5000), turns=3):
    sides = [(turn, side) for turn in range(1, turns + 1) for side in ("direct", "pooled")]
    server = {
        "pool_size": 9,
        "pgbouncer_ini": "[databases]\nodoo = host=127.0.0.1\n\n[pgbouncer]\nlisten_port = 6432\n",
    }
    return {
        "format": 1,
        "kind": "stack",
        "size": "full",
        "ended_early": False,
        "problems": [],
        "started_at": START,
        "ended_at": START + 2160,
        "machine": {"cores": 2, "memory": 8 * 1024**3, "cpu": "Made-up CPU"},
        "versions": {"odoo": "19.0", "postgresql": "15.1", "pgbouncer": "1.24.1", "locust": "2.47"},
        "setup": {
            "max_connections": 100,
            "servers": [{"workers": 4, "db_maxconn": 16} | server, {"workers": 0, "db_maxconn": 300} | server],
        },
        "matrix": [make_run(count, *plan, side, turn) for plan in plans for count in users for turn, side in sides],
        "raw": {
            "at_once": [make_crowd(count, side, turn) for count in clients for turn, side in sides],
            "storm": [make_storm(kind, side, turn) for kind in ("new", "kept") for turn, side in sides],
        },
        "sale": make_sale(),
    }
