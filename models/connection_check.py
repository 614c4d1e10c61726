import getpass
import logging
import shlex
import socket
import sys
import time
from datetime import timedelta

import psutil

import odoo.service.server
from odoo import api, fields, models
from odoo.service.model import retrying
from odoo.tools import SQL, config

from .. import pressure
from ..fields import NullableFloat, selection_label
from ..tools import localized
from .connection_endpoint import EPOCH, LEVELS

_logger = logging.getLogger(__name__)

# The database on which Odoo listens.
POSTGRES = "postgres"
# The rules about the last check, and whose.
LISTENERS = {"deaf_bus_samples": "bus", "deaf_cron_samples": "cron"}
# So many checks of each listener of a host are kept.
KEPT = 20
# How often to look whether a job has started.
POLL_SECONDS = 0.5
# How long Odoo may take to start all its processes.
START_TIME = timedelta(seconds=60)
# The steps that are about the other listener.
OF_OTHER = {"bus": ("cron",), "cron": ("bus", "browser")}
# Where Debian's PostgreSQL has its unix socket: it does not tell ordinary roles.
SOCKET_FOLDER = "/var/run/postgresql"


def is_heard(hearing):
    """Whether a listen.Hearing, as a dictionary, proves that LISTEN works."""
    return hearing["outcome"] == "heard"


def can_notify(hearing):
    """Whether a listen.Hearing, as a dictionary, proves that a NOTIFY can be sent."""
    return is_heard(hearing) or (hearing["outcome"] == "lost" and not hearing["reason"])


def tell_ms(env, seconds):
    return localized(env, seconds * 1000, 0 if seconds >= 0.01 else 1)


def route_verdict(hearing, pool):
    """The verdict on a route.

    :param dict hearing: of a listen.Hearing
    :param dict pool: of `connection.check.run`, that the route leads through; None if it is not known
    """
    if is_heard(hearing):
        return "session" if hearing["is_pooled"] else "direct"
    if hearing["outcome"] == "blocked" and pool and pool["pool_mode"] == "session":
        return "session"
    return {"lost": "deaf", "unreachable": "unreachable"}.get(hearing["outcome"], "unknown")


class ConnectionCheck(models.Model):
    """The verdict of a LISTEN check: on which kind of connection the bus, or the cron workers, of this
    Odoo server listen. Proven by what was heard: the evidence says by which steps.

    - ``direct``: on PostgreSQL itself
    - ``session``: through a pooler in session mode, which works as long as the pool has servers
    - ``deaf``: LISTEN is lost, or nobody listens
    - ``unreachable``: no connection to the database postgres can be made
    - ``unknown``: it could not be found out; or cron's jobs were late, for which there may be other reasons

    ``level`` is ``ok`` only for what works and will go on working.
    """

    _name = "connection.check"
    _description = "LISTEN Check"
    _order = "checked_at desc, id desc"
    _rec_name = "checked_at"

    listener = fields.Selection([("bus", "Bus"), ("cron", "Cron")], required=True, readonly=True)
    verdict = fields.Selection(
        [
            ("direct", "Direct"),
            ("session", "Session Mode"),
            ("deaf", "Deaf"),
            ("unreachable", "Unreachable"),
            ("unknown", "Unknown"),
        ],
        required=True,
        readonly=True,
        help="Direct: listens on PostgreSQL itself. Session Mode: through a pooler, where it works as long as the pool "
        "has servers. Deaf: looks connected, and hears nothing. Unreachable: cannot connect to the database postgres.",
    )
    level = fields.Selection(LEVELS, required=True, readonly=True, help="OK: it works, and will go on working.")
    summary = fields.Char(readonly=True)
    checked_at = fields.Datetime("Checked", required=True, readonly=True, default=fields.Datetime.now)
    host = fields.Char("Odoo Server", readonly=True, help="The host whose listener was checked. Others may differ.")
    is_live = fields.Selection(
        [("yes", "Yes"), ("no", "No")],
        "Reaches the Browser",
        readonly=True,
        help="Whether notifications arrived at the browser that took part, in this check or the last one that had one.",
    )
    delay = NullableFloat(
        "Job Waited (s)",
        readonly=True,
        digits=(16, 3),
        help="The longest that a triggered job waited for its start: less than a second where the cron workers hear, "
        "up to a minute where they do not. Empty: it has not started yet.",
    )
    steps = fields.Json(readonly=True)
    ways = fields.Json(readonly=True)
    evidence = fields.Text(compute="_compute_evidence")
    remedy = fields.Text(compute="_compute_remedy")

    @api.depends("listener", "verdict")
    def _compute_display_name(self):
        for check in self:
            check.display_name = f"{check._word('listener')}: {check._word('verdict')}"

    @api.depends("steps")
    def _compute_evidence(self):
        for check in self:
            check.evidence = "\n\n".join(
                f"{number}. {step['title']} [{step['level']}]\n{step['done']}\n{step['seen']}\n{step['means']}"
                for number, step in enumerate(check.steps or [], 1)
            )

    @api.depends("ways")
    def _compute_remedy(self):
        for check in self:
            check.remedy = "\n\n".join(
                "\n".join(way[key] for key in ("title", "lines", "then") if key in way) for way in check.ways or []
            )

    def _word(self, name):
        return selection_label(self, name, self[name])

    @api.model
    def action_check(self):
        """Check now, without a browser: with one, the page does the steps of connection.check.run.

        :return: the new records, one for the bus and one for cron. Each step is committed, because a scheduled
            action takes part.
        """
        self.env["connection.check.run"].check_access("create")
        run_id, told = self._do_steps({})
        while told["is_pending"]:
            time.sleep(POLL_SECONDS)
            told = self._commit_with_retries(lambda runs: runs.browse(run_id).step("cron"))
        return self.browse(self._commit_with_retries(lambda runs: runs.browse(run_id).finish().ids))

    @api.model
    def _do_steps(self, values):
        """Make a run with these values, and do its steps.

        :return: its id, and what the last step told
        """
        run_id = self._commit_with_retries(lambda runs: runs.create(values).id)
        told = {}
        for name in self.env["connection.check.run"]._titles():
            told = self._commit_with_retries(lambda runs, name=name: runs.browse(run_id).step(name))
        return run_id, told

    @api.model
    def _commit_with_retries(self, function):
        """Commit what a function does with connection.check.run, and call it again if another transaction came
        in between. There may be no second connection for it."""
        self.env["connection.endpoint"]._commit()
        return retrying(lambda: function(self.env["connection.check.run"]), self.env)

    @api.model
    def last(self):
        """The last checks, for the page.

        :return: a list of the values of at most two records, the bus before cron
        """
        names = ["listener", "verdict", "level", "summary", "checked_at", "host", "delay", "steps", "ways"]
        checks = self._last("bus") | self._last("cron")
        return [
            values | {"is_old": check._is_old()}
            for check, values in zip(checks, checks.read([*names, "evidence", "remedy"]), strict=True)
        ]

    @api.model
    def _last(self, listener):
        return self.search([("listener", "=", listener)], limit=1)

    @api.model
    def _worst(self, listener):
        """The worst of the last checks of each Odoo server, of those that are not too old to count."""
        last = [checks[0] for checks in self.search([("listener", "=", listener)]).grouped("host").values()]
        last = [check for check in last if not check._is_old()]
        return max(last, key=lambda check: pressure.severity(check.level), default=self.browse())

    def _is_old(self):
        """Whether it is so long ago that another one should have been done."""
        patience = 2 * self.env["res.config.settings"]._interval("check")
        return self.checked_at < fields.Datetime.now() - timedelta(seconds=patience)

    # Kept watch

    @api.model
    def _cron_check(self):
        """Check without a browser. The cron worker that does this learns how long a job waits when it is free
        again: the job itself then ends the check."""
        run_id, told = self._do_steps({"is_scheduled": True})
        self._commit_with_retries(lambda runs: runs.browse(run_id)._finish_unless_job(told["is_pending"]))

    @api.model
    def _watch(self):
        """Check this Odoo server, once, after it has started: when all of it is up; and end what was forgotten.
        It may not keep others from their work."""
        try:
            with self.env.cr.savepoint():
                self.env["connection.check.run"]._finish_forgotten()
                is_new = self._claim_start()
            self.env["ir.cron"]._commit_progress()
            if is_new:
                self._cron_check()
        except Exception:
            _logger.exception("LISTEN could not be checked")

    @api.model
    def _claim_start(self):
        """Whether this Odoo server is to be checked because it has started: the caller does it, nobody else."""
        server = odoo.service.server.server
        if not server or not self.env["res.config.settings"]._cron("check").active:
            return False
        started_at = EPOCH + timedelta(seconds=int(psutil.Process(server.pid).create_time()))
        parameters, name = self.env["ir.config_parameter"].sudo(), f"pgbouncer_monitor.started.{socket.gethostname()}"
        if parameters.get_param(name) == str(started_at) or fields.Datetime.now() - started_at < START_TIME:
            return False
        parameters.set_param(name, str(started_at))
        return True

    # Verdicts

    @api.model
    def _conclude(self, steps, titles):
        """Write down the verdicts.

        :param dict steps: name -> what a step of connection.check.run found
        :param dict titles: name -> title
        :return: the new records, the bus before cron
        """
        checks = self.create([self._values(listener, steps, titles) for listener in ("bus", "cron")])
        for check in checks:
            others = [("listener", "=", check.listener), ("host", "=", check.host)]
            self.search(others, offset=KEPT).unlink()
        return checks

    def _judge_again(self, steps):
        """Write what a job found that started after the verdict.

        :param self: the records of one check
        """
        titles = self.env["connection.check.run"]._titles()
        for check in self.filtered(lambda check: check.listener == "cron"):
            check.write(self._values("cron", steps, titles))

    @api.model
    def _values(self, listener, steps, titles):
        words = ("done", "seen", "means", "level")
        told = [
            {"name": name, "title": title} | {key: steps[name].get(key) for key in words}
            for name, title in titles.items()
            if name in steps and name not in OF_OTHER[listener]
        ]
        last = self._last(listener)
        is_live = {True: "yes", False: "no"}.get(steps["browser"].get("is_live"), last.is_live)
        if listener == "bus":
            host = (steps["bus"].get("bus") or {}).get("host")
            verdict, level, summary, ways = self._judge_bus(steps, is_live)
            if verdict not in ("direct", "session"):
                is_live = last.is_live  # that it does not reach the browser has another reason
        else:
            host = next((host for host, _pid, _thread in reversed(steps.get("cron", {}).get("workers", []))), None)
            verdict, level, summary, ways = self._judge_cron(steps)
        return {
            "listener": listener,
            "verdict": verdict,
            "level": level,
            "summary": summary,
            "ways": ways,
            "steps": told,
            "host": host or socket.gethostname(),
            "is_live": is_live if listener == "bus" else False,
            "delay": steps.get("cron", {}).get("delay") if listener == "cron" else None,
        }

    @api.model
    def _judge_bus(self, steps, is_live):
        """:param str is_live: whether notifications reached a browser, when one took part last: yes or no
        :return: verdict, level, a sentence, and the ways to mend it
        """
        found, here = steps["bus"].get("bus"), steps["pooler"]
        if not found:
            return "unknown", "unknown", steps["bus"]["means"], self._ways_proxy()
        hearing, delay = found["hearing"], found["delay"]
        is_same = tuple(hearing["route"] or ()) == tuple(here["hearing"]["route"] or ())
        verdict = route_verdict(hearing, here["pool"] if is_same else None)
        who = self.env._("The bus")
        if verdict in ("deaf", "unreachable", "unknown"):
            level = "unknown" if verdict == "unknown" else "critical"
            return verdict, level, *self._explain_route(who, verdict, hearing, steps, is_bus=True)
        if not is_heard(hearing):
            return verdict, *self._explain_full(who, steps, is_working=delay is not None)
        if not can_notify(here["hearing"]):
            because = self.env["connection.check.run"]._because(here["hearing"])
            summary = self.env._("The bus would hear, but nobody can tell it anything: no NOTIFY is sent. %s", because)
            return verdict, "critical", summary, [self._way_override(steps)]
        if delay is None:
            summary = self.env._(
                "The bus is deaf, though a new connection would hear. Chat and notifications are not live."
            )
            return "deaf", "critical", summary, self._ways_restart()
        took = tell_ms(self.env, delay)
        summary = self.env._("The bus listens through a pooler in session mode, and hears within %s ms.", took)
        if verdict == "direct":
            summary = self.env._("The bus listens on PostgreSQL itself, and hears within %s ms.", took)
        if steps["bus"]["is_misled"] or is_live == "no":
            summary += " " + self.env._("But it does not reach the browser: chat and notifications are not live.")
            return verdict, "critical", summary, self._ways_proxy()
        if steps["bus"].get("is_direct") and is_live != "yes":
            summary += " " + self.env._(
                "It was asked on its own host: whether browsers are led to it is not known. Press “Check Now” on the "
                "page."
            )
            return verdict, "warning", summary, self._ways_proxy()
        return verdict, *self._with_outlook(verdict, summary, steps)

    @api.model
    def _judge_cron(self, steps):
        """:return: verdict, level, a sentence, and the ways to mend it"""
        here, job = steps["pooler"], steps.get("cron", {})
        hearing = job.get("hearing") or here["hearing"]
        verdict = route_verdict(hearing, here["pool"])
        who = self.env._("The cron workers")
        if verdict in ("deaf", "unreachable", "unknown"):
            level = "unknown" if verdict == "unknown" else "critical"
            return verdict, level, *self._explain_route(who, verdict, hearing, steps)
        if not is_heard(hearing):
            return verdict, *self._explain_full(who, steps, is_working=job.get("is_woken"))
        if not job.get("is_woken"):
            summary = self.env._(
                "A new connection would hear, but a triggered job was not started at once: the cron workers were all "
                "busy, or their connections were made before and are deaf."
            )
            return "unknown", "unknown", summary, self._ways_restart()
        took = tell_ms(self.env, job["delay"])
        summary = self.env._(
            "The cron workers listen through a pooler in session mode: a triggered job waits no longer than %s ms.",
            took,
        )
        if verdict == "direct":
            summary = self.env._(
                "The cron workers listen on PostgreSQL itself: a triggered job waits no longer than %s ms.", took
            )
        if steps["listeners"].get("is_queue_job_deaf"):
            return verdict, "warning", f"{summary} {steps['listeners']['means']}", [self._way_queue_job(steps)]
        return verdict, *self._with_outlook(verdict, summary, steps)

    def _with_outlook(self, verdict, summary, steps):
        """:return: the level of a verdict that is good, a sentence, and the ways to keep it so"""
        if verdict == "session" and steps["slots"]["level"] != "ok":
            return "warning", f"{summary} {steps['slots']['means']}", [self._way_override(steps)]
        if steps["listeners"]["deaf"]:
            return "warning", f"{summary} {steps['listeners']['means']}", self._ways_restart()
        return "ok", summary, []

    def _explain_full(self, who, steps, is_working):
        """:return: the level of a session pool that has no servers left, a sentence, and the ways to mend it"""
        summary = self.env._(
            "%s: the pool of postgres is in session mode, and full. It blocks: whoever listens or sends a NOTIFY there "
            "waits for a server.",
            who,
        )
        if is_working:
            summary = self.env._(
                "%s: the pool of postgres is in session mode, works, and is nearly full. It will block: another "
                "connection waits for a server.",
                who,
            )
        return "warning" if is_working else "critical", summary, [self._way_override(steps)]

    def _explain_route(self, who, verdict, hearing, steps, is_bus=False):
        """:return: a sentence, and the ways to mend a route on which nobody hears"""
        because = self.env["connection.check.run"]._because(hearing)
        if verdict == "deaf":
            why = self.env._("LISTEN is lost on the way, by a pooler that is not in session mode.")
            if because:
                why = self.env._("LISTEN is refused: %s", because)
            elif not hearing["is_pooled"]:
                why = self.env._("LISTEN is lost on the way.")
            effect = self.env._("Triggered jobs wait for up to a minute.")
            if is_bus:
                effect = self.env._("Chat and notifications are not live.")
            summary = self.env._("%(who)s: deaf. %(why)s %(effect)s", who=who, why=why, effect=effect)
            return summary, [self._way_override(steps), *(self._ways_direct(hearing) if is_bus else [])]
        if verdict == "unreachable":
            summary = self.env._("%(who)s: no connection to the database postgres. %(why)s", who=who, why=because)
            if self._is_pooled():
                return summary, [self._way_override(steps)]
            title = self.env._(
                "Let Odoo's role connect to the database postgres: see the reason above, and pg_hba.conf of PostgreSQL."
            )
            return summary, [{"title": title}]
        summary = self.env._("%(who)s: it could not be found out. %(why)s", who=who, why=because)
        title = self.env._(
            "Look into the logs of PgBouncer and PostgreSQL for why a connection to postgres gets no answer, add the "
            "PgBouncer to the endpoints, and check again."
        )
        return summary, [{"title": title}]

    # Ways to mend it

    @api.model
    def _way_override(self, steps):
        pool = steps["pooler"]["pool"] or {}
        host, port = pool.get("server") or (None, None)  # as PgBouncer itself goes there
        if not host:
            host, port = self._postgresql_address(steps["pooler"]["hearing"])
        return {
            "title": self.env._(
                "In pgbouncer.ini, under [databases]. If there is a line for postgres, add what is missing in it:"
            ),
            "lines": f"postgres = host={host} port={port} pool_mode=session pool_size={steps['slots']['needed']}",
            "then": self.env._(
                "Then run RELOAD in PgBouncer's console, and restart Odoo: its listeners must connect anew. This mends "
                "the bus and cron."
            ),
        }

    @api.model
    def _way_queue_job(self, steps):
        host, port = self._direct_address(steps["pooler"]["hearing"])
        return {
            "title": self.env._("In odoo.conf, so that queue_job's runner listens on PostgreSQL itself:"),
            "lines": f"[queue_job]\njobrunner_db_host = {host}\njobrunner_db_port = {port}",
            "then": self.env._("Then restart Odoo."),
        }

    @api.model
    def _direct_address(self, hearing):
        """Where Odoo may reach PostgreSQL itself."""
        host, port = self._postgresql_address(hearing)
        if _is_loopback(host) and not _is_loopback(config["db_host"] or "localhost"):
            host = config["db_host"]  # PgBouncer and PostgreSQL are on one host, and Odoo is on another
        return host, port

    @api.model
    def _ways_direct(self, hearing):
        """Lead the bus around the pooler."""
        host, port = self._direct_address(hearing)
        bus_port = config["gevent_port"] + 1
        command = (sys.executable, sys.argv[0], "gevent", "-c", config["config"] or "/etc/odoo/odoo.conf")
        unit = [
            "[Unit]",
            "Description=Odoo's bus on a database connection of its own",
            "After=network.target",
            "",
            "[Service]",
            f"User={_user_name()}",
            f"ExecStart={shlex.join(command)} --db_host={host} --db_port={port} --gevent-port={bus_port}",
            "Restart=always",
            "",
            "[Install]",
            "WantedBy=multi-user.target",
        ]
        return [
            {
                "title": self.env._(
                    "Or lead the bus alone to PostgreSQL, with the OCA's module bus_alt_connection in the addons path. "
                    "In odoo.conf, under [options]:"
                ),
                "lines": "\n".join(
                    (
                        "server_wide_modules = " + ",".join([*config["server_wide_modules"], "bus_alt_connection"]),
                        f"imdispatcher_db_host = {host}",
                        f"imdispatcher_db_port = {port}",
                    )
                ),
                "then": self.env._("Then restart Odoo. The cron workers stay where they are."),
            },
            {
                "title": self.env._(
                    "Or run the bus as a service of its own on a direct connection, in "
                    "/etc/systemd/system/odoo-bus.service:"
                ),
                "lines": "\n".join(unit),
                "then": self.env._(
                    "Then run systemctl enable --now odoo-bus, and lead /websocket there, as below. The cron workers "
                    "stay where they are."
                ),
            },
            *self._ways_proxy(bus_port),
        ]

    @api.model
    def _ways_proxy(self, port=None):
        """Lead the websocket to the bus process."""
        port = port or (config["gevent_port"] if config["workers"] else config["http_port"])
        lines = [
            "location /websocket {",
            f"    proxy_pass http://127.0.0.1:{port};",
            "    proxy_http_version 1.1;",
            "    proxy_set_header Upgrade $http_upgrade;",
            '    proxy_set_header Connection "upgrade";',
            "    proxy_set_header Host $http_host;",
            "    proxy_set_header X-Forwarded-Host $http_host;",
            "    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
            "    proxy_set_header X-Forwarded-Proto $scheme;",
            "}",
        ]
        return [
            {
                "title": self.env._("In the server block of nginx, with the host where the bus process is:"),
                "lines": "\n".join(lines),
                "then": self.env._("Then run nginx -s reload."),
            }
        ]

    @api.model
    def _ways_restart(self):
        title = self.env._("Restart Odoo: its listeners then connect anew. Check again when no long job runs.")
        return [{"title": title}]

    @api.model
    def _is_pooled(self):
        """Whether a pooler is in the path of Odoo's own connection."""
        return self.env.cr._cnx.info.backend_pid != self.env["connection.endpoint"]._own_connection("pg_backend_pid()")

    @api.model
    def _postgresql_address(self, hearing):
        """Where PostgreSQL is, as it says itself: host and port."""
        if hearing["server"]:
            return hearing["server"]
        query = SQL("SELECT COALESCE(host(inet_server_addr()), %s), current_setting('port')::int", SOCKET_FOLDER)
        return self.env.execute_query(query)[0]

    @api.autovacuum
    def _gc_checks(self):
        """Checks are kept as long as samples are: of hosts that are gone, too."""
        return self.env["res.config.settings"]._delete_old(self, "checked_at")


def _user_name():
    """The user that runs Odoo; a container's may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "odoo"


def _is_loopback(host):
    return host in ("localhost", "::1") or host.startswith(("127.", "/"))
