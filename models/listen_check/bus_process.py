"""What the process of the bus answers to a check."""

import json
import socket
import time
from contextlib import suppress

import psutil

from odoo import api, fields, models
from odoo.exceptions import AccessError
from odoo.tools import consteq, hmac

from ...odoo_internals import (
    DISPATCH_PAUSE,
    DISPATCH_SECONDS,
    LOSSES,
    bus_info,
    dispatched,
    has_websockets,
    local_ends,
    notify_dispatchers,
    open_websockets,
    service_port,
)
from ...probes.errors import QueryError
from .connection_check_run import RUN_TIME
from .silence import start_silence

# Which process is to test its own route: whoever is reached, or nobody, or that of `process_name`.
ANYBODY, NOBODY = "anybody", "nobody"
# Or the process is to check this Odoo server after a silence.
SILENCE = "silence"


def process_name(found):
    """Return a name for a process that answered."""
    return f"{found['pid']}@{found['host']}"


def channels(run_id):
    """Return the names of the channels on which the dispatchers are notified, one after the other."""
    return [f"pgbouncer_monitor_{run_id}_{number}" for number in range(int(DISPATCH_SECONDS / DISPATCH_PAUSE))]


class ConnectionCheckRun(models.TransientModel):
    _inherit = "connection.check.run"

    @api.model
    def _answer_as_bus_process(self, run_id, token, whom, is_notified=False):
        """Return what this process knows of the bus, if it is one that holds websockets: ``text``, JSON, and its
        ``signature``.

        :param str run_id: digits
        :param str whom: who is to test its own route: ANYBODY, NOBODY, a `process_name`; or SILENCE
        :param bool is_notified: whether the caller sends the notifications that the dispatcher must receive
        :raise AccessError: the token is not that of a run in progress
        """
        since = fields.Datetime.now() - RUN_TIME
        is_id = run_id.isascii() and run_id.isdigit() and len(run_id) < 10
        run = is_id and self.sudo().search([("id", "=", int(run_id)), ("create_date", ">=", since)])
        if not run or run.check_ids or not consteq(run.token.encode(), token.encode()):
            raise AccessError(self.env._("Only a LISTEN check may query this."))
        if whom == SILENCE:
            run.unlink()
            start_silence(self.env.cr.dbname)
            return {}
        process = psutil.Process()
        found = {"run": run.id, "host": self._host(), "pid": process.pid, "is_bus": has_websockets()}
        if found["is_bus"]:
            found |= {"port": service_port(), "websockets": open_websockets(), "started_at": process.create_time()}
            if whom in (ANYBODY, process_name(found)):
                found |= run._test_bus(is_notified) | {"losses": list(LOSSES.losses)}
                found["ends"] = [end for end, pid in local_ends().items() if pid == process.pid]
        text = json.dumps(found)
        return {"text": text, "signature": self._sign(text)}

    def _test_bus(self, is_notified):
        """Return ``called`` and ``sent``, see `analysis.listening.dispatch`, and ``result`` and ``pool`` of a new
        connection of the bus."""
        dbname, names, sent = self.env.cr.dbname, channels(self.id), []

        def notify():
            with suppress(QueryError):  # one that cannot be sent is not received
                sent.append((len(sent), notify_dispatchers(dbname, names[len(sent)])))

        self._commit_before_waiting()
        called = dispatched(dbname, names, **({} if is_notified else {"send": notify}))
        # By PostgreSQL's clock, as the time of sending.
        offset = self._clock() - time.time()
        called = [(number, at + offset) for number, at in called.items()]
        result, pool = self._probe(bus_info())
        return {"called": called, "sent": sent, "result": result, "pool": pool}

    @api.model
    def _host(self):
        return socket.gethostname()

    def _read_answer(self, answer):
        """Return what the bus process answered, or ``problem`` and its ``detail`` if that is unknown.

        :param answer: what came from the route, by whatever way
        """
        with suppress(KeyError, TypeError):  # it may be anything
            text, signature = answer["text"], answer["signature"]
            found = json.loads(text) if consteq(signature, self._sign(text)) else {}
            if found["run"] == self.id:
                return found
        return {"problem": "foreign"}

    def _sign(self, text):
        return hmac(self.env(su=True), "pgbouncer_monitor", text)
