"""The step that queries the processes of the bus, over HTTP as a browser does."""

import json
import time
from contextlib import suppress

from odoo import api, models
from odoo.tools import SQL

from ...analysis import listening
from ...analysis.listening import is_delivered, is_working
from ...odoo_internals import (
    DISPATCH_PAUSE,
    DISPATCH_SECONDS,
    notify_dispatchers,
    own_url,
    own_urls,
    system_database,
)
from ...probes import http, listen
from ...probes.errors import QueryError
from ...tools import EPOCH, format_ms, format_time, labelled
from .bus_process import NOBODY, channels, process_name
from .connection_check_run import ROUTE, TOKEN_HEADER

HTTP_SECONDS = 2
# Another request reaches another process, if a reverse proxy distributes them.
VISITS = 4
# The source of the answer that the page brings; the other sources are URLs.
BROWSER = "browser"
# What the facts of a step keep of a process.
KEPT = ("host", "pid", "port", "started_at", "result", "pool", "losses", "websockets", "ends")


class ConnectionCheckRun(models.TransientModel):
    _inherit = "connection.check.run"

    def _step_bus(self, answer=None):
        answers = [(BROWSER, self._read_answer(answer))] if answer else []
        base_url = self.get_base_url().rstrip("/")
        answers += [(base_url, found) for found in self._visit(base_url)]
        # A process that browsers do not use must not start to listen only because it was queried.
        own = self._query_bus_process(own_url(), NOBODY)
        if own.get("websockets") or not any(found.get("is_bus") for _source, found in answers):
            answers.append((own_url(), own))
        processes = self._processes(answers)
        urls = own_urls()
        facts = {
            "processes": processes,
            # Who came through a reverse proxy, and was passed to a process without websockets?
            "misled": [name for name, found in answers if found.get("is_bus") is False and name not in urls],
            "is_proxied": any(base_url in process["sources"] for process in processes),
            "is_refused": own.get("problem") == "refused",
        }
        if not processes:
            return facts | {"level": "unknown", "answers": answers}
        return facts | {"level": "ok" if all(map(is_working, processes)) else "critical"}

    def _visit(self, url):
        """Return what the processes behind a URL answered: each of them once."""
        found = {}
        for _visit in range(VISITS):
            answer = self._query_bus_process(url, NOBODY)
            found.setdefault(process_name(answer) if "pid" in answer else None, answer)
            if not answer.get("is_bus"):
                break
        return found.values()

    def _processes(self, answers):
        """Return the facts of each process of the bus that answered, with its ``sources``: where it did. A process that
        only said who it is is queried again."""
        processes, tested = {}, {}
        for source, found in answers:
            if not found.get("is_bus"):
                continue
            key = process_name(found)
            if source != BROWSER and key not in tested:
                tested[key] = self._query_process(source, key)
            process = processes.setdefault(key, {"sources": []})
            process |= found | (tested.get(key) or {})
            process["sources"].append(source)
        return [self._process_facts(found) for found in processes.values() if "result" in found]

    def _query_process(self, url, name):
        """Return what one process behind a URL answers, None if no request reached it again."""
        for _visit in range(2 * VISITS):
            found = self._query_bus_process(url, name)
            if "result" in found:
                return found
        return None

    def _process_facts(self, found):
        delay, missed = listening.dispatch(found["sent"], found["called"])
        facts = {name: found[name] for name in KEPT} | {"sources": found["sources"], "delay": delay, "missed": missed}
        since = time.time() - self.env["connection.settings"]._interval("check")
        readings = self.env["connection.reading"].search([("restarted_at", "!=", False)])
        restarts = [(restarted_at - EPOCH).total_seconds() for restarted_at in readings.mapped("restarted_at")]
        restarts += [found["result"]["started_at"] or 0]
        return facts | {"cuts": listening.cuts(found, restarts, since), "sockets": self._sockets(found)}

    @api.model
    def _describe_bus(self, facts):
        done = self.env._(
            "Queried each process that holds websockets: it tested LISTEN over its own route, and its dispatcher was "
            "notified on the channel imbus."
        )
        if not facts["processes"]:
            seen = "; ".join(
                labelled(self.env, self._source_text(name), self._answer_text(found))
                for name, found in facts["answers"]
            )
            means = self.env._(
                "The state of the bus is unknown. Its process must answer at one of these addresses: check "
                "web.base.url, and that the reverse proxy passes /websocket to the gevent port."
            )
            return done, seen, means
        seen = " ".join(self._process_seen(process) for process in facts["processes"])
        means = list(dict.fromkeys(self._process_meaning(process) for process in facts["processes"]))
        if facts["misled"]:
            means.append(
                self.env._(
                    "Requests below /websocket at %s are passed to a process without websockets.",
                    ", ".join(map(self._source_text, facts["misled"])),
                )
            )
        return done, seen, " ".join(means)

    def _process_seen(self, process):
        parts = [
            self.env._(
                "%(process)s, answered %(url)s. LISTEN: %(seen)s",
                process=self._process_text(process | {"is_bus": True}),
                url=", ".join(map(self._source_text, process["sources"])),
                seen=self._describe_result(process["result"])[0],
            ),
            self.env._("Its dispatcher received no notification within %s s.", DISPATCH_SECONDS)
            if process["delay"] is None
            else self.env._(
                "Its dispatcher received a notification after %s ms.", format_ms(self.env, process["delay"])
            ),
            *map(self._socket_text, process["sockets"]),
        ]
        if process["missed"]:
            parts.append(self.env._("Notifications that it missed: %s.", process["missed"]))
        if process["losses"]:
            at, message = process["losses"][-1]
            lost = {"count": len(process["losses"]), "at": format_time(at), "message": message}
            parts.append(
                self.env._("Times that it lost its connection: %(count)s, last at %(at)s UTC: %(message)s", **lost)
            )
        return " ".join(parts)

    @api.model
    def _process_meaning(self, process):
        if process["delay"] is not None and not is_delivered(process["result"]):
            return self.env._(
                "The bus still receives notifications over an older connection. Its next connection will not."
            )
        if process["delay"] is None and is_delivered(process["result"]):
            return self.env._(
                "LISTEN works on this route now, but the bus receives no notifications: its connection is older, or "
                "was lost, which Odoo notices after 50 s."
            )
        return self._describe_result(process["result"])[1]

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

    def _query_bus_process(self, url, whom):
        """Query the process behind a URL. The notifications that its dispatcher must receive are sent meanwhile, by
        this process, as those of a message are.

        :param whom: see `_answer_as_bus_process`
        :return: see `_read_answer`
        """
        seconds = HTTP_SECONDS + (0 if whom == NOBODY else listen.TOTAL_SECONDS + DISPATCH_SECONDS)
        is_notified = whom != NOBODY
        dbname, names, sent = self.env.cr.dbname, channels(self.id), []

        def notify(is_answered):
            while len(sent) < len(names) and not is_answered.wait(DISPATCH_PAUSE):
                with suppress(QueryError):  # one that cannot be sent is not received
                    sent.append((len(sent), notify_dispatchers(dbname, names[len(sent)])))

        self._commit_before_waiting()
        answer, _none = http.exchange(
            url + ROUTE,
            seconds,
            notify if is_notified else None,
            params={"run_id": self.id, "whom": whom, "is_notified": int(is_notified)},
            # Another host's database may be in the session of nobody.
            headers={"X-Odoo-Database": dbname, TOKEN_HEADER: self.token},
        )
        if isinstance(answer, QueryError):
            return {"problem": answer.reason, "detail": answer.detail}
        if 300 <= answer.status < 400:
            return {"problem": "redirect", "detail": answer.headers.get("Location")}
        if answer.status != 200:
            return {"problem": "http", "detail": answer.status}
        with suppress(ValueError, RecursionError):  # it may be anything
            found = self._read_answer(json.loads(answer.body))
            return found | ({"sent": sent} if "called" in found else {})
        return {"problem": "foreign"}

    def _sockets(self, bus):
        """Return where PostgreSQL and PgBouncer see the connection on which the bus process listens: ``pid`` and
        ``port``, or ``endpoint``, ``client`` and ``has_server``; and the ``address`` that the ``endpoint_id`` sees:
        None for a unix socket, 0 for PostgreSQL.

        :param dict bus: ``host``, ``pid`` and ``ends`` of a process
        """
        ends, database = set(map(tuple, bus["ends"])), system_database()
        query = SQL("SELECT pid, host(client_addr), client_port FROM pg_stat_activity WHERE datname = %s", database)
        rows = self.env.execute_query(query)
        found = [
            {"pid": pid, "port": port, "endpoint_id": 0, "address": address}
            for pid, address, port in rows
            if (address, port) in ends
        ]
        for client in self.env["pgbouncer.client"].search([("database", "=", database)]):
            is_here = client.addr == "unix" and bus["host"] == self._host()
            if (is_here and client.remote_pid == bus["pid"]) or (client.addr, client.port) in ends:
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
