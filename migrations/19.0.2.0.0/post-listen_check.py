"""LISTEN checks store facts. Those of before keep their sentences, which are shown as they were."""


def migrate(cr, version):
    cr.execute(
        """UPDATE connection_check
              SET conclusion = jsonb_build_object('text', COALESCE(summary, '')),
                  step_facts = steps,
                  remedy_facts = ways
            WHERE conclusion IS NULL"""
    )
    cr.execute("ALTER TABLE connection_check DROP COLUMN summary, DROP COLUMN steps, DROP COLUMN ways")
    # Unfinished runs hold sentences, too, and their browsers have to load new pages.
    cr.execute("DELETE FROM connection_check_run")
    # Servers are known by their ports, too.
    cr.execute("DELETE FROM ir_config_parameter WHERE key LIKE 'pgbouncer_monitor.started.%'")
