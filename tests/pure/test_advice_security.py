"""The rules about who can connect to PgBouncer, and how."""

from dataclasses import replace

import pytest
from addon.advice import judge, security
from addon.advice.addresses import is_local
from addon.advice.findings import Step
from addon.advice.snapshot import Console, Odoo, PostgreSQL, Snapshot, Watch
from addon.advice.vulnerabilities import vulnerabilities
from addon.planner import configuration, sizing
from addon.planner.inputs import AUTH, Inputs
from addon.planner.statements import AUTH_USER

PUBLIC, PRIVATE = "8.8.8.8", "10.0.0.9"
# What SHOW CONFIG of a PgBouncer 1.26.1 reports for a configuration without faults.
SETTINGS = {
    "admin_users": "root",
    "auth_type": "scram-sha-256",
    "auth_user": None,
    "client_tls_protocols": "secure",
    "client_tls_sslmode": "disable",
    "ignore_startup_parameters": "extra_float_digits",
    "listen_addr": "127.0.0.1",
    "max_packet_size": "2147483647",
    "server_tls_protocols": "secure",
    "server_tls_sslmode": "prefer",
    "stats_users": "monitor",
    "track_extra_parameters": "IntervalStyle",
}
RELOADABLE = frozenset(SETTINGS) - {"listen_addr"}
OWN = {"addr": "127.0.0.1", "tls": ""}


def judged(settings=(), login="odoo", **facts):
    """Return the findings and gaps of these rules about a PgBouncer without faults, with some facts changed."""
    facts = {"version": (1, 26, 1), "user": "monitor", "here": frozenset({"prod"}), "consoles": [OWN]} | facts
    console = Console(1, "Pool", settings=SETTINGS | dict(settings), reloadable=RELOADABLE, **facts)
    snapshot = Snapshot({1: console}, PostgreSQL(role="forced"), Odoo(user=login), Watch())
    rules = {rule.__name__ for rule in security.CONSOLE_RULES}
    found, gaps = judge.judge(snapshot)
    found = [finding for finding in found if finding.code.startswith(tuple(rules))]
    return found, {(gap.rule, gap.needs) for gap in gaps if gap.rule in rules}


def levels(*arguments, **facts):
    """Return code -> level of what is found."""
    return {finding.code: finding.level for finding in judged(*arguments, **facts)[0]}


def the_finding(*arguments, **facts):
    [finding] = judged(*arguments, **facts)[0]
    return finding


def test_an_ordinary_configuration_has_no_finding():
    assert judged() == ([], set())


@pytest.mark.parametrize("version", [(1, minor, 0) for minor in range(15, 27)])
@pytest.mark.parametrize("auth", AUTH)
@pytest.mark.parametrize("host", ["127.0.0.1", "/var/run/postgresql", "10.0.0.5"])
def test_the_files_of_the_planner_have_no_finding(version, auth, host):
    """Except that the version itself may have vulnerabilities, which no file can change."""
    inputs = Inputs(version=version[1], auth=auth, pgbouncer_host=host, db_host="10.0.0.6")
    planned = configuration.settings(inputs, sizing.propose(inputs))
    # An address that is not set is an empty text; before 1.20, servers have no TLS by default.
    tls = "prefer" if version >= (1, 20, 0) else "disable"
    defaults = {"admin_users": "", "listen_addr": "", "ignore_startup_parameters": "", "server_tls_sslmode": tls}
    addr = "unix" if host.startswith("/") else "127.0.0.1" if is_local(host) else PRIVATE
    found, gaps = judged(
        defaults | planned,
        version=version,
        host=host,
        consoles=[{"addr": addr, "tls": ""}],
        servers=[{"addr": "10.0.0.6", "tls": "", "database": "prod"}],
    )
    assert {finding.code for finding in found} <= {"vulnerable_version"}, "the auth_query checks VALID UNTIL"
    assert not gaps


@pytest.mark.parametrize(
    "version, settings, expected",
    [
        ((1, 26, 1), {}, ""),
        ((1, 27, 0), {}, ""),
        ((1, 26, 0), {}, "107349 107350"),
        ((1, 26, 0), {"ignore_startup_parameters": ""}, "107350"),
        ((1, 26, 0), {"ignore_startup_parameters": "options"}, "107350"),
        ((1, 26, 0), {"auth_type": "plain", "ignore_startup_parameters": None}, ""),
        ((1, 26, 0), {"auth_type": "plain", "max_packet_size": "2147483649"}, "107348 107349"),
        ((1, 26, 0), {"auth_type": "plain", "max_packet_size": None}, "107349"),
        ((1, 20, 9), {"auth_type": "any", "max_packet_size": "2147483649"}, "6664 6665 6666 6668 6669 19888 107349"),
    ],
)
def test_vulnerabilities_of_2026(version, settings, expected):
    found = {known.cve.rpartition("-")[2] for known in vulnerabilities(version, SETTINGS | settings)}
    assert found == set(expected.split())


@pytest.mark.parametrize(
    "cve, last, first, settings",
    [
        ("CVE-2021-3935", (1, 16, 0), (1, 16, 1), {"auth_type": "cert"}),
        ("CVE-2025-2291", (1, 24, 0), (1, 24, 1), {"auth_user": "lookup"}),
        ("CVE-2025-12819", (1, 25, 0), (1, 25, 1), {"auth_user": "lookup", "track_extra_parameters": "a, search_path"}),
        ("CVE-2026-6667", (1, 25, 1), (1, 25, 2), {}),
        ("CVE-2026-6668", (1, 25, 2), (1, 26, 0), {}),
    ],
)
def test_a_vulnerability_ends_with_the_version_that_fixes_it(cve, last, first, settings):
    def names(version, settings):
        return {known.cve for known in vulnerabilities(version, SETTINGS | settings)}

    assert cve in names(last, settings) - names(first, settings)
    assert (cve in names(last, {})) == (not settings), "its conditions count"


def test_kill_client_does_not_exist_before_1_24():
    assert "CVE-2026-6667" not in {known.cve for known in vulnerabilities((1, 23, 1), SETTINGS)}


def test_the_auth_query_of_the_planner_checks_expiry():
    names = {known.cve for known in vulnerabilities((1, 18, 0), SETTINGS | {"auth_user": AUTH_USER})}
    assert "CVE-2025-2291" not in names


def test_a_vulnerable_version_names_what_fixes_all():
    finding = the_finding({"auth_type": "plain"}, version=(1, 24, 1))
    assert (finding.code, finding.level, finding.steps) == ("vulnerable_version", "warning", ())
    assert finding.evidence["version"] == "1.24.1"
    assert "CVE-2026-6667" in finding.evidence["vulnerabilities"].split(", ")
    assert finding.evidence["fixed"] == "1.26.1"
    assert judged(version=())[1] == {("vulnerable_version", "setting")}


@pytest.mark.parametrize(
    "auth_user, version, code",
    [
        ("lookup", (1, 24, 0), "vulnerable_version_expiry"),
        ("lookup", (1, 24, 1), "vulnerable_version"),
        (AUTH_USER, (1, 24, 0), "vulnerable_version"),
        ("", (1, 24, 0), "vulnerable_version"),
    ],
)
def test_an_auth_query_may_check_expiry(auth_user, version, code):
    assert levels({"auth_user": auth_user}, version=version) == {code: "warning"}


@pytest.mark.parametrize(
    "auth_type, listen_addr, sslmode, expected",
    [
        ("any", "127.0.0.1", "disable", {"authentication_any": "critical"}),
        ("trust", "", "disable", {"authentication_trust": "warning"}),
        ("trust", "127.0.0.1, localhost,::1", "disable", {"authentication_trust": "warning"}),
        ("trust", f"127.0.0.1,{PRIVATE}", "require", {"authentication_trust": "critical"}),
        ("trust", "*", "disable", {"authentication_trust": "critical"}),
        ("plain", "127.0.0.1", "disable", {}),
        ("plain", PRIVATE, "disable", {"authentication_clear_text": "warning"}),
        ("plain", PRIVATE, "prefer", {"authentication_clear_text": "warning"}),
        ("plain", PRIVATE, "require", {}),
        ("pam", PRIVATE, "disable", {"authentication_clear_text": "warning"}),
        ("ldap", "db.internal", "allow", {"authentication_clear_text": "warning"}),
        ("md5", PRIVATE, "disable", {"authentication_md5": "hint"}),
        ("md5", PRIVATE, "verify-full", {}),
        ("md5", "localhost", "disable", {}),
        ("scram-sha-256", PRIVATE, "disable", {}),
        ("cert", PRIVATE, "verify-full", {}),
    ],
)
def test_authentication(auth_type, listen_addr, sslmode, expected):
    settings = {"auth_type": auth_type, "listen_addr": listen_addr, "client_tls_sslmode": sslmode}
    assert levels(settings, consoles=[{"addr": PRIVATE, "tls": ""}]) == expected


def test_authentication_needs_what_the_console_does_not_report():
    assert judged({"auth_type": "hba"}) == ([], {("authentication", "hba")})
    assert ("authentication", "setting") in judged({"auth_type": None})[1]


def test_the_remedy_of_authentication_is_scram_unless_passwords_are_elsewhere():
    found = the_finding({"auth_type": "trust"})
    assert found.steps == (Step("pgbouncer", ("auth_type = scram-sha-256",), "reload"),)
    assert found.evidence == {"auth_type": "trust", "listen_addr": "127.0.0.1"}
    assert the_finding({"auth_type": "pam", "listen_addr": PRIVATE}).steps == ()


@pytest.mark.parametrize("version, apply", [((1, 15, 0), "restart"), ((1, 18, 0), "reload"), ((1, 26, 1), "reload")])
def test_an_old_version_forgets_the_passwords_of_md5(version, apply):
    settings = {"auth_type": "md5", "listen_addr": PRIVATE}
    [finding] = [finding for finding in judged(settings, version=version)[0] if finding.level == "hint"]
    assert [step.apply for step in finding.steps] == [apply]


@pytest.mark.parametrize(
    "settings, facts, is_found",
    [
        ({"listen_addr": "*"}, {"clients": [{"addr": PRIVATE, "tls": ""}]}, False),
        ({"listen_addr": "*"}, {"clients": [{"addr": "pool.example", "tls": ""}, {"addr": None, "tls": ""}]}, False),
        ({"listen_addr": "*"}, {"clients": [{"addr": PUBLIC, "tls": ""}]}, True),
        ({"listen_addr": "*"}, {"consoles": [{"addr": "2606:4700::1", "tls": ""}]}, True),
        ({"listen_addr": "*"}, {"clients": [{"addr": PUBLIC, "tls": "TLSv1.3/AES"}]}, False),
        ({"listen_addr": "*", "client_tls_sslmode": "allow"}, {"clients": [{"addr": PUBLIC, "tls": ""}]}, True),
        ({"listen_addr": "*", "client_tls_sslmode": "require"}, {"clients": [{"addr": PUBLIC, "tls": ""}]}, False),
        ({"listen_addr": f"127.0.0.1,{PUBLIC}"}, {}, True),
        ({"listen_addr": PUBLIC, "client_tls_sslmode": "prefer"}, {}, False),
        ({"listen_addr": PRIVATE}, {"host": PUBLIC}, True),
    ],
)
def test_clients_on_public_addresses_need_tls(settings, facts, is_found):
    facts = {"consoles": [{"addr": PRIVATE, "tls": ""}]} | facts
    assert levels(settings, **facts) == ({"clear_text_clients": "warning"} if is_found else {})


def test_public_addresses_are_counted_but_come_and_go():
    clients = [{"addr": address, "tls": ""} for address in ("8.8.4.4", PUBLIC, PUBLIC)]
    finding = the_finding({"listen_addr": "0.0.0.0"}, clients=clients, host=PUBLIC)
    assert finding.figures == {"clients": 2, "addresses": f"{PUBLIC}, 8.8.4.4"}
    assert finding.evidence == {"client_tls_sslmode": "disable", "listen_addr": "0.0.0.0"}


@pytest.mark.parametrize(
    "addr, tls, expected",
    [
        (PUBLIC, "", {"clear_text_servers": "warning"}),
        (PUBLIC, "TLSv1.3/AES", {}),
        (PRIVATE, "", {}),
        ("unix", "", {}),
        (None, "", {}),
    ],
)
def test_servers_on_public_addresses_need_tls(addr, tls, expected):
    assert levels(servers=[{"addr": addr, "tls": tls, "database": "prod"}]) == expected


@pytest.mark.parametrize("is_reloadable, apply", [(True, "reconnect"), (False, "restart")])
def test_servers_connect_again_with_tls(is_reloadable, apply):
    rows = [{"addr": PUBLIC, "tls": "", "database": name} for name in ("b", "a", "b")]
    reloadable = RELOADABLE if is_reloadable else frozenset()
    console = Console(1, "Pool", settings=SETTINGS, reloadable=reloadable, servers=rows)
    [finding] = security.clear_text_servers(console, None)
    assert finding.databases == ("a", "b")
    assert (finding.evidence, finding.figures) == ({"server_tls_sslmode": "prefer"}, {"addresses": PUBLIC})
    assert finding.steps == (Step("pgbouncer", ("server_tls_sslmode = require",), apply),)


@pytest.mark.parametrize(
    "listen_addr, own, clients, lines",
    [
        ("*", "127.0.0.1", [], ("listen_addr = 127.0.0.1",)),
        ("0.0.0.0", "unix", ["127.0.0.1", "unix"], ("listen_addr = 127.0.0.1",)),
        ("*", "::1", ["127.0.0.1"], ("listen_addr = 127.0.0.1, ::1",)),
        ("*", "127.0.0.1", [PRIVATE], None),
        ("*", PRIVATE, [], None),
        ("*", None, [], None),
        ("127.0.0.1", "127.0.0.1", [], None),
        (PRIVATE, "unix", [], None),
    ],
)
def test_a_port_that_no_other_host_uses(listen_addr, own, clients, lines):
    rows = [{"addr": address, "tls": ""} for address in clients]
    found, _gaps = judged({"listen_addr": listen_addr}, consoles=[{"addr": own, "tls": ""}], clients=rows)
    assert [(finding.code, finding.level) for finding in found] == ([("exposed_port", "hint")] if lines else [])
    assert [finding.steps for finding in found] == ([(Step("pgbouncer", lines, "restart"),)] if lines else [])


def test_a_port_is_not_judged_without_the_address_of_a_console():
    assert levels({"listen_addr": "*"}, consoles=[]) == {}


@pytest.mark.parametrize(
    "settings, names",
    [
        ({"client_tls_protocols": "all"}, []),
        ({"client_tls_protocols": "all", "client_tls_sslmode": "require"}, ["client_tls_protocols"]),
        ({"client_tls_protocols": "tlsv1.2,TLSv1.1", "client_tls_sslmode": "allow"}, ["client_tls_protocols"]),
        ({"client_tls_protocols": "tlsv1.2,tlsv1.3", "client_tls_sslmode": "allow"}, []),
        ({"server_tls_protocols": "legacy"}, ["server_tls_protocols"]),
        ({"server_tls_protocols": "legacy", "server_tls_sslmode": "disable"}, []),
    ],
)
def test_old_tls(settings, names):
    found, _gaps = judged(settings)
    assert [(finding.code, finding.level, finding.setting) for finding in found] == [
        ("old_tls", "hint", name) for name in names
    ]
    assert [finding.steps[0].lines for finding in found] == [(f"{name} = secure",) for name in names]


@pytest.mark.parametrize(
    "settings, facts, lines",
    [
        ({"admin_users": "root,odoo"}, {}, ("admin_users = root",)),
        ({"admin_users": "odoo"}, {}, ("admin_users = ",)),
        ({"admin_users": "odoo"}, {"user": "odoo"}, ("admin_users = ", "stats_users = monitor, odoo")),
        ({"admin_users": "odoo", "stats_users": "odoo"}, {"user": "odoo"}, ("admin_users = ",)),
        ({"admin_users": "odoo"}, {"here": frozenset(), "is_of_odoo": True}, ("admin_users = ",)),
        ({"admin_users": "odoo"}, {"here": frozenset()}, None),
        ({"admin_users": "forced"}, {}, None),
        ({"admin_users": "odoo_admin, root"}, {}, None),
        ({"stats_users": "odoo"}, {}, None),
        ({"admin_users": "monitor"}, {}, None),
    ],
)
def test_odoo_is_admin(settings, facts, lines):
    found, _gaps = judged(settings, **facts)
    assert [(finding.code, finding.level) for finding in found] == ([("odoo_is_admin", "warning")] if lines else [])
    assert [finding.steps for finding in found] == ([(Step("pgbouncer", lines, "reload"),)] if lines else [])


def test_the_user_of_odoo_must_be_known():
    assert judged(login="") == ([], {("odoo_is_admin", "postgresql")})


@pytest.mark.parametrize(
    "parameters, names",
    [
        ("extra_float_digits, application_name", None),
        ("extra_float_digits, options", None),
        ("Statement_Timeout lock_timeout", "statement_timeout, lock_timeout"),
    ],
)
def test_ignored_parameters(parameters, names):
    found, _gaps = judged({"ignore_startup_parameters": parameters})
    assert [(finding.code, finding.level) for finding in found] == ([("ignored_parameters", "hint")] if names else [])
    assert [finding.evidence for finding in found] == ([{"parameters": names}] if names else [])


def test_what_is_not_reported_is_a_gap():
    console = Console(1, "Old", version=(1, 26, 1), here=frozenset({"prod"}))
    snapshot = Snapshot({1: replace(console, settings={})}, PostgreSQL(), Odoo(user="odoo"), Watch())
    found, gaps = judge.judge(snapshot)
    silent = {rule.__name__ for rule in security.CONSOLE_RULES} - {gap.rule for gap in gaps}
    assert silent == {"vulnerable_version", "clear_text_servers"}, "they need no setting, or found nothing"
    assert not [finding for finding in found if finding.code in silent]
