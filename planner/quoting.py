"""How PgBouncer, PostgreSQL, psql and systemd read a value, and which values cannot be written for them."""

import re

# PgBouncer reads these in the name of a database, in every version up to 1.26. Its manual says that others can be
# quoted, but the parser does not know quotes (https://github.com/pgbouncer/pgbouncer/issues/971).
_DATABASE = re.compile(r"[A-Za-z0-9_.*-]+")
_WORD = re.compile(r"[\w@+=:,./-]+", re.ASCII)
# PostgreSQL cuts names there (NAMEDATALEN).
NAME_BYTES = 63
# Before this minor version, a name in userlist.txt had at most NAME_BYTES with its quotes doubled.
LONG_USERLIST_SINCE = 18


def literal(text):
    """Return a value in a connection string of pgbouncer.ini, or a string constant in SQL, as
    standard_conforming_strings reads it."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name):
    """Return a name in SQL, in a meta-command of psql, or in PgBouncer's userlist.txt."""
    return '"' + name.replace('"', '""') + '"'


def command_word(text):
    """Return a word of ExecStart in a unit of systemd: systemd.service(5), section "Command lines"."""
    escaped = text.replace("%", "%%").replace("$", "$$")
    if _WORD.fullmatch(text):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'


def text_error(text):
    """Return why a file cannot hold this text: "empty", "control" for a control character, "surrogate" for a part of a
    character, which UTF-8 cannot encode, or "blank" for blanks around it, which pgbouncer.ini and odoo.conf lose;
    "literal" if odoo.conf reads it as unset. None if a file can."""
    if not text:
        return "empty"
    if any(ord(character) < ord(" ") or character == "\x7f" for character in text):
        return "control"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "surrogate"
    if text != text.strip():
        return "blank"
    return "literal" if text in ("None", "False", "false") else None


def host_error(host):
    """Return the same for a host; "list" for several."""
    return text_error(host) or ("list" if "," in host else None)


def role_error(name, version):
    """Return the same for a role, which may also be too "long" for PostgreSQL, or with its "quotes" doubled for the
    userlist.txt of a minor version of PgBouncer."""
    if error := text_error(name):
        return error
    if len(name.encode()) > NAME_BYTES:
        return "long"
    return "quotes" if version < LONG_USERLIST_SINCE and len(identifier(name).encode()) > NAME_BYTES + 2 else None


def stats_user_error(name, version):
    """Return the same for a role in stats_users, where a blank or a comma makes a "list" of several roles."""
    return role_error(name, version) or ("list" if re.search(r"[\s,]", name) else None)


def database_error(name):
    """Return why PgBouncer cannot have a line for this database: "characters", "console" or "long". None if it can.

    Its line ``*`` serves each database, whatever its name is.
    """
    if not _DATABASE.fullmatch(name) or name == "*":
        return "characters"
    if name == "pgbouncer":
        return "console"
    return "long" if len(name) > NAME_BYTES else None
