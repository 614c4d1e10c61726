"""Alerts of a running Odoo, while real servers and a real mail server break."""

import contextlib
import re
import socket
import threading
import time
from contextlib import closing
from types import SimpleNamespace

import pytest

from rpc import OdooClient
from sampling import POSTGRESQL
from servers import LOCALHOST, free_port
from support import add_endpoint


@pytest.fixture
def incident(sampler):
    """Clients that wait, a rule for which this is critical at once, and no earlier alerts.
    A separate endpoint, so that its chatter is empty."""
    client = sampler.client
    [rule] = client.call("connection.rule", "search", [["rule", "=", "waiting_samples"], ["endpoint_id", "=", False]])
    old = client.call("connection.endpoint", "search", [["kind", "=", "pgbouncer"]])
    client.call("connection.endpoint", "write", old, {"active": False})
    endpoint = add_endpoint(client, sampler.pair, "Incident", sampler.pair.pgbouncer)
    client.call("connection.rule", "write", [rule], {"critical": 1, "warning": 1, "good_samples": 1})
    clients = [sampler.shop(sampler.pair.pgbouncer) for _number in range(3)]
    for shop in clients:
        shop.cursor().execute("SELECT 'a secret'")
    waiting = threading.Thread(target=wait_in_the_queue, args=[sampler])
    waiting.start()
    time.sleep(0.5)

    def end():
        for shop in clients:
            shop.close()
        waiting.join()

    yield SimpleNamespace(endpoint=endpoint, end=end)
    end()
    client.call("connection.rule", "write", [rule], {"critical": 5, "warning": 2, "good_samples": 3})
    client.call("connection.endpoint", "unlink", [endpoint])
    client.call("connection.endpoint", "write", old, {"active": True})


def wait_in_the_queue(sampler):
    with closing(sampler.shop(sampler.pair.pgbouncer, options="")) as shop:
        shop.cursor().execute("SELECT 1")


def subjects(sampler, endpoint):
    """Return the alerts in the chatter, the oldest first."""
    domain = [["model", "=", "connection.endpoint"], ["res_id", "=", endpoint], ["subject", "!=", False]]
    rows = sampler.client.call("mail.message", "search_read", domain, ["subject"], order="id")
    return [row["subject"].partition(":")[0] for row in rows]


def alerts(sampler, endpoint):
    fields = ["level", "closed_at", "evidence", "queries"]
    return sampler.client.call("connection.alert", "search_read", [["endpoint_id", "=", endpoint]], fields)


def activities(sampler, endpoint):
    domain = [["res_model", "=", "connection.endpoint"], ["res_id", "=", endpoint]]
    return sampler.client.call("mail.activity", "search_count", domain)


def test_incident(sampler, incident):
    sampler.run()
    [alert] = alerts(sampler, incident.endpoint)
    assert alert["level"] == "critical"
    assert "shop on shop" in alert["evidence"]
    assert "secret" not in alert["evidence"] and "a secret" in alert["queries"]
    assert subjects(sampler, incident.endpoint) == ["Critical"]
    assert activities(sampler, incident.endpoint) == 1

    # Odoo restarts during the incident: it continues and is not reported again.
    sampler.odoo.stop()
    sampler.odoo.start()
    sampler.run()
    assert [row["id"] for row in alerts(sampler, incident.endpoint)] == [alert["id"]]
    assert subjects(sampler, incident.endpoint) == ["Critical"]

    incident.end()
    for _number in range(2):  # at the first one, clients have waited since the last sample
        age(sampler, incident.endpoint)
        sampler.run()
    assert subjects(sampler, incident.endpoint) == ["Critical", "Resolved"]
    assert alerts(sampler, incident.endpoint)[0]["closed_at"]
    assert activities(sampler, incident.endpoint) == 0


def age(sampler, endpoint):
    """Make the last sample a minute older: the worse of two samples within a minute counts."""
    sampler.pair.postgresql.execute(
        "UPDATE connection_reading SET counters = jsonb_set(counters::jsonb, '{memory,judged_at}', "
        "to_jsonb((counters::jsonb->'memory'->>'judged_at')::float8 - 60), true)::text "
        f"WHERE endpoint_id = {endpoint}",
        dbname="samples",
    )


def test_several_at_once(sampler, incident):
    """Many sample, and then report, at the same moment: one alert, one message."""

    def sample():
        client = OdooClient(sampler.odoo.url, "samples")
        for model, method, record in (
            ("connection.endpoint", "action_sample", incident.endpoint),
            ("ir.cron", "method_direct_trigger", sampler.cron),
        ):
            barrier.wait()
            with contextlib.suppress(RuntimeError):  # another one runs it
                client.call(model, method, [record])

    barrier = threading.Barrier(8)
    threads = [threading.Thread(target=sample) for _number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sampler.run()
    assert len(alerts(sampler, incident.endpoint)) == 1
    assert subjects(sampler, incident.endpoint) == ["Critical"]


class MailServer:
    """Accepts mails over SMTP and stores them, or does not respond, or rejects them temporarily."""

    def __init__(self, port, is_silent=False, is_busy=False):
        self.mails = []
        self.is_silent = is_silent
        self.is_busy = is_busy
        self.closed = threading.Event()
        self.server = socket.create_server((LOCALHOST, port))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def close(self):
        """Close it and end its threads, which other tests count."""
        self.closed.set()
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.thread.join()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _address = self.server.accept()
                threading.Thread(target=self.talk, args=[peer], daemon=True).start()

    def talk(self, peer):
        if self.is_silent:
            self.closed.wait()
            return peer.close()
        with peer, peer.makefile("rwb", 0) as stream, contextlib.suppress(OSError):
            stream.write(b"220 ready\r\n")
            for line in stream:
                command = line[:4].upper()
                if command == b"DATA":
                    stream.write(b"354 go on\r\n")
                    self.mails.append(b"".join(iter(stream.readline, b".\r\n")).decode())
                if command == b"RCPT" and self.is_busy:
                    stream.write(b"451 try again later\r\n")
                else:
                    stream.write(b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n")


@pytest.fixture
def mail_server(sampler):
    """A function that starts a mail server. Its port is in Odoo's settings before that."""
    port, started = free_port(), []
    [admin] = sampler.client.call("res.users", "search", [["login", "=", "admin"]])
    sampler.client.call("res.users", "write", [admin], {"email": "admin@example.com"})
    values = {"name": "Test", "smtp_host": LOCALHOST, "smtp_port": port, "smtp_encryption": "none"}
    [record] = [sampler.client.call("ir.mail_server", "create", values)]

    def start(**options):
        started.append(MailServer(port, **options))
        return started[-1]

    yield start
    for server in started:
        server.close()
    sampler.client.call("ir.mail_server", "unlink", [record])


def send_mails(sampler):
    [queue] = sampler.client.call("ir.cron", "search", [["cron_name", "ilike", "Email Queue"]])
    sampler.client.call("ir.cron", "method_direct_trigger", [queue])


def mail_states(sampler, endpoint):
    domain = [["model", "=", "connection.endpoint"], ["res_id", "=", endpoint]]
    return [row["state"] for row in sampler.client.call("mail.mail", "search_read", domain, ["state"])]


@pytest.mark.parametrize("is_busy", [False, True], ids=["down", "busy"])
def test_mail_server_that_fails(sampler, incident, mail_server, is_busy):
    """The alert is in the chatter, and its mail is sent when the mail server is back."""
    server = mail_server(is_busy=True) if is_busy else None
    sampler.run()
    send_mails(sampler)
    assert subjects(sampler, incident.endpoint) == ["Critical"]
    assert mail_states(sampler, incident.endpoint) == ["exception"]
    server = server or mail_server()
    server.is_busy = False
    sampler.run()
    assert mail_states(sampler, incident.endpoint) == ["exception"], "it was tried just now"
    sampler.pair.postgresql.execute(
        "UPDATE mail_mail SET write_date = write_date - interval '11 minutes'", dbname="samples"
    )
    sampler.run()
    send_mails(sampler)
    [mail] = [mail for mail in server.mails if "Critical" in mail]
    assert "Critical: Waiting Clients" in mail
    assert "secret" not in mail
    assert subjects(sampler, incident.endpoint) == ["Critical"]


def test_mail_server_that_hangs(sampler, incident, mail_server):
    mail_server(is_silent=True)
    sampler.run()  # it must not take longer than usual
    assert subjects(sampler, incident.endpoint) == ["Critical"]
    assert mail_states(sampler, incident.endpoint) == ["outgoing"]


def test_postgresql_is_full(sampler):
    """It is reported while no connection is left."""
    client = sampler.client
    [rule] = client.call(
        "connection.rule", "search", [["rule", "=", "postgresql_pressure"], ["endpoint_id", "=", False]]
    )
    client.call("connection.rule", "write", [rule], {"samples": 1, "of_samples": 1})
    endpoint = sampler.record("connection_endpoint_postgresql")
    before = len(subjects(sampler, endpoint))
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(Exception):
            while True:
                stack.enter_context(closing(sampler.shop()))
        sample = sampler.run()[POSTGRESQL]
        assert sample["level"] == "critical"
        assert subjects(sampler, endpoint)[before:] == ["Critical"]
    client.call("connection.rule", "write", [rule], {"samples": 2, "of_samples": 3})
    for _number in range(4):
        age(sampler, endpoint)
        sampler.run()
    assert subjects(sampler, endpoint)[before:] == ["Critical", "Resolved"]


def test_log_has_no_failures(sampler):
    log = sampler.odoo.log.read_text()
    assert not re.findall(r"could not be posted|could not be read|could not serialize.*\n.*Traceback", log)
