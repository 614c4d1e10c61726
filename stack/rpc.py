"""The one RPC client: what the web client of a running Odoo sends."""

import requests


class OdooClient:
    """A signed-in user.

    :param str url: of an Odoo, or of the proxy before it
    :raise RuntimeError: Odoo returns an error; `requests.RequestException`: it returns no answer
    """

    def __init__(self, url, database, login="admin", password="admin"):
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy stands between us and this machine
        self.post("/web/session/authenticate", {"db": database, "login": login, "password": password})

    def post(self, path, params):
        response = self.session.post(self.url + path, json={"params": params}, timeout=60)
        response.raise_for_status()
        answer = response.json()
        if "error" in answer:
            raise RuntimeError(answer["error"]["data"]["name"] + ": " + answer["error"]["data"]["message"])
        return answer["result"]

    def call(self, model, method, *args, **kwargs):
        params = {"model": model, "method": method, "args": args, "kwargs": kwargs}
        return self.post("/web/dataset/call_kw", params)
