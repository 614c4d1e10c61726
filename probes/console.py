"""What is queried on PgBouncer's admin console, and what is kept of it."""

from .settings import SETTINGS

# How long the servers of one list, or of one run of the sampler, may take together, in seconds.
CONSOLE_TIMEOUT = 3.0
# What a sample of a PgBouncer is made of.
SAMPLE_COMMANDS = [
    f"SHOW {what}" for what in ("POOLS", "STATS", "DATABASES", "USERS", "LISTS", "STATE", "CONFIG", "SERVERS")
]


def kept_rows(command, rows):
    """Return the rows of a command without those that may hold a secret."""
    if command == "SHOW CONFIG" and rows and "key" in rows[0]:
        return [row for row in rows if row["key"] in SETTINGS]
    return rows
