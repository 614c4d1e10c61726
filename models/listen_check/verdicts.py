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
            "no_browser": self.env._(
                "The bus process was queried on its own host. Whether browsers reach it is unknown: press “Check Now” "
                "on the page."
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
            "deaf": self.env._("The cron workers receive no notifications."),
            "effect": self.env._("Triggered jobs wait for up to a minute."),
            "unreachable": self.env._("The cron workers cannot connect to the database postgres. %s", why),
            "unknown": self.env._("Whether the cron workers receive notifications is unknown. %s", why),
        }

    @api.model
    def _deaf_causes(self, why):
        return {
            "deaf_rejected": self.env._("LISTEN is rejected: %s", why),
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
