"""The step that tests whether queue_job's runner receives notifications."""

from odoo import api, models
from odoo.sql_db import connection_info_for

from ...analysis.joins import network_address
from ...analysis.listen_verdicts import judge_queue_job
from ...analysis.listening import is_delivered
from ...odoo_internals import has_job_runner, is_of_this_server, job_runner
from ...probes import listen, runner
from ...tools import format_ms
from .step_route import address_text


class ConnectionCheckRun(models.TransientModel):
    _inherit = "connection.check.run"

    def _step_queue_job(self):
        database = self.env.cr.dbname
        facts = {"database": database, "result": None, "pool": None, "direct": None}
        if has_job_runner():
            info = job_runner()._connection_info_for(database)
            facts["result"], facts["pool"] = self._probe(info, database)
            if not is_delivered(facts["result"]):
                facts["direct"] = self._probe_direct_address(info, facts["result"])
        self._commit_before_waiting()
        found = runner.probe(connection_info_for(database)[1], job_runner().PG_ADVISORY_LOCK_ID)
        facts |= {"runner": found._asdict(), "is_here": bool(found.pid) and self._is_of_this_server(found)}
        return facts | {"level": judge_queue_job(facts).level}

    def _probe_direct_address(self, info, result):
        """Return PostgreSQL's own ``host`` and ``port``, and the ``result`` of LISTEN there, with the runner's other
        parameters."""
        address = self.env["connection.check"]._direct_address(result)
        self._commit_before_waiting()
        return address | {"result": listen.probe(info | address)[0]._asdict()}

    @api.model
    def _is_of_this_server(self, found):
        """Return whether the client behind a backend, a runner.RunnerResult, is a process of this Odoo server."""
        servers = self.env["pgbouncer.server"].search([("remote_pid", "=", found.pid)])
        ends = [(client.addr, client.port) for client in servers.client_id]
        ends = ends or [(found.address, found.port)]
        return any(is_of_this_server(address, port, found.application_name) for address, port in ends)

    @api.model
    def _describe_queue_job(self, facts):
        done = self.env._(
            "Sent LISTEN on a random channel over the route of queue_job's runner to the database %s. Searched for the "
            "runner that holds the lock on this database, and notified it of a job that does not exist.",
            facts["database"],
        )
        route = self.env._("This Odoo server has no runner.")
        if result := facts["result"]:
            where, seen = address_text(result["route"]), self._describe_result(result)[0]
            route = self.env._(
                "This Odoo server has a runner, which connects to %(where)s: %(seen)s", where=where, seen=seen
            )
        sentences = self.env["connection.check"]._sentences("queue_job", judge_queue_job(facts).sentences)
        return done, f"{route} {self._job_runner_text(facts['runner'], facts['is_here'])}", sentences

    @api.model
    def _job_runner_text(self, found, is_here):
        """Return in words who holds the lock, and whether it received notifications."""
        if found["pid"] is None:
            return self._failure_text(found) if found["reason"] else self.env._("No runner holds the lock.")
        if found["is_hidden"]:
            return self.env._("The backend with PID %s holds the lock. It is another role's.", found["pid"])
        client = network_address(found["address"], found["port"]) if found["address"] else "(unix socket)"
        names = {"pid": found["pid"], "client": client}
        text = self.env._("The backend with PID %(pid)s holds the lock. Its client is %(client)s.", **names)
        if is_here:
            text = self.env._(
                "The backend with PID %(pid)s holds the lock. Its client is %(client)s, this server's own runner.",
                **names,
            )
        if not found["seconds"]:
            reaction = self.env._("It was busy all the time.")
        elif None in found["seconds"]:
            reaction = self.env._("It did not react within %s s.", runner.REACTION_SECONDS)
        else:
            took = ", ".join(format_ms(self.env, seconds) for seconds in found["seconds"])
            reaction = self.env._("It reacted after %s ms.", took)
        return f"{text} {reaction}"
