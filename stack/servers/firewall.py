"""A firewall that forgets quiet connections."""

import selectors
import socket
import threading
import time
from contextlib import suppress

from .system import LOCALHOST


class Firewall:
    """A TCP proxy that drops what a connection sends after it was quiet for ``seconds``, and does not close it.

    It runs in threads of this process.
    """

    def __init__(self, port, target, seconds):
        self.port = port
        self.target = target
        self.seconds = seconds

    def start(self):
        self.listener = socket.create_server((LOCALHOST, self.port))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def kill(self):
        """Accept no more connections. Those that exist end with their client or server."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self.listener.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _address = self.listener.accept()
                server = socket.create_connection((LOCALHOST, self.target))
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()

    def _forward(self, client, server):
        """Forward until one end is closed, and after the silence, until both are."""
        with client, server, selectors.DefaultSelector() as selector, suppress(OSError):
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            used_at, is_forgotten = time.monotonic(), False
            while selector.get_map():
                for key, _events in selector.select():
                    data = key.fileobj.recv(65536)
                    now = time.monotonic()
                    is_forgotten = is_forgotten or now - used_at > self.seconds
                    used_at = now
                    if not is_forgotten:
                        if not data:
                            return
                        key.data.sendall(data)
                    elif not data:
                        selector.unregister(key.fileobj)
