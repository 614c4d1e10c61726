"""An Odoo whose sampler runs on demand."""

import re
import time
from contextlib import closing, contextmanager

import psycopg2

from probes import query
from servers import LOCALHOST, MODULE
from support import add_endpoint

# CONSOLE_TIMEOUT, which all endpoints share, and the rest of a request.
RUN_SECONDS = 3 + 1
LINE = re.compile(
    r" (?P<severity>INFO|WARNING|ERROR) \S+ \S+\.connection_sample: connection pressure "
    r'endpoint="(?P<endpoint>[^"]*)" pressure=(?P<pressure>-|[\d.]+)% used=(?P<used>-|\d+)/(?P<capacity>-|\d+) '
    r'waiting=(?P<waiting>-|\d+) maxwait=(?P<maxwait>-|[\d.]+)s level=(?P<level>\w+)(?P<rest> reason=".*")?\s*$',
    re.MULTILINE,
)
FIELDS = ("database", "used", "capacity", "waiting", "pressure", "level", "reason", "interval", "xact_count", "refused")
MAX_CONNECTIONS = 30
MAX_CLIENT_CONN = 20
POSTGRESQL = "PostgreSQL of this Odoo"


class Sampler:
    """An Odoo that monitors its PostgreSQL and a PgBouncer, and runs its cron on demand."""

    def __init__(self, pair, odoo, client):
        self.pair, self.odoo, self.client = pair, odoo, client
        self.cron = self.record("ir_cron_sample")

    def record(self, name):
        domain = [["module", "=", MODULE], ["name", "=", name]]
        [found] = self.client.call("ir.model.data", "search_read", domain, ["res_id"])
        return found["res_id"]

    def run(self):
        """Run the cron. Return endpoint's name -> new sample, with its log line as ``line`` and its pools' samples as
        ``pools``."""
        newest = self.client.call("connection.sample", "search", [], order="id desc", limit=1)
        position = self.odoo.log.stat().st_size
        started = time.monotonic()
        assert self.client.call("ir.cron", "method_direct_trigger", [self.cron]) is True
        self.seconds = time.monotonic() - started
        assert self.seconds < RUN_SECONDS
        domain = [["id", ">", newest[0] if newest else 0]]
        rows = self.client.call("connection.sample", "search_read", domain, ["endpoint_id", "sessions", *FIELDS])
        with self.odoo.log.open() as log:
            log.seek(position)
            lines = {match["endpoint"]: match for match in LINE.finditer(log.read())}
        samples = {row["endpoint_id"][1]: row for row in rows if not row["database"]}
        assert samples.keys() == lines.keys()
        for name, sample in samples.items():
            sample["line"] = lines[name]
            of_endpoint = [row for row in rows if row["endpoint_id"][1] == name]
            sample["pools"] = {row["database"]: row for row in of_endpoint if row["database"]}
            assert lines[name]["level"] == sample["level"]
            for field in ("used", "capacity"):
                logged = lines[name][field]
                assert logged == "-" if sample[field] is False else float(logged) == sample[field]
        return samples

    def overview(self):
        """Return the Overview, and name -> card."""
        started = time.monotonic()
        overview = self.client.call("connection.overview", "get_overview")
        assert time.monotonic() - started < RUN_SECONDS
        return overview, {card["name"]: card for card in overview["cards"]}

    def shop(self, server=None, **options):
        return psycopg2.connect(
            host=LOCALHOST,
            port=(server or self.pair.postgresql).port,
            user="shop",
            password=self.pair.passwords["shop"],
            dbname="shop",
            connect_timeout=5,
            **options,
        )


def read(client, model, *domain, fields=None):
    """Return the rows as a list reads them, and the notices that are warnings or errors."""
    names = fields or client.call(model, "fields_get", [], ["type"])
    answer = client.call(model, "web_search_read", list(domain), {name: {} for name in names})
    return answer["records"], [notice for notice in answer["reading"]["notices"] if notice["type"] != "info"]


@contextmanager
def endpoint(sampler, name, server, **values):
    """Add the endpoint of one more PgBouncer."""
    created = add_endpoint(sampler.client, sampler.pair, name, server, **values)
    try:
        yield created
    finally:
        sampler.client.call("connection.endpoint", "unlink", [created])


@contextmanager
def waiting(sampler, statement, **options):
    """Yield a superuser's connection that runs a statement, which waits."""
    pair = sampler.pair
    values = {"host": LOCALHOST, "port": pair.postgresql.port, "user": "postgres", "dbname": "shop"} | options
    values["password"] = pair.passwords[values["user"]]
    with closing(psycopg2.connect(async_=True, **values)) as connection:
        query.wait(connection, time.monotonic() + 5)
        cursor = connection.cursor()
        cursor.execute(statement)
        connection.poll()
        yield connection
