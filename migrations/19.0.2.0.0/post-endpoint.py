"""The reason of the last sample was stored in words, and is stored as facts."""

from odoo.tools.sql import column_exists


def migrate(cr, version):
    """Keep each sentence as it is: the next sample replaces it by facts."""
    if column_exists(cr, "connection_reading", "last_error"):
        cr.execute(
            """
            UPDATE connection_reading
               SET reason = jsonb_build_object('text', last_error)
             WHERE last_error IS NOT NULL AND reason IS NULL
            """
        )
        cr.execute("ALTER TABLE connection_reading DROP COLUMN last_error")
