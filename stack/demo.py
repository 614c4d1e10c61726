"""The demo: an Odoo behind PgBouncer, monitored by this module. ``demo.py start|stop|clean|load|block``.

``start bad`` configures the demo badly, and starts one more PgBouncer: Advice shows what is wrong. The next start
without ``bad`` ends it.

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
PORTS = {"postgresql": 25432, "pgbouncer": 26432, "odoo": 28069, "gevent": 28072, "nginx": 28080, "bad": 27432}
BAD = "Badly Configured"
# What is wrong with the PgBouncer that Odoo connects through: the demo is slower, but works.
BAD_OWN_SETTINGS = {"server_lifetime": 0, "server_check_delay": 0, "query_wait_timeout": 300, "max_client_conn": 100}
# What is wrong with one more PgBouncer, through which Odoo does not connect, and with Odoo's role.
BAD_SETTINGS = {
    "pool_mode": "session",
    "query_wait_timeout": 0,
    "client_idle_timeout": 60,
    "idle_transaction_timeout": 20,
    "query_timeout": 30,
    "server_idle_timeout": 5,
    "server_reset_query": "",
    "max_packet_size": 1_000_000,
    "auth_type": "trust",
    "admin_users": f"{PgBouncer.admin}, odoo",
    "ignore_startup_parameters": "extra_float_digits, statement_timeout",
}
BAD_DATABASES = {"postgres": "pool_mode=session", DATABASE: ""}
BAD_STATEMENTS = (
    f"ALTER ROLE odoo IN DATABASE {DATABASE} SET statement_timeout = '60s'",
    f"ALTER ROLE odoo IN DATABASE {DATABASE} SET idle_in_transaction_session_timeout = '30s'",
)
GOOD_STATEMENTS = (f"ALTER ROLE odoo IN DATABASE {DATABASE} RESET ALL",)

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
env.ref("pgbouncer_monitor.connection_endpoint_postgresql").write({postgresql!r})
endpoint.action_test()
convert_file(env, {module!r}, "demo/connection_plan_demo.xml", None, mode="init", noupdate=True)
env.cr.commit()
"""


class Demo:
    """The demo's servers, as the state file describes them."""

    def __init__(self):
        state = json.loads(STATE.read_text()) if STATE.exists() else {}
        self.ports = {name: free_port(port) for name, port in PORTS.items()} | state.get("ports", {})
        self.passwords = state.get("passwords") or Pair.new_passwords()
        self.admin_password = state.get("admin_password") or secrets.token_urlsafe(9)
        # The ports of Odoo's endpoint; None until the installation is complete.
        self.installed_for = state.get("installed_for")
        self.api_key = state.get("api_key")
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
        self.bad = self.bad_pgbouncer(root / "bad")
        self.url = self.nginx.url

    def bad_pgbouncer(self, folder):
        """Return the PgBouncer that is badly configured."""
        server = f"host={LOCALHOST} port={self.ports['postgresql']}"
        databases = {name: f"{server} {options}" for name, options in BAD_DATABASES.items()}
        servers = (self.pair.postgresql, self.passwords, databases, BAD_SETTINGS)
        return PgBouncer(folder, self.ports["bad"], *servers)

    def save(self):
        STATE.touch(mode=0o600)
        names = ("ports", "passwords", "admin_password", "installed_for", "api_key")
        STATE.write_text(json.dumps({name: getattr(self, name) for name in names}))

    def write_environment(self):
        variables = {
            "ODOO_URL": self.url,
            "ODOO_DB": DATABASE,
            "ODOO_LOGIN": "admin",
            "ODOO_PASSWORD": self.admin_password,
            "ODOO_API_KEY": self.api_key or "",
        } | self.pair.environment(PASSFILE)
        ENVIRONMENT.touch(mode=0o600)
        ENVIRONMENT.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()))

    def start(self, advice=""):
        if all(server.process() for server in self.servers):
            print("The demo is running already.")
            self.finish(advice)
            return
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
        self.finish(advice)

    def finish(self, advice):
        """Do what needs a running Odoo, and print what to do with it."""
        client = self.wait_for_login()
        if not self.api_key:
            self.api_key = client.new_key(self.admin_password, days=0)
            self.save()
            self.write_environment()
        self.set_advice(client, advice == "bad")
        self.explain()

    def endpoint(self, name, port):
        """Return the values of an endpoint."""
        credentials = {"user": PgBouncer.stats, "password": self.passwords[PgBouncer.stats]}
        return {"name": name, "responsible_id": 2, "host": LOCALHOST, "port": port} | credentials

    def set_up(self):
        endpoint = self.endpoint("Demo PgBouncer", self.ports["pgbouncer"])
        # Not through the pool that is monitored.
        postgresql = {"host": LOCALHOST, "port": self.ports["postgresql"], "user": "odoo"}
        postgresql["password"] = self.passwords["odoo"]
        values = {"password": self.admin_password, "endpoint": endpoint, "postgresql": postgresql, "module": MODULE}
        script = SETUP.format(**values)
        self.odoo.run("shell", "-d", DATABASE, "--no-http", "--workers=0", input=script.encode())
        self.installed_for = self.ports
        self.save()

    def set_advice(self, client, is_bad):
        """Start or remove what is badly configured, and read the advice."""
        self.bad.stop()
        self.pair.postgresql.execute(*(BAD_STATEMENTS if is_bad else GOOD_STATEMENTS))
        self.pair.pgbouncer.settings = BAD_OWN_SETTINGS if is_bad else {}
        self.pair.pgbouncer.reload()
        self.pair.pgbouncer.execute("RECONNECT")  # sessions keep the settings of their role
        known = client.call("connection.endpoint", "search", [["name", "=", BAD]], context={"active_test": False})
        if is_bad:
            step(f"Starting a badly configured PgBouncer (port {self.ports['bad']})")
            self.bad.start()
            for name in BAD_DATABASES:  # their pools stay
                connection = self.bad.connect(name, "odoo")
                connection.cursor().execute("SELECT 1")
                connection.close()
            values = self.endpoint(BAD, self.ports["bad"])
            arguments = ("write", known, values) if known else ("create", values)
            client.call("connection.endpoint", *arguments)
        elif known:
            client.call("connection.endpoint", "unlink", known)
        step("Reading the advice")
        client.call("connection.advice", "action_read")

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
  {self.url}/odoo/connection-advice    what is wrong with the configuration; more with `make demo ADVICE=bad`
(in the menu: Database Connections), then run
`make load` and watch clients wait, or `make block` and find the client that blocks them. `make stop` ends
the demo, `make clean` removes its data. What Prometheus reads:
  curl -H "Authorization: Bearer {self.api_key}" {self.url}/pgbouncer_monitor/metrics
For a shell: . {os.path.relpath(ENVIRONMENT)}
"""
        )

    def stop(self):
        if not any(server.process() for server in self.servers):
            print("The demo is not running.")
        self.stop_servers()

    def stop_servers(self):
        for server in reversed([*self.servers, self.bad]):
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
    parser.add_argument("advice", nargs="?", choices=["", "bad"], default="")
    options = parser.parse_args()
    action = options.action
    if action in ("stop", "clean") and not STATE.exists():
        print("There is no demo here.")
        return
    try:
        getattr(Demo(), action)(*([options.advice] if action == "start" else []))
    except (ServerError, subprocess.CalledProcessError) as error:
        sys.exit(
            f"FAILED: {error}\nWhat to do: run `make {action.replace('start', 'demo')}` again; "
            "if it fails again, run `make clean` first, which removes the demo."
        )


if __name__ == "__main__":
    main()
