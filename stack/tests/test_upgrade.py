"""An upgrade from the last version before 19.0.2.0.0: data, settings and rights are as they were."""

import html
import io
import json
import re
import shutil
import subprocess
import tarfile
import time
from contextlib import closing
from types import SimpleNamespace

import psycopg2
import pytest
from psycopg2.extras import Json

from rpc import OdooClient
from servers import CHECKOUT, LOCALHOST, MODULE, PgBouncer, free_port
from support import add_endpoint, direct_odoo

pytestmark = pytest.mark.timeout(480)  # the first test waits for an installation, too
# The last commit of 19.0.1.1.0.
BEFORE = "350f55d7dda31355c04b7a58a8371c892f64eda0"
DATABASE = "upgrade"
USERS = {"viewer": "group_viewer", "manager": "group_manager", "nobody": None}
# The fields that exports, filters and RPC clients use, and what a user reads on the screens.
FIELDS = {
    "connection.endpoint": [
        *("name", "kind", "host", "port", "user", "sslmode", "active", "has_password", "responsible_id", "level"),
        *("sampled_at", "last_seen", "last_error", "pressure", "pool_pressure", "used", "capacity", "waiting"),
        *("maxwait", "message_partner_ids", "message_ids", "activity_ids"),
    ],
    "connection.rule": ["rule", "endpoint_id", "is_on", "warning", "critical", "samples", "of_samples", "good_samples"],
    "connection.sample": [
        *("endpoint_id", "database", "user", "sampled_at", "period", "sample_count", "interval", "level", "reason"),
        *("capacity", "used", "used_max", "waiting", "waiting_max", "maxwait", "pressure", "pressure_max"),
        *("pool_pressure", "waiting_mean", "wait_time", "xact_count", "sent", "is_paused", "hidden_backends"),
    ],
    "connection.alert": [
        *("endpoint_id", "endpoint_name", "rule", "database", "user", "level", "opened_at", "closed_at", "ending"),
        *("duration", "worst_value", "worst_at", "last_bad_at", "bottleneck", "situation"),
        *("acknowledged_by", "acknowledged_at"),
    ],
    "connection.check": ["listener", "verdict", "level", "summary", "checked_at", "host", "is_live", "delay"],
    "mail.message": ["model", "res_id", "subtype_id", "author_id", "body"],
    "mail.followers": ["res_model", "res_id", "partner_id", "subtype_ids"],
}
SETTINGS = {
    "is_sampling": True,
    "sample_minutes": 7,
    "minute_days": 3,
    "sample_days": False,  # emptied: nothing is deleted
    "is_checking": False,
    "check_hours": 48,
    "reminder_hours": 2.5,
}
# The rules that the upgrade adds, and their thresholds.
NEW_RULES = {"critical_advice": (False, 1), "refused_requests": (1, 10)}
# What others refer to by external id, or by address.
REFERRED_TO = ("res.groups", "res.groups.privilege", "ir.cron", "connection.endpoint", "connection.rule")
REFERRED_TO += ("mail.message.subtype", "mail.activity.type")

REASON = "Longest Wait: 6.500 s (critical from 5.000 s)"
STEPS = [
    {
        "name": "configuration",
        "title": "Configuration",
        "done": "Read where Odoo's settings lead its listeners: to the database postgres.",
        "seen": "Odoo connects to postgres at 127.0.0.1:6432 as odoo.",
        "means": "These are settings only. What they do is proven below.",
        "level": "ok",
    },
    {
        "name": "slots",
        "title": "Will it stay so?",
        "done": "Compared the size of the pool of postgres with what listens there.",
        "seen": "3 of 20 servers are needed.",
        "means": "There is room.",
        "level": "ok",
    },
]
WAYS = [
    {
        "title": "In pgbouncer.ini, under [databases]. If there is a line for postgres, add what is missing in it:",
        "lines": "postgres = host=10.0.0.5 port=5432 pool_mode=session pool_size=9",
        "then": "Then run RELOAD in PgBouncer's console, and restart Odoo.",
    },
    {"title": "Restart Odoo: its listeners then connect anew."},
]
EVIDENCE = (
    "<p>1 of 4 sessions at 2026-11-01 10:00:00 UTC:</p><ul><li>PID 4711: shop on shop, no application name, "
    "client 10.0.0.7:50112: idle in transaction, transaction open for 5 min. It blocks others.</li></ul>"
)
QUERIES = "<p>PID 4711</p><pre>UPDATE stock SET quantity = 1 WHERE product &lt; 2</pre>"
SITUATION = "2026-11-01 10:00:00 UTC: 20 of 20 servers are in use. 40 clients wait, longest wait 6.5 s."


def unpack(commit, folder):
    """Put the files of a commit into a folder; skip the test if this clone does not have it."""
    git = ["git", "-C", CHECKOUT]
    if subprocess.run([*git, "cat-file", "-e", f"{commit}^{{commit}}"], capture_output=True, check=False).returncode:
        pytest.skip(f"this clone lacks commit {commit[:9]}: run git fetch --unshallow")
    archive = subprocess.run([*git, "archive", commit], capture_output=True, check=True).stdout
    shutil.rmtree(folder)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")


def sign_in(odoo, *login):
    return OdooClient(f"http://{LOCALHOST}:{odoo.port}", DATABASE, *login)


def record_id(client, name):
    domain = [["module", "=", MODULE], ["name", "=", name]]
    [row] = client.call("ir.model.data", "search_read", domain, ["res_id"])
    return row["res_id"]


def snapshot(client):
    """Return model -> its rows as a text, in which 0, False and empty differ; archived records included."""
    rows = {}
    for model, names in FIELDS.items():
        domain = {
            "connection.rule": [["rule", "not in", list(NEW_RULES)]],
            "mail.message": [["model", "=", "connection.endpoint"]],
            "mail.followers": [["res_model", "=", "connection.endpoint"]],
        }.get(model, [])
        rows[model] = client.call(
            model, "search_read", domain, names, order="id", context={"active_test": False, "tz": "UTC"}
        )
    wanted = [*SETTINGS, "alert_channel_id"]
    found = client.call("res.config.settings", "default_get", wanted)  # it returns others, too
    settings = {name: found[name] for name in wanted}
    domain = [["module", "=", MODULE], ["model", "in", REFERRED_TO]]
    names = client.call("ir.model.data", "search_read", domain, ["name", "model", "res_id"], order="name")
    actions = client.call("ir.actions.actions", "search_read", [["path", "!=", False]], ["path"], order="path")
    rows |= {"settings": settings, "external ids": names, "addresses": [action["path"] for action in actions]}
    return {name: json.dumps(values, indent=1) for name, values in rows.items()}


def make_data(client, pair):
    """Make what users make: users, endpoints, rules, settings and a follower. Return name -> id of endpoints."""
    for login, group in USERS.items():
        groups = [record_id(client, group)] if group else []
        client.call("res.users", "create", {"name": login, "login": login, "password": login * 2, "group_ids": groups})
    watched = add_endpoint(client, pair, "Watched", pair.pgbouncer, sslmode="disable")
    gone = add_endpoint(client, pair, "Gone", free_port())
    add_endpoint(client, pair, "Archived", free_port(), active=False)
    [viewer] = client.call("res.users", "search_read", [["login", "=", "viewer"]], ["partner_id"])
    subtype = record_id(client, "mt_alert")
    client.call("connection.endpoint", "message_subscribe", [gone], [viewer["partner_id"][0]], [subtype])
    rules = client.call("connection.rule", "search_read", [], ["rule"])
    rules = {rule["rule"]: rule["id"] for rule in rules}
    client.call("connection.rule", "write", [rules["postgresql_pressure"]], {"warning": 61.5, "critical": False})
    client.call("connection.rule", "write", [rules["xact_age"]], {"is_on": False})
    client.call("connection.rule", "write", [rules["unanswered_samples"]], {"critical": 1})  # one sample opens an alert
    own = {"rule": "pgbouncer_pressure", "endpoint_id": watched, "warning": 0, "samples": 1, "of_samples": 4}
    client.call("connection.rule", "create", own)
    channel = client.call("discuss.channel", "create", {"name": "Database alerts"})
    settings = client.call("res.config.settings", "create", SETTINGS | {"alert_channel_id": channel})
    client.call("res.config.settings", "execute", [settings])
    return {"Watched": watched, "Gone": gone}


def insert(cursor, table, **values):
    names = ", ".join(f'"{name}"' for name in values)
    cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(values))})", list(values.values()))


def insert_checks(cursor):
    bus = "The bus: deaf. LISTEN is lost on the way. Chat and notifications are not live."
    cron = "The cron workers listen on PostgreSQL itself: a triggered job waits no longer than 12 ms."
    for listener, verdict, level, summary in (("bus", "deaf", "critical", bus), ("cron", "direct", "ok", cron)):
        insert(
            cursor,
            "connection_check",
            listener=listener,
            verdict=verdict,
            level=level,
            summary=summary,
            checked_at=time.strftime("%F %T", time.gmtime()),
            host="shop-1",
            is_live="no" if listener == "bus" else None,
            delay=None if listener == "bus" else 0.012,
            steps=Json(STEPS),
            ways=Json(WAYS if listener == "bus" else []),
        )


def insert_past(cursor, endpoint):
    """Insert the sample of an hour and a resolved alert, and fill the texts of both alerts."""
    insert_hour(cursor, endpoint)
    insert_resolved_alert(cursor, endpoint)
    cursor.execute(
        "UPDATE connection_alert SET situation = %s, evidence = %s, queries = %s WHERE endpoint_id = %s",
        (SITUATION, EVIDENCE, QUERIES, endpoint),
    )


def insert_hour(cursor, endpoint):
    insert(
        cursor,
        "connection_sample",
        endpoint_id=endpoint,
        database="shop",
        user="shop",
        sampled_at="2026-10-01 10:00:00",
        period="hour",
        sample_count=55,
        interval=3540,
        level="critical",
        reason=REASON,
        capacity=20,
        used=12.5,
        used_max=20,
        waiting=0,
        maxwait=6.5,
        xact_count=12345678901,
    )


def insert_resolved_alert(cursor, endpoint):
    insert(
        cursor,
        "connection_alert",
        endpoint_id=endpoint,
        endpoint_name="Watched",
        rule="maxwait",
        database="shop",
        user="shop",
        level="critical",
        bottleneck="pool_size",
        told_at="2026-11-01 10:06:00",
        told_level="ok",
        opened_at="2026-11-01 10:00:00",
        worst_at="2026-11-01 10:02:00",
        worst_value=6.5,
        last_bad_at="2026-11-01 10:03:00",
        closed_at="2026-11-01 10:06:00",
        ending="well",
        duration=360,
    )


def connect(pair):
    """Connect a client to the PgBouncer: its rule wants one."""
    return psycopg2.connect(
        host=LOCALHOST, port=pair.pgbouncer.port, dbname="shop", user="shop", password=pair.passwords["shop"]
    )


@pytest.fixture(scope="module")
def upgraded(pair):
    """Return what runs after the upgrade, ``odoo`` and a ``client`` of it; the snapshots ``before`` and ``after``; and
    the ids of the ``endpoints``."""
    old = direct_odoo(pair, "upgrade-before", db_name=DATABASE)
    unpack(BEFORE, old.folder / "addons" / MODULE)
    new = direct_odoo(pair, "upgrade-after", db_name=DATABASE, data_dir=old.data)
    try:
        old.install(DATABASE)
        old.start()
        client = sign_in(old)
        endpoints = make_data(client, pair)
        with closing(pair.postgresql.connect(DATABASE)) as connection, connection.cursor() as cursor:
            insert_checks(cursor)
            with closing(connect(pair)):
                client.call("ir.cron", "method_direct_trigger", [record_id(client, "ir_cron_sample")])
            insert_past(cursor, endpoints["Watched"])
        before = snapshot(client)
        old.stop()
        new.install(DATABASE, "-u")
        new.start()
        client = sign_in(new)
        yield SimpleNamespace(odoo=new, client=client, before=before, after=snapshot(client), endpoints=endpoints)
    finally:
        old.stop()
        new.stop()
        pair.postgresql.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")


def test_no_warning(upgraded):
    assert upgraded.odoo.warnings() == []


def test_the_data_before_are_what_is_tested(upgraded):
    """Otherwise the tests below would compare nothing with nothing."""
    alerts = json.loads(upgraded.before["connection.alert"])
    assert {alert["rule"] for alert in alerts if not alert["closed_at"]} == {
        *("pgbouncer_pressure", "unanswered_samples", "deaf_bus_samples")
    }
    gone = next(row for row in json.loads(upgraded.before["connection.endpoint"]) if row["name"] == "Gone")
    assert gone["level"] == "unknown" and "Nobody listens" in gone["last_error"]
    reasons = {row["reason"] for row in json.loads(upgraded.before["connection.sample"])}
    assert {REASON, gone["last_error"], False} <= reasons
    assert len([row for row in json.loads(upgraded.before["mail.message"]) if "alert" in row["body"].lower()]) >= 2


@pytest.mark.parametrize("name", [*FIELDS, "settings"])
def test_as_it_was(upgraded, name):
    assert upgraded.after[name] == upgraded.before[name]


def test_rules_are_added(upgraded):
    domain, names = [["rule", "in", list(NEW_RULES)]], ["rule", "warning", "critical", "is_on"]
    rows = upgraded.client.call("connection.rule", "search_read", domain, names)
    assert {row["rule"]: (row["warning"], row["critical"]) for row in rows} == NEW_RULES
    assert all(row["is_on"] for row in rows)


@pytest.mark.parametrize("name", ["external ids", "addresses"])
def test_what_others_refer_to_is_there(upgraded, name):
    before, after = (json.loads(rows[name]) for rows in (upgraded.before, upgraded.after))
    assert [entry for entry in before if entry not in after] == []


def words(markup):
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", markup)).split())


def test_texts_of_alerts(upgraded):
    domain = [["endpoint_id", "=", upgraded.endpoints["Watched"]]]
    rows = upgraded.client.call("connection.alert", "search_read", domain, ["evidence", "queries", "advice"])
    assert len(rows) == 2
    for row in rows:
        assert words(EVIDENCE) in words(row["evidence"])
        assert words(QUERIES) in words(row["queries"])
        assert row["advice"]


def test_texts_of_checks(upgraded):
    bus, cron = upgraded.client.call("connection.check", "search_read", [], ["evidence", "remedy"], order="id")
    texts = [step[key] for step in STEPS for key in ("done", "seen", "means")]
    for row in (bus, cron):
        assert [text for text in texts if text not in row["evidence"]] == []
    assert [text for way in WAYS for text in way.values() if text not in bus["remedy"]] == []
    assert not cron["remedy"]
    last = upgraded.client.call("connection.check", "last")
    assert [row["listener"] for row in last] == ["bus", "cron"]


def test_rights(upgraded):
    viewer, manager, nobody = (sign_in(upgraded.odoo, login, login * 2) for login in USERS)

    def is_denied(client, model, method, *args):
        try:
            client.call(model, method, *args)
        except RuntimeError as error:
            assert "AccessError" in str(error)
            return True
        return False

    assert viewer.call("connection.alert", "search_count", []) == 4
    assert is_denied(viewer, "connection.alert", "search_read", [], ["queries"])
    assert is_denied(viewer, "connection.endpoint", "write", upgraded.endpoints["Gone"], {"port": 1})
    assert words(QUERIES) in words(
        manager.call("connection.alert", "search_read", [["rule", "=", "maxwait"]], ["queries"])[0]["queries"]
    )
    assert is_denied(manager, "connection.endpoint", "unlink", [upgraded.endpoints["Gone"]])
    for model in FIELDS:
        if model.startswith("connection."):
            assert is_denied(nobody, model, "search_read", [], ["id"]), model
    for client in (manager, upgraded.client):
        assert is_denied(client, "connection.endpoint", "read", [upgraded.endpoints["Watched"]], ["stored_password"])


def test_sampling_goes_on(upgraded, pair):
    """By the stored password and the counters of before; no alert that lasts is reported again."""
    client, watched = upgraded.client, upgraded.endpoints["Watched"]
    count = client.call("connection.sample", "search_count", [])
    with closing(connect(pair)):
        client.call("ir.cron", "method_direct_trigger", [record_id(client, "ir_cron_sample")])
    assert client.call("connection.sample", "search_count", []) > count
    domain = [["endpoint_id", "=", watched], ["database", "=", False]]
    names = ["level", "interval", "reason", "xact_count", "xact_time", "xact_mean"]
    [sample] = client.call("connection.sample", "search_read", domain, names, limit=1)
    assert sample["level"] == "warning" and sample["reason"]
    assert sample["interval"] and sample["xact_count"] is not False
    assert (sample["xact_time"], sample["xact_mean"]) == (False, False), "a counter that was not read before"
    client.call("ir.cron", "method_direct_trigger", [record_id(client, "ir_cron_sample")])
    [sample] = client.call("connection.sample", "search_read", domain, names, limit=1)
    assert sample["xact_time"] is not False
    again = {name: json.loads(text) for name, text in snapshot(client).items()}
    before = {name: json.loads(text) for name, text in upgraded.before.items()}
    assert [message for message in again["mail.message"] if message not in before["mail.message"]] == []
    assert [alert["id"] for alert in again["connection.alert"] if not alert["closed_at"]] == [
        alert["id"] for alert in before["connection.alert"] if not alert["closed_at"]
    ]
    assert pair.passwords[PgBouncer.stats] not in upgraded.odoo.log.read_text()
