"""The conclusion of a LISTEN check in words."""

from odoo import api, models

from ...analysis.joins import network_address
from ...tools import format_ms, format_number, format_time


class ConnectionCheck(models.Model):
    _inherit = "connection.check"

    @api.model
    def _conclusion_text(self, conclusion):
        """Return a conclusion in words, in the reader's language.

        :param dict conclusion: the facts of the field ``conclusion``: the ``listener``, and ``sentences``, see
            `analysis.listen_verdicts.Conclusion`; or the ``text`` of a check before 2.0
        """
        if "text" in conclusion:
            return conclusion["text"]
        return self._sentences(conclusion["listener"], conclusion["sentences"])

    @api.model
    def _sentences(self, listener, sentences):
        return " ".join(self._sentence(listener, facts) for facts in sentences)

    @api.model
    def _sentence(self, listener, facts):
        code = facts["code"]
        if code == "step":
            return self.env["connection.check.run"]._step_words(facts["step"])["means"]
        why = self.env["connection.check.run"]._failure_text(facts) if "reason" in facts else ""
        took = format_ms(self.env, facts["delay"]) if "delay" in facts else ""
        if template := self._templates().get(code):
            return template % self._figures(facts)
        sentences_of = {
            "bus": self._bus_sentences,
            "cron": self._cron_sentences,
            "queue_job": self._queue_job_sentences,
        }
        sentences = sentences_of[listener](why, took)
        if code.startswith("deaf_"):
            return f"{sentences['deaf']} {self._deaf_causes(why)[code]} {sentences['effect']}"
        return (self._pool_sentences() | sentences)[code]

    @api.model
    def _bus_sentences(self, why, took):
        return {
            "direct": self.env._(
                "The bus listens on PostgreSQL directly and receives notifications within %s ms.", took
            ),
            "session": self.env._(
                "The bus listens through a pooler in session mode and receives notifications within %s ms.", took
            ),
            "cannot_notify": self.env._(
                "The bus could receive notifications, but none can be sent, because NOTIFY fails. %s", why
            ),
            "old_connection": self.env._(
                "The bus receives no notifications, although a new connection would. Chat and notifications are not "
                "live."
            ),
            "not_in_browser": self.env._("But they do not reach the browser: chat and notifications are not live."),
            "not_in_this_browser": self.env._("They do not reach this browser, but others can open websockets."),
            "in_browser": self.env._("But notifications reached this browser."),
            "no_browser": self.env._(
                "Whether browsers reach the bus is unknown: no websocket could be opened at web.base.url, and none is "
                "open. Press “Check Now” on the page."
            ),
            "no_process": self.env._(
                "No process of the bus is running, so nobody receives notifications. Chat and notifications are not "
                "live."
            ),
            "deaf": self.env._("The bus receives no notifications."),
            "effect": self.env._("Chat and notifications are not live."),
            "unreachable": self.env._("The bus cannot connect to the database postgres. %s", why),
            "unknown": self.env._("Whether the bus receives notifications is unknown. %s", why),
        }

    @api.model
    def _cron_sentences(self, why, took):
        return {
            "direct": self.env._(
                "The cron workers listen on PostgreSQL directly. A triggered job starts within %s ms.", took
            ),
            "session": self.env._(
                "The cron workers listen through a pooler in session mode. A triggered job starts within %s ms.", took
            ),
            "not_woken": self.env._(
                "A new connection would receive notifications, but a triggered job did not start at once: all cron "
                "workers were busy, or their older connections receive none."
            ),
            "no_workers": self.env._("This Odoo server runs no cron workers (max_cron_threads = 0)."),
            "deaf": self.env._("The cron workers receive no notifications."),
            "effect": self.env._("Triggered jobs wait for up to a minute."),
            "unreachable": self.env._("The cron workers cannot connect to the database postgres. %s", why),
            "unknown": self.env._("Whether the cron workers receive notifications is unknown. %s", why),
        }

    @api.model
    def _templates(self):
        """Return the sentences that are filled in with `_figures`, by code."""
        return {
            "one_of": self.env._("%(bad)s of %(count)s bus processes: PID %(pid)s on %(host)s, port %(port)s."),
            "paused": self.env._("The database %(name)s is paused in %(endpoint)s: nobody can LISTEN or NOTIFY."),
            "disabled": self.env._("The database %(name)s is disabled in %(endpoint)s: nobody can LISTEN or NOTIFY."),
            "missed": self.env._(
                "The bus misses notifications: %(missed)s of those sent in a row were lost. Chat and notifications "
                "are not live."
            ),
            "apart": self.env._(
                "The bus listens on the database %(bus)s, and messages are notified on %(here)s, which does not reach "
                "it. Chat and notifications are not live."
            ),
            "only_old": self.env._("Notifications still arrive, over connections that could not be made any more."),
            "ended_threads": self.env._(
                "Cron threads of this server that have ended: %(ended)s. Only a restart of Odoo brings them back."
            ),
            "deaf_workers": self.env._("Some cron workers have no server and receive nothing: %(names)s."),
            "unasked": self.env._("Other listeners of Odoo that no check has covered: %(count)s."),
            "idle_timeout": self.env._(
                "But PostgreSQL ends its connection after %(seconds)s s without traffic (idle_session_timeout). Each "
                "time, notifications are lost until it is made again."
            ),
            "cuts": self.env._(
                "But its connection was lost after a short time. Number of times: %(count)s, last at %(at)s UTC "
                "(%(message)s). Each time, notifications are lost for 50 s."
            ),
            "mixed": self.env._(
                "But another connection received nothing: it may reach another PgBouncer, which is configured "
                "differently."
            ),
            "silence": self.env._("But a connection that is idle for a minute receives nothing any more."),
        }

    @api.model
    def _figures(self, facts):
        """Return what the sentence for these facts is filled in with, as text."""
        figures = dict(facts)
        if "cuts" in facts:
            at, message = facts["cuts"][-1]
            figures |= {"count": len(facts["cuts"]), "at": format_time(at), "message": message}
        if "names" in facts:
            figures["names"] = ", ".join(facts["names"])
        if "seconds" in facts:
            figures["seconds"] = format_number(self.env, facts["seconds"])
        if facts["code"] == "apart":
            figures |= {end: self._place_text(facts[end]) for end in ("bus", "here")}
        return figures

    @api.model
    def _place_text(self, place):
        where = place["server"] and network_address(*place["server"])
        return f"{place['database']} ({where})" if where else place["database"]

    @api.model
    def _deaf_causes(self, why):
        return {
            "deaf_rejected": self.env._("LISTEN was rejected: %s", why),
            "deaf_pooled": self.env._("They are lost in a pooler that is not in session mode."),
            "deaf_lost": self.env._("They are lost on the route."),
        }

    @api.model
    def _pool_sentences(self):
        return {
            "full": self.env._(
                "The pool of postgres is in session mode and full. Listeners and requests that send a NOTIFY wait for "
                "a server."
            ),
            "nearly_full": self.env._(
                "The pool of postgres is in session mode and works, but has no free server: the next connection waits."
            ),
        }
