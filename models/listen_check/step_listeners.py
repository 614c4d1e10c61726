"""The step that accounts for the listeners of Odoo that PostgreSQL and PgBouncer show."""

import re
import time
from collections import Counter
from datetime import timedelta

import psutil

from odoo import api, fields, models
from odoo.tools import config

from ...analysis import components, listeners, readings
from ...analysis.listeners import Connection
from ...analysis.listening import LISTENER_SECONDS
from ...analysis.readings import CONSOLE
from ...odoo_internals import listener_info, local_ends, server_pids, system_database
from ...probes.errors import QueryError
from ...tools import labelled

# The pause before it is read again.
AGAIN_SECONDS = 1


def is_gevent(pid):
    """Return whether a process is one of Odoo's bus, by its command line."""
    try:
        return "gevent" in psutil.Process(pid).cmdline()
    except psutil.Error:
        return False


class ConnectionCheckRun(models.TransientModel):
    _inherit = "connection.check.run"

    def _step_listeners(self):
        facts = self._account_for_listeners()
        if facts["unasked"]:  # a process that has just ended could not be found: a listener lasts
            self._commit_before_waiting()
            time.sleep(AGAIN_SECONDS)
            self.env.cr.cache.clear()
            self.env.invalidate_all()
            facts = self._account_for_listeners()
        return facts | {"level": "warning" if facts["deaf_cron"] or facts["unasked"] or facts["unread"] else "ok"}

    def _account_for_listeners(self):
        clients, sessions = self._listening_clients(), self._listening_sessions()
        found, local, pids = [*clients, *sessions], local_ends(), set(server_pids())
        processes = self.steps["bus"]["processes"]
        asked = {tuple(end) for process in processes for end in process["ends"]}
        unknown = listeners.unaccounted(found, self._connections_here(), local, asked | pids)
        recognized = listeners.recognized(found, local, asked | pids)
        # The bus of this server has a verdict of its own, or nobody uses it.
        workers = {pid for pid in pids if not is_gevent(pid)} - {process["pid"] for process in processes}
        own = config["max_cron_threads"] + max(len(processes), 1)
        keys = [(process["host"], process["port"]) for process in processes]
        elsewhere = self.env["connection.check"]._count_elsewhere([*keys, (self._host(), config["http_port"])])
        return {
            "direct": len(sessions),
            "count": len(clients),
            # A key of JSON is a string.
            "by_endpoint": dict(Counter(str(client.endpoint_id) for client in clients)),
            "own": own,
            # Behind a proxy or NAT its own listeners cannot be told from others: there they are only counted.
            "unasked": max(0, len(unknown) - elsewhere - max(0, own - len(recognized))),
            "unknown": [connection.name for connection in unknown],
            "deaf_cron": [
                connection.name
                for connection in listeners.recognized(clients, local, workers)
                if connection.is_deaf and connection.end not in asked
            ],
            "unread": [
                {"id": endpoint.id, "name": endpoint.name, "reason": answer.reason, "detail": answer.detail}
                for endpoint, answer in self.env["pgbouncer.client"]._answers().items()
                if isinstance(answer, QueryError)
            ],
        }

    @api.model
    def _listening_clients(self):
        """Return the Connections of Odoo to PgBouncer's database on which it listens that last longer than anything but
        a listener."""
        database, user = system_database(), listener_info().get("user")
        clients = self.env["pgbouncer.client"].search([("database", "in", (CONSOLE, database))])
        # The servers of a PgBouncer in front of another one are clients there.
        servers = {(server.local_addr, server.local_port) for server in self.env["pgbouncer.server"].search([])}
        found = []
        for of_endpoint in clients.grouped("endpoint_id").values():
            # PgBouncer's times are in its own zone: the newest console is the one that was just opened.
            consoles = of_endpoint.filtered(lambda client: client.database == CONSOLE)
            now = max(filter(None, consoles.mapped("connect_time")), default=None)
            for client in of_endpoint - consoles:
                age = readings.age(client.connect_time, now)
                is_listener = age is not None and age > LISTENER_SECONDS and client.state != "waiting"
                is_odoo = client.user == (user or client.user) and self._is_odoo(client.application_name)
                if is_listener and is_odoo and (client.addr, client.port) not in servers:
                    found.append(self._of_client(client))
        return found

    @api.model
    def _is_odoo(self, name):
        """Return whether the name of a client may be one of Odoo's."""
        return components.is_odoo_name(name, config["db_app_name"])

    @api.model
    def _of_client(self, client):
        end = None if client.addr == "unix" else (client.addr, client.port)
        program, is_deaf = client.application_name or "", not client.server_id
        return Connection(client.display_name, end, client.remote_pid or None, program, is_deaf, client.endpoint_id.id)

    @api.model
    def _listening_sessions(self):
        """Return the Connections of Odoo to PostgreSQL itself that are idle for longer than anything but a listener."""
        since = fields.Datetime.now() - timedelta(seconds=LISTENER_SECONDS)
        domain = [("component", "=", "odoo_listener"), ("state", "=", "idle"), ("backend_start", "<", since)]
        return [self._of_session(session) for session in self.env["pg.stat.activity"].search(domain)]

    @api.model
    def _of_session(self, session):
        # Over a unix socket, the process is known by the name that Odoo gives itself.
        digits = not session.client_addr and re.search(r"\d+", session.application_name or "")
        end = (session.client_addr, session.client_port) if session.client_addr else None
        return Connection(str(session.pid), end, digits and int(digits[0]), session.application_name or "")

    def _connections_here(self):
        """Return the Connections of Odoo to its own database."""
        dbname = self.env.cr.dbname
        clients = self.env["pgbouncer.client"].search([("database", "=", dbname)])
        sessions = self.env["pg.stat.activity"].search([("datname", "=", dbname), ("component", "=", "odoo_worker")])
        return [*map(self._of_client, clients), *map(self._of_session, sessions)]

    @api.model
    def _describe_listeners(self, facts):
        seen = [
            self.env._("Direct connections of Odoo to postgres: %s.", facts["direct"]),
            self.env._(
                "Clients of PgBouncer that are listeners of Odoo: %(count)s. Cron workers of this server that have no "
                "server of the pool: %(deaf)s.",
                count=facts["count"],
                deaf=len(facts["deaf_cron"]),
            ),
        ]
        means = []
        if facts["deaf_cron"]:
            means.append(self.env._("These cron workers receive no notifications: %s.", ", ".join(facts["deaf_cron"])))
        if facts["unasked"]:
            means.append(
                self.env._(
                    "Listeners of Odoo that no check has covered: %(count)s of %(names)s.",
                    count=facts["unasked"],
                    names=", ".join(facts["unknown"]),
                )
            )
        means += map(self._unread_text, facts["unread"])
        done = self.env._("Searched for Odoo's long-lived connections to postgres.")
        return done, " ".join(seen), " ".join(means) or self.env._("All listeners that were found are accounted for.")

    @api.model
    def _unread_text(self, unread):
        """Return in words why the clients of an endpoint could not be read."""
        endpoint = self.env["connection.endpoint"].browse(unread["id"]).exists()
        if not endpoint:
            return labelled(self.env, unread["name"], unread["detail"] or unread["reason"])
        return labelled(self.env, unread["name"], endpoint._explain(QueryError(unread["reason"], unread["detail"]))[0])
