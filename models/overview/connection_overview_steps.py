"""The first steps after the installation, each of which ticks itself off. Reads no server but Odoo's own connection."""

import logging

from odoo import api, models
from odoo.exceptions import AccessError
from odoo.tools import SQL, config
from odoo.tools.i18n import format_list

from ...analysis.growth import databases_here
from ...planner.inputs import Inputs
from ...probes import postgres
from ...tools import first_names
from .values import format_age

_logger = logging.getLogger(__name__)

# In the order in which they are shown.
STEPS = ("sampled", "pg_monitor", "pgbouncer", "recipients", "checked")
MAX_NAMES = 3


class ConnectionOverview(models.AbstractModel):
    _inherit = "connection.overview"

    @api.model
    def _steps(self, measured):
        """Return the first steps, None if this user can do none of them, or if they are not shown any more: they were
        dismissed, or are all done. Later troubles are alerts, and no first steps.

        :param dict measured: endpoint -> Snapshot
        :return: dictionaries: ``name``, ``title``, ``state`` (done, todo, unknown), ``text``; and where it applies
            ``lines`` to paste (``place`` and ``lines``), ``then``, ``checks`` (see `_checks`), and ``buttons``: a
            ``label``, and an ``action`` to open or a ``call`` (model, method, arguments) whose result is one
        """
        is_manager = self.env.user.has_group("pgbouncer_monitor.group_manager")
        settings = self.env["connection.settings"]
        if not is_manager or not settings._value("are_steps_shown"):
            return None
        steps = [self._judged(name, measured) for name in STEPS]
        if any(step["state"] != "done" for step in steps):
            return steps
        settings._set_value("are_steps_shown", False)
        return None

    @api.model
    def _judged(self, name, measured):
        """Return a step; one that cannot be judged is unknown, and costs the others nothing."""
        try:
            with self.env.cr.savepoint(flush=False):
                step = getattr(self, f"_step_{name}")(measured)
        except Exception as error:
            _logger.exception("The first step %s could not be judged", name)
            step = {"state": "unknown", "text": str(error).strip()}
        return {"name": name, "title": self._step_titles()[name]} | step

    @api.model
    def _step_titles(self):
        return {
            "sampled": self.env._("PostgreSQL is sampled"),
            "pg_monitor": self.env._("Odoo's role sees all sessions"),
            "pgbouncer": self.env._("PgBouncer is watched"),
            "recipients": self.env._("Alerts have a recipient"),
            "checked": self.env._("LISTEN is checked"),
        }

    @api.model
    def dismiss_steps(self):
        """Hide the first steps from all Managers, until the settings page shows them again."""
        self._check_manager()
        self.env["connection.settings"]._set_value("are_steps_shown", False)

    @api.model
    def follow_all(self):
        """Let the user follow the alerts of all active endpoints."""
        self._check_manager()
        endpoints, partner = self.env["connection.endpoint"].search([("active", "=", True)]), self.env.user.partner_id
        endpoints.message_subscribe(partner.ids)
        # Who followed before keeps the own choice of subtypes, which may lack the alerts.
        followers = endpoints.sudo().message_follower_ids.filtered(lambda follower: follower.partner_id == partner)
        followers.subtype_ids |= self.env.ref("pgbouncer_monitor.mt_alert")

    @api.model
    def _check_manager(self):
        if not self.env.user.has_group("pgbouncer_monitor.group_manager"):
            raise AccessError(self.env._("Only Managers of Database Connections may do this."))

    @api.model
    def _call(self, label, model, method, *arguments):
        return {"label": label, "call": [model, method, arguments]}

    @api.model
    def _open_endpoint(self, endpoint):
        label = self.env._("Open %s", endpoint.name)
        return self._call(label, endpoint._name, "get_formview_action", endpoint.ids)

    @api.model
    def _step_sampled(self, _measured):
        shared = self.env["connection.settings"]
        domain = [("kind", "=", "postgresql"), ("active", "in", (True, False))]
        endpoint = self.env["connection.endpoint"].search(domain)
        sample_now = self._call(self.env._("Sample Now"), endpoint._name, "action_sample", endpoint.ids)
        if not endpoint.active:
            text = self.env._("The endpoint of this Odoo's PostgreSQL is archived.")
            return {"state": "todo", "text": text, "buttons": [self._open_endpoint(endpoint)]}
        if not shared._cron("sample").active:
            text = self.env._("“Log Connection Pressure” is disabled in the Settings: nothing is sampled.")
            return {"state": "todo", "text": text} | self._settings_button()
        if not endpoint.sampled_at:
            text = self.env._("No sample yet. A scheduled action takes one every minute.")
            if (minutes := shared._interval("sample") // 60) > 1:
                text = self.env._("No sample yet. A scheduled action takes one every %s minutes.", minutes)
            if not config["max_cron_threads"]:
                text += " " + self.env._("This Odoo server runs no scheduled actions: max_cron_threads is 0.")
            return {"state": "todo", "text": text, "buttons": [sample_now]}
        if missing := endpoint._missing_sample(endpoint._sample_patience()):
            return {"state": "todo", "text": missing, "buttons": [sample_now]}
        if endpoint.last_seen != endpoint.sampled_at:
            return {"state": "todo", "text": endpoint.last_error, "buttons": [self._open_endpoint(endpoint)]}
        return {"state": "done", "text": self.env._("Last sample: %s ago.", format_age(self.env, endpoint.sampled_at))}

    @api.model
    def _settings_button(self):
        """Return the buttons of a step that only an administrator can do."""
        if not self.env.user.has_group("base.group_system"):
            return {"then": self.env._("An administrator can change it.")}
        return {"buttons": [self._call(self.env._("Settings"), self._name, "open_settings")]}

    @api.model
    def open_settings(self):
        """Return the action that opens this module's part of the settings page."""
        return self.env["ir.actions.act_window"]._for_xml_id("pgbouncer_monitor.connection_settings_action")

    @api.model
    def _step_pg_monitor(self, _measured):
        query = SQL(
            "SELECT %s, pg_has_role(current_user, 'pg_monitor', 'USAGE')",
            SQL(postgres.readable("quote_ident(current_user)")),
        )
        [(role, is_monitor)] = self.env.execute_query(query)
        if is_monitor:
            return {"state": "done", "text": self.env._("The role %s has the privileges of pg_monitor.", role)}
        text = self.env._(
            "PostgreSQL hides from the role %s what the sessions of other roles do, and whether they hold locks.", role
        )
        line = {"place": self.env._("Run as a superuser, in psql:"), "lines": f"GRANT pg_monitor TO {role};"}
        return {"state": "todo", "text": text, "lines": [line]}

    @api.model
    def _step_pgbouncer(self, measured):
        route = self.env["connection.endpoint"]._own_route()
        watched = self.env["connection.endpoint"].union(
            *(endpoint for endpoint in measured if endpoint.kind == "pgbouncer")
        )
        if not route.is_pooled and not watched:
            title = self.env._("No PgBouncer to watch")
            text = self.env._("Odoo is connected to %s: no pooler was found in the path.", route.address)
            return {"title": title, "state": "done", "text": text, "has_need": True}
        if not route.is_pooled:
            return {"state": "done", "text": self.env._("Watched: %s.", format_list(self.env, watched.mapped("name")))}
        watchers = self._watchers(measured) or route.endpoints.filtered(
            lambda endpoint: endpoint in measured and measured[endpoint].answer
        )
        if not watchers:
            return self._step_unwatched(route)
        names = format_list(self.env, watchers.mapped("name"))
        return {"state": "done", "text": self.env._("Odoo is connected through %s.", names)}

    @api.model
    def _watchers(self, measured):
        """Return the endpoints whose PgBouncer holds the backend of this request, whatever their address is: also
        behind a load balancer, or behind another PgBouncer."""
        query = SQL(
            "SELECT pg_backend_pid(), COALESCE(inet_client_port(), -1), %s",
            SQL(postgres.readable("session_user::text")),
        )
        [(pid, port, role)] = self.env.execute_query(query)
        return self.env["connection.endpoint"].union(
            *(
                endpoint
                for endpoint, sample in measured.items()
                if endpoint.kind == "pgbouncer"
                and sample.answer
                and databases_here(sample.answer.answers["SHOW SERVERS"], {pid: (port, role)})
            )
        )

    @api.model
    def _step_unwatched(self, route):
        """Return the step for a pooler in the path that no active endpoint reads. It is called PgBouncer only if that
        is proven."""
        title = self.env._("Odoo's pooler is not watched")
        found = self.env._("Odoo is connected through a pooler at %s.", route.address)
        if route.version:
            title = self.env._("A PgBouncer was found")
            found = self.env._(
                "Odoo is connected through PgBouncer %(version)s at %(address)s.",
                version=route.version,
                address=route.address,
            )
        step = {"title": title, "state": "todo"}
        if endpoint := route.endpoints[:1]:
            if endpoint.active:
                text = self.env._("%s has this address, but does not answer.", endpoint.name)
                return step | {"text": f"{found} {text}", "buttons": [self._open_endpoint(endpoint)]}
            text = self.env._("Its endpoint, %s, is archived.", endpoint.name)
            label = self.env._("Unarchive %s", endpoint.name)
            button = self._call(label, endpoint._name, "action_unarchive_and_open", endpoint.ids)
            return step | {"text": f"{found} {text}", "buttons": [button]}
        label = self.env._("Watch This PgBouncer")
        if not route.version:
            label = self.env._("Watch It as PgBouncer")
            found += " " + self.env._(
                "It may be PgBouncer, which identifies itself since version 1.26. Other poolers cannot be watched."
            )
        return step | self._new_endpoint(label) | {"text": found}

    @api.model
    def _new_endpoint(self, label):
        """Return what there is to do before and after a new endpoint.

        :param str label: of the button that opens its form
        """
        then = self.env._(
            "Then run RELOAD in its console. If the address is that of a load balancer or of a Kubernetes service, "
            "enter the address of each PgBouncer behind it instead."
        )
        if not self.env.user.has_group("base.group_system"):
            then += " " + self.env._("An administrator must enter the password.")
        return {
            "lines": [
                {
                    "place": self.env._("PgBouncer needs a user that may read its console. In pgbouncer.ini:"),
                    "lines": f"stats_users = {Inputs.stats_user}",
                },
                {
                    "place": self.env._("In the file that auth_file names, with a password of your own:"),
                    "lines": f'"{Inputs.stats_user}" "a long password"',
                },
            ],
            "then": then,
            "buttons": [self._call(label, "connection.endpoint", "action_add_pgbouncer")],
        }

    @api.model
    def _step_recipients(self, measured):
        if not measured:
            return {"state": "todo", "text": self.env._("No endpoint is active.")}
        found = self.env["connection.endpoint"].union(*measured)._recipients_of_each()
        everybody = {user: way for recipients in found.values() for user, way in recipients}
        step = {"buttons": self._recipients_buttons(found, everybody)}
        missing = [
            endpoint.name
            for endpoint, recipients in found.items()
            if all(way == "no_address" for _user, way in recipients)
        ]
        if not missing:
            return step | {"state": "done", "text": self._recipients_text(everybody)}
        text = self.env._("Nobody would receive the alerts of %s.", format_list(self.env, missing))
        if unreached := [user for user, way in everybody.items() if way == "no_address"]:
            text += " " + self.env._(
                "No e-mail address: %s. Enter one in the preferences, or select “In Odoo” for notifications.",
                self._names(unreached),
            )
        return step | {"state": "todo", "text": text}

    @api.model
    def _recipients_buttons(self, found, everybody):
        """:param dict found: endpoint -> its Recipients; ``everybody``: user -> way"""
        user, buttons = self.env.user, []
        if not all(user in {recipient.user for recipient in recipients} for recipients in found.values()):
            label = self.env._("Follow All Endpoints")
            buttons.append(self._call(label, self._name, "follow_all"))
        if everybody.get(user) == "no_address":
            buttons.append(self._call(self.env._("My Preferences"), self._name, "open_preferences"))
        return buttons

    @api.model
    def open_preferences(self):
        """Return the action that opens the user's own preferences."""
        return self.env["res.users"].action_get() | {"res_id": self.env.uid}

    @api.model
    def _recipients_text(self, everybody):
        """:param dict everybody: user -> way, see `alerts.connection_endpoint.Recipient`"""
        by_way = {name: [user for user, way in everybody.items() if way == name] for name in ("inbox", "email")}
        texts = [
            by_way["inbox"] and self.env._("In Odoo: %s.", self._names(by_way["inbox"])),
            by_way["email"] and self.env._("By e-mail: %s.", self._names(by_way["email"])),
        ]
        return " ".join(filter(None, texts))

    @api.model
    def _names(self, users):
        return first_names(self.env, [user.sudo().name for user in users], MAX_NAMES)

    @api.model
    def _step_checked(self, _measured):
        Check = self.env["connection.check"]
        button = {"label": self.env._("Open LISTEN Check"), "action": "pgbouncer_monitor.listen_check_action"}
        step = {"checks": self._checks(), "buttons": [button]}
        if all(map(Check._worst, Check._listeners())):
            return step | {"state": "done", "text": ""}
        text = self.env._("Do the bus and the cron workers receive notifications? The check takes a few seconds.")
        return step | {"state": "todo", "text": text}
