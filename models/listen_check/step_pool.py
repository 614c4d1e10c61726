"""The steps about the pool through which Odoo listens: who else listens there, and whether it is large enough."""

from odoo import api, models
from odoo.tools import config

from ...analysis import listening, pressure


class ConnectionCheckRun(models.TransientModel):
    _inherit = "connection.check.run"

    def _step_slots(self):
        here, *others = (
            self._slots(route["result"], route["pool"])
            for route in (self.steps["pooler"], *self.steps["bus"]["processes"])
        )

        def level(found):
            return pressure.severity(found["level"])

        bus = max(others, key=level, default=here)
        return max(bus, here, key=level) | {"here": here["level"], "bus": bus["level"]}

    def _slots(self, result, pool):
        """Return whether the pool of a route is large enough."""
        count = self._listeners_of(pool)
        listeners = config["max_cron_threads"] + 1
        at_once = max(config["workers"], 1) + config["max_cron_threads"]
        held = max(listeners, count)
        code, level = listening.slots(pool, result["is_pooled"], held, at_once)
        pool = pool or {}
        return {
            "level": level,
            "code": code,
            "endpoint": pool.get("endpoint"),
            "needed": held + at_once,
            "listeners": listeners,
            "count": count,
            "at_once": at_once,
            "has_filter": bool(config["dbfilter"]),
            "pool_size": pool.get("pool_size"),
        }

    def _listeners_of(self, pool):
        """Return how many clients listen through the PgBouncer of a pool, of all of them if it is unknown."""
        facts = self.steps["listeners"]
        return facts["by_endpoint"].get(str(pool["endpoint_id"]), 0) if pool else facts["count"]

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
            "too_small": self.env._(
                "The pool is too small: when all listeners are connected, a NOTIFY gets no server, and the request "
                "that sends it waits until query_wait_timeout. Any page may send one. Raise pool_size."
            ),
            "unknown": self.env._("The pool size is unknown."),
            "tight": self.env._("The pool is large enough. Under load, some connections wait for a moment."),
            "enough": self.env._("The pool is large enough."),
        }
