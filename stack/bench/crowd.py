"""Servers with many pools, and an Odoo that monitors them, for the benchmarks."""

import json
import os
import shutil
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg2

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from servers import LOCALHOST, MODULE, STACK, Odoo, Pair, PgBouncer, data_root, free_port, step

DATABASE = "bench"
QUERY = "SELECT 'a query of a shop, of the usual length, that somebody wants to read'"


class Crowd:
    """Clients, each with its own pool and backend."""

    def __init__(self, size):
        root = data_root() / "bench"
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(STACK / "bench-odoo", ignore_errors=True)
        ports = {"postgresql": free_port(), "pgbouncer": free_port()}
        self.pair = Pair(root, ports, Pair.new_passwords())
        self.pair.postgresql.max_connections = size + 100
        target = f"host={LOCALHOST} port={ports['postgresql']} dbname=shop"
        self.databases = {f"shop{number}": target for number in range(size)}
        self.pair.pgbouncer.settings = {"max_client_conn": 2 * size, "default_pool_size": 1}
        options = self.pair.odoo_options() | {"db_port": ports["postgresql"], "db_name": DATABASE}
        self.odoo = Odoo(STACK / "bench-odoo", free_port(), free_port(), options | {"max_cron_threads": 0})
        login = {"user": PgBouncer.stats, "password": self.pair.passwords[PgBouncer.stats]}
        self.address = {"host": LOCALHOST, "port": ports["pgbouncer"]}
        self.endpoint = {"name": "Bench", **self.address, **login}
        self.console = {"dbname": "pgbouncer", **self.address, **login}
        self.clients = []

    def grow(self, count):
        """Open connections until there are ``count`` clients."""
        step(f"Opening {count} pools")
        self.pair.pgbouncer.databases = dict(list(self.databases.items())[:count])
        self.pair.pgbouncer.reload()
        time.sleep(1)  # the reload is a signal: nothing reports its end
        for number in range(len(self.clients), count):
            password = self.pair.passwords["shop"]
            client = psycopg2.connect(dbname=f"shop{number}", user="shop", password=password, **self.address)
            client.cursor().execute(QUERY)
            self.clients.append(client)

    @contextmanager
    def backends(self, count):
        """Keep more client backends open, without PgBouncer."""
        with ExitStack() as stack:
            for _number in range(count):
                stack.enter_context(closing(self.pair.postgresql.connect("shop")))
            yield

    def run_in_odoo(self, script, parameters):
        """Run a file of this folder in `odoo shell` and return its results.

        :param dict parameters: what ``measure.parameters`` will hold
        :return: what it passed to ``measure.finish``
        """
        folder, output = Path(__file__).parent, STACK / "bench.json"
        os.environ["BENCH"] = json.dumps(parameters | {"output": str(output)})
        # The shell cannot import from this folder, and only the shell has `env`.
        setup = f"import sys; sys.path.insert(0, {str(folder)!r}); import builtins; builtins.env = env\n"
        self.odoo.run("shell", "-d", DATABASE, "--no-http", input=(setup + (folder / script).read_text()).encode())
        return json.loads(output.read_text())


@contextmanager
def crowd(size):
    """Yield a Crowd that can grow to ``size``, with the module installed."""
    made = Crowd(size)
    try:
        made.pair.start()
        step(f"Installing {MODULE}")
        made.odoo.install(DATABASE)
        yield made
    finally:
        for client in made.clients:
            client.close()
        made.pair.stop()
