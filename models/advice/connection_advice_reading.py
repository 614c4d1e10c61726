"""Read the installation, judge it, and store what is found."""

import json
import logging
import socket
from collections import Counter
from datetime import timedelta

from psycopg2.extensions import TransactionRollbackError

from odoo import api, fields, models
from odoo.tools import SQL

from ...advice import judge
from ...advice.findings import LEVELS
from ...odoo_internals import retrying
from .connection_advice import NOT_ACCEPTED

_logger = logging.getLogger(__name__)

# System parameter: when the last reading was made, by which server, which endpoints answered, and when and why one
# failed since then.
READING = "pgbouncer_monitor.advice"
TIMES = ("read_at", "failed_at")
# What another Odoo server found ends if that did not find it again for so long.
SERVER_PATIENCE = timedelta(days=7)
# If one of these changes, or a database is added, a finding is another one: it is not accepted any more. PgBouncer
# forgets databases of a line ``*`` while nobody uses them.
IDENTITY = ("level", "evidence_facts")


def _as_json(value):
    """Return a value as it is read back from a Json field."""
    return json.loads(json.dumps(value))


def _key(advice):
    """Return what identifies a record in each reading.

    :param advice: the record, or its values
    """
    endpoint, is_unknown = advice["endpoint_id"], advice["level"] == "unknown"
    figures = json.dumps(advice["figure_facts"] or {}, sort_keys=True) if is_unknown else None
    names = (advice["code"], advice["setting"] or False, advice["server"] or False)
    return is_unknown, getattr(endpoint, "id", endpoint), *names, figures


class ConnectionAdvice(models.Model):
    _inherit = "connection.advice"

    @api.model
    def _cron_read(self):
        retrying(self._read, self.env)

    @api.model
    def _read(self):
        """Read the installation and store what is found. The caller checks the rights.

        :return: whether it succeeded; None if another reading is in progress
        """
        advice, now = self.sudo(), fields.Datetime.now()
        query = SQL("SELECT pg_try_advisory_xact_lock(hashtext(%s))", self._table)
        if not self.env.execute_query(query)[0][0]:
            return None
        try:
            with self.env.cr.savepoint():
                snapshot = advice._snapshot()
                findings, gaps = judge.judge(snapshot)
                if snapshot.odoo.hosts == 1:
                    advice._rename_host()
                found = [*map(self._finding_values, findings), *self._gap_values(gaps)]
                advice._store(found, self._unjudged(gaps), now)
                server = self.env["connection.check"]._own_server()
                advice._keep_reading({"read_at": now, "server": server, "endpoints": self._answered(snapshot)})
        except TransactionRollbackError:  # a Manager accepted a finding at the same time: `retrying` reads again
            raise
        except Exception as error:  # the earlier findings stay
            _logger.exception("The installation could not be read")
            failure = {"failed_at": now, "error": type(error).__name__}  # the text may name what Viewers must not read
            advice._keep_reading(advice._last_reading() | failure)
            return False
        counts = Counter(advice.search([("active", "=", True)]).mapped("level"))
        _logger.info("connection advice %s", " ".join(f"{level}={counts[level]}" for level in LEVELS))
        return True

    @api.model
    def _finding_values(self, finding):
        return {
            "code": finding.code,
            "level": finding.level,
            "endpoint_id": finding.console or self._postgresql().id,
            "setting": finding.setting or False,
            "server": judge.rule_of(finding.code) in judge.OF_SERVER and self.env["connection.check"]._own_server(),
            "databases": sorted(finding.databases),
            "evidence_facts": _as_json(finding.evidence),
            "figure_facts": _as_json(finding.figures),
            "step_facts": _as_json([step._asdict() for step in finding.steps]),
        }

    @api.model
    def _gap_values(self, gaps):
        """Return the values of records for what could not be judged: one for each endpoint and what is needed."""
        rules = {}
        for gap in gaps:
            endpoint_id = gap.console or self._postgresql().id
            rules.setdefault((gap.needs, endpoint_id, json.dumps(gap.figures, sort_keys=True)), []).append(gap.rule)
        return [
            {
                "code": needs,
                "level": "unknown",
                "endpoint_id": endpoint_id,
                "setting": False,
                "server": False,
                "databases": [],
                "evidence_facts": {"rules": sorted(names)},
                "figure_facts": json.loads(figures),
                "step_facts": [],
            }
            for (needs, endpoint_id, figures), names in rules.items()
        ]

    @api.model
    def _unjudged(self, gaps):
        """Return a function that returns whether this reading could not judge if a record still applies."""
        unjudged = {(gap.rule, gap.console) for gap in gaps}

        def is_unjudged(advice):
            rule = judge.rule_of(advice.code)
            return advice.level != "unknown" and not unjudged.isdisjoint({(rule, None), (rule, advice.endpoint_id.id)})

        return is_unjudged

    @api.model
    def _store(self, found, is_unjudged, now):
        """Update the records that still apply, create new ones, and delete the others; accepted ones are archived.

        :param list found: dictionaries of values
        :param is_unjudged: of `_unjudged`
        :param datetime now: the time of the reading
        """
        known = self.search([("active", "in", (True, False))])
        left = {key: list(records) for key, records in known.grouped(_key).items()}
        new, updated = [], self.browse()
        for values in found:
            values = values | {"read_at": now}
            if records := left.get(_key(values)):
                advice = records.pop(0)
                advice._update(values | {"active": True})
                updated |= advice
            else:
                new.append(values | {"found_at": now})
        gone = (known - updated).filtered(lambda advice: advice._is_gone(is_unjudged, now))
        gone._end()
        self.create(new)

    def _end(self):
        """Delete what applies no more; archive what is accepted, which may come back."""
        accepted = self.filtered("is_accepted")
        accepted.active = False
        (self - accepted).unlink()

    @api.model
    def _forget(self, endpoints):
        """End the findings of PgBouncers that are archived. When they are back, they are not checked."""
        self.search([("endpoint_id", "in", endpoints.ids)])._end()
        reading, ids = self._last_reading(), set(map(str, endpoints.ids))
        if ids.intersection(answered := reading.get("endpoints", {})):
            self._keep_reading(reading | {"endpoints": {key: answered[key] for key in answered.keys() - ids}})

    def _is_gone(self, is_unjudged, now):
        """Return whether what this reading did not find applies no more. See `_store`."""
        if self.server not in (False, self.env["connection.check"]._own_server()):
            return self.read_at < now - SERVER_PATIENCE
        return not self.active or not is_unjudged(self)

    @api.model
    def _rename_host(self):
        """Take what other hosts found for findings of this one, which is the only one: a new container has a new name.
        Its port stays."""
        for advice in self.search([("active", "in", (True, False)), ("server", "!=", False)]):
            advice.server = f"{socket.gethostname()}:{advice.server.rpartition(':')[2]}"

    def _update(self, values):
        """Write new values. An accepted finding that is not the same any more is open again."""
        added = set(values["databases"]) - set(self.accepted_databases or [])
        if added or any((self[name] or False) != (values[name] or False) for name in IDENTITY):
            values |= NOT_ACCEPTED
        self.write(values)

    @api.model
    def _postgresql(self):
        return self.env.ref("pgbouncer_monitor.connection_endpoint_postgresql")

    @api.model
    def _answered(self, snapshot):
        """Return which endpoints were read: id, as text -> address."""
        ids = [console.key for console in snapshot.consoles.values() if console.is_answering]
        if snapshot.postgresql.role and snapshot.postgresql.sessions is not None:
            ids.append(self._postgresql().id)
        return {str(endpoint.id): endpoint._address_key() for endpoint in self.env["connection.endpoint"].browse(ids)}

    @api.model
    def _keep_reading(self, reading):
        times = {name: fields.Datetime.to_string(reading[name]) for name in TIMES if name in reading}
        self.env["ir.config_parameter"].set_param(READING, json.dumps(reading | times))

    @api.model
    def _last_reading(self):
        """Return ``read_at``, ``server`` and ``endpoints`` (of `_answered`), and ``failed_at`` and ``error`` if a later
        reading failed. All of them may be missing."""
        reading = json.loads(self.env["ir.config_parameter"].sudo().get_param(READING) or "{}")
        times = {name: fields.Datetime.to_datetime(reading[name]) for name in TIMES if name in reading}
        return reading | times
