"""The rules: thresholds, and when a violation becomes an alert. May use endpoints."""

import math

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain

from ...analysis.incidents import Rule
from ...fields import NullableFloat
from ...tools import format_duration, format_number, selection_label
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
    """

    _name = "connection.rule"
    _description = "Connection Rule"
    _order = "endpoint_id, id"
    _rec_name = "rule"

    rule = fields.Selection(RULE_LABELS, required=True)
    endpoint_id = fields.Many2one(
        "connection.endpoint", ondelete="cascade", index=True, help="Empty: all endpoints without a rule of their own."
    )
    is_on = fields.Boolean("On", default=True, help="Off: ignored in samples and alerts.")
    warning = NullableFloat("Warning From", help="Empty: never reached. 0: reached by any value above 0.")
    critical = NullableFloat("Critical From", help="Empty: never reached. 0: reached by any value above 0.")
    unit = fields.Selection(
        [("percent", "%"), ("seconds", "s"), ("samples", "samples in a row"), ("findings", "findings")],
        compute="_compute_unit",
    )
    samples = fields.Integer(
        "In Samples", default=1, required=True, help="An alert opens when this many samples reach a threshold …"
    )
    of_samples = fields.Integer("Of the Last", default=1, required=True, help="… out of this many latest samples.")
    good_samples = fields.Integer(
        "Close After",
        default=3,
        required=True,
        help="An alert is closed after this many consecutive samples below nine tenths of the lowest threshold, "
        "rounded down if the rule counts samples. Missing and unknown samples do not count.",
    )
    description = fields.Text(compute="_compute_description")

    _rule_uniq = models.UniqueIndex(
        "(rule, COALESCE(endpoint_id, 0))", "This rule already exists. Edit the existing one."
    )

    @api.depends("rule")
    def _compute_unit(self):
        for rule in self:
            rule.unit = rule.rule and RULES[rule.rule][1]

    @api.depends("rule")
    @api.depends_context("lang")
    def _compute_description(self):
        for rule in self:
            rule.description = rule.rule and self.env._(DESCRIPTIONS[rule.rule])

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
        return super().create([common.get(vals.get("rule"), {}) | vals for vals in vals_list])

    def write(self, vals):
        if vals.keys() & {"rule", "endpoint_id"} and any(not rule.endpoint_id for rule in self):
            raise UserError(self.env._("This rule applies to all endpoints. Add a separate rule to the endpoint."))
        return super().write(vals)

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
        unit = RULES[name][1]
        number = format_number(self.env, value, 2 if value >= 1 else 3)
        if unit == "percent":
            return f"{number} %"
        if unit == "seconds":
            return format_duration(value) if value >= 60 else f"{number} s"
        if unit == "findings":
            return self.env._("1 finding") if value == 1 else self.env._("%s findings", number)
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
