"""The step that opens a websocket as a browser does."""

from odoo import api, models

from ...probes import http
from ...probes.errors import QueryError
from .step_bus import HTTP_SECONDS


class ConnectionCheckRun(models.TransientModel):
    _inherit = "connection.check.run"

    def _step_websocket(self):
        url = self.get_base_url().rstrip("/")
        headers = {"X-Odoo-Database": self.env.cr.dbname}
        self._commit_before_waiting()
        answer = http.open_websocket(url, HTTP_SECONDS, headers)
        facts = {"url": url, "is_open": None}
        if isinstance(answer, QueryError):  # this host may have no way to the address that browsers use
            return facts | {"level": "unknown", "problem": answer.reason, "detail": answer.detail}
        if answer.status == http.SWITCHED:
            return facts | {"level": "ok", "is_open": True}
        if 300 <= answer.status < 400:
            return facts | {"level": "unknown", "problem": "redirect", "detail": answer.headers.get("Location")}
        return facts | {"level": "warning", "is_open": False, "problem": "http", "detail": answer.status}

    @api.model
    def _describe_websocket(self, facts):
        done = self.env._("Opened a websocket at %s, web.base.url, as a browser does.", facts["url"])
        if facts["is_open"]:
            return done, self.env._("It was opened."), self.env._("Browsers can open websockets there.")
        seen = self.env._("It was not opened: %s.", self._answer_text(facts))
        if facts["is_open"] is None:
            return done, seen, self.env._("Whether browsers can is unknown.")
        means = self.env._(
            "No browser can open a websocket there. Pass /websocket to the gevent port, with the headers Upgrade, "
            "Connection and Host; or, if browsers use another address, set web.base.url to it."
        )
        return done, seen, means
