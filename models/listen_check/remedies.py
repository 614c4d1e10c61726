"""What to configure so that the listeners receive notifications."""

import getpass
import shlex
import sys

from odoo import api, models
from odoo.tools import SQL, config

# Where Debian's PostgreSQL has its unix socket: it does not tell ordinary roles.
SOCKET_FOLDER = "/var/run/postgresql"


def _user_name():
    """The user that runs Odoo; a container's may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "odoo"


def _is_loopback(host):
    return host in ("localhost", "::1") or host.startswith(("127.", "/"))


class ConnectionCheck(models.Model):
    _inherit = "connection.check"

    @api.model
    def _way_override(self, steps):
        pool = steps["pooler"]["pool"] or {}
        host, port = pool.get("server") or (None, None)  # as PgBouncer itself goes there
        if not host:
            host, port = self._postgresql_address(steps["pooler"]["hearing"])
        return {
            "title": self.env._(
                "In pgbouncer.ini, under [databases]. If there is a line for postgres, add what is missing in it:"
            ),
            "lines": f"postgres = host={host} port={port} pool_mode=session pool_size={steps['slots']['needed']}",
            "then": self.env._(
                "Then run RELOAD in PgBouncer's console, and restart Odoo: its listeners must connect anew. This mends "
                "the bus and cron."
            ),
        }

    @api.model
    def _way_queue_job(self, steps):
        host, port = self._direct_address(steps["pooler"]["hearing"])
        return {
            "title": self.env._("In odoo.conf, so that queue_job's runner listens on PostgreSQL itself:"),
            "lines": f"[queue_job]\njobrunner_db_host = {host}\njobrunner_db_port = {port}",
            "then": self.env._("Then restart Odoo."),
        }

    @api.model
    def _direct_address(self, hearing):
        """Where Odoo may reach PostgreSQL itself."""
        host, port = self._postgresql_address(hearing)
        if _is_loopback(host) and not _is_loopback(config["db_host"] or "localhost"):
            host = config["db_host"]  # PgBouncer and PostgreSQL are on one host, and Odoo is on another
        return host, port

    @api.model
    def _ways_direct(self, hearing):
        """Lead the bus around the pooler."""
        host, port = self._direct_address(hearing)
        bus_port = config["gevent_port"] + 1
        command = (sys.executable, sys.argv[0], "gevent", "-c", config["config"] or "/etc/odoo/odoo.conf")
        unit = [
            "[Unit]",
            "Description=Odoo's bus on a database connection of its own",
            "After=network.target",
            "",
            "[Service]",
            f"User={_user_name()}",
            f"ExecStart={shlex.join(command)} --db_host={host} --db_port={port} --gevent-port={bus_port}",
            "Restart=always",
            "",
            "[Install]",
            "WantedBy=multi-user.target",
        ]
        return [
            {
                "title": self.env._(
                    "Or lead the bus alone to PostgreSQL, with the OCA's module bus_alt_connection in the addons path. "
                    "In odoo.conf, under [options]:"
                ),
                "lines": "\n".join(
                    (
                        "server_wide_modules = " + ",".join([*config["server_wide_modules"], "bus_alt_connection"]),
                        f"imdispatcher_db_host = {host}",
                        f"imdispatcher_db_port = {port}",
                    )
                ),
                "then": self.env._("Then restart Odoo. The cron workers stay where they are."),
            },
            {
                "title": self.env._(
                    "Or run the bus as a service of its own on a direct connection, in "
                    "/etc/systemd/system/odoo-bus.service:"
                ),
                "lines": "\n".join(unit),
                "then": self.env._(
                    "Then run systemctl enable --now odoo-bus, and lead /websocket there, as below. The cron workers "
                    "stay where they are."
                ),
            },
            *self._ways_proxy(bus_port),
        ]

    @api.model
    def _ways_proxy(self, port=None):
        """Lead the websocket to the bus process."""
        port = port or (config["gevent_port"] if config["workers"] else config["http_port"])
        lines = [
            "location /websocket {",
            f"    proxy_pass http://127.0.0.1:{port};",
            "    proxy_http_version 1.1;",
            "    proxy_set_header Upgrade $http_upgrade;",
            '    proxy_set_header Connection "upgrade";',
            "    proxy_set_header Host $http_host;",
            "    proxy_set_header X-Forwarded-Host $http_host;",
            "    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
            "    proxy_set_header X-Forwarded-Proto $scheme;",
            "}",
        ]
        return [
            {
                "title": self.env._("In the server block of nginx, with the host where the bus process is:"),
                "lines": "\n".join(lines),
                "then": self.env._("Then run nginx -s reload."),
            }
        ]

    @api.model
    def _ways_restart(self):
        title = self.env._("Restart Odoo: its listeners then connect anew. Check again when no long job runs.")
        return [{"title": title}]

    @api.model
    def _is_pooled(self):
        """Whether a pooler is in the path of Odoo's own connection."""
        return self.env.cr._cnx.info.backend_pid != self.env["connection.endpoint"]._own_connection("pg_backend_pid()")

    @api.model
    def _postgresql_address(self, hearing):
        """Where PostgreSQL is, as it says itself: host and port."""
        if hearing["server"]:
            return hearing["server"]
        query = SQL("SELECT COALESCE(host(inet_server_addr()), %s), current_setting('port')::int", SOCKET_FOLDER)
        return self.env.execute_query(query)[0]
