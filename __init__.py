from . import controllers, models


def uninstall_hook(env):
    """System parameters that the settings page made belong to no module."""
    env["ir.config_parameter"].search([("key", "=like", "pgbouncer_monitor.%")]).unlink()
