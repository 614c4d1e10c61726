import json
import os
import secrets
import socket
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta

import psutil
import requests

import odoo
from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.sql_db import connection_info_for
from odoo.tools import SQL, config, consteq, hmac

from odoo.addons.bus.models import bus as odoo_bus

from ..analysis import readings
from ..analysis.bottleneck import pool_size
from ..analysis.joins import network_address
from ..analysis.readings import CONSOLE
from ..probes import listen, session
from .connection_check import POSTGRES, can_notify, is_heard, tell_ms
from .connection_endpoint import CONSOLE_TIMEOUT, understood

# The steps that the browser takes part in.
ANSWERED_STEPS = ("bus", "browser")
ROUTE = "/websocket/pgbouncer_monitor/listen"
# How long the dispatcher may take to hear, its first connection included, and how often it is called
# meanwhile; how long to wait for the bus process beside that.
HEAR_SECONDS = 3
CALL_SECONDS = 0.5
HTTP_SECONDS = 2
# A notification that takes longer to the browser is not live.
ECHO_SECONDS = 3
# So many in a row must arrive: one alone may be fetched by chance.
ECHOES = 3
# A job that starts later was not woken up: where LISTEN works it takes less than a second, otherwise up
# to a minute, Odoo's timer. By its timer a worker starts one job in that time at most: when there were
# more jobs than workers that started them, at least one of these was woken up.
WOKEN_SECONDS = 5
MORE_JOBS_THAN_WORKERS = 2
# A check is over by then, and nothing is answered to it any more.
RUN_TIME = timedelta(minutes=2)
# An answer of the bus process has less bytes.
ANSWER_BYTES = 64 * 1024
# What a step must know of those before it.
NEEDS = {"listen": {"pooler"}, "slots": {"pooler", "listeners"}, "cron": {"pooler"}}
# A client of the database postgres that is older listens: all else that Odoo does there is short.
LISTENER_SECONDS = 60


class _Ear:
    """What the bus's dispatcher takes for a websocket: it tells whether its channel was called."""

    def __init__(self):
        self._channels = set()
        self.is_called = threading.Event()

    def subscribe(self, channels, _last):
        self._channels = channels

    def trigger_notification_dispatching(self):
        self.is_called.set()


class ConnectionCheckRun(models.TransientModel):  # pylint: disable=no-wizard-in-models
    """A LISTEN check while it runs: a step after the other, so that a page can show how far it is.

    ``start``, then ``step`` for each of the steps until it is not pending any more, then ``finish``.
    """

    _name = "connection.check.run"
    _description = "LISTEN Check in Progress"

    # Whoever has it may ask the bus process.
    token = fields.Char(groups=fields.NO_ACCESS, default=lambda self: secrets.token_urlsafe(32))
    is_scheduled = fields.Boolean(groups=fields.NO_ACCESS)
    # name -> what a step found: `done`, `seen` and `means` in words, `level`, and figures
    steps = fields.Json(groups=fields.NO_ACCESS)
    # when jobs were triggered and started, in seconds of PostgreSQL's clock, by which workers, and what the
    # last of these found
    job = fields.Json(groups=fields.NO_ACCESS)
    is_waiting = fields.Boolean(groups=fields.NO_ACCESS, help="For a job to start.")
    check_ids = fields.Many2many("connection.check", groups=fields.NO_ACCESS)

    @api.model
    def start(self):
        """:return: a dictionary: the ``id`` of a new run, its ``token``, its ``steps``: a list of dictionaries
        with ``name`` and ``title``, and how many ``echoes`` the step ``browser`` wants"""
        run = self.create({}).sudo()
        steps = [{"name": name, "title": title} for name, title in run._titles().items()]
        return {"id": run.id, "token": run.token, "steps": steps, "echoes": ECHOES}

    def step(self, name, answer=None):
        """Do one step.

        :param answer: of the browser: to ``bus`` what the route under /websocket/ answered it, to
            ``browser`` the list of the seconds that notifications took, null for one that was lost;
            null where no browser takes part
        :return: a dictionary: what was ``done`` and ``seen`` and what it ``means``, in words; its ``level``;
            ``is_pending`` if the step is to be called again, in a second
        """
        run = self._own()
        if str(name) not in self._titles():
            raise UserError(self.env._("There is no step “%s”.", name))
        run._check_order(NEEDS.get(name, set()))
        look = getattr(run, f"_look_{name}")
        told = look(answer) if name in ANSWERED_STEPS else look()
        if not told.get("is_pending"):  # the job writes meanwhile
            run.steps = (run.steps or {}) | {name: told}
        return {key: told.get(key) for key in ("done", "seen", "means", "level", "is_pending")}

    def echo(self, nonce):
        """Send a notification to the user's browsers, with this text as ``nonce``: how long it takes is what the
        step ``browser`` wants to know.

        :return: whether it is sent: not while a NOTIFY would block, and with it this very request
        """
        self._own()
        try:
            listen.notify(connection_info_for(POSTGRES)[1], "pgbouncer_monitor", "")
        except session.SessionError:
            return False
        self.env.user._bus_send("pgbouncer_monitor/echo", {"nonce": str(nonce)})
        return True

    def _own(self):
        """This run with all rights, if it is the user's."""
        self.ensure_one()
        self.check_access("write")
        return self.sudo()

    def _check_order(self, names):
        if set(names) - (self.steps or {}).keys():
            raise UserError(self.env._("The steps of a check must be done in their order."))

    def finish(self):
        """Write down what the steps found.

        :return: the two records of connection.check
        """
        run = self._own()
        if not run.check_ids:
            run._check_order(run._titles().keys() - {"cron"})  # a scheduled check may know without it
            run.check_ids = self.env["connection.check"].sudo()._conclude(run.steps, run._titles())
        return run.check_ids

    def _release(self):
        """A probe takes seconds: no server of a pool is held meanwhile by what was read before it."""
        self.env.cr.commit()  # pylint: disable=invalid-commit

    @api.model
    def _titles(self):
        """The steps, in their order: name -> title."""
        return {
            "configuration": self.env._("Configuration"),
            "pooler": self.env._("Is a pooler in the path?"),
            "listen": self.env._("Does LISTEN survive?"),
            "bus": self.env._("What does the bus process do?"),
            "browser": self.env._("Does it reach this browser?"),
            "listeners": self.env._("Who else listens through a pool?"),
            "slots": self.env._("Will it stay so?"),
            "cron": self.env._("How long does a triggered job wait?"),
        }

    # Configuration

    def _look_configuration(self):
        info = connection_info_for(POSTGRES)[1]
        seen = [self.env._("Odoo connects to postgres at %(where)s as %(user)s.", where=_where(info), user=_user(info))]
        problems = []
        if _alt_connection():
            seen.append(self.env._("bus_alt_connection leads the bus to %s.", _where(_bus_info())))
        elif any(config.get(f"imdispatcher_db_{name}") for name in ("host", "port")):
            problems.append(
                self.env._(
                    "imdispatcher_db_host or imdispatcher_db_port is set, and does nothing: bus_alt_connection is not "
                    "loaded. Add it to server_wide_modules."
                )
            )
        for name in ("IMDISPATCHER_DB_HOST", "IMDISPATCHER_DB_PORT"):
            if os.environ.get(name):
                problems.append(
                    self.env._(
                        "The environment variable %(name)s does nothing, whatever the readme of bus_alt_connection "
                        "says: its name is ODOO_%(name)s.",
                        name=name,
                    )
                )
        return {
            "done": self.env._("Read where Odoo's settings lead its listeners: to the database postgres."),
            "seen": " ".join(seen),
            "means": " ".join(problems) or self.env._("These are settings only. What they do is proven below."),
            "level": "warning" if problems else "ok",
        }

    # The route, from this process

    def _look_pooler(self):
        consoles = self.env["connection.endpoint"].search([("kind", "=", "pgbouncer"), ("active", "=", True)])
        commands = [f"SHOW {what}" for what in ("CLIENTS", "POOLS", "DATABASES", "USERS", "CONFIG")]
        questions = {console.id: (console._address(), commands) for console in consoles}
        self._release()
        hearing, answered = listen.probe(
            connection_info_for(POSTGRES)[1],
            meanwhile=lambda: session.run(questions, CONSOLE_TIMEOUT),
            look_seconds=CONSOLE_TIMEOUT + session.HAND_OVER_SECONDS,
        )
        pool = self._pool_of(hearing, answered or {})
        seen, means, level = self.env._("It could not be seen."), self._because(hearing._asdict()), "unknown"
        if hearing.is_pooled is not None:
            level = "ok"
            seen = self.env._("They are equal.")
            means = self.env._("This is a direct connection to PostgreSQL.")
        if hearing.is_pooled:
            seen = self.env._("They differ.")
            means = self.env._("A pooler is in between.")
        if pool:
            means += " " + self.env._(
                "It is %(endpoint)s, and the pool is in %(pool_mode)s mode.",
                endpoint=pool["endpoint"],
                pool_mode=pool["pool_mode"],
            )
        elif hearing.is_pooled:
            means += " " + self.env._(
                "It is none of the endpoints that are watched here, so that nobody knows its mode and its size: add it "
                "to the endpoints."
            )
        return {
            "done": self.env._(
                "Connected to postgres as Odoo does, and compared the PID of the protocol with pg_backend_pid()."
            ),
            "seen": seen,
            "means": means,
            "level": level,
            "hearing": hearing._asdict(),
            "pool": pool,
        }

    def _pool_of(self, hearing, answered):
        """The pool of the connection of a listen.Hearing, in what the consoles answered while it was open.

        :return: a dictionary, None if no endpoint has such a client
        """
        for endpoint_id, reading in answered.items():
            reading = understood(reading)
            if isinstance(reading, session.SessionError):
                continue
            rows = {command.removeprefix("SHOW ").lower(): answer for command, answer in reading.answers.items()}
            for client in rows["clients"]:
                of_socket = hearing.own_end and (client.get("addr"), client.get("port")) == hearing.own_end
                of_process = not hearing.own_end and client.get("remote_pid") == os.getpid()
                if client.get("database") != POSTGRES or not (of_socket or of_process):
                    continue
                database = next((row for row in rows["databases"] if row.get("name") == POSTGRES), {})
                user = database.get("force_user") or client.get("user")
                key = POSTGRES, user
                pool = next((row for row in rows["pools"] if (row.get("database"), row.get("user")) == key), {})
                of_user = next((row for row in rows["users"] if row.get("name") == user), {})
                return {
                    "endpoint": self.env["connection.endpoint"].browse(endpoint_id).name,
                    "pool_mode": pool.get("pool_mode") or "?",
                    "pool_size": pool_size(database, of_user),
                    "client_idle_timeout": readings.by_key(rows["config"]).get("client_idle_timeout"),
                    "server": (database.get("host"), database.get("port")),
                }
        return None

    def _look_listen(self):
        hearing = self.steps["pooler"]["hearing"]
        seen, means = self._tell_hearing(hearing)
        return {
            "done": self.env._(
                "LISTEN on a random channel over this route, then NOTIFY from another connection, as Odoo does."
            ),
            "seen": seen,
            "means": means,
            "level": "ok" if is_heard(hearing) else "unknown" if hearing["outcome"] == "failed" else "critical",
        }

    @api.model
    def _because(self, hearing):
        """What kept a listen.Hearing from hearing, in words."""
        words = {
            "timeout": self.env._("There was no answer in time."),
            "unresolved": self.env._("The host name cannot be resolved."),
            "no_password": self.env._("A password is asked for, and Odoo has none."),
        }
        return hearing["detail"] or words.get(hearing["reason"], hearing["reason"]) or ""

    def _finish_unless_job(self, is_pending):
        """End a scheduled check, unless its job will do that: LISTEN works in the cron worker that asks."""
        if not is_pending or not is_heard(self.steps["pooler"]["hearing"]):
            self.finish()

    def _tell_hearing(self, hearing):
        """:return: what was seen of a listen.Hearing, and what it means"""
        because = self._because(hearing)
        if hearing["leftover"]:
            because += " " + self.env._(
                "The random channel stays with the backend of PID %s until its connection ends: nobody will call it.",
                hearing["leftover"],
            )
        return {
            "heard": (
                self.env._("It arrived after %s ms.", tell_ms(self.env, hearing["seconds"] or 0)),
                self.env._("LISTEN works on this route."),
            ),
            "lost": (
                self.env._("It did not arrive within %(seconds)s s. %(why)s", seconds=listen.HEAR_SECONDS, why=because)
                if not hearing["reason"]
                else self.env._("LISTEN was refused: %s", because),
                self.env._("Whoever listens over this route is deaf: it looks connected, and hears nothing."),
            ),
            "blocked": (
                self.env._("The connection was accepted, and then got no server in time. %s", because),
                self.env._("All servers of the pool are taken, or PostgreSQL gives PgBouncer none. Odoo blocks, too."),
            ),
            "failed": (
                self.env._("It failed: %s", because),
                self.env._("Whether LISTEN works is not known."),
            ),
            "unreachable": (
                self.env._("No connection to %(where)s: %(why)s", where=_address(hearing["route"]), why=because),
                self.env._("Odoo cannot connect to the database postgres, and so can neither listen nor notify."),
            ),
        }[hearing["outcome"]]

    # The bus process

    def _look_bus(self, answer=None):
        answers = {self.env._("this browser"): self._read_answer(answer)} if answer else {}
        own_urls = _own_urls()
        for url in dict.fromkeys((self.get_base_url().rstrip("/"), own_urls[0])):
            if not any(found.get("is_bus") for found in answers.values()):
                answers[url] = self._call_bus_process(url)
        through, bus = next(((name, found) for name, found in answers.items() if found.get("is_bus")), (None, {}))
        # Who came through the reverse proxy, and was led to a process that has no websockets?
        misled = [name for name, found in answers.items() if found.get("is_bus") is False and name not in own_urls]
        told = {
            "done": self.env._(
                "Asked the process that holds the websockets: it tried LISTEN over its own route, and called its own "
                "dispatcher on the channel imbus."
            ),
            "is_misled": bool(misled),
            # Whether it was reached on a way that browsers may not take.
            "is_direct": through in own_urls,
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
            seen += " " + self.env._("Its dispatcher was called after %s ms.", tell_ms(self.env, bus["delay"]))
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
                    raise session.SessionError("tls_failed") from error
                except requests.ConnectionError as error:
                    raise session.SessionError("refused") from error

        self._release()
        answer = session.side_by_side({"bus": ("", 0, post)}, seconds)["bus"]
        if isinstance(answer, session.SessionError):
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
                "hearing": listen.probe(_bus_info())[0]._asdict(),
                "delay": self._call_dispatcher(),
                "own_ends": _own_ends(),
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
                with suppress(session.SessionError):  # one that cannot be sent is not heard
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

    # The browser

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
            seen = self.env._("They arrived after %s ms.", ", ".join(tell_ms(self.env, delay) for delay in delays))
            means = self.env._("Chat and notifications are live here.")
        else:
            arrived = sum(delay is not None for delay in delays)
            seen = self.env._(
                "%(arrived)s of them arrived within %(seconds)s s.", arrived=arrived, seconds=ECHO_SECONDS
            )
            means = self.env._("Chat and notifications are not live here.")
        return told | {"seen": seen, "means": means, "level": "ok" if is_live else "critical", "is_live": is_live}

    # Others, and the size of the pool

    def _look_listeners(self):
        is_listener = [("component", "=", "odoo_listener")]
        direct = self.env["pg.stat.activity"].search_count(is_listener)
        clients = self._old_clients()
        deaf = clients.filtered(lambda client: not client.server_id)
        seen = [
            self.env._("%s connections of Odoo's to postgres are direct.", direct),
            self.env._(
                "%(count)s clients of PgBouncer have been connected to postgres for more than %(seconds)s s, of which "
                "%(deaf)s have no server.",
                count=len(clients),
                seconds=LISTENER_SECONDS,
                deaf=len(deaf),
            ),
        ]
        means, level = [], "ok"
        if deaf:
            level = "warning"
            names = ", ".join(deaf.mapped("display_name"))
            means.append(self.env._("If these listen, they are deaf: %s.", names))
        for notice in self.env["pgbouncer.client"]._notices():
            level = "warning"
            means.append(notice["text"])
        told = {}
        if "queue.job" in self.env:
            runner = sys.modules.get("odoo.addons.queue_job.jobrunner.runner")
            info_for = runner._connection_info_for if runner else lambda name: connection_info_for(name)[1]
            info = info_for(self.env.cr.dbname)
            self._release()
            hearing = listen.probe(info)[0]._asdict()
            told["is_queue_job_deaf"] = not is_heard(hearing)
            seen.append(self.env._("queue_job's runner: %s", self._tell_hearing(hearing)[0]))
            if not is_heard(hearing):
                level = "critical"
                means.append(
                    self.env._(
                        "queue_job listens on the database %(database)s over %(where)s: its jobs wait for a timer. Set "
                        "jobrunner_db_host and jobrunner_db_port in the section [queue_job] of odoo.conf to "
                        "PostgreSQL's own address.",
                        database=self.env.cr.dbname,
                        where=_where(info),
                    )
                )
        return told | {
            "done": self.env._("Looked for long-lived connections to postgres, and for queue_job."),
            "seen": " ".join(seen),
            "means": " ".join(means) or self.env._("Nobody else is seen to be deaf."),
            "level": level,
            "count": len(clients),
            "deaf": len(deaf),
        }

    def _old_clients(self):
        """The clients of postgres that are connected for longer than anything but a listener."""
        clients = self.env["pgbouncer.client"].search([("database", "in", (CONSOLE, POSTGRES))])
        old = clients.browse()
        for of_endpoint in clients.grouped("endpoint_id").values():
            # PgBouncer's times are in its own zone: the newest console is the one that was just opened.
            consoles = of_endpoint.filtered(lambda client: client.database == CONSOLE)
            now = max(filter(None, consoles.mapped("connect_time")), default=None)
            for client in of_endpoint.filtered(lambda client: client.database == POSTGRES):
                age = readings.age(client.connect_time, now)
                if age is not None and age > LISTENER_SECONDS:
                    old |= client
        return old

    def _look_slots(self):
        pool = self.steps["pooler"]["pool"]
        listeners = config["max_cron_threads"] + 1
        at_once = max(config["workers"], 1) + config["max_cron_threads"]
        held = max(listeners, self.steps["listeners"]["count"])
        told = {
            "done": self.env._("Compared the size of the pool of postgres with the connections that it needs."),
            "needed": held + at_once,
        }
        if not pool or pool["pool_mode"] != "session":
            is_pooled = self.steps["pooler"]["hearing"]["is_pooled"]
            return told | {
                "seen": self.env._("There is no pool in session mode that is watched here."),
                "means": self.env._("Nothing: only there listeners hold servers for good.")
                if pool or is_pooled is False
                else self.env._("Not known: add the PgBouncer to the endpoints."),
                "level": "ok" if pool or is_pooled is False else "unknown",
            }
        size = pool["pool_size"]
        seen = self.env._(
            "pool_size is %(size)s. This Odoo's listeners hold %(listeners)s for good: one for each cron worker, and "
            "one for the bus. Clients that listen there now: %(count)s. For a moment each, up to %(at_once)s more "
            "are needed: each HTTP and cron worker may send a NOTIFY or be asked for its health.",
            size="?" if size is None else size,
            listeners=listeners,
            count=self.steps["listeners"]["count"],
            at_once=at_once,
        )
        if config["dbfilter"]:
            seen += " " + self.env._(
                "And with a db_filter each page of a visitor who is not signed in asks postgres for the databases."
            )
        is_short = size is not None and size <= held
        is_cut_off = pool["client_idle_timeout"] not in (None, "0")
        if is_cut_off:
            means = self.env._(
                "client_idle_timeout is %s s: PgBouncer cuts off listeners, which are idle. Then Odoo's bus is deaf "
                "for 50 s. Set it to 0.",
                pool["client_idle_timeout"],
            )
        elif is_short:
            means = self.env._(
                "The pool is too small: when all listeners are connected, a NOTIFY finds no server, and whoever sends "
                "it, which may be any page, waits until query_wait_timeout. Raise pool_size."
            )
        elif size is None:
            means = self.env._("The size of the pool is not known.")
        elif size < held + at_once:
            means = self.env._("It will stay so. When many work at once some of them wait for a moment.")
        else:
            means = self.env._("It will stay so.")
        level = "warning" if is_short or is_cut_off else "unknown" if size is None else "ok"
        return told | {"seen": seen, "means": means, "level": level}

    # The cron workers

    def _look_cron(self):
        done = self.env._(
            "Triggered a scheduled action that does nothing, %s times in a row, and measured how long it waited.",
            _jobs(),
        )
        cron = self.env["res.config.settings"]._cron("listen")
        if not can_notify(self.steps["pooler"]["hearing"]):
            return {
                "done": self.env._("Nothing."),
                "seen": self.env._("To trigger a job sends a NOTIFY, for which there is no connection now."),
                "means": self.env._("Whatever triggers a job hangs or fails."),
                "level": "critical",
            }
        if not cron.active:
            return {
                "done": done,
                "seen": self.env._("The scheduled action “LISTEN check: start” is switched off, or deleted."),
                "means": self.env._("How long a triggered job waits is not known. Switch the action on."),
                "level": "unknown",
            }
        if not self.job:
            self.job = {"triggered": [self._clock()], "started": [], "workers": []}
            self.is_waiting = True
            self._trigger_job()
        job = self.job
        waited = self._clock() - job["triggered"][-1]
        told = {
            "done": done,
            "hearing": job.get("hearing"),
            "workers": job["workers"],
            "delay": max(self._job_delays(), default=None),
            "is_woken": False,
            "is_pending": self.is_waiting and waited < WOKEN_SECONDS,
        }
        if told["is_pending"]:
            return told | {"seen": self.env._("Waiting for the job.")}
        if self.is_waiting:
            return told | {
                "seen": self.env._("The job did not start within %s s.", WOKEN_SECONDS),
                "means": self.env._(
                    "The cron workers are deaf and wait for their timer of a minute, or they are all busy, or there "
                    "are none."
                ),
                "level": "critical",
            }
        seen = self.env._(
            "It started after %(delays)s ms, in %(workers)s. LISTEN in the last of these: %(seen)s",
            delays=", ".join(tell_ms(self.env, delay) for delay in self._job_delays()),
            workers=", ".join(
                self.env._("PID %(pid)s on %(host)s", pid=pid, host=host)
                for host, pid, _thread in dict.fromkeys(map(tuple, job["workers"]))
            ),
            seen=self._tell_hearing(job["hearing"])[0],
        )
        is_woken = told["delay"] < WOKEN_SECONDS and len(set(map(tuple, job["workers"]))) < len(job["workers"])
        if not is_woken:
            means = self.env._("The cron workers are deaf, or they were all busy.")
        elif is_heard(job["hearing"]):
            means = self.env._("The cron workers are woken up.")
        else:
            means = self.env._(
                "The cron workers still hear over connections that were made before. The next ones will be deaf."
            )
        level = "ok" if is_woken and is_heard(job["hearing"]) else "critical"
        return told | {"seen": seen, "means": means, "level": level, "is_woken": is_woken}

    def _job_delays(self):
        """How long the jobs waited that have started, in seconds."""
        pairs = zip(self.job["triggered"], self.job["started"], strict=False)  # the newest may not have started
        return [started - triggered for triggered, started in pairs]

    @api.model
    def _clock(self):
        """PostgreSQL's time, in seconds: hosts may differ."""
        return self.env.execute_query(SQL("SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8"))[0][0]

    @api.model
    def _trigger_job(self):
        """As ir.cron's own trigger, but for a NOTIFY that does not wait for a connection for minutes."""
        cron = self.env["res.config.settings"]._cron("listen")
        self.env["ir.cron.trigger"].sudo().create({"cron_id": cron.id, "call_at": fields.Datetime.now()})
        info, dbname = connection_info_for(POSTGRES)[1], self.env.cr.dbname

        @self.env.cr.postcommit.add
        def notify():
            with suppress(session.SessionError):  # the job then waits for the timer, which is measured
                listen.notify(info, "cron_trigger", dbname, odoo_bus.ODOO_NOTIFY_FUNCTION)

    @api.model
    def _start_job(self):
        """The scheduled action whose start is measured."""
        started = self._clock()
        is_last = any(run._is_last_job(started) for run in self.search([("is_waiting", "=", True)]))
        hearing = listen.probe(connection_info_for(POSTGRES)[1])[0]._asdict() if is_last else None
        # A page may write at this moment, too: then it is done again, and the job does not fail.
        self.env["connection.check"]._commit_with_retries(lambda runs: runs._note_job(started, hearing))

    def _is_last_job(self, started):
        is_late = started - self.job["triggered"][-1] >= WOKEN_SECONDS
        return is_late or len(self.job["started"]) + 1 >= _jobs()

    @api.model
    def _note_job(self, started, hearing):
        """Write down that the job started.

        :param dict hearing: of a listen.Hearing in this worker; None if it was not the last job of a run
        """
        worker = [socket.gethostname(), os.getpid(), threading.get_ident()]
        for run in self.search([("is_waiting", "=", True)]):
            job = run.job | {"started": [*run.job["started"], started], "workers": [*run.job["workers"], worker]}
            if hearing and run._is_last_job(started):
                job["hearing"] = hearing
                run.is_waiting = False
            else:
                job["triggered"] = [*job["triggered"], started]
                self._trigger_job()
            run.job = job
            if run.is_waiting:
                continue
            run.step("cron")
            if run.check_ids:  # it came too late for these, and may know more
                run.check_ids._judge_again(run.steps)
            elif run.is_scheduled:
                run.finish()

    @api.model
    def _finish_forgotten(self):
        """End scheduled checks whose job never started."""
        late = [("is_scheduled", "=", True), ("create_date", "<", fields.Datetime.now() - RUN_TIME)]
        for run in self.search([*late, ("check_ids", "=", False)]):
            run.finish()


def _jobs():
    """How many jobs in a row are triggered."""
    return config["max_cron_threads"] + MORE_JOBS_THAN_WORKERS


def _alt_connection():
    """The module of bus_alt_connection that leads the bus elsewhere, if this process has loaded it."""
    return sys.modules.get("odoo.addons.bus_alt_connection.models.bus")


def _bus_info():
    """psycopg2's parameters of the connection on which the bus of this process listens."""
    alt = _alt_connection()
    return alt._connection_info_for(POSTGRES) if alt else connection_info_for(POSTGRES)[1]


def _where(info):
    return _address(listen.route(info))


def _user(info):
    return info.get("user") or os.environ.get("PGUSER") or "?"


def _address(route):
    host, port = route
    return network_address(host, port) if host else f"(unix socket):{port}"


def _own_urls():
    """Where Odoo's processes listen on this host: first the one with the websockets. None is a reverse proxy."""
    interface = config["http_interface"]
    host = "127.0.0.1" if interface in (None, "", "0.0.0.0", "::") else interface
    ports = (config["gevent_port"] if config["workers"] else config["http_port"], config["http_port"])
    return [f"http://{network_address(name, port)}" for name in (host, "localhost", "127.0.0.1") for port in ports]


def _own_ends():
    """The own ends of the TCP connections of this process: addresses and ports."""
    process = psutil.Process()
    connections = process.net_connections if hasattr(process, "net_connections") else process.connections
    return [tuple(connection.laddr) for connection in connections(kind="tcp") if connection.raddr]
