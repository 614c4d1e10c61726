"""Run one query on each of several databases, over connections of their own, which are made like Odoo's, within a
deadline.

Plain Python: nothing of Odoo is imported here.
"""

import threading
import time
from contextlib import closing
from functools import partial

from . import listen
from .errors import QueryError
from .query import in_parallel

# For all of them together.
SECONDS = 3
# The first of two attempts, and the pause after it: one that fails may be bad luck.
FIRST_SECONDS = 1.25
PAUSE = 0.4
# How many connections are open at the same time.
AT_ONCE = 5


def queries(questions):
    """Return the first row of each query, as a dictionary, or why there is none within SECONDS: a QueryError.

    :param dict questions: key -> (psycopg2's parameters, as Odoo's ``connection_info_for`` returns them, statement)
    :return: key -> row or QueryError; each key is there
    """
    slots = threading.Semaphore(AT_ONCE)
    jobs = {
        key: (*listen._host(info), partial(_run, slots, info | {"application_name": listen.NAME}, statement))
        for key, (info, statement) in questions.items()
    }
    return in_parallel(jobs, SECONDS)


def _run(slots, info, statement, hosts, deadline):
    if not slots.acquire(timeout=max(0, deadline - time.monotonic())):
        raise QueryError("timeout")
    try:
        return _query(info, statement, hosts, min(deadline, time.monotonic() + FIRST_SECONDS))
    except QueryError:
        time.sleep(PAUSE)
        return _query(info, statement, hosts, deadline)
    finally:
        slots.release()


def _query(info, statement, hosts, deadline):
    with closing(listen._open(info, hosts, deadline)) as connection:
        return listen._execute(connection, deadline, statement)
