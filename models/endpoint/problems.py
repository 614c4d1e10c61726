"""Why an endpoint could not be read, and what to do, in words.

A new reason is a row of PROBLEMS, and in `probes/errors.py` the text that a server reports it with.
"""

from datetime import timedelta

from odoo import api, models
from odoo.tools import format_datetime

from ...analysis.joins import network_address
from ...probes.errors import QueryError
from ...tools import EPOCH


def _lt(text):
    """Mark a text for the export of translations, which finds it by the name of this function."""
    return text


# The reason of a QueryError -> what is wrong, and what to do. All rows may use `where`, `user` and `seconds`.
PROBLEMS = {
    "unresolved": (
        _lt("The host name of %(where)s cannot be resolved."),
        _lt("Check the name, or enter the server's address instead."),
    ),
    "refused": (
        _lt("Nobody listens at %(where)s."),
        _lt("Check that PgBouncer is running, and its listen_addr, listen_port and unix_socket_dir."),
    ),
    "unreachable": (
        _lt("There is no way in the network to %(where)s."),
        _lt("Check the address, the routes and the firewall."),
    ),
    "timeout": (
        _lt("%(where)s did not answer within %(seconds)s s."),
        _lt(
            "Something is there that is silent: a PgBouncer that is suspended, stopped or out of file descriptors, a "
            "firewall that drops packets, or another service on this port."
        ),
    ),
    "silent_login": (
        _lt("%(where)s accepted the connection, and did not log in %(user)s within %(seconds)s s."),
        _lt(
            "With auth_query, PgBouncer looks up the password of a user that is not in its auth_file in PostgreSQL, "
            "and waits if PostgreSQL does not answer. Add %(user)s to the auth_file, and reload PgBouncer."
        ),
    ),
    "too_large": (
        _lt("%(where)s sent more than the addon reads."),
        _lt("A PgBouncer with 10,000 clients sends about 3 MB. Check that PgBouncer listens there, and nothing else."),
    ),
    "unusable": (
        _lt("%(where)s returned an answer that the addon cannot use."),
        _lt("Odoo's log has the details. Report them to the maintainers of the addon."),
    ),
    "closed": (
        _lt("%(where)s closed the connection before it answered."),
        _lt("Look into PgBouncer's log: was it stopped? Or is another service on this port?"),
    ),
    "no_password": (
        _lt("%(where)s asks for a password of the user %(user)s, and there is none."),
        _lt(
            "Enter the password, or give it to the user that runs Odoo, in its environment or password file. Those "
            "are only used for an address that an administrator entered."
        ),
    ),
    "wrong_password": (
        _lt("%(where)s refuses the user %(user)s or the password."),
        _lt("Enter the password that PgBouncer's auth_file has for this user."),
    ),
    "unknown_user": (
        _lt("%(where)s does not know the user %(user)s."),
        _lt("Add the user to PgBouncer's auth_file, and reload PgBouncer."),
    ),
    "not_allowed": (
        _lt("The user %(user)s may not use the console of %(where)s."),
        _lt("Add %(user)s to the list stats_users in pgbouncer.ini, and reload PgBouncer."),
    ),
    "admin_needed": (
        _lt("The user %(user)s may only look at the console of %(where)s."),
        _lt("Add %(user)s to the list admin_users in pgbouncer.ini, and reload PgBouncer."),
    ),
    "tls_required": (
        _lt("%(where)s only accepts encrypted connections."),
        _lt("Set the SSL mode to “require”."),
    ),
    "tls_unavailable": (
        _lt("%(where)s does not offer encryption."),
        _lt("Set client_tls_sslmode in pgbouncer.ini, or the SSL mode to “prefer”."),
    ),
    "tls_failed": (
        _lt("No encrypted connection to %(where)s could be made."),
        _lt(
            "Check its certificate, and the files of the user that runs Odoo: whom to trust in "
            "~/.postgresql/root.crt or PGSSLROOTCERT, and if PgBouncer asks for a client's certificate, that in "
            "postgresql.crt and postgresql.key, or PGSSLCERT and PGSSLKEY. The latter are only used for an address "
            "that an administrator entered."
        ),
    ),
    "wrong_server": (
        _lt("What listens at %(where)s is not PgBouncer."),
        _lt("Enter PgBouncer's own port: it is 6432 unless listen_port says otherwise."),
    ),
    "other": (
        _lt("%(where)s could not be read."),
        _lt("Look into its log."),
    ),
}

# What replaces a row for a PostgreSQL.
POSTGRESQL_PROBLEMS = {
    "refused": (
        PROBLEMS["refused"][0],
        _lt("Check that PostgreSQL is running, and its listen_addresses and port."),
    ),
    "wrong_password": (
        _lt("%(where)s refuses the role %(user)s or the password."),
        _lt("Enter the password that this role has in PostgreSQL."),
    ),
    "not_allowed": (
        _lt("%(where)s does not let the role %(user)s in from here."),
        _lt("Add a line for it to pg_hba.conf, and reload PostgreSQL."),
    ),
    "full": (
        _lt("%(where)s has no connection left for the role %(user)s."),
        _lt(
            "From PostgreSQL 16 on, a role with pg_use_reserved_connections finds a place if some are kept by "
            "reserved_connections."
        ),
    ),
    "silent_login": (
        PROBLEMS["silent_login"][0],
        _lt("Check what its authentication waits for, such as LDAP, and whether it is overloaded."),
    ),
    "tls_unavailable": (
        PROBLEMS["tls_unavailable"][0],
        _lt("Set ssl in postgresql.conf, or the SSL mode to “prefer”."),
    ),
    "wrong_server": (
        _lt("What listens at %(where)s is not the PostgreSQL of this Odoo."),
        _lt("Enter the address of the server that holds this Odoo's database."),
    ),
}


class ConnectionEndpoint(models.Model):
    _inherit = "connection.endpoint"

    def _reason(self, answer, error):
        """Return the facts of what is wrong with an endpoint, {} if nothing is.

        :param answer: and error: see `connection.endpoint._measure`
        :return: a dictionary that JSON can hold. ``error``: see `QueryError.facts`. ``server``: its address, which may
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
            lines.append(self.env._("Odoo's own connection told instead."))
        if reason.get("text"):
            lines.append(reason["text"])
        return "\n".join(lines) or None

    def _explain(self, error, server=None):
        """Return in words what a QueryError of this endpoint means.

        :param dict server: the address that it is about, see `_reason`; the endpoint's own if not given
        :return: (what is wrong, what to do)
        """
        self.ensure_one()
        server = server or self._server()
        values = {"where": self._place(server), "user": server["user"], "seconds": self._timeout()}
        problems = PROBLEMS | POSTGRESQL_PROBLEMS if self.kind == "postgresql" else PROBLEMS
        message, remedy = (self.env._(text, **values) for text in problems.get(error.reason, problems["other"]))
        message = f"{message} ({error.detail})" if error.detail else message
        if error.since:
            since = format_datetime(self.env, EPOCH + timedelta(seconds=error.since), dt_format="medium")
            message += " " + self.env._("First seen at %s. The server is queried again every few seconds.", since)
        return message, remedy

    @api.model
    def _place(self, server):
        if not server["host"]:
            return self.env._("PostgreSQL, over Odoo's own connection,")
        return network_address(server["host"], server["port"])
