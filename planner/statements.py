"""What is run in psql so that PgBouncer knows the secrets of its users. None of these texts has a password."""

from shlex import join

from .hosts import is_local, is_socket
from .quoting import identifier, literal

USERLIST = "/etc/pgbouncer/userlist.txt"
# The role that runs auth_query.
AUTH_USER = "pgbouncer_auth"
# In a schema of its own: in "pgbouncer", installations often have a function with other columns.
SCHEMA = "pgbouncer_auth"
AUTH_QUERY = f"SELECT name, secret FROM {SCHEMA}.user_lookup($1)"
# From this minor version on, auth_query can run in one database for all (auth_dbname).
AUTH_DBNAME_SINCE = 19


def command(inputs, name):
    """Return the shell command that runs one of these files, as a superuser of PostgreSQL and the user of PgBouncer.

    The shell opens the file: the user postgres cannot read the home of root. To a local PostgreSQL, the user postgres
    connects by its unix socket, which needs no password.
    """
    words = ["sudo", "-u", "postgres", "psql", "-X", "-v", "ON_ERROR_STOP=1"]
    if is_socket(inputs.db_host) or not is_local(inputs.db_host):
        words += ["-h", inputs.db_host]
    words += ["-p", str(inputs.db_port), "-U", "postgres", "-d", "postgres"]
    return f"{join(words)} < {name}"


def _header(inputs, name):
    return [f"-- On the host of PgBouncer: {command(inputs, name)}", "\\encoding UTF8"]


def roles(inputs):
    """Return the statements that create the roles. The last one prompts for a password, unless the role has one."""
    names = [inputs.stats_user, *([AUTH_USER] if inputs.auth == "auth_query" else [])]
    return [
        *_header(inputs, "roles.sql"),
        *(
            f"SELECT format('CREATE ROLE %I LOGIN', {literal(name)})"
            f" WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {literal(name)}) \\gexec"
            for name in names
        ),
        "SET password_encryption = 'scram-sha-256';",
        f"SELECT rolpassword IS NULL AS is_new FROM pg_authid WHERE rolname = {literal(inputs.stats_user)} \\gset",
        # In one line: what a terminal has received after it is lost when psql prompts.
        f"\\if :is_new \\password {identifier(inputs.stats_user)} \\endif",
    ]


def lookup(inputs):
    """Return the statements that create the function of auth_query, in each database where it runs.

    The function returns no secret of a superuser.
    """
    lines = [*_header(inputs, "auth_query.sql"), *_lookup()]
    if inputs.version < AUTH_DBNAME_SINCE:
        lines += ["-- Before version 1.19, auth_query runs in the database of each client."]
        for name in inputs.named_databases:
            lines += ["", f"\\connect -reuse-previous=on dbname={name}", *_lookup()]
        if not inputs.named_databases:
            lines += ["-- Repeat this in each business database, and in each new one before Odoo uses it."]
    return lines


def _lookup():
    return [
        # They may have been another role's before, which could change them.
        f"CREATE SCHEMA IF NOT EXISTS {SCHEMA};",
        f"ALTER SCHEMA {SCHEMA} OWNER TO CURRENT_USER;",
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO {AUTH_USER};",
        f"CREATE OR REPLACE FUNCTION {SCHEMA}.user_lookup(role text) RETURNS TABLE (name text, secret text)",
        "LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$",
        "    SELECT rolname::text, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END",
        "    FROM pg_authid WHERE rolname = role AND rolcanlogin AND NOT rolsuper",
        "$$;",
        f"ALTER FUNCTION {SCHEMA}.user_lookup OWNER TO CURRENT_USER;",
        f"REVOKE ALL ON FUNCTION {SCHEMA}.user_lookup FROM PUBLIC;",
        f"GRANT EXECUTE ON FUNCTION {SCHEMA}.user_lookup TO {AUTH_USER};",
    ]


def userlist(inputs):
    """Return the statements that write userlist.txt: the SCRAM secrets of the roles that PgBouncer must know.

    PgBouncer logs in as AUTH_USER by itself, for which it needs a password: a SCRAM secret only serves to pass a
    client's login on. It is a random one, and no statement that PostgreSQL may log has it. All PgBouncers need the same
    one, so a second run keeps it, and stops where userlist.txt does not have it.
    """
    is_query = inputs.auth == "auth_query"
    users = dict.fromkeys([inputs.stats_user, inputs.db_user])
    lines = [
        *_header(inputs, "userlist.sql"),
        "-- With several hosts of PgBouncer: run it on one of them, then copy userlist.txt to the others.",
        *(["-- Add the roles of other programs that will connect through PgBouncer."] if _has_others(inputs) else []),
        *_report_missing(users),
        f"\\! umask 077; touch {USERLIST} && chmod 600 {USERLIST}",
        *(_auth_line() if is_query else []),
        'SELECT format(\'"%s" "%s"\', replace(rolname, \'"\', \'""\'), rolpassword)',
        f"FROM pg_authid WHERE {_is_one_of([inputs.stats_user] if is_query else users)}"
        " AND rolpassword LIKE 'SCRAM-SHA-256$%'",
        f"\\g (format=unaligned tuples_only=on) {USERLIST}",
    ]
    return [*lines, *(_write_auth_line() if is_query else [])]


def _report_missing(users):
    return [
        "SELECT count(*) > 0 AS is_missing, string_agg(name, ', ') AS missing"
        f" FROM unnest(ARRAY[{', '.join(map(literal, users))}]) AS name",
        "WHERE NOT EXISTS (SELECT FROM pg_authid WHERE rolname = name AND rolpassword LIKE 'SCRAM-SHA-256$%') \\gset",
        "\\if :is_missing",
        "\\echo No SCRAM secret: :missing",
        "\\echo 'In psql: SET password_encryption = ''scram-sha-256''; then \\\\password ROLE.'",
        "\\echo 'The same password will do. Then run this file again.'",
        "\\endif",
    ]


def _is_one_of(names):
    return f"rolname IN ({', '.join(map(literal, names))})"


def _has_others(inputs):
    return inputs.auth == "userlist" and any(other.is_pooled for other in inputs.others)


def _auth_line():
    """Return the statements that set the variable ``auth_line``: AUTH_USER's line of userlist.txt, or a new one."""
    search = f"grep '^\"{AUTH_USER}\" ' {USERLIST}"
    return [
        f"\\set auth_line `{search}`",
        f"\\set is_listed `{search} >/dev/null && echo true || echo false`",
        "SELECT rolpassword IS NULL AS is_new, rolpassword IS NOT NULL AND NOT :is_listed AS is_elsewhere"
        f" FROM pg_authid WHERE rolname = '{AUTH_USER}' \\gset",
        "\\if :is_elsewhere",
        f"\\echo {AUTH_USER} has a password, and this userlist.txt does not have it.",
        f"\\echo Copy userlist.txt from the host that has it. If none has: ALTER ROLE {AUTH_USER} PASSWORD NULL,",
        "\\echo run this file again, and copy userlist.txt to all hosts of PgBouncer.",
        "\\else",
        "\\if :is_new",
        "DO $$ BEGIN",
        "    PERFORM set_config('pgbouncer.password', translate(concat(gen_random_uuid(), gen_random_uuid()),"
        " '-', ''), false);",
        f"    EXECUTE format('ALTER ROLE {AUTH_USER} PASSWORD %L', current_setting('pgbouncer.password'));",
        "END $$;",
        f"SELECT format('\"{AUTH_USER}\" \"%s\"', current_setting('pgbouncer.password')) AS auth_line \\gset",
        "\\endif",
    ]


def _write_auth_line():
    return [f"\\o | cat >> {USERLIST}", "\\qecho :auth_line", "\\o", "\\endif"]
