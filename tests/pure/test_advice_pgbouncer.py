"""What the rules find about one PgBouncer, but its pool modes."""

from dataclasses import replace

import pytest
from addon.advice import pgbouncer
from addon.advice.findings import Unknown
from consoles import NEW, ODOO, check_fault, console, found, paste, pool, row, snapshot

CRON_UNLIMITED = replace(ODOO, limit_time_real_cron=0)

# Name -> console, Odoo, what is found: see `check_fault`.
FAULTS = {
    "endless queue": (
        console({"query_wait_timeout": "0"}),
        ODOO,
        {"endless_queue": ("warning", (), ["query_wait_timeout = 120"])},
    ),
    "endless queue, short requests": (
        console({"query_wait_timeout": "0"}),
        replace(ODOO, limit_time_real=60),
        {"endless_queue": ("warning", (), ["query_wait_timeout = 30"])},
    ),
    "long queue": (
        console({"query_wait_timeout": "120.5"}),
        ODOO,
        {"long_queue": ("warning", (), ["query_wait_timeout = 120"])},
    ),
    "default queue, very short requests": (
        console(),
        replace(ODOO, limit_time_real=1),
        {"long_queue": ("warning", (), ["query_wait_timeout = 1"])},
    ),
    "queries cut off": (
        console({"query_timeout": "100"}),
        ODOO,
        {"cut_off_query_timeout": ("warning", (), ["query_timeout = 120"])},
    ),
    "jobs cut off": (
        console(NEW | {"query_timeout": "150", "transaction_timeout": "150", "idle_transaction_timeout": "150"}),
        replace(ODOO, limit_time_real_cron=900),
        {
            "cut_off_query_timeout": ("warning", (), ["query_timeout = 900"]),
            "cut_off_transaction_timeout": ("warning", (), ["transaction_timeout = 900"]),
        },
    ),
    "unlimited jobs, and requests cut off": (
        console({"query_timeout": "100"}),
        CRON_UNLIMITED,
        {"cut_off_query_timeout_unlimited": ("warning", (), ["query_timeout = 0"])},
    ),
    "unlimited requests cut off": (
        console({"query_timeout": "100"}),
        replace(ODOO, limit_time_real=0),
        {"cut_off_query_timeout_unlimited": ("hint", (), ["query_timeout = 0"])},
    ),
    "unlimited jobs cut off": (
        console(NEW | {"query_timeout": "3600", "transaction_timeout": "3600", "idle_transaction_timeout": "3600"}),
        CRON_UNLIMITED,
        {
            "cut_off_query_timeout_unlimited": ("hint", (), ["query_timeout = 0"]),
            "cut_off_transaction_timeout_unlimited": ("hint", (), ["transaction_timeout = 0"]),
        },
    ),
    "idle transactions cut off": (
        console({"idle_transaction_timeout": "60"}),
        CRON_UNLIMITED,
        {"cut_off_idle_transaction_timeout": ("warning", (), ["idle_transaction_timeout = 120"])},
    ),
    "threads have limits": (
        console({"query_timeout": "100"}),
        replace(CRON_UNLIMITED, workers=0),
        {"cut_off_query_timeout": ("warning", (), ["query_timeout = 120"])},
    ),
    "idle clients": (
        console({"client_idle_timeout": "60"}),
        ODOO,
        {"idle_clients": ("warning", (), ["client_idle_timeout = 0"])},
    ),
    "idle clients, longer than a request": (
        console({"client_idle_timeout": "300"}),
        ODOO,
        {"idle_clients": ("hint", (), ["client_idle_timeout = 0"])},
    ),
    "idle clients, as long as a request": (
        console({"client_idle_timeout": "120"}),
        ODOO,
        {"idle_clients": ("hint", (), ["client_idle_timeout = 0"])},
    ),
    "idle clients, for a second": (
        console({"client_idle_timeout": "1"}),
        ODOO,
        {"idle_clients": ("warning", (), ["client_idle_timeout = 0"])},
    ),
    "used once": (
        console({"server_lifetime": "0"}),
        ODOO,
        {"servers_used_once": ("critical", (), ["server_lifetime = 3600"])},
    ),
    "short-lived": (
        console({"server_idle_timeout": "5", "server_lifetime": "9"}),
        ODOO,
        {"short_lived_servers": ("hint", (), ["server_lifetime = 3600", "server_idle_timeout = 600"])},
    ),
    "very short-lived": (
        console({"server_idle_timeout": "1"}),
        ODOO,
        {"short_lived_servers": ("hint", (), ["server_idle_timeout = 600"])},
    ),
    "no reset": (
        console({"server_reset_query": ""}),
        ODOO,
        {"leaking_sessions_empty": ("warning", ("postgres",), ["server_reset_query = DISCARD ALL"])},
    ),
    "half a reset": (
        console({"server_reset_query": "RESET ALL"}),
        ODOO,
        {"leaking_sessions": ("warning", ("postgres",), ["server_reset_query = DISCARD ALL"])},
    ),
    "reset and check each time": (
        console({"server_reset_query_always": "1", "server_check_delay": "0"}),
        ODOO,
        {
            "extra_query_reset": ("hint", (), ["server_reset_query_always = 0"]),
            "extra_query_check": ("hint", (), ["server_check_delay = 30"]),
        },
    ),
    "reset each time": (
        console({"server_reset_query_always": "1"}),
        ODOO,
        {"extra_query_reset": ("hint", (), ["server_reset_query_always = 0"])},
    ),
    "check each time": (
        console({"server_check_delay": "0"}),
        ODOO,
        {"extra_query_check": ("hint", (), ["server_check_delay = 30"])},
    ),
    "small packets": (
        console({"max_packet_size": str(128 * 2**20 - 1)}),
        ODOO,
        {"small_packets": ("warning", (), ["max_packet_size = 2147483647"])},
    ),
    "no keepalive to a client": (
        console({"tcp_keepalive": "0"}, clients=[{"database": "shop", "addr": "192.0.2.1"}]),
        ODOO,
        {"keepalive_off": ("warning", (), ["tcp_keepalive = 1"])},
    ),
    "no keepalive to a server": (
        console({"tcp_keepalive": "0"}, databases=[*console().databases, row("other", host="db.example.com")]),
        ODOO,
        {"keepalive_off": ("warning", (), ["tcp_keepalive = 1"])},
    ),
    "disabled": (
        console(databases=[row("postgres", pool_mode="session"), row("shop", disabled=1)]),
        ODOO,
        {"disabled_databases": ("critical", ("shop",), ['ENABLE "shop";'])},
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_its_remedy_ends_it(name):
    check_fault(*FAULTS[name])


NOW = "2026-11-30 12:00:05 UTC"
FORGOTTEN = {
    "consoles": [{"connect_time": "2026-11-30 11:00:00 UTC"}, {"connect_time": NOW}],
    "clients": [
        {"database": "blog", "addr": "unix", "connect_time": "2026-11-30 12:00:04 UTC"},
        {"database": "wiki", "addr": "unix", "connect_time": "2026-11-30 12:00:04.123 UTC"},
        {"database": "shop", "addr": "unix", "connect_time": "2026-11-30 12:00:04 UTC"},
        {"database": "new", "addr": "unix", "connect_time": NOW},
    ],
    "pools": [pool("blog", mode=None), pool("wiki", mode=None), pool("shop")],
    "servers": [
        {"database": "blog", "addr": "10.0.0.7", "port": 5433},
        {"database": "wiki", "addr": "unix", "port": 5433},
        {"database": "shop", "addr": "10.0.0.7", "port": 5433},
    ],
}


def test_a_database_that_is_forgotten():
    """A line needs an address: that of a server, not of a unix socket. What connected since is no sign."""
    one = console(**FORGOTTEN)
    finding = found(one)[0]["forgotten_databases"]
    assert (finding.level, finding.databases, finding.evidence) == (
        *("warning", ("blog", "wiki")),
        {"autodb_idle_timeout": 3600},
    )
    [step] = finding.steps
    assert step.lines == ("blog = host=10.0.0.7 port=5433 pool_mode=transaction",)
    assert found(paste(one, finding))[0]["forgotten_databases"].databases == ("wiki",)


def test_several_hosts():
    """Which one is the primary is unknown: there are no lines."""
    hosts = [row("postgres", pool_mode="session"), row("shop", host="a,b", load_balance_hosts="round-robin")]
    finding = found(console(databases=hosts))[0]["several_hosts"]
    assert (finding.level, finding.databases, finding.evidence, finding.steps) == (
        *("warning", ("shop",)),
        *({"hosts": ["a,b"]}, ()),
    )
    one = console(databases=[row("shop"), row("postgres", host="a,b")], version=(1, 17, 0))
    assert "several_hosts" in found(one)[0]


def test_idle_clients_of_requests_without_a_limit():
    one = console({"client_idle_timeout": "300"})
    for limit, level in ((0, "warning"), (120, "hint")):
        findings, _gaps = found(one, odoo=replace(ODOO, limit_time_real=limit))
        assert findings["idle_clients"].level == level


def test_databases_with_a_lifetime_of_their_own():
    for lifetime, is_found in ((60, False), (0, True)):
        rows = [row("postgres", pool_mode="session", server_lifetime=60), row("shop", server_lifetime=lifetime)]
        findings, _gaps = found(console({"server_lifetime": "0"}, databases=rows))
        assert ("servers_used_once" in findings) == is_found


def test_figures_of_odoo():
    """They are shown, but their changes are no news."""
    odoo = replace(ODOO, limit_time_real=100, limit_time_real_cron=200)
    settings = {"query_timeout": "150", "query_wait_timeout": "150", "client_idle_timeout": "150"}
    figures = {code: finding.figures for code, finding in found(console(settings), odoo=odoo)[0].items()}
    assert figures == {
        "cut_off_query_timeout": {"limit": 200},
        "long_queue": {"limit_time_real": 100},
        "idle_clients": {"lifetime": 600},
    }


# What is no fault: console, Odoo.
ORDINARY = {
    "transaction mode": (console(), ODOO),
    "the newest version": (console(NEW), ODOO),
    "not Odoo's": (
        console(
            {"pool_mode": "statement", "query_wait_timeout": "500", "query_timeout": "5", "client_idle_timeout": "5"}
            | {"server_reset_query_always": "1", "max_packet_size": "9", "server_lifetime": "0"},
            databases=[row("postgres", disabled=1), row("x", disabled=1, host="a,b", server_lifetime=0)],
            pools=[pool("x", user="x"), pool("y")],
            of_odoo=False,
        ),
        ODOO,
    ),
    "not Odoo's, an endless queue and leaking sessions": (
        console(
            {"query_wait_timeout": "0", "server_reset_query": ""},
            pools=[pool("x", user="x", mode="session")],
            of_odoo=False,
        ),
        ODOO,
    ),
    "no workers to kill": (console({"query_wait_timeout": "600"}), replace(ODOO, workers=0)),
    "requests without a limit": (console({"query_wait_timeout": "600"}), replace(ODOO, limit_time_real=0)),
    "limits like Odoo's": (
        console(NEW | {"query_timeout": "120", "transaction_timeout": "120", "idle_transaction_timeout": "120"}),
        replace(ODOO, max_cron_threads=0, limit_time_real_cron=900),
    ),
    "idle longer than a request, with jobs without a limit": (
        console({"idle_transaction_timeout": "600"}),
        CRON_UNLIMITED,
    ),
    "idle, without any limit": (
        console({"idle_transaction_timeout": "60"}),
        replace(ODOO, workers=0, limit_time_real=0),
    ),
    "Odoo's own idle timeout": (console({"client_idle_timeout": "600"}), ODOO),
    "servers that live long enough": (console({"server_idle_timeout": "10", "server_lifetime": "10"}), ODOO),
    "packets as long as an upload": (console({"max_packet_size": str(128 * 2**20)}), ODOO),
    "servers without a limit of idleness": (console({"server_idle_timeout": "0"}), ODOO),
    "no reset in transaction mode": (
        console({"server_reset_query": "", "server_reset_query_always": "1"}, pools=[pool("shop")]),
        ODOO,
    ),
    "a reset of its own": (console({"server_reset_query": "reset all; unlisten *"}), ODOO),
    "another program's servers are used once": (
        console(databases=[*console().databases, row("x", server_lifetime=0)], here=frozenset(["shop", "x"])),
        ODOO,
    ),
    "only another program's servers are used once": (
        console(
            {"server_lifetime": "0"},
            databases=[
                row("postgres", pool_mode="session", server_lifetime=3600),
                row("shop", server_lifetime=3600),
                row("x", server_lifetime=0),
            ],
        ),
        ODOO,
    ),
    "no check": (console({"server_check_query": "", "server_check_delay": "0"}), ODOO),
    "a reset in session mode": (
        console({"server_reset_query_always": "1"}, pools=[pool("postgres", mode="session")]),
        ODOO,
    ),
    "no keepalive on one host": (console({"tcp_keepalive": "0"}), ODOO),
    "hosts after a failure": (
        console(
            databases=[row("postgres", pool_mode="session"), row("shop", host="a,b", load_balance_hosts="disable")]
        ),
        ODOO,
    ),
    "nothing is forgotten": (
        console({"autodb_idle_timeout": "0"}, **FORGOTTEN),
        ODOO,
    ),
    "one host with a comma": (
        console(databases=[row("postgres", pool_mode="session"), row("shop", host="a,b")], version=(1, 16, 1)),
        ODOO,
    ),
    "others are disabled": (console(databases=[*console().databases, row("old", disabled=1)]), ODOO),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_no_fault(name):
    one, odoo = ORDINARY[name]
    assert found(one, odoo=odoo) == ({}, [])


SOMETHING = {
    "query_wait_timeout": "500",
    "query_timeout": "5",
    "client_idle_timeout": "5",
    "server_lifetime": "0",
    "server_idle_timeout": "5",
    "server_check_delay": "0",
    "max_packet_size": "9",
}
# Rules that read no setting.
WITHOUT_SETTING = ("postgres_missing", "several_hosts", "disabled_databases")
OF_ODOO = {"long_queue", "cut_off", "idle_clients", "servers_used_once", "short_lived_servers", "extra_query"}
OF_ODOO |= {"small_packets", "postgres_missing", "pool_mode_postgres", "disabled_databases"}


def test_a_pooler_that_may_be_odoos():
    """What is a fault only for Odoo is unknown."""
    one = console(SOMETHING, of_odoo=None, here=frozenset())
    findings, gaps = found(one)
    assert not findings
    assert {gap.rule: gap.needs for gap in gaps} == dict.fromkeys(OF_ODOO, "processes")


def test_an_endless_queue_and_leaking_sessions_of_a_pooler_that_may_be_odoos():
    settings = {"query_wait_timeout": "0", "server_reset_query": ""}
    findings, gaps = found(console(settings, of_odoo=None, here=frozenset()))
    assert not findings
    assert {"endless_queue", "leaking_sessions"} <= {gap.rule for gap in gaps if gap.needs == "processes"}


def test_pools_of_odoo_show_that_it_is_odoos():
    findings, _gaps = found(console({"query_wait_timeout": "0"}, of_odoo=None))
    assert "endless_queue" in findings


def test_without_a_fault_it_does_not_matter_whose_pooler_it_is():
    findings, gaps = found(console(of_odoo=None, here=frozenset()))
    assert not findings
    assert {gap.rule for gap in gaps} == {"postgres_missing", "pool_mode_postgres", "disabled_databases"}


def test_a_setting_in_another_form():
    gaps = found(console({"query_wait_timeout": "2min"}))[1]
    assert {(gap.rule, gap.needs) for gap in gaps} == {("endless_queue", "setting"), ("long_queue", "setting")}


def test_without_odoos_role():
    gaps = found(console(), role="")[1]
    assert {gap.rule: gap.needs for gap in gaps} == dict.fromkeys(
        ("pool_mode_statement", "pool_mode_session"), "postgresql"
    )


@pytest.mark.parametrize("rule", [rule for rule in pgbouncer.CONSOLE_RULES if rule.__name__ not in WITHOUT_SETTING])
def test_a_setting_that_is_not_reported(rule):
    """No rule is silent then."""
    one = replace(console(), settings={})
    with pytest.raises(Unknown) as raised:
        list(rule(one, snapshot(one)))
    assert raised.value.needs == "setting"
