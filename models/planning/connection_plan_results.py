"""What follows from the inputs of a plan, in words. `planner` does the arithmetic."""

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ...fields import NullableInteger
from ...planner import configuration, demand, sizing
from ...planner.inputs import Inputs
from ...tools import LEVELS, format_number, labelled
from . import plan_texts

INPUTS = tuple("other_ids" if name == "others" else name for name in Inputs.__dataclass_fields__)
RESULTS = "demand replica_demand proposal files chart verdict level expected available pooled_ceiling".split()
# Findings about the installation without PgBouncer: that it has a problem is no problem of the plan.
DIRECT = ("direct_exceeded", "direct_exhaustible", "direct_fits", "direct_memory_exceeded")
# Those of which the verdict is made.
VERDICT = (*DIRECT[:3], "pooled_fits", "pooled_exceeded")


class ConnectionPlan(models.Model):
    _inherit = "connection.plan"

    error = fields.Text(compute="_compute_results", help="What to change. Nothing is computed before.")
    # A list of the kinds of clients: code, label, count (processes), expected and ceiling (connections), listeners,
    # is_pooled, why.
    demand = fields.Json(compute="_compute_results")
    replica_demand = fields.Json("Demand on the Replica", compute="_compute_results")
    # figures: name -> value, label, text and why; findings: code, level, field and text, and those that the verdict is
    # made of; direct and pooled: connections without and with PgBouncer; memory: value, text and why of both.
    proposal = fields.Json(compute="_compute_results")
    files = fields.Json(compute="_compute_results")  # file name -> text, empty if no plan fits
    verdict = fields.Text(compute="_compute_results")
    level = fields.Selection(LEVELS, compute="_compute_results", help="With PgBouncer: that of the worst finding.")
    expected = NullableInteger(compute="_compute_results", help="Connections without PgBouncer on a busy day.")
    available = NullableInteger(compute="_compute_results", help="Connections that PostgreSQL has for ordinary roles.")
    pooled_ceiling = NullableInteger(
        "With PgBouncer", compute="_compute_results", help="Backends at most, for the planned databases."
    )
    chart = fields.Json(compute="_compute_results")

    @api.depends(*INPUTS, "other_ids.name", "other_ids.count", "other_ids.is_pooled")
    @api.depends_context("lang")
    def _compute_results(self):
        for plan in self:
            inputs = plan._inputs()
            errors = sizing.errors(inputs) + configuration.errors(inputs)
            plan.update(dict.fromkeys(RESULTS, False) | {"error": plan._errors_text(errors)})
            if not errors:
                plan.update(plan._results(inputs, sizing.propose(inputs)))

    def _results(self, inputs, proposal):
        components = demand.components(inputs)
        has_files = proposal.figures["default_pool_size"].value is not None
        found = [finding for finding in proposal.findings if finding.reason.code not in DIRECT]
        return {
            "demand": self._demand_words(components),
            "replica_demand": self._demand_words(demand.replica_components(inputs)),
            "proposal": self._proposal_words(proposal),
            "files": configuration.files(inputs, proposal) if has_files else False,
            "verdict": " ".join(self._finding_words(finding)["text"] for finding in self._concluding(proposal)),
            "level": found[0].level,
            "expected": proposal.direct["expected"],
            "available": proposal.direct["limit"],
            "pooled_ceiling": proposal.pooled["ceiling"],
            "chart": self._chart(components, proposal),
        }

    @api.constrains(*INPUTS)
    def _check_inputs(self):
        for plan in self:
            if plan.error and not self.env.context.get("keeps_errors"):
                raise ValidationError(plan.error)

    @api.model
    def _input_label(self, name):
        name = "other_ids" if name == "others" else name
        return self._fields[name]._description_string(self.env)

    @api.model
    def _words(self, reason, **figures):
        reason = reason._replace(figures=reason.figures | figures)
        return plan_texts.reason_text(self.env, reason, self._input_label)

    @api.model
    def _errors_text(self, errors):
        texts = ((self._input_label(error.field), self._words(error.reason)) for error in errors)
        return "\n".join(labelled(self.env, *text) for text in texts)

    @api.model
    def _demand_words(self, components):
        names = ("code", "name", "count", "expected", "ceiling", "listeners", "is_pooled")
        return [
            {name: getattr(component, name) for name in names}
            | {"label": self._component_label(component), "why": self._words(component.reason)}
            for component in components
        ]

    @api.model
    def _component_label(self, component):
        return component.name or self.env._(plan_texts.COMPONENTS[component.code])

    @api.model
    def _finding_words(self, finding):
        field = self._input_label(finding.field) if finding.field else ""
        return {
            "code": finding.reason.code,
            "level": finding.level,
            "field": finding.field,
            "text": self._words(finding.reason, field=field, input=finding.field),
        }

    @api.model
    def _proposal_words(self, proposal):
        labels = {"postgres_pool_size": self.env._("pool_size of postgres"), "file_descriptors": "LimitNOFILE"}
        return {
            "figures": {
                name: {
                    "value": figure.value,
                    "label": labels.get(name, name),
                    "text": self._number(figure.value),
                    "why": self._words(figure.reason),
                }
                for name, figure in proposal.figures.items()
            },
            "memory": {
                name: {
                    "value": figure.value,
                    "text": "?" if figure.value is None else plan_texts.format_size(self.env, figure.value),
                    "why": self._words(figure.reason),
                }
                for name, figure in proposal.memory.items()
            },
            "verdict": [self._finding_words(finding) for finding in self._shown_first(proposal)],
            "findings": [self._finding_words(finding) for finding in proposal.findings],
            "direct": proposal.direct,
            "pooled": proposal.pooled,
        }

    @api.model
    def _concluding(self, proposal):
        """Return the findings of the verdict: without PgBouncer, then with it."""
        found = {finding.reason.code: finding for finding in proposal.findings}
        return [found[code] for code in VERDICT if code in found]

    @api.model
    def _shown_first(self, proposal):
        """Return the findings of the verdict, and all others that are not OK."""
        concluding = self._concluding(proposal)
        others = [finding for finding in proposal.findings if finding.level != "ok" and finding not in concluding]
        return concluding + others

    @api.model
    def _number(self, value):
        return format_number(self.env, value)

    def _chart(self, components, proposal):
        """Return what the chart shows: two bars of parts, and the limit. Its ``scale`` is what its width stands for."""
        direct, pooled = proposal.direct, proposal.pooled
        of_direct = [(self._component_label(component), component.expected) for component in components]
        of_pooled = [
            (self.env._("Pools of databases"), pooled["pools"]),
            (self.env._("Pool of postgres"), pooled["postgres"]),
            (self.env._("Direct and this addon"), pooled["outside"]),
        ]
        bars = [
            self._bar("direct", self.env._("Without PgBouncer"), of_direct, direct["limit"], 0),
            self._bar("pooled", self.env._("With PgBouncer"), of_pooled, direct["limit"], len(of_direct)),
        ]
        bars[0]["total_text"] = self.env._("%s expected", self._number(bars[0]["total"]))
        bars[1]["total_text"] = self.env._("at most %s", self._number(bars[1]["total"]))
        limit_text = self.env._(
            "Available: %(limit)s (max_connections %(max_connections)s - reserved %(reserved)s)",
            limit=self._number(direct["limit"]),
            max_connections=self._number(self.max_connections),
            reserved=self._number(self.max_connections - direct["limit"]),
        )
        described = []
        for bar in bars:
            parts = ", ".join(f"{part['label']} {part['count_text']}" for part in bar["parts"])
            described.append(labelled(self.env, bar["label"], f"{bar['total_text']} ({parts})"))
        return {
            "limit": direct["limit"],
            "limit_text": limit_text,
            "scale": max(direct["limit"], *(bar["total"] for bar in bars)) * 1.05,
            "bars": bars,
            "description": ". ".join([*described, limit_text]),
        }

    @api.model
    def _bar(self, name, label, parts, limit, first_color):
        total = sum(count for _label, count in parts)
        refused = self.env._("refused %s", self._number(total - limit))
        return {
            "name": name,
            "label": label,
            "total": total,
            "parts": [
                {"label": label, "count": count, "count_text": self._number(count), "color": first_color + number}
                for number, (label, count) in enumerate(parts)
                if count
            ],
            "refused_text": refused if total > limit else "",
        }
