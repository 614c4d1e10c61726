"""How much this process may receive from servers, and keep."""

import socket
import sys
import threading

import psutil

from .errors import QueryError

# What all servers that are queried at a time may send: a console with 10,000 clients sends 3 MB. libpq keeps up to
# four times as much.
MAX_BYTES = 64 << 20
# Over a unix socket bytes are not counted: the memory of this process may grow by this much instead.
MAX_MEMORY = 160 << 20
# tcpi_bytes_received in the kernel's struct tcp_info
BYTES_RECEIVED = slice(128, 136)


class Budget:
    """The bytes that all servers together may send at a time."""

    def __init__(self):
        self._lock = threading.Lock()
        self._received = {}
        self._memory = 0

    def check(self, connection):
        """Count what has arrived on a connection.

        :raise QueryError: all have sent more than MAX_BYTES, and this one most of it
        """
        received = _received(connection)
        with self._lock:
            if not self._received:
                self._memory = psutil.Process().memory_info().rss
            self._received[connection] = received or 0
            if received is None:
                is_over = psutil.Process().memory_info().rss - self._memory > MAX_MEMORY
            else:
                is_over = sum(self._received.values()) > MAX_BYTES and received == max(self._received.values())
        if is_over:
            raise QueryError("too_large", f"> {MAX_BYTES >> 20} MB")

    def forget(self, connection):
        with self._lock:
            self._received.pop(connection, None)


BUDGET = Budget()


def _received(connection):
    """Return how many bytes came over TCP, None where they are not counted: a unix socket, or Linux before 4.1."""
    own_end = socket.socket(fileno=connection.fileno())
    try:
        if own_end.family == socket.AF_UNIX or not hasattr(socket, "TCP_INFO"):
            return None
        info = own_end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_RECEIVED.stop)
        return int.from_bytes(info[BYTES_RECEIVED], sys.byteorder) if len(info) == BYTES_RECEIVED.stop else None
    finally:
        own_end.detach()
