"""A server process: start it, wait until it responds, suspend it, stop it."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil
import psycopg2

from .system import LOCALHOST, SERVICE_USER, ServerError, make_folder


def start_time(pid):
    """Return when a process started, in the kernel's ticks since boot, which setting the clock does not change."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def is_running(process):
    """Return whether a psutil.Process is running. A zombie is not: its parent may be slow to reap it. If we are its
    parent, it is not before it is reaped: PgBouncer takes a zombie in its pidfile for another instance."""
    try:
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            return True
        with contextlib.suppress(ChildProcessError):
            return os.waitpid(process.pid, os.WNOHANG)[0] == 0  # its threads may still end
    except psutil.NoSuchProcess:
        pass
    return False


def still_running(processes, seconds):
    """Wait until psutil.Processes end. Return those that are still running after ``seconds``."""
    deadline = time.monotonic() + seconds
    while (running := list(filter(is_running, processes))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return running


class Server:
    """One server process.

    :param Path folder: for all files of this server
    :param int port: that it listens on
    """

    name = None
    stop_signal = signal.SIGTERM
    start_seconds = 30
    user = SERVICE_USER

    def __init__(self, folder, port):
        # The server's user owns the data folder only, so that it cannot redirect what we write elsewhere.
        self.folder = make_folder(Path(folder), 0o755 if self.user else 0o700)
        self.data = make_folder(self.folder / "data", 0o700, self.user)
        self.port = port
        self.log = self.folder / f"{self.name}.log"
        self.pid_file = self.folder / "pid.json"

    @property
    def identity(self):
        """Return the arguments with which subprocess runs a program as this server's user."""
        return {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}

    def command(self):
        """Return the command line, as a list."""
        raise NotImplementedError

    def environment(self):
        return dict(os.environ)

    def is_ready(self):
        """Return whether it responds. OSError and psycopg2.OperationalError mean that it does not."""
        socket.create_connection((LOCALHOST, self.port), timeout=1).close()
        return True

    def process(self):
        """Return the running psutil.Process, or None. Its start time reveals a PID that the kernel has reused."""
        try:
            pid, started = json.loads(self.pid_file.read_text())
            process = psutil.Process(pid)
            if start_time(pid) == started and is_running(process):
                return process
        except (OSError, ValueError, psutil.NoSuchProcess):
            pass
        return None

    def write(self, name, text):
        """Write a configuration file that only the server can read. Return its path.

        The file is there in one step: PgBouncer 1.15 reads auth_file whenever it has changed, also half of it.
        """
        path, new = self.folder / name, self.folder / f"{name}.new"
        new.touch(mode=0o600)
        new.write_text(text)
        if self.user:
            shutil.chown(new, self.user, self.user)
        return new.replace(path)

    def start(self):
        """Start it, wait until it responds, and return it.

        :raise ServerError: it ended, or did not respond within ``start_seconds``
        """
        if self.process():
            return self
        with open(self.log, "ab") as log:
            popen = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self.identity,
            )
        self.pid_file.write_text(json.dumps([popen.pid, start_time(popen.pid)]))
        deadline = time.monotonic() + self.start_seconds
        while time.monotonic() < deadline:
            if popen.poll() is not None:
                raise ServerError(f"{self.name} ended at once.\n{self.log_tail()}")
            try:
                if self.is_ready():
                    return self
            except (OSError, psycopg2.OperationalError):
                pass
            time.sleep(0.1)
        raise ServerError(f"{self.name} did not respond within {self.start_seconds} s.\n{self.log_tail()}")

    def log_tail(self):
        """Return the end of its log, for an error message."""
        lines = self.log.read_text(errors="replace").splitlines()[-10:]
        return "\n".join([f"--- last lines of {self.log}", *lines])

    def stop(self):
        """Stop it, even if it is suspended, and wait until it has ended."""
        process = self.process()
        if not process:
            return
        children = process.children(recursive=True)
        process.send_signal(signal.SIGCONT)
        process.send_signal(self.stop_signal)
        survivors = still_running([process, *children], 10)
        for survivor in survivors:
            survivor.kill()
        still_running(survivors, 5)
        self.pid_file.unlink(missing_ok=True)

    def kill(self):
        """Kill it and its children."""
        if process := self.process():
            processes = [process, *process.children(recursive=True)]
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):  # a child that has just ended
                    process.kill()
            still_running(processes, 5)

    def freeze(self):
        """Suspend it: it hangs."""
        self.process().suspend()

    def thaw(self):
        self.process().resume()
