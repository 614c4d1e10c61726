"""The steps about the route to the database on which Odoo listens: settings, pooler, LISTEN."""

import os

from odoo import api, models
from odoo.tools import config

from ...analysis.joins import network_address
from ...analysis.listen_remedies import is_loopback, is_same_address
from ...analysis.listening import is_delivered, pool_at, pool_of
from ...odoo_internals import alt_connection, bus_info, listener_info, system_database
from ...probes import listen, query
from ...probes.console import CONSOLE_TIMEOUT
from ...probes.errors import QueryError
from ...tools import format_ms
from ..endpoint.connection_endpoint_query import understood

# What bus_alt_connection reads, and the names by which its readme calls the environment's variables.
ALT_OPTIONS = ("imdispatcher_db_host", "imdispatcher_db_port")
WRONG_VARIABLES = ("IMDISPATCHER_DB_HOST", "IMDISPATCHER_DB_PORT")


def address_text(route):
    """Return a route as text.

    :param route: host and port; no host is libpq's own choice, a unix socket
    """
    host, port = route
    return network_address(host, port) if host else f"(unix socket):{port}"


class ConnectionCheckRun(models.TransientModel):
    _inherit = "connection.check.run"

    def _step_configuration(self):
        info = listener_info()
        is_alt = bool(alt_connection())
        facts = {
            "route": listen.route(info),
            "user": info.get("user") or os.environ.get("PGUSER") or "?",
            "bus_route": listen.route(bus_info()) if is_alt else None,
            "is_alt_missing": not is_alt and any(map(config.get, ALT_OPTIONS)),
            "wrong_variables": [name for name in WRONG_VARIABLES if os.environ.get(name)],
        }
        is_wrong = facts["is_alt_missing"] or facts["wrong_variables"]
        return facts | {"level": "warning" if is_wrong else "ok"}

    @api.model
    def _describe_configuration(self, facts):
        where, user = address_text(facts["route"]), facts["user"]
        seen = self.env._("Odoo connects to the database postgres at %(where)s as %(user)s.", where=where, user=user)
        if facts["bus_route"]:
            where = address_text(facts["bus_route"])
            seen += " " + self.env._("bus_alt_connection connects the bus to %s.", where)
        problems = []
        if facts["is_alt_missing"]:
            problems.append(
                self.env._(
                    "imdispatcher_db_host or imdispatcher_db_port is set but has no effect: bus_alt_connection is not "
                    "loaded. Add it to server_wide_modules."
                )
            )
        for name in facts["wrong_variables"]:
            problems.append(
                self.env._(
                    "The environment variable %(name)s has no effect, despite the readme of bus_alt_connection: its "
                    "name is ODOO_%(name)s.",
                    name=name,
                )
            )
        return (
            self.env._("Read the settings of Odoo's listeners, which connect to the database postgres."),
            seen,
            " ".join(problems) or self.env._("These are settings only. The next steps prove what they do."),
        )

    def _step_pooler(self):
        result, pool = self._probe(listener_info())
        level = "unknown" if result["is_pooled"] is None else "ok"
        return {"level": level, "result": result, "pool": pool}

    @api.model
    def _probe(self, info, database=None):
        """Test LISTEN on a connection with these parameters of psycopg2.

        :param str database: that they connect to, by default the one on which Odoo listens
        :return: the facts of its listen.ListenResult; and its pool, with the name of its ``endpoint``, None if no
            endpoint shows the connection
        """
        consoles = self.env["connection.endpoint"].search([("kind", "=", "pgbouncer"), ("active", "=", True)])
        commands = [f"SHOW {what}" for what in ("CLIENTS", "POOLS", "DATABASES", "USERS", "CONFIG", "STATE")]
        questions = {console.id: (console._address(), commands) for console in consoles}
        self._commit_before_waiting()
        name = listen.new_name()
        result, answered = listen.probe(
            info,
            meanwhile=lambda: query.run(questions, CONSOLE_TIMEOUT),
            meanwhile_seconds=CONSOLE_TIMEOUT + query.HAND_OVER_SECONDS,
            name=name,
        )
        if answered is None:  # no connection could be made
            answered = query.run(questions, CONSOLE_TIMEOUT)
        pool = self._pool(name, result, answered, database or system_database())
        # Another connection may reach another PgBouncer, that is configured differently.
        is_one = len(consoles) == 1 and pool and not pool["is_shared_port"]
        if result.outcome == "delivered" and result.is_pooled and not is_one:
            others = (listen.probe(info)[0].outcome for _try in range(listen.TRIES))
            result = result._replace(is_mixed=any(outcome != "delivered" for outcome in others))
        return result._asdict(), pool

    @api.model
    def _pool(self, name, result, answered, database):
        """Return the pool that a connection of this process uses, None if no endpoint shows it. See `_with_endpoint`.

        :param str name: its ``application_name``
        :param result: its listen.ListenResult
        :param dict answered: the id of an endpoint -> what its console answered while the connection was open
        """
        understood_ones = {endpoint_id: understood(reading) for endpoint_id, reading in answered.items()}
        consoles = {
            self.env["connection.endpoint"].browse(endpoint_id): reading.answers
            for endpoint_id, reading in understood_ones.items()
            if not isinstance(reading, QueryError)
        }
        for endpoint, answers in consoles.items():
            if pool := pool_of(name, result.own_end, os.getpid(), database, answers):
                return self._with_endpoint(pool, endpoint, consoles)
        if result.outcome != "unreachable" or not result.route:
            return None
        return self._pool_behind(result.route, database, listener_info().get("user"), consoles)

    @api.model
    def _with_endpoint(self, pool, endpoint, consoles):
        """Return a pool of `pool_at` with the name of its ``endpoint``, and the pool ``behind``: that of the PgBouncer
        that it connects to, None if that is no endpoint.

        :param dict consoles: endpoint -> what its console answered
        """
        host, port = pool["server"]
        if host and is_loopback(host):
            host = endpoint.host  # as seen from that PgBouncer
        others = {other: answers for other, answers in consoles.items() if other != endpoint}
        behind = host and self._pool_behind((host, port), pool["database"], pool["user"], others)
        return pool | {"endpoint": endpoint.name, "endpoint_id": endpoint.id, "behind": behind or None}

    @api.model
    def _pool_behind(self, address, database, user, consoles):
        """Return the pool of the endpoint at an address, None if there is none. See `_with_endpoint`."""
        for endpoint, answers in consoles.items():
            if is_same_address(address, (endpoint.host, endpoint.port)):
                return self._with_endpoint(pool_at(database, user, answers), endpoint, consoles)
        return None

    @api.model
    def _describe_pooler(self, facts):
        result, pool = facts["result"], facts["pool"]
        seen, means = self.env._("They could not be compared."), self._failure_text(result)
        if result["is_pooled"] is not None:
            seen = self.env._("They are equal.")
            means = self.env._("This is a direct connection to PostgreSQL.")
        if result["is_pooled"]:
            seen = self.env._("They differ.")
            means = self.env._("A pooler is in the path.")
        if pool:
            which = self.env._(
                "It is %(endpoint)s, and the pool is in %(pool_mode)s mode.",
                endpoint=pool["endpoint"],
                pool_mode=pool["pool_mode"] or "?",
            )
            # The reason of a failure may end without a full stop.
            means = f"{means} {which}" if result["is_pooled"] else f"{which} {means}"
        elif result["is_pooled"]:
            means += " " + self.env._(
                "It is none of the endpoints here, so its pool mode and pool size are unknown. Add it to the endpoints."
            )
        done = self.env._("Connected to postgres as Odoo does, and compared the protocol's PID with pg_backend_pid().")
        return done, seen, means

    def _step_listen(self):
        result = self.steps["pooler"]["result"]
        level = "ok" if is_delivered(result) else "unknown" if result["outcome"] == "failed" else "critical"
        return {"level": level, "result": result}

    @api.model
    def _describe_listen(self, facts):
        done = self.env._(
            "Sent LISTEN on a random channel over this route, then NOTIFY over another connection, as Odoo does."
        )
        return done, *self._describe_result(facts["result"])

    @api.model
    def _failure_text(self, failure):
        """Return in words what prevented a delivery.

        :param dict failure: ``reason`` and ``detail`` of a listen.ListenResult
        """
        words = {
            "timeout": self.env._("It timed out."),
            "unresolved": self.env._("The host name cannot be resolved."),
            "no_password": self.env._("The server requests a password, and Odoo has none."),
        }
        return failure["detail"] or words.get(failure["reason"], failure["reason"]) or ""

    @api.model
    def _describe_result(self, result):
        """Return in words what was seen of a listen.ListenResult, a dictionary, and what it means."""
        outcome, why = result["outcome"], self._failure_text(result)
        if result["leftover"]:
            why += " " + self.env._(
                "The backend with PID %s listens on the random channel until its connection ends, which is harmless.",
                result["leftover"],
            )
        if outcome == "delivered":
            seen = self.env._("Notification received after %s ms.", format_ms(self.env, result["seconds"] or 0))
        elif outcome == "lost" and result["reason"]:
            seen = self.env._("LISTEN was rejected: %s", why)
        elif outcome == "lost":
            seconds = listen.DELIVERY_SECONDS
            seen = self.env._("No notification within %(seconds)s s. %(why)s", seconds=seconds, why=why)
        elif outcome == "blocked":
            seen = self.env._("The connection was accepted but got no server in time. %s", why)
        elif outcome == "unreachable":
            where = address_text(result["route"])
            seen = self.env._("No connection to %(where)s: %(why)s", where=where, why=why)
        else:
            seen = self.env._("Failed: %s", why)
        return seen, self._outcome_meanings()[outcome]

    @api.model
    def _outcome_meanings(self):
        return {
            "delivered": self.env._("LISTEN works on this route."),
            "lost": self.env._("A listener on this route looks connected but receives no notifications."),
            "blocked": self.env._(
                "All servers of the pool are in use, or PostgreSQL rejects new connections of PgBouncer. Odoo is "
                "blocked, too."
            ),
            "failed": self.env._("Whether LISTEN works is unknown."),
            "unreachable": self.env._(
                "Odoo cannot connect to the database postgres, so it can neither LISTEN nor NOTIFY."
            ),
        }
