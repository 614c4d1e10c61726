"""Processes on this host: which one is a PgBouncer, how many files it may open, who shares its port, and the CPUs of
this one.

Plain Python: nothing of Odoo is imported here. Every user of the host may read this: whose socket is at a port, only
the owner of the process may.
"""

import os
from collections import Counter
from pathlib import Path

import psutil

# A longer command line is cut.
MAX_BYTES = 4096
# The state of a socket that listens, in /proc/net/tcp.
LISTENING = "0A"


def find_pgbouncer(conffile):
    """Return the PID of the PgBouncer on this host that was started with a configuration file, None if there is none,
    or more than one.

    :param str conffile: as its command line has it, and SHOW CONFIG
    """
    found = [pid for pid in psutil.pids() if _is_started_with(pid, conffile.encode())]
    return found[0] if len(found) == 1 else None


def _is_started_with(pid, conffile):
    # The names of a thousand backends are read three times as fast as their command lines.
    if _proc_file(pid, "comm") != b"pgbouncer\n":
        return False
    program, *words = _proc_file(pid, "cmdline").split(b"\0")
    return conffile in words and os.path.basename(program) == b"pgbouncer"


def _proc_file(pid, name):
    """Return what a file of a process holds, nothing if the process has ended."""
    # psutil would take ten times as long, which counts beside a thousand backends.
    try:
        file = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(file, MAX_BYTES)
    except OSError:
        return b""
    finally:
        os.close(file)


def open_files(pid):
    """Return how many files a process may open, its soft limit; None if that is unknown."""
    try:
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    except OSError:
        return None
    soft = next((line.split()[3] for line in lines if line.startswith("Max open files")), "")
    return int(soft) if soft.isdecimal() else None


def usable_cores(root="/"):
    """Return how many CPUs this process may use: those that it may run on, and no more than the quota of its control
    group, such as that of a container or of a service (Linux' manual, Control Group v2, cpu.max).

    :param str root: of the file system
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        groups = Path(root, "proc/self/cgroup").read_text().splitlines()
        group = next((line.removeprefix("0::/") for line in groups if line.startswith("0::/")), "")
        quota, period = Path(root, "sys/fs/cgroup", group, "cpu.max").read_text().split()
    except OSError:
        return cores
    return cores if quota == "max" else min(cores, max(int(quota) // int(period), 1))


def sockets_at(port, pid="self"):
    """Return how many sockets listen on a port, on the same address. Each process that shares a port (so_reuseport) has
    one of its own, and nothing else can listen there twice.

    :param pid: of a process on the same host, or in the same container
    """
    found = Counter()
    for name in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _number, local, _remote, state, *_others = line.split()
            if state == LISTENING and int(local.rpartition(":")[2], 16) == port:
                found[local] += 1
    return max(found.values(), default=0)
