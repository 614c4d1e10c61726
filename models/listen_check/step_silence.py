"""The step that leaves connections idle for longer than many proxies and settings allow: not on the page, because it
takes a minute."""

import time

from odoo import api, models
from odoo.tools import config

from ...odoo_internals import bus_info, listener_info
from ...probes import listen, query

# Timeouts of 50 and 60 s are common in TCP proxies.
SILENCE_SECONDS = 65
# What the other steps may take before Odoo ends a cron worker that runs for too long.
OTHER_SECONDS = 35


class ConnectionCheckRun(models.TransientModel):
    _inherit = "connection.check.run"

    def _step_silence(self):
        limit = config["limit_time_real_cron"]
        limit = config["limit_time_real"] if limit < 0 else limit
        if 0 < limit < SILENCE_SECONDS + OTHER_SECONDS:
            return {"level": "unknown", "code": "no_time", "limit": limit, "cron": None, "bus": None}
        infos = {"cron": listener_info(), "bus": bus_info()}
        if infos["cron"] == infos["bus"]:
            del infos["bus"]
        self._commit_before_waiting()
        seconds = SILENCE_SECONDS + listen.TOTAL_SECONDS
        jobs = {
            name: ("", 0, lambda _hosts, _deadline, info=info: self._probe_silently(info))
            for name, info in infos.items()
        }
        results = query.in_parallel(jobs, seconds + query.HAND_OVER_SECONDS)
        results.setdefault("bus", results["cron"])
        # A service of its own may have another route.
        routes = {tuple(process["result"]["route"] or ()) for process in self.steps["bus"]["processes"]}
        if routes != {listen.route(infos.get("bus", infos["cron"]))}:
            results["bus"] = None
        is_good = all(result is None or result["outcome"] == "delivered" for result in results.values())
        return {"level": "ok" if is_good else "warning", "code": "tested"} | results

    @api.model
    def _probe_silently(self, info):
        return listen.probe(info, lambda: time.sleep(SILENCE_SECONDS), SILENCE_SECONDS)[0]._asdict()

    @api.model
    def _describe_silence(self, facts):
        if facts["code"] == "no_time":
            return (
                self.env._("Nothing."),
                self.env._("Odoo ends a cron worker after %s s (limit_time_real_cron).", facts["limit"]),
                self.env._("Whether an idle connection is closed is unknown."),
            )
        done = self.env._("Left connections of the listeners idle for %s s, then sent NOTIFY.", SILENCE_SECONDS)
        seen = [
            f"{label}: {self._describe_result(facts[name])[0]}"
            for name, label in (("bus", self.env._("Bus")), ("cron", self.env._("Cron")))
            if facts[name]
        ]
        means = (
            self.env._("Connections stay open while nothing is sent.")
            if facts["level"] == "ok"
            else self.env._("A connection is closed, or no longer usable, after some time without traffic.")
        )
        return done, " ".join(seen), means
