"""What is asked of PgBouncer's admin console."""

# How long the servers of one list, or of one run of the sampler, may take together, in seconds.
CONSOLE_TIMEOUT = 3.0
# What a sample of a PgBouncer is made of.
SAMPLE_COMMANDS = [
    f"SHOW {what}" for what in ("POOLS", "STATS", "DATABASES", "USERS", "LISTS", "STATE", "CONFIG", "SERVERS")
]
