{
    "name": "PgBouncer Monitor",
    "summary": "See PostgreSQL's sessions and PgBouncer's pools live, inside Odoo",
    "version": "19.0.1.0.0",
    "category": "Administration",
    "author": "pgbouncer_monitor contributors",
    "license": "LGPL-3",
    "depends": ["mail"],
    "data": [
        "security/pgbouncer_monitor_groups.xml",
        "security/ir.model.access.csv",
        "views/pg_stat_activity_views.xml",
        "views/pgbouncer_pool_views.xml",
        "views/connection_endpoint_views.xml",
        "views/pgbouncer_monitor_menus.xml",
    ],
    "assets": {
        "web.assets_backend": ["pgbouncer_monitor/static/src/live_list/**/*"],
        "web.assets_backend_lazy": ["pgbouncer_monitor/static/src/live_charts/**/*"],
        "web.assets_tests": ["pgbouncer_monitor/static/tests/tours/**/*"],
    },
}
