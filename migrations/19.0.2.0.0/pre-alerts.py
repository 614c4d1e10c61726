"""Alerts store facts from now on. The texts of existing alerts are kept as they are."""

from odoo.tools import SQL
from odoo.tools.sql import column_exists, rename_column

TABLE = "connection_alert"
# Column of texts -> column of facts, and the key of the text in it.
FACTS = {
    "situation": ("situation_facts", "text"),
    "evidence": ("evidence_facts", "html"),
    "queries": ("queries_facts", "html"),
}
RENAMED = {"told_level": "reported_level", "told_at": "reported_at"}


def migrate(cr, version):
    for text, (facts, key) in FACTS.items():
        if column_exists(cr, TABLE, text):
            column = SQL.identifier(text)
            query = SQL(
                "ALTER TABLE %s ALTER COLUMN %s TYPE jsonb "
                "USING CASE WHEN %s IS NOT NULL THEN jsonb_build_object(%s, %s) END",
                SQL.identifier(TABLE),
                column,
                column,
                key,
                column,
            )
            cr.execute(query)
            rename_column(cr, TABLE, text, facts)
    for old, new in RENAMED.items():
        if column_exists(cr, TABLE, old):
            rename_column(cr, TABLE, old, new)
    cr.execute("DROP INDEX IF EXISTS connection_alert_told_level_idx")
