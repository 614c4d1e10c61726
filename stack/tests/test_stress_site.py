"""The load of the stress test on a site of one's own: bad input, the limit of errors, and runs on a running Odoo."""

import contextlib
import io
import json
import os
import random
import signal
import socket
import ssl
import threading

import psutil
import pytest

from rpc import OdooClient
from servers import LOCALHOST, ServerError, free_port, make_certificate
from stress import own_site
from stress.load import percentile
from stress.own_site import OwnSite, is_over_limit, read_options
from stress.scene import NAME, Scene, cast
from support import wait_until

URL = "https://staging.example.com"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"URL": "staging.example.com"}, "address of a site"),
        ({"URL": "ftp://staging.example.com"}, "address of a site"),
        ({"URL": "https://"}, "address of a site"),
        ({"URL": "https://staging.example.com:port"}, "address of a site"),
        ({"URL": "https://admin:secret@staging.example.com"}, "address of a site"),
        ({"URL": f"{URL}/odoo"}, "without a path"),
        ({"USERS": "many"}, "USERS=many"),
        ({"USERS": "4"}, "from 5 to"),
        ({"USERS": "2.5"}, "USERS=2.5"),
        ({"MINUTES": "0"}, "MINUTES=0"),
        ({"MINUTES": "nan"}, "MINUTES=nan"),
        ({"MINUTES": "-5"}, "MINUTES=-5"),
        ({"MAKEFLAGS": " -- YES=1 PASSWORD=secret", "PASSWORD": "secret"}, "PASSWORD"),
        ({"MAKEFLAGS": "s -- KEY=secret"}, "KEY"),
    ],
)
def test_wrong_option(values, message):
    with pytest.raises(ServerError, match=message) as raised:
        read_options({"URL": URL} | values)
    assert "secret" not in str(raised.value)


def test_options():
    options = read_options({"URL": URL + "/", "USERS": "10", "MINUTES": "2.5", "MAKEFLAGS": "s -- URL=x"})
    assert (options.url, options.users, options.seconds, options.ramp) == (URL, 10, 150, 30)
    assert not options.is_confirmed and options.login is options.key is None
    assert "4,500 requests" in "\n".join(own_site.question(options._replace(users=67)))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://{host}:{web}", "is not an Odoo"),
        ("http://{host}:{free}", "reachable"),
        ("https://{host}:{tls}", "SSL_CERT_FILE"),
    ],
)
def test_no_odoo(url, message, web_server, tls_server):
    with pytest.raises(ServerError, match=message):
        own_site.check_site(url.format(host=LOCALHOST, web=web_server, free=free_port(), tls=tls_server))


def test_password_before_the_login():
    """Of a staging site behind the reverse proxy's own authentication."""
    with socket.create_server((LOCALHOST, 0)) as server:

        def serve():
            with server.accept()[0] as peer:
                peer.recv(4096)
                peer.sendall(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(ServerError, match="HTTP authentication"):
            own_site.check_site(f"http://{LOCALHOST}:{server.getsockname()[1]}")


@pytest.fixture
def tls_server(folder):
    """The port of a server whose certificate nobody knows."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    make_certificate(key, certificate, name="localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server((LOCALHOST, 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                context.wrap_socket(server.accept()[0], server_side=True)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def test_start_is_confirmed(monkeypatch):
    options = read_options({"URL": URL, "LOGIN": "demo"})
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    with pytest.raises(ServerError, match="no terminal"):
        own_site.confirm(options)
    for answer, starts in (("yes", True), ("y", False), ("", False)):
        terminal = io.StringIO(answer + "\n")
        terminal.isatty = lambda: True
        monkeypatch.setattr("sys.stdin", terminal)
        with contextlib.nullcontext() if starts else pytest.raises(ServerError, match="Not started"):
            own_site.confirm(options)


def entry(requests, failures):
    return {"requests": requests, "failures": failures}


def test_limit_of_errors():
    """More than 5 % of the last ten seconds, of at least 20 requests."""
    assert not is_over_limit([entry(10, 0)] * 9 + [entry(10, 5)], 200)
    assert is_over_limit([entry(10, 0)] * 9 + [entry(10, 6)], 200)
    assert not is_over_limit([entry(19, 19)], 200)
    assert is_over_limit([entry(20, 2)], 200)
    assert not is_over_limit([entry(50, 50)] + [entry(10, 0)] * 10, 200)
    assert is_over_limit([entry(5, 5)], 5)
    assert not is_over_limit([entry(0, 0)] * 20, 5)


def test_percentile():
    values = sorted(random.sample(range(1, 101), 100))
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1)] == [50, 95, 99, 100]
    assert percentile([7], 0.5) == 7 and percentile([], 0.5) is None


@pytest.mark.parametrize("users", [5, 9, 10, 50, 200, 501])
@pytest.mark.parametrize("logins", [0, 1, 10])
def test_cast(users, logins):
    visitors, clerks, chatters = cast(users, logins)
    assert visitors + clerks + chatters == users and visitors >= users // 2
    assert bool(logins) == bool(clerks) == bool(chatters) and chatters <= 5 * logins


class Records:
    """What there is on a site."""

    def __init__(self, client):
        self.client, self.before = client, None
        self.before = self.count()

    def count(self):
        """Return how many there are, archived ones included."""
        context = {"active_test": False}
        domains = {"res.partner": [["name", "=", NAME]], "discuss.channel": [], "mail.message": []}
        return {
            model: self.client.call(model, "search_count", domain, context=context) for model, domain in domains.items()
        }


@pytest.fixture
def run(sampler, tmp_path, capfd, monkeypatch):
    """A function that runs the load on the sampler's Odoo, and returns the exit code, the figures, the output and the
    report. Nothing remains on the site, and nothing shows a secret.

    It takes a function that runs meanwhile, with the OwnSite and an Event that says when it is done; and options.
    """

    def start(meanwhile, users="10", minutes="1", **values):
        values = {"URL": sampler.odoo.url, "USERS": users, "MINUTES": minutes, "YES": "1", **values}
        site, records = OwnSite(read_options(values), tmp_path), Records(sampler.client)
        seen, is_done = [], threading.Event()
        for secret in {"PASSWORD", "KEY"} & values.keys():
            monkeypatch.setenv(secret, values[secret])

        def watch():
            wait_until(lambda: len(site.timeline) > 2, 30)
            children = psutil.Process().children(recursive=True)
            [driver] = [child for child in children if "stress.driver" in child.cmdline()]
            seen.extend([*driver.cmdline(), *driver.environ().values()])
            meanwhile(site, is_done)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            code = site.run()
        finally:
            is_done.set()
            thread.join()
        page, figures = (tmp_path / name for name in ("report.html", "figures.json"))
        output = "".join(capfd.readouterr())
        assert "stress.driver" in seen
        for text in [page.read_text(), figures.read_text(), output, *seen]:
            assert "session_id" not in text
            for secret in ("PASSWORD", "KEY"):
                assert secret not in values or values[secret] not in text.replace(values.get("LOGIN", ""), "")
        assert records.count() == records.before
        return code, json.loads(figures.read_text()), output, page.read_text()

    return start


@pytest.fixture(scope="module")
def administrator(sampler):
    """LOGIN and PASSWORD of an administrator."""
    values = {"name": "Stress", "login": "stress-login", "password": "stress-secret"}
    groups = ["base.group_system", "base.group_partner_manager"]
    ids = [sampler.client.call("ir.model.data", "check_object_reference", *group.split("."))[1] for group in groups]
    user = sampler.client.call("res.users", "create", values | {"group_ids": [(4, number) for number in ids]})
    yield {"LOGIN": values["login"], "PASSWORD": values["password"]}
    sampler.client.call("res.users", "unlink", [user])


def test_own_site(run, sampler, administrator):
    """The requests and the samples of the same time are in the report."""

    def sample(_site, is_done):
        client = OdooClient(sampler.odoo.url, sampler.client.database)
        while not is_done.is_set():
            client.call("ir.cron", "method_direct_trigger", [sampler.cron])
            is_done.wait(1)

    key = sampler.client.new_key("admin")
    code, figures, output, page = run(sample, "20", "0.12", KEY=key, **administrator)
    assert code == 0 and figures["kind"] == "site" and figures["stopped"] is None and figures["not_removed"] == []
    result = figures["result"]
    assert result["failures"] == {} and result["requests"] > 30 and result["users"] == 20
    assert {"homepage", "list", "post", "chat delivery"} <= result["tasks"].keys()
    assert 0 < result["p50"] <= result["p95"] <= result["p99"] < 30
    assert (
        sum(task["requests"] for name, task in result["tasks"].items() if name != "chat delivery")
        == (result["requests"])
    )
    assert len(result["timeline"]) == 7 and result["timeline"][-1]["users"] == 20
    kinds = {row["kind"]: row for row in figures["samples"]}
    assert kinds.keys() == {"postgresql", "pgbouncer"} and kinds["postgresql"]["used"] > 0
    assert abs(figures["clock_offset"]) <= 1
    assert figures["samples"][-1]["at"] >= figures["ended_at"]
    assert "Minute by minute" in page and "Open the homepage" in page and "of 27" in page
    assert "0:02 left" in output and "requests/s" in output


def test_too_many_errors(run, sampler, administrator):
    """The database refuses connections in the middle of the load, and accepts them again after it has stopped."""
    execute, database = sampler.pair.postgresql.execute, sampler.client.database

    def refuse(site, _is_done):
        execute(f"ALTER DATABASE {database} CONNECTION LIMIT 0")
        execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
        try:
            wait_until(lambda: site.stopped, 30)
        finally:
            execute(f"ALTER DATABASE {database} CONNECTION LIMIT -1")

    code, figures, output, page = run(refuse, **administrator)
    assert code == 1 and figures["stopped"] == "errors" and figures["not_removed"] == []
    assert figures["samples"] is None and len(figures["result"]["timeline"]) < 30
    assert figures["result"]["failures"].keys() & {"no database", "redirect loop"}
    assert "More than 5 % of the requests fail: stopped" in output and "It was stopped" in page


def test_interrupted_without_login(run):
    """At Ctrl-C, there is a report of the time until then."""
    code, figures, _output, page = run(lambda *_site: os.kill(os.getpid(), signal.SIGINT))
    assert code == 130 and figures["stopped"] == "interrupted" and "It was interrupted" in page
    assert figures["result"]["tasks"].keys() <= {"homepage"} and 0 < len(figures["result"]["timeline"]) < 30


@pytest.fixture(scope="module")
def partner_manager(sampler):
    """Login and password of a user who may create contacts, and is no administrator."""
    values = {"name": "Partner Manager", "login": "partner-manager", "password": "manager-secret"}
    names = ["base.group_user", "base.group_partner_manager"]
    ids = [sampler.client.call("ir.model.data", "check_object_reference", *name.split("."))[1] for name in names]
    user = sampler.client.call("res.users", "create", values | {"group_ids": [(6, 0, ids)]})
    yield values["login"], values["password"]
    sampler.client.call("res.users", "unlink", [user])


def test_channels_of_a_login_that_is_no_administrator(sampler, partner_manager):
    """They are emptied and archived."""
    records = Records(sampler.client)
    scene = Scene(sampler.odoo.url, None, [partner_manager], 10)
    scene.prepare()
    channels = list(scene.channels)
    post = {"thread_model": "discuss.channel", "thread_id": channels[0], "post_data": {"body": "Hello"}}
    scene.clients[0].post("/mail/message/post", post)
    assert "archived, empty channels" in "".join(scene.remove())
    archived = [["id", "in", channels], ["active", "=", False]]
    assert sampler.client.call("discuss.channel", "search", archived) == channels
    messages = [["model", "=", "discuss.channel"], ["res_id", "in", channels]]
    assert not sampler.client.call("mail.message", "search_count", messages)
    sampler.client.call("discuss.channel", "unlink", channels)
    assert records.count() == records.before


def test_channels_that_cannot_be_created(sampler, partner_manager):
    """What was created before does not remain."""
    records, database = Records(sampler.client), sampler.client.database
    execute = sampler.pair.postgresql.execute
    execute("ALTER TABLE discuss_channel ADD CONSTRAINT refused CHECK (false) NOT VALID", dbname=database)
    try:
        with pytest.raises(ServerError):
            Scene(sampler.odoo.url, None, [partner_manager], 10).prepare()
    finally:
        execute("ALTER TABLE discuss_channel DROP CONSTRAINT refused", dbname=database)
    assert records.count() == records.before


def test_refused_before_the_start(sampler, administrator):
    """A wrong password or key, and a user who may not create contacts or read samples."""
    url, client = sampler.odoo.url, sampler.client
    values = {"name": "Employee", "login": "employee", "password": "employee-secret"}
    [group] = [client.call("ir.model.data", "check_object_reference", "base", "group_user")[1]]
    user = client.call("res.users", "create", values | {"group_ids": [(6, 0, [group])]})
    records = Records(client)
    try:
        for login, password, message in [
            (administrator["LOGIN"], "wrong", "refuses the login"),
            ("employee", "employee-secret", "Contact: Creation"),
        ]:
            with pytest.raises(ServerError, match=message) as raised:
                Scene(url, None, [(login, password)], 10).prepare()
            assert password not in str(raised.value).replace(login, "") or password == "wrong"
        key = OdooClient(url, client.database, "employee", "employee-secret").new_key("employee-secret")
        for wrong, message in [("wrong", "not a valid API key"), (key, "Viewer")]:
            options = read_options({"URL": url, "YES": "1", "KEY": wrong})
            with pytest.raises(ServerError, match=message):
                OwnSite(options).run()
        assert records.count() == records.before
    finally:
        client.call("res.users", "unlink", [user])
