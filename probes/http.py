"""HTTP requests with a hard deadline and a limit in bytes."""

import base64
import secrets
import threading
from typing import NamedTuple

import requests

from . import query
from .errors import QueryError

# Switching Protocols
SWITCHED = 101
# An answer of Odoo's bus process has fewer bytes.
ANSWER_BYTES = 256 * 1024


class Answer(NamedTuple):
    status: int
    headers: dict
    body: bytes


def exchange(url, seconds, meanwhile=None, size=ANSWER_BYTES, **options):
    """Send a GET, without a proxy, without anybody's password, and without following redirects.

    :param meanwhile: called at the same time, with an Event that is set when the answer is there
    :param int size: how many bytes of the body are read
    :param options: of requests: ``params``, ``headers``
    :return: the Answer, or a QueryError: ``timeout``, ``refused``, ``tls_failed`` …; and what ``meanwhile`` returned
    """
    is_answered = threading.Event()

    def send(_hosts, _deadline):
        with requests.Session() as session:
            session.trust_env = False
            try:
                response = session.get(url, timeout=seconds, allow_redirects=False, stream=True, **options)
                body = response.raw.read(size, decode_content=True) if size else b""
                return Answer(response.status_code, response.headers, body)
            except requests.exceptions.SSLError as error:
                raise QueryError("tls_failed") from error
            except requests.ConnectionError as error:
                raise QueryError("refused") from error
            finally:
                is_answered.set()

    jobs = {"answer": ("", 0, send)}
    if meanwhile:
        jobs["meanwhile"] = ("", 0, lambda _hosts, _deadline: meanwhile(is_answered))
    results = query.in_parallel(jobs, seconds)
    return results["answer"], results.get("meanwhile")


def open_websocket(url, seconds, headers):
    """Open a websocket as a browser does, and close it.

    :param str url: of its page, with http or https
    :return: the Answer, whose status is SWITCHED if it was opened; or a QueryError
    """
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Origin": url,
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
    }
    return exchange(f"{url}/websocket", seconds, size=0, headers=headers | upgrade)[0]
