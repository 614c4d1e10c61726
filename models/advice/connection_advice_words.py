"""The words of findings, made of their facts when they are shown."""

from odoo import api, models

from ...advice import judge
from ...tools import first_names, format_number, labelled, selection_label
from .advice_texts import APPLY, NEEDS, PLACES, TEXTS

# How many databases are named.
MAX_NAMED = 5


class _Values(dict):
    """What is put into a text. A missing value must not cost the other findings their words."""

    def __missing__(self, key):
        return "?"


class ConnectionAdvice(models.Model):
    _inherit = "connection.advice"

    @api.depends("databases")
    @api.depends_context("lang")
    def _compute_database(self):
        for advice in self:
            advice.database = first_names(self.env, advice.databases or [], MAX_NAMED)

    @api.depends("code", "level", "endpoint_id.name", "databases", "evidence_facts", "figure_facts")
    @api.depends_context("lang")
    def _compute_words(self):
        for advice in self:
            if advice.level == "unknown":
                rules = (advice.evidence_facts or {}).get("rules", [])
                advice.name = advice._put_into(NEEDS.get(advice.code, advice.code))
                advice.evidence = self.env._("Could not be judged: %s", ", ".join(self._rule_titles(rules)))
                advice.why = advice.remedy_text = False
            else:
                text = TEXTS.get(advice.code)
                advice.name = advice._put_into(text.title) if text else advice.code
                advice.evidence = text and advice._put_into(text.evidence)
                advice.why = text and advice._put_into(text.why)
                advice.remedy_text = text and advice._put_into(text.remedy)

    def _put_into(self, text):
        """Return a text in the user's language, with the values of this finding."""
        values = {"name": self.endpoint_id.name, "databases": self.database}
        values |= {name: self._plain(value) for name, value in (self.evidence_facts or {}).items()}
        values |= {name: self._figure(value) for name, value in (self.figure_facts or {}).items()}
        translated, source = self.env._(text), self.with_context(lang=None).env._(text)
        try:
            return translated % _Values(values)
        except (TypeError, ValueError):  # a format of a translation, which must not cost the other findings their words
            return source % _Values(values)

    @api.model
    def _plain(self, value):
        """Return a value as the files of the servers have it: a setting or a port has no thousands separators."""
        if isinstance(value, list):
            return ", ".join(map(self._plain, value))
        if isinstance(value, bool):
            return "on" if value else "off"
        return "?" if value is None else str(value)

    @api.model
    def _figure(self, value):
        """Return a measured value in the format of the user's language."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return format_number(self.env, value) if is_number else self._plain(value)

    @api.model
    def _titles(self, codes):
        """Return the titles of codes, each once."""
        titles = (self.env._(TEXTS[code].title) if code in TEXTS else code for code in codes)
        return list(dict.fromkeys(titles))

    @api.model
    def _rule_titles(self, rules):
        """Return the titles of all that rules could find."""
        known = [code for code in TEXTS if judge.rule_of(code) in rules]
        return self._titles([*known, *set(rules).difference(map(judge.rule_of, known))])

    @api.depends("step_facts")
    @api.depends_context("lang")
    def _compute_steps(self):
        for advice in self:
            facts = advice.step_facts or []
            applied = [step["apply"] for step in facts]
            places = [PLACES[step["place"]] for step in facts]
            advice.steps = [
                {
                    "place": self.env._(place),
                    "lines": "\n".join(step["lines"]),
                    # Once, after the last of steps that take effect in the same way.
                    "then": then != following and APPLY[then] and self.env._(APPLY[then]),
                }
                for step, place, then, following in zip(facts, places, applied, [*applied[1:], None], strict=False)
            ]

    @api.depends("steps", "remedy_text")
    def _compute_remedy(self):
        for advice in self:
            parts = [advice.remedy_text, *(part for step in advice.steps or [] for part in step.values())]
            advice.remedy = "\n".join(filter(None, parts))

    @api.depends("name", "level", "endpoint_id.name", "database", "server", "evidence", "why", "remedy")
    @api.depends_context("lang")
    def _compute_text(self):
        for advice in self:
            title = labelled(self.env, selection_label(advice, "level", advice.level), advice.name)
            where = ", ".join(filter(None, (advice.endpoint_id.name, advice.database, advice.server)))
            parts = [title, where, advice.evidence, advice.why, advice.remedy]
            advice.text = "\n\n".join(filter(None, parts))

    @api.model
    def _search_name(self, operator, value):
        return self._search_words("name", operator, value)

    @api.model
    def _search_database(self, operator, value):
        return self._search_words("database", operator, value)

    @api.model
    def _search_evidence(self, operator, value):
        return self._search_words("evidence", operator, value)

    @api.model
    def _search_words(self, name, operator, value):
        # There are few findings, and the database does not have their words.
        found = self.search([("active", "in", (True, False))]).filtered_domain([(name, operator, value)])
        return [("id", "in", found.ids)]
