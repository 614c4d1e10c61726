"""`make test`: everything, on servers of its own that end with it.

1. The module is installed into an empty database by Odoo itself, and makes what its pages load; a warning
   fails the run.
2. The tests of what needs neither Odoo nor a server (pytest).
3. The module's tests, in that database, with HTTP and Chromium (pytest-odoo).
4. The tests of the stack, which start, break and stop servers (pytest).
"""

import shutil
import signal
import subprocess
import sys

from servers import CHECKOUT, LOCALHOST, MODULE, STACK, Odoo, Pair, ServerError, data_root, free_port, step

DATABASE = "test"
ROOT = data_root() / "test"
# Debian's package of Odoo leaves this file out, and each page then logs an error that would fail a tour.
LEFT_OUT = "mail/static/lib/selfie_segmentation/selfie_segmentation.js"
# What a page loads, made once: in a tour it would be made again each time, because all that a test writes is undone.
PREPARE_PAGES = f"""
from odoo.tools.misc import file_path
try:
    file_path({LEFT_OUT!r})
except FileNotFoundError:
    env["ir.asset"].create(
        {{"name": {LEFT_OUT!r}, "bundle": "web.assets_backend", "directive": "remove", "path": {LEFT_OUT!r}}}
    )
env["ir.qweb"]._pregenerate_assets_bundles()
env.cr.commit()
"""


def run_pytest(title, *arguments, environment):
    step(title)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--durations=5", *arguments]
    return subprocess.run(command, cwd=STACK, env=environment, check=False).returncode


def new_pair():
    """Fresh servers. Those of a run that was killed are stopped first."""
    ports = {"postgresql": free_port(), "pgbouncer": free_port()}
    passwords = Pair.new_passwords()
    shop = f"host={LOCALHOST} port={ports['postgresql']} dbname=shop"
    databases = {name: f"{shop} pool_size={size}" for name, size in (("tiny", 1), ("kiosk", 1), ("till", 5))}
    databases["quiet"] = shop
    if ROOT.exists():
        Pair(ROOT, ports, passwords).stop()
        shutil.rmtree(ROOT)
    return Pair(ROOT, ports, passwords, databases)


def main():
    # Ends by the `finally` below, which stops the servers.
    signal.signal(signal.SIGTERM, lambda *_args: sys.exit("terminated"))
    pair = new_pair()
    shutil.rmtree(STACK / "test-odoo", ignore_errors=True)
    odoo = Odoo(STACK / "test-odoo", free_port(), free_port(), pair.odoo_options())
    # Odoo prefers PGHOST to its own db_host, so the tests in it know PostgreSQL by other names.
    environment = odoo.environment() | {
        f"TEST_{name}" if name in ("PGHOST", "PGPORT", "PGUSER") else name: value
        for name, value in pair.environment(STACK / "test.pgpass").items()
    }
    environment["AXE_CORE"] = str(STACK / "axe/node_modules/axe-core/axe.min.js")
    try:
        pair.start()
        step(f"Installing {MODULE} into an empty database")
        odoo.install(DATABASE)
        step("Making what the pages load")
        odoo.run("shell", "-d", DATABASE, "--no-http", input=PREPARE_PAGES.encode())
        if odoo.warnings():
            raise ServerError(f"the installation logged, see {odoo.log}:\n" + "\n".join(odoo.warnings()))
        failed = run_pytest(
            "Tests without Odoo and servers",
            *("-p", "no:odoo"),
            *sys.argv[1:],
            str(CHECKOUT / "tests/pure"),
            environment=environment,
        )
        failed |= run_pytest(
            "The module's tests",
            "--odoo-http",
            "--odoo-log-level=error",
            f"--odoo-config={odoo.configuration}",
            f"--odoo-database={DATABASE}",
            *sys.argv[1:],
            f"--ignore={odoo.folder / 'addons' / MODULE / 'tests/pure'}",
            str(odoo.folder / "addons" / MODULE / "tests"),
            environment=environment,
        )
        failed |= run_pytest(
            "The stack's tests",
            "-p",
            "no:odoo",
            f"--rootdir={CHECKOUT / 'stack'}",
            f"--config-file={CHECKOUT / 'stack/pytest.ini'}",
            *sys.argv[1:],
            str(CHECKOUT / "stack/tests"),
            environment=environment,
        )
    except ServerError as error:
        sys.exit(f"FAILED: {error}")
    finally:
        pair.stop()
    sys.exit(failed)


if __name__ == "__main__":
    main()
