import shutil

from . import controllers, models


def uninstall_hook(env):
    """Delete what belongs to no module: files, and the system parameters of the settings page."""
    shutil.rmtree(env["connection.endpoint"]._gate_folder(), ignore_errors=True)
    env["ir.config_parameter"].search([("key", "=like", "pgbouncer_monitor.%")]).unlink()
