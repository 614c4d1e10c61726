"""Which component a session of PostgreSQL belongs to, by the name that its program gives itself."""

import re
from functools import lru_cache

# Regular expressions for application_name, whatever the case. The first that matches decides.
PROGRAMS = {
    "backup": r"^(pg_dump|pg_restore|pg_basebackup|pg_probackup|pgbackrest|barman|wal-g|wal-e)",
    "replication": r"^(walreceiver|pg_receivewal|pg_recvlogical)",
    "interactive": r"^(psql|pgcli|pgadmin|dbeaver|datagrip|navicat|tableplus|postico|heidisql|beekeeper|phppgadmin"
    r"|adminer|azuredatastudio|azdata)",
}
# Odoo's own default of db_app_name.
ODOO_NAME = "odoo-{pid}"


def odoo_patterns(app_name):
    """Return the LIKE patterns of the names that Odoo's processes give themselves.

    :param str app_name: Odoo's db_app_name, may be empty. A pattern that any name would match is left out.
    """
    patterns = [re.sub(r"([%_\\])", r"\\\1", name).replace("{pid}", "%") for name in (ODOO_NAME, app_name or "")]
    return [pattern for pattern in patterns if pattern.strip("%")]


@lru_cache
def is_odoo_name(name, app_name):
    """Return whether the name of a client of PgBouncer may be one of Odoo's: it is empty before PgBouncer 1.18.

    Of a thousand clients, most have one of a few names.

    :param str app_name: Odoo's db_app_name, may be empty
    """
    patterns = [re.escape(known).replace(re.escape("{pid}"), ".*") for known in (ODOO_NAME, app_name) if known]
    return not name or any(re.match(pattern, name) for pattern in patterns)


def reason(session):
    """Return the code of what decided about a session's component; None if it has none.

    ``ambiguous``: several servers of PgBouncers match; ``hidden_server``, ``unix_server``, ``server``: one server of
    a PgBouncer matches, and how surely; ``odoo_listener``, ``odoo_worker``, ``named``: its name; ``walsender``: its
    backend; ``unnamed``: it has no name; ``unknown``: only its name is visible, and says nothing.

    :param dict session: ``component``, ``application_name``, ``backend_type``, ``client_port``, ``server_count`` and
        ``is_hidden`` of `pg.stat.activity`
    """
    component = session["component"]
    if component == "pgbouncer":
        if session["server_count"] > 1:
            return "ambiguous"
        if session["is_hidden"]:
            return "hidden_server"
        return "unix_server" if session["client_port"] == -1 else "server"
    if component in ("odoo_listener", "odoo_worker", "unknown"):
        return component
    if component == "other" and not session["application_name"]:
        return "unnamed"
    if component == "replication" and session["backend_type"] == "walsender":
        return "walsender"
    return "named" if component else None
