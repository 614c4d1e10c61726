"""A browser with the page of the LISTEN check."""

import contextlib
import json
import socket
import time
import uuid
from http.cookies import SimpleCookie

import requests
import websocket

from rpc import OdooClient
from servers import LOCALHOST, ServerError

# How long to wait for a notification that must not arrive. The page of the check waits as long.
LIVE_SECONDS = 3
# How long the scheduled check takes at most: its silence, the other steps, and the timers of cron workers, which may
# have lost their connection meanwhile.
SCHEDULED_SECONDS = 300


class Page(OdooClient):
    """A user with the page of the LISTEN check open, and a websocket."""

    socket = None
    address = LOCALHOST  # from where it opens the websocket

    def open_socket(self):
        """Open the websocket as a page does. It stays None if the proxy does not pass /websocket."""
        with contextlib.suppress(websocket.WebSocketException, OSError):
            server = (LOCALHOST, int(self.url.rpartition(":")[2]))
            self.socket = websocket.create_connection(
                self.url.replace("http", "ws") + "/websocket",
                socket=socket.create_connection(server, 10, (self.address, 0)),
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

    def check_scheduled(self):
        """Trigger the scheduled check, which takes more than a minute. See `check`."""
        model, domain = "connection.check", [["id", ">", max(self.call("connection.check", "search", []), default=0)]]
        cron = self.call("ir.model.data", "search_read", [["name", "=", "ir_cron_check"]], ["res_id"])[0]["res_id"]
        self.call("ir.actions.server", "run", [self.make_trigger(cron)])
        deadline = time.monotonic() + SCHEDULED_SECONDS
        while not (ids := self.call(model, "search", domain)) and time.monotonic() < deadline:
            time.sleep(1)
        if not ids:
            raise ServerError(f"the scheduled check takes longer than {SCHEDULED_SECONDS} s")
        return self.read_checks(ids)

    def make_trigger(self, cron):
        """Return the id of a new server action that triggers a scheduled action."""
        model = self.call("ir.model", "search", [["model", "=", "res.partner"]])[0]
        code = f"env['ir.cron'].browse({cron})._trigger()"
        values = {"name": "Trigger", "model_id": model, "state": "code", "code": code}
        return self.call("ir.actions.server", "create", values)

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
