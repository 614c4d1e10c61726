"""Odoo with this module on its path."""

import os
import re
import subprocess
import sys

from .process import Server
from .system import CHECKOUT, LOCALHOST, MODULE, SERVICE_USER, STACK, ServerError

# Every Odoo of Debian's package logs these, whatever is installed.
KNOWN_WARNINGS = re.compile(r"PyPDF2 is deprecated")


class Odoo(Server):
    """Odoo 19 with this module on its path.

    :param dict options: more options of odoo.conf
    :param str hostname: of the host that it runs on; by default this one
    """

    name = "odoo"
    start_seconds = 90
    user = None  # the source and the virtual environment are in the caller's home

    def __init__(self, folder, port, gevent_port, options, hostname=None):
        super().__init__(folder, port)
        self.gevent_port = gevent_port
        self.hostname = hostname
        addons = self.folder / "addons"
        # Odoo names an addon after its folder, and the checkout may have another name. The links are to its
        # entries, not to the checkout, because Odoo walks through an addon's folder and would enter .stack.
        module = addons / MODULE
        module.mkdir(parents=True, exist_ok=True)
        for entry in CHECKOUT.iterdir():
            if not entry.name.startswith(".") and entry.name not in ("stack", "stress"):
                (module / entry.name).unlink(missing_ok=True)
                (module / entry.name).symlink_to(entry)
        source = self.source()
        core = [path for path in (source / "odoo/addons", source / "addons") if (path / "web").exists()]
        base = source / "odoo/addons"
        others = STACK / "addons/odoo/addons"  # of the OCA, for the tests
        self.addons_path = list(dict.fromkeys([base, *core, addons, *([others] if others.exists() else [])]))
        self.configuration = self.write(
            "odoo.conf",
            "[options]\n"
            + "".join(
                f"{key} = {value}\n"
                for key, value in (
                    {
                        "addons_path": ",".join(map(str, self.addons_path)),
                        "data_dir": self.data,
                        "http_interface": LOCALHOST,
                        "http_port": port,
                        "gevent_port": gevent_port,
                        "list_db": False,
                        "without_demo": True,
                    }
                    | options
                ).items()
            ),
        )

    @staticmethod
    def source():
        """Return the folder for PYTHONPATH: of Debian's package, or of a source checkout."""
        root = (STACK / "odoo").resolve()
        package = root / "usr/lib/python3/dist-packages"
        return package if package.exists() else root

    def environment(self):
        # Odoo prefers libpq's variables to its configuration file.
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith("PG") or key.startswith("PGBOUNCER_")
        }
        # The bytecode is not written to the source tree, which may be the user's. Without bytecode each start takes
        # seconds longer.
        bytecode = {"PYTHONPYCACHEPREFIX": str(STACK / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
        libraries = f"{self.source()}{os.pathsep}{STACK / 'addons/libraries'}"  # of the OCA's addons
        return inherited | {"PYTHONPATH": libraries} | bytecode

    @property
    def url(self):
        return f"http://{LOCALHOST}:{self.port}"

    def command(self):
        if not self.hostname:
            return self.odoo()
        unshare = ["unshare", "--uts", *([] if SERVICE_USER else ["--map-root-user"])]  # only root may without a map
        return [*unshare, "sh", "-c", f'hostname {self.hostname} && exec "$@"', "sh", *self.odoo()]

    def odoo(self, subcommand="", *options):
        """Return the command line of Odoo's server, or of a subcommand, with this configuration."""
        # Not `python -m odoo`: the prefork server starts the gevent process by the name of this file.
        script = str(self.source() / "setup/odoo")
        return [sys.executable, script, *subcommand.split(), "-c", str(self.configuration), *options]

    def run(self, *arguments, **options):
        """Run an Odoo subcommand to its end and append its output to the log.

        :raise ServerError: it failed
        """
        with open(self.log, "ab") as output:
            ended = subprocess.run(
                self.odoo(*arguments), env=self.environment(), stdout=output, stderr=output, check=False, **options
            )
        if ended.returncode:
            raise ServerError(f"odoo {' '.join(arguments)} failed.\n{self.log_tail()}")

    def install(self, database, option="-i", modules=MODULE):
        """Install the module into a database, or with ``-u`` upgrade it. See `run`.

        :param str modules: others, or more of them, separated by commas
        """
        self.run(
            "server",
            "-d",
            database,
            option,
            modules,
            "--stop-after-init",
            "--no-http",
            "--workers=0",
            "--max-cron-threads=0",
        )

    def warnings(self):
        """Return the lines of its log that are warnings or worse."""
        return [
            line
            for line in self.log.read_text().splitlines()
            if re.match(r"\S+ \S+ \d+ (WARNING|ERROR|CRITICAL) ", line) and not KNOWN_WARNINGS.search(line)
        ]


class OdooBus(Odoo):
    """The gevent process of an Odoo as a separate service."""

    name = "odoo-bus"

    def command(self):
        return self.odoo("gevent")
