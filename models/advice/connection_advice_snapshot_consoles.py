"""What a snapshot has of the PgBouncers. Queries no server: their consoles have answered."""

import psutil

from odoo import api, models

from ...advice.snapshot import Console
from ...analysis import installation, readings
from ...analysis.growth import databases_here
from ...analysis.listen_remedies import is_loopback, is_same_address
from ...odoo_internals import system_database
from ...probes.address import is_unix_socket
from ...probes.process import find_pgbouncer, open_files, sockets_at


class ConnectionAdvice(models.Model):
    _inherit = "connection.advice"

    @api.model
    def _snapshot_consoles(self, reading, catalog, route, pids, twins, histories):
        """Return key -> `advice.snapshot.Console`.

        :param reading: of `connection.plan._read_servers`
        :param dict catalog: of `_catalog`
        :param int route: the key of the one that Odoo connects through
        :param dict pids: of `_pids`
        :param list twins: lists of keys of consoles that are one process
        :param dict histories: of `_pool_histories`, None if they could not be read
        """
        here = self._here(reading, catalog, twins)
        own = self._own_consoles(reading, catalog) | {route}
        found = {}
        for endpoint in self._pgbouncers():
            names = ("name", "host", "port", "user")
            address = {"key": endpoint.id} | {name: endpoint[name] or "" for name in names}
            if endpoint not in reading.consoles:
                found[endpoint.id] = Console(**address, is_answering=False)
                continue
            answers = reading.consoles[endpoint]
            settings = readings.by_key(answers["SHOW CONFIG"])
            is_shared_port = self._is_shared_port(endpoint, settings, pids[endpoint.id])
            found[endpoint.id] = Console(
                **address,
                **self._rows(answers),
                version=readings.version_tuple(reading.versions[endpoint]),
                settings={name: value for name, value in settings.items() if value is not None},
                reloadable=frozenset(row["key"] for row in answers["SHOW CONFIG"] if row.get("changeable") == "yes"),
                here=here.get(endpoint.id, frozenset()),
                is_located=bool(reading.server) and installation.is_located(answers, here.get(endpoint.id)),
                is_of_odoo=endpoint.id in own or self._is_of_odoo(endpoint, reading, is_shared_port),
                descriptors=pids[endpoint.id] and open_files(pids[endpoint.id]),
                is_shared_port=is_shared_port,
                history=histories and histories[endpoint.id],
            )
        return found

    @api.model
    def _rows(self, answers):
        """Return field of a Console -> rows."""
        clients = answers["SHOW CLIENTS"]
        return {
            "databases": [row for row in answers["SHOW DATABASES"] if row.get("name") != readings.CONSOLE],
            "users": answers["SHOW USERS"],
            "pools": [row for row in answers["SHOW POOLS"] if row.get("database") != readings.CONSOLE],
            "clients": [row for row in clients if row.get("database") != readings.CONSOLE],
            "consoles": [row for row in clients if row.get("database") == readings.CONSOLE],
            "servers": answers["SHOW SERVERS"],
        }

    @api.model
    def _is_shared_port(self, endpoint, settings, pid):
        """Return whether several processes listen on the port of a console: so_reuseport only allows it."""
        if settings.get("so_reuseport") == "0" or is_unix_socket(endpoint.host):
            return False
        is_here = bool(pid) or is_loopback(endpoint.host)
        if is_here and sockets_at(int(settings.get("listen_port") or endpoint.port), pid or "self") > 1:
            return True
        return False if pid else None

    @api.model
    def _is_of_odoo(self, endpoint, reading, is_shared_port):
        """Return whether Odoo servers connect through a console, as its clients show: with a PgBouncer on each host,
        those of the others, too. None if only one of several processes has answered."""
        names = (self.env.cr.dbname, system_database())
        clients = [row for row in reading.consoles[endpoint]["SHOW CLIENTS"] if row.get("database") in names]
        if any(self.env["connection.plan"]._is_odoo(reading, row) for row in clients):
            return True
        return False if is_shared_port is False else None

    @api.model
    def _own_consoles(self, reading, catalog):
        """Return the keys of the consoles that have the backend of Odoo's own connection: with PgBouncers in a row the
        last one."""
        if not reading.is_pooled or not catalog:
            return set()
        backend = {reading.server["pid"]: (catalog["port"], catalog["role"])}
        consoles = reading.consoles.items()
        return {endpoint.id for endpoint, answers in consoles if databases_here(answers["SHOW SERVERS"], backend)}

    @api.model
    def _route(self, reading, catalog):
        """Return the key of the console that Odoo connects through, None if it is none, or unknown.

        Several endpoints may have its backend, or its address: those that are one process, and those of processes that
        share a port.
        """
        if reading.server and not reading.is_pooled:
            return None
        by_backend = self._own_consoles(reading, catalog)
        # Whether the others are PgBouncers is known only if Odoo's own connection is pooled.
        endpoints = (
            self._pgbouncers()
            if reading.server
            else self._pgbouncers().browse(endpoint.id for endpoint in reading.consoles)
        )
        by_address = [
            endpoint.id for endpoint in endpoints if is_same_address(reading.address, (endpoint.host, endpoint.port))
        ]
        both = [key for key in by_address if key in by_backend]
        return next(iter(both or by_address or sorted(by_backend)), None)

    @api.model
    def _here(self, reading, catalog, twins):
        """Return key -> the databases of each console that are on this PostgreSQL."""
        targets = self._postgresql_addresses(reading, catalog)
        found = {}
        for endpoint, answers in reading.consoles.items():
            pooler = next((pooler for pooler in reading.poolers if pooler.key == endpoint), None)
            is_beside = reading.host == installation.HERE and is_loopback(endpoint.host)
            addresses = targets | ({("", catalog.get("server_port"))} if is_beside else set())
            found[endpoint.id] = installation.databases_at(answers, addresses) | (pooler.databases if pooler else set())
        for keys in twins:
            found |= dict.fromkeys(keys, set().union(*(found[key] for key in keys)))
        return {key: frozenset(names) for key, names in found.items()}

    @api.model
    def _postgresql_addresses(self, reading, catalog):
        """Return the addresses of this PostgreSQL that are known, as (host, port), without those of loopback."""
        found = {(reading.server.get("address"), catalog.get("server_port"))}
        if reading.server and not reading.is_pooled:
            found.add(reading.address)
        for pooler in reading.poolers:
            addresses = installation.by_name(reading.consoles[pooler.key])
            found |= {addresses[name] for name in pooler.databases}
        return {(host, port) for host, port in found if port and not is_loopback(host or "")}

    @api.model
    def _pids(self, reading):
        """Return key -> PID of the process of each console that has answered, None if it is not known to be on this
        host."""
        own = {address.address for addresses in psutil.net_if_addrs().values() for address in addresses}
        known = self._pgbouncers()._read()  # in this transaction: no server is queried
        pids = {}
        for endpoint, answers in reading.consoles.items():
            settings = readings.by_key(answers["SHOW CONFIG"])
            is_here = is_loopback(endpoint.host) or endpoint.host in own
            is_port = settings.get("listen_port") == str(endpoint.port)  # a forwarded one may have another
            pids[endpoint.id] = known[endpoint].pid
            if not pids[endpoint.id] and is_here and is_port and settings.get("conffile"):
                pids[endpoint.id] = find_pgbouncer(settings["conffile"])
        return pids
