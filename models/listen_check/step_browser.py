"""The step in which the page sends notifications to itself."""

from odoo import api, models
from odoo.exceptions import UserError

from ...odoo_internals import listener_info
from ...probes import listen
from ...probes.errors import QueryError
from ...tools import format_ms
from .connection_check_run import ECHOES

# A notification that takes longer to the browser is not live.
ECHO_SECONDS = 3


class ConnectionCheckRun(models.TransientModel):
    _inherit = "connection.check.run"

    def _step_browser(self, answer=None):
        if answer is None:
            return {"level": "unknown", "delays": None, "is_live": None}
        if not isinstance(answer, list):
            raise UserError(self.env._("Answer with a list of seconds."))
        delays = [delay if isinstance(delay, int | float) and 0 <= delay <= ECHO_SECONDS else None for delay in answer]
        is_live = len(delays) >= ECHOES and None not in delays
        return {"level": "ok" if is_live else "critical", "delays": delays, "is_live": is_live}

    @api.model
    def _describe_browser(self, facts):
        delays = facts["delays"]
        if delays is None:
            return (
                self.env._("Nothing."),
                self.env._("No browser took part."),
                self.env._("Press “Check Now” on the page to test whether notifications reach a browser."),
            )
        done = self.env._("Sent %s notifications to this browser over its websocket.", ECHOES)
        if facts["is_live"]:
            seen = self.env._("Received after %s ms.", ", ".join(format_ms(self.env, delay) for delay in delays))
            return done, seen, self.env._("Chat and notifications are live here.")
        arrived = sum(delay is not None for delay in delays)
        seen = self.env._(
            "%(arrived)s of them were received within %(seconds)s s.", arrived=arrived, seconds=ECHO_SECONDS
        )
        return done, seen, self.env._("Chat and notifications are not live here.")

    def echo(self, nonce):
        """Send a notification to the user's browsers, with this text as ``nonce``: the step ``browser`` needs the
        seconds until it arrives.

        :return: whether it is sent: not while a NOTIFY would block, and with it this very request
        """
        self._own()
        try:
            listen.notify(listener_info(), "pgbouncer_monitor", "")
        except QueryError:
            return False
        self.env.user._bus_send("pgbouncer_monitor/echo", {"nonce": str(nonce)})
        return True
