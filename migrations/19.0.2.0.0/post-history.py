"""Reasons are facts: keep the sentences of older samples as they are."""

from odoo.tools.sql import column_exists


def migrate(cr, version):
    if column_exists(cr, "connection_sample", "reason"):
        cr.execute(
            "UPDATE connection_sample SET reason_facts = jsonb_build_object('text', reason) WHERE reason IS NOT NULL"
        )
        cr.execute("ALTER TABLE connection_sample DROP COLUMN reason")
