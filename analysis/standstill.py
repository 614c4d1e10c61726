"""Why the sampler has not run: the likely reason, from what is stored and what one Odoo process knows of itself."""

from dataclasses import dataclass, field

# These are somebody's decision. The others are failures.
DELIBERATE = ("neutralized", "off")


@dataclass
class Facts:
    """What is known of a sampler that has not run for three of its intervals.

    :ivar bool exists: the scheduled action does
    :ivar bool is_active: the scheduled action is
    :ivar bool is_neutralized: the database is a neutralized copy
    :ivar bool is_changed: somebody changed the scheduled action since its last run
    :ivar bool is_recent: it ran within its last three intervals
    :ivar int failures: how many of its runs failed, since the last one that did not
    :ivar bool is_planned: the time of its next run is in the future
    :ivar list waiting: names of modules that wait to be installed, upgraded or removed
    :ivar bool is_outdated: the database's version of the module base is not that of the source
    :ivar list running: ids of the scheduled actions that run now
    :ivar int id: of the sampler's
    :ivar bool did_others_run: another scheduled action did since the sampler should have
    :ivar bool is_served: the cron workers of this Odoo server serve the database
    :ivar int workers: how many cron workers this Odoo server is configured to have
    :ivar int ended: how many of them have ended, and nothing restarts them
    """

    exists: bool = True
    is_active: bool = True
    is_neutralized: bool = False
    is_changed: bool = False
    is_recent: bool = False
    failures: int = 0
    is_planned: bool = False
    waiting: list = field(default_factory=list)
    is_outdated: bool = False
    running: list = field(default_factory=list)
    id: int = 0
    did_others_run: bool = False
    is_served: bool = True
    workers: int = 2
    ended: int = 0


def likely_reason(facts):
    """Return the code of the likely reason.

    What is known for certain comes first, what holds for every Odoo server comes before what holds for this one.
    """
    if not facts.exists:
        return "deleted"
    if not facts.is_active:
        if facts.is_neutralized:
            return "neutralized"
        return "off" if facts.is_changed else "deactivated"
    if facts.id in facts.running:
        return "running"
    if facts.is_recent:
        return "failing" if facts.failures else "no_samples"
    return _reason_of_odoo(facts) or _reason_of_server(facts)


def _reason_of_odoo(facts):
    """Return the reason that holds for every Odoo server, None if there is none."""
    if facts.waiting:
        return "modules"
    if facts.is_outdated:
        return "outdated"
    if facts.is_planned:
        return "planned"
    if facts.running:
        return "busy"
    return "skipped" if facts.did_others_run else None


def _reason_of_server(facts):
    """Return the reason that holds for the Odoo server of this process: others may have cron workers, too."""
    if not facts.workers:
        return "no_workers"
    if not facts.is_served:
        return "not_served"
    return "ended" if facts.ended >= facts.workers else "stopped"
