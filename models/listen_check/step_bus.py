"""The step that queries the process of the bus, over HTTP as a browser does, and that process's answer."""

import json
import os
import socket
from contextlib import suppress

import requests

from odoo import api, fields, models
from odoo.exceptions import AccessError
from odoo.tools import SQL, consteq, hmac

from ...analysis.listening import is_delivered
from ...odoo_internals import (
    DISPATCH_SECONDS,
    bus_info,
    call_dispatcher,
    has_websockets,
    own_ends,
    own_urls,
    system_database,
)
from ...probes import listen, query
from ...probes.errors import QueryError
from ...tools import format_ms
from .connection_check_run import ROUTE, RUN_TIME

HTTP_SECONDS = 2
# An answer of the bus process has fewer bytes.
ANSWER_BYTES = 64 * 1024
# The source of the answer that the page brings; the other sources are URLs.
BROWSER = "browser"


class ConnectionCheckRun(models.TransientModel):
    _inherit = "connection.check.run"

    def _step_bus(self, answer=None):
        answers = {BROWSER: self._read_answer(answer)} if answer else {}
        urls = own_urls()
        for url in dict.fromkeys((self.get_base_url().rstrip("/"), urls[0])):
            if not any(found.get("is_bus") for found in answers.values()):
                answers[url] = self._query_bus_process(url)
        source, bus = next(((name, found) for name, found in answers.items() if found.get("is_bus")), (None, {}))
        # Who came through the reverse proxy, and was passed to a process without websockets?
        misled = [name for name, found in answers.items() if found.get("is_bus") is False and name not in urls]
        facts = {
            "level": "unknown",
            "source": source,
            "misled": misled,
            # Whether it was reached in a way that browsers may not take.
            "is_direct": source in urls,
        }
        if not bus:
            return facts | {"answers": list(answers.items())}
        is_working = bus["delay"] is not None and is_delivered(bus["result"]) and not misled
        sockets = self._sockets(bus)
        bus = {key: value for key, value in bus.items() if key not in ("run", "own_ends")}
        return facts | {"level": "ok" if is_working else "critical", "bus": bus, "sockets": sockets}

    @api.model
    def _describe_bus(self, facts):
        done = self.env._(
            "Queried the process that holds the websockets: it tested LISTEN over its own route, and notified its own "
            "dispatcher on the channel imbus."
        )
        bus = facts.get("bus")
        if not bus:
            seen = "; ".join(
                f"{self._source_text(name)}: {self._answer_text(found)}" for name, found in facts["answers"]
            )
            means = self.env._(
                "The state of the bus is unknown. Its process must answer at one of these addresses: check "
                "web.base.url, and that the reverse proxy passes /websocket to the gevent port."
            )
            return done, seen, means
        parts = [
            self.env._(
                "%(process)s, answered %(url)s. LISTEN: %(seen)s",
                process=self._process_text(bus),
                url=self._source_text(facts["source"]),
                seen=self._describe_result(bus["result"])[0],
            ),
            self.env._("Its dispatcher received no notification within %s s.", DISPATCH_SECONDS)
            if bus["delay"] is None
            else self.env._("Its dispatcher received a notification after %s ms.", format_ms(self.env, bus["delay"])),
            *map(self._socket_text, facts["sockets"]),
        ]
        return done, " ".join(parts), self._bus_meaning(bus, facts["misled"])

    @api.model
    def _bus_meaning(self, bus, misled):
        means = self._describe_result(bus["result"])[1]
        if bus["delay"] is not None and not is_delivered(bus["result"]):
            means = self.env._(
                "The bus still receives notifications over an older connection. Its next connection will not."
            )
        elif bus["delay"] is None and is_delivered(bus["result"]):
            means = self.env._(
                "LISTEN works on this route now, but the bus receives no notifications: its connection is older, or "
                "was lost, which Odoo notices after 50 s."
            )
        if misled:
            means += " " + self.env._(
                "But /websocket at %s is passed to a process without websockets, so notifications do not reach the "
                "browser. Configure the reverse proxy to pass /websocket to the gevent port.",
                ", ".join(map(self._source_text, misled)),
            )
        return means

    @api.model
    def _source_text(self, source):
        return self.env._("this browser") if source == BROWSER else source

    @api.model
    def _process_text(self, found):
        process = self.env._("The bus process") if found["is_bus"] else self.env._("A process without websockets")
        return self.env._("%(process)s, PID %(pid)s on %(host)s", process=process, pid=found["pid"], host=found["host"])

    @api.model
    def _answer_text(self, found):
        """Return in words what answered in place of the bus process, or why nothing did: see `_read_answer`."""
        if "problem" not in found:
            return self._process_text(found)
        detail = found.get("detail", "")
        return {
            "timeout": self.env._("no answer"),
            "refused": self.env._("no connection"),
            "tls_failed": self.env._("its certificate is not trusted here"),
            "foreign": self.env._("the answer is not from this Odoo"),
            "redirect": self.env._("it redirects to %s", detail),
            "http": f"HTTP {detail}",
        }.get(found["problem"], detail)

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

    def _query_bus_process(self, url):
        """Query the process behind a URL.

        :return: see `_read_answer`
        """
        seconds = listen.TOTAL_SECONDS + DISPATCH_SECONDS + HTTP_SECONDS
        call = {"params": {"run_id": self.id, "token": self.token}}
        # Another host's database may be in the session of nobody.
        headers = {"X-Odoo-Database": self.env.cr.dbname}

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

        self._commit_before_waiting()
        answer = query.in_parallel({"bus": ("", 0, post)}, seconds)["bus"]
        if isinstance(answer, QueryError):
            return {"problem": answer.reason, "detail": answer.detail}
        response, body = answer
        if response.is_redirect:
            return {"problem": "redirect", "detail": response.headers["Location"]}
        if not response.ok:
            return {"problem": "http", "detail": response.status_code}
        try:
            return self._read_answer(json.loads(body).get("result"))
        except (AttributeError, ValueError, RecursionError):
            return self._read_answer(None)

    @api.model
    def _answer_as_bus_process(self, run_id, token):
        """Return what this process knows of the bus, if it is the one that holds the websockets: ``text``, JSON, and
        its ``signature``.

        :raise AccessError: the token is not that of a run in progress
        """
        since = fields.Datetime.now() - RUN_TIME
        is_id = type(run_id) is int and 0 < run_id < 1 << 31
        run = is_id and self.sudo().search([("id", "=", run_id), ("create_date", ">=", since)])
        if not run or run.check_ids or not consteq(run.token.encode(), str(token).encode()):
            raise AccessError(self.env._("Only a LISTEN check may query this."))
        found = {"run": run.id, "host": socket.gethostname(), "pid": os.getpid(), "is_bus": has_websockets()}
        if found["is_bus"]:
            self._commit_before_waiting()
            found |= {
                "result": listen.probe(bus_info())[0]._asdict(),
                "delay": call_dispatcher(self.env.cr.dbname),
                "own_ends": own_ends(),
            }
        text = json.dumps(found)
        return {"text": text, "signature": self._sign(text)}

    def _sockets(self, bus):
        """Return where PostgreSQL and PgBouncer see the connection on which the bus process listens: ``pid`` and
        ``port``, or ``endpoint``, ``client`` and ``has_server``; and the ``address`` that the ``endpoint_id`` sees:
        None for a unix socket, 0 for PostgreSQL."""
        own_ends, database = set(map(tuple, bus["own_ends"])), system_database()
        query = SQL("SELECT pid, host(client_addr), client_port FROM pg_stat_activity WHERE datname = %s", database)
        rows = self.env.execute_query(query)
        found = [
            {"pid": pid, "port": port, "endpoint_id": 0, "address": address}
            for pid, address, port in rows
            if (address, port) in own_ends
        ]
        for client in self.env["pgbouncer.client"].search([("database", "=", database)]):
            is_here = client.addr == "unix" and bus["host"] == socket.gethostname()
            if (is_here and client.remote_pid == bus["pid"]) or (client.addr, client.port) in own_ends:
                seen = {"endpoint": client.endpoint_id.name, "client": client.display_name}
                seen |= {"endpoint_id": client.endpoint_id.id, "address": None if is_here else client.addr}
                found.append(seen | {"has_server": bool(client.server_id)})
        return found

    @api.model
    def _socket_text(self, found):
        if "pid" in found:
            return self.env._("PostgreSQL shows its connection: client port %(port)s, PID %(pid)s.", **found)
        names = {name: found[name] for name in ("endpoint", "client")}
        if found["has_server"]:
            return self.env._("%(endpoint)s shows it as the client %(client)s, with a server.", **names)
        return self.env._("%(endpoint)s shows it as the client %(client)s, without a server.", **names)
