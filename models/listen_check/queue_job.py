"""The verdict on queue_job's runner in words, and its remedies."""

from odoo import api, models
from odoo.tools import config

from ...odoo_internals import has_job_runner_section
from .step_route import address_text

# Why a server did not accept Odoo's own encryption; queue_job has no other one.
TLS_REASONS = ("tls_required", "tls_unavailable", "tls_failed")
# Why it accepted no connection at all, of whatever user.
NETWORK_REASONS = ("refused", "unreachable", "timeout", "unresolved")


def queue_job_lines(facts):
    """Return the lines of odoo.conf, or environment variables, with which the runner connects to PostgreSQL."""
    options = {"host": facts["host"], "port": facts["port"]}
    if facts["is_other_user"]:
        options |= {"user": "…", "password": "…"}
    if facts["has_section"]:
        return ["[queue_job]", *(f"jobrunner_db_{name} = {value}" for name, value in options.items())]
    return [f"ODOO_QUEUE_JOB_JOBRUNNER_DB_{name.upper()}={value}" for name, value in options.items()]


def load_runner_lines(facts):
    return ["server_wide_modules = " + ",".join(dict.fromkeys([*facts["modules"], "queue_job"]))]


def see_runner_lines(facts):
    return [f'GRANT pg_read_all_stats TO "{facts["role"]}";']


def end_holder_lines(facts):
    return [f"SELECT pg_terminate_backend({facts['pid']});"]


# The code of a remedy -> the function that makes its lines.
LINES = {
    "queue_job": queue_job_lines,
    "load_runner": load_runner_lines,
    "see_runner": see_runner_lines,
    "end_holder": end_holder_lines,
}


class ConnectionCheck(models.Model):
    _inherit = "connection.check"

    @api.model
    def _queue_job_sentences(self, why, took):
        own = self.env._("This server's own runner takes over when that one ends.")
        works = self.env._("queue_job's runner receives notifications within %s ms.", took)
        return {
            "direct": self.env._(
                "queue_job's runner listens on PostgreSQL directly and receives notifications within %s ms.", took
            ),
            "session": self.env._(
                "queue_job's runner listens through a pooler in session mode and receives notifications within %s ms. "
                "All of Odoo's connections to this database occupy a server each.",
                took,
            ),
            "standby_direct": f"{works} {own} " + self.env._("It would listen on PostgreSQL directly."),
            "standby_session": f"{works} {own} " + self.env._("It would listen through a pooler in session mode."),
            "elsewhere": works
            + " "
            + self.env._("It is not this Odoo server's, so whether its next connection will, too, is unknown."),
            "unwatched": self.env._("The pooler is none of the endpoints, so the size of its pool is unknown."),
            "full": self.env._("The pool of the database is in session mode and full. The runner waits for a server."),
            "still_working": self.env._(
                "Jobs still start, because an earlier connection, or another server's runner, receives notifications "
                "within %s ms.",
                took,
            ),
            "no_runner": self.env._("No runner of queue_job is connected to this database. Its jobs do not start."),
            "not_reacting": self.env._(
                "The session that holds the lock of queue_job's runner receives no notifications. No job starts."
            ),
            "hidden": self.env._(
                "Whether queue_job's runner receives notifications is unknown: Odoo's role cannot see its session."
            ),
            "busy": self.env._("Whether queue_job's runner receives notifications is unknown: it was busy."),
            "deaf": self.env._("queue_job's runner receives no notifications."),
            "effect": self.env._("Its jobs do not start."),
            "unreachable": self.env._(
                "queue_job's runner cannot connect to the database. Its jobs do not start. %s", why
            ),
            "unknown": self.env._("Whether queue_job's runner receives notifications is unknown. %s", why),
        }

    @api.model
    def _remedy_facts(self, code, steps):
        facts = super()._remedy_facts(code, steps)
        if code == "load_runner":
            return facts | {"modules": list(config["server_wide_modules"])}
        if code == "see_runner":
            return facts | {"role": self.env["connection.endpoint"]._own_connection("current_user")}
        if code == "end_holder":
            return facts | {"pid": steps["queue_job"]["runner"]["pid"]}
        if code != "queue_job":
            return facts
        address = steps["queue_job"]["direct"] or self._direct_address({"server": None})
        result = address.get("result") or {"reason": None, "detail": None}
        facts |= {"host": address["host"], "port": address["port"], "has_section": has_job_runner_section()}
        # Whoever has another name or password at the pooler.
        is_other_user = result["reason"] not in (None, *TLS_REASONS, *NETWORK_REASONS)
        return facts | {"is_other_user": is_other_user, "reason": result["reason"], "detail": result["detail"]}

    @api.model
    def _remedy_words(self, facts):
        code = facts.get("code")
        titles = self._queue_job_titles()
        if code not in titles:
            return super()._remedy_words(facts)
        words = {"title": titles[code]}
        if code in LINES:
            words |= {"lines": "\n".join(LINES[code](facts)), "then": self._queue_job_sequel(facts)}
            if code == "queue_job" and not facts["has_section"]:
                words["title"] = self.env._(
                    "In the environment of Odoo's service, so that queue_job's runner listens on PostgreSQL directly:"
                )
        return words

    @api.model
    def _queue_job_titles(self):
        return {
            "queue_job": self.env._(
                "In odoo.conf, so that queue_job's runner listens on PostgreSQL directly. If there is a section "
                "[queue_job], replace these options there, or add them:"
            ),
            "load_runner": self.env._(
                "Start a runner in one of the Odoo servers of this database. In odoo.conf, section [options], replace "
                "this option, or add it. The capacity of queue_job's root channel must not be 0:"
            ),
            "see_runner": self.env._("As a superuser of PostgreSQL, so that Odoo's role can see the runner's session:"),
            "end_holder": self.env._(
                "End the session that holds the lock, in PostgreSQL as Odoo's role. A runner connects again. If a "
                "server of a pool kept the lock of a runner that is gone, the next runner gets it:"
            ),
            "runner_log": self.env._(
                "Find out from Odoo's log why the runner is not connected: search for "
                "odoo.addons.queue_job.jobrunner. It needs all databases of this Odoo server."
            ),
            "check_elsewhere": self.env._(
                "Check on the Odoo server whose runner it is: see its client in the evidence."
            ),
            "again": self.env._("Check again in a minute."),
        }

    @api.model
    def _queue_job_sequel(self, facts):
        """Return what to do after the lines of a remedy are pasted."""
        if facts["code"] == "see_runner":
            return self.env._("Then check again.")
        if facts["code"] == "end_holder":
            return self.env._("Check again after 10 s.")
        if facts["code"] == "load_runner":
            return self.env._("Then restart Odoo.")
        then = self.env._(
            "Then run RECONNECT in PgBouncer's console, because a server of the pool may keep the lock of the runner, "
            "and restart Odoo."
        )
        reason = facts["reason"]
        if not reason:
            return then
        where = address_text((facts["host"], facts["port"]))
        why = self.env["connection.check.run"]._failure_text(facts)
        problem = self.env._("A test of this address failed: %(where)s: %(why)s", where=where, why=why)
        if reason in TLS_REASONS:
            hint = self.env._(
                "The runner encrypts as db_sslmode in the section [options] says: choose a value that PostgreSQL "
                "accepts, too, such as prefer."
            )
        elif reason in NETWORK_REASONS:
            hint = self.env._("Replace it by an address at which this server reaches PostgreSQL.")
        else:
            hint = self.env._("Enter a role of PostgreSQL, and its password, that may connect from this server.")
        return f"{problem} {hint} {then}"
