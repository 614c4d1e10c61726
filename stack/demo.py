"""The demo: a watched Odoo behind PgBouncer. ``demo.py start|stop|clean|load|block``.

Ports and passwords are chosen once, kept in .stack/demo.json and written for a shell to
.stack/demo.env.
"""

import argparse
import json
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time

import psycopg2
import requests
from psycopg2.extras import wait_select

from servers import (
    LOCALHOST,
    MODULE,
    STACK,
    Nginx,
    Odoo,
    Pair,
    PgBouncer,
    ServerError,
    data_root,
    free_port,
    make_folder,
    postgresql_program,
    step,
)

STATE = STACK / "demo.json"
ENVIRONMENT = STACK / "demo.env"
PASSFILE = STACK / "demo.pgpass"
DATABASE = "demo"
PORTS = {"postgresql": 25432, "pgbouncer": 26432, "odoo": 28069, "gevent": 28072, "nginx": 28080}

# What `make load` runs: short sales of a few popular products. 60 clients on 20 server
# connections wait for a connection, and some of those that have one for a row.
LOAD_SECONDS = 180
LOAD_CLIENTS = 60
LOAD_SCRIPT = """\\set product random(1, 8)
BEGIN;
UPDATE stock SET quantity = quantity - 1 WHERE product = :product;
SELECT pg_sleep(0.05);
COMMIT;
"""

# What `make block` runs: a till that forgets to end its sale, and others that want its product.
BLOCK_SECONDS = 120
BLOCK_CLIENTS = 30
BLOCK_POOL_SIZE = 5

# Runs in `odoo shell`, after installation and whenever a port had to change.
SETUP = """
admin = env.ref("base.user_admin")
admin.password = {password!r}
admin.notification_type = "inbox"  # there is no mail server
endpoint = env["connection.endpoint"].search([("name", "=", "Demo PgBouncer")])
values = {endpoint!r}
if endpoint:
    endpoint.write(values)
else:
    endpoint = endpoint.create(values)
endpoint.action_test()
env.cr.commit()
"""


class Demo:
    """The demo's servers, as its state file describes them."""

    def __init__(self):
        state = json.loads(STATE.read_text()) if STATE.exists() else {}
        self.ports = state.get("ports") or {name: free_port(port) for name, port in PORTS.items()}
        self.passwords = state.get("passwords") or Pair.new_passwords()
        self.admin_password = state.get("admin_password") or secrets.token_urlsafe(9)
        # The ports that Odoo's endpoint was set up for; None before the installation is complete.
        self.installed_for = state.get("installed_for")
        self.make_servers()

    def make_servers(self):
        root, ports = data_root() / "demo", self.ports
        till = f"host={LOCALHOST} port={ports['postgresql']} dbname=shop pool_size={BLOCK_POOL_SIZE}"
        self.pair = Pair(root, ports, self.passwords, {"till": till})
        self.odoo = Odoo(
            STACK / "demo-odoo",
            ports["odoo"],
            ports["gevent"],
            self.pair.odoo_options() | {"db_name": DATABASE, "workers": 2, "max_cron_threads": 1, "proxy_mode": True},
        )
        self.nginx = Nginx(root / "nginx", ports["nginx"], ports["odoo"], ports["gevent"])
        self.servers = [self.pair.postgresql, self.pair.pgbouncer, self.odoo, self.nginx]
        self.url = f"http://{LOCALHOST}:{ports['nginx']}"

    def save(self):
        STATE.touch(mode=0o600)
        names = ("ports", "passwords", "admin_password", "installed_for")
        STATE.write_text(json.dumps({name: getattr(self, name) for name in names}))

    def write_environment(self):
        variables = {
            "ODOO_URL": self.url,
            "ODOO_DB": DATABASE,
            "ODOO_LOGIN": "admin",
            "ODOO_PASSWORD": self.admin_password,
        } | self.pair.environment(PASSFILE)
        ENVIRONMENT.touch(mode=0o600)
        ENVIRONMENT.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()))

    def start(self):
        if all(server.process() for server in self.servers):
            print("The demo is running already.")
            return self.explain()
        self.stop_servers()  # what is left of a demo that lost a part
        ports = {name: free_port(port) for name, port in self.ports.items()}
        if ports != self.ports:
            self.ports = ports
            self.make_servers()
        self.save()
        self.write_environment()

        step(f"Starting PostgreSQL (port {self.ports['postgresql']})")
        self.pair.postgresql.start()
        self.pair.create_roles()
        # Odoo's role sees all sessions, and may end them.
        self.pair.postgresql.execute("GRANT pg_monitor, pg_signal_backend TO odoo")
        step(f"Starting PgBouncer (port {self.ports['pgbouncer']})")
        self.pair.pgbouncer.start()
        if not self.installed_for:
            step(f"Creating the database {DATABASE!r} with {MODULE} (about a minute)")
            self.pair.postgresql.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
            self.odoo.install(DATABASE)
        else:
            step(f"Updating {MODULE} to this checkout")
            self.odoo.install(DATABASE, "-u")
        if self.installed_for != self.ports:
            step("Setting up the PgBouncer endpoint and the administrator's password")
            self.set_up()
        step("Starting Odoo (2 HTTP workers, 1 cron worker, the gevent process) and nginx")
        self.odoo.start()
        self.nginx.start()
        self.wait_for_login()
        return self.explain()

    def set_up(self):
        endpoint = {
            "name": "Demo PgBouncer",
            "responsible_id": 2,
            "host": LOCALHOST,
            "port": self.ports["pgbouncer"],
            "user": PgBouncer.stats,
            "password": self.passwords[PgBouncer.stats],
        }
        script = SETUP.format(password=self.admin_password, endpoint=endpoint)
        self.odoo.run("shell", "-d", DATABASE, "--no-http", "--workers=0", input=script.encode())
        self.installed_for = self.ports
        self.save()

    def wait_for_login(self):
        """Until the password works through nginx: what the newcomer will do next."""
        login = {"db": DATABASE, "login": "admin", "password": self.admin_password}
        session = requests.Session()
        session.trust_env = False  # no proxy stands between us and this machine
        deadline = time.monotonic() + 60
        while True:
            try:
                answer = session.post(f"{self.url}/web/session/authenticate", json={"params": login}, timeout=30)
                if answer.ok:
                    break
                problem = f"HTTP status {answer.status_code}"
            except requests.RequestException as error:
                problem = str(error)
            if time.monotonic() > deadline:
                raise ServerError(f"Odoo does not answer: {problem}.\n{self.odoo.last_words()}")
            time.sleep(0.5)
        if "error" in answer.json():
            raise ServerError(f"Odoo refuses the demo's password.\n{self.odoo.last_words()}")

    def explain(self):
        print(
            f"""
  {self.url}/odoo/connection-overview
  login admin, password {self.admin_password}

Look first at
  {self.url}/odoo/connection-overview  how near all is to its limits, and who it is
  {self.url}/odoo/pgbouncer-pools      the pools of PgBouncer
  {self.url}/odoo/pg-sessions          the sessions of PostgreSQL
  {self.url}/odoo/listen-check         whether Odoo's bus and cron workers hear
(in the menu: Settings > Technical > Database Connections, in developer mode), then run
`make load` and watch clients wait, or `make block` and find who blocks them. `make stop` ends
the demo, `make clean` removes its data.
For a shell: . {os.path.relpath(ENVIRONMENT)}
"""
        )

    def stop(self):
        if not any(server.process() for server in self.servers):
            print("The demo is not running.")
        self.stop_servers()

    def stop_servers(self):
        for server in reversed(self.servers):
            if server.process():
                step(f"Stopping {server.name}")
                server.stop()

    def clean(self):
        self.stop_servers()
        for path in (data_root() / "demo", data_root() / "load", STACK / "demo-odoo"):
            shutil.rmtree(path, ignore_errors=True)
        for path in (STATE, ENVIRONMENT, PASSFILE):
            path.unlink(missing_ok=True)

    def open_shop(self):
        if not all(server.process() for server in self.servers):
            sys.exit("The demo is not running: run `make demo` first.")
        self.pair.postgresql.execute(
            "CREATE TABLE IF NOT EXISTS stock (product int PRIMARY KEY, quantity int)",
            "ALTER TABLE stock OWNER TO shop",
            "INSERT INTO stock SELECT product, 0 FROM generate_series(1, 8) AS product ON CONFLICT DO NOTHING",
            dbname="shop",
        )

    def load(self):
        self.open_shop()
        folder = make_folder(data_root() / "load")
        script = folder / "sales.sql"
        script.write_text(LOAD_SCRIPT)
        step(f"{LOAD_CLIENTS} clients sell for {LOAD_SECONDS} s over 20 server connections. Watch them wait:")
        print(f"    {self.url}/odoo/connection-overview", flush=True)
        subprocess.run(
            [
                postgresql_program("pgbench"),
                "--no-vacuum",
                f"--client={LOAD_CLIENTS}",
                "--jobs=2",
                f"--time={LOAD_SECONDS}",
                "--progress=10",
                f"--file={script}",
                "shop",
            ],
            check=True,
            env=dict(
                os.environ,
                PGHOST=LOCALHOST,
                PGPORT=str(self.ports["pgbouncer"]),
                PGUSER="shop",
                PGPASSWORD=self.passwords["shop"],
            ),
        )

    def block(self):
        self.open_shop()
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
                f"    that blocks the others: {self.url}/odoo/connection-overview, “Sessions waiting for a lock”\n"
                f"    It is {host}:{port}",
                flush=True,
            )
            time.sleep(BLOCK_SECONDS)
        finally:
            for till in tills:
                till.connection.close()

    def open_till(self):
        """A client that sells product 1 and never commits: the first one blocks the others."""
        till = psycopg2.connect(
            host=LOCALHOST,
            port=self.ports["pgbouncer"],
            dbname="till",
            user="shop",
            password=self.passwords["shop"],
            async_=True,
        )
        wait_select(till)
        cursor = till.cursor()
        cursor.execute("BEGIN; UPDATE stock SET quantity = quantity - 1 WHERE product = 1")
        time.sleep(0.1)
        till.poll()
        return cursor


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["start", "stop", "clean", "load", "block"])
    action = parser.parse_args().action
    if action in ("stop", "clean") and not STATE.exists():
        print("There is no demo here.")
        return
    try:
        getattr(Demo(), action)()
    except (ServerError, subprocess.CalledProcessError) as error:
        sys.exit(
            f"FAILED: {error}\nWhat to do: run `make {action.replace('start', 'demo')}` again; "
            "if it fails again, `make clean` makes a new beginning."
        )


if __name__ == "__main__":
    main()
