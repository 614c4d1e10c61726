"""Prometheus."""

import requests

from .process import Server
from .system import LOCALHOST, ServerError


class Prometheus(Server):
    """A Prometheus that scrapes and judges in short intervals.

    :param str configuration: the text of its prometheus.yml; files that it names are written with `write`
    """

    name = "prometheus"

    def __init__(self, folder, port, configuration):
        super().__init__(folder, port)
        self.configuration = configuration
        self.session = requests.Session()
        self.session.trust_env = False  # the environment's proxy is not for this machine

    @property
    def url(self):
        return f"http://{LOCALHOST}:{self.port}"

    def command(self):
        return [
            "/usr/bin/prometheus",
            f"--config.file={self.write('prometheus.yml', self.configuration)}",
            f"--storage.tsdb.path={self.data}",
            f"--web.listen-address={LOCALHOST}:{self.port}",
            "--log.level=warn",
        ]

    def is_ready(self):
        return self.session.get(f"{self.url}/-/ready", timeout=1).ok

    def get(self, path, **params):
        """Return the data of an answer of its API.

        :raise ServerError: Prometheus rejects the request
        """
        answer = self.session.get(f"{self.url}/api/v1/{path}", params=params, timeout=10).json()
        if answer["status"] != "success":
            raise ServerError(f"Prometheus: {answer['error']}: {params}")
        return answer["data"]

    def query(self, expression):
        """Return the series of an expression now, as a list of (labels, value)."""
        data = self.get("query", query=expression)
        assert data["resultType"] == "vector", expression
        return [(series["metric"], float(series["value"][1])) for series in data["result"]]

    def alerts(self):
        """Return the alerts that are pending or firing."""
        return self.get("alerts")["alerts"]
