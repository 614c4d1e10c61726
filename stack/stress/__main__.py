"""`make stress`: measure Odoo directly on PostgreSQL and through PgBouncer, and write stress/report.html.

``QUICK=1`` measures less. ``URL=…`` sends the load to a site of one's own instead, see `own_site`.
"""

import contextlib
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import psutil

from servers import ServerError, step

from . import own_site, raw, report, sale, terminal
from .matrix import FAILURES, Matrix
from .sides import MAX_CONNECTIONS, template
from .sizes import SIZES

MODULES = "pgbouncer_monitor,website"
# Seconds of a measurement of the raw part, and of a phase of the sale, until one is measured.
RAW_SECONDS, SALE_SECONDS = 8, 230
SALE_PHASES = 2


def machine():
    """Return what this machine is."""
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = psutil.virtual_memory().total
    return {"cores": psutil.cpu_count(), "memory": memory, "cpu": found[1] if found else platform.machine()}


def versions(side, odoo):
    """Return the versions of the servers.

    :param Side side: with a PgBouncer
    """

    def output(*command):
        found = subprocess.run(command, env=odoo.environment(), capture_output=True, text=True, check=True)
        return found.stdout.split()

    [(postgresql,)] = side.postgresql.execute("SHOW server_version")
    return {
        "odoo": output(*odoo.odoo("--version"))[-1],
        "postgresql": postgresql.split()[0],
        "pgbouncer": output(side.pgbouncer.program, "--version")[1],
        "locust": version("locust"),
    }


class Run:
    """A run of the stress test. The figures are written after each measurement: what is measured is not lost.

    :param Size size: what is measured
    :param Path output: the folder for figures.json and report.html
    """

    def __init__(self, size, output):
        self.size, self.output = size, output
        parts = {"matrix": (Matrix.count(size), Matrix.seconds(size)), "raw": (raw.count(size), RAW_SECONDS)}
        parts |= {"sale": (SALE_PHASES, SALE_SECONDS)} if size.has_sale else {}
        self.screen = terminal.Screen(terminal.Progress(parts))
        self.figures = {"format": 1, "kind": "stack", "size": size.name, "ended_early": True, "problems": []}
        self.figures |= {"started_at": time.time(), "ended_at": None, "machine": machine(), "versions": None}
        self.figures |= {"setup": {"max_connections": MAX_CONNECTIONS, "servers": []}}
        self.figures |= {"matrix": [], "raw": {"at_once": [], "storm": []}, "sale": None}
        output.mkdir(exist_ok=True)

    def measure(self, template):
        """Measure all parts. One that fails is left out.

        :param Template template: of the sides
        """
        parts = [self.measure_matrix, self.measure_raw, *([self.measure_sale] if self.size.has_sale else [])]
        for part in parts:
            try:
                part(template)
            except FAILURES as error:
                self.figures["problems"].append(str(error).strip())
                self.screen.show(f"FAILED: {error}")
        self.figures["ended_early"] = False

    def measure_matrix(self, template):
        with contextlib.ExitStack() as stack:
            sides = [stack.enter_context(template.side(name)) for name in ("direct", "pooled")]
            matrix = Matrix(*sides, template.logins, self.size)
            self.screen.show(terminal.LINE.format(*terminal.HEADER))
            self.screen.start()
            before = None
            for run in matrix.run():
                self.figures["matrix"].append(run)
                self.figures["setup"]["servers"] = matrix.servers
                self.figures["versions"] = self.figures["versions"] or versions(sides[1], template.odoo)
                self.done("matrix", terminal.matrix_row(run))
                if run["side"] == "pooled":
                    self.screen.show(terminal.ratio_row(before, run), is_last=True)
                before = run

    def measure_raw(self, template):
        self.screen.start()
        with contextlib.closing(raw.measure(template.folder / "raw", self.size)) as found:
            for kind, row in found:
                self.figures["raw"][kind].append(row)
                self.done("raw", terminal.raw_row(kind, row))

    def measure_sale(self, template):
        with template.side("sale") as side, contextlib.closing(sale.run(side, template.logins)) as found:
            self.screen.start()
            for figures in found:
                self.figures["sale"] = figures
                self.done("sale", terminal.sale_row(figures))

    def done(self, part, text):
        """A measurement has ended: keep it, and show it."""
        self.save()
        self.screen.done(part, text)

    def save(self):
        """Write figures.json, in one step."""
        self.figures["ended_at"] = time.time()
        new = self.output / "figures.json.new"
        new.write_text(json.dumps(self.figures, indent=1))
        new.replace(self.output / "figures.json")

    def report(self):
        """Write the report of what was measured. Return whether that is all."""
        self.save()
        path = self.output / "report.html"
        report.write(self.figures, path)
        is_complete = not self.figures["ended_early"] and not self.figures["problems"]
        self.screen.end()
        print(f"{'Done' if is_complete else 'Incomplete'}: {path}")
        return is_complete


def measure(size, output, new_template):
    """Run the stress test. Return whether all was measured.

    :param new_template: a function that returns the Template as a context manager
    """
    run = Run(size, output)
    try:
        with new_template() as found:
            run.measure(found)
    except KeyboardInterrupt:
        run.screen.show("Interrupted: the servers have been stopped.")
    finally:
        is_complete = run.report()
    return is_complete


def main():
    if os.environ.get("URL"):
        sys.exit(own_site.main())
    size = SIZES["quick" if os.environ.get("QUICK") else "full"]
    # As an exception, so that the servers are stopped.
    signal.signal(signal.SIGTERM, lambda *_args: sys.exit("terminated"))
    step("Starting PostgreSQL, and installing the module and a website (about a minute)")
    try:
        sys.exit(not measure(size, own_site.OUTPUT, lambda: template(MODULES)))
    except (ServerError, subprocess.CalledProcessError) as error:
        sys.exit(f"FAILED: {error}")


if __name__ == "__main__":
    main()
