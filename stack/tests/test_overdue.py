"""The sampler of a real Odoo stands still: what the pages, the health address and the chatter say. Who may read the
addresses for monitoring systems, of one database of several."""

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psutil
import pytest
import requests
from passlib.context import CryptContext

from rpc import OdooClient
from support import direct_odoo, wait_until

HEALTH = "/pgbouncer_monitor/health"
ADDRESSES = (HEALTH, "/pgbouncer_monitor/metrics")
SAMPLER = "(SELECT res_id FROM ir_model_data WHERE name = 'ir_cron_sample')"
ALONE = f"UPDATE ir_cron SET active = id = {SAMPLER}"
DUE = f"UPDATE ir_cron SET nextcall = '2026-01-01', interval_number = 1 WHERE id = {SAMPLER}"
# A minute is the shortest interval that Odoo accepts. With this one, everything is overdue at once.
OVERDUE = (
    "ALTER TABLE ir_cron DROP CONSTRAINT IF EXISTS ir_cron_check_strictly_positive_interval",
    f"UPDATE ir_cron SET interval_number = -1, nextcall = '2026-01-01' WHERE id = {SAMPLER}",
    "UPDATE connection_reading SET sampled_at = sampled_at - interval '1 hour'",
)
ENDED = "Exception in thread odoo.service.cron.cron0"
# Database -> a key.
KEYS = {"hosta": "a" * 40, "hostb": "b" * 40}
# A database without the addon, and its key.
OTHER, OTHER_KEY = "hostc", "c" * 40
UNINSTALLED = "UPDATE ir_module_module SET state = 'uninstalled' WHERE name = 'pgbouncer_monitor'"
NO_CONNECTION, ANY_CONNECTION = (f"ALTER DATABASE postgres CONNECTION LIMIT {limit}" for limit in (0, -1))
# More than three intervals, and what a sample may take.
PATIENCE = 190


def get(odoo, path, key=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    with requests.Session() as session:
        session.trust_env = False
        return session.get(odoo.url + path, headers=headers, timeout=30, allow_redirects=False)


class Sampled:
    """An Odoo whose sampler is the only scheduled action, and what is seen of it."""

    def __init__(self, pair, database, **options):
        self.pair, self.database = pair, database
        pair.postgresql.execute(ALONE, dbname=database)
        self.odoo = direct_odoo(pair, database, db_name=database, **options)

    def start(self):
        self.odoo.start()
        self.client = OdooClient(self.odoo.url, self.database)
        self.sample()
        self.key = self.client.new_key("admin")

    def execute(self, *statements):
        return self.pair.postgresql.execute(*statements, dbname=self.database)

    def sample(self):
        """Wait until the cron worker has stored a sample: a notification wakes it as soon as it listens."""
        [(before,)] = self.execute("SELECT max(sampled_at) FROM connection_reading")

        def is_sampled():
            self.pair.postgresql.execute(f"NOTIFY cron_trigger, '{self.database}'")
            [(now,)] = self.execute("SELECT max(sampled_at) FROM connection_reading")
            return now != before

        self.execute(DUE)
        wait_until(is_sampled, 30)

    def health(self):
        """Return the status, the codes of the reasons, and their texts."""
        answer = get(self.odoo, HEALTH, self.key)
        reasons = answer.json()["reasons"]
        return answer.status_code, [reason["code"] for reason in reasons], " ".join(row["text"] for row in reasons)

    def status(self):
        return OdooClient(self.odoo.url, self.database).call("connection.overview", "get_status")

    def messages(self):
        """Return the subjects of the messages about the sampler, the oldest first."""
        domain = [["model", "=", "connection.endpoint"], ["subject", "ilike", "sample"]]
        found = self.client.call("mail.message", "search_read", domain, ["subject"], order="id")
        return [message["subject"].partition(": PostgreSQL")[0] for message in found]


@pytest.fixture
def new_sampled(pair, new_database):
    """A function that starts a Sampled: name, options of odoo.conf -> Sampled."""
    started = []

    def new(name, **options):
        sampled = Sampled(pair, new_database(name), **options)
        started.append(sampled)
        sampled.start()
        return sampled

    yield new
    for sampled in started:
        sampled.odoo.stop()


def end_cron_thread(sampled):
    """Close the connection of the cron thread while it cannot connect again, as when PostgreSQL restarts."""
    postgresql, pid = sampled.pair.postgresql, sampled.odoo.process().pid
    postgresql.execute(NO_CONNECTION)
    try:
        postgresql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = 'postgres' AND application_name = 'odoo-{pid}'"
        )
        wait_until(lambda: ENDED in sampled.odoo.log.read_text())
    finally:
        postgresql.execute(ANY_CONNECTION)


def test_cron_thread_ends(new_sampled):
    """Whoever opens a page finds it: the reason, what to restart, and one message, however many find it at once."""
    sampled = new_sampled("dead_thread", max_cron_threads=1)
    assert sampled.health()[:2] == (200, [])
    assert sampled.status()["overdue"] is None
    sampled.execute("UPDATE res_partner SET email = 'admin@example.com'")
    end_cron_thread(sampled)
    sampled.execute(*OVERDUE)
    restart = f"Restart Odoo on {socket.gethostname()} (PID {sampled.odoo.process().pid})."
    status, codes, text = sampled.health()
    assert restart in text
    assert (status, codes) == (503, ["sampler_overdue", "sample_too_old"])
    assert "All cron threads of Odoo" in text
    assert sampled.messages() == [], "a monitor notifies by itself"
    clients = [OdooClient(sampled.odoo.url, sampled.database) for _number in range(8)]
    # Nor can Odoo notify the browsers: the message is one in Discuss, too.
    [channel] = sampled.client.call("discuss.channel", "search", [], limit=1)
    sampled.client.call("ir.config_parameter", "set_param", "pgbouncer_monitor.alert_channel_id", channel)
    sampled.pair.postgresql.execute(NO_CONNECTION)
    try:
        with ThreadPoolExecutor(len(clients)) as pool:
            found = list(pool.map(lambda client: client.call("connection.overview", "get_status"), clients))
        assert "Browsers and the mail queue are notified later" in sampled.odoo.log.read_text()
    finally:
        sampled.pair.postgresql.execute(ANY_CONNECTION)
    assert {answer["level"] for answer in found} == {"warning"}
    assert {answer["overdue"]["remedy"] for answer in found} == {restart}
    assert sampled.client.call("connection.overview", "get_overview")["overdue"] == found[0]["overdue"]
    assert sampled.messages() == ["Nothing is sampled"]
    # Nothing listens at the port of the mail server: it was tried at once, and does not wait for the mail queue.
    of_message = "JOIN mail_message ON mail_message.id = mail_message_id WHERE subject LIKE 'Nothing is sampled%'"
    wait_until(lambda: sampled.execute(f"SELECT state FROM mail_mail {of_message}") == [("exception",)])

    sampled.odoo.kill()
    sampled.odoo.start()
    sampled.sample()
    wait_until(lambda: sampled.messages() == ["Nothing is sampled", "Resolved: samples are taken again"])
    assert sampled.status()["overdue"] is None
    assert sampled.health()[:2] == (200, [])


@pytest.mark.long
@pytest.mark.timeout(420)
def test_run_hangs(new_sampled):
    """A run that waits for a lock, without a limit of time: PostgreSQL shows which process runs it."""
    sampled = new_sampled("hanging", workers=1, max_cron_threads=1, limit_time_real_cron=0)
    with closing(sampled.pair.postgresql.connect(sampled.database)) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN; LOCK connection_sample IN EXCLUSIVE MODE")
        with pytest.raises(AssertionError):
            sampled.sample()
        time.sleep(PATIENCE)
        workers = [child.pid for child in psutil.Process(sampled.odoo.process().pid).children()]
        _status, [code, _old], text = sampled.health()
        assert (code, "A run that started at" in text) == ("sampler_overdue", True)
        assert any(f"odoo-{pid} 127.0.0.1" in text for pid in workers)
        assert sampled.status()["overdue"]["level"] == "warning"
    sampled.sample()
    wait_until(lambda: sampled.messages() == ["Nothing is sampled", "Resolved: samples are taken again"])


@pytest.mark.long
@pytest.mark.timeout(420)
def test_cron_worker_is_stopped(new_sampled):
    """No hang of a run, and no end of a thread: the worker does nothing."""
    sampled = new_sampled("stopped_worker", workers=1, max_cron_threads=1, limit_time_real_cron=0)
    query = "SELECT application_name FROM pg_stat_activity WHERE datname = 'postgres' AND application_name ~ '^odoo-'"
    names = sampled.pair.postgresql.execute(f"{query} AND query ~ 'LISTEN cron_trigger|COMMIT|ROLLBACK'")
    for (name,) in names:
        psutil.Process(int(name.removeprefix("odoo-"))).send_signal(signal.SIGSTOP)
    time.sleep(PATIENCE)
    _status, codes, text = sampled.health()
    assert codes == ["sampler_overdue", "sample_too_old"]
    assert f"such as Odoo on {socket.gethostname()} (PID {sampled.odoo.process().pid})" in text
    assert sampled.status()["overdue"]["level"] == "warning"


def add_key(pair, database, key):
    """Add an API key of the administrator, as Odoo stores it."""
    stored = CryptContext(["pbkdf2_sha512"], pbkdf2_sha512__rounds=6000).hash(key)
    values = f"'Stack', 2, NULL, NULL, '{stored}', '{key[:8]}'"
    columns = "name, user_id, scope, expiration_date, key, index"
    pair.postgresql.execute(f"INSERT INTO res_users_apikeys ({columns}) VALUES ({values})", dbname=database)


@pytest.fixture
def hosts(pair, new_database):
    """An Odoo that loads the addon for all databases, each for a host of its name. The second one is a neutralized
    copy, the third one is without the addon."""
    odoo = direct_odoo(pair, "hosts", dbfilter="^%d$", server_wide_modules="base,rpc,web,pgbouncer_monitor")
    for name, key in (KEYS | {OTHER: OTHER_KEY}).items():
        add_key(pair, new_database(name), key)
    pair.postgresql.execute(UNINSTALLED, dbname=OTHER)
    # No sample was ever taken of them: only the second one is old enough to have one.
    pair.postgresql.execute(*OVERDUE, dbname="hostb")
    pair.postgresql.execute("UPDATE connection_endpoint SET write_date = now()", dbname="hosta")
    odoo.run("neutralize", "-d", "hostb")
    odoo.start()
    yield odoo
    odoo.stop()


def test_one_database_of_two(hosts):
    """The host chooses it, and the header may repeat it. The key of one is none of the other, and no error names
    anything of them."""
    for path in ADDRESSES:
        for database in KEYS:
            host = f"{database}.example"
            for headers in ({}, {"X_Odoo_Database": database}):
                answer = get(hosts, path, KEYS[database], Host=host, **headers)
                is_failing = (path, database) == (HEALTH, "hostb")
                assert answer.status_code == (503 if is_failing else 200), answer.text
                assert not is_failing or "neutralized copy" in answer.text
        other = {"Host": "hosta.example", "X_Odoo_Database": "hostb"}
        for status, key, headers in (
            (401, None, {"Host": "hosta.example"}),
            (401, KEYS["hostb"], {"Host": "hosta.example"}),
            (401, KEYS["hosta"], {"Host": "hostb.example"}),
            (404, KEYS["hostb"], other),
            (404, KEYS["hosta"], {"Host": "nobody.example"}),
            (404, KEYS["hosta"], {}),
        ):
            answer = get(hosts, path, key, **headers)
            assert answer.status_code == status, (path, key, headers, answer.text)
            text = f"{answer.text} {answer.headers}"
            assert not [word for word in (*KEYS, "admin", "pgbouncer", "19.0") if word in text], text


def test_database_without_the_addon(hosts):
    """Odoo routes the addon's addresses there, too."""
    host = f"{OTHER}.example"
    for path in ADDRESSES:
        assert get(hosts, path, Host=host).status_code == 401
        assert get(hosts, path, OTHER_KEY, Host=host).status_code == 404
    assert get(hosts, "/websocket/pgbouncer_monitor/listen?run_id=1&whom=bus", Host=host).status_code == 404
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Host"] = host
        login = {"params": {"db": OTHER, "login": "admin", "password": "admin"}}
        assert session.post(f"{hosts.url}/web/session/authenticate", json=login, timeout=60).json()["result"]["uid"]
        assert session.get(f"{hosts.url}/pgbouncer_monitor/plan/1/files.zip", timeout=30).status_code == 404
    assert "KeyError" not in hosts.log.read_text()
