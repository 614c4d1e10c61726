"""Ask the process of the bus, and the browser."""

import json
import os
import secrets
import socket
import threading
import time
from contextlib import suppress

import requests

import odoo
from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.sql_db import connection_info_for
from odoo.tools import SQL, config, consteq, hmac

from odoo.addons.bus.models import bus as odoo_bus

from ...odoo_internals import bus_info, own_ends, own_urls
from ...probes import listen, query
from ...probes.errors import QueryError
from ...probes.listen import POSTGRES
from ...tools import format_ms
from .connection_check import is_heard
from .connection_check_run import ECHOES, ROUTE, RUN_TIME

HTTP_SECONDS = 2
# A notification that takes longer to the browser is not live.
ECHO_SECONDS = 3
# An answer of the bus process has less bytes.
ANSWER_BYTES = 64 * 1024
CALL_SECONDS = 0.5
# How long the dispatcher may take to hear, its first connection included, and how often it is called
# meanwhile; how long to wait for the bus process beside that.
HEAR_SECONDS = 3


class _Ear:
    """What the bus's dispatcher takes for a websocket: it tells whether its channel was called."""

    def __init__(self):
        self._channels = set()
        self.is_called = threading.Event()

    def subscribe(self, channels, _last):
        self._channels = channels

    def trigger_notification_dispatching(self):
        self.is_called.set()


class ConnectionCheckRun(models.TransientModel):
    _inherit = "connection.check.run"

    def _look_bus(self, answer=None):
        answers = {self.env._("this browser"): self._read_answer(answer)} if answer else {}
        urls = own_urls()
        for url in dict.fromkeys((self.get_base_url().rstrip("/"), urls[0])):
            if not any(found.get("is_bus") for found in answers.values()):
                answers[url] = self._call_bus_process(url)
        through, bus = next(((name, found) for name, found in answers.items() if found.get("is_bus")), (None, {}))
        # Who came through the reverse proxy, and was led to a process that has no websockets?
        misled = [name for name, found in answers.items() if found.get("is_bus") is False and name not in urls]
        told = {
            "done": self.env._(
                "Asked the process that holds the websockets: it tried LISTEN over its own route, and called its own "
                "dispatcher on the channel imbus."
            ),
            "is_misled": bool(misled),
            # Whether it was reached on a way that browsers may not take.
            "is_direct": through in urls,
            "level": "unknown",
        }
        if not bus:
            told_by = {name: found.get("problem") or self._process(found) for name, found in answers.items()}
            seen = "; ".join(f"{name}: {words}" for name, words in told_by.items())
            means = self.env._(
                "What the bus does is not known. Its process must answer at one of these addresses: check "
                "web.base.url, and that the reverse proxy passes /websocket on to the gevent port."
            )
            return told | {"seen": seen, "means": means}
        seen, means = self._tell_hearing(bus["hearing"])
        process = self._process(bus)
        seen = self.env._("%(process)s, answered %(url)s. LISTEN: %(seen)s", process=process, url=through, seen=seen)
        told["level"] = "critical"
        if bus["delay"] is not None:
            seen += " " + self.env._("Its dispatcher was called after %s ms.", format_ms(self.env, bus["delay"]))
            if is_heard(bus["hearing"]):
                told["level"] = "ok"
            else:
                means = self.env._(
                    "The bus still hears over a connection that was made before. The next one will be deaf."
                )
        else:
            seen += " " + self.env._("Its dispatcher was not called within %s s.", HEAR_SECONDS)
            if is_heard(bus["hearing"]):
                means = self.env._(
                    "The route is good now, but the bus is deaf: its connection was made before, or was lost, which "
                    "Odoo notices after 50 s."
                )
        seen += " " + self._tell_socket(bus)
        if misled:
            told["level"] = "critical"
            means += " " + self.env._(
                "But /websocket at %s leads to a process that has no websockets: notifications do not reach the "
                "browser. Have the reverse proxy pass /websocket on to the gevent port.",
                ", ".join(misled),
            )
        return told | {"seen": seen.strip(), "means": means, "bus": bus}

    @api.model
    def _process(self, found):
        process = self.env._("The bus process") if found["is_bus"] else self.env._("A process without websockets")
        return self.env._("%(process)s, PID %(pid)s on %(host)s", process=process, pid=found["pid"], host=found["host"])

    def _read_answer(self, answer):
        """What the bus process said, or why that is not known.

        :param answer: what came from the route, by whatever way
        """
        with suppress(KeyError, TypeError):  # it may be anything
            text, signature = answer["text"], answer["signature"]
            found = json.loads(text) if consteq(signature, self._sign(text)) else {}
            if found["run"] == self.id:
                return found
        return {"problem": self.env._("the answer was not of this Odoo")}

    def _sign(self, text):
        return hmac(self.env(su=True), "pgbouncer_monitor", text)

    def _call_bus_process(self, url):
        """Ask the process behind a URL.

        :return: see `_read_answer`
        """
        call = {"params": {"run_id": self.id, "token": self.token}}
        # Another host's database may be in the session of nobody.
        headers = {"X-Odoo-Database": self.env.cr.dbname}
        seconds = listen.TOTAL_SECONDS + HEAR_SECONDS + HTTP_SECONDS

        problems = {
            "timeout": self.env._("no answer"),
            "refused": self.env._("no connection"),
            "tls_failed": self.env._("its certificate is not trusted here"),
        }

        def post(_hosts, _deadline):
            with requests.Session() as http:
                http.trust_env = False  # no proxy, and nobody's password
                options = {"timeout": seconds, "allow_redirects": False, "stream": True}
                try:
                    response = http.post(url + ROUTE, json=call, headers=headers, **options)
                    return response, response.raw.read(ANSWER_BYTES, decode_content=True)
                except requests.exceptions.SSLError as error:
                    raise QueryError("tls_failed") from error
                except requests.ConnectionError as error:
                    raise QueryError("refused") from error

        self._release()
        answer = query.in_parallel({"bus": ("", 0, post)}, seconds)["bus"]
        if isinstance(answer, QueryError):
            return {"problem": problems.get(answer.reason) or answer.detail}
        response, body = answer
        if response.is_redirect:
            return {"problem": self.env._("it leads on to %s", response.headers["Location"])}
        if not response.ok:
            return {"problem": f"HTTP {response.status_code}"}
        try:
            return self._read_answer(json.loads(body).get("result"))
        except (AttributeError, ValueError, RecursionError):
            return self._read_answer(None)

    @api.model
    def _answer_as_bus_process(self, run_id, token):
        """What this process knows of the bus, if it is the one that holds the websockets.

        :raise AccessError: the token is not that of a run in progress
        """
        since = fields.Datetime.now() - RUN_TIME
        is_id = type(run_id) is int and 0 < run_id < 1 << 31
        run = is_id and self.sudo().search([("id", "=", run_id), ("create_date", ">=", since)])
        if not run or run.check_ids or not consteq(run.token.encode(), str(token).encode()):
            raise AccessError(self.env._("This is answered to a LISTEN check only."))
        found = {
            "run": run.id,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "is_bus": odoo.evented or not config["workers"],
        }
        if found["is_bus"]:
            self._release()
            found |= {
                "hearing": listen.probe(bus_info())[0]._asdict(),
                "delay": self._call_dispatcher(),
                "own_ends": own_ends(),
            }
        text = json.dumps(found)
        return {"text": text, "signature": self._sign(text)}

    @api.model
    def _call_dispatcher(self):
        """:return: after how many seconds the bus's dispatcher was called, None if it was not"""
        ear, channel = _Ear(), f"pgbouncer_monitor_{secrets.token_hex(8)}"
        payload = odoo_bus.json_dump([odoo_bus.channel_with_db(self.env.cr.dbname, channel)])
        started = time.monotonic()
        odoo_bus.dispatch.subscribe([channel], 0, self.env.cr.dbname, ear)
        try:
            while time.monotonic() < started + HEAR_SECONDS:
                with suppress(QueryError):  # one that cannot be sent is not heard
                    listen.notify(connection_info_for(POSTGRES)[1], "imbus", payload, odoo_bus.ODOO_NOTIFY_FUNCTION)
                if ear.is_called.wait(CALL_SECONDS):
                    return time.monotonic() - started
        finally:
            odoo_bus.dispatch.unsubscribe(ear)
        return None

    def _tell_socket(self, bus):
        """Over which socket the bus process listens, as PostgreSQL or PgBouncer sees it."""
        own_ends = set(map(tuple, bus["own_ends"]))
        query = SQL("SELECT pid, host(client_addr), client_port FROM pg_stat_activity WHERE datname = %s", POSTGRES)
        found = [
            self.env._("PostgreSQL sees it on port %(port)s, as PID %(pid)s.", pid=pid, port=port)
            for pid, address, port in self.env.execute_query(query)
            if (address, port) in own_ends
        ]
        for client in self.env["pgbouncer.client"].search([("database", "=", POSTGRES)]):
            is_here = client.addr == "unix" and bus["host"] == socket.gethostname()
            if (is_here and client.remote_pid == bus["pid"]) or (client.addr, client.port) in own_ends:
                line = self.env._("%(endpoint)s sees it as the client %(client)s, with a server.")
                if not client.server_id:
                    line = self.env._("%(endpoint)s sees it as the client %(client)s, without a server.")
                found.append(line % {"endpoint": client.endpoint_id.name, "client": client.display_name})
        return " ".join(found)

    def _look_browser(self, answer=None):
        told = {"done": self.env._("Sent %s notifications to this browser, over its websocket.", ECHOES)}
        if answer is None:
            return told | {
                "done": self.env._("Nothing."),
                "seen": self.env._("No browser took part."),
                "means": self.env._("Press “Check Now” on the page to see whether notifications reach a browser."),
                "level": "unknown",
                "is_live": None,
            }
        if not isinstance(answer, list):
            raise UserError(self.env._("Answer with a list of seconds."))
        delays = [delay if isinstance(delay, int | float) and 0 <= delay <= ECHO_SECONDS else None for delay in answer]
        is_live = len(delays) >= ECHOES and None not in delays
        if is_live:
            seen = self.env._("They arrived after %s ms.", ", ".join(format_ms(self.env, delay) for delay in delays))
            means = self.env._("Chat and notifications are live here.")
        else:
            arrived = sum(delay is not None for delay in delays)
            seen = self.env._(
                "%(arrived)s of them arrived within %(seconds)s s.", arrived=arrived, seconds=ECHO_SECONDS
            )
            means = self.env._("Chat and notifications are not live here.")
        return told | {"seen": seen, "means": means, "level": "ok" if is_live else "critical", "is_live": is_live}

    def echo(self, nonce):
        """Send a notification to the user's browsers, with this text as ``nonce``: how long it takes is what the
        step ``browser`` wants to know.

        :return: whether it is sent: not while a NOTIFY would block, and with it this very request
        """
        self._own()
        try:
            listen.notify(connection_info_for(POSTGRES)[1], "pgbouncer_monitor", "")
        except QueryError:
            return False
        self.env.user._bus_send("pgbouncer_monitor/echo", {"nonce": str(nonce)})
        return True
