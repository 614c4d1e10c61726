"""A shop whose clients sell through the demo's PgBouncer: under load, and blocked by one of them."""

import os
import socket
import subprocess
import time

import psycopg2
from psycopg2.extras import wait_select

from servers import LOCALHOST, data_root, make_folder, postgresql_program, step

# `make load`: short sales of a few popular products. 60 clients share 20 server connections and wait for one; some
# that have one wait for a row.
LOAD_SECONDS = 180
LOAD_CLIENTS = 60
LOAD_SCRIPT = """\\set product random(1, 8)
BEGIN;
UPDATE stock SET quantity = quantity - 1 WHERE product = :product;
SELECT pg_sleep(0.05);
COMMIT;
"""

# `make block`: one client never commits its sale, and the others sell the same product.
BLOCK_SECONDS = 120
BLOCK_CLIENTS = 30
BLOCK_POOL_SIZE = 5


class Shop:
    """The clients of a Pair.

    :param str url: of the Overview, which shows them
    """

    def __init__(self, pair, url):
        self.url = url
        self.address = {"host": LOCALHOST, "port": pair.pgbouncer.port}
        self.login = {"user": "shop", "password": pair.passwords["shop"]}
        pair.postgresql.execute(
            "CREATE TABLE IF NOT EXISTS stock (product int PRIMARY KEY, quantity int)",
            "ALTER TABLE stock OWNER TO shop",
            "INSERT INTO stock SELECT product, 0 FROM generate_series(1, 8) AS product ON CONFLICT DO NOTHING",
            dbname="shop",
        )

    def load(self):
        """Run many clients that sell at the same time."""
        script = make_folder(data_root() / "load") / "sales.sql"
        script.write_text(LOAD_SCRIPT)
        step(f"{LOAD_CLIENTS} clients sell for {LOAD_SECONDS} s over 20 server connections. Watch them wait:")
        print(f"    {self.url}", flush=True)
        command = [postgresql_program("pgbench"), "--no-vacuum", f"--client={LOAD_CLIENTS}", "--jobs=2"]
        command += [f"--time={LOAD_SECONDS}", "--progress=10", f"--file={script}", "shop"]
        variables = {f"PG{name.upper()}": str(value) for name, value in (self.address | self.login).items()}
        subprocess.run(command, check=True, env=os.environ | variables)

    def block(self):
        """Run clients that are all blocked by one of them."""
        tills = []
        try:
            for _number in range(BLOCK_CLIENTS):
                tills.append(self.open_till())
            with socket.socket(fileno=os.dup(tills[0].connection.fileno())) as own_end:
                host, port = own_end.getsockname()
            step(
                f"{BLOCK_CLIENTS} clients on {BLOCK_POOL_SIZE} server connections, for {BLOCK_SECONDS} s. Find the one"
            )
            print(
                f"    that blocks the others: {self.url}, “Sessions waiting for a lock”\n    It is {host}:{port}",
                flush=True,
            )
            time.sleep(BLOCK_SECONDS)
        finally:
            for till in tills:
                till.connection.close()

    def open_till(self):
        """Return the cursor of a client that sells product 1 and never commits. The first one blocks the others."""
        till = psycopg2.connect(dbname="till", async_=True, **self.address, **self.login)
        wait_select(till)
        cursor = till.cursor()
        cursor.execute("BEGIN; UPDATE stock SET quantity = quantity - 1 WHERE product = 1")
        time.sleep(0.1)
        till.poll()
        return cursor
