"""The remedies of a LISTEN check in words, with lines to paste."""

from odoo import api, models

from ...analysis.joins import network_address
from ...odoo_internals import system_database
from ...planner import bus_lines


def override_lines(facts):
    limit = facts["max_connections"]
    return [f"pool_mode=session pool_size={facts['pool_size']}" + (f" max_db_connections={limit}" if limit else "")]


def other_lines(facts):
    return [f"pool_mode={facts['others']}"] if facts["others"] else []


def resume_lines(facts):
    return [f"RESUME {facts['name']};" if facts["name"] else "RESUME;"]


def enable_lines(facts):
    return [f"ENABLE {facts['name']};"]


def alt_connection_lines(facts):
    return bus_lines.alt_connection_lines(facts["modules"], facts["host"], facts["port"], facts["sslmode"])


def alt_variable_lines(facts):
    return [
        f"ODOO_IMDISPATCHER_DB_HOST={facts['host']}",
        f"ODOO_IMDISPATCHER_DB_PORT={facts['port']}",
        *([f"PGSSLMODE={facts['sslmode']}"] if facts["sslmode"] else []),
    ]


def service_options(facts):
    return bus_lines.service_options(facts["host"], facts["port"], facts["sslmode"])


def service_option_lines(facts):
    return [bus_lines.service_line(service_options(facts))]


def service_lines(facts):
    return bus_lines.service_lines(facts["user"], facts["command"], facts["bus_port"], service_options(facts))


def proxy_lines(facts):
    return bus_lines.proxy_lines(facts["bus_port"])


def idle_timeout_lines(facts):
    role, database = (f'"{name}"' for name in (facts["user"], facts["database"]))
    return [f"ALTER ROLE {role} IN DATABASE {database} SET idle_session_timeout = 0;"]


def role_lines(facts):
    return [f'GRANT CONNECT ON DATABASE {system_database()} TO "{facts["user"]}";']


# The code of a remedy -> the function that makes its lines.
LINES = {
    "override": override_lines,
    "behind": override_lines,
    "user": other_lines,
    "resume": resume_lines,
    "enable": enable_lines,
    "alt_connection": alt_connection_lines,
    "alt_variables": alt_variable_lines,
    "service": service_lines,
    "service_options": service_option_lines,
    "service_proxy": proxy_lines,
    "proxy": proxy_lines,
    "idle_timeout": idle_timeout_lines,
    "role": role_lines,
}


class ConnectionCheck(models.Model):
    _inherit = "connection.check"

    @api.model
    def _remedy_words(self, facts):
        """Return a remedy in words: its ``title``, and where there are any, ``lines`` to paste, and what to do
        ``then``.

        :param dict facts: of `_remedies`; or these words themselves, in a check before 2.0
        """
        if "title" in facts:
            return facts
        code = facts["code"]
        words = {"title": self._title(facts)}
        if facts.get("is_alternative"):
            words["title"] = self.env._("Alternative: %s", words["title"])
        if lines := LINES[code](facts) if code in LINES else None:
            words["lines"] = "\n".join(lines)
        if then := self._remedy_sequels(facts).get(code):
            words["then"] = then
            if facts.get("sslmode") and code != "service_proxy":
                words["then"] += " " + self.env._(
                    "PostgreSQL itself does not accept Odoo's own sslmode. With prefer, TLS is used where the server "
                    "supports it."
                )
        return words

    @api.model
    def _title(self, facts):
        """Return a remedy's title."""
        code = facts["code"]
        if code == "no_direct":
            return self._no_direct_title(facts)
        if code == "watch":
            return self.env._(
                "Add the PgBouncer at %s to the endpoints, so that the check sees the size of its pool.",
                self._address_text(facts["where"]),
            )
        if code == "between":
            return self.env._(
                "No PgBouncer was found. Find out what is between Odoo and PostgreSQL at %s, and connect Odoo to "
                "PostgreSQL itself.",
                self._address_text(facts["where"]),
            )
        if "endpoint" not in facts:
            return (self._remedy_titles() | self._other_titles())[code]
        where = self.env._("PgBouncer “%s”", facts["endpoint"]) if facts["endpoint"] else self.env._("PgBouncer")
        if code == "user":
            return self._user_title(facts, where)
        if code == "behind":
            where = self._address_text(facts["server"])
        names = {"own_database": facts.get("own_database"), "database": facts.get("database")}
        names |= {"name": facts.get("name") or system_database()}
        code = "copy" if facts.get("is_copy") and code == "override" else code
        title = self._pooler_titles(where, **names)[code]
        if facts.get("is_shared_port"):
            return self.env._("%s Do this for each PgBouncer that shares its port (so_reuseport):", title)
        return title

    @api.model
    def _pooler_titles(self, where, **names):
        """Return the titles of what is to be done in a PgBouncer."""
        override = self.env._(
            "In pgbouncer.ini of %(where)s, section [databases], append this to the line for %(name)s. If there is "
            "none, first copy the line * under the name %(name)s, because a line of its own inherits nothing from *.",
            where=where,
            **names,
        )
        console = self.env._("In the admin console of %s:", where)
        return {
            "override": override,
            "behind": self.env._(
                "The last known PgBouncer is in session mode. Notifications are lost in a pooler that it connects to. "
                "If that is a PgBouncer, add it to the endpoints."
            )
            + f" {override}",
            "copy": self.env._(
                "In pgbouncer.ini of %(where)s, section [databases], make the line for %(name)s a copy of the line for "
                "%(own_database)s, or of the line * if there is none, because that one works. Remove dbname from the "
                "copy, and append this:",
                where=where,
                **names,
            ),
            "resume": console,
            "enable": console,
            "alias": self.env._(
                "In pgbouncer.ini of %(where)s, section [databases], remove dbname=%(database)s from the line for "
                "%(name)s: the bus listens on one database, and notifications are sent to another one.",
                where=where,
                **names,
            ),
        }

    @api.model
    def _user_title(self, facts, where):
        """Return what to change in a line of [users]."""
        parts = [
            self.env._(
                "In pgbouncer.ini of %(where)s, section [users], the line for %(user)s outranks the lines of section "
                "[databases].",
                where=where,
                user=facts["user"],
            )
        ]
        if facts["pool_mode"]:
            parts.append(self.env._("Remove pool_mode=%s from it.", facts["pool_mode"]))
        if facts["pool_size"]:
            parts.append(self.env._("Set its pool_size to %s.", facts["pool_size"]))
        if facts["others"]:
            parts.append(
                self.env._(
                    "So that other databases stay in this mode, append this to each of the other lines of section "
                    "[databases]:"
                )
            )
        return " ".join(parts)

    @api.model
    def _address_text(self, address):
        host, port = address
        return network_address(host, port) if host else self.env._("a unix socket, port %s", port)

    @api.model
    def _other_titles(self):
        """Return the titles of remedies outside the configuration of PgBouncer, Odoo and nginx."""
        return {
            "idle_timeout": self.env._("In psql, as Odoo's role or a superuser:"),
            "keep_open": self.env._(
                "Find what closes idle connections between Odoo, PgBouncer and PostgreSQL: a TCP proxy, a firewall, a "
                "load balancer. Set its idle timeout to several hours. A firewall that only forgets idle connections "
                "can be kept awake: tcp_keepalives_idle = 30 in postgresql.conf, tcp_keepidle = 30 in pgbouncer.ini."
            ),
            "each_server": self.env._(
                "Run the check on each Odoo server. Scheduled checks do so while Log Connection Pressure is on."
            ),
            "bus_process": self.env._(
                "Start the process of the bus: restart Odoo, which starts it at gevent_port if there are workers. If "
                "it is a separate service, start that. Its log says why it ended."
            ),
            "workers": self.env._(
                "This Odoo server has no cron workers (max_cron_threads = 0). Run the check on a server that has some."
            ),
            "restart": self.env._(
                "Restart Odoo, and the bus if it is a separate service, so that its listeners reconnect."
            ),
            "idle": self.env._(
                "Check again when no long job is running. If triggered jobs are still late, restart Odoo, so that its "
                "cron workers reconnect."
            ),
            "browser": self.env._(
                "Check this browser's network, its proxy and its extensions: other browsers can open websockets."
            ),
        }

    @api.model
    def _remedy_titles(self):
        proxy = self.env._(
            "In nginx's server block, in place of its location /websocket. If the bus process is on another host than "
            "nginx, replace 127.0.0.1 by that:"
        )
        return {
            "alt_connection": self.env._(
                "Connect only the bus to PostgreSQL directly, with the OCA's module bus_alt_connection in the addons "
                "path. In odoo.conf, section [options], replace these options, or add those that are missing:"
            ),
            "alt_variables": self.env._(
                "Connect only the bus to PostgreSQL directly, by bus_alt_connection. Set these variables in the "
                "environment of Odoo's service, because those that are there now outrank odoo.conf:"
            ),
            "service": self.env._(
                "Run the bus as a separate service with a direct connection. In /etc/systemd/system/odoo-bus.service:"
            ),
            "service_options": self.env._(
                "The bus is a separate service with its own connection. So that it listens on PostgreSQL directly, "
                "append this to its command, the line ExecStart of its unit. Options there outrank odoo.conf:"
            ),
            "service_proxy": proxy,
            "proxy": proxy,
            "primary": self.env._(
                "PostgreSQL allows no LISTEN on a standby. Connect Odoo, or its PgBouncer, to the primary, and restart "
                "Odoo."
            ),
            "role": self.env._(
                "If PostgreSQL rejects Odoo's role on the database postgres, allow it: in pg_hba.conf if the reason "
                "above names it, and then run SELECT pg_reload_conf(); otherwise, in psql as a superuser:"
            ),
            "logs": self.env._(
                "Find out from the logs of PgBouncer and PostgreSQL why connections to postgres get no answer. If the "
                "PgBouncer is not among the endpoints, add it. Check again."
            ),
        }

    @api.model
    def _no_direct_title(self, facts):
        """Return why the bus cannot be connected to PostgreSQL itself."""
        return self.env._(
            "The bus cannot listen on PostgreSQL directly, at %(where)s with Odoo's own user and password: %(why)s "
            "bus_alt_connection changes only the host and the port.",
            where=self._address_text((facts["host"], facts["port"])),
            why=self.env["connection.check.run"]._failure_text(facts)
            or self.env._("No notification arrives, or a pooler is there."),
        )

    @api.model
    def _remedy_sequels(self, facts):
        """Return what to do after the lines of a remedy are pasted."""
        reload_nginx = self.env._("Then run nginx -s reload.")
        restart_both = self.env._("Then restart PgBouncer and Odoo.")
        reload_pgbouncer = self.env._(
            "Then run RELOAD in PgBouncer's admin console, or restart PgBouncer if the line is new. Then restart "
            "Odoo, and the bus if it is a separate service, because the listeners must reconnect. This fixes the "
            "bus and cron."
        )
        reconnects = self.env._("Odoo's bus reconnects within a minute, or when Odoo is restarted.")
        restart_odoo = self.env._("Then restart Odoo. The cron workers still listen through the pooler.")
        return {
            # RELOAD does not apply another user, or ends PgBouncer (1.15 and 1.18).
            "override": restart_both if facts.get("is_copy") else reload_pgbouncer,
            "behind": reload_pgbouncer,
            "alias": reload_pgbouncer,
            "user": restart_both,
            "resume": reconnects,
            "enable": reconnects,
            "idle_timeout": self.env._(
                "If Odoo connects through PgBouncer, run RECONNECT in its admin console, because the setting applies "
                "to new sessions. Then restart Odoo, and the bus if it is a separate service."
            ),
            "keep_open": self.env._(
                "Then restart Odoo, and the bus if it is a separate service: losses from before no longer count."
            ),
            "role": self.env._("Then restart Odoo."),
            "alt_connection": restart_odoo,
            "alt_variables": restart_odoo,
            "service": self.env._(
                "Then run systemctl enable --now odoo-bus, and pass /websocket to it, as below. The cron workers "
                "still listen through the pooler."
            ),
            "service_options": self.env._("Then run systemctl daemon-reload, and restart that service."),
            "service_proxy": reload_nginx,
            "proxy": reload_nginx,
        }
