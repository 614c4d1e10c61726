"""A server that uses PostgreSQL's protocol as PgBouncer's console does, and returns what no real console returns."""

import socket
import struct
import threading
from contextlib import suppress

SSL_REQUEST = 80877103
TEXT, INT4 = 25, 23


def message(kind, payload=b""):
    return kind + struct.pack("!I", len(payload) + 4) + payload


def row_description(columns, type_oid=TEXT):
    """:param columns: names, as bytes"""
    described = b"".join(name + b"\0" + struct.pack("!IhIhih", 0, 0, type_oid, -1, -1, 0) for name in columns)
    return message(b"T", struct.pack("!h", len(columns)) + described)


def data_row(values):
    """:param values: bytes, or None for NULL"""
    cells = b"".join(
        struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value for value in values
    )
    return message(b"D", struct.pack("!h", len(values)) + cells)


def notice(text=b"again"):
    return message(b"N", b"SNOTICE\0C00000\0M" + text + b"\0\0")


READY = message(b"Z", b"I")
DONE = message(b"C", b"SHOW\0") + READY


def table(columns, rows, type_oid=TEXT):
    """Return the messages of a complete answer: names, and rows of values, all bytes."""
    return [row_description(columns, type_oid), *map(data_row, rows), DONE]


class HostileConsole:
    """It listens on a port of 127.0.0.1, or on PgBouncer's unix socket in a folder.

    :param answer: a function of a command (str) that returns an iterable, perhaps endless, of messages to send
    :ivar int connections: number of accepted connections
    """

    def __init__(self, answer, folder=None, version="1.26.1"):
        self.answer = answer
        self.version = version.encode()
        self.connections = 0
        if folder:
            self.host, self.port = str(folder), 6432
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(f"{folder}/.s.PGSQL.{self.port}")
            self.socket.listen()
        else:
            self.socket = socket.create_server(("127.0.0.1", 0))
            self.host, self.port = self.socket.getsockname()

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error):
        self.socket.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                peer, _address = self.socket.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=[peer], daemon=True).start()

    def _serve(self, peer):
        with suppress(OSError, struct.error), peer:
            stream = peer.makefile("rb")
            while True:
                (length,) = struct.unpack("!I", stream.read(4))
                startup = stream.read(length - 4)
                if struct.unpack_from("!I", startup) != (SSL_REQUEST,):
                    break
                peer.sendall(b"N")
            parameters = {
                b"server_version": self.version + b"/bouncer",
                b"client_encoding": b"UTF8",
                b"DateStyle": b"ISO",
            }
            statuses = [message(b"S", name + b"\0" + value + b"\0") for name, value in parameters.items()]
            peer.sendall(message(b"R", struct.pack("!I", 0)) + b"".join(statuses) + READY)
            while kind := stream.read(1):
                (length,) = struct.unpack("!I", stream.read(4))
                payload = stream.read(length - 4)
                if kind == b"Q":
                    for part in self.answer(payload.rstrip(b"\0").decode()):
                        peer.sendall(part)
