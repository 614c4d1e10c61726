"""Rules about PostgreSQL: what has the fault, what has not, and what cannot be judged."""

from dataclasses import replace

import pytest
from addon.advice.snapshot import Console, Odoo, PostgreSQL, Snapshot, Watch
from advising import found, gaps

MEGABYTE = 2**20
ROLE, QUOTED = 'od"oo', '"od""oo"'
# PostgreSQL's own defaults, and an ordinary role.
POSTGRESQL = PostgreSQL(
    version=170000,
    settings={
        "max_connections": 100,
        "superuser_reserved_connections": 3,
        "shared_buffers": 128 * MEGABYTE,
        "work_mem": 4 * MEGABYTE,
        "track_activities": True,
        "idle_session_timeout": 0,
        "statement_timeout": 0,
        "transaction_timeout": 0,
        "idle_in_transaction_session_timeout": 0,
    },
    role=ROLE,
    reader=ROLE,
    is_superuser=False,
    is_bootstrap=False,
    is_monitor=True,
    role_settings={},
    system_settings={},
    role_limit=-1,
    database_limit=-1,
    usable=97,
    sessions=[],
    prepared=[],
    memory=4096 * MEGABYTE,
)
POOLER = Console(
    1,
    "Pooler",
    settings={"max_client_conn": "100", "max_user_connections": "0"},
    databases=[
        {"name": "shop", "database": "shop", "pool_size": 30},
        {"name": "postgres", "database": "postgres", "pool_size": 10},
    ],
    pools=[{"database": "shop", "user": ROLE}, {"database": "postgres", "user": ROLE}],
    here=frozenset(("shop", "postgres")),
)
ODOO = Odoo(database="shop", is_pooled=True, route=1, hosts=1, workers=4)
DIRECT = replace(ODOO, is_pooled=False, route=None)


def snapshot(postgresql=POSTGRESQL, odoo=ODOO, console=POOLER):
    return Snapshot({console.key: console}, postgresql, odoo, Watch())


def find(name, odoo=ODOO, settings=None, **options):
    options["settings"] = POSTGRESQL.settings | (settings or {})
    return found("postgresql", snapshot(replace(POSTGRESQL, **options), odoo), name)


def lines(finding):
    """Return the lines of a remedy, with the place where they are pasted unless it is psql."""
    return [line if step.place == "psql" else f"{step.place}: {line}" for step in finding.steps for line in step.lines]


@pytest.mark.parametrize("odoo", [ODOO, DIRECT])
def test_an_ordinary_installation_has_no_finding(odoo):
    assert found("postgresql", snapshot(odoo=odoo)) == []
    assert gaps("postgresql", snapshot(odoo=odoo)) == []


@pytest.mark.parametrize(
    ("name", "options", "needs"),
    [
        ("superuser", {"is_superuser": None}, "postgresql"),
        ("superuser", {"is_superuser": True, "is_bootstrap": None}, "postgresql"),
        ("no_reserved_connections", {"settings": {}}, "postgresql"),
        ("monitor", {"is_monitor": None}, "postgresql"),
        ("track_activities", {"role_settings": None}, "postgresql"),
        ("track_activities", {"settings": {}}, "postgresql"),
        ("prepared_transactions", {"prepared": None}, "postgresql"),
        ("idle_session_timeout", {"system_settings": None}, "postgresql"),
        ("idle_session_timeout", {"settings": {}}, "postgresql"),
        ("idle_session_timeout", {"version": None}, "postgresql"),
        ("idle_session_timeout", {"system_settings": {"idle_session_timeout": ("0x10", "role")}}, "postgresql_setting"),
        ("no_reserved_connections", {"settings": {"work_mem": 1 << 20}}, "postgresql_setting"),
        ("short_timeout", {"role_settings": None}, "postgresql"),
        ("connection_limit", {"role_limit": None}, "postgresql"),
        ("connection_limit", {"database_limit": None}, "postgresql"),
        ("connection_limit", {"role_limit": 1, "is_superuser": None}, "postgresql"),
        ("memory", {"memory": None}, "local"),
        ("memory", {"settings": {}}, "postgresql"),
        ("memory", {"memory": 1, "usable": None}, "postgresql"),
    ],
)
def test_unknown(name, options, needs):
    assert gaps("postgresql", snapshot(replace(POSTGRESQL, **options)), name) == [needs]


@pytest.mark.parametrize(
    ("name", "options", "odoo", "needs"),
    [
        ("connection_limit", {"role_limit": 1}, {"is_pooled": None}, "postgresql"),
        ("connection_limit", {"role_limit": 1}, {"route": None}, "pgbouncer"),
        ("connection_limit", {"role_limit": 1}, {"is_pooled": False, "hosts": None}, "clients"),
        ("memory", {}, {"hosts": None}, "clients"),
        ("memory", {}, {"is_pooled": None}, "postgresql"),
    ],
)
def test_unknown_of_odoo(name, options, odoo, needs):
    unknown = snapshot(replace(POSTGRESQL, **options), replace(ODOO, **odoo))
    assert gaps("postgresql", unknown, name) == [needs]


class TestSuperuser:
    def test_it_can_use_all_connections(self):
        (finding,) = find("superuser", DIRECT, is_superuser=True)
        assert (finding.code, finding.level) == ("superuser", "warning"), "nothing breaks by itself"
        assert lines(finding) == [f"ALTER ROLE {QUOTED} NOSUPERUSER CREATEDB;", f"GRANT pg_monitor TO {QUOTED};"]

    def test_the_role_of_another_address_keeps_its_privileges(self):
        (finding,) = find("superuser", is_superuser=True, reader="watcher")
        assert lines(finding) == [f"ALTER ROLE {QUOTED} NOSUPERUSER CREATEDB;"]

    def test_the_role_of_initdb_must_stay_a_superuser(self):
        (finding,) = find("superuser", is_superuser=True, is_bootstrap=True)
        assert (finding.code, finding.steps) == ("superuser_bootstrap", ())


def test_no_reserved_connections():
    (finding,) = find("no_reserved_connections", settings={"superuser_reserved_connections": 0})
    assert lines(finding) == ["ALTER SYSTEM SET superuser_reserved_connections = 3;"]
    assert finding.steps[0].apply == "postgresql"


def test_monitor():
    (finding,) = find("monitor", is_monitor=False, reader="watch er")
    assert (finding.level, lines(finding)) == ("warning", ['GRANT pg_monitor TO "watch er";'])


@pytest.mark.parametrize(
    ("setting", "of_role", "expected"),
    [
        (False, {}, ["ALTER SYSTEM SET track_activities = on;", "SELECT pg_reload_conf();"]),
        (True, {"track_activities": ("OFF", "role")}, [f"ALTER ROLE {QUOTED} SET track_activities = on;"]),
        *(
            (
                True,
                {"track_activities": ("0", scope)},
                [f'ALTER ROLE {QUOTED} IN DATABASE "shop" SET track_activities = on;'],
            )
            for scope in ("database", "role in database")
        ),
        (False, {"track_activities": ("on", "role")}, None),
    ],
)
def test_track_activities(setting, of_role, expected):
    results = find("track_activities", DIRECT, {"track_activities": setting}, role_settings=of_role)
    assert [lines(finding) for finding in results] == ([] if expected is None else [expected])


class TestPreparedTransactions:
    def test_left_open(self):
        rows = [
            {"gid": "b", "owner": ROLE, "database": "shop", "age": 7200},
            {"gid": "it's", "owner": ROLE, "database": "erp", "age": 900},
            {"gid": "c", "owner": ROLE, "database": "shop", "age": 1000},
            {"gid": "new", "owner": ROLE, "database": "erp", "age": 899},
        ]
        (finding,) = find("prepared_transactions", prepared=rows)
        assert (finding.level, finding.databases, finding.figures["hours"]) == ("warning", ("erp", "shop"), 2)
        assert lines(finding) == [
            '\\connect "erp"',
            "ROLLBACK PREPARED 'it''s';",
            '\\connect "shop"',
            "ROLLBACK PREPARED 'b';",
            "ROLLBACK PREPARED 'c';",
        ]

    def test_at_work(self):
        assert find("prepared_transactions", prepared=[{"gid": "a", "database": "shop", "age": 899}]) == []


def alter(database, name, value):
    return f'ALTER ROLE {QUOTED} IN DATABASE "{database}" SET {name} = {value};'


class TestIdleSessionTimeout:
    NAME = "idle_session_timeout"

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [("300000", 300), ("5min", 300), (" 5 min ", 300), ("1.5h", 5400), ("250ms", 0.25), ("1d", 86_400)],
    )
    def test_of_the_role(self, value, seconds):
        (finding,) = find(self.NAME, DIRECT, system_settings={self.NAME: (value, "role")})
        assert (finding.level, finding.databases) == ("warning", ("postgres",))
        assert finding.evidence == {"seconds": seconds}
        assert lines(finding) == [alter("postgres", self.NAME, 0)]
        assert finding.steps[0].apply == "odoo"

    def test_of_the_server(self):
        assert find(self.NAME, settings={self.NAME: 60})[0].evidence == {"seconds": 60}

    def test_the_role_has_none(self):
        assert find(self.NAME, settings={self.NAME: 60}, system_settings={self.NAME: ("0", "role in database")}) == []

    def test_the_runner_listens_on_the_database_itself(self):
        of_role = {"role_settings": {self.NAME: ("30s", "database")}}
        assert find(self.NAME, **of_role) == []
        (finding,) = find(self.NAME, replace(DIRECT, has_job_runner=True), **of_role)
        assert lines(finding) == [alter("shop", self.NAME, 0)]
        both = find(self.NAME, replace(DIRECT, has_job_runner=True), {self.NAME: 60}, **of_role)[0]
        assert (both.databases, both.evidence) == (("postgres", "shop"), {"seconds": 30})

    def test_pgbouncer_needs_new_server_connections(self):
        (finding,) = find(self.NAME, settings={self.NAME: 60})
        assert lines(finding) == [alter("postgres", self.NAME, 0), "console: RECONNECT;"]
        assert finding.steps[-1].apply == "odoo"

    def test_a_version_without_it(self):
        old = replace(POSTGRESQL, version=130010, settings={})
        assert found("postgresql", snapshot(old), self.NAME) == gaps("postgresql", snapshot(old), self.NAME) == []


class TestShortTimeout:
    @pytest.mark.parametrize(
        ("name", "seconds", "odoo", "expected"),
        [
            ("statement_timeout", 119, {}, ("warning", "'120s'")),
            ("statement_timeout", 120, {}, None),
            ("statement_timeout", 60, {"limit_time_real_cron": 600}, ("warning", "'600s'")),
            ("statement_timeout", 599, {"limit_time_real_cron": 600}, ("warning", "'600s'")),
            ("statement_timeout", 600, {"limit_time_real_cron": 600}, None),
            # No limit of jobs, or of requests.
            ("statement_timeout", 600, {"limit_time_real_cron": 0}, ("hint", "0")),
            ("statement_timeout", 60, {"limit_time_real_cron": 0}, ("warning", "0")),
            ("statement_timeout", 600, {"limit_time_real": 0}, ("hint", "0")),
            ("statement_timeout", 600, {"limit_time_real": 0, "limit_time_real_cron": 900}, ("warning", "0")),
            ("statement_timeout", 0, {"limit_time_real": 0}, None),
            ("idle_in_transaction_session_timeout", 60, {"limit_time_real_cron": 0}, ("warning", "'120s'")),
            ("idle_in_transaction_session_timeout", 60, {"limit_time_real": 0}, None),
            # Without cron workers there are no jobs.
            ("statement_timeout", 120, {"max_cron_threads": 0, "limit_time_real_cron": 0}, None),
            ("statement_timeout", 100, {"limit_time_real_cron": 60}, ("warning", "'120s'")),
            ("transaction_timeout", 30, {}, ("warning", "'120s'")),
            ("idle_in_transaction_session_timeout", 119, {}, ("warning", "'120s'")),
            # A safeguard: a job at work is not idle.
            ("idle_in_transaction_session_timeout", 300, {"limit_time_real_cron": 600}, None),
            # Threads have the limit of requests where there is none of jobs.
            (
                "statement_timeout",
                60,
                {"workers": 0, "limit_time_real_cron": 0, "limit_time_real": 90},
                ("warning", "'90s'"),
            ),
            (
                "statement_timeout",
                100,
                {"workers": 0, "limit_time_real_cron": 110, "limit_time_real": 90},
                ("warning", "'110s'"),
            ),
        ],
    )
    def test_compared_with_the_limits_of_odoo(self, name, seconds, odoo, expected):
        odoo = replace(DIRECT, **odoo)
        for options in ({"settings": {name: seconds}}, {"role_settings": {name: (f"{seconds}s", "role")}}):
            results = find("short_timeout", odoo, **options)
            found_ones = [(finding.level, *lines(finding)) for finding in results]
            assert found_ones == ([(expected[0], alter("shop", name, expected[1]))] if expected else [])

    @pytest.mark.parametrize(
        ("seconds", "odoo", "code"),
        [
            (119, {}, "short_timeout"),
            (120, {"limit_time_real_cron": 600}, "short_timeout_jobs"),
            (120, {"limit_time_real_cron": 0}, "short_timeout_jobs"),
            (120, {"limit_time_real": 0, "limit_time_real_cron": 600}, "short_timeout"),
        ],
    )
    def test_what_it_ends(self, seconds, odoo, code):
        (finding,) = find("short_timeout", replace(DIRECT, **odoo), {"statement_timeout": seconds})
        assert finding.code == code

    def test_each_setting_is_a_finding(self):
        results = find("short_timeout", settings={"statement_timeout": 30, "transaction_timeout": 40})
        assert [finding.setting for finding in results] == ["statement_timeout", "transaction_timeout"]

    def test_a_version_without_transaction_timeout(self):
        settings = {name: 0 for name in POSTGRESQL.settings if name != "transaction_timeout"}
        old = snapshot(replace(POSTGRESQL, version=160004, settings=settings))
        assert gaps("postgresql", old, "short_timeout") == []


class TestConnectionLimit:
    @pytest.mark.parametrize(
        ("options", "odoo", "expected"),
        [
            # What the pools may open.
            ({"role_limit": 39}, ODOO, ("role", "warning", 40)),
            ({"database_limit": 0}, ODOO, ("database", "warning", 30)),
            ({"role_limit": 40, "database_limit": 30}, ODOO, None),
            # 4 workers, 2 cron workers x 4, 2 of the gevent process; three of them listen on postgres.
            ({"role_limit": 13}, DIRECT, ("role", "critical", 14)),
            ({"database_limit": 10}, DIRECT, ("database", "critical", 11)),
            ({"role_limit": 14, "database_limit": 11}, DIRECT, None),
            # The runner of queue_job listens on the database itself.
            ({"database_limit": 11}, replace(DIRECT, has_job_runner=True), ("database", "critical", 12)),
            # Superusers have no limit.
            ({"role_limit": 1, "is_superuser": True}, DIRECT, None),
        ],
    )
    def test_compared_with_what_is_opened(self, options, odoo, expected):
        results = find("connection_limit", odoo, **options)
        objects = {"role": f"ROLE {QUOTED}", "database": 'DATABASE "shop"'}
        assert bool(results) is bool(expected)
        for finding in results:
            what, level, needed = expected
            assert (finding.code, finding.level) == (f"connection_limit_{what}", level)
            assert lines(finding) == [f"ALTER {objects[what]} CONNECTION LIMIT {needed};"]

    @pytest.mark.parametrize(
        ("row", "role", "database"),
        [
            ({}, 40, 30),
            ({"pool_size": 10, "reserve_pool": 5}, 25, 15),
            ({"pool_size": 10, "reserve_pool_size": 6, "max_connections": 12}, 22, 12),
            # No limit but that of the clients.
            ({"pool_size": 0}, 110, 100),
            # Another name of the database, and another database.
            ({"name": "alias"}, 40, 30),
            ({"database": "other"}, 40, 0),
        ],
    )
    def test_the_pools_of_pgbouncer(self, row, role, database):
        shop, postgres = POOLER.databases
        rows = [{**shop, **row}, postgres]
        existing = [{"database": row["name"], "user": ROLE} for row in rows]
        console = replace(POOLER, databases=rows, pools=existing, here=frozenset(row["name"] for row in rows))
        limited = snapshot(replace(POSTGRESQL, role_limit=5, database_limit=5), console=console)
        results = {finding.code: finding.figures["needed"] for finding in found("postgresql", limited)}
        expected = {"connection_limit_role": role} | ({"connection_limit_database": database} if database else {})
        assert results == expected

    def test_all_users_share_the_limit_of_the_database_and_all_pgbouncers_that_of_the_role(self):
        first = replace(POOLER, pools=[*POOLER.pools, {"database": "shop", "user": "reports"}])
        elsewhere = replace(POOLER, key=3, here=frozenset())
        consoles = {1: first, 2: replace(POOLER, key=2), 3: elsewhere}
        limited = Snapshot(consoles, replace(POSTGRESQL, role_limit=5, database_limit=5), ODOO, Watch())
        assert [finding.figures["needed"] for finding in found("postgresql", limited)] == [80, 90]

    def test_a_silent_pgbouncer(self):
        silent = Console(2, "Silent", is_answering=False)
        limited = Snapshot({1: POOLER, 2: silent}, replace(POSTGRESQL, role_limit=40), ODOO, Watch())
        assert gaps("postgresql", limited, "connection_limit") == ["console"]
        assert found("postgresql", limited, "connection_limit") == []
        shared = snapshot(replace(POSTGRESQL, role_limit=40), console=replace(POOLER, is_shared_port=True))
        assert gaps("postgresql", shared, "connection_limit") == ["clients"]
        lower = replace(limited, postgresql=replace(POSTGRESQL, role_limit=39))
        assert [finding.level for finding in found("postgresql", lower, "connection_limit")] == ["warning"], "enough"


class TestMemory:
    # 9 transactions at once: 4 workers, 2 cron workers x 2, 1 of the gevent process.
    NEEDED = 1000 * 4 + 128 + 9 * 4

    def find(self, odoo=DIRECT, memory=NEEDED, connections=1000, **settings):
        options = {"memory": memory * MEGABYTE, "backend_memory": 4 * MEGABYTE, "usable": connections - 3}
        return find("memory", odoo, {"max_connections": connections, **settings}, **options)

    def test_all_connections_need_more_than_there_is(self):
        assert self.find() == []
        (finding,) = self.find(memory=self.NEEDED - 1)
        assert finding.level == "warning"
        assert lines(finding) == ["ALTER SYSTEM SET max_connections = 999;"]
        assert finding.steps[0].apply == "postgresql"
        assert self.find(memory=self.NEEDED - 1, connections=999) == []

    def test_queries_at_once(self):
        (finding,) = self.find(work_mem=5 * MEGABYTE)
        assert finding.figures == {"needed": 4173, "backend_memory": 4, "memory": 4164, "active": 9}

    def test_sizes_in_mebibytes(self):
        (finding,) = self.find(work_mem=5.25 * MEGABYTE)
        assert finding.evidence == {"max_connections": 1000, "shared_buffers": "128", "work_mem": "5.2"}

    def test_not_more_queries_than_connections(self):
        (finding,) = self.find(replace(DIRECT, hosts=100), memory=100, connections=50)
        assert finding.figures["active"] == 50

    def test_pools_limit_the_connections_first(self):
        (finding,) = self.find(ODOO, memory=self.NEEDED - 1)
        assert (finding.level, finding.steps) == ("hint", ())

    def test_no_value_is_proposed_that_is_too_small(self):
        # For Odoo, or for anybody.
        assert self.find(replace(DIRECT, hosts=30), memory=1000)[0].steps == ()
        assert self.find(memory=500)[0].steps == ()
