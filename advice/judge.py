"""Apply the rules to a snapshot."""

import logging

from . import limits, odoo, pgbouncer, postgresql, security, watch
from .findings import LEVELS, Gap, Unknown

_logger = logging.getLogger(__name__)

ROOMS = (limits, pgbouncer, postgresql, odoo, security, watch)
# Rules that are called for each console that answers, as ``rule(console, snapshot)``.
CONSOLE_RULES = tuple(rule for room in ROOMS for rule in room.CONSOLE_RULES)
# Rules that are called once, as ``rule(snapshot)``.
RULES = tuple(rule for room in ROOMS for rule in room.RULES)
# Rules whose findings depend on the Odoo server that reads: on its odoo.conf, or on how it connects to PostgreSQL. If
# several servers run scheduled actions, each of them makes readings; what one finds, another one cannot deny.
OF_SERVER = frozenset(
    (
        *(rule.__name__ for rule in (*odoo.CONSOLE_RULES, *odoo.RULES)),
        *("jobs_block", "connection_limit", "short_timeout"),
        *("postgres_missing", "pool_mode_postgres", "disabled_databases"),
        *("long_queue", "cut_off", "idle_clients"),
        *("own_address", "sampler_late", "unwatched_pooler"),
    )
)


def judge(snapshot):
    """Return what the rules find, and what they cannot judge.

    Each rule is a generator of Findings, which raises Unknown if it cannot judge; what it found before counts.

    :param Snapshot snapshot: of the installation
    :return: (Findings, Gaps). The findings are in the order of LEVELS
    """
    findings, gaps = [], []
    calls = [(rule, None, (snapshot,)) for rule in RULES]
    for console in snapshot.consoles.values():
        if console.is_answering:
            calls += [(rule, console.key, (console, snapshot)) for rule in CONSOLE_RULES]
        else:
            gaps += [Gap(rule.__name__, console.key, "console", {"name": console.name}) for rule in CONSOLE_RULES]
    for rule, key, arguments in calls:
        try:
            findings.extend(rule(*arguments))
        except Unknown as unknown:
            gaps.append(Gap(rule.__name__, key, unknown.needs, unknown.figures))
        except Exception as error:  # an unforeseen value must not cost the other rules
            # Only the log has the text, which may name what not everybody may read.
            _logger.exception("The rule %s failed", rule.__name__)
            gaps.append(Gap(rule.__name__, key, "failed", {"error": type(error).__name__}))
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level)), gaps


def rule_of(code):
    """Return the name of the rule that finds a code: the longest one that the code is, or begins with."""
    names = [rule.__name__ for rule in (*CONSOLE_RULES, *RULES)]
    return max((name for name in names if f"{code}_".startswith(f"{name}_")), key=len, default=code)
