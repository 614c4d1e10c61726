"""The series for Prometheus: name, type, labels and source of each, as data.

Names and labels are those of prometheus-community's pgbouncer_exporter and postgres_exporter where the meaning is the
same, with the label ``endpoint`` in addition. ``odoo_connection_*`` are the addon's own.
"""

from typing import NamedTuple

# Column of SHOW POOLS -> pgbouncer_pools_*.
POOLS = {
    "cl_active": "client_active_connections",
    "cl_active_cancel_req": "client_active_cancel_connections",
    "cl_waiting": "client_waiting_connections",
    "cl_waiting_cancel_req": "client_waiting_cancel_connections",
    "sv_active": "server_active_connections",
    "sv_active_cancel": "server_active_cancel_connections",
    "sv_being_canceled": "server_being_canceled_connections",
    "sv_idle": "server_idle_connections",
    "sv_used": "server_used_connections",
    "sv_tested": "server_testing_connections",
    "sv_login": "server_login_connections",
}
# Column of SHOW DATABASES -> pgbouncer_databases_*. PgBouncer 1.24 renamed the column of the reserve.
DATABASES = {
    "pool_size": "pool_size",
    "reserve_pool": "reserve_pool",
    "reserve_pool_size": "reserve_pool",
    "max_connections": "max_connections",
    "current_connections": "current_connections",
    "paused": "paused",
    "disabled": "disabled",
}
# Column of SHOW STATS -> pgbouncer_stats_totals_* and pgbouncer_stats_*: version 0.11 of the exporter renamed them, and
# boards use both. Those that end with _time are in microseconds.
STATS = {
    "total_query_count": "queries_pooled_total",
    "total_query_time": "queries_duration_seconds_total",
    "total_received": "received_bytes_total",
    "total_sent": "sent_bytes_total",
    "total_wait_time": "client_wait_seconds_total",
    "total_xact_count": "sql_transactions_pooled_total",
    "total_xact_time": "server_in_transaction_seconds_total",
    "total_client_parse_count": "client_parses_total",
    "total_server_parse_count": "server_parses_total",
    "total_bind_count": "binds_total",
    "total_server_assignment_count": "server_assignments_total",
}
STATS_PREFIXES = ("pgbouncer_stats_totals_", "pgbouncer_stats_")
# Row of SHOW LISTS -> pgbouncer_*.
LISTS = {
    "databases": "databases",
    "users": "users",
    "pools": "pools",
    "free_clients": "free_clients",
    "used_clients": "used_clients",
    "login_clients": "login_clients",
    "free_servers": "free_servers",
    "used_servers": "used_servers",
    "dns_names": "cached_dns_names",
    "dns_zones": "cached_dns_zones",
    "dns_queries": "in_flight_dns_queries",
}
# Row of SHOW CONFIG -> pgbouncer_config_*.
CONFIG = {"max_client_conn": "max_client_connections", "max_user_connections": "max_user_connections"}
# Settings of PostgreSQL -> pg_settings_*.
SETTINGS = ("max_connections", "superuser_reserved_connections", "reserved_connections")
# The states that PostgreSQL knows.
STATES = (
    *("active", "idle", "idle in transaction", "idle in transaction (aborted)"),
    *("fastpath function call", "disabled"),
)

INSTANCE = ("endpoint", "kind")
POOL = ("endpoint", "database", "user")
DATABASE = ("endpoint", "database")
DATABASE_LINE = ("endpoint", "name", "host", "port", "database", "force_user", "pool_mode")
STATE = ("endpoint", "datname", "state")


class Family(NamedTuple):
    """All series of one name. A counter's name ends with _total; others are gauges."""

    labels: tuple
    help: str


def _pgbouncer():
    families = {
        "pgbouncer_up": Family(("endpoint",), "1 if PgBouncer answered the last sample, 0 if not"),
        "pgbouncer_version_info": Family(("endpoint", "version"), "Version of PgBouncer"),
    }
    for column, name in POOLS.items():
        families[f"pgbouncer_pools_{name}"] = Family(POOL, f"SHOW POOLS: {column}")
    families["pgbouncer_pools_client_maxwait_seconds"] = Family(POOL, "SHOW POOLS: maxwait and maxwait_us")
    for column, name in DATABASES.items():
        families.setdefault(f"pgbouncer_databases_{name}", Family(DATABASE_LINE, f"SHOW DATABASES: {column}"))
    for prefix in STATS_PREFIXES:
        for column, name in STATS.items():
            families[prefix + name] = Family(DATABASE, f"SHOW STATS: {column}")
    for column, name in LISTS.items():
        families[f"pgbouncer_{name}"] = Family(("endpoint",), f"SHOW LISTS: {column}")
    for column, name in CONFIG.items():
        families[f"pgbouncer_config_{name}"] = Family(("endpoint",), f"SHOW CONFIG: {column}")
    return families


def _postgresql():
    return {
        "pg_up": Family(("endpoint",), "1 if PostgreSQL answered the last sample, 0 if not"),
        **{f"pg_settings_{name}": Family(("endpoint",), f"Setting {name}") for name in SETTINGS},
        "pg_stat_activity_count": Family(STATE, "Sessions of a database in a state"),
        "pg_stat_activity_max_tx_duration": Family(STATE, "Age of their oldest transaction in seconds"),
    }


# The series whose value depends on the moment of the scrape: they are made then.
OF_THE_MOMENT = {
    "odoo_connection_listen_ok": Family(
        ("listener",), "1 if the LISTEN check has proven that notifications arrive, 0 if they do not"
    ),
    "odoo_connection_open_alerts": Family(("endpoint", "level"), "Open alerts"),
    "odoo_connection_sample_age_seconds": Family(INSTANCE, "Age of the last sample"),
    "odoo_connection_sampler_interval_seconds": Family((), "Interval of the sampler"),
    "odoo_connection_refused_total": Family(
        ("host", "kind"), "Requests that Odoo on a host could not serve, since this database first read its counts"
    ),
}
OWN = {
    "odoo_connection_level": Family(INSTANCE, "Level of the last sample: 0 OK, 1 warning, 2 critical"),
    "odoo_connection_pressure_ratio": Family(INSTANCE, "Used connections as a share of the capacity"),
    "odoo_connection_used": Family(INSTANCE, "Used connections: client backends, or clients of PgBouncer"),
    "odoo_connection_capacity": Family(INSTANCE, "Connections for ordinary roles, or max_client_conn"),
    "odoo_connection_rule_value": Family(("endpoint", "rule"), "Value that a rule judges, in the unit of the rule"),
    "odoo_connection_notification_queue_ratio": Family(("endpoint",), "Used share of the notification queue"),
    "odoo_connection_pool_level": Family(POOL, "Level of a pool: 0 OK, 1 warning, 2 critical"),
    "odoo_connection_pool_pressure_ratio": Family(
        POOL, "Active servers and waiting clients as a share of the pool size"
    ),
    "odoo_connection_pool_waiting_mean": Family(POOL, "Mean number of clients that waited since the previous sample"),
    "odoo_connection_pool_mode_info": Family((*POOL, "pool_mode"), "Pool mode in force"),
    "odoo_connection_database_waiting_mean": Family(
        DATABASE, "The same of all pools of a database, where PgBouncer counts them together"
    ),
}
# In the order in which they are served.
FAMILIES = _pgbouncer() | _postgresql() | OWN | OF_THE_MOMENT
