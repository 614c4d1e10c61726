"""The verdicts of a LISTEN check."""

from odoo import api, models

from ...tools import format_ms
from .connection_check import can_notify, is_heard, route_verdict


class ConnectionCheck(models.Model):
    _inherit = "connection.check"

    @api.model
    def _judge_bus(self, steps, is_live):
        """:param str is_live: whether notifications reached a browser, when one took part last: yes or no
        :return: verdict, level, a sentence, and the ways to mend it
        """
        found, here = steps["bus"].get("bus"), steps["pooler"]
        if not found:
            return "unknown", "unknown", steps["bus"]["means"], self._ways_proxy()
        hearing, delay = found["hearing"], found["delay"]
        is_same = tuple(hearing["route"] or ()) == tuple(here["hearing"]["route"] or ())
        verdict = route_verdict(hearing, here["pool"] if is_same else None)
        who = self.env._("The bus")
        if verdict in ("deaf", "unreachable", "unknown"):
            level = "unknown" if verdict == "unknown" else "critical"
            return verdict, level, *self._explain_route(who, verdict, hearing, steps, is_bus=True)
        if not is_heard(hearing):
            return verdict, *self._explain_full(who, steps, is_working=delay is not None)
        if not can_notify(here["hearing"]):
            because = self.env["connection.check.run"]._because(here["hearing"])
            summary = self.env._("The bus would hear, but nobody can tell it anything: no NOTIFY is sent. %s", because)
            return verdict, "critical", summary, [self._way_override(steps)]
        if delay is None:
            summary = self.env._(
                "The bus is deaf, though a new connection would hear. Chat and notifications are not live."
            )
            return "deaf", "critical", summary, self._ways_restart()
        took = format_ms(self.env, delay)
        summary = self.env._("The bus listens through a pooler in session mode, and hears within %s ms.", took)
        if verdict == "direct":
            summary = self.env._("The bus listens on PostgreSQL itself, and hears within %s ms.", took)
        if steps["bus"]["is_misled"] or is_live == "no":
            summary += " " + self.env._("But it does not reach the browser: chat and notifications are not live.")
            return verdict, "critical", summary, self._ways_proxy()
        if steps["bus"].get("is_direct") and is_live != "yes":
            summary += " " + self.env._(
                "It was asked on its own host: whether browsers are led to it is not known. Press “Check Now” on the "
                "page."
            )
            return verdict, "warning", summary, self._ways_proxy()
        return verdict, *self._with_outlook(verdict, summary, steps)

    @api.model
    def _judge_cron(self, steps):
        """:return: verdict, level, a sentence, and the ways to mend it"""
        here, job = steps["pooler"], steps.get("cron", {})
        hearing = job.get("hearing") or here["hearing"]
        verdict = route_verdict(hearing, here["pool"])
        who = self.env._("The cron workers")
        if verdict in ("deaf", "unreachable", "unknown"):
            level = "unknown" if verdict == "unknown" else "critical"
            return verdict, level, *self._explain_route(who, verdict, hearing, steps)
        if not is_heard(hearing):
            return verdict, *self._explain_full(who, steps, is_working=job.get("is_woken"))
        if not job.get("is_woken"):
            summary = self.env._(
                "A new connection would hear, but a triggered job was not started at once: the cron workers were all "
                "busy, or their connections were made before and are deaf."
            )
            return "unknown", "unknown", summary, self._ways_restart()
        took = format_ms(self.env, job["delay"])
        summary = self.env._(
            "The cron workers listen through a pooler in session mode: a triggered job waits no longer than %s ms.",
            took,
        )
        if verdict == "direct":
            summary = self.env._(
                "The cron workers listen on PostgreSQL itself: a triggered job waits no longer than %s ms.", took
            )
        if steps["listeners"].get("is_queue_job_deaf"):
            return verdict, "warning", f"{summary} {steps['listeners']['means']}", [self._way_queue_job(steps)]
        return verdict, *self._with_outlook(verdict, summary, steps)

    def _with_outlook(self, verdict, summary, steps):
        """:return: the level of a verdict that is good, a sentence, and the ways to keep it so"""
        if verdict == "session" and steps["slots"]["level"] != "ok":
            return "warning", f"{summary} {steps['slots']['means']}", [self._way_override(steps)]
        if steps["listeners"]["deaf"]:
            return "warning", f"{summary} {steps['listeners']['means']}", self._ways_restart()
        return "ok", summary, []

    def _explain_full(self, who, steps, is_working):
        """:return: the level of a session pool that has no servers left, a sentence, and the ways to mend it"""
        summary = self.env._(
            "%s: the pool of postgres is in session mode, and full. It blocks: whoever listens or sends a NOTIFY there "
            "waits for a server.",
            who,
        )
        if is_working:
            summary = self.env._(
                "%s: the pool of postgres is in session mode, works, and is nearly full. It will block: another "
                "connection waits for a server.",
                who,
            )
        return "warning" if is_working else "critical", summary, [self._way_override(steps)]

    def _explain_route(self, who, verdict, hearing, steps, is_bus=False):
        """:return: a sentence, and the ways to mend a route on which nobody hears"""
        because = self.env["connection.check.run"]._because(hearing)
        if verdict == "deaf":
            why = self.env._("LISTEN is lost on the way, by a pooler that is not in session mode.")
            if because:
                why = self.env._("LISTEN is refused: %s", because)
            elif not hearing["is_pooled"]:
                why = self.env._("LISTEN is lost on the way.")
            effect = self.env._("Triggered jobs wait for up to a minute.")
            if is_bus:
                effect = self.env._("Chat and notifications are not live.")
            summary = self.env._("%(who)s: deaf. %(why)s %(effect)s", who=who, why=why, effect=effect)
            return summary, [self._way_override(steps), *(self._ways_direct(hearing) if is_bus else [])]
        if verdict == "unreachable":
            summary = self.env._("%(who)s: no connection to the database postgres. %(why)s", who=who, why=because)
            if self._is_pooled():
                return summary, [self._way_override(steps)]
            title = self.env._(
                "Let Odoo's role connect to the database postgres: see the reason above, and pg_hba.conf of PostgreSQL."
            )
            return summary, [{"title": title}]
        summary = self.env._("%(who)s: it could not be found out. %(why)s", who=who, why=because)
        title = self.env._(
            "Look into the logs of PgBouncer and PostgreSQL for why a connection to postgres gets no answer, add the "
            "PgBouncer to the endpoints, and check again."
        )
        return summary, [{"title": title}]
