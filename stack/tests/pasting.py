"""Remedies of findings, applied as their steps are printed."""

import re

from support import run_program

_OPTION = re.compile(r"(\w+)\s*=\s*('(?:[^']|'')*'|\S*)")


def merged(line, options):
    """Return a line of ``[databases]`` or ``[users]`` with options added, in place of those of the same name."""
    values = dict(_OPTION.findall(line)) | dict(_OPTION.findall(options))
    return " ".join(f"{name}={value}" for name, value in values.items())


def assignments(lines):
    """Return name -> value of lines of a configuration file."""
    pairs = (line.partition("=") for line in lines)
    return {name.strip(): value.strip() for name, _sign, value in pairs}


def limit_files(server, limit):
    """Limit how many files a server may open, from its next start on. What it may raise that to stays as it is."""
    command = type(server).command
    server.command = lambda: ["prlimit", f"--nofile={limit}:", *command(server)]


class Pasting:
    """Applies steps to the servers of an installation.

    :param installation: with ``odoo``, ``postgresql``, ``suspended_odoo()``, ``restart_odoo()`` and
        ``restart_postgresql()``
    """

    def __init__(self, installation):
        self.installation = installation
        # What is to be done when all lines are pasted: (what, PgBouncer or None).
        self.due = {}

    def paste(self, server, step):
        """Paste the lines of a step.

        :param PgBouncer server: that the finding is about, or None
        :param dict step: a Step of `advice.findings`
        """
        getattr(self, f"_paste_{step['place']}")(server, step["lines"])
        if step["apply"]:
            self.due[step["apply"], server] = None

    def follow(self):
        """Do what makes the lines take effect, each once."""
        for what in ("postgresql", "restart", "reload", "reconnect", "odoo"):
            for server in [server for due, server in self.due if due == what]:
                getattr(self, f"_{what}")(server)
        self.due.clear()

    def _paste_pgbouncer(self, server, lines):
        server.settings = server.settings | assignments(lines)

    def _paste_users(self, server, lines):
        server.users = server.users | assignments(lines)

    def _paste_databases(self, server, lines):
        known = server.lines()
        for name, options in assignments(lines).items():
            server.databases = server.databases | {name: merged(known.get(name) or known.get("*", ""), options)}

    def _paste_console(self, server, lines):
        for line in lines:
            server.execute(line)

    def _paste_psql(self, _server, lines):
        arguments = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "postgres")
        run_program("psql", self.installation.postgresql, *arguments, input="\n".join(lines))

    def _paste_shell(self, server, lines):
        """Of a unit of systemd, which a test cannot have, the limit of open files is what matters."""
        [limit] = re.findall(r"LimitNOFILE=(\d+)", "\n".join(lines))
        limit_files(server, limit)

    def _paste_odoo(self, _server, lines):
        self.installation.set_options(assignments(lines))

    def _paste_queue_job(self, _server, lines):
        self.installation.set_options(assignments(lines), "queue_job")

    def _paste_environment(self, _server, lines):
        self.installation.set_variables(self.installation.variables | assignments(lines))

    def _reload(self, server):
        server.command()
        server.execute("RELOAD")

    def _reconnect(self, server):
        self._reload(server)
        server.execute("RECONNECT")

    def _restart(self, server):
        with self.installation.suspended_odoo():
            server.kill()
            server.start()

    def _odoo(self, _server):
        self.installation.restart_odoo()

    def _postgresql(self, _server):
        self.installation.restart_postgresql()
