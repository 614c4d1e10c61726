"""Sites whose servers are broken, and fixed as the remedies of the LISTEN check say."""

import re
import shlex
import time
from contextlib import closing
from threading import Thread

import psycopg2

from servers import LOCALHOST, Odoo, PgBouncer, free_port, make_certificate
from sites import ATTEMPTS, Site


class EditedPgBouncer(PgBouncer):
    """A PgBouncer with a section [users]."""

    users = {}

    def command(self):
        command = super().command()
        path = self.folder / "pgbouncer.ini"
        lines = [f"{name} = {line}\n" for name, line in self.users.items()]
        path.write_text(path.read_text() + "\n[users]\n" + "".join(lines))
        return command

    def console(self, command):
        password = self.passwords[self.admin]
        with closing(
            psycopg2.connect(host=LOCALHOST, port=self.port, user=self.admin, password=password, dbname="pgbouncer")
        ) as connection:
            connection.autocommit = True
            connection.cursor().execute(command)


class Service(Odoo):
    """The process that a unit of systemd starts."""

    def __init__(self, folder, port, command):
        super().__init__(folder, port, port, {})
        self.words = command

    def command(self):
        return self.words


class BrokenSite(Site):
    """A site that is OK at first. Then it is broken, and fixed as the remedies say."""

    service = None
    has_new_line = False

    def start_pgbouncers(self):
        case = self.topology
        line = f"host={LOCALHOST} port={self.pair.postgresql.port}"
        if case.outer:
            self.inner = self.add_pgbouncer("inner", self.lines(line))
            line = f"host={LOCALHOST} port={self.inner.port}"
            databases = {"postgres": None, "*": line}
            self.pgbouncer = self.add_pgbouncer("outer", databases, {"pool_mode": "session"})
        else:
            settings = case.settings | (self.tls_settings() if case.is_tls else {})
            self.pgbouncer = self.inner = self.add_pgbouncer("pgbouncer", self.lines(line), settings, case.suite)
        options = {"db_host": LOCALHOST, "db_port": self.pgbouncer.port}
        if password := case.passwords.get("odoo"):
            options["db_password"] = password
        return options | {"db_sslmode": "require" if case.is_tls else "prefer"}

    def tls_settings(self):
        key, certificate = self.folder / "key.pem", self.folder / "certificate.pem"
        make_certificate(key, certificate, PgBouncer.user)
        return {
            "client_tls_sslmode": "require",
            "client_tls_key_file": key,
            "client_tls_cert_file": certificate,
        }

    def lines(self, server):
        values = {"server": server, "password": self.pair.passwords["odoo"]}
        return {name: line and line.format(**values) for name, line in self.topology.databases.items()}

    def add_pgbouncer(self, name, databases, settings=None, suite=None):
        passwords = self.pair.passwords | self.topology.passwords
        passwords = {user: password for user, password in passwords.items() if password}
        server = EditedPgBouncer(
            self.folder / name, free_port(), self.pair.postgresql, passwords, databases, settings or {}, suite
        )
        return self.add(server)

    def add_endpoint(self, server):
        if self.topology.outer != "unwatched" or server != self.inner:
            super().add_endpoint(server)

    def by_title(self, title):
        """Return the PgBouncer that a remedy names."""
        if "In pgbouncer.ini of 127.0.0.1:" in title:
            return self.inner
        name = re.search(r"the PgBouncer (\w+)", title)[1]
        return next(server for server in self.servers if server.folder.name == name)

    def break_it(self):
        """Change the configuration, so that something is wrong, and reload or restart what reads it."""
        changes = self.topology.broken
        if databases := changes.get("databases"):
            line = f"host={LOCALHOST} port={self.pair.postgresql.port}"
            values = {"server": line, "password": self.pair.passwords["odoo"], "own": self.database}
            for name, changed in databases.items():
                self.inner.databases[name.format(**values)] = changed and changed.format(**values)
        if users := changes.get("users"):
            self.inner.users = users
        if settings := changes.get("settings"):
            self.inner.settings |= settings
        if command := changes.get("console"):
            # PAUSE ends when the clients that have a server are gone.
            Thread(target=self.inner.console, args=[command], daemon=True).start()
            time.sleep(1)
        else:
            self.restart(self.inner)
        if options := changes.get("options"):
            ports = {"pooler": self.pgbouncer.port, "closed": free_port()}
            self.set_options({name: value.format(**ports) for name, value in options.items()})
        if not changes.get("is_running"):
            self.restart(self.odoo)

    def check(self):
        """Return the checks; again if a job was late, because cron workers may still be starting."""
        for _attempt in range(ATTEMPTS):
            checks = self.page.check()
            if checks["cron"]["verdict"] != "unknown":
                break
        return checks

    def set_options(self, options):
        text = self.odoo.configuration.read_text()
        for name in options:
            text = re.sub(rf"^{name} = .*\n", "", text, flags=re.MULTILINE)
        self.odoo.configuration.write_text(text + "".join(f"{name} = {value}\n" for name, value in options.items()))

    def restart(self, server):
        server.kill()
        server.start()
        if server in (self.odoo, self.service):
            self.wait_for_bus()

    # How each remedy is applied: what its title says, with its lines.

    def apply_override(self, title, lines):
        databases, name = self.by_title(title).databases, re.search(r"to the line for (\w+)", title)[1]
        assert "first copy the line *" in title
        self.has_new_line = not databases.get(name)
        databases[name] = f"{databases.get(name) or databases['*']} {lines}"

    apply_behind = apply_override

    def apply_copy(self, title, lines):
        databases = self.by_title(title).databases
        name, own = re.search(r"the line for (\w+) a copy of the line for (\w+), or of the line \*", title).groups()
        line = re.sub(r"\bdbname=\S+", "", databases.get(own) or databases["*"])
        databases[name] = f"{line} {lines}"

    def apply_user(self, title, lines):
        server, user = self.by_title(title), re.search(r"the line for (\w+) outranks", title)[1]
        if removed := re.search(r"Remove (pool_mode=\w+) from it", title):
            server.users = server.users | {user: server.users[user].replace(removed[1], "")}
        if size := re.search(r"Set its pool_size to (\d+)", title):
            server.users = server.users | {user: re.sub(r"pool_size=\d+", f"pool_size={size[1]}", server.users[user])}
        for name, line in server.databases.items() if lines else ():
            if name != "postgres" and line:
                server.databases[name] = f"{line} {lines}"

    def apply_alias(self, title, _lines):
        databases = self.by_title(title).databases
        alias, name = re.search(r"remove (dbname=\S+) from the line for (\w+)", title).groups()
        databases[name] = databases[name].replace(alias, "")

    def apply_console(self, title, lines):
        self.by_title(title).console(lines)

    apply_resume = apply_enable = apply_console

    def apply_alt_connection(self, title, lines):
        assert "In odoo.conf, section [options]" in title
        self.set_options(dict(line.split(" = ") for line in lines.splitlines()))

    def apply_service(self, _title, lines):
        command = shlex.split(re.search(r"^ExecStart=(.*)$", lines, re.MULTILINE)[1])
        port = int(next(word for word in command if word.startswith("--gevent-port=")).partition("=")[2])
        self.bus_port = port
        self.service = Service(self.odoo.folder.parent / "odoo-bus", port, command)
        self.servers.append(self.service)

    def apply_proxy(self, _title, lines):
        command = self.nginx.command

        def pasted():
            words = command()
            path = self.nginx.folder / "nginx.conf"
            location = re.compile(r" *location /websocket \{.*?\}\n", re.DOTALL)
            path.write_text(location.sub(lambda _found: f"{lines}\n", path.read_text()))
            return words

        self.nginx.command = pasted

    apply_service_proxy = apply_proxy

    def follow(self, titles, then):
        """Do what the remedies say is to be done in the end."""
        servers = [self.by_title(title) for title in titles if "pgbouncer.ini" in title]
        is_restart = "restart PgBouncer and Odoo" in then
        is_restart |= "or restart PgBouncer if the line is new" in then and self.has_new_line
        for server in servers:
            if is_restart:
                self.restart(server)
            elif "RELOAD" in then:
                server.reload()
        if "systemctl enable --now odoo-bus" in then:
            self.service.start()
        if "restart Odoo" in then or "PgBouncer and Odoo" in then or "when Odoo is restarted" in then:
            self.restart(self.odoo)
        if "nginx -s reload" in then:
            self.restart(self.nginx)
