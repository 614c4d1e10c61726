"""Which checks count: the last one of each listener, unless it is too old, or the listener is gone."""

import socket
from datetime import timedelta
from ipaddress import ip_address

import psutil

from odoo import api, fields, models
from odoo.tools import SQL

from ...analysis import pressure
from ...odoo_internals import server_pid
from ...probes.reading import Reading


class ConnectionCheck(models.Model):
    _inherit = "connection.check"

    def _server_text(self):
        return f"{self.host}:{self.port}" if self.port else self.host

    def _others_text(self):
        """Return in words how many listeners of this kind were checked, False if it is the only one."""
        current = self._current(self.listener)
        if len(current) < 2:
            return False
        old = current.filtered(lambda check: check._is_old())
        if old:
            return self.env._(
                "The worst of %(count)s listeners. Outdated: %(old)s",
                count=len(current),
                old=", ".join(check._server_text() for check in old),
            )
        return self.env._("The worst of %s listeners.", len(current))

    @api.model
    def _current(self, listener):
        """Return the last check of each listener of a kind that still exists, as far as is known; the newest first."""
        if listener not in self._listeners():
            return self.browse()
        names = ["host", "port", "level", "checked_at", "is_gone", "covered"]
        last, known = self.browse(), set()
        for check in self.search_fetch([("listener", "=", listener)], names):
            key = (check.host, check.port)
            if key not in known:
                last |= check
            known |= {key, *map(tuple, check.covered or [])}
        return last.filtered(lambda check: not check.is_gone)

    @api.model
    def _count_elsewhere(self, keys):
        """Return how many listeners have a recent check of their own, except those of these hosts and ports."""
        recent = (self._current("bus") | self._current("cron")).filtered(lambda check: not check._is_old())
        count = 0
        for check in recent:
            if check.listener == "bus":
                count += len({(check.host, check.port), *map(tuple, check.covered or [])}.difference(keys))
            elif (check.host, check.port) not in keys:
                of_cron = [facts.get("server") for facts in check.step_facts or [] if facts["name"] == "cron"]
                count += sum(server["workers"] for server in of_cron if server)
        return count

    @api.model
    def _worst(self, listener):
        """Return the worst of the current checks; if all of them are too old to count, the newest.

        While others are recent, an old check does not count: a server that exists checks itself, see `_watch`.
        """
        current = self._current(listener)
        recent = current.filtered(lambda check: not check._is_old())
        return max(recent, key=lambda check: pressure.severity(check.level), default=current[:1])

    def _level_now(self):
        """Return the level of this check: unknown if it is too old to count, or if there is none."""
        return "unknown" if not self or self._is_old() else self.level

    def _is_old(self):
        """Return whether another check should have been made since."""
        patience = 2 * self.env["connection.settings"]._interval("check")
        return self.checked_at < fields.Datetime.now() - timedelta(seconds=patience)

    def _mark_gone(self):
        """Mark the checks of listeners that are gone, such as a container that was replaced by that of a new check.
        Without a proof they stay.

        :param self: new checks
        """
        for check in self:
            others = self._current(check.listener) - check
            connected = self._connected_addresses() if any(others.mapped("addresses")) else {}
            others.filtered(
                lambda other, check=check, connected=connected: (
                    other._is_process_gone() or check._has_replaced(other) or other._is_disconnected(connected)
                )
            ).is_gone = True

    def _is_process_gone(self):
        """Return whether this check is of a process of this host that has ended, or was not found and now is."""
        is_found = not self.port and self.pid == server_pid()
        return self.host == socket.gethostname() and (is_found or not (self.pid and psutil.pid_exists(self.pid)))

    def _has_replaced(self, other):
        """Return whether this check is of a listener at the address and port of another one."""
        shared = set(map(tuple, self.addresses or [])) & set(map(tuple, other.addresses or []))
        # Each host has its own loopback addresses.
        return self.port == other.port and any(not ip_address(address).is_loopback for _endpoint, address in shared)

    def _is_disconnected(self, connected):
        """Return whether no connection comes from this listener's host any more.

        :param dict connected: of `_connected_addresses`
        """
        now = set().union(*connected.values())
        pairs = self.addresses or []
        return bool(pairs) and all(endpoint in connected and address not in now for endpoint, address in pairs)

    @api.model
    def _connected_addresses(self):
        """Return endpoint's id -> the addresses from which it has connections now; {} if an endpoint did not answer.
        0 is PostgreSQL."""
        query = SQL("SELECT DISTINCT host(client_addr) FROM pg_stat_activity WHERE client_addr IS NOT NULL")
        connected = {0: {address for (address,) in self.env.execute_query(query)}}
        endpoints = self.env["connection.endpoint"].search([("kind", "=", "pgbouncer"), ("active", "=", True)])
        for endpoint, reading in endpoints._read("SHOW CLIENTS").items():
            if not isinstance(reading, Reading):
                return {}
            connected[endpoint.id] = {client.get("addr") for client in reading.answers["SHOW CLIENTS"]}
        return connected
