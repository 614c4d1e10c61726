"""The part of advice.py that runs inside `odoo shell`, where ``env`` is known."""

from contextlib import closing

import psycopg2
from measure import bare_queries, env, finish, measure, watch

from odoo.addons.pgbouncer_monitor.advice import judge
from odoo.addons.pgbouncer_monitor.models.planning.connection_plan_fill_servers import COMMANDS
from odoo.addons.pgbouncer_monitor.odoo_internals import listener_info

Advice = env["connection.advice"]
CATALOGS = """
pg_stat_activity pg_settings pg_roles pg_database pg_db_role_setting pg_prepared_xacts pg_stat_database pg_stat_archiver
pg_stat_bgwriter
""".split()


def bare():
    bare_queries(COMMANDS)
    with closing(psycopg2.connect(**listener_info())) as listener, listener.cursor() as cursor:
        cursor.execute("SELECT 1")
    for catalog in CATALOGS:
        env.cr.execute(f"SELECT * FROM {catalog}")
        env.cr.fetchall()
    env.cr.execute("SET LOCAL jit = off")
    env.cr.execute(history)
    env.cr.fetchall()


watch()
Advice._read()  # the later ones find the same
env.cr.commit()
snapshot = Advice._snapshot()
reading = env["connection.plan"]._read_servers()
history = Advice._pools_query(Advice._nth(reading))
finish(
    {
        "bare queries": measure(bare),
        "snapshot": measure(Advice._snapshot),
        "rules": measure(lambda: judge.judge(snapshot)),
        "advice": measure(Advice._read),
    }
)
