"""The route to the database on which Odoo listens."""

import os

from odoo import api, models
from odoo.sql_db import connection_info_for
from odoo.tools import config

from ...analysis import readings
from ...analysis.bottleneck import pool_size
from ...analysis.joins import network_address
from ...odoo_internals import alt_connection, bus_info
from ...probes import listen, query
from ...probes.console import CONSOLE_TIMEOUT
from ...probes.errors import QueryError
from ...probes.listen import POSTGRES
from ...tools import format_ms
from ..endpoint.connection_endpoint_query import understood
from .connection_check import is_heard


def _where(info):
    return _address(listen.route(info))


def _user(info):
    return info.get("user") or os.environ.get("PGUSER") or "?"


def _address(route):
    host, port = route
    return network_address(host, port) if host else f"(unix socket):{port}"


class ConnectionCheckRun(models.TransientModel):
    _inherit = "connection.check.run"

    def _look_configuration(self):
        info = connection_info_for(POSTGRES)[1]
        seen = [self.env._("Odoo connects to postgres at %(where)s as %(user)s.", where=_where(info), user=_user(info))]
        problems = []
        if alt_connection():
            seen.append(self.env._("bus_alt_connection leads the bus to %s.", _where(bus_info())))
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

    def _look_pooler(self):
        consoles = self.env["connection.endpoint"].search([("kind", "=", "pgbouncer"), ("active", "=", True)])
        commands = [f"SHOW {what}" for what in ("CLIENTS", "POOLS", "DATABASES", "USERS", "CONFIG")]
        questions = {console.id: (console._address(), commands) for console in consoles}
        self._release()
        hearing, answered = listen.probe(
            connection_info_for(POSTGRES)[1],
            meanwhile=lambda: query.run(questions, CONSOLE_TIMEOUT),
            look_seconds=CONSOLE_TIMEOUT + query.HAND_OVER_SECONDS,
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
            if isinstance(reading, QueryError):
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
                self.env._("It arrived after %s ms.", format_ms(self.env, hearing["seconds"] or 0)),
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
