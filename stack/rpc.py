"""The RPC client: it sends what Odoo's web client sends."""

import contextlib
import time

import requests

from servers import ServerError


def wait_for_answer(url):
    """Wait until a page is served.

    :raise ServerError: it is not within a minute
    """
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=5).ok:
                return
        time.sleep(0.2)
    raise ServerError(f"{url} does not answer")


class OdooClient:
    """A user who has logged in.

    :param str url: of an Odoo, or of the reverse proxy in front of it
    :raise RuntimeError: Odoo returned an error
    :raise requests.RequestException: Odoo did not respond
    """

    timeout = 60  # in seconds

    def __init__(self, url, database, login="admin", password="admin"):
        self.url, self.database = url, database
        self.session = requests.Session()
        self.session.trust_env = False  # the environment's proxy is not for this machine
        self.post("/web/session/authenticate", {"db": database, "login": login, "password": password})

    def post(self, path, params):
        response = self.session.post(self.url + path, json={"params": params}, timeout=self.timeout)
        response.raise_for_status()
        answer = response.json()
        if "error" in answer:
            raise RuntimeError(answer["error"]["data"]["name"] + ": " + answer["error"]["data"]["message"])
        return answer.get("result")  # Odoo leaves out None

    def call(self, model, method, *args, **kwargs):
        params = {"model": model, "method": method, "args": args, "kwargs": kwargs}
        return self.post("/web/dataset/call_kw", params)

    def new_key(self, password, days=1):
        """Return a new API key of this user, made as *My Preferences > Security* makes one.

        :param str password: the user's: Odoo asks for it once in ten minutes
        :param int days: how long it is valid; 0 for ever, which only an administrator may choose
        """
        values = {"name": "Stack", "duration": str(days)}
        description = self.call("res.users.apikeys.description", "create", values)
        action = self.call("res.users.apikeys.description", "make_key", [description])
        if action["res_model"] == "res.users.identitycheck":
            check = action["res_id"]
            action = self.call("res.users.identitycheck", "run_check", [check], context={"password": password})
        return action["context"]["default_key"]
