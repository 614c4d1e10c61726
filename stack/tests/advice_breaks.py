"""What breaks an installation, and what repairs it again: functions of the Installation."""

import contextlib
import time
from dataclasses import replace
from pathlib import Path

import psutil

from advised import ROUTE, History
from support import wait_until

HOUR = 3600
# More than three intervals of the sampler.
LATE_SECONDS = 200
# In a few minutes, so many make more than 600 per minute.
VISITORS = 3000
# Younger statistics have no average.
STATISTICS_SECONDS = 61
# bus_alt_connection has no address of its own.
NO_ALT = {"imdispatcher_db_host": "", "imdispatcher_db_port": ""}
# No backend has less.
BACKEND_MEMORY = 4 * 1024**2


@contextlib.contextmanager
def shifted(server, seconds):
    """Run a server whose clock is shifted."""
    environment = server.environment
    [library] = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    variables = {"LD_PRELOAD": str(library), "FAKETIME": str(seconds), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    server.environment = lambda: environment() | variables
    server.start()
    try:
        yield
    finally:
        server.stop()
        server.environment = environment


def set_route(databases=None, users=None, **settings):
    """Return a function that restarts Odoo's PgBouncer with another configuration."""

    def change(site):
        server = site.pgbouncers[ROUTE]
        server.databases = site.filled(databases or {})
        server.users = users or {}
        server.settings = {"default_pool_size": 20} | settings
        with site.suspended_odoo():
            server.kill()
            server.start()

    return change


def disable(site):
    site.pgbouncers[ROUTE].execute("DISABLE postgres")


def write_endpoint(name, **values):
    """Return a function that writes values of an endpoint: of PostgreSQL, or ROUTE."""

    def write(site):
        endpoint = site.own if name == "postgresql" else site.endpoints[name]
        filled = {key: value(site) if callable(value) else value for key, value in values.items()}
        site.client.call("connection.endpoint", "write", [endpoint], filled)

    return write


def password(site):
    """Return the password of Odoo's role: an endpoint forgets it when its address changes."""
    return site.passwords["odoo"]


def break_roles(site):
    """Odoo's role sees only its own sessions, which have limits; of a superuser nothing would be limited."""
    own = site.database
    reset_roles(site)
    site.postgresql.execute(
        "REVOKE pg_monitor FROM odoo",
        "ALTER ROLE odoo CONNECTION LIMIT 15",
        f"ALTER DATABASE {own} CONNECTION LIMIT 14",
        "ALTER ROLE odoo SET track_activities = off",
        f"ALTER ROLE odoo IN DATABASE {own} SET statement_timeout = '30s'",
        f"ALTER DATABASE {own} SET idle_in_transaction_session_timeout = '1min'",
        "ALTER ROLE odoo IN DATABASE postgres SET idle_session_timeout = '5min'",
    )
    site.end_sessions()


def reset_roles(site):
    """Undo what earlier remedies have set, and the timeouts of the server, which they outrank."""
    site.configure(idle_session_timeout=0, statement_timeout=0)
    site.postgresql.execute("SELECT pg_reload_conf()")
    scopes = ("ROLE odoo", f"ROLE odoo IN DATABASE {site.database}", "ROLE odoo IN DATABASE postgres")
    scopes += (f"DATABASE {site.database}",)
    site.postgresql.execute(*(f"ALTER {scope} RESET ALL" for scope in scopes))
    for limited in ("ROLE odoo", f"DATABASE {site.database}"):
        site.postgresql.execute(f"ALTER {limited} CONNECTION LIMIT -1")


def break_server(site):
    """PostgreSQL's own configuration, and a transaction that was prepared an hour ago."""
    postgresql = site.postgresql
    reset_roles(site)
    postgresql.stop()
    site.configure(superuser_reserved_connections=0, track_activities="off", max_prepared_transactions=5)
    site.configure(idle_session_timeout="'5min'", statement_timeout="'30s'")
    with shifted(postgresql, -HOUR):
        postgresql.execute("BEGIN", "CREATE TABLE of_shop ()", "PREPARE TRANSACTION 'it''s \"open\"'", dbname="shop")
    postgresql.start()
    postgresql.execute("ALTER ROLE odoo SUPERUSER")
    site.connect()


def fill_postgresql(most):
    """Return a function that gives PostgreSQL fewer connections, or more."""

    def change(site):
        site.configure(max_connections=most)
        site.restart_postgresql()

    return change


def break_pools(site):
    """More servers than PostgreSQL has connections, of which a tenth was used in the last week."""
    reset_roles(site)
    set_route(default_pool_size=400)(site)
    wait_until(lambda: len(site.pools(ROUTE)) == 2, 60)
    site.insert_history(site.endpoints[ROUTE], {site.database: History(), "postgres": History()})


def add_clients(site):
    """Other programs, whose clients share a pool. Odoo's pools are too small to be unused."""
    set_route({"shop": "{server} pool_size=20"}, default_pool_size=9)(site)
    site.cases[ROUTE] = replace(site.cases[ROUTE], clients=(("shop", "shop"),) * 25)


def fill_memory(site):
    fill_postgresql(psutil.virtual_memory().total // BACKEND_MEMORY)(site)


def restart_odoo(**options):
    def change(site):
        filled = {name: value(site) if callable(value) else value for name, value in options.items()}
        site.set_options(filled)
        site.restart_odoo()

    return change


def postgresql_port(site):
    return site.postgresql.port


def connect_through_route(**options):
    """Return a function that restarts Odoo with its PgBouncer."""
    return restart_odoo(db_port=lambda site: site.pgbouncers[ROUTE].port, **options)


def list_databases(site):
    """Many visitors' requests, each of which connects to the database postgres, for as long as statistics need."""
    site.postgresql.execute("SELECT pg_stat_reset()")
    started = time.monotonic()
    for _visitor in range(VISITORS):
        site.postgresql.connect("postgres", "odoo", site.passwords["odoo"]).close()
    time.sleep(max(0, STATISTICS_SECONDS - (time.monotonic() - started)))


def limit_statements(site):
    reset_roles(site)
    site.postgresql.execute(f"ALTER ROLE odoo IN DATABASE {site.database} SET statement_timeout = '5min'")


def upgrade_route(site):
    """Replace Odoo's PgBouncer by one of the newest version."""
    old, case = site.pgbouncers[ROUTE], replace(site.cases[ROUTE], version="1.26")
    server = site.new_pgbouncer(case)
    server.port = old.port
    with site.suspended_odoo():
        old.kill()
        site.cases[ROUTE], site.pgbouncers[ROUTE] = case, server.start()


def set_variables(**variables):
    """Return a function that sets Odoo's environment variables. They apply when it restarts."""

    def change(site):
        site.set_variables({name: str(value(site)) if callable(value) else value for name, value in variables.items()})

    return change


def add_twin(site):
    """A second endpoint for the PgBouncer that Odoo connects through."""
    values = site.endpoint_values(ROUTE, site.pgbouncers[ROUTE]) | {"name": "twin", "host": "127.0.0.1"}
    site.endpoints["twin"] = site.client.call("connection.endpoint", "create", values)


def remove_twin(site):
    site.client.call("connection.endpoint", "unlink", [site.endpoints.pop("twin")])


def add_other_database(site):
    """Another database with the addon, which Odoo's role uses."""
    site.postgresql.execute(f"CREATE DATABASE other TEMPLATE {site.template} OWNER odoo")
    site.other = site.postgresql.connect("other", "odoo", site.passwords["odoo"])


def remove_other_database(site):
    site.other.close()
    site.postgresql.execute("DROP DATABASE other WITH (FORCE)")


def do(*functions):
    """Return a function that calls functions."""

    def call(site):
        for function in functions:
            function(site)

    return call


def set_sampler(is_on):
    return lambda site: site.client.call("ir.cron", "write", [site.sampler], {"active": is_on})


def age_samples(site):
    """Make the sampler late: it has had time since Odoo started."""
    site.is_sampling = False
    time.sleep(max(0, LATE_SECONDS - (time.time() - site.odoo.process().create_time())))
    site.postgresql.execute(
        "UPDATE connection_reading SET sampled_at = sampled_at - interval '10 minutes'", dbname=site.database
    )


def sample_again(site):
    site.is_sampling = True


def install_queue_job(site):
    """Install queue_job, which Odoo loads from its next start on."""
    site.odoo.kill()
    options = ("--stop-after-init", "--no-http", "--workers=0", "--max-cron-threads=0")
    site.odoo.run("server", "-d", site.database, "-i", "queue_job", *options)
