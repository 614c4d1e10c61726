"""The users of a load: visitors of the homepage, clerks with lists and contacts, chatters with a websocket.

To import this changes the process for gevent: only the driver does.
"""

import contextlib
import json
import socket
import ssl
import time
import uuid
from urllib.parse import urlsplit

import gevent.ssl
import websocket
from gevent.event import AsyncResult
from geventhttpclient.useragent import RetriesExceeded
from locust import FastHttpUser, between, task
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS

DEADLINE = 30  # in seconds, of each request and of the delivery of a message
NO_DATABASE = "no database"  # that is what Odoo answers if it gets no connection
LIST_FIELDS = ("complete_name", "email", "phone", "user_id", "city", "country_id", "activity_state")
FORM_FIELDS = ("name", "email", "phone", "street", "city", "zip", "country_id", "comment", "category_id", "write_date")
# Shared: to load the certificates of the authorities is slow.
TLS = gevent.ssl.create_default_context()
RELATIONS = ("user_id", "country_id", "category_id")

# Odoo redirects to the same page again and again if it gets a connection to list its databases, but none to its own.
KINDS = [
    ((gevent.Timeout, TimeoutError), "timeout"),
    (ConnectionRefusedError, "connection refused"),
    (RetriesExceeded, "redirect loop"),
    (socket.gaierror, "unknown host"),
    (ssl.SSLError, "TLS error"),
]


class FailedRequest(Exception):
    """The message is the kind of the failure: few and stable words."""


def specification(fields):
    """Return the fields of a list or form as the web client asks for them."""
    return {name: {"fields": {"display_name": {}}} if name in RELATIONS else {} for name in fields}


def error_kind(error):
    """Return the kind of an error of the network."""
    error = getattr(error, "original", None) or error
    for types, kind in KINDS:
        if isinstance(error, types):
            return kind
    return "connection closed"


class SiteUser(FastHttpUser):
    """A user of the site. ``environment.scene`` is the Scene's configuration, ``environment.recorder`` counts."""

    abstract = True
    wait_time = between(1, 3)
    ssl_context_factory = staticmethod(lambda: TLS)
    connection_timeout = network_timeout = DEADLINE
    max_redirects = 6
    max_retries = 0

    @contextlib.contextmanager
    def measured(self, name):
        """Count what runs inside as one request. What is interrupted, when the load ends, is none."""
        recorder, started = self.environment.recorder, time.perf_counter()
        failure = None
        recorder.open += 1
        try:
            with gevent.Timeout(DEADLINE):
                yield
        except gevent.Timeout:
            failure = "timeout"
        except FailedRequest as error:
            failure = str(error)
        except FAILURE_EXCEPTIONS as error:
            failure = error_kind(error)
        finally:
            recorder.open -= 1
        self.report(name, time.perf_counter() - started, failure)

    def report(self, name, seconds, failure):
        self.environment.events.request.fire(
            request_type="", name=name, response_time=seconds * 1000, response_length=0, exception=failure, context={}
        )

    def fetch(self, method, path, **options):
        """Return the answer, after redirects.

        :raise FailedRequest: it is an error
        """
        answer = self.client.request(method, path, catch_response=True, **options)
        if answer.status_code >= 400:
            lost = answer.status_code == 404 and "No database is selected" in (answer.text or "")
            raise FailedRequest(NO_DATABASE if lost else f"HTTP {answer.status_code}")
        if error := answer.request_meta["exception"]:
            raise FailedRequest(error_kind(error))
        if urlsplit(answer.request.url).path.startswith("/web/database"):
            raise FailedRequest(NO_DATABASE)
        return answer


class Visitor(SiteUser):
    """A new visitor for each page: nobody has a session."""

    @task
    def homepage(self):
        self.client.cookiejar.clear()
        with self.measured("homepage"):
            self.fetch("GET", self.environment.scene["home"])


class SignedInUser(SiteUser):
    """A user with a session."""

    abstract = True
    places = ""  # the key of this kind of user in the configuration

    def __init__(self, environment):
        super().__init__(environment)
        self.place = environment.scene[self.places].pop()

    def post(self, path, params):
        """Return the result of a request as the web client sends it.

        :raise FailedRequest: Odoo or the network returned an error
        """
        message = {"jsonrpc": "2.0", "method": "call", "params": params}
        answer = self.fetch("POST", path, json=message, headers={"Cookie": self.place["cookie"]})
        if urlsplit(answer.request.url).path.startswith("/web/login"):
            raise FailedRequest("session lost")
        try:
            content = json.loads(answer.content)
        except ValueError:
            raise FailedRequest("unexpected answer") from None
        if "error" in content:
            name = content["error"].get("data", {}).get("name", "unknown").rpartition(".")[2]
            lost = name == "SessionExpiredException"
            raise FailedRequest("session lost" if lost else f"Odoo error: {name}")
        return content.get("result")

    def call(self, model, method, *args, **kwargs):
        params = {"model": model, "method": method, "args": args, "kwargs": kwargs}
        return self.post(f"/web/dataset/call_kw/{model}/{method}", params)

    def read_list(self):
        with self.measured("list"):
            fields, order = specification(LIST_FIELDS), "complete_name ASC, id DESC"
            options = {"limit": 80, "offset": 0, "order": order, "count_limit": 10001}
            self.call("res.partner", "web_search_read", domain=[], specification=fields, **options)


class Clerk(SignedInUser):
    """A user who opens lists, and reads and writes a contact of his own."""

    places = "clerks"

    @task(3)
    def open_list(self):
        self.read_list()

    @task(1)
    def edit_contact(self):
        fields, contact = specification(FORM_FIELDS), [self.place["contact"]]
        with self.measured("read"):
            self.call("res.partner", "web_read", contact, specification=fields)
        self.wait()
        with self.measured("write"):
            values = {"city": uuid.uuid4().hex}
            self.call("res.partner", "web_save", contact, values, specification=fields)


class Chatter(SignedInUser):
    """A user who posts in a channel and waits until the message arrives on his websocket."""

    places = "chatters"
    socket = reader = None
    awaited, arrival = "", None

    @task
    def chat_and_read(self):
        self.chat()
        self.wait()
        self.read_list()

    def chat(self):
        if not self.socket:
            with self.measured("websocket"):
                self.open_socket()
        started, self.awaited, self.arrival = time.perf_counter(), uuid.uuid4().hex, AsyncResult()
        posted = False
        with self.measured("post"):
            data = {"body": self.awaited, "message_type": "comment", "subtype_xmlid": "mail.mt_comment"}
            params = {"thread_model": "discuss.channel", "thread_id": self.place["channel"], "post_data": data}
            self.post("/mail/message/post", params)
            posted = True
        if posted and self.socket:
            left = started + DEADLINE - time.perf_counter()
            arrived, failure = self.arrival.wait(max(left, 0)) or (None, "chat not delivered")
            self.report("chat delivery", (arrived or time.perf_counter()) - started, failure)

    def open_socket(self):
        """Open the websocket as the web client does.

        :raise FailedRequest: it cannot be opened
        """
        url = self.environment.scene["url"]
        try:
            self.socket = websocket.create_connection(
                url.replace("http", "ws", 1) + "/websocket",
                cookie=self.place["cookie"],
                origin=url,
                timeout=DEADLINE,
                sslopt={"context": TLS},
            )
            self.socket.settimeout(None)
            self.socket.send(
                json.dumps({"event_name": "subscribe", "data": {"channels": [], "last": self.place["last"]}})
            )
        except websocket.WebSocketBadStatusException as error:
            raise FailedRequest(f"websocket: HTTP {error.status_code}") from None
        except (websocket.WebSocketException, OSError) as error:
            kind = error_kind(error)
            raise FailedRequest("websocket closed" if kind == "connection closed" else f"websocket: {kind}") from None
        self.reader = gevent.spawn(self.read_socket, self.socket)

    def read_socket(self, connection):
        """Note when the awaited message arrives, and the last notification, until the websocket is closed."""
        try:
            while message := connection.recv():
                if self.arrival and self.awaited in message:
                    self.arrival.set((time.perf_counter(), None))
                self.place["last"] = max([self.place["last"], *(item["id"] for item in json.loads(message))])
        except (websocket.WebSocketException, OSError):
            pass
        self.socket = None
        if self.arrival and not self.arrival.ready():
            self.arrival.set((None, "websocket closed"))

    def on_stop(self):
        if self.reader:
            self.reader.kill()
        if self.socket:
            with contextlib.suppress(websocket.WebSocketException, OSError):
                self.socket.shutdown()
