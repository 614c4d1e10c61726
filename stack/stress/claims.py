"""What is said about pooling, beside what was measured. Each verdict follows from the figures by a rule."""

from collections.abc import Callable
from typing import NamedTuple

from . import results
from .results import field, number

HELD, PARTLY, NOT_HELD, UNKNOWN = "✓ held", "◐ held in part", "✗ did not hold", "– not measured"
# Of max_connections: with so many backends, connections run out. Some slots are the superuser's.
SATURATED = 0.9


class Finding(NamedTuple):
    verdict: str
    measured: str


class Claim(NamedTuple):
    """
    :param str said: what is said
    :param str rule: what counts as held
    :param judge: figures -> Finding
    :param str reason: why it may not hold
    """

    said: str
    rule: str
    judge: Callable
    reason: str


def group_name(group):
    workers, has_db_filter = group
    return f"{f'{workers} workers' if workers else 'threaded'}, {'with' if has_db_filter else 'without'} dbfilter"


def verdict(outcomes, is_universal=False):
    """Return the verdict on outcomes, True where the claim held. A claim about all cases does not hold in part."""
    if not outcomes:
        return UNKNOWN
    if all(outcomes):
        return HELD
    return PARTLY if any(outcomes) and not is_universal else NOT_HELD


def at_most(limit):
    """Return a test of a Ratio: its median is at most this, and no turn is above 1."""
    return lambda ratio: ratio.median <= limit and ratio.high <= 1


def at_least(limit):
    """Return a test of a Ratio: its median is at least this, and no turn is below 1."""
    return lambda ratio: ratio.median >= limit and ratio.low >= 1


def in_groups(value, test, is_universal=False):
    """Return a judge of the ratio of a value, in each group at its highest number of users.

    :param test: Ratio -> whether the claim holds
    :param bool is_universal: whether the claim is about every Odoo: it does not hold in part, and needs all kinds
    """

    def judge(figures):
        found = {}
        for group, pairs in results.groups(figures).items():
            measured = {users: ratio for users, pair in pairs.items() if (ratio := pair.ratio(value))}
            if measured:
                found[group, max(measured)] = measured[max(measured)]
        texts = [f"{group_name(group)}, {users:,} users: {ratio}" for (group, users), ratio in found.items()]
        judged = verdict([test(ratio) for ratio in found.values()], is_universal)
        kinds = {(workers > 0, has_db_filter) for (workers, has_db_filter), _users in found}
        if is_universal and judged == HELD and len(kinds) < 4:
            judged = UNKNOWN
            texts.append("the other kinds of Odoo were not measured")
        return Finding(judged, "\n".join(texts))

    return judge


def in_storm(kind, test):
    """Return a judge of the ratio of pgbench's transactions per second."""

    def judge(figures):
        pair = results.storms(figures).get(kind)
        ratio = pair and pair.ratio(field("tps"))
        if not ratio:
            return Finding(UNKNOWN, "")
        texts = [f"{side} {number(pair.middle(side, field('tps')))}" for side in results.SIDES]
        return Finding(verdict([test(ratio)]), f"transactions/s: {', '.join(texts)}\nratio: {ratio}")

    return judge


def crowd(figures):
    """Judge whether 5,000 clients are served at once."""
    pair = results.clients_at_once(figures).get(5000)
    if not pair or not pair.direct or not pair.pooled:
        return Finding(UNKNOWN, "")
    direct, pooled = ([row["served"] for row in rows] for rows in pair)
    text = f"served of 5,000: direct {spread(direct)}, pooled {spread(pooled)}"
    if waits := pair.values("pooled", field("maxwait")):
        text += f"\nlongest wait in PgBouncer: {number(max(waits))} s"
    return Finding(verdict([min(pooled) == 5000 and max(direct) < 5000]), text)


def spread(numbers):
    low, high = min(numbers), max(numbers)
    return number(low) if low == high else f"{number(low)} to {number(high)}"


def many_users(figures):
    """Return how many users were measured. No size of the stress test has 5,000."""
    most = max((users for _workers, _filter, users in results.matrix(figures)), default=None)
    if most is None:
        return Finding(UNKNOWN, "")
    return Finding(UNKNOWN, f"at most {most:,} users were measured: 5,000 connections are not 5,000 users of Odoo")


def saturation(figures):
    """Judge whether requests fail if connections run out."""
    limit = (figures.get("setup") or {}).get("max_connections")
    runs = [
        run
        for pair in results.matrix(figures).values()
        for run in pair.direct
        if limit and run.get("backends") and run["backends"] >= SATURATED * limit and run.get("failures") is not None
    ]
    shares = [results.failures(run) / max(run["requests"], 1) for run in runs]
    if not runs:
        return Finding(UNKNOWN, "no direct run reached the limit")
    failing_runs = sum(share >= 0.01 for share in shares)
    slowest = max((run["p95"] for run in runs if run["p95"] is not None), default=None)
    text = f"{len(runs)} direct runs had at least {SATURATED * limit:.0f} backends\n"
    text += f"in {failing_runs} of them at least 1 % of the requests failed\nhighest p95: {number(slowest)} s"
    return Finding(verdict([share >= 0.01 for share in shares], True), text)


def agreement(figures):
    """Judge whether the addon's samples show the peak of the backends."""
    runs = [run for pair in results.matrix(figures).values() for rows in pair for run in rows if run.get("backends")]
    sampled = [run for run in runs if (field("samples", "used_max")(run)) is not None]
    close = [abs(run["samples"]["used_max"] - run["backends"]) <= max(3, 0.2 * run["backends"]) for run in sampled]
    if not runs:
        return Finding(UNKNOWN, "")
    text = f"in {sum(close)} of {len(sampled)} runs with samples; {len(runs) - len(sampled)} other runs have none"
    return Finding(verdict([*close, *[False] * (len(runs) - len(sampled))]) if sampled else NOT_HELD, text)


def sale_served(figures):
    """Judge whether the sale loses requests."""
    phases = {
        phase["side"]: phase
        for phase in (figures.get("sale") or {}).get("phases", [])
        if phase.get("failures") is not None and phase.get("refused") is not None
    }
    if set(phases) != set(results.SIDES):
        return Finding(UNKNOWN, "")
    refused = {side: phase["refused"] for side, phase in phases.items()}
    failed = {side: results.failures(phase) for side, phase in phases.items()}
    texts = [
        f"{side}: {number(failed[side])} requests failed, {number(refused[side])} connections refused"
        for side in results.SIDES
    ]
    return Finding(verdict([failed["pooled"] == refused["pooled"] == 0 and failed["direct"] > 0]), "\n".join(texts))


def sale_agrees(figures):
    """Judge whether Locust, the metrics and the chatter show the sale at the same time."""
    minutes = (figures.get("sale") or {}).get("minutes") or []
    tests = {
        "failed requests": lambda row: row["failures"],
        "refused requests in the metrics": lambda row: row["refused"],
        "alert in the chatter": lambda row: not all(map(is_resolved, row["messages"])),
        "resolved in the chatter": lambda row: any(map(is_resolved, row["messages"])),
    }
    if not minutes:
        return Finding(UNKNOWN, "")
    found = {label: [n for n, row in enumerate(minutes, 1) if test(row)] for label, test in tests.items()}
    texts = [f"{label}: {f'first in minute {numbers[0]}' if numbers else 'never'}" for label, numbers in found.items()]
    failed, refused, alerts, resolved = found.values()
    agree = bool(alerts) and all(any(abs(n - alerts[0]) <= 1 for n in numbers) for numbers in (failed, refused))
    is_resolved_later = agree and any(n >= alerts[0] for n in resolved)
    return Finding(verdict([is_resolved_later]), "\n".join(texts))


def is_resolved(message):
    return "resolved" in message.lower()


CLAIMS = [
    Claim(
        "PgBouncer serves 5,000 clients at once. PostgreSQL with 100 connections cannot.",
        "In every turn, all of them are served through PgBouncer, and not all directly.",
        crowd,
        "These clients stay connected. Clients that leave make room for others, also without PgBouncer.",
    ),
    Claim(
        "With PgBouncer an Odoo serves 5,000 users.",
        "Less than 1 % of the requests of 5,000 users of Odoo fail. No run has so many users.",
        many_users,
        "",
    ),
    Claim(
        "PostgreSQL's CPU falls from 100 % to 20 %.",
        "CPU seconds of PostgreSQL and PgBouncer for 1,000 requests: at most 0.2 of those directly, in each plan.",
        in_groups(results.database_cpu, at_most(0.2)),
        "Pooling saves the cost of opening connections. An Odoo that keeps its connections has little of it."
        " Its queries cost as much as before.",
    ),
    Claim(
        "PostgreSQL has fewer backends.",
        "Peak of the backends: at most 0.9 of that directly, in each plan.",
        in_groups(field("backends"), at_most(0.9)),
        "A few workers use a few connections: there is little to save.",
    ),
    Claim(
        "PostgreSQL needs less memory.",
        "Peak of PostgreSQL's memory (PSS): at most 0.9 of that directly, in each plan.",
        in_groups(field("memory", "postgresql"), at_most(0.9)),
        "Each backend that PostgreSQL does not need saves some megabytes. With as many backends, nothing is saved.",
    ),
    Claim(
        "Pooling makes every Odoo faster.",
        "Requests/s: at least 1.1 times those directly, in each plan.",
        in_groups(field("rps"), at_least(1.1), is_universal=True),
        "Pooling can save only the time in which Odoo opens connections, or waits for one. Workers keep most of theirs."
        " With a `dbfilter`, each page of a visitor without a session opens one to the database `postgres`.",
    ),
    Claim(
        "Pages arrive sooner.",
        "p95: at most 0.9 of that directly, in each plan.",
        in_groups(field("p95"), at_most(0.9)),
        "Odoo's own work takes most of the time of a page.",
    ),
    Claim(
        "Short connections become cheap.",
        "pgbench with a new connection for each transaction: at least twice the transactions/s, and no turn below 1.",
        in_storm("new", at_least(2)),
        "",
    ),
    Claim(
        "Pooling costs nothing.",
        "pgbench with connections that are kept: at least 0.95 times the transactions/s.",
        in_storm("kept", lambda ratio: ratio.median >= 0.95),
        "Each query passes through one more process, and PgBouncer uses one core only. This counts most"
        " with short queries.",
    ),
    Claim(
        "When connections run out, requests fail.",
        "In each direct run with at least 90 % of `max_connections` in use, at least 1 % of the requests fail.",
        saturation,
        "A site becomes slow before a request fails. Monitoring that counts errors shows nothing then.",
    ),
    Claim(
        "The addon's samples show the load.",
        "In each run, the highest sample differs from the peak of the backends by at most 20 %, or 3.",
        agreement,
        "A sample is taken every few seconds: a short peak can lie between two. Odoo takes the samples itself, and a"
        " sample that gets no connection is missing.",
    ),
    Claim(
        "In a flash sale, no request is lost through PgBouncer.",
        "Through PgBouncer, no request fails and no connection is refused. Directly, requests fail.",
        sale_served,
        "Odoo itself can be the limit: a request that waits too long for a worker fails as well.",
    ),
    Claim(
        "The chatter, the metrics and Locust show the sale at the same time.",
        "At most a minute before or after the first alert in the chatter, requests fail and the metrics count refused"
        " requests. A message of that minute or later says that it is resolved.",
        sale_agrees,
        "The addon samples once a minute. Odoo takes the samples itself, and one that gets no connection is missing.",
    ),
]


def judge(figures):
    """Return [(Claim, Finding)]."""
    return [(claim, claim.judge(figures)) for claim in CLAIMS]
