"""Take, judge and store samples."""

import csv
import io
import json
import logging
from itertools import chain
from typing import NamedTuple

from odoo import api, fields, models
from odoo.tools import SQL

from ...analysis import incidents, pressure
from ...probes.errors import QueryError
from ...tools import EPOCH
from ..alerts.connection_rule import LISTENERS
from ..endpoint.connection_reading import FIGURES
from .connection_sample import _known, _logger

LOG_LEVELS = {
    "ok": logging.INFO,
    "unknown": logging.WARNING,
    "warning": logging.WARNING,
    "critical": logging.ERROR,
}


class Look(NamedTuple):
    """What a sample of one endpoint is made of."""

    answer: object  # the Reading; None if there was no answer that can be used
    problem: str  # what is wrong, in words; None if nothing is
    error: Exception  # that the answer raised; None for none
    rules: dict  # name -> incidents.Rule
    rows: list  # the values of the samples, those of the whole server first
    counters: dict  # what the next sample must know
    memory: incidents.Memory


class ConnectionSample(models.Model):
    _inherit = "connection.sample"

    @api.model
    def _cron_sample(self):
        endpoints = self.env["connection.endpoint"].search([("active", "=", True)])
        self._sample(endpoints)
        self.env["ir.cron"]._commit_progress()  # whatever becomes of the messages
        self.env["connection.alert"]._notify()
        self.env["connection.alert"]._resend_mails()
        self.env["connection.endpoint"]._commit()
        self.env["connection.check"]._watch()

    @api.model
    def _sample(self, endpoints):
        """Measure endpoints, side by side and within one deadline: store the samples, keep what the
        next ones must know, log a line for each endpoint, and open and end alerts. What ran when one
        opened or got worse is asked within one more deadline.

        An endpoint that another worker measures at this moment is left to that one.

        :return: endpoint -> the Reading that it answered, or None; and what is wrong, or None
        """
        measured = endpoints.sudo()._lock()._measure(is_forced=True)
        watched = self.env["connection.endpoint"].sudo().union(*measured)
        Alert = self.env["connection.alert"].sudo()
        rules, alerts = self.env["connection.rule"]._in_force(watched), Alert._open_alerts(watched)
        now = fields.Datetime.now()
        samples, changed = [], Alert.browse()
        for endpoint in watched.sorted("kind"):  # PgBouncers first: what they may open concerns PostgreSQL
            in_force, last = rules[endpoint], endpoint._last_reading()
            look = self._judged(endpoint, *measured[endpoint], in_force)
            rows, memory, answer = look.rows, look.memory, look.answer
            measured[endpoint] = answer, look.problem
            if look.error:
                _logger.error("%s gave an answer that cannot be used", endpoint.name, exc_info=look.error)
            whole = rows[0]
            # These measure no connections, and so make no sample's level.
            whole["values"]["unanswered_samples"] = memory.count(("unanswered_samples", None, None), not answer)
            if "pool_growth" in in_force and endpoint.kind == "postgresql":
                demand = _known(sum, [whole.get("used"), self._pool_growth(measured, samples)])
                whole["values"]["pool_growth"] = pressure.pressure(demand, whole.get("capacity"))
            if endpoint.kind == "postgresql":
                for rule, listener in LISTENERS.items():
                    level = self.env["connection.check"].sudo()._worst(listener).level
                    count = memory.count((rule, None, None), level == "critical")
                    whole["values"][rule] = None if level == "unknown" else count
            found = self._found(rows, in_force)
            memory.add(
                {key: code for key, (code, _sample) in found.items()},
                incidents.WELL if answer else incidents.UNKNOWN,
                max((max(rule.of_samples, rule.good_samples) for rule in in_force.values()), default=1),
                uncertain=alerts[endpoint],
            )
            found = {key: sample for key, (_code, sample) in found.items()}
            changed |= Alert._follow(endpoint, alerts[endpoint], in_force, found, memory.histories)
            for row in rows:
                del row["values"]
                row.pop("bottleneck", None)
                row.update(endpoint_id=endpoint.id, sampled_at=fields.Datetime.to_string(now))
                row.update(period="minute", sample_count=1)
                row["capacity"] = row.get("capacity") or None  # what has no limit has none
                for name in ("used", "waiting", "waiting_mean", "pressure"):
                    row[f"{name}_max"] = row.get(name)
            samples += rows
            endpoint._keep_reading(
                {name: whole.get(name) for name in FIGURES}
                | {
                    "sampled_at": now,
                    "last_seen": now if answer else last.last_seen,
                    "reason": {"text": whole["reason"]},
                }
                | {"counters": json.dumps(look.counters | {"memory": memory.keep()})}
            )
            self._log(endpoint, whole)
        if samples:
            self._insert(samples)
        changed._record_evidence()
        return measured

    @api.model
    def _look(self, endpoints, *more_commands):
        """What a sample of these endpoints would say if it were taken now. Nothing is stored.

        :param more_commands: see `connection.endpoint._measure`
        :return: endpoint -> Look
        """
        measured = endpoints._measure(*more_commands)
        rules = self.env["connection.rule"]._in_force(endpoints)
        return {endpoint: self._judged(endpoint, *measured[endpoint], rules[endpoint]) for endpoint in endpoints}

    @api.model
    def _judged(self, endpoint, answer, error, rules):
        """Make samples of what an endpoint answered. Nothing is stored.

        :param answer: and error: see `connection.endpoint._measure`
        :param dict rules: name -> incidents.Rule
        :return: a Look
        """
        settings, now = self.env["connection.settings"], (fields.Datetime.now() - EPOCH).total_seconds()
        before = json.loads(endpoint._last_reading().counters or "{}")
        memory = incidents.Memory(before.get("memory"), now, settings._interval("sample"), endpoint._sample_patience())
        rows, counters, raised = [{"level": "unknown", "values": {}}], before, None
        problem = endpoint._reason_text(endpoint._reason(answer, error))
        if answer:
            make_rows = self._postgresql_rows if endpoint.kind == "postgresql" else self._pgbouncer_rows
            try:
                rows, counters = make_rows(answer, before, rules, memory)
            except Exception as unforeseen:  # an answer that nobody foresaw must not cost the others their samples
                answer, raised = None, unforeseen
                error = QueryError("unusable", f"{type(raised).__name__}: {raised}")
                problem = endpoint._reason_text(endpoint._reason(answer, error))
        rows[0]["reason"] = "\n".join(filter(None, [problem, rows[0].get("reason")])) or None
        return Look(answer, problem, raised, rules, rows, counters, memory)

    @api.model
    def _insert(self, samples):
        """One statement for all samples: dictionaries of values, by column; what is not there is NULL."""
        columns = list(dict.fromkeys(chain.from_iterable(samples)))
        lines = io.StringIO()
        csv.writer(lines).writerows(list(map(sample.get, columns)) for sample in samples)
        lines.seek(0)
        names = SQL(", ").join(map(SQL.identifier, columns))
        # Half the time of an INSERT.
        self.env.cr.copy_expert(SQL("COPY connection_sample (%s) FROM STDIN (FORMAT csv)", names).code, lines)

    @api.model
    def _log(self, endpoint, sample):
        def show(name, form):
            return "-" if sample.get(name) is None else format(sample[name], form)

        _logger.log(
            max(LOG_LEVELS[sample["level"]], logging.WARNING if sample["reason"] else logging.INFO),
            "connection pressure endpoint=%s pressure=%s%% used=%s/%s waiting=%s maxwait=%ss level=%s%s",
            json.dumps(endpoint.name, ensure_ascii=False),
            show("pressure", ".1f"),
            show("used", "d"),
            show("capacity", "d"),
            show("waiting", "d"),
            show("maxwait", ".3f"),
            sample["level"],
            f" reason={json.dumps(sample['reason'], ensure_ascii=False)}" if sample["reason"] else "",
        )
