"""The refused requests of Odoo, as its processes counted them in files: stored by sample, host and kind. Nothing here
queries a server."""

import json
import logging
from datetime import timedelta

from odoo import api, fields, models
from odoo.tools import SQL

from ...analysis.refusals import KINDS, growth
from ...fields import LargeInteger
from ...probes import refusals
from ...recorder import refusals_folder
from ...tools import EPOCH, labelled, selection_label
from .refusal_texts import KIND_LABELS, REMEDIES

_logger = logging.getLogger(__name__)

# A folder, and a host, that was not read for so long is forgotten.
FORGET = timedelta(seconds=refusals.FORGET_SECONDS)


class ConnectionRefusal(models.Model):
    """Requests that Odoo could not serve because it got no connection, or lost one: of one kind, on one host, between
    two readings of its counts. There is no record for none."""

    _name = "connection.refusal"
    _inherit = "connection.notices"
    _description = "Refused Requests"
    _order = "sampled_at desc, count desc, id"
    _rec_name = "sampled_at"
    _log_access = False

    sampled_at = fields.Datetime("Time", required=True, readonly=True, help="Time of the sample that read the counts.")
    since = fields.Datetime(
        required=True, readonly=True, help="Time of the previous reading: the requests were refused between the two."
    )
    host = fields.Char(required=True, readonly=True, help="Host of the Odoo server that refused the requests.")
    kind = fields.Selection(KIND_LABELS, required=True, readonly=True)
    count = LargeInteger("Requests", required=True, readonly=True)
    remedy = fields.Text("What to Do First", compute="_compute_remedy")

    _sampled_at_idx = models.Index("(sampled_at)")

    @api.depends("kind")
    @api.depends_context("lang")
    def _compute_remedy(self):
        for refusal in self:
            refusal.remedy = refusal.kind and self.env._(REMEDIES[refusal.kind])

    @api.model
    def _notices(self, domain=()):
        """Say why nothing is counted: an empty list must not look like none."""
        if not self.env["connection.settings"]._cron("sample").active:
            text = self.env._("“Log Connection Pressure” is disabled in the Settings.")
            return [{"type": "warning", "text": text, "remedy": ""}]
        if overdue := self.env["connection.sample"]._overdue():
            return [{"type": "warning", "text": overdue["text"], "remedy": overdue["remedy"]}]
        if problem := self._uncounted_text(self.env["connection.sample"]._log_endpoint()):
            return [{"type": "warning", "text": problem, "remedy": ""}]
        return []

    @api.model
    def _uncounted_text(self, endpoint):
        """Return why the last sample of PostgreSQL has no number of refused requests, None if it has one.

        :param endpoint: that of this Odoo's PostgreSQL
        """
        problem = json.loads(endpoint._last_reading().counters or "{}").get("uncounted")
        return problem and self.env._("Refused requests: unknown. %s: see the warning in Odoo's log.", problem)

    @api.model
    def _sample(self, now):
        """Store what was refused since the last reading of the counts, as far as this host can read them.

        Each host that has a data folder of its own is read when one of its cron workers takes a sample: it may be late.

        :return: (host, kind) -> count, None if it is unknown: at the first reading, after the files were replaced, or
            if this host cannot count; and in this case the reason
        """
        try:
            folder = refusals.read(refusals_folder(), KINDS)
        except OSError as error:
            _logger.warning("Refused requests are unknown: %s", error)
            return None, error.strerror
        Folder = self.env["connection.refusal.folder"].sudo()
        Folder._forget(now)
        last = Folder.search([("identity", "=", folder.identity)])
        since = last.read_at or Folder._new_since(folder, now)
        grown = growth(folder.counts, last.counts or {}) if since else None
        last = last or Folder.create({"identity": folder.identity, "known_at": now, "read_at": now})
        last.write({"counts": folder.counts, "read_at": now})
        self.env["connection.refusal.total"].sudo()._add(folder.counts, grown or {}, now)
        self.sudo().create(
            [
                {"sampled_at": now, "since": since, "host": host, "kind": kind, "count": count}
                for (host, kind), count in (grown or {}).items()
            ]
        )
        return grown, None

    @api.model
    def _of_last_sample(self):
        """Return what was refused in the last sample in which anything was, the most first."""
        newest = self.search([], limit=1)
        return self.search([("sampled_at", "=", newest.sampled_at)])

    @api.model
    def _lines(self, refusals):
        """Return a line for each (host, kind, count), in the user's language."""
        Rule = self.env["connection.rule"]
        return "\n".join(
            labelled(self.env, host, selection_label(self, "kind", kind), Rule._format_value("refused_requests", count))
            for host, kind, count in refusals
        )

    @api.model
    def _remedies(self, kinds):
        """Return what to do first about each kind."""
        return [labelled(self.env, selection_label(self, "kind", kind), self.env._(REMEDIES[kind])) for kind in kinds]

    @api.model
    def _totals(self):
        """Return (host, kind, total) for each kind, also those of 0: what was counted since the host is known to this
        database. A total never goes down. Those that were not read in the last samples are unknown."""
        patience = timedelta(seconds=self.env["connection.endpoint"]._sample_patience())
        read = [("read_at", ">=", fields.Datetime.now() - patience)]
        totals = self.env["connection.refusal.total"].sudo().search(read, order="host, id")
        return [(total.host, total.kind, total.total) for total in totals]

    @api.autovacuum
    def _gc_refusals(self):
        """Delete what is as old as the samples that are deleted."""
        return self.env["connection.settings"]._delete_old(self, "sampled_at")


class ConnectionRefusalFolder(models.Model):
    """The counts that the next sample is compared with. Only the sampler uses it."""

    _name = "connection.refusal.folder"
    _description = "Last Reading of Refused Requests"
    _log_access = False

    identity = fields.Char(required=True)  # of a folder in which one or more hosts count
    # A copy of the database has another one.
    database_uuid = fields.Char(required=True, default=lambda self: self._database_uuid())
    known_at = fields.Datetime(required=True)  # of the first sample that read it
    read_at = fields.Datetime(required=True)  # of the last sample that read it
    counts = fields.Json()  # host -> kind -> number of refusals

    _identity_uniq = models.UniqueIndex("(identity)")

    @api.model
    def _database_uuid(self):
        return self.env["ir.config_parameter"].sudo().get_param("database.uuid") or self.env.cr.dbname

    @api.model
    def _forget(self, now):
        """Delete what was not read for long, and what the database has of the one that it is a copy of."""
        if of_original := self.search([("database_uuid", "!=", self._database_uuid())]):
            of_original.unlink()
            self.env.cr.execute("DELETE FROM connection_refusal_total")
            self.env["connection.refusal.total"].invalidate_model()
        self.search([("read_at", "<", now - FORGET)]).unlink()

    @api.model
    def _new_since(self, folder, now):
        """Return when a folder was created that was never read, if it is that of a new host: all that it counts was
        refused since this database takes samples. None if it may be years old."""
        first = self.search([], order="id", limit=1)
        created_at = EPOCH + timedelta(seconds=int(folder.created_at))
        return created_at if first and created_at >= max(first.known_at, now - FORGET) else None


class ConnectionRefusalTotal(models.Model):
    """The sums since a host is known. Only the sampler writes it."""

    _name = "connection.refusal.total"
    _description = "Total of Refused Requests"
    _log_access = False

    host = fields.Char(required=True)
    kind = fields.Selection(KIND_LABELS, required=True)
    total = LargeInteger(required=True)
    read_at = fields.Datetime(required=True)  # of the last sample that read this host

    _host_kind_uniq = models.UniqueIndex("(host, kind)")

    @api.model
    def _add(self, hosts, grown, now):
        """Add what was refused on hosts that were read."""
        rows = [(host, kind, grown.get((host, kind), 0), now) for host in hosts for kind in KINDS]
        self.env.cr.execute(
            SQL(
                """
                INSERT INTO connection_refusal_total AS known (host, kind, total, read_at) VALUES %s
                ON CONFLICT (host, kind)
                DO UPDATE SET total = known.total + EXCLUDED.total, read_at = EXCLUDED.read_at
                """,
                SQL(", ").join(SQL("%s", row) for row in rows),
            )
        )
        self.env.cr.execute(SQL("DELETE FROM connection_refusal_total WHERE read_at < %s", now - FORGET))
        self.invalidate_model()
