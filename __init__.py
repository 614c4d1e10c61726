import shutil

from . import controllers, models, recorder


def uninstall_hook(env):
    """Delete what belongs to no module: files, and the system parameters of the settings page. The counts of refused
    requests stay: those of all databases and hosts are in one folder."""
    shutil.rmtree(env["connection.endpoint"]._gate_folder(), ignore_errors=True)
    env["ir.config_parameter"].search([("key", "=like", "pgbouncer_monitor.%")]).unlink()
