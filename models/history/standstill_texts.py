"""The words for why the sampler has not run, and what to do. Imports no models."""

from odoo.tools import LazyTranslate

# pylint: disable=prefer-env-translation  # no environment here: ``env._`` translates the texts when they are shown
_lt = LazyTranslate(__name__)

LOG = _lt("Read the errors of “%(action)s” in Odoo's log.")

# Code of `analysis.standstill` -> (the likely reason, what to do). The values are those of `_standstill_values`.
REASONS = {
    "deleted": (
        _lt("The scheduled action was deleted."),
        _lt("Upgrade the module PgBouncer Monitor: this creates it again."),
    ),
    "neutralized": (
        _lt("This database is a neutralized copy, where scheduled actions are off."),
        _lt("If this copy should take samples, enable “Log Connection Pressure” in the Settings."),
    ),
    "off": (
        _lt("“Log Connection Pressure” is disabled in the Settings."),
        _lt("Enable “Log Connection Pressure” in the Settings."),
    ),
    "deactivated": (
        _lt("Odoo deactivated the scheduled action after %(ran_at)s UTC, as it does when all runs of a week fail."),
        _lt("Read the errors of that time in Odoo's log, then enable “Log Connection Pressure” in the Settings."),
    ),
    "running": (
        _lt("A run that started at %(started_at)s UTC has not ended: %(process)s."),
        _lt("Restart this process, or terminate PID %(backend)s in the sessions of PostgreSQL."),
    ),
    "failing": (_lt("Runs of the scheduled action that failed, in a row: %(failures)s."), LOG),
    "no_samples": (
        _lt(
            "The scheduled action ran at %(ran_at)s UTC and stored nothing: another transaction may lock the endpoints."
        ),
        _lt("Check the longest transactions on the Overview, and the errors of “%(action)s” in Odoo's log."),
    ),
    "modules": (
        _lt("Odoo runs no scheduled action while modules are to be installed, upgraded or removed: %(modules)s."),
        _lt("Complete or cancel this in Apps."),
    ),
    "outdated": (
        _lt("Odoo runs no scheduled action: the module base has another version in the database than in the source."),
        _lt("Stop Odoo, and upgrade the module: odoo -u base -d %(database)s"),
    ),
    "planned": (
        _lt("The next run is planned for %(next_at)s UTC."),
        _lt("Set an earlier time: Settings > Technical > Scheduled Actions > “%(action)s”."),
    ),
    "busy": (
        _lt("The cron workers may be busy. Running since %(started_at)s UTC: %(jobs)s; %(process)s."),
        _lt(
            "If the scheduled action hangs, restart its process. Otherwise configure more cron workers: "
            "max_cron_threads."
        ),
    ),
    "skipped": (_lt("Other scheduled actions have run since."), LOG),
    "no_workers": (
        _lt("Odoo on %(host)s has no cron workers: max_cron_threads is 0. Whether other servers have any is unknown."),
        _lt("Start an Odoo server with cron workers, or restart the one that has them."),
    ),
    "not_served": (
        _lt(
            "The cron workers of Odoo on %(host)s do not serve this database: it is not in db_name or, without "
            "db_name, belongs to another role than Odoo's. Whether other servers serve it is unknown."
        ),
        _lt(
            "On the server whose cron workers should serve this database, correct db_name or the database user, and "
            "restart Odoo."
        ),
    ),
    "ended": (
        _lt(
            "All cron threads of Odoo on %(host)s have ended, as they do when they lose their connection and cannot "
            "connect again. Whether other servers have any is unknown."
        ),
        _lt("Restart Odoo on %(host)s (PID %(pid)s)."),
    ),
    "stopped": (
        _lt("No scheduled action of this database runs: the cron workers hang or have no connection."),
        _lt("Restart the Odoo servers that have cron workers, such as Odoo on %(host)s (PID %(pid)s)."),
    ),
}
