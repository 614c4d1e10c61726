"""A PgBouncer with clients of every kind, monitored by an Odoo."""

import csv
import os
import subprocess

import psycopg2
from psycopg2.extras import wait_select

from servers import LOCALHOST, PgBouncer, free_port, make_folder


class Watched:
    """One PgBouncer with clients of every kind, and its endpoint in Odoo."""

    def __init__(self, suite, pair, root):
        self.suite = suite
        self.pair = pair
        self.socket_folder = make_folder(root / "socket", 0o777)
        target = f"host={LOCALHOST} port={pair.postgresql.port} dbname=shop"
        databases = {
            "small": f"{target} pool_size=1",
            "forced": f"{target} user=shop password={pair.passwords['shop']} reserve_pool=2",
        }
        self.server = PgBouncer(
            root,
            free_port(),
            pair.postgresql,
            pair.passwords,
            databases,
            {"unix_socket_dir": self.socket_folder, "query_wait_timeout": 60},
            suite,
        ).start()
        self.clients = {}

    def connect(self, name, dbname, user="shop", **options):
        client = psycopg2.connect(
            **{"host": LOCALHOST, "port": self.server.port, "connect_timeout": 5} | options,
            dbname=dbname,
            user=user,
            password=self.pair.passwords[user],
            application_name=name,
        )
        self.clients[name] = client
        return client

    def open_clients(self):
        """Open a client in a transaction, one that waits for a server, one of a forced user, one over a unix socket."""
        self.connect("holder", "small").cursor().execute("BEGIN; SELECT 1")
        waiter = self.connect("waiter", "small", async_=True, connect_timeout=None)
        wait_select(waiter)
        self.waiting = waiter.cursor()
        self.waiting.execute("SELECT 1")
        self.connect("forced", "forced", "odoo").cursor().execute("SELECT 1")
        self.connect("unix", "shop", host=str(self.socket_folder)).cursor().execute("SELECT 1")

    def psql(self, command, user=PgBouncer.stats):
        shown = subprocess.run(
            ["psql", "--no-psqlrc", "--csv", f"--host={LOCALHOST}", f"--port={self.server.port}"]
            + [f"--username={user}", f"--command={command}", "pgbouncer"],
            check=True,
            capture_output=True,
            text=True,
            timeout=10,
            env=dict(os.environ, PGPASSWORD=self.pair.passwords[user]),
        )
        return list(csv.DictReader(shown.stdout.splitlines()))

    def stop(self):
        for client in self.clients.values():
            client.close()
        self.server.stop()


def read_all(odoo, model, domain=()):
    """Return all rows as the list view loads them. There must be no warning."""
    fields = odoo.call(model, "fields_get", [], ["type"])
    specification = {name: {} for name in fields}
    result = odoo.call(model, "web_search_read", list(domain), specification)
    assert [notice for notice in result["reading"]["notices"] if notice["type"] != "info"] == []
    return result["records"]


def press(odoo, model, method, record_id):
    """Return the type and the message of the notification."""
    params = odoo.call(model, method, [record_id])["params"]
    return params["type"], params["message"]
