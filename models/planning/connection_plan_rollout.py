"""Rollout: the steps from the installation that runs to the plan, and back."""

from shlex import join

from odoo import api, fields, models


class ConnectionPlan(models.Model):
    _inherit = "connection.plan"

    rollout = fields.Json(
        compute="_compute_rollout", help="A list of steps: name, title, text, lines (to run) and verify."
    )

    @api.depends("files")
    @api.depends_context("lang")
    def _compute_rollout(self):
        for plan in self:
            plan.rollout = plan._rollout_steps() if plan.files else False

    def _rollout_steps(self):
        steps = [*self._steps_of_files(), *self._steps_of_limits(), *self._steps_of_start()]
        steps += [*self._steps_of_switch(), *self._steps_after()]
        names = ("name", "title", "text", "lines", "verify")
        return [dict(zip(names, step, strict=True)) for step in steps]

    def _psql(self, user, database, *commands):
        words = ["psql", "-h", self.pgbouncer_host, "-p", str(self.pgbouncer_port), "-U", user, "-d", database]
        return join([*words, *(word for command in commands for word in ("-c", command))])

    def _steps_of_files(self):
        statements = [name for name in self.files if name.endswith(".sql")]
        yield (
            "install",
            self.env._("Install PgBouncer"),
            self.env._("On each host that will run it. Odoo is not affected."),
            "apt install pgbouncer",
            self.env._("“pgbouncer --version” shows 1.%s or a later one.", self.version),
        )
        yield (
            "files",
            self.env._("Copy the files"),
            self.env._(
                "Copy pgbouncer.ini to /etc/pgbouncer. Then run the statements as a superuser of PostgreSQL, on the "
                "host of PgBouncer: the last of them writes userlist.txt. The files hold no passwords."
            ),
            "\n".join(
                [
                    "install -o postgres -g postgres -m 640 pgbouncer.ini /etc/pgbouncer/",
                    *(f"sudo -u postgres psql -f {name}" for name in statements),
                ]
            ),
            self.env._("/etc/pgbouncer/userlist.txt has a line for each user, and only PgBouncer's user can read it."),
        )

    def _steps_of_limits(self):
        yield (
            "limits",
            self.env._("Raise the limits"),
            self.env._(
                "PgBouncer needs a file descriptor for each client and each server: %s.",
                self.proposal["figures"]["file_descriptors"]["text"],
            ),
            "install -D -m 644 pgbouncer.service /etc/systemd/system/pgbouncer.service.d/limits.conf\n"
            "systemctl daemon-reload",
            self.env._("“systemctl show -p LimitNOFILE pgbouncer” shows it."),
        )
        if (value := self.proposal["figures"]["max_connections"]["value"]) and value != self.max_connections:
            yield (
                "max_connections",
                self.env._("Change max_connections"),
                self.env._("PostgreSQL must be restarted for this, which ends all connections: choose a quiet time."),
                f"ALTER SYSTEM SET max_connections = {value};",
                self.env._("“SHOW max_connections” shows it after the restart."),
            )

    def _steps_of_start(self):
        yield (
            "start",
            self.env._("Start PgBouncer beside the running Odoo"),
            self.env._("Odoo still connects to PostgreSQL directly."),
            "systemctl restart pgbouncer",
            self.env._("The log has no line with WARNING, ERROR or FATAL: “journalctl -u pgbouncer”."),
        )
        database = (self.db_names or "").strip().partition("\n")[0] or self.env.cr.dbname
        yield (
            "check",
            self.env._("Check it with psql"),
            self.env._("From each Odoo server: the first line as Odoo's role, the second one on PgBouncer's console."),
            "\n".join(
                [
                    self._psql(self.db_user, database, "SELECT 1"),
                    self._psql(self.stats_user, "pgbouncer", "SHOW DATABASES", "SHOW CONFIG"),
                ]
            ),
            self.env._("The first one prints 1. In SHOW DATABASES, postgres has the pool_mode session."),
        )

    def _steps_of_switch(self):
        if {"odoo-bus.service", "nginx.conf"} & set(self.files):
            yield (
                "websocket",
                self.env._("Prepare the bus"),
                self.env._(
                    "Check that the reverse proxy passes /websocket to the process in nginx.conf. If there is an "
                    "odoo-bus.service among the files, install and start it first."
                ),
                "nginx -t && systemctl reload nginx",
                self.env._("In a browser, a page of Odoo opens /websocket with status 101."),
            )
        yield (
            "switch",
            self.env._("Switch db_host and db_port"),
            self.env._("Keep a copy of odoo.conf. Then put the lines of the file into the odoo.conf of each server:"),
            self.files["odoo.conf"],
            self.env._("Nothing changes before the restart."),
        )
        yield (
            "restart",
            self.env._("Restart Odoo"),
            self.env._("One server after the other. Go on when the first one serves pages."),
            "systemctl restart odoo",
            self.env._("SHOW CLIENTS in PgBouncer's console lists the server, and its pages load."),
        )

    def _steps_after(self):
        yield (
            "listen",
            self.env._("Run the LISTEN check"),
            self.env._("Open LISTEN Check and press Check Now: it proves that chat and triggered jobs still work."),
            "",
            self.env._("Bus and cron are OK, on each server."),
        )
        yield (
            "watch",
            self.env._("Watch"),
            self.env._(
                "Add each PgBouncer in Endpoints, then press Compare with Running. Watch the Overview in the busiest "
                "hour of the next days."
            ),
            "",
            self.env._("No alert opens, clients do not wait, and there are at most %s backends.", self.pooled_ceiling),
        )
        yield (
            "back",
            self.env._("The way back"),
            self.env._(
                "At any step: restore the odoo.conf that you kept, and restart Odoo. It then connects to PostgreSQL "
                "directly, as before. PgBouncer can keep running: without clients it closes its servers."
            ),
            "systemctl restart odoo",
            self.env._("SHOW CLIENTS lists no client of Odoo any more."),
        )
