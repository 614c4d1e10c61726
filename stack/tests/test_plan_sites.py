"""An Odoo with the files of a plan: it serves pages and receives notifications, and PgBouncer logs no warning.

All but one of the versions of PgBouncer and variants of the bus are marked as `long`.
"""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

import pytest
import requests

import advice_read
from planned import PASSWORD, PlannedSite, minor, remove_statements
from planner import configuration, sizing, statements
from planner.inputs import BUS, Inputs
from servers import LOCALHOST, VERSIONS, free_port
from topology import LIVE, Topology
from users import ATTEMPTS

# How many sites exist at the same time.
AT_ONCE = 3


def plan_of(version, **values):
    """Return a function for `PlannedSite`."""

    def plan(db_port, pgbouncer_port, gevent_port):
        ports = {"db_port": db_port, "pgbouncer_port": pgbouncer_port, "gevent_port": gevent_port}
        stats_user = f"monitor_{version}_{values.get('bus')}"
        inputs = Inputs(version=minor(version), workers=2, max_cron_threads=1, http_port=free_port(), **ports)
        inputs = replace(inputs, stats_user=stats_user, **values)
        assert sizing.errors(inputs) == []
        return inputs, sizing.propose(inputs)

    return plan


@dataclass(frozen=True, eq=False)
class Case(Topology):
    """A site with the files of a plan."""

    plan: object = None
    version: str = ""

    @classmethod
    def of(cls, version, bus, **values):
        name = f"plan {version} {bus}"
        verdict = "session" if bus == "session" else "direct"
        plan = plan_of(version, bus=bus, **values)
        case = cls(name, LIVE, LIVE, verdict, "session", suite=VERSIONS[version], is_alone=True)
        return replace(case, plan=plan, version=version)


def check_by_rollout(site):
    """Run the step "check" of a site's plan as printed. Return what it prints.

    The files of the plan, and the commands of its rollout that run them, are those with which the site was started.
    """
    values = asdict(site.inputs)
    del values["others"]
    values |= {"name": "Site", "version": str(site.inputs.version), "db_names": "\n".join(site.inputs.db_names)}
    [plan_id] = site.page.call("connection.plan", "create", [values])
    [plan] = site.page.call("connection.plan", "read", [plan_id], ["files", "rollout"])
    assert plan["files"] == site.texts
    steps = {step["name"]: step["lines"].splitlines() for step in plan["rollout"]}
    names = [name for name in site.texts if name.endswith(".sql")]
    assert steps["files"][1:] == [statements.command(site.inputs, name) for name in names]
    passwords = {"odoo": site.passwords["odoo"], site.inputs.stats_user: PASSWORD}
    lines = [f"*:*:*:{user}:{password}\n" for user, password in passwords.items()]
    passfile = site.pgbouncer.write("passfile", "".join(lines))
    environment = os.environ | {"PGPASSFILE": str(passfile)}
    return [
        subprocess.run(line, shell=True, check=True, capture_output=True, text=True, env=environment).stdout
        for line in steps["check"]
    ]


def read_advice(site):
    """Return the Advice about a site: what is None there is all of it. PostgreSQL is not read through the pool."""
    call = site.page.call
    site.postgresql.execute("GRANT pg_monitor TO odoo")
    address = {"host": LOCALHOST, "port": site.postgresql.port, "user": "odoo", "password": site.passwords["odoo"]}
    [own] = call("connection.endpoint", "search", [["kind", "=", "postgresql"]])
    call("connection.endpoint", "write", [own], address)
    call("connection.endpoint", "action_sample", [own])
    return advice_read.read(call, {})


def see(case, pair, template):
    """Return what is seen of a site: the status of pages, the checks, the delays of a chat message and of a job, the
    settings that are not as promised, the warnings, whether there are enough file descriptors, what the check of the
    rollout prints, and the Advice."""
    site = PlannedSite(case, pair, template, PASSWORD)
    try:
        site.start()
        pages = [requests.get(f"{site.url}{path}", timeout=30).status_code for path in ("/web/login", "/web/health")]
        for _attempt in range(ATTEMPTS):  # on a slow machine, cron workers may still be starting
            checks = site.page.check()
            if all(check["level"] == "ok" for check in checks.values()):
                break
        delays = site.users.chat_delay(True), site.users.job_delay(True)
        config = site.pgbouncer.show_config(PASSWORD)
        promised = configuration.settings(site.inputs, site.proposal)
        wrong = {
            name: (value, config[name][0])
            for name, value in promised.items()
            if config[name][0] != site.pgbouncer.moved(value)
        }
        server = site.pgbouncer
        is_enough = int(server.limit) >= server.expected_descriptors()
        printed, advice = check_by_rollout(site), read_advice(site)
        return pages, checks, delays, wrong, server.warnings(), is_enough, printed, advice
    finally:
        site.stop()
        if hasattr(site, "inputs"):
            remove_statements(pair, site.inputs)


QUICK = [Case.of("1.24", "service", auth="auth_query")]
NAMES = {case.name for case in QUICK}
LONG = [case for version in VERSIONS for bus in BUS for case in [Case.of(version, bus)] if case.name not in NAMES]


@pytest.fixture(scope="module")
def seen(request, pair, installed):
    items = [item for item in request.session.items if item.originalname == "test_odoo"]
    cases = [item.callspec.params["case"] for item in items]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {case: pool.submit(see, case, pair, installed) for case in cases}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.long if case in LONG else (), id=case.name) for case in QUICK + LONG],
)
def test_odoo(seen, case):
    pages, checks, delays, wrong, warnings, is_enough, printed, advice = seen[case].result()
    assert pages == [200, 200]
    for name in ("bus", "cron"):
        assert (checks[name]["verdict"], checks[name]["level"]) == (getattr(case, name), "ok"), checks[name]["summary"]
    assert None not in delays
    assert wrong == {}
    # The addon asks versions before 1.19 for what only later ones have.
    assert [line for line in warnings if "invalid command 'SHOW STATE'" not in line] == []
    assert is_enough
    *selected, shown = printed
    assert ["(1 row)" in text for text in selected] == [True, True]
    assert re.search(r"^ postgres .*\| session +\|", shown, re.MULTILINE)
    assert advice.levels() == advice_read.expected(case.version, {})
    assert advice.gaps_of() <= advice_read.NO_SOCKET | advice_read.NEW
