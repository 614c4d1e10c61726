"""The conclusion of a LISTEN check in words."""

from odoo import api, models

from ...tools import format_ms


class ConnectionCheck(models.Model):
    _inherit = "connection.check"

    @api.model
    def _conclusion_text(self, conclusion):
        """Return a conclusion in words, in the reader's language.

        :param dict conclusion: the facts of the field ``conclusion``: the ``listener``, and ``sentences``, see
            `analysis.listening.Conclusion`; or the ``text`` of a check before 2.0
        """
        if "text" in conclusion:
            return conclusion["text"]
        return " ".join(self._sentence(conclusion["listener"], facts) for facts in conclusion["sentences"])

    @api.model
    def _sentence(self, listener, facts):
        if facts["code"] == "step":
            return self.env["connection.check.run"]._step_words(facts["step"])["means"]
        why = self.env["connection.check.run"]._failure_text(facts) if "reason" in facts else ""
        took = format_ms(self.env, facts["delay"]) if "delay" in facts else ""
        sentences = self._bus_sentences(why, took) if listener == "bus" else self._cron_sentences(took)
        who = self.env._("The bus") if listener == "bus" else self.env._("The cron workers")
        return (sentences | self._route_sentences(listener, who, why))[facts["code"]]

    @api.model
    def _bus_sentences(self, why, took):
        return {
            "direct": self.env._("The bus listens on PostgreSQL itself, and hears within %s ms.", took),
            "session": self.env._("The bus listens through a pooler in session mode, and hears within %s ms.", took),
            "cannot_notify": self.env._(
                "The bus would hear, but nobody can tell it anything: no NOTIFY is sent. %s", why
            ),
            "old_connection": self.env._(
                "The bus is deaf, though a new connection would hear. Chat and notifications are not live."
            ),
            "not_in_browser": self.env._("But it does not reach the browser: chat and notifications are not live."),
            "no_browser": self.env._(
                "It was asked on its own host: whether browsers are led to it is not known. Press “Check Now” on the "
                "page."
            ),
        }

    @api.model
    def _cron_sentences(self, took):
        return {
            "direct": self.env._(
                "The cron workers listen on PostgreSQL itself: a triggered job waits no longer than %s ms.", took
            ),
            "session": self.env._(
                "The cron workers listen through a pooler in session mode: a triggered job waits no longer than %s ms.",
                took,
            ),
            "not_woken": self.env._(
                "A new connection would hear, but a triggered job was not started at once: the cron workers were all "
                "busy, or their connections were made before and are deaf."
            ),
        }

    @api.model
    def _route_sentences(self, listener, who, why):
        """Return the sentences about a route over which a listener receives nothing."""
        causes = {
            "deaf_rejected": self.env._("LISTEN is refused: %s", why),
            "deaf_pooled": self.env._("LISTEN is lost on the way, by a pooler that is not in session mode."),
            "deaf_lost": self.env._("LISTEN is lost on the way."),
        }
        effect = self.env._("Triggered jobs wait for up to a minute.")
        if listener == "bus":
            effect = self.env._("Chat and notifications are not live.")
        return {
            code: self.env._("%(who)s: deaf. %(why)s %(effect)s", who=who, why=cause, effect=effect)
            for code, cause in causes.items()
        } | {
            "unreachable": self.env._("%(who)s: no connection to the database postgres. %(why)s", who=who, why=why),
            "unknown": self.env._("%(who)s: it could not be found out. %(why)s", who=who, why=why),
            "full": self.env._(
                "%s: the pool of postgres is in session mode, and full. It blocks: whoever listens or sends a NOTIFY "
                "there waits for a server.",
                who,
            ),
            "nearly_full": self.env._(
                "%s: the pool of postgres is in session mode, works, and is nearly full. It will block: another "
                "connection waits for a server.",
                who,
            ),
        }
