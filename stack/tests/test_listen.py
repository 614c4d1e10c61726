"""The LISTEN check: its verdict is correct in each topology, and it leaves nothing behind."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import psycopg2
import pytest

from probes import listen
from servers import LOCALHOST, ServerError
from sites import Site
from topologies import examine_all
from topology import deaf
from topology_list import TESTED

CHECKS = 100
POOL_SIZE = 5


@pytest.fixture(scope="module")
def results(pair, installed):
    return dict(zip(TESTED, examine_all(pair, installed, TESTED), strict=True))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("topology", TESTED, ids=lambda topology: topology.name)
def test_verdict(results, topology):
    result = results[topology]
    if isinstance(result, ServerError) and "could not be fetched" in str(result):
        pytest.skip(str(result))
    if isinstance(result, Exception):
        raise result
    [seen] = result
    assert seen.differences(topology) == []


def by_name(name):
    return next(topology for topology in TESTED if topology.name == name)


@pytest.fixture
def new_site(pair, installed):
    """A function that starts a topology."""
    with ExitStack() as sites:

        def start(topology):
            site = Site(topology, pair, installed)
            sites.callback(site.stop)
            return site.start()

        yield start


def odoo_info(pair, port, **values):
    """Return the parameters with which Odoo would connect."""
    return {"database": "postgres", "host": LOCALHOST, "port": port, "user": "odoo"} | {
        "password": pair.passwords["odoo"],
        "application_name": "odoo-1",
        **values,
    }


@pytest.mark.timeout(300)
def test_override_is_removed_and_pasted(new_site):
    """Earlier connections may differ from new ones: the verdict covers both."""
    site = new_site(deaf("override lost", later="reload"))
    before = site.page.check()
    assert [before[name]["verdict"] for name in ("bus", "cron")] == ["deaf", "deaf"]
    for check in before.values():
        assert site.pair.passwords["odoo"] not in str(check)

    [lines] = re.findall(r"^pool_mode=session .*$", before["bus"]["remedy"], re.MULTILINE)
    site.pgbouncer.databases["postgres"] += f" {lines}"
    site.pgbouncer.reload()
    time.sleep(1)
    half_way = site.page.check()
    assert (half_way["bus"]["verdict"], half_way["cron"]["verdict"]) == ("deaf", "unknown")
    assert "Restart Odoo" in half_way["bus"]["remedy"]

    site.odoo.kill()
    site.odoo.start()
    site.wait_for_bus()
    after = site.page.check()
    assert [(after[name]["verdict"], after[name]["level"]) for name in ("bus", "cron")] == [("session", "ok")] * 2


def test_remedy_for_the_bus_alone(results):
    """The suggested configuration of bus_alt_connection is that of its topology."""
    remedy = results[by_name("transaction mode")][0].checks[0]["bus"]["remedy"]
    options = dict(re.findall(r"^(server_wide_modules|imdispatcher_db_\w+) = (.*)$", remedy, re.MULTILINE))
    assert options["server_wide_modules"] == "base,rpc,web,bus_alt_connection"
    assert options["imdispatcher_db_host"] == LOCALHOST
    assert f"--db_port={options['imdispatcher_db_port']}" in remedy


def test_scheduled_check(results):
    """A cron worker cannot start the triggered job while it runs the check: the job completes it."""
    [seen] = results[by_name("scheduled: transaction mode, postgres in session mode")]
    assert 0 < seen.checks[0]["cron"]["delay"] < 5


def test_probes_leave_nothing_behind(pair, new_pgbouncer):
    """No connection, and no backend of the shared pool that still listens."""
    line = f"host={LOCALHOST} port={pair.postgresql.port} pool_size={POOL_SIZE}"
    server = new_pgbouncer(databases={"postgres": line}, server_round_robin=1)
    info = odoo_info(pair, server.port)
    with ThreadPoolExecutor(25) as pool:
        found = [result for result, _found in pool.map(lambda _number: listen.probe(info), range(CHECKS))]
    assert {result.outcome for result in found} <= {"lost", "blocked"}
    assert not any(result.leftover for result in found)
    with ExitStack() as sessions:
        listening = {}
        for _number in range(POOL_SIZE):  # each keeps its server, so that all are read
            session = sessions.enter_context(closing(psycopg2.connect(**info)))
            cursor = session.cursor()
            cursor.execute("SELECT pg_backend_pid(), ARRAY(SELECT pg_listening_channels())")
            listening |= dict([cursor.fetchone()])
    assert listening == dict.fromkeys(listening, [])
    assert len(listening) == POOL_SIZE
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbouncer_monitor' AND usename = 'odoo'"
    for port in (pair.postgresql.port, pair.pgbouncer.port):
        assert listen.probe(odoo_info(pair, port))[0].outcome == "delivered"
    assert pair.postgresql.execute(query) == [(0,)]


def test_full_pool(pair, new_pgbouncer):
    line = f"host={LOCALHOST} port={pair.postgresql.port} pool_mode=session pool_size=1"
    server = new_pgbouncer(databases={"postgres": line})
    info = odoo_info(pair, server.port)
    assert listen.probe(info)[0].outcome == "blocked", "no server is left for the NOTIFY"
    with closing(psycopg2.connect(**info)) as listener:
        listener.cursor().execute("LISTEN somebody")
        started = time.monotonic()
        assert listen.probe(info)[0].outcome == "blocked"
        assert time.monotonic() - started < listen.OPEN_SECONDS + 1


@pytest.mark.parametrize("port", [1, "frozen"])
def test_unreachable(pair, new_pgbouncer, port):
    if port == "frozen":
        server = new_pgbouncer()
        server.freeze()
        port = server.port
    started = time.monotonic()
    result, _found = listen.probe(odoo_info(pair, port))
    assert result.outcome == "unreachable"
    assert result.route == (LOCALHOST, port)
    assert time.monotonic() - started < listen.OPEN_SECONDS + 1
