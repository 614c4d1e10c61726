"""Samples of endpoints: what is stored, and shown. Nothing here queries a server."""

import logging

from odoo import api, fields, models
from odoo.tools import SQL, format_datetime

from ...fields import NullableInteger, NullableReal
from ...tools import LEVELS
from ..alerts.connection_rule import RULE_LABELS

_logger = logging.getLogger(__name__)

TWICE = "Counted for the whole server, and again for its parts: look at one of them."

# Fields to group by, and their seconds: Odoo's own grouping of times has nothing below an hour.
BUCKETS = {"minute": 60, "ten_minutes": 600, "hour": 3600}
BUCKET_FORMAT = "%Y-%m-%d %H:%M"


def _mean(column) -> SQL:
    """The mean of a column of samples, each of which counts as often as it was taken."""
    return SQL("sum(%s * sample_count) / sum(sample_count) FILTER (WHERE %s IS NOT NULL)", column, column)


def gauge(label, aggregator="avg", decimals=1, **attributes):
    return NullableReal(label, readonly=True, aggregator=aggregator, digits=(16, decimals), **attributes)


def bucket_field(name, label):
    return fields.Char(
        label,
        compute="_compute_buckets",
        search=lambda self, operator, value: self._search_bucket(name, operator, value),
        help="The beginning of the time that the sample falls into: in UTC, and in groups on the user's clock.",
    )


class ConnectionSample(models.Model):
    """One measurement: of a PostgreSQL, of a PgBouncer (then it has no database), of one of its
    pools (database and user), or of a database that has a limit of its own or several pools (no
    user). After some days the samples of an hour become one, with means and maxima.

    Empty is unknown, or not known to this kind of server. What is counted, such as transactions,
    is what happened in ``interval`` seconds before the sample.
    """

    _name = "connection.sample"
    _inherit = "connection.notices"
    _description = "Connection Sample"
    _order = "sampled_at desc, id desc"
    _rec_name = "sampled_at"
    _log_access = False

    endpoint_id = fields.Many2one("connection.endpoint", required=True, readonly=True, ondelete="cascade")
    database = fields.Char(readonly=True, help="The database's name in PgBouncer. Empty: the whole server.")
    user = fields.Char(readonly=True, help="The role of the pool. Empty: the whole server, or all of a database.")
    sampled_at = fields.Datetime(
        "Time", required=True, readonly=True, help="When it was measured; of an hour, when the hour began."
    )
    minute = bucket_field("minute", "Minute")
    ten_minutes = bucket_field("ten_minutes", "Ten Minutes")
    hour = bucket_field("hour", "Hour")
    period = fields.Selection(
        [("minute", "One sample"), ("hour", "Hour")],
        required=True,
        readonly=True,
        help="Whether it is one sample, or those of an hour: then the figures are means, unless they say otherwise.",
    )
    sample_count = fields.Integer("Samples", readonly=True, help="How many samples it stands for.")
    interval = gauge(
        "Interval (s)",
        aggregator="sum",
        help="The seconds since the last sample: what is counted was counted in them. Empty after a restart of the"
        " server: nobody knows what it counted before.",
    )
    level = fields.Selection(
        LEVELS, required=True, readonly=True, help="By the thresholds of that time. Of an hour, the worst."
    )
    rule = fields.Selection(
        [*RULE_LABELS, ("pressure", "Pressure (%)")],
        readonly=True,
        help="The rule, or the figure, by which the level is not OK.",
    )
    reason_facts = fields.Json(
        readonly=True, help="The reason as facts, for which the words are found when it is shown."
    )
    reason = fields.Char(compute="_compute_reason", help="Why it is unknown, or which threshold was reached.")
    is_paused = fields.Boolean("Paused", readonly=True, help="No client got a server.")

    capacity = gauge(
        "Capacity",
        aggregator="max",
        decimals=0,
        help="PostgreSQL: max_connections without the reserved slots. PgBouncer: max_client_conn. A pool: its "
        "size. A database: max_db_connections. Empty: unknown or unlimited.",
    )
    used = gauge(
        "Used",
        help="PostgreSQL: client backends. PgBouncer: clients. A pool: sv_active. A database: its servers.",
    )
    used_max = gauge("Used, Maximum", aggregator="max", help="The most that were used.")
    waiting = gauge("Waiting", help="cl_waiting: clients that waited for a server at the moment of the look.")
    waiting_max = gauge("Waiting, Maximum", aggregator="max", help="The most that waited.")
    maxwait = gauge(
        "Longest Wait (s)",
        aggregator="max",
        decimals=3,
        help="How long the first client in the queue had waited: maxwait with its microseconds.",
    )
    pressure = gauge(
        "Pressure (%)",
        help="Used, and in a pool also waiting, in percent of the capacity. Above 100 somebody waits.",
    )
    pressure_max = gauge("Pressure, Maximum (%)", aggregator="max", help="The highest pressure.")
    pool_pressure = gauge(
        "Fullest Pool (%)", aggregator="max", help="The highest pressure of the pools of a whole PgBouncer."
    )

    # PgBouncer's counters
    waiting_mean = gauge(
        "Waiting between Samples",
        decimals=2,
        help="How many clients waited on average since the last sample, by the growth of total_wait_time: it shows"
        " queues that came and went between two looks. A wait counts when it has ended.",
    )
    waiting_mean_max = gauge(
        "Waiting between Samples, Maximum", aggregator="max", decimals=2, help="The most that waited on average."
    )
    wait_time = gauge("Time Waited (s)", aggregator="sum", help=f"By all clients together: total_wait_time. {TWICE}")
    xact_count = NullableInteger("Transactions", readonly=True, help=f"total_xact_count. {TWICE}")
    query_count = NullableInteger("Queries", readonly=True, help=f"total_query_count. {TWICE}")
    received = NullableInteger("Received (bytes)", readonly=True, help=f"From clients. {TWICE}")
    sent = NullableInteger("Sent (bytes)", readonly=True, help=f"To clients. {TWICE}")

    # Other columns of SHOW POOLS
    cl_active = gauge("Clients Active", help="With a server, or idle.")
    cl_active_cancel_req = gauge("Cancels Active", help="Since 1.18.")
    cl_waiting_cancel_req = gauge("Cancels Waiting", help="Since 1.18.")
    sv_active_cancel = gauge("Servers Cancelling", help="Since 1.18.")
    sv_being_canceled = gauge("Servers Cancelled", help="Since 1.18.")
    sv_idle = gauge("Servers Idle", help="Could be used at once.")
    sv_used = gauge("Servers Used", help="Idle, to be checked before use.")
    sv_tested = gauge("Servers Tested", help="Being reset or checked.")
    sv_login = gauge("Servers in Login", help="Logging in to PostgreSQL.")

    # PostgreSQL
    active_backends = gauge("Backends Active", help="Client backends with a query.")
    idle_backends = gauge("Backends Idle", help="Waiting for their clients.")
    idle_in_transaction_backends = gauge(
        "Backends Idle in Transaction",
        help="Waiting for their clients, with a transaction open.",
    )
    untracked_backends = gauge(
        "Backends Not Tracked",
        help="track_activities is off for them: their states and ages are unknown.",
    )
    hidden_backends = gauge(
        "Backends Hidden",
        help="Of other roles: the states, ages and locks of these may not be seen. GRANT pg_monitor shows them.",
    )
    blocked_backends = gauge("Backends Blocked", help="Waiting for a lock. Unknown while backends are hidden.")
    blocked_age = gauge(
        "Longest Blocked (s)",
        aggregator="max",
        help="For how long a backend has waited for a lock. Before PostgreSQL 14: since its query began.",
    )
    xact_age = gauge("Oldest Transaction (s)", aggregator="max", help="Unknown while backends are hidden.")
    idle_in_transaction_age = gauge(
        "Longest Idle in Transaction (s)",
        aggregator="max",
        help="Unknown while backends are hidden.",
    )
    notification_queue_usage = gauge(
        "Notification Queue (%)",
        aggregator="max",
        help="How full the queue of NOTIFY is.",
    )
    sessions = NullableInteger("Sessions Opened", readonly=True, help="Since PostgreSQL 14.")
    sessions_abandoned = NullableInteger(readonly=True, help="The client was lost. Since PostgreSQL 14.")
    sessions_fatal = NullableInteger(readonly=True, help="Ended by an error. Since PostgreSQL 14.")
    sessions_killed = NullableInteger(readonly=True, help="Ended by an administrator. Since PostgreSQL 14.")

    _sampled_at_idx = models.Index("(sampled_at)")
    # Otherwise the thinning would pass all the hours to find the oldest minute.
    _minute_idx = models.Index("(sampled_at) WHERE period = 'minute'")
    # A chart of some servers passes by the samples of their pools.
    _whole_idx = models.Index("(endpoint_id, sampled_at) WHERE database IS NULL")

    @api.depends("reason_facts", "endpoint_id")
    @api.depends_context("lang")
    def _compute_reason(self):
        for sample in self:
            sample.reason = sample.endpoint_id._reason_text(sample.reason_facts)

    @api.model
    def _notices(self):
        """Of when the newest sample is, and what was wrong with the last one of each endpoint."""
        endpoints = self.env["connection.endpoint"].search([("active", "=", True)])
        notices = [
            {"type": "warning", "text": f"{endpoint.name}: {endpoint.last_error}", "remedy": ""}
            for endpoint in endpoints
            if endpoint.last_error
        ]
        newest = max(endpoints.filtered("sampled_at").mapped("sampled_at"), default=None)
        if newest:
            text = self.env._("The last sample is of %s.", format_datetime(self.env, newest))
            notices.insert(0, {"type": "info", "text": text, "remedy": ""})
        return notices
