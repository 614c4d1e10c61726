"""The snapshot that the rules judge: one reading of each server."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psycopg2

from odoo import api, models

from ...advice.snapshot import Snapshot
from ...odoo_internals import listener_info, replica_info
from ...probes import once
from ...probes.console import CONSOLE_TIMEOUT

# For what is read over Odoo's own connection after its sessions, all of it together. No query has less than LEAST.
OWN_SECONDS, LEAST = 5, 0.1
IS_ANSWERING = "SELECT 1 AS one"

_logger = logging.getLogger(__name__)


class ConnectionAdvice(models.Model):
    _inherit = "connection.advice"

    @api.model
    def _snapshot(self):
        """Read this installation: all servers in parallel within one deadline, then what their answers point to within
        another one. What cannot be read is None.

        :return: `advice.snapshot.Snapshot`
        """
        advice = self.sudo()
        sample_age = advice._sample_age()
        reading = advice.env["connection.plan"]._read_servers()
        get_connected = advice._start_connecting(reading)
        read = partial(advice._within_limit, time.monotonic() + OWN_SECONDS)
        catalog = read(advice._catalog, reading) or {}
        history, histories = read(advice._postgresql_history), read(advice._pool_histories, reading)
        connected, pids = get_connected(), advice._pids(reading)
        postgresql = advice._snapshot_postgresql(reading, catalog, history)
        odoo = advice._snapshot_odoo(reading, catalog, connected)
        watch = advice._snapshot_watch(reading, sample_age, pids, connected)
        consoles = advice._snapshot_consoles(reading, catalog, odoo.route, pids, watch.twins, histories)
        return Snapshot(consoles, postgresql, odoo, watch)

    @api.model
    def _within_limit(self, deadline, query, *arguments):
        """Return what a function reads over Odoo's own connection, None if PostgreSQL does not answer in time.

        :param float deadline: a time of the monotonic clock
        """
        seconds = min(CONSOLE_TIMEOUT, max(LEAST, deadline - time.monotonic()))
        try:
            with self.env["connection.endpoint"]._time_limit(seconds):
                return query(*arguments)
        except psycopg2.OperationalError:  # out of time among them
            return None
        except psycopg2.Error:
            _logger.exception("The advice could not read all of PostgreSQL")
            return None

    @api.model
    def _start_connecting(self, reading):
        """Start to connect to databases beside this one, as Odoo does, in parallel, within `once.SECONDS`.

        :return: a function that waits for them and returns key -> row or QueryError. The keys are "listener",
            "replica", if there is one, and ("sampling", name) of other databases that may sample
        """
        replica = replica_info(self.env.cr.dbname)
        questions = {"listener": (listener_info(), IS_ANSWERING)}
        if replica:
            questions["replica"] = replica, IS_ANSWERING
        executor = ThreadPoolExecutor(max_workers=1)
        answers = executor.submit(once.queries, questions | self._sampling_questions(reading))
        executor.shutdown(wait=False)
        return answers.result

    @api.model
    def _pgbouncers(self):
        return self.env["connection.endpoint"].search([("kind", "=", "pgbouncer"), ("active", "=", True)])
