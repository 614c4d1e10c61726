"""A browser with the page of the LISTEN check."""

import contextlib
import json
import time
import uuid
from http.cookies import SimpleCookie

import requests
import websocket

from rpc import OdooClient

# How long to wait for a notification that must not arrive. The page of the check waits as long.
LIVE_SECONDS = 3


class Page(OdooClient):
    """A user with the page of the LISTEN check open, and a websocket."""

    socket = None

    def open_socket(self):
        """Open the websocket as a page does. It stays None if the proxy does not pass /websocket."""
        with contextlib.suppress(websocket.WebSocketException, OSError):
            self.socket = websocket.create_connection(
                self.url.replace("http", "ws") + "/websocket",
                cookie="; ".join(f"{cookie.name}={cookie.value}" for cookie in self.session.cookies),
                origin=self.url,
                timeout=10,
            )
            for cookie in SimpleCookie(self.socket.headers.get("set-cookie")).values():
                self.session.cookies.set(cookie.key, cookie.value)
            self.socket.send(json.dumps({"event_name": "subscribe", "data": {"channels": [], "last": 0}}))
            # Skip the notifications that are already stored: they arrive whether LISTEN works or not.
            self.wait_for(str(uuid.uuid4()), 1)

    def wait_for(self, text, seconds=LIVE_SECONDS):
        """Return after how many seconds a notification with this text arrives, or None."""
        started = time.monotonic()
        while self.socket and (left := started + seconds - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if text in str(self.socket.recv()):
                    return time.monotonic() - started
            except (websocket.WebSocketException, OSError):
                break
        return None

    def check(self):
        """Do what the page does on "Check Now". Return listener -> new record."""
        self.open_socket()
        run = self.call("connection.check.run", "start")
        for step in run["steps"]:
            answer = None
            if step["name"] == "bus":
                answer = self.query_bus_process(run)
            elif step["name"] == "browser":
                answer = []
                while len(answer) < run["echoes"] and None not in answer:
                    answer.append(self.echo(run["id"]))
            while self.call("connection.check.run", "step", [run["id"]], step["name"], answer)["is_pending"]:
                time.sleep(0.5)
        return self.read_checks(self.call("connection.check.run", "finish", [run["id"]]))

    def check_without_browser(self):
        """Do what a program does that checks by RPC. See `check`."""
        return self.read_checks(self.call("connection.check", "action_check"))

    def read_checks(self, ids):
        return {check["listener"]: check for check in self.call("connection.check", "read", ids)}

    def query_bus_process(self, run):
        """Return what the process behind this browser's websockets answers, None if it does not."""
        url = f"{self.url}/websocket/pgbouncer_monitor/listen"
        options = {"params": {"run_id": run["id"], "whom": "anybody"}, "timeout": 15}
        with contextlib.suppress(requests.RequestException):
            answer = self.session.get(url, headers={"X-Listen-Check-Token": run["token"]}, **options)
            return answer.json() if answer.ok else None
        return None

    def echo(self, run_id):
        nonce = str(uuid.uuid4())
        with contextlib.suppress(requests.RequestException, RuntimeError):
            if self.call("connection.check.run", "echo", [run_id], nonce):
                return self.wait_for(nonce)
        return None


class BlockedPage(Page):
    """A user whose network blocks websockets."""

    def open_socket(self):
        pass
