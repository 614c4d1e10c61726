"""Each remedy of the LISTEN check fixes what is broken: it is applied as its text says, and the verdict is OK, also
after PgBouncer and Odoo are restarted once more.

`make remedies` runs them. One more is in test_listen.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from broken import BrokenSite
from servers import PgBouncer
from topology import LIVE, Topology

SESSION = "pool_mode=session"
# Odoo's password in PgBouncer, where PostgreSQL knows another one.
FRONT_PASSWORD = "front-door"
# How many sites exist at the same time.
AT_ONCE = 6


@dataclass(frozen=True, eq=False)
class Case(Topology):
    """A site that is OK with ``databases`` and the like, and how it is ``broken``. The remedies whose code is in
    ``applied`` are applied: then the listeners ``fixed`` are OK. Before, ``verdict`` is the one of the first of them.
    """

    chat: tuple = LIVE
    job: tuple = LIVE
    bus: str = "session"
    cron: str = "session"
    databases: dict = field(default_factory=dict)
    passwords: dict = field(default_factory=dict)
    is_inner_watched: bool = True
    broken: dict = field(default_factory=dict)
    applied: tuple = ("override",)
    fixed: tuple = ("bus", "cron")
    verdict: str | None = "deaf"


def deaf(line="{server}", **values):
    return {"databases": {"postgres": line}} | values


FRONT = "{server} user=odoo password={password}"
FRONT_CASE = {
    "passwords": {"odoo": FRONT_PASSWORD},
    "databases": {"*": FRONT, "postgres": f"{FRONT} {SESSION}"},
}
INNER = {"inner": SESSION, "postgres": "", "settings": {"pool_mode": "session"}}
QUICK = {"query_wait_timeout": 5}
CASES = [
    Case("remedy password in the line *", **FRONT_CASE, broken=deaf(None)),
    Case(
        "remedy password lost",
        **FRONT_CASE,
        broken=deaf("{server} " + SESSION, is_running=True),
        verdict="unreachable",
    ),
    Case(
        "remedy auth_user in the line *",
        passwords={"odoo": None},
        databases={"*": "{server} auth_user=postgres", "postgres": "{server} auth_user=postgres " + SESSION},
        broken=deaf(None),
    ),
    Case("remedy line of the user", broken={"users": {"odoo": "pool_mode=transaction"}}, applied=("user", "override")),
    Case(
        "remedy line of the user, others in session mode",
        settings={"pool_mode": "session"},
        broken={"users": {"odoo": "max_user_connections=50 pool_mode=transaction"}},
        applied=("user", "override"),
    ),
    Case(
        "remedy size of the user",
        suite="trixie",
        settings=QUICK,
        broken={"users": {"odoo": "pool_size=2"}, "is_running": True},
        applied=("user", "override"),
        verdict="session",
    ),
    Case("remedy inner pooler", **INNER, broken=deaf()),
    Case("remedy unknown inner pooler", **INNER, is_inner_watched=False, broken=deaf(), applied=("behind",)),
    Case(
        "remedy pool too small",
        settings=QUICK,
        broken=deaf("{server} pool_size=1 " + SESSION, is_running=True),
        verdict="session",
    ),
    Case("remedy deaf PgBouncer 1.15", suite="bullseye", broken=deaf()),
    Case("remedy deaf PgBouncer 1.26", suite="unstable", broken=deaf(None)),
    Case(
        "remedy no database postgres",
        broken={"databases": {"postgres": None, "*": None, "{own}": "{server}"}, "is_running": True},
        verdict="unreachable",
    ),
    *(
        Case(
            f"remedy {command}",
            broken={"console": f"{command} postgres", "is_running": True},
            applied=("enable" if command == "DISABLE" else "resume",),
            verdict=None,
        )
        for command in ("PAUSE", "KILL", "DISABLE")
    ),
    *(
        Case(
            f"remedy bus_alt_connection at {name}",
            bus="direct",
            alt="direct",
            broken={"options": {"imdispatcher_db_port": f"{{{port}}}"}, "databases": {"postgres": "{server}"}},
            applied=("alt_connection",),
            fixed=("bus",),
            verdict=verdict,
        )
        for name, port, verdict in (("the pooler", "pooler", "deaf"), ("nothing", "closed", "unreachable"))
    ),
    *(
        Case(
            f"remedy {applied[0]}, TLS in PgBouncer only",
            bus="direct",
            is_tls=True,
            broken=deaf(),
            applied=applied,
            fixed=("bus",),
        )
        for applied in (("alt_connection",), ("service", "service_proxy"))
    ),
    Case(
        "remedy limit of the database",
        settings=QUICK,
        broken=deaf("{server} max_db_connections=1 " + SESSION, is_running=True),
        verdict="session",
    ),
    Case(
        "remedy alias",
        bus="direct",
        alt="direct",
        broken=deaf("{server} dbname={own} " + SESSION),
        applied=("alias",),
        fixed=("bus",),
    ),
    Case("remedy nginx", is_misled=True, applied=("proxy",), fixed=("bus",), verdict="session"),
    Case(
        "remedy nginx in front of a service",
        bus="direct",
        buses=("direct",),
        nginx={"connection": ""},
        applied=("proxy",),
        fixed=("bus",),
        verdict="direct",
    ),
    Case(
        "remedy service at a deaf pooler",
        bus="direct",
        **INNER,
        buses=("direct",),
        broken=deaf() | {"service": "--db_port={pooler}", "is_running": True},
        applied=("service_options",),
        fixed=("bus",),
    ),
    *(
        Case(
            f"remedy variables of bus_alt_connection{suffix}",
            bus="direct",
            broken=deaf() | {"variables": {"ODOO_IMDISPATCHER_DB_PORT": "{pooler}"}},
            applied=applied,
            fixed=("bus",),
            **values,
        )
        for suffix, applied, values in (
            ("", ("alt_variables",), {"alt": "direct"}),
            (", not loaded, TLS", ("alt_connection", "alt_variables"), {"is_tls": True}),
        )
    ),
    Case(
        "remedy idle_session_timeout",
        is_alone=True,
        role_setting="idle_session_timeout = '50s'",
        options={"workers": 0},
        applied=("idle_timeout",),
        verdict="session",
    ),
    Case(
        "remedy rejected role",
        postgres=False,
        bus="direct",
        cron="direct",
        is_alone=True,
        broken={"is_running": True},
        applied=("role",),
        verdict="unreachable",
    ),
    Case("remedy unwatched pool", is_watched=False, applied=("watch",), fixed=("bus",), verdict="session"),
]
CASES = [case if isinstance(case, type(CASES[0])) else pytest.param(case, id=case.name) for case in CASES]


def verdicts(checks, case):
    return [(checks[name]["verdict"], checks[name]["level"]) for name in case.fixed]


def fix(case, pair, template):
    """Break a site, fix it, and return what was found: the verdicts before, after, and after another restart."""
    site = BrokenSite(case, pair, template)
    try:
        site.start()
        if case.broken:
            site.break_it()
        before = site.page.check()
        check = before[case.fixed[0]]
        chosen = [
            (facts, remedy)
            for facts, remedy in zip(check["remedy_facts"], check["remedies"], strict=True)
            if facts["code"] in case.applied
        ]
        assert {facts["code"] for facts, _remedy in chosen} == set(case.applied), check["remedy"]
        for facts, remedy in chosen:
            name = "copy" if facts.get("is_copy") else facts["code"]
            getattr(site, f"apply_{name}")(remedy["title"], remedy.get("lines", ""))
        site.follow([remedy["title"] for _facts, remedy in chosen], " ".join(r.get("then", "") for _facts, r in chosen))
        after = site.check()
        for server in site.servers:
            if isinstance(server, PgBouncer):
                site.restart(server)
        for server in (*site.buses, site.odoo):
            site.restart(server)
        again = site.check()
        chat, job = site.users.chat_delay(True), site.users.job_delay(True) if "cron" in case.fixed else 0
        return before, after, again, chat, job
    finally:
        site.stop()


@pytest.fixture(scope="module")
def results(request, pair, installed):
    items = [item for item in request.session.items if item.originalname == "test_remedy"]
    cases = [item.callspec.params["case"] for item in items]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = {case: pool.submit(fix, case, pair, installed) for case in cases}
        yield futures


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_remedy(results, case):
    before, after, again, chat, job = results[case].result()
    if case.verdict:
        assert before[case.fixed[0]]["verdict"] == case.verdict
    if case.passwords.get("odoo"):  # PostgreSQL does not know this password
        assert "alt_connection" not in [facts["code"] for facts in before["bus"]["remedy_facts"]]
    for name in case.fixed:
        assert before[name]["level"] != "ok"
    expected = [(getattr(case, name), "ok") for name in case.fixed]
    assert verdicts(after, case) == expected, after["bus"]["summary"] + after["cron"]["summary"]
    assert verdicts(again, case) == expected, again["bus"]["summary"] + again["cron"]["summary"]
    assert chat is not None
    assert job is not None
