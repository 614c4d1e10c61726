"""PostgreSQL, PgBouncer and a database with the module for the tests, kept between runs.

`bring_up_to_date` applies what has changed since the last run:

- data, security, the manifest or Odoo: it installs the module anew, because an update does not change records that
  users may have changed;
- other Python code and views: it updates the module;
- static files: it generates the assets of the pages again.

The tests run in a copy of the database, so that nothing they commit remains.
"""

import hashlib
import json
import shutil
import subprocess

from servers import CHECKOUT, LOCALHOST, MODULE, STACK, Odoo, Pair, data_root, free_port, postgresql_program, step

DATABASE = "test"
INSTALLED = "installed"
ROOT = data_root() / "test"
POOL_SIZES = {"tiny": 1, "kiosk": 1, "till": 5, "desk": 5}
ODOO = STACK / "test-odoo"
# The files on which an installation, an update and the pages' assets depend.
PARTS = {
    "installation": ["__manifest__.py", "data", "security", "stack/requirements.txt"],
    "update": ["*.py", "advice", "analysis", "controllers", "i18n", "models", "planner", "probes", "views"],
    "pages": ["__manifest__.py", "static"],
}
# Debian's package of Odoo lacks this file. Without this record each page would log an error, which fails a tour.
LEFT_OUT = "mail/static/lib/selfie_segmentation/selfie_segmentation.js"
# Generate the assets once: each tour would generate them again, because a test's changes are rolled back.
PREPARE_PAGES = f"""
from odoo.tools.misc import file_path
try:
    file_path({LEFT_OUT!r})
except FileNotFoundError:
    values = {{"name": {LEFT_OUT!r}, "bundle": "web.assets_backend", "directive": "remove", "path": {LEFT_OUT!r}}}
    env["ir.asset"].search([("name", "=", {LEFT_OUT!r})]) or env["ir.asset"].create(values)
env["ir.qweb"]._pregenerate_assets_bundles()
env.cr.commit()
"""


def fingerprint(patterns):
    """Return a hash of the names and contents of files, and of Odoo's version."""
    digest = hashlib.sha256(str((STACK / "odoo").resolve()).encode())
    for path in sorted(path for pattern in patterns for path in CHECKOUT.glob(pattern)):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(CHECKOUT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


class Installed:
    """The servers, as a context manager that starts and stops them. See the module's docstring.

    :param bool is_new: remove what an earlier run left
    """

    def __init__(self, is_new=False):
        self.state = ROOT / "installed.json"
        kept = json.loads(self.state.read_text()) if self.state.exists() and not is_new else {}
        if kept.get("postgresql") != postgresql_program("postgres"):
            kept = {}  # a major version cannot read the files of another
        self.fingerprints = kept.get("fingerprints", {})
        self.passwords = kept.get("passwords") or Pair.new_passwords()
        self._new_pair().stop()  # the servers of a run that was killed
        if not kept:
            shutil.rmtree(ROOT)
            shutil.rmtree(ODOO, ignore_errors=True)
        self.pair = self._new_pair()
        self.odoo = Odoo(ODOO, free_port(), free_port(), self.pair.odoo_options())

    def _new_pair(self):
        ports = {"postgresql": free_port(), "pgbouncer": free_port()}
        postgresql = f"host={LOCALHOST} port={ports['postgresql']}"
        databases = {"quiet": f"{postgresql} dbname=shop"}
        databases |= {name: f"{databases['quiet']} pool_size={size}" for name, size in POOL_SIZES.items()}
        # PgBouncer may forget a database that only “*” knows just when its only client logs in.
        databases[DATABASE] = f"{postgresql} dbname={DATABASE}"
        return Pair(ROOT, ports, self.passwords, databases)

    def __enter__(self):
        try:
            self.pair.start()
            self.bring_up_to_date()
        except BaseException:
            self.pair.stop()
            raise
        return self

    def __exit__(self, *_error):
        self.pair.stop()

    def bring_up_to_date(self):
        """Install or update the module, and generate the assets, if their files have changed.

        :raise ServerError: it failed
        """
        now = {part: fingerprint(patterns) for part, patterns in PARTS.items()}
        changed = {part for part in PARTS if self.fingerprints.get(part) != now[part]}
        if "installation" in changed:
            step(f"Installing {MODULE} into an empty database")
            self.pair.postgresql.execute(f"DROP DATABASE IF EXISTS {INSTALLED} WITH (FORCE)")
            self.odoo.install(INSTALLED)
        elif "update" in changed:
            step(f"Updating {MODULE}")
            self.odoo.install(INSTALLED, "-u")
        if changed & {"installation", "pages"}:
            step("Generating the assets")
            self.odoo.run("shell", "-d", INSTALLED, "--no-http", input=PREPARE_PAGES.encode())
        self.state.touch(mode=0o600)
        kept = {"postgresql": postgresql_program("postgres"), "passwords": self.passwords, "fingerprints": now}
        self.state.write_text(json.dumps(kept))

    def copy(self):
        """Create DATABASE as a copy, with its attachments."""
        self.pair.postgresql.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{INSTALLED}'",
            f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)",
            f"CREATE DATABASE {DATABASE} TEMPLATE {INSTALLED} OWNER odoo",
        )
        attachments = self.odoo.data / "filestore"
        shutil.rmtree(attachments / DATABASE, ignore_errors=True)
        shutil.copytree(attachments / INSTALLED, attachments / DATABASE)

    def dump(self):
        """Return the database as SQL."""
        command = [postgresql_program("pg_dump"), INSTALLED]
        environment = self.pair.environment(STACK / "test.pgpass")
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
