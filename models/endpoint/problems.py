"""The words for why an endpoint could not be read, and what to do. Touches no server.

To add a reason, add the error message of the server to `probes/errors.py` and a row to PROBLEMS; if the remedy differs
for PostgreSQL, also to POSTGRESQL_PROBLEMS.
"""

from datetime import timedelta

from odoo import api, models
from odoo.tools import LazyTranslate, format_datetime

from ...analysis.joins import network_address
from ...probes.errors import QueryError
from ...tools import EPOCH

# pylint: disable=prefer-env-translation  # no environment here: ``env._`` translates the texts when they are shown
_lt = LazyTranslate(__name__)

# Reason of a QueryError -> (what is wrong, what to do). Each text may use `where`, `user` and `seconds`. A text begins
# with `where` if it can: it may be the phrase of `_place`.
PROBLEMS = {
    "unresolved": (
        _lt("The host name in %(where)s cannot be resolved."),
        _lt("Check the name, or enter the server's address instead."),
    ),
    "refused": (
        _lt("No server listens at %(where)s."),
        _lt("Check that PgBouncer is running, and check its listen_addr, listen_port and unix_socket_dir."),
    ),
    "unreachable": (
        _lt("The network has no route to %(where)s."),
        _lt("Check the address, the routing and the firewall."),
    ),
    "timeout": (
        _lt("%(where)s did not answer within %(seconds)s s."),
        _lt(
            "Possible causes: PgBouncer is suspended, stopped or out of file descriptors, a firewall drops packets, or "
            "another service uses this port."
        ),
    ),
    "silent_login": (
        _lt("%(where)s accepted the connection, but did not complete the login of %(user)s within %(seconds)s s."),
        _lt(
            "With auth_query, PgBouncer queries PostgreSQL for the password of a user that is not in its auth_file, "
            "and waits if PostgreSQL does not answer. Add %(user)s to the auth_file and reload PgBouncer."
        ),
    ),
    "too_large": (
        _lt("%(where)s sent more than the addon reads."),
        _lt("A PgBouncer with 10,000 clients sends about 3 MB. Check that no other service uses this port."),
    ),
    "unusable": (
        _lt("%(where)s returned an answer that the addon cannot use."),
        _lt("Odoo's log has the details. Report them to the maintainers of the addon."),
    ),
    "closed": (
        _lt("%(where)s closed the connection before it answered."),
        _lt("Check PgBouncer's log: it may have been stopped. Or another service uses this port."),
    ),
    "no_password": (
        _lt("%(where)s requires a password for the user %(user)s, but none is set."),
        _lt(
            "Enter the password, or set it in the environment or in the password file of the user that runs Odoo. Both "
            "are only used for an address that an administrator entered."
        ),
    ),
    "wrong_password": (
        _lt("%(where)s rejected the user %(user)s or the password."),
        _lt("Enter the password that PgBouncer's auth_file has for this user."),
    ),
    "unknown_user": (
        _lt("%(where)s does not know the user %(user)s."),
        _lt("Add the user to PgBouncer's auth_file and reload PgBouncer."),
    ),
    "not_allowed": (
        _lt("The user %(user)s may not use the console of %(where)s."),
        _lt("Add %(user)s to stats_users in pgbouncer.ini and reload PgBouncer."),
    ),
    "admin_needed": (
        _lt("The user %(user)s may only run SHOW commands on the console of %(where)s."),
        _lt("Add %(user)s to admin_users in pgbouncer.ini and reload PgBouncer."),
    ),
    "tls_required": (
        _lt("%(where)s only accepts encrypted connections."),
        _lt("Set the SSL mode to “require”."),
    ),
    "tls_unavailable": (
        _lt("%(where)s does not offer encryption."),
        _lt("Set client_tls_sslmode in pgbouncer.ini, or set the SSL mode to “prefer”."),
    ),
    "tls_failed": (
        _lt("An encrypted connection to %(where)s could not be established."),
        _lt(
            "Check the server's certificate, and the files of the user that runs Odoo: trusted certificates in "
            "~/.postgresql/root.crt or PGSSLROOTCERT; if PgBouncer requires a client certificate, postgresql.crt and "
            "postgresql.key, or PGSSLCERT and PGSSLKEY. A client certificate is only used for an address that an "
            "administrator entered."
        ),
    ),
    "wrong_server": (
        _lt("The server at %(where)s is not PgBouncer."),
        _lt("Enter PgBouncer's port: the value of listen_port, by default 6432."),
    ),
    "other": (
        _lt("%(where)s could not be read."),
        _lt("Check the log of the server."),
    ),
}

REFUSED, SILENT_LOGIN, TLS_UNAVAILABLE = (
    PROBLEMS[reason][0] for reason in ("refused", "silent_login", "tls_unavailable")
)
# The rows that differ for PostgreSQL.
POSTGRESQL_PROBLEMS = {
    "refused": (
        REFUSED,
        _lt("Check that PostgreSQL is running, and check its listen_addresses and port."),
    ),
    "wrong_password": (
        _lt("%(where)s rejected the role %(user)s or the password."),
        _lt("Enter the password that this role has in PostgreSQL."),
    ),
    "not_allowed": (
        _lt("%(where)s does not allow the role %(user)s to connect from this host."),
        _lt("Add a line for the role to pg_hba.conf and reload PostgreSQL."),
    ),
    "full": (
        _lt("%(where)s has no connection left for the role %(user)s."),
        _lt(
            "Since PostgreSQL 16, a role with the privileges of pg_use_reserved_connections can use the connections "
            "that reserved_connections keeps free."
        ),
    ),
    "silent_login": (
        SILENT_LOGIN,
        _lt("Check whether its authentication waits for a service such as LDAP, and whether the server is overloaded."),
    ),
    "tls_unavailable": (
        TLS_UNAVAILABLE,
        _lt("Set ssl in postgresql.conf, or set the SSL mode to “prefer”."),
    ),
    "wrong_server": (
        _lt("The server at %(where)s is not the PostgreSQL of this Odoo."),
        _lt("Enter the address of the server that holds this Odoo's database."),
    ),
}


class ConnectionEndpoint(models.Model):
    _inherit = "connection.endpoint"

    def _reason(self, answer, error):
        """Return the facts about what is wrong with an endpoint, {} if nothing is.

        :param answer: and error: see `connection.endpoint._start_measuring`
        :return: a dictionary of JSON types. ``error``: see `QueryError.facts`. ``server``: the address, which may
            change later. ``is_own_connection``: the answer came over Odoo's own connection instead.
        """
        if not error:
            return {}
        reason = {"error": error.facts(), "server": self._server()}
        return reason | {"is_own_connection": True} if answer else reason

    def _server(self):
        return {"host": self.host or "", "port": self.port, "user": self.user or ""}

    def _reason_text(self, reason):
        """Return the words for a reason, in the reader's language; None if there is none.

        :param dict reason: see `_reason`. ``text`` is a reason that was stored in words.
        """
        reason, lines = reason or {}, []
        if reason.get("error"):
            lines += self._explain(QueryError.from_facts(reason["error"]), reason.get("server"))
        if reason.get("is_own_connection"):
            lines.append(self.env._("It was read over Odoo's own connection instead."))
        if reason.get("text"):
            lines.append(reason["text"])
        return "\n".join(lines) or None

    def _explain(self, error, server=None):
        """Return the words for a QueryError of this endpoint.

        :param dict server: the address that was queried, see `_reason`; by default that of the endpoint
        :return: (what is wrong, what to do)
        """
        self.ensure_one()
        server = server or self._server()
        values = {"where": self._place(server), "user": server["user"], "seconds": self._timeout()}
        problems = PROBLEMS | POSTGRESQL_PROBLEMS if self.kind == "postgresql" else PROBLEMS
        texts = map(self.env._, problems.get(error.reason, problems["other"]))
        message, remedy = (text % values for text in texts)
        message = f"{message} ({error.detail})" if error.detail else message
        if error.since:
            since = format_datetime(self.env, EPOCH + timedelta(seconds=error.since), dt_format="medium")
            message += " " + self.env._("First seen at %s. The next query follows within a few seconds.", since)
        return message, remedy

    @api.model
    def _place(self, server):
        if not server["host"]:
            return self.env._("PostgreSQL (Odoo's own connection)")
        return network_address(server["host"], server["port"])
