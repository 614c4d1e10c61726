"""Requests of a running Odoo that are refused for real: each counts exactly once, under its kind."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import requests

from sampling import POSTGRESQL, Sampler
from servers import LOCALHOST, VERSIONS
from support import wait_until

SLOW = "env.cr.execute('SELECT pg_sleep(30)')"
GREEDY = "[env.registry.cursor() for _number in range(9)]"
WRONG = "env.cr.execute('SELECT query_wait_timeout')"

# A client that waits for a login gets the error of the login before its own wait is over.
SETTINGS = {"default_pool_size": 2, "query_wait_timeout": 3, "server_login_retry": 1, "max_client_conn": 100}


class Site:
    """An Odoo with two workers behind a PgBouncer of its own, which the test breaks."""

    def __init__(self, pair, pgbouncer, odoo, client):
        self.pair, self.pgbouncer, self.odoo, self.client = pair, pgbouncer, odoo, client
        self.database = client.database
        [model] = client.call("ir.model", "search", [["model", "=", "res.users"]])
        values = {"name": "Test", "model_id": model, "state": "code"}
        self.slow, self.greedy, self.wrong = (
            client.call("ir.actions.server", "create", values | {"code": code}) for code in (SLOW, GREEDY, WRONG)
        )

    def get(self, times):
        """Request a page: without a connection, Odoo redirects to a page without a database."""
        for _time in range(times):
            answer = requests.get(f"{self.odoo.url}/web/login", allow_redirects=False, timeout=30)
            assert answer.status_code != 200

    def invent(self, times):
        """Name a database that does not exist, as anybody can: in the address, and in a header. PgBouncer passes
        PostgreSQL's message on to the first one only."""

        def request(number):
            header = {"X-Odoo-Database": "unknown"} if number % 2 else {}
            return requests.get(f"{self.odoo.url}/web/login", {"db": "unknown"}, headers=header, timeout=30)

        self.restart(query_wait_timeout=1, server_login_retry=60)
        with ThreadPoolExecutor(times) as pool:
            list(pool.map(request, range(times)))
        self.restart(**SETTINGS)
        assert self.odoo.log.read_text().count("Database or registry unusable") >= times

    def run(self, action):
        with pytest.raises(RuntimeError):
            self.client.call("ir.actions.server", "run", [action])

    def connect(self):
        return self.pgbouncer.connect(self.database, "odoo")

    def restart(self, **settings):
        self.pgbouncer.stop()
        self.pgbouncer.settings |= settings
        self.pgbouncer.start()

    def wait_in_the_queue(self):
        """All servers of the pool are busy."""
        others = [self.connect() for _number in range(2)]
        for other in others:
            other.autocommit = False
            other.cursor().execute("SELECT 1")
        self.get(1)
        for other in others:
            other.close()

    def fill_pgbouncer(self):
        self.restart(max_client_conn=1)
        with closing(self.connect()):
            self.get(3)
        self.restart(max_client_conn=100)

    def fill_postgresql(self):
        execute = self.pair.postgresql.execute
        execute(f"ALTER DATABASE {self.database} CONNECTION LIMIT 0")
        execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.database}'")
        self.get(2)
        execute(f"ALTER DATABASE {self.database} CONNECTION LIMIT -1")

    def lose_connection(self):
        request = threading.Thread(target=self.run, args=[self.slow])
        request.start()
        wait_until(
            lambda: self.pair.postgresql.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(30%'"
            )
        )
        request.join()

    def stop_pgbouncer(self):
        self.pgbouncer.stop()
        self.get(4)
        assert requests.get(f"{self.odoo.url}/web/health", timeout=30).ok  # needs no database
        self.pgbouncer.start()


@pytest.fixture
def site(pair, new_pgbouncer, new_odoo):
    # Odoo lists the databases for each request without a session.
    system = f"host={LOCALHOST} port={pair.postgresql.port} pool_mode=session pool_size=20"
    pgbouncer = new_pgbouncer(VERSIONS["1.26"], {"postgres": system}, **SETTINGS)
    names = {"dbfilter": "^(refusals|unknown)$"}
    odoo, client = new_odoo("refusals", db_port=pgbouncer.port, workers=2, db_maxconn=4, **names)
    # Both workers and the gevent process: Odoo ends if it cannot connect when it starts one of them.
    wait_until(lambda: len(odoo.process().children()) == 3)
    return Site(pair, pgbouncer, odoo, client)


def test_each_refused_request_counts_once(site):
    sampler = Sampler(site.pair, site.odoo, site.client)
    sampler.run()
    site.invent(10)
    assert sampler.run()[POSTGRESQL]["refused"] == 0
    site.run(site.greedy)
    site.wait_in_the_queue()
    site.fill_pgbouncer()
    site.fill_postgresql()
    site.lose_connection()
    site.stop_pgbouncer()
    sample = sampler.run()[POSTGRESQL]
    rows = site.client.call("connection.refusal", "search_read", [], ["host", "kind", "count"])
    assert {row["kind"]: row["count"] for row in rows} == {
        "pool_full": 1,
        "query_wait_timeout": 1,
        "max_client_conn": 3,
        "slots_reserved": 2,
        "closed": 1,
        "unreachable": 4,
    }
    assert {row["host"] for row in rows} == {socket.gethostname()}
    assert sample["refused"] == 12
    [alert] = site.client.call("connection.alert", "search_read", [["rule", "=", "refused_requests"]])
    assert (alert["level"], alert["worst"]) == ("critical", "12 requests")
    assert "Server Not Reachable: 4 requests" in alert["situation"] and "max_client_conn" in alert["advice"]
    _overview, cards = sampler.overview()
    assert cards[POSTGRESQL]["refused"]["text"].endswith(": 12")
    # What Odoo retries, or a user did wrong, is none.
    site.restart()
    assert requests.get(f"{site.odoo.url}/web/login", timeout=30).ok
    site.run(site.wrong)
    assert sampler.run()[POSTGRESQL]["refused"] == 0
