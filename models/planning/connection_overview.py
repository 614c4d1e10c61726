"""Whether a PgBouncer would help, where there is none. Reads stored samples and Odoo's own settings."""

import psycopg2

from odoo import api, fields, models
from odoo.tools import SQL, format_datetime

from ...odoo_internals import configured_databases
from ...planner.inputs import Inputs
from ...planner.need import need
from ...probes.console import CONSOLE_TIMEOUT
from ...tools import format_number
from .connection_plan_fill_history import HISTORY

FROM_ODOO = ("workers", "max_cron_threads", "db_maxconn", "db_maxconn_gevent", "has_replica", "has_queue_job")


class ConnectionOverview(models.AbstractModel):
    _inherit = "connection.overview"

    @api.model
    def get_overview(self):
        """Add ``need``: in words, whether a PgBouncer would help; None if there is a pooler, or PostgreSQL's endpoint
        is archived."""
        found = super().get_overview()
        by_kind = {card["kind"]: card for card in found["cards"]}
        is_asked = by_kind.keys() == {"postgresql"} and not self.env["connection.endpoint"]._is_pooled()
        return found | {"need": self._need(by_kind["postgresql"]) if is_asked else None}

    @api.model
    def _need(self, card):
        """Return in words whether a PgBouncer would help, or why this cannot be read.

        :param dict card: of this Odoo's PostgreSQL, see `_card`
        """
        query = SQL(
            "SELECT max(used_max), min(sampled_at) FROM connection_sample"
            " WHERE endpoint_id = %s AND database IS NULL AND sampled_at >= %s",
            card["id"],
            fields.Datetime.now() - HISTORY,
        )
        try:
            with self.env["connection.endpoint"]._time_limit(CONSOLE_TIMEOUT / 3):
                [(peak, since)] = self.env.execute_query(query)
        except psycopg2.Error as error:
            return str(error).strip()
        values, _missing = self.env["connection.plan"]._odoo_values(None)
        inputs = Inputs(**{name: values[name] for name in FROM_ODOO}, databases=len(configured_databases()) or 1)
        seconds = (fields.Datetime.now() - since).total_seconds() if since else 0
        code, figures = need(inputs, card["capacity"], peak, seconds)
        figures = {name: format_number(self.env, value) for name, value in figures.items()}
        return self._need_text(code, figures | {"since": format_datetime(self.env, since) if since else ""})

    @api.model
    def _need_text(self, code, figures):
        """:param str code: of `planner.need.need`"""
        helps = self.env._(
            "A PgBouncer would help here: it lets the connections of Odoo share fewer connections to PostgreSQL."
        )
        unmeasured = self.env._("Whether a PgBouncer would help is unknown: PostgreSQL has not been sampled yet.")
        if figures["since"]:
            label = self.env["connection.rule"]._label("postgresql_pressure")
            unmeasured = self.env._("Not enough data to determine: %s", label)
        return {
            "unmeasured": unmeasured,
            "peak": self.env._(
                "Since %(since)s, up to %(peak)s of PostgreSQL's %(capacity)s connections were in use.", **figures
            )
            + " "
            + helps,
            "settings": self.env._(
                "By its settings, this Odoo needs about %(expected)s connections on a busy day, of PostgreSQL's "
                "%(capacity)s.",
                **figures,
            )
            + " "
            + helps,
            "early": self.env._(
                "Whether a PgBouncer would help is known after a day of samples. Since %(since)s, up to %(peak)s of "
                "PostgreSQL's %(capacity)s connections were in use.",
                **figures,
            ),
            "room": self.env._(
                "A PgBouncer would not help here now: since %(since)s, up to %(peak)s of PostgreSQL's %(capacity)s "
                "connections were in use, and by its settings this Odoo needs about %(expected)s on a busy day. It "
                "would help if more workers, Odoo servers or programs used this PostgreSQL.",
                **figures,
            ),
        }[code]
