"""What to configure so that the listeners receive notifications: facts of a check, and lines to paste."""

import getpass
import shlex
import sys

from odoo import api, models
from odoo.tools import SQL, config

from ...odoo_internals import protocol_pid, system_database

# Where Debian's PostgreSQL has its unix socket: ordinary roles cannot read it from PostgreSQL.
SOCKET_FOLDER = "/var/run/postgresql"


def user_name():
    """Return the name of the user that runs Odoo; a container's may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "odoo"


def is_loopback(host):
    return host in ("localhost", "::1") or host.startswith(("127.", "/"))


def override_lines(facts):
    target = f"host={facts['host']} port={facts['port']}"
    return [f"{facts['database']} = {target} pool_mode=session pool_size={facts['pool_size']}"]


def alt_connection_lines(facts):
    return [
        "server_wide_modules = " + ",".join([*facts["modules"], "bus_alt_connection"]),
        f"imdispatcher_db_host = {facts['host']}",
        f"imdispatcher_db_port = {facts['port']}",
    ]


def service_lines(facts):
    options = f"--db_host={facts['host']} --db_port={facts['port']} --gevent-port={facts['bus_port']}"
    return [
        "[Unit]",
        "Description=Odoo's bus on a database connection of its own",
        "After=network.target",
        "",
        "[Service]",
        f"User={facts['user']}",
        f"ExecStart={shlex.join(facts['command'])} {options}",
        "Restart=always",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]


def proxy_lines(facts):
    return [
        "location /websocket {",
        f"    proxy_pass http://127.0.0.1:{facts['bus_port']};",
        "    proxy_http_version 1.1;",
        "    proxy_set_header Upgrade $http_upgrade;",
        '    proxy_set_header Connection "upgrade";',
        "    proxy_set_header Host $http_host;",
        "    proxy_set_header X-Forwarded-Host $http_host;",
        "    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "    proxy_set_header X-Forwarded-Proto $scheme;",
        "}",
    ]


# The code of a remedy -> the function that makes its lines.
LINES = {
    "override": override_lines,
    "alt_connection": alt_connection_lines,
    "service": service_lines,
    "service_proxy": proxy_lines,
    "proxy": proxy_lines,
}


class ConnectionCheck(models.Model):
    _inherit = "connection.check"

    @api.model
    def _remedy_facts(self, code, steps):
        """Return what a remedy needs to be put into words.

        :param str code: see `analysis.listening.Conclusion`
        :param dict steps: what the steps found
        """
        here, facts = steps["pooler"], {"code": code}
        if code == "override":
            host, port = (here["pool"] or {}).get("server") or (None, None)  # as PgBouncer itself connects
            if not host:
                host, port = self._postgresql_address(here["result"])
            target = {"host": host, "port": port, "database": system_database()}
            return facts | target | {"pool_size": steps["slots"]["needed"]}
        if code == "proxy":
            return facts | {"bus_port": config["gevent_port"] if config["workers"] else config["http_port"]}
        bus_port = config["gevent_port"] + 1
        if code == "service_proxy":
            return facts | {"bus_port": bus_port}
        if code == "alt_connection":
            modules = list(config["server_wide_modules"])
            return facts | self._direct_address(steps["bus"]["bus"]["result"]) | {"modules": modules}
        if code == "service":
            command = [sys.executable, sys.argv[0], "gevent", "-c", config["config"] or "/etc/odoo/odoo.conf"]
            service = {"user": user_name(), "command": command, "bus_port": bus_port}
            return facts | self._direct_address(steps["bus"]["bus"]["result"]) | service
        return facts

    @api.model
    def _remedy_words(self, facts):
        """Return a remedy in words: its ``title``, and where there are any, ``lines`` to paste, and what to do
        ``then``.

        :param dict facts: of `_remedy_facts`; or these words themselves, in a check before 2.0
        """
        if "title" in facts:
            return facts
        code = facts["code"]
        words = {"title": self._remedy_titles()[code]}
        if code in LINES:
            words |= {"lines": "\n".join(LINES[code](facts)), "then": self._remedy_sequels()[code]}
        return words

    @api.model
    def _remedy_titles(self):
        proxy = self.env._("In nginx's server block, with the host of the bus process:")
        return {
            "override": self.env._(
                "In pgbouncer.ini, section [databases]. If it has a line for postgres, add what is missing there:"
            ),
            "alt_connection": self.env._(
                "Or connect only the bus to PostgreSQL directly, with the OCA's module bus_alt_connection in the "
                "addons path. In odoo.conf, section [options]:"
            ),
            "service": self.env._(
                "Or run the bus as a separate service with a direct connection, in "
                "/etc/systemd/system/odoo-bus.service:"
            ),
            "service_proxy": proxy,
            "proxy": proxy,
            "restart": self.env._(
                "Restart Odoo, so that its listeners reconnect. Check again when no long job is running."
            ),
            "role": self.env._(
                "Allow Odoo's role to connect to the database postgres: see the reason above, and PostgreSQL's "
                "pg_hba.conf."
            ),
            "logs": self.env._(
                "Find out from the logs of PgBouncer and PostgreSQL why connections to postgres get no answer, add "
                "the PgBouncer to the endpoints, and check again."
            ),
        }

    @api.model
    def _remedy_sequels(self):
        """Return what to do after the lines of a remedy are pasted."""
        reload_nginx = self.env._("Then run nginx -s reload.")
        return {
            "override": self.env._(
                "Then run RELOAD in PgBouncer's console and restart Odoo, because its listeners must reconnect. This "
                "fixes the bus and cron."
            ),
            "alt_connection": self.env._("Then restart Odoo. The cron workers still listen through the pooler."),
            "service": self.env._(
                "Then run systemctl enable --now odoo-bus, and pass /websocket to it, as below. The cron workers "
                "still listen through the pooler."
            ),
            "service_proxy": reload_nginx,
            "proxy": reload_nginx,
        }

    @api.model
    def _is_pooled(self):
        """Return whether a pooler is in the path of Odoo's own connection."""
        return protocol_pid(self.env.cr) != self.env["connection.endpoint"]._own_connection("pg_backend_pid()")

    @api.model
    def _direct_address(self, result):
        """Return where Odoo may reach PostgreSQL itself: ``host`` and ``port``."""
        host, port = self._postgresql_address(result)
        if is_loopback(host) and not is_loopback(config["db_host"] or "localhost"):
            host = config["db_host"]  # PgBouncer and PostgreSQL are on one host, and Odoo is on another
        return {"host": host, "port": port}

    @api.model
    def _postgresql_address(self, result):
        """Return PostgreSQL's own host and port."""
        if result["server"]:
            return result["server"]
        query = SQL("SELECT COALESCE(host(inet_server_addr()), %s), current_setting('port')::int", SOCKET_FOLDER)
        return self.env.execute_query(query)[0]
