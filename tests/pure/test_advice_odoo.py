"""Rules about Odoo: what has the fault, what has not, and what cannot be judged."""

from dataclasses import replace

import pytest
from addon.advice.snapshot import Console, Odoo, PostgreSQL, Snapshot, Watch
from advising import found, gaps

ROLE = "odoo"
# An ordinary installation: two Odoo servers behind PgBouncer.
POOLER = Console(
    1,
    "Pooler",
    host="10.0.0.2",
    settings={"pool_mode": "transaction", "default_pool_size": "20"},
    databases=[{"name": "shop", "pool_size": 20}, {"name": "postgres", "pool_size": 10, "pool_mode": "session"}],
    here=frozenset(("shop", "postgres")),
    pools=[{"database": "shop", "user": ROLE}],
    is_of_odoo=True,
)
POSTGRESQL = PostgreSQL(
    version=150004,
    settings={"port": 5433},
    role=ROLE,
    host="10.0.0.3",
    usable=97,
    sessions=[],
    catalog_sessions=5,
)
ODOO = Odoo(database="shop", user=ROLE, is_pooled=True, route=1, hosts=2, workers=4, db_names=("shop",), cores=2)


def snapshot(odoo=ODOO, postgresql=POSTGRESQL, consoles=(POOLER,)):
    return Snapshot({console.key: console for console in consoles}, postgresql, odoo, Watch())


def test_an_ordinary_installation_has_no_finding():
    assert found("odoo", snapshot()) == []
    assert gaps("odoo", snapshot()) == []


DIRECT = replace(ODOO, is_pooled=False, route=None)


class TestPastPooler:
    def find(self, odoo=DIRECT, **options):
        return found("odoo", snapshot(odoo, consoles=[replace(POOLER, **options)]), "past_pooler")

    def test_the_pooler_that_has_the_database(self):
        (finding,) = self.find()
        assert (finding.level, finding.console, finding.databases) == ("warning", 1, ("shop",))
        assert finding.steps[0].lines == ("db_host = 10.0.0.2", "db_port = 6432")
        assert finding.evidence["db_port"] == "6432", "a port is no number, which would get separators"
        assert finding.steps[0].apply == "odoo"

    @pytest.mark.parametrize(
        ("here", "pools", "users", "is_found"),
        [
            (("shop", "postgres"), [("shop", ROLE)], [], True),
            (("shop", "postgres"), [("shop", "report"), ("shop", ROLE)], [], True),
            # A pooler of another program, whoever may log in there.
            (("shop", "postgres"), [("shop", "report")], [ROLE], False),
            (("shop", "postgres"), [("shop", "report"), ("postgres", ROLE)], [], False),
            # No pool yet: a user of its auth_file, or only that of auth_query, which may be anybody's.
            (("shop", "postgres"), [("other", "report")], ["report", ROLE], True),
            (("shop", "postgres"), [("other", "report")], ["report"], None),
            (("shop", "postgres"), [("shop", "login")], ["login"], None),
            # A line * is not reported before its first client.
            (("postgres",), [("postgres", ROLE)], [], True),
            (("postgres",), [("postgres", "report")], [ROLE], False),
            (("postgres",), [], [ROLE], True),
            (("postgres",), [], [], None),
            # Of another database.
            (("other", "postgres"), [("postgres", ROLE)], [ROLE], False),
            ((), [], [ROLE], False),
        ],
    )
    def test_whom_the_pooler_is_for(self, here, pools, users, is_found):
        options = {
            "here": frozenset(here),
            "pools": [{"database": name, "user": user} for name, user in pools],
            "users": [{"name": user} for user in users],
            "settings": POOLER.settings | {"auth_user": "login"},
        }
        shot = snapshot(DIRECT, replace(POSTGRESQL, usable=1), [replace(POOLER, **options)])
        assert bool(found("odoo", shot, "past_pooler")) is bool(is_found)
        assert gaps("odoo", shot, "past_pooler") == ["pools"] * (is_found is None)
        # Each says how many connections are too many, but one that Odoo should use has another finding.
        assert bool(found("odoo", shot, "direct_demand")) is not bool(is_found)

    def test_without_pgbouncer_there_is_nothing_to_connect_to(self):
        assert found("odoo", snapshot(DIRECT, consoles=[]), "past_pooler") == []

    def test_it_is_unknown_whether_a_silent_pgbouncer_has_the_database(self):
        silent = snapshot(DIRECT, consoles=[replace(POOLER, is_answering=False)])
        assert gaps("odoo", silent, "past_pooler") == ["console"]

    def test_the_route_of_odoo_is_unknown(self):
        assert gaps("odoo", snapshot(replace(ODOO, is_pooled=None)), "past_pooler") == ["postgresql"]


class TestDirectDemand:
    def find(self, usable=97, **options):
        odoo, postgresql = replace(DIRECT, **options), replace(POSTGRESQL, usable=usable)
        return found("odoo", snapshot(odoo, postgresql, consoles=[]), "direct_demand")

    def test_processes_that_have_work_need_more_than_postgresql_has(self):
        # 2 servers x (4 workers + 2 cron workers x 4 connections + 2 of the gevent process)
        (finding,) = self.find(usable=27)
        assert (finding.code, finding.level, finding.figures["expected"]) == ("direct_demand", "critical", 28)
        assert finding.evidence == {"usable": 27}, "hosts come and go"
        assert self.find(usable=28) == []

    def test_each_used_database_counts(self):
        used = [{"datname": name, "component": "odoo_worker"} for name in ("shop", "b", "c", None)]
        others = [{"datname": "d", "component": "interactive"}, {"datname": "postgres", "component": "odoo_listener"}]
        postgresql = replace(POSTGRESQL, usable=43, sessions=used + others)
        assert found("odoo", snapshot(DIRECT, postgresql, []), "direct_demand")[0].figures["expected"] == 44

    def test_the_ceiling_of_odoo_defaults_is_no_finding(self):
        assert 2 * 7 * ODOO.db_maxconn > 97
        assert self.find() == []

    def test_a_burst_fills_postgresql_from_a_threaded_server(self):
        (finding,) = self.find(workers=0, hosts=1, db_maxconn=300)
        assert (finding.code, finding.level) == ("direct_demand_threaded", "warning")
        assert finding.steps[0].lines == ("db_maxconn = 97",)
        assert self.find(workers=0, hosts=1, db_maxconn=97) == []

    def test_the_proposed_pools_fit_beside_those_of_job_runners(self):
        (finding,) = self.find(workers=0, has_job_runner=True, is_job_runner_pooled=False)
        assert finding.steps[0].lines == ("db_maxconn = 47",)
        assert self.find(workers=0, has_job_runner=True, is_job_runner_pooled=False, db_maxconn=47) == []

    @pytest.mark.parametrize(("is_alt_set", "proposed"), [(True, 96), (False, 97)])
    def test_the_proposed_pools_fit_beside_bus_alt_connection(self, is_alt_set, proposed):
        (finding,) = self.find(workers=0, hosts=1, db_maxconn=300, has_alt=True, is_alt_set=is_alt_set)
        assert finding.steps[0].lines == (f"db_maxconn = {proposed}",)

    def test_pools_that_would_be_too_small_are_not_proposed(self):
        # 10 requests, 2 cron threads and the dispatcher need 29.
        assert self.find(workers=0, hosts=1, usable=29)[0].steps[0].lines == ("db_maxconn = 29",)
        assert self.find(workers=0, hosts=1, usable=28)[0].steps == ()

    def test_behind_pgbouncer_its_pools_are_the_limit(self):
        assert found("odoo", snapshot(postgresql=replace(POSTGRESQL, usable=1)), "direct_demand") == []

    def test_another_rule_says_that_odoo_bypasses_pgbouncer(self):
        assert found("odoo", snapshot(DIRECT, replace(POSTGRESQL, usable=1)), "direct_demand") == []

    @pytest.mark.parametrize(
        ("odoo", "postgresql", "needs"),
        [
            ({"hosts": None}, {}, "clients"),
            ({"is_pooled": None}, {}, "postgresql"),
            ({}, {"usable": None}, "postgresql"),
            ({}, {"sessions": None}, "postgresql"),
        ],
    )
    def test_unknown(self, odoo, postgresql, needs):
        unknown = snapshot(replace(DIRECT, **odoo), replace(POSTGRESQL, **postgresql), [])
        assert gaps("odoo", unknown, "direct_demand") == [needs]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"db_maxconn": 4}, []),
        ({"db_maxconn": 3}, [("warning", "db_maxconn = 4")]),
        ({"db_maxconn": 2, "max_cron_threads": 0}, [("warning", "db_maxconn = 3")]),
        ({"db_maxconn_gevent": 3}, []),
        ({"db_maxconn_gevent": 2}, [("warning", "db_maxconn_gevent = 3")]),
        # A threaded server: 10 requests, 2 cron threads, the dispatcher.
        ({"workers": 0, "db_maxconn": 29}, []),
        ({"workers": 0, "db_maxconn": 28}, [("hint", "db_maxconn = 29")]),
        ({"workers": 0, "db_maxconn": 29, "db_maxconn_gevent": 1}, []),
    ],
)
def test_pool_of_odoo(options, expected):
    results = found("odoo", snapshot(replace(ODOO, **options)), "pool_of_odoo")
    assert [(finding.level, finding.steps[0].lines[0]) for finding in results] == expected
    assert all(finding.evidence["setting"] == finding.setting for finding in results)


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({}, None),
        ({"workers": 0}, [("workers = 5",)]),
        ({"workers": 0, "cores": None}, []),
        ({"workers": 0, "dev_mode": ("reload",)}, None),
        # Directly, 2 servers x (9 workers + 2 cron workers x 4 connections + 2 of the gevent process) = 38 of 38, and
        # those of 11 workers exceed what PostgreSQL has.
        ({"workers": 0, "is_pooled": False, "cores": 4}, [("workers = 9",)]),
        ({"workers": 0, "is_pooled": False, "cores": 5}, []),
        ({"workers": 0, "is_pooled": False, "hosts": None}, []),
    ],
)
def test_threaded(options, lines):
    results = found("odoo", snapshot(replace(ODOO, **options), replace(POSTGRESQL, usable=38)), "threaded")
    assert [finding.level for finding in results] == ([] if lines is None else ["hint"])
    assert [step.lines for finding in results for step in finding.steps] == (lines or [])


class TestBusAltConnection:
    MODULES = ("base", "web")
    LOADED = ("base", "web", "bus_alt_connection")
    WRONG = {"IMDISPATCHER_DB_HOST": "10.0.0.3", "IMDISPATCHER_DB_PORT": "5433"}  # noqa: RUF012
    LOAD = "server_wide_modules = base,web,bus_alt_connection"
    ADDRESS = ("imdispatcher_db_host = 10.0.0.3", "imdispatcher_db_port = 5433")
    TRANSACTION = replace(POOLER, databases=[])

    def find(self, console=TRANSACTION, postgresql=POSTGRESQL, **options):
        odoo = replace(ODOO, server_wide_modules=self.MODULES, **options)
        return found("odoo", snapshot(odoo, postgresql, [console]), "bus_alt_connection")

    @pytest.mark.parametrize(
        ("options", "code", "lines"),
        [
            ({"is_alt_set": True}, "bus_alt_connection", (LOAD,)),
            ({"alt_variables": WRONG}, "bus_alt_connection_variables", (LOAD, *ADDRESS)),
            ({"alt_variables": WRONG, "has_alt": True}, "bus_alt_connection_variables", ADDRESS),
            ({"has_alt": True}, "bus_alt_connection_unset", ADDRESS),
        ],
    )
    def test_without_effect(self, options, code, lines):
        (finding,) = self.find(**options)
        assert (finding.code, finding.level) == (code, "warning")
        assert [(step.place, step.lines, step.apply) for step in finding.steps] == [("odoo", lines, "odoo")]

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"has_alt": True, "is_alt_set": True},
            {"has_alt": True, "is_alt_set": True, "alt_variables": WRONG},
            # It connects like Odoo, where LISTEN works.
            {"has_alt": True, "is_pooled": False, "route": None},
            {"has_alt": True, "console": POOLER},
        ],
    )
    def test_as_it_should_be(self, options):
        assert self.find(**options) == []

    def test_the_mode_of_odoo_role_outranks_that_of_postgres(self):
        console = replace(POOLER, users=[{"name": ROLE, "pool_mode": "transaction"}])
        assert self.find(console, has_alt=True)[0].evidence == {"pool_mode": "transaction"}

    @pytest.mark.parametrize(("version", "is_found"), [((1, 22, 0), False), ((1, 23, 0), True)])
    def test_the_mode_of_a_forced_user(self, version, is_found):
        rows = [{"name": "postgres", "pool_mode": "session", "force_user": "forced"}]
        users = [{"name": "forced", "pool_mode": "transaction"}]
        console = replace(POOLER, version=version, databases=rows, users=users)
        assert bool(self.find(console, has_alt=True)) is is_found

    def test_without_the_address_of_postgresql_there_are_no_lines(self):
        for options in ({"host": None}, {"settings": {}}):
            assert self.find(postgresql=replace(POSTGRESQL, **options), has_alt=True)[0].steps == ()

    @pytest.mark.parametrize(
        ("odoo", "console", "needs"),
        [
            ({"route": None}, POOLER, "pgbouncer"),
            ({}, replace(POOLER, is_answering=False), "console"),
            ({}, replace(POOLER, settings={}, databases=[]), "setting"),
            ({"is_pooled": None}, POOLER, "postgresql"),
        ],
    )
    def test_unknown(self, odoo, console, needs):
        unknown = snapshot(replace(ODOO, has_alt=True, **odoo), consoles=[console])
        assert gaps("odoo", unknown, "bus_alt_connection") == [needs]


class TestJobRunner:
    POOLED = replace(ODOO, has_job_runner=True, is_job_runner_pooled=True)

    def find(self, console=POOLER, **options):
        return found("odoo", snapshot(replace(self.POOLED, **options), consoles=[console]), "job_runner")

    def test_in_transaction_mode(self):
        (finding,) = self.find()
        assert (finding.level, finding.console, finding.databases) == ("critical", 1, ("shop",))
        (step,) = finding.steps
        lines = ("jobrunner_db_host = 10.0.0.3", "jobrunner_db_port = 5433")
        assert (step.place, step.lines, step.apply) == ("queue_job", lines, "odoo")

    def test_its_environment_outranks_odoo_conf(self):
        (step,) = self.find(has_job_runner_section=False)[0].steps
        lines = ("ODOO_QUEUE_JOB_JOBRUNNER_DB_HOST=10.0.0.3", "ODOO_QUEUE_JOB_JOBRUNNER_DB_PORT=5433")
        assert (step.place, step.lines) == ("environment", lines)

    def test_postgresql_on_this_host(self):
        local = snapshot(self.POOLED, replace(POSTGRESQL, host=""))
        assert found("odoo", local, "job_runner")[0].steps[0].lines[0] == "jobrunner_db_host = 127.0.0.1"

    @pytest.mark.parametrize(
        ("host", "address"),
        [("10.0.0.2", ("10.0.0.2", 6432)), ("127.0.0.1", ("localhost", 6432)), ("/run", ("", 6432))],
    )
    def test_it_has_an_address_of_its_own_that_is_a_pgbouncer(self, host, address):
        assert self.find(replace(POOLER, host=host), route=None, job_runner=address)[0].console == 1

    def test_as_it_should_be(self):
        assert self.find(has_job_runner=False) == []
        assert self.find(is_job_runner_pooled=False) == []
        assert self.find(replace(POOLER, databases=[{"name": "shop", "pool_mode": "session"}])) == []

    @pytest.mark.parametrize(
        ("options", "needs"),
        [
            ({"is_job_runner_pooled": None}, "postgresql"),
            ({"is_job_runner_pooled": None, "job_runner": ("db.example", 5432)}, "runner_address"),
            ({"is_job_runner_pooled": None, "has_job_runner": False, "is_job_runner_elsewhere": True}, "runner"),
            ({"route": None}, "pgbouncer"),
            ({"job_runner": ("10.0.0.2", 6433)}, "pgbouncer"),
            ({"job_runner": ("10.0.0.9", 6432)}, "pgbouncer"),
            ({"job_runner": ("127.0.0.1", 6432)}, "pgbouncer"),
        ],
    )
    def test_unknown(self, options, needs):
        assert gaps("odoo", snapshot(replace(self.POOLED, **options)), "job_runner") == [needs]


class TestListOfDatabases:
    def find(self, sessions=60, used=(), **options):
        rows = [{"datname": name, "component": "odoo_worker"} for name in used]
        postgresql = replace(POSTGRESQL, catalog_sessions=sessions, sessions=rows)
        return found("odoo", snapshot(replace(DIRECT, **options), postgresql), "list_of_databases")

    @pytest.mark.parametrize("options", [{"dbfilter": "^shop$"}, {"db_names": ()}])
    def test_each_page_lists_the_databases(self, options):
        (finding,) = self.find(**options)
        assert (finding.code, finding.level) == ("list_of_databases", "hint")
        assert finding.steps[0].lines == ("dbfilter = ", "db_name = shop")

    def test_levels(self):
        levels = [[finding.level for finding in self.find(many, dbfilter="x")] for many in (59.9, 60, 599.9, 600)]
        assert levels == [[], ["hint"], ["hint"], ["warning"]]

    @pytest.mark.parametrize("options", [{"dbfilter": "^%d$"}, {"dbfilter": "%h"}, {"db_names": (), "used": ("b",)}])
    def test_a_choice_between_databases_cannot_be_replaced(self, options):
        (finding,) = self.find(**options)
        assert (finding.code, finding.steps) == ("list_of_databases_choice", ())

    def test_as_it_should_be(self):
        assert self.find() == []
        assert self.find(dbfilter="x", is_pooled=True) == []

    @pytest.mark.parametrize("options", [{"is_pooled": None}, {"sessions": None}])
    def test_unknown(self, options):
        sessions = options.pop("sessions", 60)
        unknown = snapshot(replace(DIRECT, dbfilter="x", **options), replace(POSTGRESQL, catalog_sessions=sessions))
        assert gaps("odoo", unknown, "list_of_databases") == ["postgresql"]

    @pytest.mark.parametrize(("version", "needs"), [(130000, "sessions"), (140000, "postgresql"), (None, "postgresql")])
    def test_postgresql_before_14_counts_no_sessions(self, version, needs):
        unknown = snapshot(replace(DIRECT, dbfilter="x"), replace(POSTGRESQL, version=version, catalog_sessions=None))
        assert gaps("odoo", unknown, "list_of_databases") == [needs]


@pytest.mark.parametrize(("error", "is_found"), [(None, False), ("", False), ("Connection refused", True)])
def test_replica(error, is_found):
    odoo = replace(ODOO, replica=("10.0.0.4", 5432), replica_error=error)
    results = found("odoo", snapshot(odoo), "replica")
    assert [(finding.level, finding.figures["error"]) for finding in results] == [("warning", error)] * is_found
    # An error in other words is no other finding.
    evidence = {"db_replica_host": "10.0.0.4", "db_replica_port": "5432"}
    assert [finding.evidence for finding in results] == [evidence] * is_found
