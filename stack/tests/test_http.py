"""HTTP exchanges end in time, whatever the peer sends."""

import itertools
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from probes import http
from probes.errors import QueryError

SECONDS = 1
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def peer(*parts, pause=0):
    """A server that sends these parts, perhaps endless, to whoever connects. Yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with suppress(OSError):
                while True:
                    client, _address = server.accept()
                    threading.Thread(target=answer, args=[client], daemon=True).start()

        def answer(client):
            with suppress(OSError), client:
                client.recv(65536)
                for part in itertools.chain.from_iterable(parts):
                    client.sendall(part)
                    time.sleep(pause)

        threading.Thread(target=serve, daemon=True).start()
        yield "http://{}:{}".format(*server.getsockname())


def exchange(url):
    started = time.monotonic()
    answer, _none = http.exchange(url, SECONDS)
    assert time.monotonic() - started < SECONDS + 0.5
    return answer


def test_answer():
    with peer([OK + b"Content-Length: 2\r\n\r\n{}"]) as url:
        assert exchange(url)[::2] == (200, b"{}")


@pytest.mark.parametrize(
    ("parts", "pause"),
    [
        ([], 0),
        (itertools.repeat(b"x"), 0.1),
        (itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"a: b\r\n")), 0.1),
        (itertools.chain([OK + b"\r\n"], itertools.repeat(b" ")), 0.1),
    ],
    ids=["hangs up", "no HTTP", "header without end", "body without end"],
)
def test_peer_that_sends_no_answer(parts, pause):
    with peer(parts, pause=pause) as url:
        assert isinstance(exchange(url), QueryError)


def test_long_body():
    """No more than the limit is kept."""
    with peer([OK + b"Content-Length: 100000000\r\n\r\n"], itertools.repeat(b" " * 65536)) as url:
        assert len(exchange(url).body) == http.ANSWER_BYTES


def test_no_server():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert exchange(f"http://127.0.0.1:{port}").reason == "refused"


@pytest.mark.parametrize("status", [101, 200, 400, 502])
def test_websocket(status):
    """After it was opened nothing more is read."""
    with peer([f"HTTP/1.1 {status} X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".encode()]) as url:
        assert http.open_websocket(url, SECONDS, {}).status == status
