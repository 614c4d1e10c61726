"""The rules: thresholds, and when a violation becomes an alert. May use endpoints and mail."""

import math
from decimal import Decimal

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain

from ...analysis.incidents import Rule
from ...fields import NullableFloat
from ...tools import format_duration, format_number, labelled, selection_label
from .rule_texts import DESCRIPTIONS, RULE_LABELS

# Rule -> the kinds of endpoints it applies to, and the unit of its value and thresholds.
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
    "deaf_queue_job_samples": (("postgresql",), "samples"),
    "critical_advice": (("postgresql", "pgbouncer"), "findings"),
    "refused_requests": (("postgresql",), "requests"),
}
# The rules about the last LISTEN check -> the listener that was checked.
LISTENERS = {"deaf_bus_samples": "bus", "deaf_cron_samples": "cron", "deaf_queue_job_samples": "queue_job"}
# What a rule of an endpoint may set otherwise.
SETTINGS = ("is_on", "warning", "critical", "samples", "of_samples", "good_samples")
# How many samples of a pool are remembered while one of them violates a rule.
MAX_SAMPLES = 60


class ConnectionRule(models.Model):
    """A rule: the values from which a sample is a warning or critical, when an alert opens, and when it is closed.

    Each rule has one record that applies to all endpoints, created at installation, and one for each endpoint that
    differs. An empty threshold is never reached, 0 by any value above 0.

    Changes are in the rule's chatter. Those of a rule of one endpoint are in the endpoint's chatter, too, which is
    still there when the rule is deleted.
    """

    _name = "connection.rule"
    _inherit = "mail.thread"
    _description = "Connection Rule"
    _order = "endpoint_id, id"
    _rec_name = "rule"  # of cards; the display name has the endpoint, too

    rule = fields.Selection(RULE_LABELS, required=True, tracking=True)
    endpoint_id = fields.Many2one(
        "connection.endpoint",
        ondelete="cascade",
        index=True,
        tracking=True,
        help="Empty: all endpoints without a rule of their own.",
    )
    is_on = fields.Boolean("On", default=True, tracking=True, help="Off: ignored in samples and alerts.")
    warning = NullableFloat("Warning From", help="Empty: never reached. 0: reached by any value above 0.")
    critical = NullableFloat("Critical From", help="Empty: never reached. 0: reached by any value above 0.")
    unit = fields.Selection(
        [
            ("percent", "%"),
            ("seconds", "s"),
            ("samples", "samples in a row"),
            ("findings", "findings"),
            ("requests", "requests"),
        ],
        compute="_compute_unit",
    )
    # Tracked instead of the numbers: the chatter would show an empty one as 0. In one unit, so that no change is lost.
    warning_text = fields.Char("Warning Threshold", compute="_compute_threshold_texts", tracking=True)
    critical_text = fields.Char("Critical Threshold", compute="_compute_threshold_texts", tracking=True)
    samples = fields.Integer(
        "In Samples",
        default=1,
        required=True,
        tracking=True,
        help="An alert opens when this many samples reach a threshold …",
    )
    of_samples = fields.Integer(
        "Of the Last", default=1, required=True, tracking=True, help="… out of this many latest samples."
    )
    good_samples = fields.Integer(
        "Close After",
        default=3,
        required=True,
        tracking=True,
        help="An alert is closed after this many consecutive samples below nine tenths of the lowest threshold, "
        "rounded down if the rule counts samples. Missing and unknown samples do not count.",
    )
    description = fields.Text(compute="_compute_description")

    _rule_uniq = models.UniqueIndex(
        "(rule, COALESCE(endpoint_id, 0))", "This rule already exists. Edit the existing one."
    )

    @api.depends("rule", "endpoint_id")
    @api.depends_context("lang")
    def _compute_display_name(self):
        for rule in self:
            label = rule.rule and rule._label(rule.rule)
            rule.display_name = labelled(self.env, rule.endpoint_id.name, label)

    @api.depends("rule")
    def _compute_unit(self):
        for rule in self:
            rule.unit = rule.rule and RULES[rule.rule][1]

    @api.depends("rule")
    @api.depends_context("lang")
    def _compute_description(self):
        for rule in self:
            rule.description = rule.rule and self.env._(DESCRIPTIONS[rule.rule])

    @api.depends("rule", "warning", "critical")
    @api.depends_context("lang")
    def _compute_threshold_texts(self):
        for rule in self:
            for name in ("warning", "critical"):
                is_set = rule.rule and rule[name] is not False
                rule[f"{name}_text"] = rule._exact_value(rule.rule, rule[name]) if is_set else self.env._("Never")

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
                        "%(label)s: the warning (%(warning)s) must not be above critical (%(critical)s).",
                        label=label,
                        warning=format_number(self.env, warning),
                        critical=format_number(self.env, critical),
                    )
                )
            if not 1 <= rule.samples <= rule.of_samples <= MAX_SAMPLES or not 1 <= rule.good_samples <= MAX_SAMPLES:
                raise ValidationError(
                    self.env._(
                        "%(label)s: enter numbers of samples from 1 to %(most)s, the first not above the second, for "
                        "example 2 of the last 3.",
                        label=label,
                        most=MAX_SAMPLES,
                    )
                )
            if rule.endpoint_id and rule.endpoint_id.kind not in RULES[rule.rule][0]:
                raise ValidationError(
                    self.env._("%(label)s does not apply to %(endpoint)s.", label=label, endpoint=rule.endpoint_id.name)
                )

    @api.ondelete(at_uninstall=False)
    def _unlink_except_common(self):
        if any(not rule.endpoint_id for rule in self):
            raise UserError(self.env._("This rule applies to all endpoints. Switch it off instead."))

    @api.model_create_multi
    def create(self, vals_list):
        """Take the values that are not given from the rule that applies to all endpoints."""
        common = {rule.rule: rule._settings() for rule in self.search([("endpoint_id", "=", False)])}
        rules = super().create([common.get(vals.get("rule"), {}) | vals for vals in vals_list])
        for rule in rules:
            rule._log_on_endpoint(self.env._("Own rule added. %s", rule._in_words()))
        return rules

    def write(self, vals):
        if vals.keys() & {"rule", "endpoint_id"} and any(not rule.endpoint_id for rule in self):
            raise UserError(self.env._("This rule applies to all endpoints. Add a separate rule to the endpoint."))
        before = {rule: (rule.endpoint_id, rule._in_words()) for rule in self}
        result = super().write(vals)
        for rule, (endpoint, words) in before.items():
            if endpoint != rule.endpoint_id:
                endpoint._message_log(body=self.env._("Own rule removed. %s", words))
                rule._log_on_endpoint(self.env._("Own rule added. %s", rule._in_words()))
            elif words != (now := rule._in_words()):
                rule._log_on_endpoint(self.env._("Own rule changed. %(before)s → %(now)s", before=words, now=now))
        return result

    @api.ondelete(at_uninstall=False)
    def _log_removal(self):
        for rule in self:
            rule._log_on_endpoint(self.env._("Own rule removed. %s", rule._in_words()))

    def _log_on_endpoint(self, text):
        if self.endpoint_id:
            self.endpoint_id._message_log(body=text)

    def _in_words(self):
        """Return the rule with its settings, in the user's language."""
        return self.env._(
            "%(rule)s: %(state)s, warning: %(warning)s, critical: %(critical)s, in %(samples)s of %(of_samples)s "
            "samples, closed after %(good_samples)s",
            rule=self._label(self.rule),
            state=self.env._("on") if self.is_on else self.env._("off"),
            warning=self.warning_text,
            critical=self.critical_text,
            samples=self.samples,
            of_samples=self.of_samples,
            good_samples=self.good_samples,
        )

    @api.onchange("rule")
    def _onchange_rule(self):
        self.update(self.search([("endpoint_id", "=", False), ("rule", "=", self.rule)], limit=1)._settings())

    @api.model
    def _absent(self):
        """Return the rules about listeners that this Odoo does not have."""
        listeners = self.env["connection.check"]._listeners()
        return [rule for rule, listener in LISTENERS.items() if listener not in listeners]

    @api.model
    def _search(self, domain, *args, **kwargs):
        return super()._search(Domain(domain) & Domain("rule", "not in", self._absent()), *args, **kwargs)

    @api.model
    def fields_get(self, allfields=None, attributes=None):
        found, absent = super().fields_get(allfields, attributes), self._absent()
        if "selection" in found.get("rule", {}):
            found["rule"]["selection"] = [
                (name, label) for name, label in found["rule"]["selection"] if name not in absent
            ]
        return found

    def _settings(self):
        return {name: self[name] for name in SETTINGS} if self else {}

    @api.model
    def _label(self, name):
        """Return the name of a rule in the user's language."""
        return selection_label(self, "rule", name)

    @api.model
    def _format_value(self, name, value):
        """Return a value of a rule with its unit, in the user's language."""
        if RULES[name][1] == "seconds" and value >= 60:
            return format_duration(self.env, value)
        return self._exact_value(name, value, 2 if value >= 1 else 3)

    @api.model
    def _exact_value(self, name, value, decimals=None):
        """Return a value of a rule in the rule's own unit, in the user's language.

        :param int decimals: the maximum; None for all that the value has
        """
        if decimals is None:
            decimals = max(-Decimal(str(value)).as_tuple().exponent, 0)
        unit, number = RULES[name][1], format_number(self.env, value, decimals)
        if unit == "percent":
            return f"{number} %"
        if unit == "seconds":
            return f"{number} s"
        if unit == "findings":
            return self.env._("1 finding") if value == 1 else self.env._("%s findings", number)
        if unit == "requests":
            return self.env._("1 request") if value == 1 else self.env._("%s requests", number)
        return self.env._("1 sample") if value == 1 else self.env._("%s samples in a row", number)

    def _thresholds(self):
        """Return (warning, critical): None for a threshold that is never reached."""
        return tuple(None if value is False else value for value in (self.warning, self.critical))

    @api.model
    def _in_force(self, endpoints):
        """Return endpoint -> name -> the incidents.Rule that applies. Rules that are off are left out."""
        rules = self.search_fetch([("endpoint_id", "in", [False, *endpoints.ids])], ["rule", "endpoint_id", *SETTINGS])
        rules = rules.sorted(lambda rule: bool(rule.endpoint_id))  # an endpoint's own rules override the common ones
        in_force = {}
        for endpoint in endpoints:
            of_endpoint = {rule.rule: rule for rule in rules if rule.endpoint_id.id in (False, endpoint.id)}
            in_force[endpoint] = {
                name: Rule(
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
