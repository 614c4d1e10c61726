"""Count the requests of this Odoo that no connection to the database served: a handler on Odoo's own loggers.

Each process that loads the module installs it: HTTP workers, cron workers, the gevent process. A refused request is
an error that Odoo logs: ``odoo.http`` the exception of a request, ``ir_cron`` that of a scheduled action,
``odoo.sql_db`` that of a query, ``bus`` and ``odoo.service.server`` the loss of a connection on which they listen. One
case Odoo does not log as an error: a request that names no database gets a page without one if the list of databases
cannot be read. Then ``odoo.sql_db`` logs the failed connection as information.

Odoo does not promise the names of these loggers, known for 19.0. What else it does not is in `odoo_internals`.
"""

import logging
import os
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psycopg2
from psycopg2.pool import PoolError

import odoo.http
import odoo.sql_db
from odoo.tools import config

from .analysis.refusals import refusal_kind
from .odoo_internals import is_known_database, is_unserved, own_connection
from .probes import refusals

_logger = logging.getLogger(__name__)

ADDON = __name__.rpartition(".")[0]
# The mark of an exception, and of a request, that was counted.
COUNTED = "pgbouncer_monitor.refused"


def refusals_folder():
    """Return the folder in which the Odoo processes of this host, and of hosts that share it, count."""
    return Path(config["data_dir"]) / "pgbouncer_monitor_refusals"


def chain(error):
    """Yield an exception, and those that it was raised from or after."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def refusal(error):
    """Return the kind of refusal that an exception is, None if it is none, and what to mark as counted."""
    if not isinstance(error, psycopg2.Error):
        return None, []
    is_own, connection, refused = own_connection(error)
    if not is_own:
        return None, []
    if not connection or not connection.closed:
        is_new, is_known = refused is not None, not refused or is_known_database(refused.get("database"))
        kind = refusal_kind(str(error), error.pgcode, isinstance(error, PoolError), is_new, is_known=is_known)
        return kind, [error.__dict__]
    # PgBouncer's last words: psycopg2 raises what libpq found after them, that the connection is closed.
    message = f"{error}{connection.info.error_message}"
    # An InterfaceError may also be about a cursor that was used after its end.
    is_closed, is_known = not isinstance(error, psycopg2.InterfaceError), is_known_database(connection.info.dbname)
    kind = refusal_kind(message, error.pgcode, is_closed=is_closed, is_known=is_known)
    return kind, [error.__dict__, connection.__dict__]


class RefusalRecorder(logging.Handler):
    """Counts refused requests in files. It never raises, and does nothing but for errors."""

    def __init__(self):
        super().__init__(logging.INFO)
        self.pending = Counter()  # what could not be written yet
        self.has_warned = False
        os.register_at_fork(after_in_child=self.pending.clear)

    def handle(self, record):
        """Take the handler's lock for refusals only: other records must not wait for a slow disk."""
        with suppress(Exception):
            if (error := self.error_of(record)) and (found := [one for one in map(refusal, chain(error)) if one[0]]):
                with self.lock:
                    self.count(found)

    @staticmethod
    def error_of(record):
        """Return the exception that a record is about, None if it is none of a refused request."""
        if record.name.startswith(ADDON):
            return None
        if record.levelno < logging.WARNING:  # Odoo's pool, while it handles the exception
            return sys.exc_info()[1] if record.name == odoo.sql_db.__name__ and is_unserved() else None
        if record.exc_info and record.exc_info[1]:
            return record.exc_info[1]
        arguments = record.args if isinstance(record.args, tuple) else ()
        return next((argument for argument in (record.msg, *arguments) if isinstance(argument, BaseException)), None)

    def count(self, found):
        """Count a refusal once, in however many records it is logged.

        :param list found: the kind of each refusal in a chain of exceptions, and what to mark as counted
        """
        marks = [mark for _kind, of_error in found for mark in of_error]
        if odoo.http.request:
            marks.append(odoo.http.request.httprequest.environ)
        is_counted = any(COUNTED in mark for mark in marks)
        for mark in marks:
            mark[COUNTED] = True
        if not is_counted:
            self.pending[found[-1][0]] += 1  # the first error is the cause of the others
            self.append()

    def append(self):
        """Write the counts. What cannot be written stays for the next refusal."""
        try:
            for kind, count in self.pending.items():
                self.pending[kind] -= refusals.append(refusals_folder(), kind, count)
            self.pending += Counter()  # without those that are 0
        except OSError as error:
            if not self.has_warned:
                self.has_warned = True
                _logger.warning("Refused requests cannot be counted: %s", error)


RECORDER = RefusalRecorder()
logging.getLogger(odoo.__name__).addHandler(RECORDER)
