"""What a plan needs, read from this installation: of Odoo, of its hosts and of other programs. And in words, what could
not be read."""

import socket

import psutil

from odoo import api, models
from odoo.fields import Command
from odoo.tools import config

from ...analysis import installation
from ...analysis.readings import CONSOLE
from ...odoo_internals import configured_databases, needs_job_runner, system_database
from ...tools import labelled

# The name of this addon's own connections.
OWN_PROGRAM = "pgbouncer_monitor"
ODOO = ("odoo_worker", "odoo_listener")


class ConnectionPlan(models.Model):
    _inherit = "connection.plan"

    @api.model
    def _installation(self):
        """Read this installation, all servers in parallel within one deadline.

        :return: (values, missing). Values: field -> value, of those that could be read. Missing: pairs of a field that
            could not, and the facts of the reason, in JSON types
        """
        plan = self.sudo()
        reading = plan._read_servers()
        return plan._merged(
            reading,
            plan._odoo_values,
            plan._postgresql_values,
            plan._host_values,
            plan._pgbouncer_values,
            plan._server_count,
            plan._program_values,
            plan._history_values,
        )

    @api.model
    def _merged(self, reading, *parts):
        """Return what these methods find in a reading: see `_installation`."""
        values, missing = {}, []
        for part in parts:
            found, not_found = part(reading)
            values |= found
            missing += not_found
        return values, missing

    @api.model
    def _odoo_values(self, _reading):
        names = configured_databases()
        load = "gevent_connections" if config["workers"] else "requests"
        values = {
            "workers": config["workers"],
            "max_cron_threads": config["max_cron_threads"],
            "db_maxconn": config["db_maxconn"],
            "db_maxconn_gevent": config["db_maxconn_gevent"] or 0,
            "has_replica": bool(config["db_replica_host"]),
            "has_queue_job": bool(needs_job_runner(self.env)),
            "http_port": config["http_port"],
            "gevent_port": config["gevent_port"],
            "db_names": "\n".join(names),
        }
        return values, [(load, {"code": "not_reported"})]

    @api.model
    def _unseen(self, reading):
        """Return the reason why not all clients are seen, None if they are."""
        if reading.unread:
            return reading.unread[0]
        # Then the clients are those of a PgBouncer that is not read.
        return {"code": "no_pgbouncer"} if reading.is_pooled and not reading.poolers else None

    @api.model
    def _server_count(self, reading):
        """Return the number of hosts with Odoo that PgBouncers and PostgreSQL see, and of databases that they use.

        Behind a proxy or NAT, several hosts are one.
        """
        if reason := self._unseen(reading):
            return {}, [(name, reason) for name in ("servers", "databases")]
        connections = self._odoo_connections(reading)
        used = {database for database, _address, _host in connections}
        databases = len(configured_databases()) or len((used | {self.env.cr.dbname}) - {system_database()})
        return {"servers": len(self._hosts(reading, connections)), "databases": databases}, []

    @api.model
    def _odoo_connections(self, reading):
        """Return (database, address of the client, host of its server) of all connections of Odoo servers."""
        return [
            *(
                (row["database"], row.get("addr"), endpoint.host)
                for endpoint, row in self._clients(reading)
                if self._is_odoo(reading, row)
            ),
            *(
                (session["datname"], session["client_addr"] or None, reading.host)
                for session in reading.sessions
                if session["component"] in ODOO
            ),
        ]

    @api.model
    def _hosts(self, reading, connections):
        """Return the hosts of some connections, see `_odoo_connections`, and this one.

        In a container or behind NAT, servers see this host by an address that it does not have: that of Odoo's own
        connection.
        """
        pid = reading.server["pid"]
        own = {address.address for addresses in psutil.net_if_addrs().values() for address in addresses}
        own.add(socket.gethostname())
        if reading.is_pooled:
            own |= installation.client_addresses(pid, [reading.consoles[pooler.key] for pooler in reading.poolers])
        else:
            own |= {session["client_addr"] for session in reading.sessions if session["pid"] == pid}
        ends = [(address, host) for _database, address, host in connections]
        return installation.hosts(ends, own) | {installation.HERE}

    @api.model
    def _clients(self, reading):
        """Return (endpoint, row) of the clients of PgBouncers, except consoles, those whose databases are on other
        servers, and the PgBouncers in front of another one."""
        elsewhere = {pooler.key: pooler.elsewhere for pooler in reading.poolers}
        chained = {
            (row.get("local_addr"), row.get("local_port"))
            for answers in reading.consoles.values()
            for row in answers["SHOW SERVERS"]
        }
        return [
            (endpoint, row)
            for endpoint, answers in reading.consoles.items()
            if endpoint in elsewhere
            for row in answers["SHOW CLIENTS"]
            if row.get("database") not in (CONSOLE, None, *elsewhere[endpoint])
            and (row.get("addr"), row.get("port")) not in chained
        ]

    @api.model
    def _is_odoo(self, reading, client):
        """Return whether a client of a PgBouncer is an Odoo: PgBouncer forgets the name of one that resets its
        connection, but not its role."""
        is_own = client.get("user") == reading.user
        return is_own and self.env["connection.check.run"]._is_odoo(client.get("application_name"))

    @api.model
    def _program_values(self, reading):
        """Return the programs beside Odoo that are connected now. Without a name, Odoo's role may be an Odoo."""
        if reason := self._unseen(reading):
            return {}, [("other_ids", reason)]
        direct = [
            session["application_name"] or session["usename"] or "?"
            for session in reading.sessions
            if session["component"] not in (*ODOO, "pgbouncer")
            and session["application_name"] != OWN_PROGRAM
            and (session["application_name"] or session["usename"] != reading.user)
        ]
        pooled = [
            row.get("application_name") or row.get("user") or "?"
            for _endpoint, row in self._clients(reading)
            if not self._is_odoo(reading, row) and row.get("application_name") != OWN_PROGRAM
        ]
        others = [
            Command.create({"name": name, "count": count, "is_pooled": is_pooled})
            for is_pooled, names in ((False, direct), (True, pooled))
            for name, count in installation.programs(names)
        ]
        return {"other_ids": [Command.clear(), *others]}, []

    @api.model
    def _missing_text(self, facts):
        """Return in words why a field could not be filled in.

        :param dict facts: of `_installation`
        """
        code, endpoint_id = facts["code"], facts.get("endpoint_id")
        endpoint = self.env["connection.endpoint"].browse(endpoint_id).exists()
        if code == "no_answer" and not endpoint:
            return self.env._("The server did not answer.")
        if code == "no_answer":
            return labelled(self.env, endpoint.name, endpoint._reason_text(facts))
        return {
            "no_pgbouncer": self.env._("No active endpoint is a PgBouncer that connects to this PostgreSQL."),
            "shared_port": self.env._(
                "Several processes of %s may share its port (so_reuseport), and only one of them answered.",
                endpoint.name,
            ),
            "version": self.env._("PgBouncer %s is not supported.", facts.get("version")),
            "not_session": self.env._("Neither bus_alt_connection nor a pool of postgres in session mode was found."),
            "auth_type": self.env._("PgBouncer uses auth_type = %s.", facts.get("auth_type")),
            "unix_socket": self.env._("PgBouncer connects over a unix socket, and does not report its directory."),
            "not_local": self.env._("PostgreSQL does not run on this host, or its processes are not visible to Odoo."),
            "not_permitted": self.env._("Odoo's system user may not read the memory of PostgreSQL's processes."),
            "not_reported": self.env._("No server reports it."),
            "no_history": self.env._("Not enough samples in the last 7 days: 30 minutes of one hour are needed."),
        }[code]
