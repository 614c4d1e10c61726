"""Sites whose servers are broken, and fixed as the remedies of the LISTEN check say."""

import re
import shlex
import time
from contextlib import closing
from threading import Thread

from servers import LOCALHOST, Odoo, PgBouncer, free_port
from sites import Site
from users import ATTEMPTS


class Service(Odoo):
    """The process that a unit of systemd starts."""

    def __init__(self, folder, port, command):
        super().__init__(folder, port, port, {})
        self.words = command

    def command(self):
        return self.words


def paste_location(proxy, lines):
    """Make an Nginx start with these lines in place of its location for websockets."""
    command = proxy.command

    def pasted():
        words = command()
        path = proxy.folder / "nginx.conf"
        location = re.compile(r" *location /websocket \{.*?\}\n", re.DOTALL)
        path.write_text(location.sub(lambda _found: f"{lines}\n", path.read_text()))
        return words

    proxy.command = pasted


class BrokenSite(Site):
    """A site that is OK at first. Then it is broken, and fixed as the remedies say."""

    has_new_line = False

    def __init__(self, topology, pair, template):
        super().__init__(topology, pair, template)
        passwords = self.passwords | topology.passwords
        self.passwords = {user: password for user, password in passwords.items() if password}

    @property
    def inner(self):
        """The PgBouncer that connects to PostgreSQL."""
        return next(server for server in self.servers if isinstance(server, PgBouncer))

    def start_pgbouncers(self):
        super().start_pgbouncers()
        if password := self.topology.passwords.get("odoo"):
            self.pool["db_password"] = password

    def add_pgbouncer(self, name, databases, settings=None, port=None):
        return super().add_pgbouncer(name, databases | self.lines(self.topology.databases), settings, port)

    def lines(self, databases):
        """Return lines of [databases], filled in."""
        server = f"host={LOCALHOST} port={self.pair.postgresql.port}"
        values = {"server": server, "password": self.pair.passwords["odoo"], "own": self.database}
        return {name.format(**values): line and line.format(**values) for name, line in databases.items()}

    def add_endpoint(self, server):
        if self.topology.is_inner_watched or server != self.inner:
            super().add_endpoint(server)

    def by_title(self, title):
        """Return the PgBouncer that a remedy names."""
        if "In pgbouncer.ini of 127.0.0.1:" in title:
            return self.inner
        name = re.search(r"PgBouncer “(\w+)”", title)[1]
        return next(server for server in self.servers if server.folder.name == name)

    def break_it(self):
        """Change the configuration, so that something is wrong, and reload or restart what reads it."""
        changes = self.topology.broken
        if self.topology.postgres is False:
            self.reject_role()
        else:
            self.break_pgbouncer(changes)
        ports = {"pooler": self.servers[0].port, "closed": free_port()}
        if options := changes.get("options"):
            self.set_options({name: value.format(**ports) for name, value in options.items()})
        if variables := changes.get("variables"):
            self.set_variables({name: value.format(**ports) for name, value in variables.items()})
        if words := changes.get("service"):
            self.append_to_service([words.format(**ports)])
            self.restart(self.buses[0])
        if not changes.get("is_running"):
            self.restart(self.odoo)

    def reject_role(self):
        path = self.postgresql.data / "pg_hba.conf"
        path.write_text(f"host postgres odoo all reject\n{path.read_text()}")
        self.postgresql.execute("SELECT pg_reload_conf()")

    def break_pgbouncer(self, changes):
        self.inner.databases |= self.lines(changes.get("databases", {}))
        if users := changes.get("users"):
            self.inner.users = users
        if command := changes.get("console"):
            # PAUSE ends when the clients that have a server are gone.
            Thread(target=self.inner.execute, args=[command], daemon=True).start()
            time.sleep(1)
        else:
            self.restart(self.inner)

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

    def set_variables(self, variables):
        environment = self.odoo.environment() | variables
        self.odoo.environment = lambda: environment

    def append_to_service(self, words):
        [service] = self.buses
        command = [*service.command(), *words]
        service.command = lambda: command

    def restart(self, server):
        server.kill()
        server.start()
        if server in (self.odoo, *self.buses):
            self.wait_for_bus()

    # How each remedy is applied: what its title says, with its lines.

    def apply_override(self, title, lines):
        databases, name = self.by_title(title).databases, re.search(r"to the line for (\w+)", title)[1]
        assert "first copy the line *" in title
        self.has_new_line = not databases.get(name)
        databases[name] = f"{databases.get(name) or databases['*']} {lines}"

    def apply_behind(self, title, lines):
        assert "add it to the endpoints" in title
        super().add_endpoint(self.inner)
        self.apply_override(title, lines)

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
        self.by_title(title).execute(lines)

    apply_resume = apply_enable = apply_console

    def apply_alt_connection(self, title, lines):
        assert "In odoo.conf, section [options]" in title
        self.set_options(dict(line.split(" = ") for line in lines.splitlines()))

    def apply_alt_variables(self, _title, lines):
        self.set_variables(dict(line.split("=") for line in lines.splitlines()))

    def apply_service(self, _title, lines):
        command = shlex.split(re.search(r"^ExecStart=(.*)$", lines, re.MULTILINE)[1])
        port = int(next(word for word in command if word.startswith("--gevent-port=")).partition("=")[2])
        self.bus_ports = [port]
        self.buses = [Service(self.odoo.folder.parent / "odoo-bus", port, command)]
        self.servers += self.buses

    def apply_service_options(self, title, lines):
        assert "append this to its command" in title
        self.append_to_service(shlex.split(lines))

    def apply_watch(self, title, _lines):
        assert f"the PgBouncer at {LOCALHOST}:{self.pgbouncer.port} to the endpoints" in title
        super().add_endpoint(self.pgbouncer)

    def apply_idle_timeout(self, title, lines):
        assert "as Odoo's role" in title
        connection = self.postgresql.connect(user="odoo", password=self.passwords["odoo"])
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(lines)

    def apply_role(self, title, lines):
        assert "in pg_hba.conf" in title
        path = self.postgresql.data / "pg_hba.conf"
        path.write_text(path.read_text().replace("host postgres odoo all reject\n", ""))
        self.postgresql.execute("SELECT pg_reload_conf()", lines)

    def apply_proxy(self, _title, lines):
        paste_location(self.proxy, lines)

    apply_service_proxy = apply_proxy

    def follow(self, titles, then):
        """Do what the remedies say is to be done in the end."""
        servers = [self.by_title(title) for title in titles if "pgbouncer.ini" in title]
        if "run RECONNECT in its admin console" in then:
            self.inner.execute("RECONNECT")
        is_restart = "restart PgBouncer and Odoo" in then
        is_restart |= "or restart PgBouncer if the line is new" in then and self.has_new_line
        for server in servers:
            if is_restart:
                self.restart(server)
            elif "RELOAD" in then:
                server.reload()
        if "systemctl enable --now odoo-bus" in then:
            self.buses[0].start()
        if "restart Odoo" in then or "PgBouncer and Odoo" in then or "when Odoo is restarted" in then:
            self.restart(self.odoo)
        if "the bus if it is a separate service" in then or "restart that service" in then:
            for bus in self.buses:
                self.restart(bus)
        if "nginx -s reload" in then:
            self.restart(self.proxy)
