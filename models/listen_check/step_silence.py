"""The step about connections that were left idle: the scheduled check does it, because it takes a minute; other checks
repeat what it found."""

from odoo import api, models

from ...odoo_internals import server_started_at
from ...tools import labelled
from .silence import SILENCE_SECONDS


class ConnectionCheckRun(models.TransientModel):
    _inherit = "connection.check.run"

    def _step_silence(self):
        results = {name: self.silence[name] for name in ("bus", "cron")}
        # A service of its own may have another route.
        routes = [process["result"]["route"] for process in self.steps["bus"]["processes"]]
        if results["bus"] and routes != [results["bus"]["route"]] * len(routes):
            results["bus"] = None
        is_good = all(result is None or result["outcome"] == "delivered" for result in results.values())
        return {"level": "ok" if is_good else "warning", "at": self.silence["at"]} | results

    @api.model
    def _last_silence(self):
        """Return the facts of the last silence on this host since Odoo started, None if it is too old."""
        started_at = server_started_at()
        domain = [("listener", "=", "bus"), ("host", "=", self._host()), ("checked_at", ">=", started_at)]
        for check in self.env["connection.check"].sudo().search(domain) if started_at else ():
            if not check._is_old():
                for facts in check.step_facts or ():
                    if facts["name"] == "silence":
                        return {name: facts[name] for name in ("at", "bus", "cron")}
        return None

    @api.model
    def _describe_silence(self, facts):
        done = self.env._(
            "At %(at)s UTC: left connections of the listeners idle for %(seconds)s s, then sent NOTIFY.",
            at=facts["at"],
            seconds=SILENCE_SECONDS,
        )
        labels = {"bus": self.env._("Bus"), "cron": self.env._("Cron")}
        seen = [
            labelled(self.env, label, self._describe_result(facts[name])[0])
            for name, label in labels.items()
            if facts[name]
        ]
        means = (
            self.env._("Connections stay open while nothing is sent.")
            if facts["level"] == "ok"
            else self.env._("A connection is closed, or no longer usable, after some time without traffic.")
        )
        return done, " ".join(seen), means
