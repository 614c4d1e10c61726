"""The files of a plan, and which values they can hold."""

import re
from configparser import RawConfigParser
from dataclasses import replace
from random import Random

import pytest
from plans import CLASSIC, many_plans

from planner import bus_lines, configuration, demand, sizing, statements
from planner.inputs import AUTH, BUS, Inputs, Other
from planner.room import MONITORING
from planner.statements import AUTH_USER

PLAN = Inputs(workers=4, max_connections=200)


def files(**values):
    inputs = replace(PLAN, **values)
    return configuration.files(inputs, sizing.propose(inputs))


def settings(**values):
    inputs = replace(PLAN, **values)
    return configuration.settings(inputs, sizing.propose(inputs))


def section(text, name):
    """Return the lines of a section, without comments."""
    found = re.search(rf"^\[{name}\]\n(.*?)(^\[|\Z)", text, re.MULTILINE | re.DOTALL)[1]
    return dict(line.split(" = ", 1) for line in found.splitlines() if line and not line.startswith(";"))


def errors(**values):
    found = configuration.errors(replace(PLAN, **values))
    return [(finding.field, finding.reason.code.removeprefix("unwritable_")) for finding in found]


def test_every_plan_that_fits_has_files():
    fitting = 0
    for inputs in many_plans():
        proposal = sizing.propose(inputs)
        if proposal.figures["default_pool_size"].value is None:
            with pytest.raises(ValueError, match="no_room"):
                configuration.files(inputs, proposal)
            continue
        fitting += 1
        texts = configuration.files(inputs, proposal)
        assert all(text.endswith("\n") and "None" not in text for text in texts.values())
        databases = section(texts["pgbouncer.ini"], "databases")
        assert list(databases) == ["postgres", *(inputs.db_names or ["*"])]
        assert "pool_mode=session" in databases["postgres"]
        assert section(texts["pgbouncer.ini"], "pgbouncer") == configuration.settings(inputs, proposal)
    assert fitting > 50


def allowed(inputs, text):
    """Return how many servers a pgbouncer.ini allows in all PgBouncers of a plan, and the sizes of the pools."""
    sizes, lines = section(text, "pgbouncer"), section(text, "databases")
    postgres = dict(re.findall(r"(\w+)=(\d+)", lines.pop("postgres")))
    databases = inputs.databases if "*" in lines else max(inputs.databases, len(lines))
    each = int(postgres["max_db_connections"]) + databases * int(sizes["max_db_connections"])
    return inputs.pgbouncers * each, int(sizes.get("default_pool_size", 20)), int(postgres["pool_size"])


def check_limits(inputs):
    """Check that what the files allow, and what connects directly, is within the limit, and that nothing waits for
    itself. Return whether there are files."""
    proposal = sizing.propose(inputs)
    if proposal.figures["default_pool_size"].value is None:
        return False
    pooled, size, postgres = allowed(inputs, configuration.files(inputs, proposal)["pgbouncer.ini"])
    parts = demand.components(inputs)
    outside = sum(part.ceiling for part in parts if not part.is_pooled) + MONITORING
    limit = inputs.max_connections - inputs.superuser_reserved_connections - inputs.reserved_connections
    assert pooled + outside <= limit, inputs
    assert pooled + outside == proposal.pooled["ceiling"], inputs
    servers = -(-inputs.servers // inputs.pgbouncers)
    assert size > servers * inputs.max_cron_threads * demand.JOB_CONNECTIONS, inputs
    listeners = sum(part.listeners for part in parts if part.is_pooled) // inputs.servers
    assert postgres > servers * listeners, inputs
    return True


def test_the_classic_case_fits_into_its_100_connections():
    assert check_limits(CLASSIC)
    assert check_limits(replace(CLASSIC, cores=8))


@pytest.mark.parametrize(
    "changes",
    [
        {"servers": 5, "workers": 20, "pgbouncers": 5, "cores": 8, "db_maxconn": 32},
        {"servers": 3, "pgbouncers": 2, "cores": 2, "max_connections": 60},
        {"db_names": ("shop", "shop", "postgres"), "cores": 8},
    ],
)
def test_the_files_stay_within_the_limit(changes):
    assert check_limits(replace(PLAN, **changes))


def test_files_of_random_plans_stay_within_the_limit():
    random, fitting = Random(7), 0
    for _number in range(2_000):
        names = random.choices(("shop", "test", "postgres", "x"), k=random.randint(0, 4))
        inputs = Inputs(
            servers=random.randint(1, 12),
            workers=random.choice((0, 2, 4, 20)),
            max_cron_threads=random.randint(0, 4),
            gevent_connections=random.randint(0, 3),
            databases=random.randint(1, 3),
            db_names=tuple(names),
            db_maxconn=random.choice((2, 8, 64)),
            has_queue_job=random.random() < 0.3,
            others=random.choice(((), (Other("backup", 2), Other("reports", 3, is_pooled=True)))),
            max_connections=random.choice((100, 200, 400, 1_000)),
            reserved_connections=random.randint(0, 3),
            cores=random.choice((None, 2, 8)),
            peak_busy=random.choice((None, 30)),
            pgbouncers=random.randint(1, 6),
            version=random.choice((15, 18, 19, 24, 26)),
            bus=random.choice(BUS),
            auth=random.choice(AUTH),
        )
        fitting += check_limits(inputs)
    assert fitting > 500


def test_names_of_files():
    common = ["pgbouncer.ini", "roles.sql", "userlist.sql", "limits.conf", "odoo.conf"]
    assert list(files()) == [*common, "nginx.conf"]
    assert list(files(workers=0)) == common
    service = files(bus="service", auth="auth_query", workers=0)
    assert list(service) == [
        *("pgbouncer.ini", "roles.sql", "auth_query.sql", "userlist.sql", "limits.conf", "odoo.conf"),
        *("odoo-bus.service", "nginx.conf"),
    ]


def test_no_password_is_in_a_file():
    """Not even a random one: the files are always the same, and name passwords only in these words."""
    for auth in ("userlist", "auth_query"):
        texts = files(auth=auth, bus="service", has_queue_job=True)
        assert texts == files(auth=auth, bus="service", has_queue_job=True)
        words = {word for text in texts.values() for word in re.findall(r"\bPASSWORD\s+(\S+)", text)}
        assert words <= {"%L',", "NULL,"}
        secrets = [secret for text in texts.values() for secret in re.findall(r"SCRAM-SHA-256\$[^%]|md5[0-9a-f]", text)]
        assert secrets == []
        assert not any(re.search(r"_password\s*=", text) for text in texts.values())


def test_how_statements_are_run():
    """As the user of PgBouncer, and as a superuser of the PostgreSQL that is planned."""
    for host, words in (
        ("127.0.0.1", "-p 5433"),
        ("localhost", "-p 5433"),
        ("/run/it's", "-h '/run/it'\"'\"'s' -p 5433"),
        ("db.example.com", "-h db.example.com -p 5433"),
    ):
        values = {"db_host": host, "db_port": 5433}
        command = statements.command(replace(PLAN, **values), "roles.sql")
        assert command == f"sudo -u postgres psql -X -v ON_ERROR_STOP=1 {words} -U postgres -d postgres < roles.sql"
        for name, text in files(**values, auth="auth_query").items():
            if name.endswith(".sql"):
                assert text.startswith(f"-- On the host of PgBouncer: {command.replace('roles.sql', name)}\n")


def test_what_is_a_default_is_left_out():
    assert "reserve_pool_size" in settings()
    proposal = sizing.propose(CLASSIC)
    assert proposal.figures["reserve_pool_size"].value == 0
    assert "reserve_pool_size" not in configuration.settings(CLASSIC, proposal)
    assert "reserve" not in configuration.files(CLASSIC, proposal)["pgbouncer.ini"]


@pytest.mark.parametrize(("version", "name"), [(15, "reserve_pool"), (23, "reserve_pool"), (24, "reserve_pool_size")])
def test_the_pool_of_postgres_has_no_reserve(version, name):
    assert f" {name}=0 " in files(version=version)["pgbouncer.ini"]


def test_a_limit_of_all_databases_does_not_shrink_the_pool_of_postgres():
    """Neither by the login of auth_query's user, which needs a connection more."""
    for auth, more in (("userlist", 0), ("auth_query", 1)):
        line = section(files(auth=auth)["pgbouncer.ini"], "databases")["postgres"]
        size, most = (int(re.search(rf"\b{name}=(\d+)", line)[1]) for name in ("pool_size", "max_db_connections"))
        assert most == size + more


def test_database_postgres_has_one_line():
    text = files(db_names=("b", "postgres", "a", "b"))["pgbouncer.ini"]
    assert re.findall(r"^(\w+) = host", text, re.MULTILINE) == ["postgres", "b", "a"]


def test_secrets_that_are_written():
    """auth_query finds that of Odoo's role, but not that of a user of the console."""
    for auth, names in (("userlist", "'odoo_monitor', 'odoo'"), ("auth_query", "'odoo_monitor'")):
        text = files(auth=auth)["userlist.sql"]
        assert "ARRAY['odoo_monitor', 'odoo']" in text, "both must have one"
        assert re.findall(r"rolname IN \((.*?)\)", text) == [names]


def test_a_second_run_keeps_the_password_of_auth_query():
    """It stops where userlist.txt does not have it: see the tests with servers."""
    text = files(auth="auth_query")["userlist.sql"]
    assert "\\if :is_elsewhere" in text
    assert text.count("\\if") == text.count("\\endif")
    assert "\\if :is_elsewhere" not in files()["userlist.sql"]


def test_auth_query_by_version():
    for version, dbname in ((15, None), (18, None), (19, "postgres"), (26, "postgres")):
        values = settings(version=version, auth="auth_query")
        assert values.get("auth_dbname") == dbname
        assert values["auth_user"] == AUTH_USER
    text = files(version=18, auth="auth_query", db_names=("a", "b"))["auth_query.sql"]
    assert re.findall("dbname=(.*)|CREATE OR REPLACE (FUNCTION)", text) == [
        *(("", "FUNCTION"), ("a", ""), ("", "FUNCTION"), ("b", ""), ("", "FUNCTION"))
    ]
    assert "Repeat this in each business database" in files(version=18, auth="auth_query")["auth_query.sql"]
    assert files(auth="auth_query", db_names=("a", "b"))["auth_query.sql"].count("CREATE OR REPLACE") == 1
    assert "auth_query" not in settings()


def test_where_pgbouncer_listens():
    for host, address in (("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("localhost", "localhost")):
        assert settings(pgbouncer_host=host)["listen_addr"] == address
    for host in ("pool.example.com", "192.0.2.1"):
        assert settings(pgbouncer_host=host)["listen_addr"] == "*"
    for host in ("/run/pool", "@pool"):
        values = settings(pgbouncer_host=host)
        assert values["unix_socket_dir"] == host
        assert "listen_addr" not in values


def test_direct_address():
    """What connects directly cannot use an address of the other host's own."""
    for db_host, pgbouncer_host, direct in (
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("/var/run/postgresql", "localhost", "/var/run/postgresql"),
        ("127.0.0.1", "db.example.com", "db.example.com"),
        ("/var/run/postgresql", "192.0.2.1", "192.0.2.1"),
        ("db.example.com", "127.0.0.1", "db.example.com"),
    ):
        inputs = replace(PLAN, db_host=db_host, pgbouncer_host=pgbouncer_host, db_port=5433)
        assert configuration.direct_address(inputs) == (direct, 5433)
        parser = RawConfigParser()
        queued = replace(inputs, has_queue_job=True)
        parser.read_string(configuration.files(queued, sizing.propose(queued))["odoo.conf"])
        assert dict(parser["queue_job"]) == {"jobrunner_db_host": direct, "jobrunner_db_port": "5433"}
        assert "jobrunner" not in configuration.files(inputs, sizing.propose(inputs))["odoo.conf"]


def test_odoo():
    parser = RawConfigParser()
    parser.read_string(files(db_user="50% #;=é", bus="alt", has_queue_job=True, pgbouncer_host="/run/a b")["odoo.conf"])
    assert dict(parser["options"]) == {
        "db_host": "/run/a b",
        "db_port": "6432",
        "db_user": "50% #;=é",
        "db_sslmode": "prefer",
        "server_wide_modules": "base,rpc,web,queue_job,bus_alt_connection",
        "imdispatcher_db_host": "127.0.0.1",
        "imdispatcher_db_port": "5432",
    }
    assert dict(parser["queue_job"]) == {"jobrunner_db_host": "127.0.0.1", "jobrunner_db_port": "5432"}
    parser = RawConfigParser()
    parser.read_string(files()["odoo.conf"])
    assert list(parser["options"]) == ["db_host", "db_port", "db_user", "db_sslmode"]
    assert parser.sections() == ["options"]


def test_the_bus_of_its_own_has_a_port_of_its_own():
    assert "proxy_pass http://127.0.0.1:8072;" in files()["nginx.conf"]
    texts = files(bus="service", db_host="/run/50% of $it")
    assert "proxy_pass http://127.0.0.1:8073;" in texts["nginx.conf"]
    command = re.search(r"^ExecStart=(.*)$", texts["odoo-bus.service"], re.MULTILINE)[1]
    assert command == (
        '/usr/bin/odoo gevent -c /etc/odoo/odoo.conf --gevent-port=8073 "--db_host=/run/50%% of $$it" --db_port=5432'
    )


def test_words_of_a_unit():
    assert bus_lines.service_line(["a-b", 'it\'s "x"', "a\\b", "--c=100%"]) == (
        'a-b "it\'s \\"x\\"" "a\\\\b" "--c=100%%"'
    )


def test_limit_of_file_descriptors():
    inputs = replace(PLAN)
    limit = sizing.propose(inputs).figures["file_descriptors"].value
    assert f"[Service]\nLimitNOFILE={limit}\n" in files()["limits.conf"]


def test_names_are_quoted_in_statements():
    texts = files(db_user="o'd\"o", stats_user="m'o\"n")
    assert "rolname IN ('m''o\"n', 'o''d\"o')" in texts["userlist.sql"]
    assert texts["roles.sql"].endswith('\n\\if :is_new \\password "m\'o""n" \\endif\n')
    assert "Add the roles of other programs" not in texts["userlist.sql"]
    others = (Other("psql", 1, is_pooled=True),)
    assert "Add the roles of other programs" in files(others=others)["userlist.sql"]
    assert "Add the roles" not in files(others=others, auth="auth_query")["userlist.sql"]


def test_hosts_are_quoted():
    line = section(files(db_host="/run/it's")["pgbouncer.ini"], "databases")["*"]
    assert line == "host='/run/it''s' port=5432"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("db_user", "", "empty"),
        ("db_user", "a\nb", "control"),
        ("db_user", "a\x7fb", "control"),
        ("db_user", " odoo", "blank"),
        ("db_user", "None", "literal"),
        ("db_user", "é" * 32, "long"),
        ("stats_user", "x" * 64, "long"),
        ("stats_user", "a b", "list"),
        ("stats_user", "a,b", "list"),
        ("db_host", "a,b", "list"),
        ("pgbouncer_host", "host ", "blank"),
        ("db_names", ("my shop",), "characters"),
        ("db_names", ("größe",), "characters"),
        ("db_names", ("*",), "characters"),
        ("db_names", ("",), "characters"),
        ("db_names", ("pgbouncer",), "console"),
        ("db_names", ("x" * 64,), "long"),
        ("db_user", "\ud800", "surrogate"),
        ("stats_user", "a\udfff", "surrogate"),
        ("db_host", "\udbff", "surrogate"),
        ("pgbouncer_host", "\udc00", "surrogate"),
        ("db_names", ("\ud800",), "characters"),
        ("pgbouncer_port", 5432, "address"),
        ("gevent_port", 8069, "http_port"),
    ],
)
def test_what_cannot_be_written(field, value, code):
    assert errors(**{field: value}) == [(field, code)]
    with pytest.raises(ValueError, match=f"unwritable_{code}"):
        files(**{field: value})


@pytest.mark.parametrize(
    ("db_host", "pgbouncer_host", "is_same"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("/var/run/postgresql", "127.0.0.1", True),
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "db.example.com", True),
        ("/var/run/postgresql", "192.0.2.1", True),
        ("db.example.com", "db.example.com", True),
        ("db.example.com", "127.0.0.1", False),
        ("db.example.com", "pool.example.com", False),
    ],
)
def test_a_port_serves_one_of_both_on_a_host(db_host, pgbouncer_host, is_same):
    """PgBouncer listens on all addresses for other hosts, and PostgreSQL runs on its host if its address is local."""
    hosts = {"db_host": db_host, "pgbouncer_host": pgbouncer_host}
    assert errors(**hosts, pgbouncer_port=5432) == ([("pgbouncer_port", "address")] if is_same else [])
    assert errors(**hosts) == []


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"gevent_port": 65535}, None),
        ({"gevent_port": 65535, "bus": "service"}, "bus_port"),
        ({"gevent_port": 8073, "http_port": 8073}, "http_port"),
        ({"gevent_port": 8073, "http_port": 8073, "workers": 0}, None),  # it has no gevent process
        ({"gevent_port": 8073, "http_port": 8073, "workers": 0, "bus": "service"}, None),
        ({"http_port": 8073}, None),
        ({"http_port": 8073, "bus": "service"}, "http_port"),
        ({"http_port": 8073, "bus": "service", "workers": 0}, "http_port"),
    ],
)
def test_the_port_of_the_bus(values, code):
    assert errors(**values) == ([("gevent_port", code)] if code else [])


def test_what_can_be_written():
    assert errors(db_user="x" * 63, stats_user="é'\"%;#=", db_host="/run/a b", db_names=("2024_shop-a.b*", "-")) == []
    assert errors(db_user="o d,o") == []


def test_old_versions_read_shorter_names_in_userlist():
    for version, expected in ((17, [("db_user", "quotes")]), (18, [])):
        assert errors(db_user="x" * 62 + '"', version=version) == expected
    assert errors(db_user="x" * 61 + '"', version=15) == []
