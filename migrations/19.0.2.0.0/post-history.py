"""Reasons are facts: keep the sentences of older samples as they are."""


def migrate(cr, version):
    cr.execute(
        "SELECT FROM information_schema.columns WHERE (table_name, column_name) = ('connection_sample', 'reason')"
    )
    if cr.rowcount:
        cr.execute(
            "UPDATE connection_sample SET reason_facts = jsonb_build_object('text', reason) WHERE reason IS NOT NULL"
        )
        cr.execute("ALTER TABLE connection_sample DROP COLUMN reason")
