"""What is seen of the processes on this host."""

import os
import socket
from contextlib import ExitStack

import pytest

from probes.process import sockets_at, usable_cores


def listen(stack, port=0):
    """Return a socket that listens on a port that others may share."""
    found = stack.enter_context(socket.socket())
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    found.bind(("127.0.0.1", port))
    found.listen()
    return found


def test_sockets_that_share_a_port():
    with ExitStack() as stack:
        port = listen(stack).getsockname()[1]
        stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert sockets_at(port) == 1, "a connection is no listener"
        other = stack.enter_context(socket.create_server(("127.0.0.2", 0)))
        assert sockets_at(other.getsockname()[1]) == 1
        listen(stack, port)
        assert (sockets_at(port), sockets_at(port, os.getpid())) == (2, 2)
    assert sockets_at(port) == 0


def test_a_process_that_has_ended():
    assert sockets_at(1, "0") == 0


@pytest.mark.parametrize(
    ("groups", "folder", "quota", "cores"),
    [
        ("0::/\n", "", "200000 100000\n", 2),  # a container
        ("1:cpu:/\n0::/system.slice/odoo.service\n", "system.slice/odoo.service", "350000 100000\n", 3),
        ("0::/\n", "", "50000 100000\n", 1),
        ("0::/\n", "", "6400000 100000\n", 4),
        ("0::/\n", "", "max 100000\n", 4),
        ("0::/\n", "elsewhere", "100000 100000\n", 4),
        ("1:cpu:/\n", "", "max 100000\n", 4),  # version 1
    ],
)
def test_cores_that_this_process_may_use(monkeypatch, tmp_path, groups, folder, quota, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3}, raising=False)
    for path, text in (("proc/self/cgroup", groups), (f"sys/fs/cgroup/{folder}/cpu.max", quota)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert usable_cores(tmp_path) == cores


def test_cores_where_linux_does_not_report_them(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores(tmp_path) == os.cpu_count()
