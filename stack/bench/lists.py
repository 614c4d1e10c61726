"""What a live list costs beside the bare command whose rows it shows, in one run.

1,000 clients in 1,000 pools hold 1,000 backends. `make bench` prints the milliseconds on the
server: minimum, median and maximum.
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

COUNT = 1000
DATABASE = "bench"
ROOT = data_root() / "bench"


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    shutil.rmtree(STACK / "bench-odoo", ignore_errors=True)
    ports = {"postgresql": free_port(), "pgbouncer": free_port()}
    pair = Pair(ROOT, ports, Pair.new_passwords())
    pair.postgresql.max_connections = COUNT + 100
    target = f"host={LOCALHOST} port={ports['postgresql']} dbname=shop"
    pair.pgbouncer.databases = {f"shop{number}": target for number in range(COUNT)}
    pair.pgbouncer.settings = {"max_client_conn": 2 * COUNT, "default_pool_size": 1}
    odoo = Odoo(STACK / "bench-odoo", free_port(), free_port(), pair.odoo_options() | {"db_port": ports["postgresql"]})
    output = STACK / "bench.json"
    clients = []
    try:
        pair.start()
        step(f"Installing {MODULE}")
        odoo.install(DATABASE)
        step(f"Opening {COUNT} pools")
        console = {"host": LOCALHOST, "port": ports["pgbouncer"]}
        for number in range(COUNT):
            shop = psycopg2.connect(dbname=f"shop{number}", user="shop", password=pair.passwords["shop"], **console)
            shop.cursor().execute("SELECT 'a query of a shop, of the usual length, that somebody wants to read'")
            clients.append(shop)
        login = {"user": PgBouncer.stats, "password": pair.passwords[PgBouncer.stats]}
        parameters = {
            "console": {"dbname": "pgbouncer", **console, **login},
            "endpoint": {"name": "Bench", **console, **login},
            "output": str(output),
        }
        os.environ["BENCH"] = json.dumps(parameters)
        script = (Path(__file__).parent / "lists_in_odoo.py").read_bytes()
        step("Measuring")
        odoo.run("shell", "-d", DATABASE, "--no-http", input=script)
    finally:
        for client in clients:
            client.close()
        pair.stop()
    print(f"{'':24}{'rows':>6}{'min':>9}{'median':>9}{'max':>9}   ms")
    for title, (rows, times) in json.loads(output.read_text()).items():
        print(f"{title:24}{rows:6}{min(times):9.1f}{statistics.median(times):9.1f}{max(times):9.1f}")


if __name__ == "__main__":
    main()
