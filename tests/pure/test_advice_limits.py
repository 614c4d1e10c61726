"""The rules about pools and limits."""

from configparser import ConfigParser
from dataclasses import replace

import pytest
from addon.advice import limits
from addon.advice.snapshot import Console, History, Odoo, Watch
from addon.planner import configuration, sizing
from plans import many_plans
from pools import FIVE, ODOO, ROLE, SETTINGS, console, database, found, installation, only, pasted, pool


def planned(plan):
    """Return the Snapshot of a plan whose files run, None without files. Each user has a pool of each database."""
    proposal = sizing.propose(plan)
    if proposal.figures["default_pool_size"].value is None:
        return None
    parser = ConfigParser(interpolation=None)
    parser.read_string(configuration.files(plan, proposal)["pgbouncer.ini"])
    settings = SETTINGS | {"max_client_conn": "100"} | dict(parser["pgbouncer"])
    lines = dict(parser["databases"])
    if "*" in lines:
        lines |= {f"db{number}": lines["*"] for number in range(plan.databases)}
        del lines["*"]
    rows = [planned_database(name, line, settings) for name, line in lines.items()]
    users = [ROLE, *(["pgbouncer_auth"] if plan.auth == "auth_query" else [])]
    users += [other.name for other in plan.others if other.is_pooled]
    consoles = [
        console(
            key=key,
            settings=settings,
            databases=rows,
            pools=[pool(row["name"], user, 50) for row in rows for user in users],
            descriptors=proposal.figures["file_descriptors"].value,
            history={(row["name"], ROLE): History(7 * 1440, 1, 1, 0) for row in rows},
        )
        for key in range(plan.pgbouncers)
    ]
    figures = {"usable": proposal.pooled["limit"], "direct": proposal.pooled["outside"]}
    return installation(*consoles, odoo=planned_odoo(plan), **figures)


def planned_database(name, line, settings):
    options = dict(option.split("=") for option in line.split())
    reserve = options.get("reserve_pool_size", options.get("reserve_pool", settings["reserve_pool_size"]))
    return database(
        name,
        int(options.get("pool_size", settings["default_pool_size"])),
        reserve_pool_size=int(reserve),
        max_connections=int(options.get("max_db_connections", settings["max_db_connections"])),
        pool_mode=options.get("pool_mode"),
    )


def planned_odoo(plan):
    return Odoo(
        user=ROLE,
        hosts=plan.servers,
        workers=plan.workers,
        max_cron_threads=plan.max_cron_threads,
        db_maxconn=plan.db_maxconn,
        db_maxconn_gevent=plan.db_maxconn_gevent,
        replica=("replica", 5432) if plan.has_replica else (),
        has_alt=plan.bus == "alt",
        is_alt_set=plan.bus == "alt",
    )


def test_the_files_of_the_planner_have_no_finding():
    count = 0
    for number, plan in enumerate(many_plans()):
        if shot := planned(replace(plan, version=(15, 18, 24, 26)[number // 5 % 4])):
            count += 1
            for rule in limits.RULES:
                assert found(rule, shot) == ([], None), plan
            for key in shot.consoles:
                for rule in limits.CONSOLE_RULES:
                    assert found(rule, shot, key) == ([], None), (plan, rule)
    assert count > 100


@pytest.mark.parametrize(
    ("shot", "level"),
    [
        (installation(console(*FIVE[:4])), None),
        (installation(console(*FIVE[:4]), direct=17), None),
        (installation(console(*FIVE[:4]), direct=18), "warning"),
        (installation(console(*FIVE)), "warning"),
        (installation(console(*FIVE), odoo=replace(ODOO, hosts=16)), "critical"),
        (installation(console(*FIVE), odoo=replace(ODOO, hosts=15)), "warning"),
        (installation(console(*FIVE), odoo=replace(ODOO, db_maxconn=4)), None),
        (installation(console(*FIVE), odoo=replace(ODOO, hosts=None)), "warning"),
        (installation(console(*FIVE, here=frozenset(FIVE[:4]))), None),
        (installation(console(databases=[database(name, 15) for name in FIVE])), None),
        (installation(console(databases=[database(name, 15, reserve_pool_size=5) for name in FIVE])), "warning"),
        (installation(console(databases=[database(name, max_connections=15) for name in FIVE])), None),
        (installation(console(*FIVE, settings={"max_user_connections": "90"})), None),
        (installation(console(*FIVE, users=[{"name": ROLE, "max_user_connections": 90}])), None),
        (installation(console(*FIVE, users=[{"name": ROLE, "max_user_connections": 99}])), "warning"),
        (installation(console(*FIVE, users=[{"name": ROLE, "pool_size": 15}])), None),
        (installation(console("a", users=[{"name": ROLE, "pool_size": 90, "reserve_pool_size": 6}])), None),
        (installation(console(databases=[database("a", 0)]), odoo=replace(ODOO, hosts=2)), None),
        (installation(console(databases=[database("a", 0)]), odoo=replace(ODOO, hosts=4)), "warning"),
        (installation(console(databases=[database("a", 0)], settings={"max_client_conn": "95"})), None),
        (installation(console("a", "b", "c"), console("a", "b", "c", key=2)), "warning"),
        (installation(console("a", "b", "c"), console("a", "b", "c", key=2), odoo=replace(ODOO, hosts=4)), "warning"),
        (installation(console("a", "b"), console("a", "b", key=2)), None),
        (installation(console(*FIVE[:3]), console(*FIVE[:3], key=2), watch=Watch(twins=[[1, 2]])), None),
        (installation(console("a", pools=[pool("a"), *(pool("a", f"u{n}", 1) for n in range(4))])), "warning"),
        (installation(console("a", pools=[pool("a"), *(pool("a", f"u{n}", 25) for n in range(4))])), "warning"),
        (installation(console("a", pools=[pool("a"), *(pool("a", f"u{n}", 25) for n in range(5))])), "critical"),
        (installation(console("a", pools=[pool("a")] + [pool("gone", f"u{n}") for n in range(5)])), None),
    ],
)
def test_the_sum_of_the_pools(shot, level):
    assert found(limits.pools_exceed, shot)[1] is None
    assert [finding.level for finding in found(limits.pools_exceed, shot)[0]] == [level] * bool(level)
    if level:
        assert bool(only(limits.pools_exceed, shot).steps) == (shot.odoo.hosts in (1, 4))


def test_a_reserve_counts_before_pgbouncer_1_24():
    rows = [database(name) | {"reserve_pool": 5, "reserve_pool_size": None} for name in FIVE[:4]]
    for row in rows:
        del row["reserve_pool_size"]
    assert only(limits.pools_exceed, installation(console(databases=rows))).figures["pools"] == 100


def test_the_sum_is_unknown_without_an_answer():
    silent = Console(2, "Silent", is_answering=False)
    assert found(limits.pools_exceed, installation(console("a"), silent)) == ([], "console")
    assert found(limits.pools_exceed, installation(console("a", is_located=False))) == ([], "servers")
    unseen = installation(console("a"), odoo=replace(ODOO, hosts=None))
    assert found(limits.pools_exceed, unseen) == ([], "clients")
    exact = installation(console(*FIVE[:4]), direct=17, odoo=replace(ODOO, hosts=None))
    assert found(limits.pools_exceed, exact) == ([], "clients")
    result, needs = found(limits.pools_exceed, installation(console(*FIVE), silent, odoo=replace(ODOO, hosts=None)))
    assert ([finding.level for finding in result], needs) == (["warning"], None), "enough is known"
    assert found(limits.pools_exceed, installation(console("a"), usable=None)) == ([], "postgresql")
    assert found(limits.pools_exceed, installation(console("a"), sessions=None)) == ([], "postgresql")
    one_of_several = console("a", is_shared_port=True)
    assert found(limits.pools_exceed, installation(one_of_several)) == ([], "clients")
    elsewhere = replace(one_of_several, key=2, here=frozenset())
    assert found(limits.pools_exceed, installation(console("a"), elsewhere)) == ([], None)
    unread = console(databases=[database("a", None)])
    assert found(limits.pools_exceed, installation(unread)) == ([], "setting")


def test_smaller_pools_fit_with_lines_of_their_own():
    rows = [database("a", 60), database("b", max_connections=50), database("c"), database("d", 3, max_connections=4)]
    rows.append(database("postgres", 30))
    sizes = {"default_pool_size": "20", "max_db_connections": "0"}
    finding = only(limits.pools_exceed, installation(console(databases=rows, settings=sizes)))
    general, lines = finding.steps
    assert general.lines == ("default_pool_size = 5", "reserve_pool_size = 2", "max_db_connections = 7")
    assert (general.apply, lines.apply) == ("reload", "reload")
    assert lines.lines == (
        "a = pool_size=5 max_db_connections=7",
        "b = pool_size=5 max_db_connections=7",
        "d = pool_size=3 max_db_connections=4",
        "postgres = pool_size=7 max_db_connections=7",
    )


def test_databases_of_another_postgresql_keep_their_sizes():
    rows = [*(database(name) for name in FIVE), database("elsewhere", 50)]
    row = console(databases=rows, here=frozenset(FIVE))
    (step,) = only(limits.pools_exceed, installation(row)).steps
    assert (step.place, step.apply) == ("databases", "reload")
    assert step.lines[:4] == tuple(f"{name} = pool_size=8 max_db_connections=10" for name in "abcd")
    assert step.lines[4:] == ("postgres = pool_size=7 max_db_connections=7",)


def test_one_of_several_pgbouncers_needs_a_restart():
    both = installation(console(*FIVE), console(*FIVE, key=2, reloadable=frozenset()))
    assert [step.apply for step in only(limits.pools_exceed, both).steps] == ["restart", "reload"]


def test_logins_need_servers():
    """auth_query's user has pools, too."""
    for settings, most in (({}, 8), ({"auth_dbname": "postgres"}, 7)):
        shot = console(*FIVE, "e", settings={"auth_user": "login"} | settings)
        shot = replace(shot, pools=[*shot.pools, pool("a", "login", 0)])
        general, lines = only(limits.pools_exceed, installation(shot)).steps
        assert f"max_db_connections = {most}" in general.lines
        assert lines.lines == ("postgres = pool_size=7 max_db_connections=8",)


def test_no_pools_fit():
    finding = only(limits.pools_exceed, installation(console(*(f"db{number}" for number in range(1000)))))
    assert (finding.steps, finding.figures["total"], len(finding.databases)) == ((), 20_002, 1000)


@pytest.mark.parametrize(
    ("settings", "values", "odoo", "expected"),
    [
        # 2 workers and a cron worker with 8 connections each; 2 + 4 on a busy day.
        ({"max_client_conn": "24"}, {}, ODOO, None),
        ({"max_client_conn": "23"}, {}, ODOO, ("client_limit", "warning")),
        ({"max_client_conn": "6"}, {}, ODOO, ("client_limit", "warning")),
        ({"max_client_conn": "5"}, {}, ODOO, ("client_limit", "critical")),
        ({"max_client_conn": "100"}, {}, replace(ODOO, db_maxconn=64), ("client_limit", "warning")),
        ({"max_client_conn": "47"}, {}, replace(ODOO, hosts=2), ("client_limit", "warning")),
        ({"max_client_conn": "8"}, {}, replace(ODOO, workers=0), None),
        ({}, {"users": [{"name": ROLE, "max_user_client_connections": 24}]}, ODOO, None),
        ({}, {"users": [{"name": ROLE, "max_user_client_connections": 0}]}, ODOO, None),
        ({}, {"users": [{"name": "other", "max_user_client_connections": 1}]}, ODOO, None),
        (
            {},
            {"users": [{"name": ROLE, "max_user_client_connections": 23}]},
            ODOO,
            ("client_limit_user", "warning"),
        ),
        (
            {},
            {"users": [{"name": ROLE, "max_user_client_connections": 5}]},
            ODOO,
            ("client_limit_user", "critical"),
        ),
        ({}, {"databases": [database("a", max_client_connections=24)]}, ODOO, None),
        (
            {},
            {"databases": [database("a", max_client_connections=23)]},
            ODOO,
            ("client_limit_database", "warning"),
        ),
        (
            {},
            {"databases": [database("a", max_client_connections=5)]},
            ODOO,
            ("client_limit_database", "critical"),
        ),
        (
            {"max_db_client_connections": "5"},
            {"databases": [database("a", max_client_connections=5)]},
            ODOO,
            ("client_limit_database", "critical"),
        ),
        ({}, {"databases": [database("a", max_client_connections=6), database("b")]}, ODOO, None),
        (
            {},
            {"databases": [database("a", max_client_connections=5), database("b", max_client_connections=4)]},
            ODOO,
            ("client_limit_database", "critical"),
        ),
        ({}, {"databases": [database("a"), database("postgres", max_client_connections=5)]}, ODOO, None),
        (
            {},
            {"databases": [database("a"), database("b", max_client_connections=1)], "here": frozenset("a")},
            ODOO,
            None,
        ),
    ],
)
def test_limits_of_clients(settings, values, odoo, expected):
    shot = installation(console("a", settings=settings, **values), odoo=odoo)
    if expected:
        assert only(limits.client_limit, shot, expected[0]).level == expected[1]
    else:
        assert found(limits.client_limit, shot) == ([], None)


def test_a_forced_user_has_the_pools_and_the_login_has_the_clients():
    users = [{"name": "login", "max_user_client_connections": 5}, {"name": ROLE, "max_user_client_connections": 1}]
    shot = installation(console("a", users=users), odoo=replace(ODOO, user="login"))
    finding = only(limits.client_limit, shot, "client_limit_user")
    assert (finding.evidence["limit"], finding.steps[0].lines) == (5, ("login = max_user_client_connections=38",))


def test_lines_for_limits_of_clients():
    """32 of Odoo with its websockets, 5 of another program, 2 of checks and 4 consoles."""
    pools = [pool("a"), pool("a", "reports", 5)]
    row = console("a", settings={"max_client_conn": "10"}, pools=pools, descriptors=60)
    general, shell = only(limits.client_limit, installation(row)).steps
    assert (general.lines, general.apply) == (("max_client_conn = 43",), "reload")
    assert shell.lines[1].startswith("printf '[Service]\\nLimitNOFILE=95\\n' > "), "43 + 12 + 2 pools"
    assert shell.apply == "restart"
    for descriptors in (None, 95):
        row = replace(row, descriptors=descriptors)
        assert len(only(limits.client_limit, installation(row)).steps) == 1
    several = console(databases=[database(name, max_client_connections=5) for name in "ab"])
    assert only(limits.client_limit, installation(several), "client_limit_database").steps[0].lines == (
        "a = max_db_client_connections=38",
        "b = max_db_client_connections=38",
    )


@pytest.mark.parametrize(
    ("workers", "has_step"),
    # (workers + 1 cron worker + the gevent process) x 48 connections + 6 of checks and consoles + 12 + a pool of 20
    [(18, False), (19, True)],
)
def test_many_clients_need_files_also_where_their_limit_is_unknown(workers, has_step):
    """PgBouncer on another host: beyond the limit, nobody would be let in, not even to the console."""
    row, odoo = console("a", settings={"max_client_conn": "10"}), replace(ODOO, workers=workers, db_maxconn=48)
    steps = only(limits.client_limit, installation(row, odoo=odoo)).steps
    assert [step.place for step in steps] == ["pgbouncer", *["shell"] * has_step]


def test_pgbouncers_without_clients_of_odoo():
    """Of two PgBouncers, one is that of other programs: the other has all of Odoo's clients."""
    others = console("a", key=2, settings={"max_client_conn": "20"}, pools=[pool("a", "reports")])
    idle = console("a", key=3, settings={"max_client_conn": "20"}, pools=[pool("a", clients=0)])
    shot = installation(console("a", settings={"max_client_conn": "23"}), others, idle)
    assert only(limits.client_limit, shot).figures["ceiling"] == 24
    assert found(limits.client_limit, shot, 2) == found(limits.client_limit, shot, 3) == ([], None)


@pytest.mark.parametrize(
    ("descriptors", "odoo", "level"),
    [
        (1052, ODOO, None),  # 1000 + 12 + 2 pools of 20
        (1051, ODOO, "warning"),
        (81, ODOO, "warning"),
        (80, ODOO, "critical"),  # of 24 clients of Odoo, 5 of another program, 12 and 40
        (80, replace(ODOO, hosts=None), "warning"),
        (200, replace(ODOO, db_maxconn=64), "critical"),
    ],
)
def test_file_descriptors(descriptors, odoo, level):
    row = console("a", pools=[pool("a"), pool("a", "reports", 2, cl_waiting=3)], descriptors=descriptors)
    result, needs = found(limits.descriptors, installation(row, odoo=odoo))
    assert ([finding.level for finding in result], needs) == ([level] * bool(level), None)
    if level:
        assert only(limits.descriptors, installation(row, odoo=odoo)).figures == {"needed": 1052}


def test_file_descriptors_of_a_pgbouncer_without_odoo():
    row = console("a", pools=[pool("a", "reports")], descriptors=10)
    assert only(limits.descriptors, installation(row)).level == "warning"
    assert found(limits.descriptors, installation(console("a"))) == ([], "unix_socket")


JOBS = replace(ODOO, max_cron_threads=2)
BLOCKED = {
    "one server": (console(databases=[database("a", 1), database("b")]), ("a",)),
    "as many as cron workers": (console(databases=[database("a", 2), database("b", 2)]), ("a", "b")),
    "a reserve": (console(databases=[database("a", 1, reserve_pool_size=1)]), ("a",)),
    "a limit of the database": (console(databases=[database("a", 20, max_connections=2)]), ("a",)),
    "a limit of the user": (console("a", settings={"max_user_connections": "2"}), ("a",)),
}


@pytest.mark.parametrize("name", BLOCKED)
def test_jobs_that_block_each_other(name):
    one, names = BLOCKED[name]
    shot = installation(one, odoo=JOBS)
    [finding], _needs = found(limits.jobs_block, shot)
    assert (finding.level, finding.databases) == ("critical", names)
    assert finding.evidence["max_cron_threads"] == 2
    assert found(limits.jobs_block, pasted(shot, finding)) == ([], None)


@pytest.mark.parametrize(
    "one, odoo",
    [
        (console(databases=[database("a", 3)]), JOBS),
        (console(databases=[database("a", 2, reserve_pool_size=1)]), JOBS),
        (console(databases=[database("a", 1)]), replace(JOBS, max_cron_threads=0)),
        (console(databases=[database("postgres", 2)]), JOBS),
        (console(databases=[database("a", 2)], pools=[pool("a", "other")]), JOBS),
        (console(databases=[database("a", 2)], pools=[pool("a", clients=0)]), JOBS),
        (console(databases=[database("a", 2)], here=frozenset()), JOBS),
        (console(databases=[database("a", 0)]), JOBS),
    ],
)
def test_jobs_that_can_run(one, odoo):
    assert found(limits.jobs_block, installation(one, odoo=odoo)) == ([], None)


@pytest.mark.parametrize("rule", [limits.postgres_slots, limits.client_limit])
def test_hosts_must_be_known(rule):
    assert found(rule, installation(console("a"), odoo=replace(ODOO, hosts=None))) == ([], "clients")
