"""The texts of all findings, and of what could not be judged. Imports no models."""

from odoo.tools import LazyTranslate

from . import texts_limits, texts_odoo, texts_pgbouncer, texts_postgresql, texts_security, texts_watch

# pylint: disable=prefer-env-translation  # no environment here: ``env._`` translates the texts when they are shown
_lt = LazyTranslate(__name__)

ROOMS = (texts_limits, texts_pgbouncer, texts_postgresql, texts_odoo, texts_security, texts_watch)
# Code of a finding -> its Text.
TEXTS = {code: text for room in ROOMS for code, text in room.TEXTS.items()}

# Needs of `advice.findings.Unknown` -> what is missing, and how to provide it.
NEEDS = {
    "console": _lt("%(name)s does not answer. Its form says why."),
    "servers": _lt(
        "%(name)s has no server connections now, so it is unknown whether its databases are on this PostgreSQL."
    ),
    "pools": _lt("%(name)s has no pool of Odoo's database now, so it is unknown whether it is meant for Odoo."),
    "setting": _lt("PgBouncer does not report %(setting)s."),
    "postgresql": _lt("PostgreSQL did not answer completely."),
    "postgresql_setting": _lt(
        "Unknown: %(setting)s of PostgreSQL. It is set for Odoo's role or database, whose sessions do not see the "
        "server's own value, or it is in an unusual form."
    ),
    "sessions": _lt("PostgreSQL counts sessions since version 14: this one is older."),
    "local": _lt("PostgreSQL runs on another host, whose memory and cores are not known."),
    "unix_socket": _lt(
        "The limit of open files is not known: enter the directory of PgBouncer's unix socket as the host of the "
        "endpoint."
    ),
    "processes": _lt(
        "Whether several processes share the port of %(name)s is not known: so_reuseport allows it. One process alone "
        "does not need it."
    ),
    "history": _lt("More samples are needed. Days: %(days)s"),
    "history_unread": _lt("The samples of the last 7 days could not be read in time."),
    "clients": _lt("Not all clients are seen: each PgBouncer must be an endpoint that answers."),
    "pgbouncer": _lt("Odoo connects through a pooler that is no endpoint: add it."),
    "runner": _lt("Another Odoo server runs queue_job's runner: how it connects is unknown here."),
    "runner_address": _lt(
        "Unknown: whether queue_job's runner connects to a pooler. Its address is none of an endpoint's, and it is not "
        "known to be PostgreSQL's."
    ),
    "failed": _lt("Unexpected value: %(error)s. Please report it."),
    "databases": _lt("Not all other databases answered in time, or there are more than %(limit)s with sessions."),
    "hba": _lt("auth_type is hba, and PgBouncer does not report the rules of auth_hba_file."),
}
# Place of an `advice.findings.Step` -> where its lines go.
PLACES = {
    "pgbouncer": _lt("In pgbouncer.ini, section [pgbouncer]:"),
    "users": _lt("In pgbouncer.ini, section [users], in the line of this user (keep its other options):"),
    "databases": _lt(
        "In pgbouncer.ini, section [databases], in the line of each of these databases (keep its other options; if it "
        "has no line, copy the line * under its name):"
    ),
    "console": _lt("In PgBouncer's console:"),
    "psql": _lt("In psql, as a superuser of PostgreSQL:"),
    "odoo": _lt("In odoo.conf, section [options]:"),
    "queue_job": _lt("In odoo.conf, section [queue_job]:"),
    "environment": _lt("In the environment of Odoo's service:"),
    "shell": _lt("In a shell, as root:"),
}
# What makes lines take effect -> what to do then.
APPLY = {
    "reload": _lt("Then RELOAD PgBouncer."),
    "reconnect": _lt("Then RELOAD PgBouncer, and RECONNECT the database."),
    "restart": _lt("Then restart PgBouncer: its clients lose their connections."),
    "odoo": _lt("Then restart Odoo."),
    "postgresql": _lt("Then restart PostgreSQL: all connections end."),
    "": None,
}
