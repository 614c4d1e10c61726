"""Functions for the tests: servers, endpoints, programs, waiting."""

import contextlib
import os
import shutil
import subprocess
import time

from servers import LOCALHOST, STACK, Odoo, PgBouncer, free_port, postgresql_program


@contextlib.contextmanager
def starting_pgbouncers(pair, folder):
    """Yield a function that starts one more PgBouncer in front of a pair's PostgreSQL: Debian suite, lines of
    ``[databases]``, port, settings -> PgBouncer. All of them are stopped in the end."""
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

    try:
        yield new
    finally:
        for server in started:
            server.stop()


def add_endpoint(client, pair, name, server, **values):
    """Create the endpoint of a PgBouncer (or of a port) and return its id."""
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
    """Return the result of a function as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.1)
    return result


def run_program(name, server, *arguments, **options):
    """Run a client program of PostgreSQL as the superuser. Return its output."""
    environment = {"PGHOST": LOCALHOST, "PGPORT": str(server.port), "PGUSER": "postgres", "PGPASSWORD": server.password}
    command = [postgresql_program(name), *arguments]
    return subprocess.run(
        command, env=os.environ | environment, check=True, capture_output=True, text=True, **options
    ).stdout


def restore(dump, pair, name):
    """Create a database from a dump."""
    pair.postgresql.execute(f"CREATE DATABASE {name} OWNER odoo")
    run_program("psql", pair.postgresql, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", name, input=dump)


def direct_odoo(pair, name, **options):
    """Return an Odoo without workers that connects directly to PostgreSQL. It is not started."""
    folder = STACK / "test-odoo-direct" / name
    shutil.rmtree(folder, ignore_errors=True)
    options = pair.odoo_options() | {"db_port": pair.postgresql.port, "max_cron_threads": 0} | options
    return Odoo(folder, free_port(), free_port(), options)
