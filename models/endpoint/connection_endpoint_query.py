"""Query the servers of endpoints, with deadlines. Stores nothing."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg2

from odoo import api, models
from odoo.tools import SQL, config
from odoo.tools.misc import formatLang

from ...analysis import readings
from ...odoo_internals import server_version, server_version_text
from ...probes import gate, postgres
from ...probes.address import Address
from ...probes.console import CONSOLE_TIMEOUT, SAMPLE_COMMANDS
from ...probes.errors import QueryError
from ...probes.reading import Reading, checked
from .connection_endpoint import PASSWORD_VARIABLE


def understood(reading, kind="pgbouncer"):
    """Return a Reading of a kind of endpoint with typed values, see `analysis.readings`, or its QueryError."""
    reading = checked(reading)
    if isinstance(reading, QueryError):
        return reading
    if kind == "postgresql":
        return reading._replace(answers=readings.postgresql(reading.answers))
    return reading._replace(answers=readings.console(reading.answers, reading.version))


class ConnectionEndpoint(models.Model):
    _inherit = "connection.endpoint"

    def _read(self, *commands):
        """Return what the consoles of these endpoints answer to commands.

        The consoles are queried in parallel, within CONSOLE_TIMEOUT. In one transaction no command is sent to a
        console twice, and none to a console that could not be read.

        :return: endpoint -> Reading or QueryError. A command that this PgBouncer does not know has no rows.
        """
        known = self.env.cr.cache.setdefault(self._name, {})
        questions = {}
        for endpoint in self.filtered(lambda endpoint: endpoint.kind == "pgbouncer"):
            reading = known.get(endpoint.id)
            if isinstance(reading, QueryError):
                continue
            if missing := [command for command in commands if not reading or command not in reading.answers]:
                questions[endpoint.id] = endpoint._address(), missing
        for endpoint_id, reading in gate.run(questions, CONSOLE_TIMEOUT, self._gate_folder()).items():
            reading = understood(reading)
            if isinstance(reading, Reading) and endpoint_id in known:
                reading = reading._replace(answers=known[endpoint_id].answers | reading.answers)
            known[endpoint_id] = reading
        return {endpoint: known[endpoint.id] for endpoint in self if endpoint.id in known}

    def _start_measuring(self, commands=SAMPLE_COMMANDS, is_forced=False):
        """Start to query these servers for a sample, in parallel, within CONSOLE_TIMEOUT.

        :param commands: for PgBouncers. Later queries in this transaction use their answers.
        :param bool is_forced: whether to query servers that did not answer a few seconds ago
        :return: a function that waits for the answers and returns endpoint -> (answer, error): a Reading, or None if
            there was no answer, and a QueryError, or None. A PostgreSQL whose address failed has both: the answer then
            comes over Odoo's own connection.
        """
        questions = {}
        for endpoint in self:
            if endpoint.kind == "pgbouncer":
                questions[endpoint.id] = endpoint._address(), list(commands)
            elif endpoint.host:
                questions[endpoint.id] = endpoint._address(), self._postgresql_queries(CONSOLE_TIMEOUT)
        executor = ThreadPoolExecutor(max_workers=1)
        others = executor.submit(gate.run, questions, CONSOLE_TIMEOUT, self._gate_folder(), is_forced)
        executor.shutdown(wait=False)
        own = self._read_own() if "postgresql" in self.mapped("kind") else None
        return lambda: self._understand(others.result(), own)

    def _understand(self, answered, own):
        """Return endpoint -> (answer, error), see `_start_measuring`.

        :param dict answered: id of an endpoint -> Reading or QueryError
        :param own: what Odoo's own connection returned, None if it was not queried
        """
        measured = {
            endpoint.id: understood(answered[endpoint.id], endpoint.kind)
            for endpoint in self
            if endpoint.id in answered
        }
        known = self.env.cr.cache.setdefault(self._name, {})
        for endpoint in self.filtered(lambda endpoint: endpoint.kind == "pgbouncer"):
            known[endpoint.id] = measured[endpoint.id]
        return {endpoint: endpoint._check_reading(measured.get(endpoint.id), own) for endpoint in self}

    def _check_reading(self, reading, own):
        """Return (answer, error) of this endpoint, see `_start_measuring`."""
        answer, error = reading or own, None
        if reading and self.kind == "postgresql":
            answer, error = self._check_postgresql(reading, own)
        return (None, answer) if isinstance(answer, QueryError) else (answer, error)

    def _check_postgresql(self, answer, own):
        """Return (answer, error) of a PostgreSQL with an address of its own.

        If the server there is not the one that Odoo is connected to, or does not answer, the answer is that of Odoo's
        own connection, and the error says why.
        """
        if isinstance(own, QueryError):
            return answer, None
        if isinstance(answer, Reading):
            rows = (reading.answers[postgres.ACTIVITY] for reading in (answer, own))
            there, here = (next(iter(found), {}).get("started_at") for found in rows)
            if there is None or there != here:
                answer = QueryError("wrong_server")
        if isinstance(answer, QueryError):
            return own, answer
        return answer, None

    @api.model
    def _postgresql_queries(self, timeout):
        return postgres.sample_queries(server_version(self.env.cr), timeout)

    @contextmanager
    def _time_limit(self, seconds):
        """Limit the time of each query of Odoo's own connection in this context. If one fails, all of them are rolled
        back."""
        with self.env.cr.savepoint(flush=False):
            self.env.cr.execute(
                """
                WITH before AS MATERIALIZED (SELECT current_setting('statement_timeout') AS statement_timeout)
                SELECT statement_timeout, set_config('statement_timeout', %s, true) FROM before
                """,
                [f"{seconds}s"],
            )
            [(before, _limit)] = self.env.cr.fetchall()
            yield
            self.env.cr.execute("SELECT set_config('statement_timeout', %s, true)", [before])

    @api.model
    def _read_own(self):
        """Return a Reading of this Odoo's PostgreSQL over Odoo's own connection, or a QueryError."""
        # The transaction is open already, and stays open.
        _begin, _timeout, *queries, _commit = self._postgresql_queries(CONSOLE_TIMEOUT / 3)
        version = server_version_text(self.env.cr)
        try:
            with self._time_limit(CONSOLE_TIMEOUT / 3):
                self.env.cr.execute("SELECT pg_stat_clear_snapshot()", log_exceptions=False)
                answers = {}
                for query in queries:
                    self.env.cr.execute(query, log_exceptions=False)
                    answers[query] = self.env.cr.dictfetchall()
        except psycopg2.errors.QueryCanceled as error:
            return QueryError("timeout", str(error).strip())
        except psycopg2.Error as error:
            return QueryError("other", str(error).strip())
        return understood(Reading(version, None, answers, time.time()), "postgresql")

    @api.model
    def _own_connection(self, expression):
        """Return the value of an SQL expression on Odoo's own connection, e.g. current_user."""
        return self.env.execute_query(SQL("SELECT %s", SQL(expression)))[0][0]

    @api.model
    def _gate_folder(self):
        """Return the folder in which this Odoo's processes share which servers do not answer."""
        return Path(config["data_dir"]) / "pgbouncer_monitor" / self.env.cr.dbname

    def _address(self):
        endpoint = self.sudo()
        from_environment = endpoint.is_trusted and os.environ.get(PASSWORD_VARIABLE)
        return Address(
            host=endpoint.host,
            port=endpoint.port,
            user=endpoint.user,
            password=endpoint.stored_password or from_environment or "",
            sslmode=endpoint.sslmode,
            is_trusted=endpoint.is_trusted,
            dbname=None if endpoint.kind == "pgbouncer" else self._own_connection("current_database()"),
        )

    @api.model
    def _timeout(self):
        """Return CONSOLE_TIMEOUT in the format of the user's language."""
        return formatLang(self.env, CONSOLE_TIMEOUT, digits=1)

    def _lock(self):
        """Lock these endpoints for a measurement until the transaction ends; return those that were not locked."""
        query = SQL(
            "SELECT id FROM unnest(%s::int[]) AS id WHERE pg_try_advisory_xact_lock(hashtext(%s), id)",
            self.ids,
            self._table,
        )
        return self.browse(row[0] for row in self.env.execute_query(query))

    def _wait_for_lock(self):
        """Lock this endpoint for a measurement until the transaction ends. Wait if it is locked."""
        self.env.execute_query(SQL("SELECT pg_advisory_xact_lock(hashtext(%s), %s)", self._table, self.id))
