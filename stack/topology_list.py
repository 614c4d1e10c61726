"""The topologies that `make topologies` compares. The tests check TESTED, without silence."""

import re

from sites import Site
from topology import DEAD, EITHER, LIVE, Topology, deaf, direct, no_chat, session

POOLED = "pool_mode=session"
# Quiet connections are cut after 50 s, and Odoo's dispatcher notices, sleeps for 50 s, and listens again.
CUT = (True, False, None)
# The timer of a session runs from the start of its LISTEN, whatever it receives.
TIMED = (True, None, None)
# A cron worker that loses its connection ends, and the next one listens up to 4 s later: jobs that are triggered
# meanwhile wait for its timer. A cron thread connects again at once.
REPLACED = (True, None, None)
THREADED = {"workers": 0}
# A POST for which there is no server fails early, so that the two workers of a site are not blocked for minutes.
IMPATIENT = {"query_wait_timeout": 5}


def cut(name, chat=CUT, **values):
    """Return topologies in which quiet connections are cut, with workers and without."""
    return [
        Topology(f"{name}{suffix}", chat, job, options=options, is_alone=True, **values)
        for suffix, job, options in (("", REPLACED, {}), (", no workers", LIVE, THREADED))
    ]


def without_browser(topology_of, name, *args, **values):
    """Return a topology that a browser checks, and the same checked by RPC."""
    return [topology_of(name, *args, **values), topology_of(f"{name}, by RPC", *args, checked_by=("rpc",), **values)]


BASIC = [
    direct("no PgBouncer"),
    deaf("transaction mode"),
    session("transaction mode, postgres in session mode"),
    Topology("bus_alt_connection", LIVE, DEAD, "direct", "deaf", "ok", postgres="", alt="direct"),
    Topology("a separate gevent service", LIVE, DEAD, "direct", "deaf", "ok", postgres="", buses=("direct",)),
    session("session mode", settings={"pool_mode": "session"}, postgres=""),
    Topology(
        "postgres in session mode, too few servers",
        DEAD,
        EITHER,
        "session",
        None,
        "critical",
        postgres="pool_mode=session pool_size=1",
        settings=IMPATIENT,
        later="reload",
    ),
    deaf("postgres in statement mode", postgres="pool_mode=statement", later="restart"),
    deaf("no database postgres", bus="unreachable", cron="unreachable", postgres=None, later="restart"),
    Topology("nginx without /websocket", DEAD, LIVE, "direct", "direct", "critical", postgres=False, is_misled=True),
    direct("no workers", options=THREADED),
    deaf("no workers, transaction mode", options=THREADED),
    deaf("PgBouncer in front of a PgBouncer in transaction mode", inner="", settings={"pool_mode": "session"}),
    session("PgBouncer in front of a PgBouncer in session mode", inner=POOLED),
    deaf("unix socket, transaction mode", is_unix=True, options=THREADED),
    session("unix socket, postgres in session mode", is_unix=True),
    deaf("TLS, transaction mode", is_tls=True, options=THREADED),
    session("TLS, postgres in session mode", is_tls=True),
    deaf("PgBouncer 1.15, transaction mode", suite="bullseye", options=THREADED),
    session("PgBouncer 1.15, postgres in session mode", suite="bullseye"),
    deaf("PgBouncer 1.26, transaction mode", suite="unstable", options=THREADED),
    session("PgBouncer 1.26, postgres in session mode", suite="unstable"),
]

# Connections that are cut while they are quiet.
QUIET = [
    *cut("idle_session_timeout", TIMED, doubtful=0, postgres=False, role_setting="idle_session_timeout = '50s'"),
    *cut("idle_session_timeout behind a session pool", TIMED, doubtful=0, role_setting="idle_session_timeout = '50s'"),
    *cut("TCP proxy before PostgreSQL", doubtful=1, postgres=False, proxied="odoo"),
    *cut("TCP proxy behind a session pool", doubtful=1, proxied="pgbouncer"),
    # Nobody notices that such a connection is lost.
    Topology(
        "bus_alt_connection behind a firewall", (True, False, False), LIVE, doubtful=1, alt="firewall", is_alone=True
    ),
]

# More than one listener: each may be connected in another way.
SEVERAL = [
    *(
        Topology(f"two gevent services, {name}", DEAD, DEAD, level=level, postgres="", buses=buses, sticky=sticky)
        for name, level, buses, sticky in (
            ("one deaf", "critical", ("direct", "pool"), None),
            ("one deaf, by cookie", "critical", ("direct", "pool"), "cookie"),
            ("the second deaf, by address", None, ("direct", "pool"), "source"),
            ("the first deaf, by address", None, ("pool", "direct"), "source"),
        )
    ),
    Topology("two gevent services, direct", LIVE, DEAD, postgres="", buses=("direct", "direct")),
    Topology(
        "two PgBouncers on a port, listeners on the deaf one",
        DEAD,
        DEAD,
        level="critical",
        postgres="",
        settings={"so_reuseport": 1},
        after=lambda site: site.start_twin(POOLED),
    ),
    Topology(
        "two PgBouncers on a port, the other one deaf",
        LIVE,
        LIVE,
        doubtful=0,
        settings={"so_reuseport": 1},
        after=lambda site: site.start_twin(""),
    ),
    Topology(
        "two watched PgBouncers on a port, listeners on the deaf one",
        DEAD,
        DEAD,
        level="critical",
        postgres="",
        settings={"so_reuseport": 1},
        is_watched=False,
        after=lambda site: site.start_twin(POOLED, is_watched=True),
    ),
    Topology(
        "two watched PgBouncers on a port, the other one deaf",
        LIVE,
        LIVE,
        doubtful=0,
        settings={"so_reuseport": 1},
        is_watched=False,
        after=lambda site: site.start_twin("", is_watched=True),
    ),
    no_chat("two hosts, the second deaf", postgres="", route="direct", second_host="pool"),
    *without_browser(no_chat, "two hosts, the first deaf", postgres="", second_host="direct"),
    session("two hosts", second_host="pool", bus=None, cron=None, level=None),
]

# The process that posts and the one that listens are not connected to the same database.
APART = [
    no_chat("alias of postgres, bus on the real one", postgres=f"dbname=shop {POOLED}", alt="direct"),
    session("alias of postgres", postgres=f"dbname=shop {POOLED}"),
    no_chat("bus_alt_connection to another cluster", postgres=False, alt="cluster"),
]

PROXIES = [
    *without_browser(no_chat, "nginx without Upgrade", postgres=False, nginx={"connection": ""}),
    *without_browser(Topology, "nginx without Host", DEAD, LIVE, postgres=False, nginx={"host": ""}),
    *without_browser(direct, "nginx with its own Host", nginx={"host": "$proxy_host"}, level=None),
    *without_browser(direct, "nginx with Connection upgrade", nginx={"connection": "upgrade"}),
    direct("the base URL is Odoo's HTTP port", after=Site.move_base_url, checked_by=("browser", "rpc")),
    *without_browser(direct, "nginx with location = /websocket", nginx={"location": "= /websocket"}, level=None),
    direct("a browser without websockets", checked_by=("blocked", "rpc"), level=None),
]

POOLS = [
    session("an unwatched session pool", is_watched=False, level=None, doubtful=0),
    session(
        "bus_alt_connection, unwatched session pool",
        cron="direct",
        level=None,
        doubtful=0,
        route="direct",
        alt="pool",
        is_watched=False,
    ),
    session("client_idle_timeout", settings={"client_idle_timeout": 5}),
    session("idle client on postgres", after=Site.connect_idle_client),
    Topology(
        "idle client on postgres, bus_alt_connection",
        LIVE,
        DEAD,
        "direct",
        "deaf",
        "ok",
        postgres="",
        alt="direct",
        after=Site.connect_idle_client,
    ),
    session("TCP proxy before PgBouncer", proxied="odoo", timeout="1h"),
    deaf("pool_mode of the user odoo", postgres=POOLED, users={"odoo": "pool_mode=transaction"}),
]

BROKEN = [
    deaf(
        "PgBouncer's login to PostgreSQL fails",
        bus="unreachable",
        cron="unreachable",
        postgres=f"user=odoo password=wrong {POOLED}",
        later="restart",
    ),
    Topology("gevent service is stopped", DEAD, DEAD, postgres="", buses=("direct",), after=Site.kill_buses),
    Topology("no cron workers", LIVE, DEAD, "direct", None, "ok", postgres=False, options={"max_cron_threads": 0}),
    *(
        Topology(
            f"{command} postgres",
            DEAD,
            DEAD,
            "unreachable",
            "unreachable",
            "critical",
            settings=IMPATIENT,
            after=lambda site, command=command: site.command_pgbouncer(f"{command} postgres"),
        )
        for command in ("PAUSE", "KILL", "DISABLE")
    ),
]

# The scheduled check leaves connections idle for more than a minute, in which those of the bus may be lost, too.
SCHEDULED = [
    session("scheduled: transaction mode, postgres in session mode", checked_by=("scheduled",)),
    Topology(
        "scheduled: TCP proxy behind a session pool",
        EITHER,
        LIVE,
        doubtful=0,
        proxied="pgbouncer",
        is_alone=True,
        checked_by=("scheduled",),
    ),
    Topology(
        "scheduled: bus_alt_connection behind a firewall",
        EITHER,
        LIVE,
        doubtful=0,
        alt="firewall",
        is_alone=True,
        checked_by=("scheduled",),
    ),
]

TOPOLOGIES = BASIC + SCHEDULED + QUIET + SEVERAL + APART + PROXIES + POOLS + BROKEN

_TESTED_EDGES = {
    "two gevent services, one deaf",
    "alias of postgres, bus on the real one",
    "nginx without Upgrade, by RPC",
    "client_idle_timeout",
    "pool_mode of the user odoo",
    "scheduled: transaction mode, postgres in session mode",
}
# They connect as others do, over something else.
_UNTESTED = re.compile("unix socket|TLS|PgBouncer 1.(15|26), transaction|no workers, transaction|PgBouncer in front")
TESTED = [
    topology
    for topology in TOPOLOGIES
    if (topology in BASIC and not _UNTESTED.search(topology.name)) or topology.name in _TESTED_EDGES
]
