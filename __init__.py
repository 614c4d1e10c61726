import shutil

from . import controllers, models


def uninstall_hook(env):
    """System parameters that the settings page made belong to no module, nor do files."""
    shutil.rmtree(env["connection.endpoint"]._gate_folder(), ignore_errors=True)
    env["ir.config_parameter"].search([("key", "=like", "pgbouncer_monitor.%")]).unlink()
