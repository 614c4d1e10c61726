"""The RPC client: it sends what Odoo's web client sends."""

import requests


class OdooClient:
    """A user who has logged in.

    :param str url: of an Odoo, or of the reverse proxy in front of it
    :raise RuntimeError: Odoo returned an error
    :raise requests.RequestException: Odoo did not respond
    """

    def __init__(self, url, database, login="admin", password="admin"):
        self.url, self.database = url, database
        self.session = requests.Session()
        self.session.trust_env = False  # the environment's proxy is not for this machine
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
