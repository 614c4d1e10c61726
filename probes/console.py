"""Commands for PgBouncer's admin console, their deadline, and the rows that are kept."""

from .settings import SETTINGS

# Deadline for all servers of one list, or of one run of the sampler, in seconds.
CONSOLE_TIMEOUT = 3.0
# The commands of a sample of a PgBouncer.
SAMPLE_COMMANDS = [
    f"SHOW {what}" for what in ("POOLS", "STATS", "DATABASES", "USERS", "LISTS", "STATE", "CONFIG", "SERVERS")
]


def kept_rows(command, rows):
    """Return the rows of a command, without those that may contain a secret."""
    if command == "SHOW CONFIG" and rows and "key" in rows[0]:
        return [row for row in rows if row["key"] in SETTINGS]
    return rows
