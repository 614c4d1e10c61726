"""Who else listens through the pool, and whether it is large enough."""

import sys

from odoo import models
from odoo.sql_db import connection_info_for
from odoo.tools import config

from ...analysis import readings
from ...analysis.readings import CONSOLE
from ...probes import listen
from ...probes.listen import POSTGRES
from .connection_check import is_heard
from .step_route import _where

# A client of the database postgres that is older listens: all else that Odoo does there is short.
LISTENER_SECONDS = 60


class ConnectionCheckRun(models.TransientModel):
    _inherit = "connection.check.run"

    def _look_listeners(self):
        is_listener = [("component", "=", "odoo_listener")]
        direct = self.env["pg.stat.activity"].search_count(is_listener)
        clients = self._old_clients()
        deaf = clients.filtered(lambda client: not client.server_id)
        seen = [
            self.env._("%s connections of Odoo's to postgres are direct.", direct),
            self.env._(
                "%(count)s clients of PgBouncer have been connected to postgres for more than %(seconds)s s, of which "
                "%(deaf)s have no server.",
                count=len(clients),
                seconds=LISTENER_SECONDS,
                deaf=len(deaf),
            ),
        ]
        means, level = [], "ok"
        if deaf:
            level = "warning"
            names = ", ".join(deaf.mapped("display_name"))
            means.append(self.env._("If these listen, they are deaf: %s.", names))
        for notice in self.env["pgbouncer.client"]._notices():
            level = "warning"
            means.append(notice["text"])
        told = {}
        if "queue.job" in self.env:
            runner = sys.modules.get("odoo.addons.queue_job.jobrunner.runner")
            info_for = runner._connection_info_for if runner else lambda name: connection_info_for(name)[1]
            info = info_for(self.env.cr.dbname)
            self._release()
            hearing = listen.probe(info)[0]._asdict()
            told["is_queue_job_deaf"] = not is_heard(hearing)
            seen.append(self.env._("queue_job's runner: %s", self._tell_hearing(hearing)[0]))
            if not is_heard(hearing):
                level = "critical"
                means.append(
                    self.env._(
                        "queue_job listens on the database %(database)s over %(where)s: its jobs wait for a timer. Set "
                        "jobrunner_db_host and jobrunner_db_port in the section [queue_job] of odoo.conf to "
                        "PostgreSQL's own address.",
                        database=self.env.cr.dbname,
                        where=_where(info),
                    )
                )
        return told | {
            "done": self.env._("Looked for long-lived connections to postgres, and for queue_job."),
            "seen": " ".join(seen),
            "means": " ".join(means) or self.env._("Nobody else is seen to be deaf."),
            "level": level,
            "count": len(clients),
            "deaf": len(deaf),
        }

    def _old_clients(self):
        """The clients of postgres that are connected for longer than anything but a listener."""
        clients = self.env["pgbouncer.client"].search([("database", "in", (CONSOLE, POSTGRES))])
        old = clients.browse()
        for of_endpoint in clients.grouped("endpoint_id").values():
            # PgBouncer's times are in its own zone: the newest console is the one that was just opened.
            consoles = of_endpoint.filtered(lambda client: client.database == CONSOLE)
            now = max(filter(None, consoles.mapped("connect_time")), default=None)
            for client in of_endpoint.filtered(lambda client: client.database == POSTGRES):
                age = readings.age(client.connect_time, now)
                if age is not None and age > LISTENER_SECONDS:
                    old |= client
        return old

    def _look_slots(self):
        pool = self.steps["pooler"]["pool"]
        listeners = config["max_cron_threads"] + 1
        at_once = max(config["workers"], 1) + config["max_cron_threads"]
        held = max(listeners, self.steps["listeners"]["count"])
        told = {
            "done": self.env._("Compared the size of the pool of postgres with the connections that it needs."),
            "needed": held + at_once,
        }
        if not pool or pool["pool_mode"] != "session":
            is_pooled = self.steps["pooler"]["hearing"]["is_pooled"]
            return told | {
                "seen": self.env._("There is no pool in session mode that is watched here."),
                "means": self.env._("Nothing: only there listeners hold servers for good.")
                if pool or is_pooled is False
                else self.env._("Not known: add the PgBouncer to the endpoints."),
                "level": "ok" if pool or is_pooled is False else "unknown",
            }
        size = pool["pool_size"]
        seen = self.env._(
            "pool_size is %(size)s. This Odoo's listeners hold %(listeners)s for good: one for each cron worker, and "
            "one for the bus. Clients that listen there now: %(count)s. For a moment each, up to %(at_once)s more "
            "are needed: each HTTP and cron worker may send a NOTIFY or be asked for its health.",
            size="?" if size is None else size,
            listeners=listeners,
            count=self.steps["listeners"]["count"],
            at_once=at_once,
        )
        if config["dbfilter"]:
            seen += " " + self.env._(
                "And with a db_filter each page of a visitor who is not signed in asks postgres for the databases."
            )
        is_short = size is not None and size <= held
        is_cut_off = pool["client_idle_timeout"] not in (None, "0")
        if is_cut_off:
            means = self.env._(
                "client_idle_timeout is %s s: PgBouncer cuts off listeners, which are idle. Then Odoo's bus is deaf "
                "for 50 s. Set it to 0.",
                pool["client_idle_timeout"],
            )
        elif is_short:
            means = self.env._(
                "The pool is too small: when all listeners are connected, a NOTIFY finds no server, and whoever sends "
                "it, which may be any page, waits until query_wait_timeout. Raise pool_size."
            )
        elif size is None:
            means = self.env._("The size of the pool is not known.")
        elif size < held + at_once:
            means = self.env._("It will stay so. When many work at once some of them wait for a moment.")
        else:
            means = self.env._("It will stay so.")
        level = "warning" if is_short or is_cut_off else "unknown" if size is None else "ok"
        return told | {"seen": seen, "means": means, "level": level}
