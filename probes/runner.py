"""Find the runner of queue_job that works for a database, and test whether it receives notifications.

Plain Python: nothing of Odoo is imported here. The runner that works holds a session advisory lock. A notification for
a job that does not exist makes it search for that job, which is visible as the last query of its backend. Nothing else
happens, and nothing is left.
"""

import time
import uuid
from contextlib import closing
from typing import NamedTuple

from . import listen, query
from .errors import QueryError
from .postgres import lock_holder

CHANNEL = "queue_job"
# A runner waits for 5 s after its start, and after an error.
START_SECONDS = 7
START_PAUSE = 0.25
# How long it may take to react, and how often. It also runs queries by a timer of a minute, which may happen to be a
# reaction once.
REACTION_SECONDS = 1
REACTION_PAUSE = 0.005
REACTIONS = 3
TOTAL_SECONDS = listen.OPEN_SECONDS + START_SECONDS + REACTIONS * (listen.NOTIFY_SECONDS + REACTION_SECONDS)

CLOCK = "SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8 AS now"


class RunnerResult(NamedTuple):
    """The backend that holds the runner's lock: ``pid``, the client's ``address``, None for a unix socket, its ``port``
    and ``application_name``; no ``pid`` if nobody holds it.

    ``seconds`` has for each notification after how long the backend reacted, None for one to which it did not within
    REACTION_SECONDS; then no other one is sent. It is empty if that is unknown: ``is_hidden``, the backend is another
    role's; ``is_busy``, it runs another query; or a ``reason`` and ``detail``, those of a QueryError.
    """

    pid: int | None = None
    address: str | None = None
    port: int | None = None
    application_name: str | None = None
    is_hidden: bool = False
    is_busy: bool = False
    seconds: tuple = ()
    reason: str | None = None
    detail: str | None = None


def probe(info, key):
    """Return the RunnerResult.

    :param dict info: psycopg2's parameters of the database, as the processes connect that add jobs
    :param int key: of the advisory lock
    """
    info = info | {"application_name": listen.NAME}
    job = (*listen._host(info), lambda hosts, deadline: _examine(info, key, hosts, deadline))
    result = query.in_parallel({"runner": job}, TOTAL_SECONDS)["runner"]
    return RunnerResult(reason=result.reason, detail=result.detail) if isinstance(result, QueryError) else result


def _examine(info, key, hosts, deadline):
    with closing(listen._open(info, hosts, time.monotonic() + listen.OPEN_SECONDS)) as connection:
        patience = time.monotonic() + START_SECONDS
        while (holder := _holder(connection, key, deadline))["pid"] is None and time.monotonic() < patience:
            time.sleep(START_PAUSE)
        del holder["has_ended"]
        found = RunnerResult(**holder)._replace(is_busy=False)
        if found.pid is None or found.is_hidden:
            return found
        seconds, is_busy = (), False
        while len(seconds) < REACTIONS and None not in seconds:
            reaction, is_busy = _react(connection, info, hosts, key, deadline)
            seconds += (reaction,)
        return found._replace(is_busy=is_busy, seconds=() if is_busy else seconds)


def _holder(connection, key, deadline, since=0):
    return listen._execute(connection, deadline, lock_holder(key, 'CLOSE "select_jobs"', since))


def _react(connection, info, hosts, key, deadline):
    """Send a notification.

    :return: the seconds until the holder of the lock reacted, None if it did not in time; and whether it was busy
    """
    since = listen._execute(connection, deadline, CLOCK)["now"]
    started = time.monotonic()
    listen._notify(info, hosts, started + listen.NOTIFY_SECONDS, CHANNEL, str(uuid.uuid4()))
    sent_at = time.monotonic()
    while time.monotonic() < sent_at + REACTION_SECONDS:
        holder = _holder(connection, key, deadline, since)
        if holder["has_ended"]:
            return time.monotonic() - started, False
        time.sleep(REACTION_PAUSE)
    return None, holder["is_busy"]
