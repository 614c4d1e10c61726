"""Why an endpoint cannot be read, and what to do."""

from datetime import timedelta

from odoo import models
from odoo.tools import format_datetime

from ...analysis.joins import network_address
from ...probes.errors import SessionError
from ...tools import EPOCH


class ConnectionEndpoint(models.Model):
    _inherit = "connection.endpoint"

    def _reason(self, answer, error):
        """Return the facts of what is wrong with an endpoint, {} if nothing is.

        :param answer: and error: see `connection.endpoint._measure`
        """
        if not error:
            return {}
        reason = {"error": {"reason": error.reason, "detail": error.detail, "since": error.since}}
        return reason | {"is_own_connection": True} if answer else reason

    def _reason_text(self, reason):
        """Return the words for a reason, in the reader's language; None if there is none.

        :param dict reason: see `_reason`. ``text`` is a reason that was stored in words.
        """
        reason, lines = reason or {}, []
        if reason.get("error"):
            error = SessionError(reason["error"]["reason"], reason["error"]["detail"])
            error.since = reason["error"]["since"]
            lines += self._explain(error)
        if reason.get("is_own_connection"):
            lines.append(self.env._("Odoo's own connection told instead."))
        if reason.get("text"):
            lines.append(reason["text"])
        return "\n".join(lines) or None

    def _explain(self, error):
        """Say in words what a session.SessionError of this endpoint means.

        :return: (what is wrong, what to do)
        """
        self.ensure_one()
        host = self.host or ""
        where = network_address(host, self.port) if host else self.env._("PostgreSQL, over Odoo's own connection,")
        causes = {
            "unresolved": (
                self.env._("The host name of %s cannot be resolved.", where),
                self.env._("Check the name, or enter the server's address instead."),
            ),
            "refused": (
                self.env._("Nobody listens at %s.", where),
                self.env._("Check that PgBouncer is running, and its listen_addr, listen_port and unix_socket_dir."),
            ),
            "unreachable": (
                self.env._("There is no way in the network to %s.", where),
                self.env._("Check the address, the routes and the firewall."),
            ),
            "timeout": (
                self.env._("%(where)s did not answer within %(seconds)s s.", where=where, seconds=self._timeout()),
                self.env._(
                    "Something is there that is silent: a PgBouncer that is suspended, stopped or out of file "
                    "descriptors, a firewall that drops packets, or another service on this port."
                ),
            ),
            "silent_login": (
                self._explain_silent_login(where),
                self.env._(
                    "With auth_query, PgBouncer looks up the password of a user that is not in its auth_file in "
                    "PostgreSQL, and waits if PostgreSQL does not answer. Add %s to the auth_file, and reload "
                    "PgBouncer.",
                    self.user,
                ),
            ),
            "too_large": (
                self.env._("%s sent more than the addon reads.", where),
                self.env._(
                    "A PgBouncer with 10,000 clients sends about 3 MB. Check that PgBouncer listens there, and nothing "
                    "else."
                ),
            ),
            "closed": (
                self.env._("%s closed the connection before it answered.", where),
                self.env._("Look into PgBouncer's log: was it stopped? Or is another service on this port?"),
            ),
            "no_password": (
                self.env._(
                    "%(where)s asks for a password of the user %(user)s, and there is none.",
                    where=where,
                    user=self.user,
                ),
                self.env._(
                    "Enter the password, or give it to the user that runs Odoo, in its environment or password file. "
                    "Those are only used for an address that an administrator entered."
                ),
            ),
            "wrong_password": (
                self.env._("%(where)s refuses the user %(user)s or the password.", where=where, user=self.user),
                self.env._("Enter the password that PgBouncer's auth_file has for this user."),
            ),
            "unknown_user": (
                self.env._("%(where)s does not know the user %(user)s.", where=where, user=self.user),
                self.env._("Add the user to PgBouncer's auth_file, and reload PgBouncer."),
            ),
            "not_allowed": (
                self.env._("The user %(user)s may not use the console of %(where)s.", where=where, user=self.user),
                self.env._("Add %s to the list stats_users in pgbouncer.ini, and reload PgBouncer.", self.user),
            ),
            "admin_needed": (
                self.env._("The user %(user)s may only look at the console of %(where)s.", where=where, user=self.user),
                self.env._("Add %s to the list admin_users in pgbouncer.ini, and reload PgBouncer.", self.user),
            ),
            "tls_required": (
                self.env._("%s only accepts encrypted connections.", where),
                self.env._("Set the SSL mode to “require”."),
            ),
            "tls_unavailable": (
                self.env._("%s does not offer encryption.", where),
                self.env._("Set client_tls_sslmode in pgbouncer.ini, or the SSL mode to “prefer”."),
            ),
            "tls_failed": (
                self.env._("No encrypted connection to %s could be made.", where),
                self.env._(
                    "Check its certificate, and the files of the user that runs Odoo: whom to trust in "
                    "~/.postgresql/root.crt or PGSSLROOTCERT, and if PgBouncer asks for a client's certificate, that "
                    "in postgresql.crt and postgresql.key, or PGSSLCERT and PGSSLKEY. The latter are only used for an "
                    "address that an administrator entered."
                ),
            ),
            "wrong_server": (
                self.env._("What listens at %s is not PgBouncer.", where),
                self.env._("Enter PgBouncer's own port: it is 6432 unless listen_port says otherwise."),
            ),
        }
        if self.kind == "postgresql":
            causes |= self._explain_postgresql(where)
        message, remedy = causes.get(
            error.reason,
            (self.env._("%s could not be read.", where), self.env._("Look into its log.")),
        )
        message = f"{message} ({error.detail})" if error.detail else message
        if error.since:
            since = format_datetime(self.env, EPOCH + timedelta(seconds=error.since), dt_format="medium")
            message += " " + self.env._("First seen at %s. The server is queried again every few seconds.", since)
        return message, remedy

    def _explain_silent_login(self, where):
        return self.env._(
            "%(where)s accepted the connection, and did not log in %(user)s within %(seconds)s s.",
            where=where,
            user=self.user,
            seconds=self._timeout(),
        )

    def _explain_postgresql(self, where):
        """Where `_explain` says something else of a PostgreSQL than of a console."""
        return {
            "refused": (
                self.env._("Nobody listens at %s.", where),
                self.env._("Check that PostgreSQL is running, and its listen_addresses and port."),
            ),
            "wrong_password": (
                self.env._("%(where)s refuses the role %(user)s or the password.", where=where, user=self.user),
                self.env._("Enter the password that this role has in PostgreSQL."),
            ),
            "not_allowed": (
                self.env._("%(where)s does not let the role %(user)s in from here.", where=where, user=self.user),
                self.env._("Add a line for it to pg_hba.conf, and reload PostgreSQL."),
            ),
            "full": (
                self.env._("%(where)s has no connection left for the role %(user)s.", where=where, user=self.user),
                self.env._(
                    "From PostgreSQL 16 on, a role with pg_use_reserved_connections finds a place if some are kept by "
                    "reserved_connections."
                ),
            ),
            "silent_login": (
                self._explain_silent_login(where),
                self.env._("Check what its authentication waits for, such as LDAP, and whether it is overloaded."),
            ),
            "tls_unavailable": (
                self.env._("%s does not offer encryption.", where),
                self.env._("Set ssl in postgresql.conf, or the SSL mode to “prefer”."),
            ),
            "wrong_server": (
                self.env._("What listens at %s is not the PostgreSQL of this Odoo.", where),
                self.env._("Enter the address of the server that holds this Odoo's database."),
            ),
        }
