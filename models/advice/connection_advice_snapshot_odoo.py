"""What a snapshot has of this Odoo server. Reads its configuration; queries no server."""

from odoo import api, models
from odoo.tools import config

from ...advice.snapshot import Odoo
from ...analysis import installation
from ...analysis.listen_remedies import is_same_address
from ...odoo_internals import (
    alt_connection,
    configured_databases,
    has_alt_options,
    has_job_runner,
    has_job_runner_section,
    job_runner_address,
    needs_job_runner,
    replica_info,
    unread_alt_variables,
)
from ...probes import listen
from ...probes.errors import QueryError
from ...probes.process import usable_cores

OPTIONS = ("workers", "max_cron_threads", "db_maxconn", "limit_time_real", "limit_time_real_cron")


class ConnectionAdvice(models.Model):
    _inherit = "connection.advice"

    @api.model
    def _snapshot_odoo(self, reading, catalog, connected):
        """Return the `advice.snapshot.Odoo`.

        :param reading: of `connection.plan._read_servers`
        :param dict catalog: of `_catalog`
        :param dict connected: of `_start_connecting`
        """
        host, port = reading.address
        is_pooled = reading.is_pooled if reading.server else None
        replica = replica_info(self.env.cr.dbname)
        return Odoo(
            database=self.env.cr.dbname,
            user=reading.user,
            host=host,
            port=port,
            is_pooled=is_pooled,
            route=self._route(reading, catalog),
            system_error=self._connection_error(connected["listener"]),
            hosts=self._host_count(reading),
            **{name: config[name] for name in OPTIONS},
            db_maxconn_gevent=config["db_maxconn_gevent"] or 0,
            dbfilter=config["dbfilter"] or "",
            db_names=tuple(configured_databases()),
            replica=listen.route(replica) if replica else (),
            replica_error=self._connection_error(connected["replica"]) if replica else None,
            server_wide_modules=tuple(config["server_wide_modules"]),
            has_alt=bool(alt_connection()),
            is_alt_set=has_alt_options(),
            alt_variables=unread_alt_variables(),
            dev_mode=tuple(config["dev_mode"]),
            cores=usable_cores(),
            **self._job_runner(reading, catalog, is_pooled),
        )

    @api.model
    def _host_count(self, reading):
        """Return how many hosts have an Odoo that is connected to this database, None if not all clients are seen."""
        plan = self.env["connection.plan"]
        if plan._unseen(reading):
            return None
        connections = [found for found in plan._odoo_connections(reading) if found[0] == self.env.cr.dbname]
        return len(plan._hosts(reading, connections))

    @api.model
    def _connection_error(self, answer):
        """Return why a database cannot be reached, "" if it can."""
        return (answer.detail or answer.reason) if isinstance(answer, QueryError) else ""

    @api.model
    def _job_runner(self, reading, catalog, is_pooled):
        """Return the fields of queue_job's runner."""
        if not needs_job_runner(self.env):
            return {}
        if not has_job_runner():
            return {"is_job_runner_elsewhere": True}
        found = {"has_job_runner": True, "has_job_runner_section": has_job_runner_section()}
        address = job_runner_address(self.env.cr.dbname)
        if not address:
            return found | {"is_job_runner_pooled": is_pooled}
        consoles = [(endpoint.host, endpoint.port) for endpoint in self._pgbouncers()]
        servers, is_through = self._postgresql_addresses(reading, catalog), None
        if reading.host == installation.HERE:
            servers.add(("", catalog.get("server_port")))
        if any(is_same_address(address, other) for other in consoles):
            is_through = True
        elif any(is_same_address(address, other) for other in servers):
            is_through = False
        return found | {"job_runner": address, "is_job_runner_pooled": is_through}
