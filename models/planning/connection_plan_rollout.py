"""Rollout: the steps from the installation that runs to the plan, and back."""

from shlex import join

from odoo import api, fields, models

from ...planner import configuration, statements

FOLDER = "/etc/pgbouncer"
BACKUP = "/etc/pgbouncer.backup"
ODOO = "/etc/odoo/odoo.conf"
ODOO_BACKUP = f"{ODOO}.backup"


class ConnectionPlan(models.Model):
    _inherit = "connection.plan"

    # A list of steps: name, title, text, lines (to run) and verify.
    rollout = fields.Json(compute="_compute_rollout")

    @api.depends("files")
    @api.depends_context("lang")
    def _compute_rollout(self):
        for plan in self:
            plan.rollout = plan._rollout_steps() if plan.files else False

    def _rollout_steps(self):
        steps = [*self._steps_of_install(), *self._steps_of_files(), *self._steps_of_limits()]
        steps += [*self._steps_of_max_connections(), *self._steps_of_start(), *self._steps_of_bus()]
        steps += [*self._steps_of_switch(), *self._steps_after()]
        names = ("name", "title", "text", "lines", "verify")
        return [dict(zip(names, step, strict=True)) for step in steps]

    def _psql(self, user, database, *commands):
        words = ["psql", "-h", self.pgbouncer_host, "-p", str(self.pgbouncer_port), "-U", user, "-d", database]
        return join([*words, *(word for command in commands for word in ("-c", command))])

    def _steps_of_install(self):
        yield (
            "install",
            self.env._("Install PgBouncer"),
            self.env._(
                "As root, on each host that will run it. Odoo is not affected. PostgreSQL must accept these hosts in "
                "pg_hba.conf, and a firewall should admit only the Odoo servers to port %s.",
                self.pgbouncer_port,
            ),
            "apt install pgbouncer postgresql-client sudo",
            self.env._(
                "“pgbouncer --version” shows 1.%s or a later version. If it is older, choose its version in the plan "
                "and download the files again.",
                self.version,
            ),
        )
        yield (
            "backup",
            self.env._("Back up PgBouncer's configuration"),
            self.env._(
                "On each host of PgBouncer. If a PgBouncer already runs there, the plan replaces its pgbouncer.ini and "
                "its userlist.txt: add what other programs need from the old files to the new ones."
            ),
            f"test -e {BACKUP} || cp -a {FOLDER} {BACKUP}",
            self.env._(
                "%s contains the current files. If it is from an earlier rollout, move it away and repeat.", BACKUP
            ),
        )

    def _steps_of_files(self):
        yield (
            "files",
            self.env._("Copy the files"),
            self.env._(
                "Copy pgbouncer.ini to each host of PgBouncer. Then run the statements as a superuser of PostgreSQL, "
                "on one host of PgBouncer, one line at a time: the last file writes userlist.txt. Run it again after "
                "each change of a password. If the role “%s” has no password, psql prompts for one: the endpoint in "
                "Odoo will need it.",
                self.stats_user,
            ),
            "\n".join(
                [
                    f"install -o postgres -g postgres -m 640 pgbouncer.ini {FOLDER}/",
                    *(statements.command(self._inputs(), name) for name in self.files if name.endswith(".sql")),
                ]
            ),
            self.env._(
                "psql reports no role without a SCRAM secret. Only PgBouncer's user can read %s.",
                statements.USERLIST,
            ),
        )
        if self.pgbouncers > 1:
            yield (
                "userlist",
                self.env._("Copy userlist.txt to the other hosts of PgBouncer"),
                self.env._("All PgBouncers need the same file. Copy it to the other hosts, then install it there:"),
                f"install -o postgres -g postgres -m 600 userlist.txt {FOLDER}/",
                self.env._("“sha256sum %s” prints the same on each host.", statements.USERLIST),
            )

    def _steps_of_limits(self):
        yield (
            "limits",
            self.env._("Raise the limits"),
            self.env._(
                "On each host of PgBouncer. It needs a file descriptor for each client and each server: %s.",
                self.proposal["figures"]["file_descriptors"]["text"],
            ),
            "install -D -m 644 limits.conf /etc/systemd/system/pgbouncer.service.d/limits.conf\n"
            "systemctl daemon-reload",
            self.env._("“systemctl show -p LimitNOFILE pgbouncer” shows the limit."),
        )

    def _steps_of_max_connections(self):
        value = self.proposal["figures"]["max_connections"]["value"]
        if not value or value == self.max_connections:
            return
        psql = join(["psql", "-p", str(self.db_port), "-c", f"ALTER SYSTEM SET max_connections = {value}"])
        lines = f"sudo -u postgres {psql} && systemctl restart postgresql"
        verify = self.env._("“SHOW max_connections” shows %s after the restart.", value)
        if self.has_replica:
            yield (
                "standby",
                self.env._("Change max_connections of the replica"),
                self.env._(
                    "A standby cannot run with a lower max_connections than its primary: it stops replaying. Run this "
                    "on the host of each standby, before that of the primary."
                ),
                lines,
                verify,
            )
        yield (
            "max_connections",
            self.env._("Change max_connections"),
            self.env._("On PostgreSQL's host. The restart ends all connections: choose a quiet time."),
            lines,
            verify,
        )

    def _steps_of_start(self):
        yield (
            "start",
            self.env._("Start PgBouncer beside the running Odoo"),
            self.env._(
                "The clients of a PgBouncer that already runs lose their connections: choose a quiet time. An Odoo "
                "that connects to PostgreSQL directly is not affected."
            ),
            "systemctl restart pgbouncer",
            self.env._("The log has no line with WARNING, ERROR or FATAL: “journalctl -u pgbouncer --since -5min”."),
        )
        database = (self.db_names or "").strip().partition("\n")[0] or self.env.cr.dbname
        yield (
            "check",
            self.env._("Check it with psql"),
            self.env._("From each Odoo server: two lines as Odoo's role, and one on PgBouncer's console."),
            "\n".join(
                [
                    self._psql(self.db_user, database, "SELECT 1"),
                    self._psql(self.db_user, "postgres", "SELECT 1"),
                    self._psql(self.stats_user, "pgbouncer", "SHOW DATABASES"),
                ]
            ),
            self.env._("The first two print 1. In SHOW DATABASES, postgres has the pool_mode session."),
        )

    def _steps_of_bus(self):
        if self.bus == "alt":
            yield (
                "module",
                self.env._("Install bus_alt_connection"),
                self.env._(
                    "Copy the OCA's module bus_alt_connection to a directory of addons_path, on each Odoo server. "
                    "server_wide_modules in odoo.conf loads it: do not install it in a database."
                ),
                "",
                self.env._("Each server has the module. It has no effect before odoo.conf changes."),
            )
        if "odoo-bus.service" in self.files:
            yield (
                "bus",
                self.env._("Start the bus service"),
                self.env._("On each Odoo server. Adapt the user and the paths in odoo-bus.service if yours differ."),
                "install -m 644 odoo-bus.service /etc/systemd/system/\n"
                "systemctl daemon-reload\n"
                "systemctl enable --now odoo-bus",
                self.env._("“systemctl status odoo-bus” shows that the service is active."),
            )
            yield (
                "websocket",
                self.env._("Switch the reverse proxy"),
                self.env._(
                    "In nginx's location /websocket, change the port, or that of its upstream, to %s. If there is no "
                    "such location, add the one of nginx.conf to Odoo's server block.",
                    configuration.bus_port(self._inputs()),
                ),
                "nginx -t && systemctl reload nginx",
                self.env._("In a browser, a page of Odoo opens /websocket with status 101."),
            )

    def _steps_of_switch(self):
        yield (
            "switch",
            self.env._("Switch db_host and db_port"),
            self.env._(
                "On each Odoo server, keep a copy: “%s”. Then change these options. From now on, back up and restore "
                "with pg_dump and pg_restore directly on PostgreSQL, not with Odoo's database manager: they change "
                "settings of their session, and transaction pooling gives the session to others.",
                f"cp -a {ODOO} {ODOO_BACKUP}",
            ),
            self.files["odoo.conf"],
            self.env._("Nothing changes before the restart."),
        )
        yield (
            "restart",
            self.env._("Restart Odoo"),
            self.env._(
                "One server after the other. Go on when the first one serves pages. If PostgreSQL has no connections "
                "left for PgBouncer, stop all Odoo servers first."
            ),
            "systemctl restart odoo",
            self.env._("SHOW CLIENTS in PgBouncer's console lists the server, and its pages load."),
        )

    def _steps_after(self):
        yield (
            "listen",
            self.env._("Run the LISTEN check"),
            self.env._(
                "Open LISTEN Check and press Check Now: it proves that chat and triggered jobs still work. It checks "
                "the server that you are connected to; the others check themselves, see Earlier Checks."
            ),
            "",
            self.env._("Bus and cron are OK, on each server."),
        )
        yield (
            "watch",
            self.env._("Watch"),
            self.env._(
                "Add each PgBouncer in Endpoints, with the user “%s” and its password, then press Compare with "
                "Running. Watch the Overview in the busiest hour of the next days.",
                self.stats_user,
            ),
            "",
            self.env._("No alert opens, clients do not wait, and there are at most %s backends.", self.pooled_ceiling),
        )
        yield from self._steps_back()

    def _steps_back(self):
        lines = [f"cp -a {ODOO_BACKUP} {ODOO} && systemctl restart odoo"]
        if self.bus == "service":
            lines.append("systemctl disable --now odoo-bus")
        yield (
            "back",
            self.env._("Roll back"),
            self.env._(
                "Possible after any step, on each Odoo server. Undo what was changed for the reverse proxy first. "
                "Without clients, PgBouncer closes its server connections and can keep running."
            ),
            "\n".join(lines),
            self.env._("Pages load, and SHOW CLIENTS in PgBouncer's console lists no client of Odoo."),
        )
        yield (
            "restore",
            self.env._("Restore an earlier PgBouncer"),
            self.env._("Only if a PgBouncer ran before the rollout: also on each of its hosts."),
            f"cp -aT {BACKUP} {FOLDER} && systemctl restart pgbouncer",
            self.env._("Its clients connect as before."),
        )
