"""What the tests share: servers, endpoints, programs, waiting."""

import contextlib
import os
import shutil
import subprocess
import time

from servers import LOCALHOST, STACK, Odoo, PgBouncer, free_port, postgresql_program


@contextlib.contextmanager
def starting_pgbouncers(pair, folder):
    """A function that starts one more PgBouncer before a pair's PostgreSQL: its Debian suite, lines of ``[databases]``,
    port, settings -> PgBouncer. All of them are stopped in the end."""
    started = []

    def new(suite=None, databases=None, port=None, **settings):
        server = PgBouncer(
            folder / f"pgbouncer{len(started)}",
            port or free_port(),
            pair.postgresql,
            pair.passwords,
            databases,
            settings,
            suite,
        )
        started.append(server)
        return server.start()

    yield new
    for server in started:
        server.stop()


def add_endpoint(client, pair, name, server, **values):
    return client.call(
        "connection.endpoint",
        "create",
        {
            "name": name,
            "host": LOCALHOST,
            "port": getattr(server, "port", server),
            "user": PgBouncer.stats,
            "password": pair.passwords[PgBouncer.stats],
        }
        | values,
    )


def wait_until(condition, seconds=10):
    """What a function says, as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (said := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return said


def run_program(name, server, *arguments, **options):
    """Run a client program of PostgreSQL's as the superuser: what it printed."""
    environment = {"PGHOST": LOCALHOST, "PGPORT": str(server.port), "PGUSER": "postgres", "PGPASSWORD": server.password}
    command = [postgresql_program(name), *arguments]
    return subprocess.run(
        command, env=os.environ | environment, check=True, capture_output=True, text=True, **options
    ).stdout


def restore(dump, pair, name):
    """Make a database of a dump."""
    pair.postgresql.execute(f"CREATE DATABASE {name} OWNER odoo")
    run_program("psql", pair.postgresql, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", name, input=dump)


def direct_odoo(pair, name, **options):
    """An Odoo on PostgreSQL's own port, without workers; not started."""
    folder = STACK / "test-odoo-direct" / name
    shutil.rmtree(folder, ignore_errors=True)
    options = pair.odoo_options() | {"db_port": pair.postgresql.port, "max_cron_threads": 0} | options
    return Odoo(folder, free_port(), free_port(), options)
