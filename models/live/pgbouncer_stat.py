"""SHOW STATS."""

from odoo import api, fields, models

from ...fields import NullableFloat, NullableInteger

# Columns of SHOW STATS in microseconds, and the fields that show them in seconds.
SECONDS = {
    f"{prefix}_{what}_time": f"{prefix}_{what}_seconds"
    for prefix in ("total", "avg")
    for what in ("xact", "query", "wait")
}


class PgbouncerStat(models.Model):
    """One row of SHOW STATS: the statistics of a database.

    Totals count from the start of PgBouncer; averages are of its last stats_period, those of counts and bytes per
    second.
    """

    _name = "pgbouncer.stat"
    _inherit = "pgbouncer.show"
    _description = "PgBouncer Statistics"
    _auto = False
    _rec_name = "database"
    _order = "endpoint_id, database"
    _show_commands = ("SHOW STATS",)

    database = fields.Char(readonly=True, help="The database's name in PgBouncer, which may be an alias.")
    total_server_assignment_count = NullableInteger(
        "Server Assignments", readonly=True, help="Number of times a server was assigned to a client. Since 1.23."
    )
    total_xact_count = NullableInteger("Transactions", readonly=True, help="Transactions of its clients.")
    total_query_count = NullableInteger("Queries", readonly=True, help="Queries of its clients.")
    total_received = NullableInteger("Received (bytes)", readonly=True, help="From clients.")
    total_sent = NullableInteger("Sent (bytes)", readonly=True, help="To clients.")
    total_xact_time = NullableInteger(
        "Time in Transactions (µs)",
        readonly=True,
        help="Total time of transactions, with their waits for a server. Counted at the end.",
    )
    total_query_time = NullableInteger(
        "Time in Queries (µs)",
        readonly=True,
        help="Total time of queries, with their waits for a server. Counted at the end.",
    )
    total_wait_time = NullableInteger(
        "Time Waited (µs)", readonly=True, help="Total time that clients waited for a server."
    )
    total_client_parse_count = NullableInteger(
        "Parses by Clients", readonly=True, help="Prepared statements that clients created. Since 1.24."
    )
    total_server_parse_count = NullableInteger(
        "Parses on Servers", readonly=True, help="Prepared statements that PgBouncer created on servers. Since 1.24."
    )
    total_bind_count = NullableInteger("Binds", readonly=True, help="Prepared statements that were bound. Since 1.24.")
    total_client_login_count = NullableInteger("Client Logins", readonly=True, help="Since 1.26.")
    avg_server_assignment_count = NullableInteger("Server Assignments/s", readonly=True, help="Since 1.23.")
    avg_xact_count = NullableInteger("Transactions/s", readonly=True, help="Transactions per second.")
    avg_query_count = NullableInteger("Queries/s", readonly=True, help="Queries per second.")
    avg_recv = NullableInteger("Received (bytes/s)", readonly=True, help="From clients, per second.")
    avg_sent = NullableInteger("Sent (bytes/s)", readonly=True, help="To clients, per second.")
    avg_xact_time = NullableInteger(
        "Mean Transaction (µs)",
        readonly=True,
        aggregator="max",
        help="Average duration of a transaction, with its wait.",
    )
    avg_query_time = NullableInteger(
        "Mean Query (µs)", readonly=True, aggregator="max", help="Average duration of a query, with its wait."
    )
    avg_wait_time = NullableInteger(
        "Waited (µs/s)", readonly=True, help="Total time that clients waited for a server in each second."
    )
    avg_client_parse_count = NullableInteger("Parses by Clients/s", readonly=True, help="Since 1.24.")
    avg_server_parse_count = NullableInteger("Parses on Servers/s", readonly=True, help="Since 1.24.")
    avg_bind_count = NullableInteger("Binds/s", readonly=True, help="Since 1.24.")
    avg_client_login_count = NullableInteger("Client Logins/s", readonly=True, help="Since 1.26.")
    total_xact_seconds = NullableFloat(
        "Time in Transactions (s)", readonly=True, digits=(16, 1), help="total_xact_time: total of all clients."
    )
    total_query_seconds = NullableFloat(
        "Time in Queries (s)", readonly=True, digits=(16, 1), help="total_query_time: total of all clients."
    )
    total_wait_seconds = NullableFloat(
        "Time Waited (s)",
        readonly=True,
        digits=(16, 1),
        help="total_wait_time: total time that clients waited for a server. A wait is counted when the client gets its "
        "server.",
    )
    avg_xact_seconds = NullableFloat(
        "Mean Transaction (s)",
        readonly=True,
        digits=(16, 4),
        aggregator="max",
        help="Average duration of a transaction, with its wait for a server: avg_xact_time.",
    )
    avg_query_seconds = NullableFloat(
        "Mean Query (s)",
        readonly=True,
        digits=(16, 4),
        aggregator="max",
        help="Average duration of a query, with its wait for a server: avg_query_time.",
    )
    avg_wait_seconds = NullableFloat(
        "Waited (s/s)",
        readonly=True,
        digits=(16, 4),
        help="avg_wait_time: total time that clients waited for a server in each second. A wait is counted when it has "
        "ended: it is 0 while no client gets a server.",
    )

    @api.model
    def _make_rows(self, endpoint_id, rows):
        made = super()._make_rows(endpoint_id, rows)
        for row in made:
            for microseconds, seconds in SECONDS.items():
                if row.get(microseconds) is not None:
                    row[seconds] = row[microseconds] / 1e6
        return made
