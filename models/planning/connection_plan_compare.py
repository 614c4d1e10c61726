"""Compare with Running: what the servers report, beside what a plan proposes."""

from operator import itemgetter

from odoo import api, fields, models
from odoo.tools import config, format_datetime, groupby

from ...planner import configuration, sizing
from ...probes.errors import QueryError
from ...tools import labelled
from . import plan_texts

# Of a database's line in pgbouncer.ini.
POSTGRES_SETTINGS = ("pool_mode", "pool_size")


class ConnectionPlan(models.Model):
    _inherit = "connection.plan"

    # What the servers reported: facts, see `_read_running`.
    running = fields.Json(readonly=True, copy=False)
    # What ran when it was last read, and what is proposed: read_at, problems, and groups by kind of server: rows with
    # name, label, proposed, running (of each server), is_same, effect and why.
    comparison = fields.Json(compute="_compute_comparison")

    def action_compare(self):
        """Read what runs now. A server that does not answer within the deadline is unknown."""
        self.ensure_one()
        self.check_access("write")
        read_at = fields.Datetime.to_string(fields.Datetime.now())
        self._write_facts({"running": {"read_at": read_at, "servers": self._read_running()}})

    @api.model
    def _read_running(self):
        """Return what runs: for each server ``name``, and ``settings`` (name -> text) with ``restarts``, those that
        change with a restart only; or the ``reason`` why the PgBouncer ``endpoint_id`` is unknown."""
        domain = [("kind", "=", "pgbouncer"), ("active", "=", True)]
        endpoints = self.env["connection.endpoint"].search(domain)
        servers = []
        for endpoint, reading in endpoints._read("SHOW CONFIG", "SHOW DATABASES").items():
            server = {"endpoint_id": endpoint.id, "name": endpoint.name}
            if isinstance(reading, QueryError):
                servers.append(server | {"reason": endpoint._reason(None, reading)})
            else:
                servers.append(server | self._of_console(reading.answers))
        max_connections = endpoints._own_connection("current_setting('max_connections')")
        servers.append({"name": "PostgreSQL", "settings": {"max_connections": max_connections}})
        names = ("db_host", "db_port")
        return [*servers, {"name": "Odoo", "settings": {name: str(config[name] or "") for name in names}}]

    @api.model
    def _of_console(self, answers):
        rows = answers["SHOW CONFIG"]
        settings = {row["key"]: row.get("value") or "" for row in rows}
        for row in answers["SHOW DATABASES"]:
            if row["name"] == "postgres":
                postgres = row | {"pool_mode": row.get("pool_mode") or settings.get("pool_mode")}
                settings |= {f"postgres.{name}": str(postgres.get(name) or "") for name in POSTGRES_SETTINGS}
        return {"settings": settings, "restarts": [row["key"] for row in rows if row.get("changeable") == "no"]}

    @api.depends("running", "proposal")
    @api.depends_context("lang", "tz")
    def _compute_comparison(self):
        for plan in self:
            plan.comparison = plan._comparison_words() if plan.running and plan.proposal else False

    def _comparison_words(self):
        servers, problems = self.running["servers"], []
        for server in servers:
            if "reason" in server:
                endpoint = self.env["connection.endpoint"].browse(server["endpoint_id"]).exists()
                reason = endpoint._reason_text(server["reason"]) if endpoint else ""
                problems.append(labelled(self.env, server["name"], reason))
        read_at = format_datetime(self.env, fields.Datetime.to_datetime(self.running["read_at"]), dt_format="medium")
        return {
            "read_at": self.env._("Read at %s.", read_at),
            "problems": problems,
            "groups": [
                {"kind": kind, "rows": [self._comparison_row(servers, kind, *proposed) for _kind, *proposed in group]}
                for kind, group in groupby(self._proposed(), itemgetter(0))
            ],
        }

    def _proposed(self):
        """Yield what is proposed: the kind of server, the setting's name, its value, and why."""
        inputs, figures = self._inputs(), self.proposal["figures"]
        # The file leaves out what is PgBouncer's default, and the running one may differ from it.
        sizes = {name: figures[name]["value"] for name in configuration.SIZES}
        settings = {name: str(size) for name, size in sizes.items() if size is not None}
        for name, value in (settings | configuration.settings(inputs, sizing.propose(inputs))).items():
            yield "PgBouncer", name, value, figures.get(name, {}).get("why") or plan_texts.setting(self.env, name)
        figure = figures["postgres_pool_size"]
        yield "PgBouncer", "postgres.pool_mode", "session", plan_texts.setting(self.env, "postgres.pool_mode")
        yield "PgBouncer", "postgres.pool_size", str(figure["value"]), figure["why"]
        figure = figures["max_connections"]
        yield "PostgreSQL", "max_connections", str(figure["value"]), figure["why"]
        for name, value in (("db_host", inputs.pgbouncer_host), ("db_port", str(inputs.pgbouncer_port))):
            yield "Odoo", name, value, plan_texts.setting(self.env, name)

    @api.model
    def _comparison_row(self, servers, kind, name, proposed, why):
        running, is_restart = [], name in configuration.RESTART_SETTINGS
        for server in servers:
            if ("endpoint_id" in server) == (kind == "PgBouncer") and (kind == "PgBouncer" or server["name"] == kind):
                value = server.get("settings", {}).get(name)
                text = self.env._("unknown") if value is None else value or self.env._("empty")
                is_same = None if value is None else value == proposed
                running.append({"server": server["name"], "text": text, "is_same": is_same})
                is_restart = is_restart or name in server.get("restarts", ())
        is_same = bool(running) and all(cell["is_same"] for cell in running)
        return {
            "name": name,
            "label": name.replace(".", ": "),
            "running": running,
            "proposed": proposed,
            "effect": "" if is_same else self._effect(kind, name, is_restart),
            "is_same": is_same,
            "why": why,
        }

    @api.model
    def _effect(self, kind, name, is_restart):
        if is_restart or kind != "PgBouncer":
            return self.env._("After a restart of %s", kind)
        if name.startswith("postgres."):
            return self.env._("After RELOAD and RECONNECT postgres")
        return self.env._("After RELOAD")
