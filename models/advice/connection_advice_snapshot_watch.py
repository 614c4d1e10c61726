"""What a snapshot has of this addon itself. It may be installed in other databases, too."""

from odoo import api, fields, models

from ...advice.snapshot import Watch
from ...analysis import installation
from ...odoo_internals import database_info, server_started_at, system_database
from ...probes.errors import QueryError

# Databases that are examined.
MAX_DATABASES = 20
# One statement that is valid without these tables: only an Odoo database has them.
IS_SAMPLING = """
SELECT CASE WHEN to_regclass('ir_module_module') IS NOT NULL THEN query_to_xml($$
    SELECT 1 AS found
      FROM ir_module_module AS module
      JOIN ir_model_data AS data
        ON data.module = module.name AND data.model = 'ir.cron' AND data.name = 'ir_cron_sample'
      JOIN ir_cron AS cron ON cron.id = data.res_id AND cron.active
     WHERE module.name = 'pgbouncer_monitor' AND module.state = 'installed'
$$, false, false, '')::text LIKE '%<row>%' END AS is_sampling
"""


class ConnectionAdvice(models.Model):
    _inherit = "connection.advice"

    @api.model
    def _snapshot_watch(self, reading, sample_age, pids, connected):
        """Return the `advice.snapshot.Watch`.

        :param reading: of `connection.plan._read_servers`
        :param float sample_age: of `_sample_age`
        :param dict pids: of `_pids`
        :param dict connected: of `_start_connecting`
        """
        Settings = self.env["connection.settings"]
        postgresql = self.env["connection.endpoint"].search([("kind", "=", "postgresql"), ("active", "=", True)])
        error = reading.address_error if postgresql.host else None
        others, is_complete = self._others(reading, connected)
        answers = {endpoint.id: answers for endpoint, answers in reading.consoles.items()}
        return Watch(
            is_sampler_on=bool(Settings._cron("sample").active),
            is_postgresql_on=bool(postgresql),
            sample_age=sample_age,
            interval=Settings._interval("sample"),
            has_address=bool(postgresql.host and not error) if postgresql else None,
            address_error=error.reason if error else "",
            twins=installation.twins(answers, pids),
            others=others,
            is_complete=is_complete,
            limit=MAX_DATABASES,
        )

    @api.model
    def _sample_age(self):
        """Return for how many seconds there has been no sample, although the sampler could run: see Watch."""
        newest = self.env["connection.reading"].search([("sampled_at", "!=", False)]).mapped("sampled_at")
        since = [*newest, self.env["connection.settings"]._cron("sample").write_date, server_started_at()]
        since = max(filter(None, since), default=None)
        return since and (fields.Datetime.now() - since).total_seconds()

    @api.model
    def _other_databases(self, reading):
        """Return the names of the other databases with sessions of Odoo's role."""
        own = {session["usename"] for session in reading.sessions if session["pid"] == reading.server["pid"]}
        names = {session["datname"] for session in reading.sessions if session["usename"] in own}
        return sorted(names - {self.env.cr.dbname, system_database(), None})

    @api.model
    def _sampling_questions(self, reading):
        """Return the questions to other databases, see `once.queries`."""
        names = self._other_databases(reading)[:MAX_DATABASES]
        return {("sampling", name): (database_info(name), IS_SAMPLING) for name in names}

    @api.model
    def _others(self, reading, connected):
        """Return the names of other databases in which this addon samples, and whether all that have sessions of
        Odoo's role were examined."""
        if not reading.server:
            return None, False
        names = self._other_databases(reading)
        answers = {name: connected[key] for name in names if (key := ("sampling", name)) in connected}
        is_complete = len(answers) == len(names) and not any(isinstance(row, QueryError) for row in answers.values())
        found = [name for name, row in answers.items() if not isinstance(row, QueryError) and row["is_sampling"]]
        return found, is_complete
