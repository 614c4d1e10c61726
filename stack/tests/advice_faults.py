"""What can be wrong with PostgreSQL, Odoo, the PgBouncer that Odoo connects through, and the monitoring, several faults
at the same time: what is found, and how it is fixed where the remedy is no lines."""

from collections.abc import Callable
from dataclasses import dataclass, field

from advice_breaks import (
    NO_ALT,
    add_clients,
    add_other_database,
    add_twin,
    age_samples,
    break_pools,
    break_roles,
    break_server,
    connect_through_route,
    disable,
    do,
    fill_memory,
    fill_postgresql,
    install_queue_job,
    limit_statements,
    list_databases,
    password,
    postgresql_port,
    remove_other_database,
    remove_twin,
    restart_odoo,
    sample_again,
    set_route,
    set_sampler,
    set_variables,
    upgrade_route,
    write_endpoint,
)
from advised import MAX_CONNECTIONS, ROUTE
from servers import LOCALHOST, free_port


@dataclass(frozen=True, eq=False)
class Fault:
    """Faults of an installation.

    :param break_it: a function of the Installation
    :param dict found: code -> level of all findings that are not about a PgBouncer
    :param dict route: the same, of those about the PgBouncer that Odoo connects through
    :param bool is_unwatched: whether that PgBouncer is no active endpoint
    :param fix: a function of the Installation that does what remedies without lines say
    """

    name: str
    break_it: Callable
    found: dict = field(default_factory=dict)
    route: dict = field(default_factory=dict)
    fix: Callable | None = None
    is_unwatched: bool = False
    is_long: bool = False


FAULTS = [
    Fault(
        "postgres in transaction mode",
        set_route({"postgres": "{server}"}),
        route={"pool_mode_postgres": "critical"},
    ),
    Fault("disabled database", disable, route={"disabled_databases": "critical"}),
    Fault(
        "roles",
        break_roles,
        {
            "monitor": "warning",
            "connection_limit_role": "warning",
            "connection_limit_database": "warning",
            "track_activities": "warning",
            "short_timeout": "warning",
            "idle_session_timeout": "warning",
        },
    ),
    Fault(
        "PostgreSQL",
        break_server,
        {
            "superuser": "warning",
            "no_reserved_connections": "warning",
            "track_activities": "warning",
            "prepared_transactions": "warning",
            "short_timeout": "warning",
            "idle_session_timeout": "warning",
        },
        is_long=True,
    ),
    Fault(
        "pools",
        break_pools,
        {"pools_exceed": "warning"},
        {"pool_unused": "hint"},
    ),
    Fault("few connections", do(add_clients, fill_postgresql(25)), {"pools_exceed": "critical"}, is_long=True),
    Fault(
        "much memory",
        fill_memory,
        {"memory": "hint"},
        fix=fill_postgresql(MAX_CONNECTIONS),
        is_long=True,
    ),
    Fault(
        "odoo.conf",
        restart_odoo(
            workers=0,
            db_maxconn=3,
            imdispatcher_db_host=LOCALHOST,
            imdispatcher_db_port=postgresql_port,
        ),
        {"threaded": "hint", "pool_of_odoo": "hint", "bus_alt_connection": "warning"},
        is_long=True,
    ),
    Fault(
        "replica",
        restart_odoo(db_replica_host=LOCALHOST, db_replica_port=lambda _site: free_port()),
        {"replica": "warning"},
        fix=restart_odoo(db_replica_host=""),
        is_long=True,
    ),
    Fault("past PgBouncer", restart_odoo(db_port=postgresql_port), route={"past_pooler": "warning"}, is_long=True),
    Fault(
        "monitoring",
        do(set_sampler(False), add_twin, write_endpoint("postgresql", host=False)),
        {"sampler_off": "critical", "own_address": "warning"},
        {"twins": "warning"},
        fix=do(set_sampler(True), remove_twin, write_endpoint("postgresql", host=LOCALHOST, password=password)),
    ),
    Fault("late sampler", age_samples, {"sampler_late": "warning"}, fix=sample_again, is_long=True),
    Fault(
        "another database",
        do(add_other_database, write_endpoint("postgresql", port=lambda _site: free_port())),
        {"own_address_error": "warning", "watched_twice": "hint"},
        fix=do(
            remove_other_database,
            write_endpoint("postgresql", port=postgresql_port, password=password),
        ),
    ),
    Fault(
        "archived endpoints",
        do(write_endpoint("postgresql", active=False), write_endpoint(ROUTE, active=False)),
        {"unwatched_postgresql": "warning", "unwatched_pooler": "warning"},
        is_unwatched=True,
        fix=do(write_endpoint("postgresql", active=True), write_endpoint(ROUTE, active=True)),
    ),
    Fault(
        "no database postgres",
        set_route({"postgres": None, "*": None, "{own}": "{server}"}),
        route={"postgres_missing": "critical"},
        is_long=True,
    ),
    Fault(
        "jobs without a limit",
        do(limit_statements, set_route(query_timeout=300), restart_odoo(limit_time_real_cron=0)),
        {"short_timeout_jobs": "hint"},
        {"cut_off_query_timeout_unlimited": "hint"},
        is_long=True,
    ),
    Fault(
        "no cron workers",
        do(restart_odoo(max_cron_threads=0), age_samples),
        {"sampler_late_cron": "warning"},
        fix=do(sample_again, restart_odoo(max_cron_threads=1)),
        is_long=True,
    ),
    Fault(
        "direct, threaded",
        do(
            write_endpoint(ROUTE, active=False),
            restart_odoo(db_port=postgresql_port, workers=0, db_maxconn=600, dbfilter="^advised$"),
            list_databases,
        ),
        {"threaded": "hint", "direct_demand_threaded": "warning", "list_of_databases": "warning"},
        is_unwatched=True,
        fix=do(write_endpoint(ROUTE, active=True), connect_through_route(workers=2, db_maxconn=64)),
        is_long=True,
    ),
    Fault(
        "direct, many cron workers",
        do(
            write_endpoint(ROUTE, active=False),
            restart_odoo(db_port=postgresql_port, workers=2, max_cron_threads=8),
            fill_postgresql(35),
        ),
        {"direct_demand": "critical"},
        is_unwatched=True,
        fix=do(
            fill_postgresql(MAX_CONNECTIONS),
            write_endpoint(ROUTE, active=True),
            connect_through_route(max_cron_threads=1),
        ),
        is_long=True,
    ),
    Fault(
        "variables of bus_alt_connection",
        do(
            set_variables(IMDISPATCHER_DB_HOST=LOCALHOST, IMDISPATCHER_DB_PORT=postgresql_port),
            restart_odoo(**NO_ALT, server_wide_modules="base,rpc,web"),
        ),
        {"bus_alt_connection_variables": "warning"},
        fix=set_variables(),
        is_long=True,
    ),
    Fault(
        "bus_alt_connection without an address",
        do(
            set_route({"postgres": "{server}"}),
            restart_odoo(**NO_ALT, server_wide_modules="base,rpc,web,bus_alt_connection"),
        ),
        route={"pool_mode_postgres": "critical", "bus_alt_connection_unset": "warning"},
        is_long=True,
    ),
    Fault(
        "transactions of jobs without a limit",
        do(
            upgrade_route,
            set_route(transaction_timeout=300),
            restart_odoo(limit_time_real_cron=0),
        ),
        route={"cut_off_transaction_timeout_unlimited": "hint"},
        is_long=True,
    ),
    Fault(
        "runner",
        do(install_queue_job, restart_odoo(server_wide_modules="base,rpc,web,queue_job")),
        route={"job_runner": "critical"},
        is_long=True,
    ),
]
