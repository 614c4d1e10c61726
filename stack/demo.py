"""The demo: an Odoo behind PgBouncer, monitored by this module. ``demo.py start|stop|clean|load|block``.

Ports and passwords are chosen once and stored in .stack/demo.json, and in .stack/demo.env for a shell.
"""

import argparse
import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import time

import requests

from rpc import OdooClient
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
    step,
)
from shop import BLOCK_POOL_SIZE, Shop

STATE = STACK / "demo.json"
ENVIRONMENT = STACK / "demo.env"
PASSFILE = STACK / "demo.pgpass"
DATABASE = "demo"
PORTS = {"postgresql": 25432, "pgbouncer": 26432, "odoo": 28069, "gevent": 28072, "nginx": 28080}

# Runs in `odoo shell`, after installation and whenever a port had to change.
SETUP = """
from odoo.tools import convert_file

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
convert_file(env, {module!r}, "demo/connection_plan_demo.xml", None, mode="init", noupdate=True)
env.cr.commit()
"""


class Demo:
    """The demo's servers, as the state file describes them."""

    def __init__(self):
        state = json.loads(STATE.read_text()) if STATE.exists() else {}
        self.ports = state.get("ports") or {name: free_port(port) for name, port in PORTS.items()}
        self.passwords = state.get("passwords") or Pair.new_passwords()
        self.admin_password = state.get("admin_password") or secrets.token_urlsafe(9)
        # The ports of Odoo's endpoint; None until the installation is complete.
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
        self.nginx = Nginx(root / "nginx", ports["nginx"], [ports["odoo"]], [ports["gevent"]])
        self.servers = [self.pair.postgresql, self.pair.pgbouncer, self.odoo, self.nginx]
        self.url = self.nginx.url

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
        self.stop_servers()  # the rest of a demo that has lost a server
        ports = {name: free_port(port) for name, port in self.ports.items()}
        if ports != self.ports:
            self.ports = ports
            self.make_servers()
        self.save()
        self.write_environment()

        step(f"Starting PostgreSQL (port {self.ports['postgresql']})")
        self.pair.postgresql.start()
        self.pair.create_roles()
        # Odoo's role may see and terminate all sessions.
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
        script = SETUP.format(password=self.admin_password, endpoint=endpoint, module=MODULE)
        self.odoo.run("shell", "-d", DATABASE, "--no-http", "--workers=0", input=script.encode())
        self.installed_for = self.ports
        self.save()

    def wait_for_login(self):
        """Log in through nginx, as the user will do next."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return OdooClient(self.url, DATABASE, "admin", self.admin_password)
            except RuntimeError as error:
                raise ServerError(f"Odoo rejects the demo's password.\n{self.odoo.log_tail()}") from error
            except requests.RequestException as error:
                if time.monotonic() > deadline:
                    raise ServerError(f"Odoo does not respond: {error}.\n{self.odoo.log_tail()}") from error
            time.sleep(0.5)

    def explain(self):
        print(
            f"""
  {self.url}/odoo/connection-overview
  login admin, password {self.admin_password}

Start with
  {self.url}/odoo/connection-overview  how close each server is to its limits, and who uses it
  {self.url}/odoo/pgbouncer-pools      the pools of PgBouncer
  {self.url}/odoo/pg-sessions          the sessions of PostgreSQL
  {self.url}/odoo/connection-planner   how many connections an installation needs, and its configuration
  {self.url}/odoo/listen-check         whether Odoo's bus and cron workers receive notifications
(in the menu: Settings > Technical > Database Connections, in developer mode), then run
`make load` and watch clients wait, or `make block` and find the client that blocks them. `make stop` ends
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

    def shop(self):
        if not all(server.process() for server in self.servers):
            sys.exit("The demo is not running: run `make demo` first.")
        return Shop(self.pair, f"{self.url}/odoo/connection-overview")

    def load(self):
        self.shop().load()

    def block(self):
        self.shop().block()


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
            "if it fails again, run `make clean` first, which removes the demo."
        )


if __name__ == "__main__":
    main()
