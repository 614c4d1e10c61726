"""Share which servers do not answer between all processes of a host.

A request that waits for a hanging server occupies one of Odoo's workers until the deadline. If every request had to
find out by itself, ten open lists would occupy all workers. The state is kept in small files, with locks that end with
their process.
"""

import fcntl
import hashlib
import json
import os
import socket
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import astuple
from pathlib import Path
from typing import NamedTuple

from . import apart, query
from .address import Address
from .errors import QueryError
from .reading import Reading, pack, unpack

# After a failure, a server is not queried for this many seconds, and after each further failure for twice as long.
# Lists refresh every 5 s and the Overview every 10 s, so a server that works again is seen within 15 s.
FIRST_PAUSE = 2
LONGEST_PAUSE = 7
# A shared answer is used if it is not older than this, in seconds.
FRESH_SECONDS = 1
# After this many seconds without a query, a failure is a new outage.
FORGET_SECONDS = 300
POLL_SECONDS = 0.02


def run(questions, timeout, folder, is_forced=False):
    """Query servers as `query.run` does, but query a failed server again only after a pause. Of several processes at a
    time, one queries a server, and the others use its answer.

    :param Path folder: where the processes share their state. If it is not writable, nothing is shared.
    :param bool is_forced: query every server now; the result is shared all the same
    :return: key -> Reading, or QueryError, with ``since`` if it is an earlier one; each key is there
    """
    if questions and apart.is_needed():
        return apart.run(questions, timeout, folder=str(folder), is_forced=is_forced)
    deadline = time.monotonic() + timeout

    def read(key):
        return _read(key, questions[key], folder, deadline, is_forced)

    with ThreadPoolExecutor(max_workers=max(len(questions), 1)) as executor:
        return dict(zip(questions, executor.map(read, questions), strict=True))


def serve():
    """Answer a request of `apart.run`, from standard input to standard output."""
    request = json.load(sys.stdin)
    questions = request.pop("questions")
    questions = {key: (Address(**address), commands) for key, (address, commands) in enumerate(questions)}
    results = (run if "folder" in request else query.run)(questions, **request)
    json.dump(list(map(pack, results.values())), sys.stdout)


class Outage(NamedTuple):
    """A server that did not answer.

    ``since`` is in seconds since the epoch. ``until`` is when it may be queried again, on the monotonic clock, which
    all processes of the host share. ``error`` is the packed QueryError.
    """

    since: float
    pause: float
    until: float
    error: dict

    @property
    def is_resting(self):
        return 0 < self.until - time.monotonic() <= LONGEST_PAUSE

    def as_error(self):
        error = unpack(self.error)
        error.since = self.since
        return error


def _read(key, question, folder, deadline, is_forced):
    server, arrived_at, is_late = Server(folder, question[0]), time.time(), False
    try:
        if not is_forced:
            known = server.outage()
            if known and not known.is_resting and server.lock():
                known = server.outage()  # another reader may just have tried
                known = known if known and known.is_resting else None
            elif not known and not server.lock():
                known, is_late = _wait(server, question[1], deadline, arrived_at), True
            if known:
                return known.as_error() if isinstance(known, Outage) else known
        result = query.run({key: question}, max(deadline - time.monotonic(), 0))[key]
        # A timeout after waiting for another process proves nothing: the rest of the time was short.
        if not is_late or isinstance(result, Reading):
            server.remember(result)
        return result
    finally:
        server.unlock()


def _wait(server, commands, deadline, arrived_at):
    """Wait until the other process has queried the server.

    :return: its Outage or Reading; None if neither can be used
    """
    with server.waiting():
        while not server.lock() and not server.answer(arrived_at):
            if time.monotonic() > deadline:
                return QueryError("timeout")
            time.sleep(POLL_SECONDS)
        answer = server.answer(arrived_at - FRESH_SECONDS)
        if answer and set(commands) <= answer.answers.keys():
            return answer._replace(answers={command: answer.answers[command] for command in commands})
        return server.outage()


class Server:
    """The shared state of one server and one way to connect to it, in files. Without files, there is none."""

    def __init__(self, folder, address):
        identity = json.dumps([socket.gethostname(), *astuple(address)])
        self.path = Path(folder) / hashlib.sha256(identity.encode()).hexdigest()[:32]
        self.descriptor = None

    def lock(self):
        """Return whether no other process queries this server; then none does until `unlock`."""
        try:
            if self.descriptor is None:
                self.descriptor = self._open("lock")
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return not isinstance(error, BlockingIOError)
        return True

    def unlock(self):
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    @contextmanager
    def waiting(self):
        """Ask the process that queries the server to share its answer."""
        with ExitStack() as stack:
            with suppress(OSError):
                descriptor = self._open("waiting")
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_SH)  # does not block: it is held exclusively only during a check
            yield

    def _is_awaited(self):
        descriptor = self._open("waiting")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)

    def remember(self, result):
        """Share the result of a query: a failure, or the answers if other processes wait for them."""
        with suppress(OSError):
            if isinstance(result, QueryError):
                before = self.outage()
                if before and not 0 <= time.monotonic() - before.until < FORGET_SECONDS:
                    before = before if before.is_resting else None
                pause = min(2 * before.pause, LONGEST_PAUSE) if before else FIRST_PAUSE
                is_same = before and before.error["reason"] == result.reason
                since = before.since if is_same else time.time()
                self._write("outage", Outage(since, pause, time.monotonic() + pause, pack(result)))
                return
            self._remove("outage")
            if self._is_awaited():
                self._write("answer", pack(result))
            else:
                self._remove("answer")

    def outage(self):
        """Return the last failure, None if the server has answered since."""
        with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):  # the file may contain anything
            since, pause, until, error = json.loads(Path(f"{self.path}.outage").read_text())
            outage = Outage(float(since), float(pause), float(until), error)
            outage.as_error()
            return outage
        return None

    def answer(self, not_before):
        """Return the Reading that another process shared, None if it is older than a time."""
        with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
            path = Path(f"{self.path}.answer")
            if not_before <= path.stat().st_mtime <= time.time():
                return unpack(json.loads(path.read_text()))
        return None

    def _open(self, kind):
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(f"{self.path}.{kind}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _write(self, kind, kept):
        """Write a file atomically."""
        descriptor, name = tempfile.mkstemp(dir=self.path.parent)
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump(kept, file)
            os.replace(name, f"{self.path}.{kind}")
        except BaseException:
            os.unlink(name)
            raise

    def _remove(self, kind):
        Path(f"{self.path}.{kind}").unlink(missing_ok=True)
