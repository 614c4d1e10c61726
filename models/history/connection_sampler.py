"""Take samples: query the endpoints, update their alerts, store and log. The judging itself is in `analysis`."""

import csv
import io
import json
import logging
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat

from odoo import api, fields, models
from odoo.tools import SQL

from ...analysis import growth, incidents, pressure
from ...analysis.changes import pgbouncer_changes, postgresql_changes
from ...analysis.pgbouncer_samples import pgbouncer_samples
from ...analysis.postgresql_samples import postgresql_samples
from ...analysis.samples import Samples, known
from ...odoo_internals import system_database
from ...probes import postgres
from ...probes.console import SAMPLE_COMMANDS
from ...probes.errors import QueryError
from ...tools import EPOCH
from ..alerts.connection_rule import LISTENERS
from ..endpoint.connection_reading import FIGURES
from .connection_sample import _logger

LOG_LEVELS = {
    "ok": logging.INFO,
    "unknown": logging.WARNING,
    "warning": logging.WARNING,
    "critical": logging.ERROR,
}
# Columns of the analysis that are not stored, or stored in another form.
NOT_STORED = {"bottleneck", "reason"}


@dataclass
class Snapshot:
    """The samples of one endpoint, judged but not stored.

    :ivar answer: the Reading, None if there is no usable answer
    :ivar dict problem: facts: why there is no answer, or why it came over Odoo's own connection; {} for no problem
    :ivar dict rules: name -> incidents.Rule
    :ivar list tables: the `analysis.samples.Samples` of the instance; for a PgBouncer also of its pools and databases
    :ivar dict counters: the counters that the next sample needs
    :ivar incidents.Memory memory: the history of the rules
    :ivar set changes: since the last sample, see `analysis.changes`
    """

    answer: object
    problem: dict
    rules: dict
    tables: list
    counters: dict
    memory: incidents.Memory
    changes: set

    @cached_property
    def rows(self):
        """All samples as dictionaries, the instance first."""
        return [samples.row(number) for samples in self.tables for number in range(samples.count)]


class ConnectionSample(models.Model):
    _inherit = "connection.sample"

    @api.model
    def _cron_sample(self):
        endpoints = self.env["connection.endpoint"].search([("active", "=", True)])
        self._sample(endpoints)
        self.env["ir.cron"]._commit_progress()  # keep the samples even if posting fails
        self.env["connection.alert"]._notify()
        self._report_running()
        self.env["connection.alert"]._resend_mails()
        self.env["connection.endpoint"]._commit()
        self.env["connection.check"]._watch()

    @api.model
    def _sample(self, endpoints):
        """Sample endpoints in parallel, within one deadline: store and log the samples, and update the alerts. The
        evidence for new and worse alerts is read within another deadline.

        Endpoints that another worker samples at the moment are skipped.

        :return: endpoint -> Snapshot
        """
        watched, Alert = endpoints.sudo()._lock(), self.env["connection.alert"].sudo()
        get_measured = watched._start_measuring(is_forced=True)
        # While the servers answer.
        rules, alerts = self.env["connection.rule"]._in_force(watched), Alert._open_alerts(watched)
        clock = self._clock()
        measured, now = get_measured(), fields.Datetime.now()
        snapshots, stored, changed = {}, [], Alert.browse()
        for endpoint in watched.sorted("kind"):  # PgBouncers first: PostgreSQL needs the growth of their pools
            snapshot = self._snapshot(endpoint, *measured[endpoint], rules[endpoint], clock)
            snapshots[endpoint] = snapshot
            if endpoint.kind == "postgresql":
                self._add_refusals(snapshot, now)
            snapshot.tables[0].values |= self._other_values(endpoint, snapshots)
            changed |= self._follow(endpoint, snapshot, alerts[endpoint])
            stored += [self._stored_columns(endpoint, now, samples) for samples in snapshot.tables]
            self._keep(endpoint, snapshot, now)
        if stored:
            self._insert(stored)
        changed._record_evidence()
        return snapshots

    @api.model
    def _snapshots(self, endpoints, *more_commands):
        """Return the samples of this moment, without storing them.

        :param more_commands: for PgBouncers, beside those of a sample
        :return: endpoint -> Snapshot
        """
        get_measured = endpoints._start_measuring([*SAMPLE_COMMANDS, *more_commands])
        rules, clock = self.env["connection.rule"]._in_force(endpoints), self._clock()
        measured = get_measured()
        return {
            endpoint: self._snapshot(endpoint, *measured[endpoint], rules[endpoint], clock) for endpoint in endpoints
        }

    @api.model
    def _clock(self):
        """Return ``now``, ``every`` and ``patience`` of incidents.Memory."""
        return {
            "now": (fields.Datetime.now() - EPOCH).total_seconds(),
            "every": self.env["connection.settings"]._interval("sample"),
            "patience": self.env["connection.endpoint"]._sample_patience(),
        }

    @api.model
    def _snapshot(self, endpoint, answer, error, rules, clock):
        """Return the Snapshot for an answer of an endpoint.

        :param answer: and error: see `connection.endpoint._start_measuring`
        :param dict rules: name -> incidents.Rule
        :param dict clock: of `_clock`
        """
        before = json.loads(endpoint._last_reading().counters or "{}")
        memory = incidents.Memory(before.get("memory"), **clock)
        problem, tables, counters, changes = endpoint._reason(answer, error), None, before, set()
        if answer:
            try:
                if endpoint.kind == "postgresql":
                    [row], databases = answer.answers[postgres.ACTIVITY], answer.answers.get(postgres.SESSIONS, [])
                    tables, counters = postgresql_samples(row, databases, answer.read_at, before, rules)
                    seen, changes = postgresql_changes(row, before.get("seen", {}))
                else:
                    tables, counters = pgbouncer_samples(answer.answers, answer.read_at, before, rules, memory)
                    seen, changes = pgbouncer_changes(answer.answers, system_database(), before.get("seen", {}))
                counters |= {"seen": seen}
            except Exception as unforeseen:  # an unexpected answer must not cost the other endpoints their samples
                _logger.exception("Unexpected answer of %s", endpoint.name)
                error = QueryError("unusable", f"{type(unforeseen).__name__}: {unforeseen}")
                answer, problem = None, endpoint._reason(None, error)
        tables = tables or [Samples.single({"level": "unknown", "reason": None}, {})]
        reasons = tables[0].columns["reason"]
        reasons[0] = problem | (reasons[0] or {}) or None
        return Snapshot(answer, problem, rules, tables, counters, memory, changes)

    @api.model
    def _add_refusals(self, snapshot, now):
        """Store the requests of Odoo that were refused since they were last counted, and add them to the sample."""
        refused, problem = self.env["connection.refusal"]._sample(now)
        count = None if refused is None else sum(refused.values())
        instance = snapshot.tables[0]
        snapshot.counters["uncounted"] = problem
        instance.columns["refused"], instance.values["refused_requests"] = [count], [count]

    @api.model
    def _other_values(self, endpoint, snapshots):
        """Return the values of rules that do not determine the level of a sample.

        :return: rule -> list with the value
        """
        snapshot = snapshots[endpoint]
        key = ("unanswered_samples", None, None)
        values = {key[0]: [snapshot.memory.count(key, not snapshot.answer)]}
        if endpoint.kind != "postgresql":
            return values
        used, capacity = (snapshot.tables[0].columns.get(name, [None])[0] for name in ("used", "capacity"))
        if "pool_growth" in snapshot.rules:
            demand = known(sum, [used, self._pool_growth(snapshots)])
            values["pool_growth"] = [pressure.pressure(demand, capacity)]
        for rule, listener in LISTENERS.items():
            level = self.env["connection.check"].sudo()._worst(listener)._level_now()
            count = snapshot.memory.count((rule, None, None), level == "critical")
            values[rule] = [None if level == "unknown" else count]
        return values

    @api.model
    def _pool_growth(self, snapshots):
        """Return the number of servers that pools may still open to the PostgreSQL of this Odoo, without their
        reserves; None if a PgBouncer did not answer.

        :param dict snapshots: endpoint -> Snapshot, of the PgBouncers that were sampled
        """
        consoles = self.env["connection.endpoint"].sudo().search([("kind", "=", "pgbouncer"), ("active", "=", True)])
        read = [snapshots[console] for console in consoles if console in snapshots and snapshots[console].answer]
        if not consoles or len(read) < len(consoles):
            return None
        backends = self._backends()
        return known(
            sum,
            [
                growth.pool_growth(
                    snapshot.tables, growth.databases_here(snapshot.answer.answers["SHOW SERVERS"], backends)
                )
                for snapshot in read
            ],
        )

    @api.model
    def _backends(self):
        """Return PID -> (client port, role) of each backend, see `growth.databases_here`."""
        query = SQL(
            "SELECT %s, array_agg(pid), array_agg(client_port) FROM pg_stat_activity"
            " WHERE usename IS NOT NULL GROUP BY usename",
            SQL(postgres.readable("usename::text")),
        )
        return {
            pid: (port, role)
            for role, pids, ports in self.env.execute_query(query)
            for pid, port in zip(pids, ports, strict=True)
        }

    @api.model
    def _follow(self, endpoint, snapshot, alerts):
        """Open, update and close the alerts of an endpoint.

        :param dict alerts: key -> open alert
        :return: the alerts that are new or got worse
        """
        rules, memory = snapshot.rules, snapshot.memory
        found = incidents.violations(snapshot.tables, rules)
        memory.add(
            {key: code for key, (code, _row) in found.items()},
            incidents.OK if snapshot.answer else incidents.UNKNOWN,
            max((max(rule.of_samples, rule.good_samples) for rule in rules.values()), default=1),
            uncertain=alerts,
        )
        violations = {key: row for key, (_code, row) in found.items()}
        return self.env["connection.alert"].sudo()._follow(endpoint, alerts, rules, violations, memory.histories)

    @api.model
    def _keep(self, endpoint, snapshot, now):
        """Store what the endpoint shows of its last sample and what the next sample needs, and log a line."""
        row = snapshot.tables[0].row(0)
        row["capacity"] = row.get("capacity") or None
        last = endpoint._last_reading()
        endpoint._keep_reading(
            {name: row.get(name) for name in FIGURES}
            | {"sampled_at": now, "reason": row["reason"]}
            | {"last_seen": now if snapshot.answer else last.last_seen}
            | {"restarted_at": now if "restart" in snapshot.changes else last.restarted_at}
            | {"changed_at": now if "pools" in snapshot.changes else last.changed_at}
            | {"counters": json.dumps(snapshot.counters | {"memory": snapshot.memory.keep()})}
        )
        self._log(endpoint, row)

    @api.model
    def _stored_columns(self, endpoint, now, samples):
        """Return the stored columns of samples: column -> values."""
        columns = {name: column for name, column in samples.columns.items() if name not in NOT_STORED}
        reasons = samples.columns["reason"]
        columns |= {
            "endpoint_id": repeat(endpoint.id),
            "sampled_at": repeat(fields.Datetime.to_string(now)),
            "period": repeat("minute"),
            "sample_count": repeat(1),
            "rule": [facts and facts.get("rule") for facts in reasons],
            "reason_facts": [facts and json.dumps(facts) for facts in reasons],
        }
        if "capacity" in columns:
            columns["capacity"] = [capacity or None for capacity in columns["capacity"]]  # 0 is no limit
        names = ("used", "waiting", "waiting_mean", "pressure")
        return columns | {f"{name}_max": columns[name] for name in names if name in columns}

    @api.model
    def _insert(self, tables):
        """Insert samples in one statement.

        :param list tables: dictionaries: column -> values; a missing column is NULL
        """
        names = list(dict.fromkeys(name for columns in tables for name in columns))
        lines = io.StringIO()
        for columns in tables:
            csv.writer(lines).writerows(zip(*(columns.get(name, repeat(None)) for name in names), strict=False))
        lines.seek(0)
        stored = SQL(", ").join(map(SQL.identifier, names))
        # COPY takes half the time of INSERT.
        self.env.cr.copy_expert(SQL("COPY connection_sample (%s) FROM STDIN (FORMAT csv)", stored).code, lines)

    @api.model
    def _log(self, endpoint, row):
        def show(name, form):
            return "-" if row.get(name) is None else format(row[name], form)

        reason = endpoint.with_context(lang="en_US")._reason_text(row["reason"])
        _logger.log(
            max(LOG_LEVELS[row["level"]], logging.WARNING if reason else logging.INFO),
            "connection pressure endpoint=%s pressure=%s%% used=%s/%s waiting=%s maxwait=%ss level=%s%s",
            json.dumps(endpoint.name, ensure_ascii=False),
            show("pressure", ".1f"),
            show("used", "d"),
            show("capacity", "d"),
            show("waiting", "d"),
            show("maxwait", ".3f"),
            row["level"],
            f" reason={json.dumps(reason, ensure_ascii=False)}" if reason else "",
        )
