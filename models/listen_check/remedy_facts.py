"""What the remedies of a LISTEN check need to be put into words. Remedies that would not help are left out: a direct
connection is tried before it is recommended."""

import getpass
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from odoo import api, models
from odoo.tools import SQL, config

from ...analysis import listen_remedies
from ...analysis.listen_remedies import is_loopback
from ...analysis.listening import concerned, is_delivered
from ...odoo_internals import listener_info, service_port, system_database
from ...probes import listen

# Where Debian's PostgreSQL has its unix socket: ordinary roles cannot read it from PostgreSQL.
SOCKET_FOLDER = "/var/run/postgresql"
# It encrypts where the server supports it, so it works wherever another one does.
TOLERANT_SSLMODE = "prefer"
# Each of these is enough.
ALTERNATIVES = ("alt_connection", "service")
ALT_VARIABLES = ("ODOO_IMDISPATCHER_DB_HOST", "ODOO_IMDISPATCHER_DB_PORT")


def user_name():
    """Return the name of the user that runs Odoo; a container's may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "odoo"


def unused_port(port):
    """Return the first port from this one on at which nothing listens on this host."""
    while True:
        with closing(socket.socket()) as client:
            if client.connect_ex(("127.0.0.1", port)):
                return port
        port += 1


class ConnectionCheck(models.Model):
    _inherit = "connection.check"

    @api.model
    def _remedies(self, listener, codes, steps):
        """Return the facts of the remedies that fit what was found, see `_remedy_words`.

        :param str listener: bus or cron
        :param list codes: of an `analysis.listen_verdicts.Conclusion`
        :param dict steps: what the steps found
        """
        database = system_database()
        if listener == "bus":
            codes = listen_remedies.choose(codes, steps, database)
        remedies, direct = [], None
        for code in codes:
            if code == "override":
                remedies += self._overrides(listener, steps)
            elif code in (*listen_remedies.DIRECT, "service_options"):
                if not direct:
                    direct = self._try_direct(steps, is_apart="apart" in codes)
                    remedies += [] if direct["works"] else [direct | {"code": "no_direct"}]
                if direct["works"]:
                    is_other = {"is_alternative": code in ALTERNATIVES and bool(remedies)}
                    remedies += [facts | direct | is_other for facts in self._direct_facts(code, steps)]
            elif code == "alias":
                links = listen_remedies.chain(steps["pooler"]["pool"])
                remedies += [{"code": code, **link} for link in links if link["database"] not in (None, database)]
            else:
                remedies.append(self._remedy_facts(code, steps))
        if direct and not direct["works"] and "override" not in codes and direct["is_pooled"]:
            remedies += self._overrides(listener, steps)
        return remedies

    @api.model
    def _overrides(self, listener, steps):
        here = steps["pooler"]
        found = concerned(steps) if listener == "bus" else steps.get("cron")
        result = (found or {}).get("result") or here["result"]
        if is_delivered(result):
            result = here["result"]
        is_here = tuple(result["route"] or ()) == tuple(here["result"]["route"] or ())
        pool = here["pool"] if is_here else found.get("pool")
        own = {"own_database": self.env.cr.dbname}
        found = listen_remedies.overrides(result, pool, steps["slots"]["needed"])
        return [self._remedy_facts("role", steps) if facts["code"] == "role" else own | facts for facts in found]

    @api.model
    def _remedy_facts(self, code, steps):
        """Return what a remedy needs that is neither in PgBouncer nor a direct connection of the bus."""
        if code == "proxy":
            return {"code": code, "bus_port": (concerned(steps) or {}).get("port") or service_port()}
        if code == "idle_timeout":
            process = concerned(steps) or steps["pooler"]
            links = listen_remedies.chain(process["pool"])
            user = links[-1]["user"] if links else self._own_user()
            return {"code": code, "user": user, "database": process["result"]["database"]}
        return {"code": code, "user": self._own_user()} if code == "role" else {"code": code}

    @api.model
    def _own_user(self):
        """Return the role as which Odoo is connected to its own database."""
        return self.env["connection.endpoint"]._own_connection("session_user")

    @api.model
    def _direct_facts(self, code, steps):
        """Return what the remedies need that connect the bus to PostgreSQL itself, except the address."""
        if code == "alt_connection":
            is_loaded = bool(steps["configuration"]["bus_route"])
            modules = None if is_loaded else [*config["server_wide_modules"], "bus_alt_connection"]
            options = {"code": code, "modules": modules}
            if not any(map(os.environ.get, ALT_VARIABLES)):
                return [options]
            return [*([] if is_loaded else [options]), {"code": "alt_variables"}]
        facts = {"code": code, "bus_port": unused_port(config["gevent_port"] + 1)}
        if code == "service":
            command = [sys.executable, sys.argv[0], "gevent", "-c", config["config"] or "/etc/odoo/odoo.conf"]
            facts |= {"user": user_name(), "command": command}
        return [facts]

    @api.model
    def _try_direct(self, steps, is_apart):
        """Return how the bus can listen on PostgreSQL itself, with Odoo's own user: ``host``, ``port``, ``sslmode`` if
        it must be another than Odoo's; whether it ``works``, otherwise ``reason`` and ``detail``; ``is_pooled``:
        whether the bus is behind a pooler now.

        :param bool is_apart: whether the bus listens on another server than the one to which notifications are sent
        """
        bus, here = concerned(steps)["result"], steps["pooler"]["result"]
        addresses = [self._direct_address(here if is_apart or not bus["server"] else bus)]
        if links := listen_remedies.chain(steps["pooler"]["pool"]):
            host, port = links[-1]["server"]  # as PgBouncer connects
            addresses += [{"host": host, "port": port}] if host else []
        own = listener_info()
        modes = dict.fromkeys([None, TOLERANT_SSLMODE if own.get("sslmode") != TOLERANT_SSLMODE else None])
        tries = [address | {"sslmode": mode} for address in addresses for mode in modes]
        self.env["connection.check.run"]._commit_before_waiting()
        with ThreadPoolExecutor(len(tries)) as pool:
            results = list(pool.map(lambda values: self._listen_direct(own, values), tries))
        for values, result in zip(tries, results, strict=True):
            if is_delivered(result) and not result["is_pooled"]:
                return values | {"works": True, "is_pooled": bus["is_pooled"]}
        why = {name: results[0][name] for name in ("reason", "detail")}
        return tries[0] | why | {"works": False, "is_pooled": bus["is_pooled"]}

    @api.model
    def _listen_direct(self, own, values):
        """Return the result of LISTEN with Odoo's parameters and other ``values``."""
        return listen.probe(own | {name: value for name, value in values.items() if value})[0]._asdict()

    @api.model
    def _direct_address(self, result):
        """Return where Odoo may reach PostgreSQL itself: ``host`` and ``port``."""
        host, port = self._postgresql_address(result)
        if is_loopback(host) and not is_loopback(config["db_host"] or "localhost"):
            host = config["db_host"]  # PgBouncer and PostgreSQL are on one host, and Odoo is on another
        return {"host": host, "port": port}

    @api.model
    def _postgresql_address(self, result):
        """Return PostgreSQL's own host and port."""
        if result["server"]:
            return result["server"]
        query = SQL("SELECT COALESCE(host(inet_server_addr()), %s), current_setting('port')::int", SOCKET_FOLDER)
        return self.env.execute_query(query)[0]
