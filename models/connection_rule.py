import math

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from .. import pressure
from ..fields import NullableFloat, selection_label
from ..tools import localized

# Rule -> the kinds of endpoints that it is about, and the unit of its value and thresholds.
RULES = {
    "postgresql_pressure": (("postgresql",), "percent"),
    "pool_growth": (("postgresql",), "percent"),
    "blocked_age": (("postgresql",), "seconds"),
    "idle_in_transaction_age": (("postgresql",), "seconds"),
    "xact_age": (("postgresql",), "seconds"),
    "waiting_samples": (("pgbouncer",), "samples"),
    "maxwait": (("pgbouncer",), "seconds"),
    "pgbouncer_pressure": (("pgbouncer",), "percent"),
    "paused_samples": (("pgbouncer",), "samples"),
    "unanswered_samples": (("postgresql", "pgbouncer"), "samples"),
    "deaf_bus_samples": (("postgresql",), "samples"),
    "deaf_cron_samples": (("postgresql",), "samples"),
}
RULE_LABELS = [
    ("postgresql_pressure", "PostgreSQL's Connections"),
    ("pool_growth", "Room for the Pools"),
    ("blocked_age", "Blocked Sessions"),
    ("idle_in_transaction_age", "Idle in Transaction"),
    ("xact_age", "Oldest Transaction"),
    ("waiting_samples", "Waiting Clients"),
    ("maxwait", "Longest Wait"),
    ("pgbouncer_pressure", "PgBouncer's Connections"),
    ("paused_samples", "Paused"),
    ("unanswered_samples", "No Answer"),
    ("deaf_bus_samples", "Deaf Bus"),
    ("deaf_cron_samples", "Deaf Cron"),
]
# Rules about a queue, which is in a pool, and so in its database, too.
QUEUES = ("waiting_samples", "maxwait")
# So many samples of each pool that is not well are remembered.
MAX_SAMPLES = 60


def tell_duration(seconds):
    """Days and hours, hours and minutes, or minutes and seconds, in units that need no translation."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    while len(parts) > 1 and not parts[0][0]:
        del parts[0]
    return " ".join(f"{number} {unit}" for number, unit in parts[:2])


class ConnectionRule(models.Model):
    """From which measured value on a sample is a warning, and from which on it is critical; and
    when that becomes an alert, and when the alert is over.

    Each rule has one record that is in force for all endpoints, made at installation, and one for
    each endpoint that shall differ. An empty threshold is never reached, 0 by anything above 0.
    """

    _name = "connection.rule"
    _description = "Connection Rule"
    _order = "endpoint_id, id"
    _rec_name = "rule"

    rule = fields.Selection(RULE_LABELS, required=True)
    endpoint_id = fields.Many2one(
        "connection.endpoint", ondelete="cascade", index=True, help="Empty: all that have no such rule of their own."
    )
    is_on = fields.Boolean("On", default=True, help="Off: it is not judged, neither in samples nor in alerts.")
    warning = NullableFloat("Warning From", help="An empty threshold is never reached, 0 by anything above 0.")
    critical = NullableFloat("Critical From", help="An empty threshold is never reached, 0 by anything above 0.")
    unit = fields.Selection(
        [("percent", "%"), ("seconds", "s"), ("samples", "samples in a row")], compute="_compute_unit"
    )
    samples = fields.Integer(
        "In Samples", default=1, required=True, help="An alert opens when a threshold is reached in so many samples …"
    )
    of_samples = fields.Integer("Of the Last", default=1, required=True, help="… of so many.")
    good_samples = fields.Integer(
        "Over After",
        default=3,
        required=True,
        help="An alert is over after so many samples in a row with a value below nine tenths of the lowest threshold, "
        "which is rounded down if it counts samples. One that is missing or unknown does not count.",
    )
    description = fields.Text("What It Says", compute="_compute_description")

    _rule_uniq = models.UniqueIndex(
        "(rule, COALESCE(endpoint_id, 0))", "There is such a rule already: change that one."
    )

    @api.depends("rule")
    def _compute_unit(self):
        for rule in self:
            rule.unit = rule.rule and RULES[rule.rule][1]

    @api.depends("rule")
    def _compute_description(self):
        descriptions = self._descriptions()
        for rule in self:
            rule.description = descriptions.get(rule.rule)

    @api.model
    def _descriptions(self):
        """What each rule says."""
        return {
            "postgresql_pressure": self.env._(
                "PostgreSQL's connections run out: client backends, in percent of what ordinary roles can have. At 100 "
                "it refuses new ones."
            ),
            "pool_growth": self.env._(
                "The pools may open more connections than PostgreSQL has: what is in use, and by what the pools of "
                "databases with servers can grow, in percent of what ordinary roles can have."
            ),
            "blocked_age": self.env._("A session waits for a lock that another one holds: how long it has waited."),
            "idle_in_transaction_age": self.env._(
                "A session does nothing, with a transaction open: for how long. It holds its locks, and in a pool its "
                "server."
            ),
            "xact_age": self.env._(
                "A transaction has been open for long: it keeps vacuum from its work, and may hold locks. A long "
                "backup, import or scheduled action is one, too."
            ),
            "waiting_samples": self.env._(
                "Clients of a pool wait for a server: pages load slowly or not at all. A short queue is normal under "
                "load, one that stays is not."
            ),
            "maxwait": self.env._(
                "The first client in a pool's queue has waited long for a server, and so does whoever opens a page."
            ),
            "pgbouncer_pressure": self.env._(
                "PgBouncer's connections run out: clients in percent of max_client_conn, or servers of a database in "
                "percent of max_db_connections. At 100 the next one is refused, or waits."
            ),
            "paused_samples": self.env._("PgBouncer, or one of its databases, is paused: no client gets a server."),
            "unanswered_samples": self.env._(
                "The server does not answer: nobody knows how it is, and its clients may get no answer, either."
            ),
            "deaf_bus_samples": self.env._(
                "The last LISTEN check found that Odoo's bus does not work: chat and notifications are not live."
            ),
            "deaf_cron_samples": self.env._(
                "The last LISTEN check found that Odoo's cron workers are not woken up: triggered jobs wait for up to "
                "a minute."
            ),
        }

    @api.model
    def _advice_on_bottleneck(self, name):
        """What to do first when a pool is held back by something that a larger pool_size does not help; None if it
        does."""
        return {
            "paused": self._advice("paused_samples"),
            "login": self.env._(
                "Check that PostgreSQL is running, and that PgBouncer reaches it: host and port under [databases], "
                "pg_hba.conf, max_connections. PgBouncer's log has the reason. A larger pool does not help."
            ),
            "max_db_connections": self.env._(
                "Raise max_db_connections, as far as PostgreSQL has room, or find out which sessions hold its servers. "
                "A larger pool_size does not help."
            ),
            "max_user_connections": self.env._(
                "Raise max_user_connections, as far as PostgreSQL has room, or find out which sessions hold the user's "
                "servers. A larger pool_size does not help."
            ),
        }.get(name)

    @api.model
    def _advice(self, name, bottleneck=None):
        """What to do first when a threshold of this rule is reached.

        :param str bottleneck: of `pgbouncer.pool`, if the rule is about a queue
        """
        if (name in QUEUES) and (advice := self._advice_on_bottleneck(bottleneck)):
            return advice
        look_at_pool = self.env._(
            "Look at the sessions of the pool: if one holds up the others, or is idle in a transaction, end it."
        )
        if bottleneck in ("pool_size", "reserve_pool"):
            look_at_pool += " " + self.env._(
                "If all of them work, the pool is too small: raise its pool_size, as far as PostgreSQL has room."
            )
        else:
            look_at_pool += " " + self.env._(
                "“Held Back By”, in Pools, shows what keeps a pool from opening another server."
            )
        paste = self.env._("Open LISTEN Check: it has the lines that mend it. Then check again there.")
        return {
            "postgresql_pressure": self.env._(
                "See Sessions, grouped by component, for who holds the connections. End what is not needed, and lead "
                "what opens many through PgBouncer in transaction mode."
            ),
            "pool_growth": self.env._(
                "Make the pools smaller (default_pool_size, or pool_size of a database, or max_db_connections), or "
                "raise max_connections, before all are busy at once."
            ),
            "blocked_age": self.env._(
                "Open Sessions, a red one, and press Root Blocker: that session holds the lock. Let it end its "
                "transaction, or terminate it."
            ),
            "idle_in_transaction_age": self.env._(
                "Find out which program left its transaction open, and end it there, or terminate the session. "
                "idle_in_transaction_session_timeout in PostgreSQL ends such sessions by itself."
            ),
            "xact_age": self.env._(
                "Find out what the oldest session does. A backup or an import may take its time; anything else holds "
                "locks, and keeps vacuum from its work."
            ),
            "waiting_samples": look_at_pool,
            "maxwait": look_at_pool,
            "pgbouncer_pressure": self.env._(
                "See PgBouncer > Clients for who is connected. Raise max_client_conn (and the limit of open files of "
                "its process) or max_db_connections, and reload PgBouncer."
            ),
            "paused_samples": self.env._(
                "Ask who paused it, and why. RESUME ends it: in psql, or by the button on the endpoint or the database "
                "if the endpoint's user is one of the admin_users."
            ),
            "unanswered_samples": self.env._(
                "Do what is said there. If the server is down, its clients are, too: start it again, and read its log."
            ),
            "deaf_bus_samples": paste,
            "deaf_cron_samples": paste,
        }[name]

    @api.constrains("warning", "critical", "samples", "of_samples", "good_samples", "rule", "endpoint_id")
    def _check_rule(self):
        for rule in self:
            label = rule._label(rule.rule)
            if any(value is not None and not 0 <= value < math.inf for value in rule._thresholds()):
                raise ValidationError(self.env._("%s: enter 0 or more. An empty threshold is never reached.", label))
            warning, critical = rule._thresholds()
            if warning is not None and critical is not None and warning > critical:
                raise ValidationError(
                    self.env._(
                        "%(label)s: enter a warning (%(warning)s) that is not above critical (%(critical)s).",
                        label=label,
                        warning=localized(self.env, warning),
                        critical=localized(self.env, critical),
                    )
                )
            if not 1 <= rule.samples <= rule.of_samples <= MAX_SAMPLES or not 1 <= rule.good_samples <= MAX_SAMPLES:
                raise ValidationError(
                    self.env._(
                        "%(label)s: enter numbers of samples from 1 to %(most)s, the first of them not above the "
                        "second, such as 2 of the last 3.",
                        label=label,
                        most=MAX_SAMPLES,
                    )
                )
            if rule.endpoint_id and rule.endpoint_id.kind not in RULES[rule.rule][0]:
                raise ValidationError(
                    self.env._("%(label)s is no rule for %(endpoint)s.", label=label, endpoint=rule.endpoint_id.name)
                )

    @api.ondelete(at_uninstall=False)
    def _keep_common(self):
        if any(not rule.endpoint_id for rule in self):
            raise UserError(self.env._("This rule is in force for all endpoints. Switch it off instead."))

    @api.model_create_multi
    def create(self, vals_list):
        """What is not given is as in the rule that is in force for all endpoints."""
        common = {rule.rule: rule._settings() for rule in self.search([("endpoint_id", "=", False)])}
        return super().create([common.get(vals.get("rule"), {}) | vals for vals in vals_list])

    def write(self, vals):
        if vals.keys() & {"rule", "endpoint_id"} and any(not rule.endpoint_id for rule in self):
            raise UserError(self.env._("This rule is in force for all endpoints. Add one of its own to the endpoint."))
        return super().write(vals)

    @api.onchange("rule")
    def _onchange_rule(self):
        self.update(self.search([("endpoint_id", "=", False), ("rule", "=", self.rule)], limit=1)._settings())

    def _settings(self):
        names = ("is_on", "warning", "critical", "samples", "of_samples", "good_samples")
        return {name: self[name] for name in names} if self else {}

    @api.model
    def _label(self, name):
        """The user's words for a rule."""
        return selection_label(self, "rule", name)

    @api.model
    def _tell_value(self, name, value):
        """A value of a rule with its unit, in the user's words."""
        unit = RULES[name][1]
        number = localized(self.env, value, 2 if value >= 1 else 3)
        if unit == "percent":
            return f"{number} %"
        if unit == "seconds":
            return tell_duration(value) if value >= 60 else f"{number} s"
        return self.env._("1 sample") if value == 1 else self.env._("%s samples in a row", number)

    def _thresholds(self):
        """:return: (warning, critical), None for what is never reached"""
        return tuple(None if value is False else value for value in (self.warning, self.critical))

    @api.model
    def _in_force(self, endpoints):
        """:return: endpoint -> name -> the pressure.Rule that is in force; none that is off"""
        rules = self.search([("endpoint_id", "in", [False, *endpoints.ids])])
        rules = rules.sorted(lambda rule: bool(rule.endpoint_id))  # an endpoint's own go before the common ones
        in_force = {}
        for endpoint in endpoints:
            of_endpoint = {rule.rule: rule for rule in rules if rule.endpoint_id.id in (False, endpoint.id)}
            in_force[endpoint] = {
                name: pressure.Rule(
                    rule._thresholds(),
                    rule.samples,
                    rule.of_samples,
                    rule.good_samples,
                    RULES[name][1] == "samples",
                )
                for name, rule in of_endpoint.items()
                if rule.is_on and rule._thresholds() != (None, None)
            }
        return in_force
