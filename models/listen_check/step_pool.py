"""The steps about the pool through which Odoo listens: who else listens there, and whether it is large enough."""

from odoo import api, models
from odoo.tools import config

from ...analysis import listening, readings
from ...analysis.listening import LISTENER_SECONDS
from ...analysis.readings import CONSOLE
from ...odoo_internals import system_database
from ...probes.errors import QueryError


class ConnectionCheckRun(models.TransientModel):
    _inherit = "connection.check.run"

    def _step_listeners(self):
        clients = self._listening_clients()
        deaf = clients.filtered(lambda client: not client.server_id)
        facts = {
            "direct": self.env["pg.stat.activity"].search_count([("component", "=", "odoo_listener")]),
            "count": len(clients),
            "deaf": len(deaf),
            "deaf_clients": deaf.mapped("display_name"),
            "unread": [
                {"id": endpoint.id, "name": endpoint.name, "reason": answer.reason, "detail": answer.detail}
                for endpoint, answer in self.env["pgbouncer.client"]._answers().items()
                if isinstance(answer, QueryError)
            ],
        }
        return facts | {"level": "warning" if deaf or facts["unread"] else "ok"}

    @api.model
    def _describe_listeners(self, facts):
        seen = [
            self.env._("%s connections of Odoo to postgres are direct.", facts["direct"]),
            self.env._(
                "%(count)s clients of PgBouncer have been connected to postgres for more than %(seconds)s s. %(deaf)s "
                "of them have no server.",
                count=facts["count"],
                seconds=LISTENER_SECONDS,
                deaf=facts["deaf"],
            ),
        ]
        means = []
        if facts["deaf"]:
            means.append(
                self.env._(
                    "If these clients listen, they receive no notifications: %s.", ", ".join(facts["deaf_clients"])
                )
            )
        means += map(self._unread_text, facts["unread"])
        done = self.env._("Searched for long-lived connections to postgres.")
        return (
            done,
            " ".join(seen),
            " ".join(means) or self.env._("No other listener was found that receives no notifications."),
        )

    @api.model
    def _unread_text(self, unread):
        """Return in words why the clients of an endpoint could not be read."""
        endpoint = self.env["connection.endpoint"].browse(unread["id"]).exists()
        if not endpoint:
            return f"{unread['name']}: {unread['detail'] or unread['reason']}"
        return f"{unread['name']}: {endpoint._explain(QueryError(unread['reason'], unread['detail']))[0]}"

    @api.model
    def _listening_clients(self):
        """Return the clients of Odoo's listeners' database that are connected for longer than anything but a
        listener."""
        database = system_database()
        clients = self.env["pgbouncer.client"].search([("database", "in", (CONSOLE, database))])
        listening_clients = clients.browse()
        for of_endpoint in clients.grouped("endpoint_id").values():
            # PgBouncer's times are in its own zone: the newest console is the one that was just opened.
            consoles = of_endpoint.filtered(lambda client: client.database == CONSOLE)
            now = max(filter(None, consoles.mapped("connect_time")), default=None)
            for client in of_endpoint - consoles:
                age = readings.age(client.connect_time, now)
                if age is not None and age > LISTENER_SECONDS:
                    listening_clients |= client
        return listening_clients

    def _step_slots(self):
        route, count = self.steps["pooler"], self.steps["listeners"]["count"]
        listeners = config["max_cron_threads"] + 1
        at_once = max(config["workers"], 1) + config["max_cron_threads"]
        held = max(listeners, count)
        pool = route["pool"] or {}
        code, level = listening.slots(pool, route["result"]["is_pooled"], held, at_once)
        return {
            "level": level,
            "code": code,
            "needed": held + at_once,
            "listeners": listeners,
            "count": count,
            "at_once": at_once,
            "has_filter": bool(config["dbfilter"]),
            "pool_size": pool.get("pool_size"),
            "client_idle_timeout": pool.get("client_idle_timeout"),
        }

    @api.model
    def _describe_slots(self, facts):
        done = self.env._("Compared the pool size of postgres with the number of connections that are needed.")
        means = self._slots_meanings(facts)[facts["code"]]
        if facts["code"] in ("unneeded", "unwatched"):
            return done, self.env._("None of the monitored pools of postgres is in session mode."), means
        size = facts["pool_size"]
        seen = self.env._(
            "pool_size is %(size)s. This Odoo's listeners occupy %(listeners)s servers permanently: one for each cron "
            "worker, and one for the bus. Clients that listen there now: %(count)s. Up to %(at_once)s more "
            "connections are needed briefly: each HTTP and cron worker may send a NOTIFY or answer a health check.",
            size="?" if size is None else size,
            listeners=facts["listeners"],
            count=facts["count"],
            at_once=facts["at_once"],
        )
        if facts["has_filter"]:
            seen += " " + self.env._(
                "With dbfilter, each page of a visitor who is not signed in also reads the list of databases from "
                "postgres."
            )
        return done, seen, means

    @api.model
    def _slots_meanings(self, facts):
        return {
            "unneeded": self.env._("Not relevant: listeners occupy servers permanently in session mode only."),
            "unwatched": self.env._("Unknown: add the PgBouncer to the endpoints."),
            "cut_off": self.env._(
                "client_idle_timeout is %s s: PgBouncer disconnects idle clients, such as listeners. Odoo's bus then "
                "receives no notifications for 50 s. Set it to 0.",
                facts["client_idle_timeout"],
            ),
            "too_small": self.env._(
                "The pool is too small: when all listeners are connected, a NOTIFY gets no server, and the request "
                "that sends it waits until query_wait_timeout. Any page may send one. Raise pool_size."
            ),
            "unknown": self.env._("The pool size is unknown."),
            "tight": self.env._("The pool is large enough. Under load, some connections wait for a moment."),
            "enough": self.env._("The pool is large enough."),
        }
