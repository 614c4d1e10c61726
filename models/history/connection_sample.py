"""The samples of endpoints, stored. Nothing here queries a server."""

import logging

from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import SQL, format_datetime

from ...fields import NullableInteger, NullableReal
from ...tools import LEVELS, labelled
from ..alerts.connection_rule import RULE_LABELS

_logger = logging.getLogger(__name__)

TWICE = "Counted once for the instance and once per pool: do not add both."

# Fields to group by, and their seconds: Odoo itself groups times by the hour at least.
BUCKETS = {"minute": 60, "ten_minutes": 600, "hour": 3600}
BUCKET_FORMAT = "%Y-%m-%d %H:%M"


def _mean(column, weight) -> SQL:
    """Return the mean of a column, NULL if it is unknown in all samples.

    :param SQL weight: the column that says how much a sample counts: the sample of an hour as often as it was taken
    """
    return SQL("sum(%s::float8 * %s) / sum(%s) FILTER (WHERE %s IS NOT NULL)", column, weight, weight, column)


def _duration(mean, time, count) -> SQL:
    """Return the average duration in milliseconds, NULL if it is unknown or nothing has ended: the sum of the times by
    the sum of the counts. What began in one sample and ended in another counts, too.

    A sample whose time is unknown does not count. An hour may have such samples, and counts those of known time only:
    its time by its own mean.

    :param SQL mean: and ``time``, ``count``: the columns
    """
    return SQL(
        "NULLIF(1000 * sum(%(time)s::float8), 0) / NULLIF("
        "sum(COALESCE(1000 * %(time)s::float8 / %(mean)s, %(count)s)) FILTER (WHERE %(time)s IS NOT NULL), 0)",
        mean=mean,
        time=time,
        count=count,
    )


def gauge(label, aggregator="avg", decimals=1, **attributes):
    return NullableReal(label, readonly=True, aggregator=aggregator, digits=(16, decimals), **attributes)


def bucket_field(name, label):
    return fields.Char(
        label,
        compute="_compute_buckets",
        search=lambda self, operator, value: self._search_bucket(name, operator, value),
        help="Start of the period that contains the sample. In UTC; groups use the time zone of the user.",
    )


class ConnectionSample(models.Model):
    """One sample: of a PostgreSQL or PgBouncer instance (no database), of a pool (database and user), or of a database
    that has a limit or several pools (no user). After some days, the samples of an hour are merged into one.

    NULL means unknown, or not applicable to this kind of endpoint. Counters hold by how much they grew in the
    ``interval`` before the sample.
    """

    _name = "connection.sample"
    _inherit = "connection.notices"
    _description = "Connection Sample"
    _order = "sampled_at desc, id desc"
    _rec_name = "sampled_at"
    _log_access = False

    endpoint_id = fields.Many2one("connection.endpoint", required=True, readonly=True, ondelete="cascade")
    database = fields.Char(readonly=True, help="Name of the database in PgBouncer. Empty for the instance.")
    user = fields.Char(readonly=True, help="User of the pool. Empty for an instance or a database.")
    sampled_at = fields.Datetime(
        "Time",
        required=True,
        readonly=True,
        help="When the sample was taken. Start of the hour for merged samples.",
    )
    minute = bucket_field("minute", "Minute")
    ten_minutes = bucket_field("ten_minutes", "Ten Minutes")
    hour = bucket_field("hour", "Hour")
    period = fields.Selection(
        [("minute", "One sample"), ("hour", "Hour")],
        required=True,
        readonly=True,
        help="One sample, or the merged samples of an hour, whose figures are means unless stated otherwise.",
    )
    sample_count = fields.Integer("Samples", readonly=True, help="Number of samples that were merged.")
    interval = gauge(
        "Interval (s)",
        aggregator="sum",
        help="Seconds since the previous sample, which the counters cover. Empty after a restart of the server.",
    )
    level = fields.Selection(
        LEVELS,
        required=True,
        readonly=True,
        help="Level by the thresholds at that time. Worst level of the hour for merged samples.",
    )
    rule = fields.Selection(
        [*RULE_LABELS, ("pressure", "Pressure (%)")],
        readonly=True,
        help="Rule or figure that determined the level.",
    )
    reason_facts = fields.Json(readonly=True)  # put into words when it is shown
    reason = fields.Char(compute="_compute_reason", help="Why the level is unknown, or which threshold was reached.")
    is_paused = fields.Boolean(
        "Paused", readonly=True, help="The database or the instance was paused: no client got a server."
    )

    capacity = gauge(
        "Capacity",
        aggregator="max",
        decimals=0,
        help="PostgreSQL: max_connections minus the reserved connections. PgBouncer: max_client_conn. Pool: pool_size. "
        "Database: max_db_connections. Empty if unknown or unlimited.",
    )
    used = gauge(
        "Used",
        help="PostgreSQL: client backends. PgBouncer: clients. Pool: sv_active. Database: server connections.",
    )
    used_max = gauge("Used, Maximum", aggregator="max", help="Highest number of used connections.")
    waiting = gauge("Waiting", help="cl_waiting: clients that waited for a server when the sample was taken.")
    waiting_max = gauge("Waiting, Maximum", aggregator="max", help="Highest number of waiting clients.")
    maxwait = gauge(
        "Longest Wait (s)",
        aggregator="max",
        decimals=3,
        help="Wait of the first client in the queue: maxwait and maxwait_us.",
    )
    pressure = gauge(
        "Pressure (%)",
        help="Used connections, in a pool also waiting clients, in percent of the capacity. Above 100, clients wait.",
    )
    pressure_max = gauge("Pressure, Maximum (%)", aggregator="max", help="Highest pressure.")
    pool_pressure = gauge(
        "Fullest Pool (%)", aggregator="max", help="Highest pressure of a pool of this PgBouncer instance."
    )

    # Counters of PgBouncer
    waiting_mean = gauge(
        "Waiting between Samples",
        decimals=2,
        help="Average number of waiting clients since the previous sample, from the growth of total_wait_time. It "
        "reveals queues that appear and disappear between two samples. PgBouncer counts a wait when it ends.",
    )
    waiting_mean_max = gauge("Waiting between Samples, Maximum", aggregator="max", decimals=2, help="Highest average.")
    wait_time = gauge("Time Waited (s)", aggregator="sum", help=f"Sum over all clients: total_wait_time. {TWICE}")
    xact_count = NullableInteger("Transactions", readonly=True, help=f"total_xact_count. {TWICE}")
    query_count = NullableInteger("Queries", readonly=True, help=f"total_query_count. {TWICE}")
    xact_time = gauge(
        "Time in Transactions (s)",
        aggregator="sum",
        help=f"Sum over all clients, including their waits for a server: total_xact_time. Counted at the end. {TWICE}",
    )
    query_time = gauge(
        "Time in Queries (s)",
        aggregator="sum",
        help=f"Sum over all clients, including their waits for a server: total_query_time. Counted at the end. {TWICE}",
    )
    xact_mean = gauge(
        "Average Transaction (ms)",
        decimals=2,
        help="Average duration of a transaction, including its wait for a server: total_xact_time by total_xact_count. "
        "Empty if none ended.",
    )
    query_mean = gauge(
        "Average Query (ms)",
        decimals=2,
        help="Average duration of a query, including its wait for a server: total_query_time by total_query_count. "
        "Empty if none ended.",
    )
    server_assignment_count = NullableInteger(
        "Server Assignments",
        readonly=True,
        help=f"Number of times a server was assigned to a client: total_server_assignment_count. Since 1.23. {TWICE}",
    )
    received = NullableInteger(
        "Received (bytes)", readonly=True, help=f"Received from clients: total_received. {TWICE}"
    )
    sent = NullableInteger("Sent (bytes)", readonly=True, help=f"Sent to clients: total_sent. {TWICE}")

    # Other columns of SHOW POOLS
    cl_active = gauge("Clients Active", help="Clients that are linked to a server, or idle.")
    cl_active_cancel_req = gauge("Cancels Active", help="Cancel requests forwarded to a server. Since 1.18.")
    cl_waiting_cancel_req = gauge("Cancels Waiting", help="Cancel requests that wait to be forwarded. Since 1.18.")
    sv_active_cancel = gauge("Servers Sending Cancels", help="Servers that forward a cancel request. Since 1.18.")
    sv_being_canceled = gauge(
        "Servers Waiting for Cancels", help="Servers that wait for cancel requests to finish. Since 1.18."
    )
    sv_idle = gauge("Servers Idle", help="Servers that are idle and can be used immediately.")
    sv_used = gauge("Servers Used", help="Servers that were idle for long and are checked before use.")
    sv_tested = gauge("Servers Tested", help="Servers that are being reset or checked.")
    sv_login = gauge("Servers in Login", help="Servers that are logging in to PostgreSQL.")

    # PostgreSQL
    active_backends = gauge("Backends Active", help="Client backends that execute a query.")
    idle_backends = gauge("Backends Idle", help="Client backends that wait for a command.")
    idle_in_transaction_backends = gauge(
        "Backends Idle in Transaction",
        help="Client backends that wait for a command inside a transaction.",
    )
    untracked_backends = gauge(
        "Backends Not Tracked",
        help="Client backends with track_activities off. Their states and ages are unknown.",
    )
    hidden_backends = gauge(
        "Backends Hidden",
        help="Client backends of other roles whose states, ages and locks are hidden. GRANT pg_monitor shows them.",
    )
    blocked_backends = gauge(
        "Backends Blocked", help="Client backends that wait for a lock. Unknown while backends are hidden."
    )
    blocked_age = gauge(
        "Longest Blocked (s)",
        aggregator="max",
        help="Longest wait for a lock. Before PostgreSQL 14: since the start of the query.",
    )
    xact_age = gauge(
        "Oldest Transaction (s)",
        aggregator="max",
        help="Age of the oldest transaction. Unknown while backends are hidden.",
    )
    idle_in_transaction_age = gauge(
        "Longest Idle in Transaction (s)",
        aggregator="max",
        help="Longest time that a backend is idle in a transaction. Unknown while backends are hidden.",
    )
    notification_queue_usage = gauge(
        "Notification Queue (%)",
        aggregator="max",
        help="Used share of the notification queue: pg_notification_queue_usage().",
    )
    sessions = NullableInteger("Sessions Opened", readonly=True, help="New sessions. Since PostgreSQL 14.")
    sessions_abandoned = NullableInteger(
        readonly=True, help="Sessions whose client connection was lost. Since PostgreSQL 14."
    )
    sessions_fatal = NullableInteger(readonly=True, help="Sessions that ended with a fatal error. Since PostgreSQL 14.")
    refused = NullableInteger(
        "Requests Refused",
        readonly=True,
        help="Requests that Odoo could not serve because it got no connection, or lost one. Empty if they could not be "
        "counted.",
    )
    sessions_killed = NullableInteger(readonly=True, help="Sessions that an operator terminated. Since PostgreSQL 14.")

    _sampled_at_idx = models.Index("(sampled_at)")
    # Without it, the merge would read all hours to find the oldest minute.
    _minute_idx = models.Index("(sampled_at) WHERE period = 'minute'")
    # For charts of instances, which need no samples of pools.
    _whole_idx = models.Index("(endpoint_id, sampled_at) WHERE database IS NULL")

    @api.depends("reason_facts", "endpoint_id")
    @api.depends_context("lang")
    def _compute_reason(self):
        for sample in self:
            sample.reason = sample.endpoint_id._reason_text(sample.reason_facts)

    @api.model
    def _empty_help(self):
        if self.search_count([], limit=1):
            return ""
        shared = self.env["connection.settings"]
        if not shared._cron("sample").active:
            text = self.env._("“Log Connection Pressure” is disabled in the Settings.")
            return self._help_html(self.env._("Nothing is sampled"), text)
        text = self.env._("A scheduled action samples every endpoint, every minute.")
        if (minutes := shared._interval("sample") // 60) > 1:
            text = self.env._("A scheduled action samples every endpoint, every %s minutes.", minutes)
        return self._help_html(self.env._("No samples yet"), text)

    @api.model
    def _notices(self, domain=()):
        """Return the time of the newest sample, and the reason of each endpoint whose last sample is not OK."""
        endpoints = self.env["connection.endpoint"].search(self._endpoints_of(domain) & Domain("active", "=", True))
        notices = [
            {"type": "warning", "text": labelled(self.env, endpoint.name, endpoint.last_error), "remedy": ""}
            for endpoint in endpoints
            if endpoint.last_error
        ]
        newest = max(endpoints.filtered("sampled_at").mapped("sampled_at"), default=None)
        if newest:
            text = self.env._("Last sample: %s", format_datetime(self.env, newest))
            notices.insert(0, {"type": "info", "text": text, "remedy": ""})
        return notices
