"""The runner of queue_job: whether it receives notifications, its verdict, and its remedies."""

import contextlib
import re
import threading
import time
from contextlib import ExitStack, closing

import psycopg2
import pytest

from probes import runner
from servers import LOCALHOST, STACK
from sites import Site
from support import direct_odoo, wait_until
from topology import deaf, direct, session

pytestmark = pytest.mark.timeout(600)
# In which time a job starts whose runner is not deaf, on a slow machine.
SOON_SECONDS = 5
LATE_SECONDS = 15
KEY = 2293787760715711918
LOADED = {"server_wide_modules": "base,rpc,web,queue_job"}


@pytest.fixture(scope="module")
def template(pair, installed):
    """The name of a database with this module and queue_job."""
    name = "with_queue_job"
    pair.postgresql.execute(f"CREATE DATABASE {name} TEMPLATE {installed} OWNER odoo")
    options = ("--stop-after-init", "--no-http", "--workers=0", "--max-cron-threads=0")
    direct_odoo(pair, name).run("server", "-d", name, "-i", "queue_job", *options)
    yield name
    pair.postgresql.execute(f"DROP DATABASE {name} WITH (FORCE)")


def wait_for_runner(site, since=0):
    """Wait until the runner has read the jobs that were there before it, which needs no notifications.

    :param int since: bytes of the log that are older
    """
    wait_until(lambda: b"database connections ready" in site.odoo.log.read_bytes()[since:], 30)


def restart(site, is_ready=True):
    site.odoo.kill()
    since = site.odoo.log.stat().st_size
    site.odoo.start()
    site.wait_for_bus()
    if is_ready:
        wait_for_runner(site, since)


@pytest.fixture
def new_site(pair, template):
    """A function that starts a topology."""
    with ExitStack() as sites:

        def start(topology):
            site = Site(topology, pair, template)
            sites.callback(site.stop)
            site.start()
            if "queue_job" in site.topology.options.get("server_wide_modules", ""):
                wait_for_runner(site)
            return site

        yield start


def job_delay(site, seconds):
    """Return after how many seconds a job of queue_job was done, or None."""
    response = site.page.session.get(f"{site.url}/queue_job/create_test_job?size=1&description=test", timeout=30)
    response.raise_for_status()
    started = time.monotonic()
    while (waited := time.monotonic() - started) < seconds:
        jobs = site.page.call("queue.job", "search_read", [], ["state"], order="id desc", limit=1)
        if [job["state"] for job in jobs] == ["done"]:
            return waited
        time.sleep(0.1)
    return None


def verdict(site):
    check = site.page.check()["queue_job"]
    assert site.pair.passwords["odoo"] not in str(check)
    return check, f"{check['verdict']} {check['level']}"


@pytest.mark.long
def test_transaction_mode(new_site):
    """The section that the check shows, pasted into odoo.conf, is enough, also after one more restart."""
    site = new_site(deaf("queue transaction", options=LOADED))
    assert job_delay(site, LATE_SECONDS) is None
    check, found = verdict(site)
    assert found == "deaf critical"
    assert "lost in a pooler" in check["summary"]
    lines = re.search(r"^\[queue_job\]\n(jobrunner_db_\w+ = .*\n)+", check["remedy"], re.MULTILINE)[0]
    assert lines == f"[queue_job]\njobrunner_db_host = {LOCALHOST}\njobrunner_db_port = {site.pair.postgresql.port}\n"

    with site.odoo.configuration.open("a") as configuration:
        configuration.write(lines)
    assert "RECONNECT" in check["remedy"]
    site.pgbouncer.execute("RECONNECT")
    restart(site)
    assert job_delay(site, SOON_SECONDS) is not None
    check, found = verdict(site)
    assert found == "direct ok", check["evidence"]
    assert "this server's own runner" in check["evidence"]
    site.pgbouncer.stop()
    site.pgbouncer.start()
    restart(site)
    assert job_delay(site, SOON_SECONDS) is not None
    assert verdict(site)[1] == "direct ok"


@pytest.mark.long
def test_environment(new_site):
    """Environment variables outrank the section, so the remedy is about them."""
    site = new_site(deaf("queue environment", options=LOADED | {"workers": 0}))
    environment = site.odoo.environment()
    wrong = {"ODOO_QUEUE_JOB_JOBRUNNER_DB_HOST": LOCALHOST}
    wrong["ODOO_QUEUE_JOB_JOBRUNNER_DB_PORT"] = str(site.pgbouncer.port)
    site.odoo.environment = lambda: environment | wrong
    site.pgbouncer.execute("RECONNECT")
    restart(site)
    assert job_delay(site, LATE_SECONDS) is None
    check, found = verdict(site)
    assert found == "deaf critical"
    right = dict(re.findall(r"^(ODOO_QUEUE_JOB_\w+)=(.*)$", check["remedy"], re.MULTILINE))
    assert right.keys() == wrong.keys()

    site.odoo.environment = lambda: environment | right
    site.pgbouncer.execute("RECONNECT")
    restart(site)
    assert job_delay(site, SOON_SECONDS) is not None
    assert verdict(site)[1] == "direct ok"


def test_session_mode(new_site):
    """It works as long as the pool has servers. A pool that nobody monitors may have too few."""
    site = new_site(session("queue session", settings={"pool_mode": "session"}, options=LOADED))
    assert job_delay(site, SOON_SECONDS) is not None
    check, found = verdict(site)
    assert found == "session ok", check["evidence"]
    assert "this server's own runner" in check["evidence"]
    endpoints = site.page.call("connection.endpoint", "search", [["kind", "=", "pgbouncer"]])
    site.page.call("connection.endpoint", "write", endpoints, {"active": False})
    assert verdict(site)[1] == "session warning"


@pytest.mark.long
def test_no_runner(new_site):
    """queue_job is installed, but no server loads it before its start."""
    site = new_site(direct("queue unloaded"))
    assert job_delay(site, LATE_SECONDS) is None
    check, found = verdict(site)
    assert found == "deaf critical"
    assert "No runner of queue_job is connected" in check["summary"]
    line = re.search(r"^server_wide_modules = .*$", check["remedy"], re.MULTILINE)[0]

    configuration = site.odoo.configuration
    configuration.write_text(f"{configuration.read_text()}{line}\n")
    restart(site)
    assert job_delay(site, SOON_SECONDS) is not None
    check, found = verdict(site)
    assert found == "direct ok", check["evidence"]


@pytest.mark.long
def test_lock_without_a_runner(new_site):
    """The route works, but an idle session holds the lock, as a server of a pool may after its runner is gone."""
    site = new_site(direct("queue lock", options=LOADED | {"workers": 0}))
    info = {"host": LOCALHOST, "port": site.pair.postgresql.port, "dbname": site.database}
    info |= {"user": "odoo", "password": site.pair.passwords["odoo"]}
    site.odoo.kill()
    with closing(psycopg2.connect(**info)) as idle:
        idle.autocommit = True
        idle.cursor().execute("SELECT pg_advisory_lock(%s)", [KEY])
        restart(site, is_ready=False)
        assert job_delay(site, LATE_SECONDS) is None
        check, found = verdict(site)
        assert found == "deaf critical", check["evidence"]
        [line] = re.findall(r"^SELECT pg_terminate_backend\(\d+\);$", check["remedy"], re.MULTILINE)
        with closing(psycopg2.connect(**info)) as session_of_odoo:
            session_of_odoo.cursor().execute(line)
    assert job_delay(site, 3 * SOON_SECONDS) is not None
    check, found = verdict(site)
    assert found == "direct ok", check["evidence"]


@pytest.fixture
def runner_info(pair):
    """Parameters with which Odoo would connect, and a database in which nobody else holds the lock."""
    pair.postgresql.execute("CREATE DATABASE queue OWNER odoo")
    yield {"dbname": "queue", "host": LOCALHOST, "port": pair.postgresql.port, "user": "odoo"} | {
        "password": pair.passwords["odoo"],
        "application_name": "odoo-1",
    }
    pair.postgresql.execute("DROP DATABASE queue WITH (FORCE)")


@pytest.fixture
def take_lock(runner_info):
    """A function that connects as a runner does: parameters -> connection."""
    with ExitStack() as connections:

        def take(**values):
            connection = connections.enter_context(closing(psycopg2.connect(**runner_info | values)))
            connection.autocommit = True
            connection.cursor().execute("SELECT pg_advisory_lock(%s)", [KEY])
            return connection

        yield take


def test_key():
    """It is the real runner's."""
    assert f"= {KEY}\n" in (STACK / "addons/odoo/addons/queue_job/jobrunner/runner.py").read_text()


def test_nobody_holds_the_lock(runner_info, monkeypatch):
    monkeypatch.setattr(runner, "START_SECONDS", 1)
    started = time.monotonic()
    assert runner.probe(runner_info, KEY) == runner.RunnerResult()
    assert time.monotonic() - started < 3


def test_runner_that_starts_meanwhile(runner_info, take_lock):
    timer = threading.Timer(1, take_lock)
    timer.start()
    found = runner.probe(runner_info, KEY)
    timer.join()
    assert (found.seconds, found.application_name) == ((None,), "odoo-1")


def test_holder_that_does_not_listen(runner_info, take_lock):
    """Its queries by a timer are no reaction."""
    connection = take_lock()
    is_over = threading.Event()

    def poll():
        with contextlib.suppress(psycopg2.Error):
            while not is_over.wait(0.2):
                connection.cursor().execute("SELECT 1")

    threading.Thread(target=poll, daemon=True).start()
    found = runner.probe(runner_info, KEY)
    is_over.set()
    assert found.pid == connection.info.backend_pid
    assert found.seconds == (None,)


def test_holder_that_is_busy(pair, runner_info, take_lock):
    connection = take_lock()
    thread = threading.Thread(target=lambda: connection.cursor().execute("SELECT pg_sleep(4)"))
    thread.start()
    query = f"SELECT state FROM pg_stat_activity WHERE pid = {connection.info.backend_pid}"
    wait_until(lambda: pair.postgresql.execute(query) == [("active",)])
    found = runner.probe(runner_info, KEY)
    thread.join()
    assert (found.is_busy, found.seconds) == (True, ())


def test_holder_of_another_role(pair, runner_info, take_lock):
    take_lock(user="shop", password=pair.passwords["shop"])
    assert runner.probe(runner_info, KEY).is_hidden
    pair.postgresql.execute("GRANT pg_read_all_stats TO odoo")
    found = runner.probe(runner_info, KEY)
    pair.postgresql.execute("REVOKE pg_read_all_stats FROM odoo")
    assert (found.is_hidden, found.seconds) == (False, (None,))


def test_database_that_cannot_be_read(runner_info):
    found = runner.probe(runner_info | {"port": 1}, KEY)
    assert (found.reason, found.pid) == ("refused", None)
    assert found.seconds == ()


def test_nothing_is_left(pair, runner_info, take_lock):
    take_lock()
    runner.probe(runner_info, KEY)
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbouncer_monitor' AND datname = 'queue'"
    assert wait_until(lambda: pair.postgresql.execute(query) == [(0,)])
