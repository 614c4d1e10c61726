"""The report of a stress test: figures -> a list of blocks, and the page of it.

An absolute number never stands alone: tables have both sides and the ratio of pooled to direct within one turn.
"""

from collections import Counter
from datetime import datetime, timezone
from functools import partial

from . import claims, drawings, results
from .blocks import Code, Heading, Items, Picture, Table, Text, page_html
from .claims import group_name
from .meters import MEMORY_EVERY
from .results import field, number

TITLE = "Stress test: what pooling gains, and what it does not"
RATIO = "pooled / direct"
NOT_MEASURED = Text("Not measured.")
AT_ONCE = Text(
    "All clients connect at the same moment to a PostgreSQL with `max_connections` = 100, as a role without"
    " superuser, and through a PgBouncer of the same version, with 20 server connections in transaction pooling. Each"
    " logs in, runs `SELECT pg_sleep(0.01)`, and stays connected until all have ended, as Odoo's workers do. One that"
    " has no answer after 30 s is unanswered. Their SCRAM secret has one iteration: with 4,096, the clients would need"
    " most of the CPU. Of the 100 slots, three are reserved and one is the measurement's. Connections that PostgreSQL"
    " has not accepted wait in the kernel, in a queue of limited length. Those that do not fit are tried again after"
    " seconds."
)
MB = 1024 * 1024
PRODUCTS = {"odoo": "Odoo", "postgresql": "PostgreSQL", "pgbouncer": "PgBouncer", "locust": "Locust"}


def megabytes(run):
    memory = field("memory", "postgresql")(run)
    return memory and memory / MB


def with_ratio(pair, value):
    """Return the cells of a value: the medians of both sides, and the ratio."""
    return [*(number(pair.middle(side, value)) for side in results.SIDES), str(pair.ratio(value) or "–")]


def in_sum(pair, value):
    """Return the cells of a number of events. Often it is 0: it has no ratio."""
    found = [pair.values(side, value) for side in results.SIDES]
    return [*(number(sum(numbers)) if numbers else "–" for numbers in found), ""]


def of_pooled(pair, value):
    """Return the cells of a value that only PgBouncer has."""
    return ["", number(pair.middle("pooled", value)), ""]


# The lines of the tables of runs: label, value, and its cells.
MEASURES = [
    ("requests/s", field("rps"), with_ratio),
    ("p50, s", field("p50"), with_ratio),
    ("p95, s", field("p95"), with_ratio),
    ("p99, s", field("p99"), with_ratio),
    ("failed requests, all turns", results.failures, in_sum),
    ("unfinished requests, all turns", field("unfinished"), in_sum),
    ("refused connections, all turns", field("refused"), in_sum),
    ("backends, peak", field("backends"), with_ratio),
    ("sessions opened", field("sessions"), with_ratio),
    ("CPU s / 1,000 requests: PostgreSQL", results.per_thousand("postgresql"), with_ratio),
    ("CPU s / 1,000 requests: PostgreSQL and PgBouncer", results.database_cpu, with_ratio),
    ("CPU s / 1,000 requests: Odoo", results.per_thousand("odoo"), with_ratio),
    ("memory of PostgreSQL, MB, peak", megabytes, with_ratio),
    ("chat delivery, p95, s", field("tasks", "chat delivery", "p95"), with_ratio),
    ("clients waiting, peak", field("pool", "cl_waiting"), of_pooled),
    ("longest wait in PgBouncer, s", field("pool", "maxwait"), of_pooled),
]


def write(figures, path):
    """Write the report of figures, also of those of a run that has ended early."""
    path.write_text(page_html(TITLE, blocks(figures)))


def blocks(figures):
    return [*results_of(figures), *configuration(figures)]


def results_of(figures):
    """Return the blocks of the report without files."""
    return [
        *question(figures),
        *said(figures),
        *not_held(figures),
        *setup(figures),
        *odoo(figures),
        *at_once(figures),
        *storm(figures),
        *sale(figures),
        *samples(figures),
    ]


def question(figures):
    found = [
        Text(
            "What does PgBouncer gain for an Odoo, and what does it not? The same load runs on both sides in turns."
            " **direct**: Odoo connects to PostgreSQL. **pooled**: it connects through PgBouncer, with the Planner's"
            " files."
        )
    ]
    if problems := figures.get("problems"):
        found += [Text("**Not everything could be measured:**"), Items(problems)]
    if figures.get("ended_early"):
        found.append(Text("**This run ended early.** What it did not reach is not measured."))
    if figures.get("size") in ("quick", "smallest"):
        found.append(
            Text(
                f"This run is of the size **{figures['size']}**: it shows that everything works. It measures too"
                " little for conclusions."
            )
        )
    return found


def said(figures):
    rows = [
        [claim.said, finding.verdict, finding.measured or "–", claim.rule] for claim, finding in claims.judge(figures)
    ]
    return [
        Heading("What is said about pooling, and what was measured"),
        Text(
            f"Ratios are {RATIO} within one turn: the **median** of the turns (lowest to highest). Each verdict follows"
            " from the figures by the rule beside it. “At most 0.9” and “at least 1.1” are about the median; in"
            " addition, no turn may show the opposite: a ratio above 1, or below 1. “Held in part” means: in some"
            " of the listed plans or runs, not in all. A claim about every Odoo does not hold in part. “In each plan”"
            " means: with workers and threaded, with and without `dbfilter`, each at its highest number of users."
        ),
        Table(["what is said", "verdict", "what was measured", "what counts as held"], rows, "llll"),
    ]


def not_held(figures):
    found = [
        f"**{claim.said}** {finding.verdict.partition(' ')[2].capitalize()}. {claim.reason}".strip()
        for claim, finding in claims.judge(figures)
        if finding.verdict in (claims.NOT_HELD, claims.PARTLY)
    ]
    return [
        Heading("What did not hold, or only in part"),
        Items(found) if found else Text("Every claim that was measured held."),
    ]


def setup(figures):
    machine, versions, setup = (figures.get(name) or {} for name in ("machine", "versions", "setup"))
    memory = machine.get("memory")
    runs = figures.get("matrix") or []
    turns = max((run["turn"] for run in runs), default=None)
    seconds = max((run["seconds"] for run in runs if run.get("seconds")), default=None)
    facts = [
        f"Machine: {machine.get('cores', '?')} cores ({machine.get('cpu', 'unknown')}),"
        f" {number(memory and round(memory / MB / 1024))} GB of memory. **The load and the servers share it**: ratios"
        " count, absolute numbers are those of this machine.",
        "Versions: " + ", ".join(f"{PRODUCTS.get(name, name)} {version}" for name, version in versions.items()) + ".",
        "Each side has a PostgreSQL of its own with the same data, without fsync, with `max_connections` ="
        f" {setup.get('max_connections', '?')}. Of these, three are reserved for superusers and two are the"
        " measurement's, in the flash sale three. The others are for Odoo, whose role is no superuser.",
        "Each side has the same Odoo behind nginx.",
        *(plan_text(plan) for plan in plans(figures)),
        f"In turns: direct, pooled, direct … {number(turns)} turns. Each measurement lasts"
        f" {number(seconds and round(seconds))} s, after a warm-up that does not count.",
        "Users: four of five are visitors of the homepage without a session. The others open lists, read and write a"
        " contact, and chat over the websocket. They wait for 1 to 3 s between tasks: requests/s can differ only where"
        " the servers are the limit. A request fails after 30 s.",
        "CPU and memory are those of all processes of a server. Memory is PSS, in which shared pages count once. It is"
        f" read every {MEMORY_EVERY} s only: its peak may be higher.",
        "The percentiles are of the requests that were answered, and of those that timed out. Other failures are fast,"
        " and no part of them. Requests without an answer when a measurement ends are “unfinished”.",
        "The addon's scheduled action runs every 4 s meanwhile, in the flash sale once a minute, as it is installed.",
    ]
    return [Heading("Set-up"), Items(facts)]


def plans(figures):
    return (figures.get("setup") or {}).get("servers") or []


def plan_name(plan):
    return f"{plan['workers']} workers" if plan.get("workers") else "Threaded"


def plan_text(plan):
    text = f"{plan_name(plan)}: `db_maxconn` = {plan.get('db_maxconn')} on both sides."
    if plan.get("workers"):
        return (
            f"{text} Odoo queues 8 new connections for each worker. With hundreds of users this queue is full: Linux"
            " drops packets, which are sent again after seconds. So p95 and p99 differ much between the turns, and"
            " single requests fail with HTTP 502, because a worker waits for a request for 2 s only"
            " (`ODOO_HTTP_SOCKET_TIMEOUT`)."
        )
    return (
        f"{text} This is more than PostgreSQL has, on purpose: all requests share the pool of one process, and with a"
        " small one they fail in Odoo before PostgreSQL matters. The Planner warns that the direct connections can run"
        " out. `limit_memory_soft` and `limit_memory_hard` are 0 (no limit): each thread reserves address space."
    )


def configuration(figures):
    """Return the Planner's files for PgBouncer."""
    found = [Heading("PgBouncer's configuration")]
    for plan in plans(figures):
        found += [Heading(plan_name(plan), 3), Code(plan.get("pgbouncer_ini") or "unknown")]
    return found if plans(figures) else [*found, NOT_MEASURED]


def odoo(figures):
    limit = (figures.get("setup") or {}).get("max_connections")
    found = [Heading("Odoo under load")]
    groups = results.groups(figures)
    if not groups:
        return [*found, NOT_MEASURED]
    for name, label, caption, value in [
        ("requests", "requests/s", "Answered requests by users. A line marks the range of the turns", field("rps")),
        ("p95", "p95, s", "Response times: 95 % of the requests are answered within this time", field("p95")),
        ("backends", "backends, peak", "Backends of PostgreSQL that are in use at the peak", field("backends")),
    ]:
        line = (limit, f"max_connections = {limit}") if name == "backends" and limit else None
        found += picture(name, drawings.by_users(figures, label, value, line), caption)
    found += picture("cpu", drawings.cpu(figures), "CPU seconds for 1,000 answered requests, by server")
    for group, pairs in groups.items():
        found += [Heading(group_name(group).capitalize(), 3), runs_table(pairs), *failures(pairs)]
    return found


def picture(name, panels, caption):
    return [Picture(name, panels, caption)] if panels else []


def runs_table(pairs):
    """Return the Table of a group: users -> Pair."""
    head = [""]
    for users in pairs:
        head += [f"{users} users:\ndirect", "pooled", RATIO]
    rows = []
    for label, value, cells in MEASURES:
        rows.append([label, *(cell for pair in pairs.values() for cell in cells(pair, value))])
    return Table(head, rows, "l" + "r" * (len(head) - 1))


def failures(pairs):
    """Return what failed, by kind, and which measurements did."""
    found = []
    for users, pair in pairs.items():
        for side in results.SIDES:
            rows = getattr(pair, side)
            kinds = sum((Counter(run.get("failures") or {}) for run in rows), Counter())
            if kinds:
                texts = ", ".join(f"{kind}: {count:,}" for kind, count in kinds.most_common())
                found.append(f"{users} users, {side}: failed requests of all turns: {texts}")
            found += [
                f"{users} users, {side}, turn {run['turn']}: not measured: {run['error']}"
                for run in rows
                if run.get("error")
            ]
    return [Items(found)] if found else []


def at_once(figures):
    found = [Heading("Clients that connect at once, without Odoo")]
    pairs = results.clients_at_once(figures)
    if not pairs:
        return [*found, NOT_MEASURED]
    ends = [
        "clients",
        "served:\ndirect",
        "pooled",
        RATIO,
        "refused:\ndirect",
        "pooled",
        "unanswered:\ndirect",
        "pooled",
    ]
    times = ["clients", "p95 of the served, s:\ndirect", "pooled", RATIO, "backends, peak:\ndirect", "pooled"]
    times += ["waiting, peak:\npooled", "longest wait, s:\npooled"]
    end_rows, time_rows = [], []
    for clients, pair in pairs.items():
        of_ends = [with_ratio(pair, field(name)) for name in ("served", "refused", "unanswered")]
        end_rows.append([number(clients), *of_ends[0], *of_ends[1][:2], *of_ends[2][:2]])
        waits = [number(pair.middle("pooled", field(name))) for name in ("cl_waiting", "maxwait")]
        time_rows.append(
            [number(clients), *with_ratio(pair, field("p95")), *with_ratio(pair, field("backends"))[:2], *waits]
        )
    errors = sum((Counter(row.get("errors") or {}) for pair in pairs.values() for row in pair.direct), Counter())
    messages = [f"`{message}`: {count:,}" for message, count in errors.most_common(4)]
    return [
        *found,
        AT_ONCE,
        *picture("at-once", drawings.clients_at_once(figures), "Clients that are served, refused, or get no answer"),
        Table(ends, end_rows, "r" * len(ends)),
        Table(times, time_rows, "r" * len(times)),
        *([Text("Messages of PostgreSQL in all turns: " + ", ".join(messages) + ".")] if messages else []),
    ]


def storm(figures):
    found = [Heading("A storm of short connections, without Odoo")]
    pairs = results.storms(figures)
    if not pairs:
        return [*found, NOT_MEASURED]
    names = {"new": "a connection for each transaction", "kept": "connections are kept"}
    head = ["pgbench, 10 clients,\none `SELECT` a transaction", "transactions/s:\ndirect", "pooled", RATIO]
    head += ["CPU s of both servers / 1,000:\ndirect", "pooled", RATIO]
    rows = [
        [names[kind], *with_ratio(pair, field("tps")), *with_ratio(pair, results.database_cpu)]
        for kind, pair in pairs.items()
    ]
    return [
        *found,
        *picture("storm", drawings.storm(figures), "Transactions/s of pgbench with new connections and with kept ones"),
        Table(head, rows, "lrrrrrr"),
    ]


def sale(figures):
    found = [Heading("The flash sale")]
    sale = figures.get("sale") or {}
    if not sale.get("phases"):
        return [*found, NOT_MEASURED]
    phases = [[phase | {"turn": 1} for phase in sale["phases"] if phase["side"] == side] for side in results.SIDES]
    pair = results.Pair(*phases)
    measures = [*MEASURES, ("Odoo servers that ended", field("ended_servers"), in_sum)]
    rows = [[label.removesuffix(", all turns"), *cells(pair, value)] for label, value, cells in measures]
    first = sale["phases"][0]
    return [
        *found,
        Text(
            f"{number(first.get('users'))} users and Odoo servers with {number(first.get('workers'))} workers in all:"
            " first directly, then through PgBouncer, once each. The time in which the users arrive counts. Directly,"
            " an Odoo server can end: its main process does so if it starts a worker and gets no connection."
        ),
        Table(["", *results.SIDES, RATIO], rows, "lrrr"),
        *picture("sale", drawings.sale(figures), "The sale, minute by minute: Locust, the metrics and the chatter"),
        *minutes_table(sale),
    ]


def minutes_table(sale):
    minutes = sale.get("minutes") or []
    head = [
        "UTC",
        "requests",
        "failed",
        "refused requests (metrics)",
        "level (metrics)",
        "open alerts (metrics)",
        "messages in the chatter",
    ]
    names = ("requests", "failures", "refused", "level", "open_alerts")
    rows = []
    for row in minutes:
        cells = [value if isinstance(value := row[name], str) else number(value) for name in names]
        messages = "; ".join(text.partition("\n")[0] for text in row["messages"])
        rows.append([datetime.fromtimestamp(row["minute"], timezone.utc).strftime("%H:%M"), *cells, messages])
    return [Table(head, rows, "lrrrlrl")] if rows else []


def samples(figures):
    found = [Heading("The addon's samples beside the measured peaks")]
    pairs = results.matrix(figures)
    if not any(run.get("samples") for pair in pairs.values() for rows in pair for run in rows):
        return [*found, NOT_MEASURED]
    head = ["plan", "users", "side", "runs with samples", "backends, peak", "used, highest sample"]
    head += ["waiting, peak", "waiting, highest sample", "worst level"]
    rows = []
    for (*group, users), pair in pairs.items():
        for side in results.SIDES:
            runs = getattr(pair, side)
            middle = partial(pair.middle, side)
            taken = [run for run in runs if field("samples", "taken")(run)]
            levels = Counter(run["samples"]["level"] for run in taken if run["samples"].get("level"))
            numbers = [("backends",), ("samples", "used_max"), ("pool", "cl_waiting"), ("samples", "waiting_max")]
            cells = [number(middle(field(*names))) for names in numbers]
            level = ", ".join(f"{level} ({count})" for level, count in levels.most_common())
            rows.append([group_name(group), number(users), side, f"{len(taken)} of {len(runs)}", *cells, level or "–"])
    reasons = Counter(
        run["samples"]["reason"]
        for pair in pairs.values()
        for runs in pair
        for run in runs
        if field("samples", "reason")(run)
    )
    return [
        *found,
        Text(
            "Medians of the turns. The peaks are of readings twice a second, the samples are taken every few seconds."
            " The samples also count the two connections of the measurement, the peaks do not."
        ),
        Table(head, rows, "lrllrrrrl"),
        *([Items([f"{reason}: {count} runs" for reason, count in reasons.items()])] if reasons else []),
    ]
