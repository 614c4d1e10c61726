"""PgBouncers with one fault each, and what is found about them."""

from dataclasses import replace
from functools import partial

from advised import Case, History, make_tls
from pasting import limit_files
from servers import VERSIONS, PgBouncer

# A client of Odoo's role in Odoo's database: PgBouncer serves this Odoo.
ODOO = (("{own}", "odoo"),)
LISTENER = (("postgres", "odoo"),)
# What listens on more than this host. No host has the second address, which is for documentation: RFC 5737.
EXPOSED = {"listen_addr": "127.0.0.1, 192.0.2.1"}
# The same, with an address on the internet, which this host does not have either.
PUBLIC = {"listen_addr": "127.0.0.1, 8.8.8.8"}
OLD_TLS = {"client_tls_sslmode": "prefer", "client_tls_protocols": "all"}
POOL = "{server} pool_size=5"
SESSION = "{server} pool_mode=session"
BUSY = {"{own}": History(used=5, waiting=7, full_hours=20)}


def case(name, code, level, settings=None, clients=ODOO, **values):
    return Case(name, {code: level} if code else {}, settings or {}, clients=clients, **values)


def since(version):
    """Return the tested versions from this one on."""
    return tuple(other for other in VERSIONS if float(other) >= float(version))


# Of each, in which versions it is: all of them, or those that have what it is about.
TIMEOUTS = [
    case("endless queue", "endless_queue", "warning", {"query_wait_timeout": 0}),
    case("long queue", "long_queue", "warning", {"query_wait_timeout": 300}),
    case("query timeout", "cut_off_query_timeout", "warning", {"query_timeout": 30}),
    case("idle transactions", "cut_off_idle_transaction_timeout", "warning", {"idle_transaction_timeout": 30}),
    case(
        "transaction timeout",
        "cut_off_transaction_timeout",
        "warning",
        {"transaction_timeout": 30},
        versions=since("1.26"),
    ),
    case("idle clients of requests", "idle_clients", "warning", {"client_idle_timeout": 90}),
    case("idle clients", "idle_clients", "hint", {"client_idle_timeout": 300}),
    case("servers used once", "servers_used_once", "critical", {"server_lifetime": 0}),
    case("short-lived servers", "short_lived_servers", "hint", {"server_idle_timeout": 5}),
]
SESSIONS = [
    case("leaking sessions", "leaking_sessions", "warning", {"server_reset_query": "RESET ALL"}, LISTENER),
    case("no reset query", "leaking_sessions_empty", "warning", {"server_reset_query": ""}, LISTENER),
    case("reset each time", "extra_query_reset", "hint", {"server_reset_query_always": 1}),
    case("check each time", "extra_query_check", "hint", {"server_check_delay": 0}),
    case("small packets", "small_packets", "warning", {"max_packet_size": 1_000_000}),
    case(
        "no keepalive",
        "keepalive_off",
        "warning",
        {"tcp_keepalive": 0},
        databases={"far": "host=192.0.2.1 port=5432"},
    ),
    case("no keepalive on one host", None, None, {"tcp_keepalive": 0}),
    case(
        "several hosts",
        "several_hosts",
        "warning",
        databases={"{own}": "{server} host=127.0.0.1,localhost"},
        versions=since("1.18"),
        left=("several_hosts",),
    ),
    case("statement mode", "pool_mode_statement", "critical", {"pool_mode": "statement"}),
    case("session mode", "pool_mode_session", "warning", {"pool_mode": "session"}),
    case("session mode of a database", "pool_mode_session", "warning", databases={"{own}": SESSION}),
    case("session mode of a user", "pool_mode_session", "warning", users={"odoo": "pool_mode=session"}),
]
LIMITS = [
    case("full pool", "pool_full", "warning", databases={"{own}": POOL}, history=BUSY),
    case(
        "full database",
        "pool_full_held",
        "warning",
        databases={"{own}": POOL + " max_db_connections=3"},
        history={"{own}": History(used=3, waiting=7, full_hours=20)},
    ),
    case("short queues", None, None, databases={"{own}": POOL}, history={"{own}": History(5, 7, 5)}),
    case("one server", "jobs_block", "critical", databases={"{own}": "{server} pool_size=1"}),
    case(
        "no slot for listeners",
        "postgres_slots",
        "critical",
        databases={"postgres": "{server} pool_mode=session pool_size=1"},
        clients=LISTENER,
    ),
    case("few clients", "client_limit", "critical", {"max_client_conn": 5}),
    case("clients below the ceiling", "client_limit", "warning", {"max_client_conn": 100}),
    case(
        "few clients of the user",
        "client_limit_user",
        "critical",
        users={"odoo": "max_user_client_connections=3"},
        versions=since("1.24"),
    ),
    case(
        "few clients of the database",
        "client_limit_database",
        "critical",
        databases={"{own}": "{server} max_db_client_connections=3"},
        versions=since("1.24"),
    ),
    case("few files", "descriptors", "warning", is_unix=True, prepare=partial(limit_files, limit=1000)),
    case("few files of clients", "descriptors", "critical", is_unix=True, prepare=partial(limit_files, limit=200)),
    case("enough files", None, None, is_unix=True, prepare=partial(limit_files, limit=2000)),
]
SECURITY = [
    case(
        "any user",
        "authentication_any",
        "critical",
        {"auth_type": "any"},
        (),
        databases={"*": None, "postgres": "{server} pool_mode=session user=odoo"},
    ),
    case("trust", "authentication_trust", "warning", {"auth_type": "trust"}, ()),
    case("exposed trust", "authentication_trust", "critical", {"auth_type": "trust"} | EXPOSED, ()),
    case("plain", "authentication_clear_text", "warning", {"auth_type": "plain"} | EXPOSED, ()),
    case("local plain", None, None, {"auth_type": "plain"}, ()),
    case("md5", "authentication_md5", "hint", {"auth_type": "md5"} | EXPOSED, ()),
    case("exposed", None, None, EXPOSED, ()),
    case("public", "clear_text_clients", "warning", PUBLIC, (), left=("clear_text_clients",)),
    case("all addresses", "exposed_port", "hint", {"listen_addr": "127.0.0.1, ::"}, ()),
    case("old TLS", "old_tls", "hint", OLD_TLS, (), prepare=make_tls),
    case("old TLS of servers", "old_tls", "hint", {"server_tls_sslmode": "prefer", "server_tls_protocols": "all"}, ()),
    case("Odoo is an administrator", "odoo_is_admin", "warning", {"admin_users": f"{PgBouncer.admin}, odoo"}),
    case(
        "ignored timeout",
        "ignored_parameters",
        "hint",
        {"ignore_startup_parameters": "extra_float_digits, statement_timeout"},
        (),
        left=("ignored_parameters",),
    ),
    case("ignored parameters", None, None, {"ignore_startup_parameters": "extra_float_digits, options"}, ()),
    case("shared port", "shared_port", "warning", {"so_reuseport": 1}, (), has_twin=True, left=("shared_port",)),
    case("so_reuseport of one process", None, None, {"so_reuseport": 1}, (), is_unix=True),
]
CLEAN = [
    case("clean", None, None, clients=ODOO + LISTENER),
    case("clean without clients", None, None, clients=()),
]
TABLE = CLEAN + TIMEOUTS + SESSIONS + LIMITS + SECURITY
# Each case in all of its versions.
CASES = [replace(case, name=f"{case.name} {version}", version=version) for case in TABLE for version in case.versions]
# Each of them in one version, and what is clean in all.
QUICK = {
    f"{case.name} {version}"
    for number, case in enumerate(TABLE)
    for version in (case.versions if case in CLEAN else [case.versions[number % len(case.versions)]])
}
