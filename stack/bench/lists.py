"""What each live list costs beside the bare command whose rows it shows, in one run: first with
1,000 clients in as many pools, on as many backends, then with 2,000. `make bench` prints
milliseconds on the server, the median and in brackets the minimum and maximum.
"""

import json
import os
import shutil
import statistics
import sys
from pathlib import Path

import psycopg2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from servers import LOCALHOST, MODULE, STACK, Odoo, Pair, PgBouncer, data_root, free_port, step

COUNTS = (1000, 2000)
MODELS = [f"pgbouncer.{name}" for name in ("pool", "client", "server", "database", "stat", "setting")]
DATABASE = "bench"
ROOT = data_root() / "bench"


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    shutil.rmtree(STACK / "bench-odoo", ignore_errors=True)
    ports = {"postgresql": free_port(), "pgbouncer": free_port()}
    pair = Pair(ROOT, ports, Pair.new_passwords())
    pair.postgresql.max_connections = max(COUNTS) + 100
    target = f"host={LOCALHOST} port={ports['postgresql']} dbname=shop"
    pair.pgbouncer.databases = {f"shop{number}": target for number in range(max(COUNTS))}
    pair.pgbouncer.settings = {"max_client_conn": 2 * max(COUNTS), "default_pool_size": 1}
    odoo = Odoo(STACK / "bench-odoo", free_port(), free_port(), pair.odoo_options() | {"db_port": ports["postgresql"]})
    output = STACK / "bench.json"
    clients = []
    try:
        pair.start()
        step(f"Installing {MODULE}")
        odoo.install(DATABASE)
        console = {"host": LOCALHOST, "port": ports["pgbouncer"]}
        login = {"user": PgBouncer.stats, "password": pair.passwords[PgBouncer.stats]}
        parameters = {
            "console": {"dbname": "pgbouncer", **console, **login},
            "endpoint": {"name": "Bench", **console, **login},
            "models": MODELS,
            "output": str(output),
        }
        os.environ["BENCH"] = json.dumps(parameters)
        script = (Path(__file__).parent / "lists_in_odoo.py").read_bytes()
        for count in COUNTS:
            step(f"Opening {count} pools")
            for number in range(len(clients), count):
                shop = psycopg2.connect(dbname=f"shop{number}", user="shop", password=pair.passwords["shop"], **console)
                shop.cursor().execute("SELECT 'a query of a shop, of the usual length, that somebody wants to read'")
                clients.append(shop)
            step("Measuring")
            odoo.run("shell", "-d", DATABASE, "--no-http", input=script)
            show(json.loads(output.read_text()))
    finally:
        for client in clients:
            client.close()
        pair.stop()


def show(results):
    print(f"{'':20}{'rows':>6}{'bare, ms':>24}{'list, first page, ms':>24}{'list, all rows, ms':>24}")
    for model, (rows, *measured) in results.items():
        columns = (
            f"{statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f})".rjust(24) for times in measured
        )
        print(f"{model:20}{rows:6}{''.join(columns)}", flush=True)


if __name__ == "__main__":
    main()
