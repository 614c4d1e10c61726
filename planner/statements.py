"""What is run in psql so that PgBouncer knows the secrets of its users. None of these texts has a password."""

from .quoting import identifier, literal

USERLIST = "/etc/pgbouncer/userlist.txt"
# The role that runs auth_query.
AUTH_USER = "pgbouncer_auth"
AUTH_QUERY = "SELECT name, secret FROM pgbouncer.user_lookup($1)"
# From this minor version on, auth_query can run in one database for all (auth_dbname).
AUTH_DBNAME_SINCE = 19
_PSQL = ["-- In psql as a superuser, connected to the database postgres.", "\\encoding UTF8"]


def roles(inputs):
    """Return the statements that create the roles. The last one asks for a password."""
    names = [inputs.stats_user, *([AUTH_USER] if inputs.auth == "auth_query" else [])]
    return [
        *_PSQL,
        *(
            f"SELECT format('CREATE ROLE %I LOGIN', {literal(name)})"
            f" WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {literal(name)}) \\gexec"
            for name in names
        ),
        "SET password_encryption = 'scram-sha-256';",
        "-- Leave this out if the role has a password. It must be the last line: psql prompts for the password.",
        f"\\password {identifier(inputs.stats_user)}",
    ]


def lookup(inputs):
    """Return the statements that create the function of auth_query, in each database where it runs.

    The function returns no secret of a superuser.
    """
    lines = [*_PSQL, *_lookup()]
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
        "CREATE SCHEMA IF NOT EXISTS pgbouncer;",
        "ALTER SCHEMA pgbouncer OWNER TO CURRENT_USER;",
        f"GRANT USAGE ON SCHEMA pgbouncer TO {AUTH_USER};",
        "CREATE OR REPLACE FUNCTION pgbouncer.user_lookup(role text) RETURNS TABLE (name text, secret text)",
        "LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$",
        "    SELECT rolname::text, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END",
        "    FROM pg_authid WHERE rolname = role AND rolcanlogin AND NOT rolsuper",
        "$$;",
        "ALTER FUNCTION pgbouncer.user_lookup OWNER TO CURRENT_USER;",
        "REVOKE ALL ON FUNCTION pgbouncer.user_lookup FROM PUBLIC;",
        f"GRANT EXECUTE ON FUNCTION pgbouncer.user_lookup TO {AUTH_USER};",
    ]


def userlist(inputs):
    """Return the statements that write userlist.txt: the SCRAM secrets of the roles that PgBouncer must know.

    PgBouncer logs in as AUTH_USER by itself, for which it needs a password: a SCRAM secret only serves to pass a
    client's login on. It is a random one, and no statement that PostgreSQL may log has it.
    """
    users = dict.fromkeys([inputs.stats_user, inputs.db_user])
    names = users if inputs.auth == "userlist" else [inputs.stats_user]
    lines = [
        *_PSQL,
        "-- psql runs on the host of PgBouncer, as its user: sudo -u postgres psql",
        *(["-- Add the roles of other programs that will connect through PgBouncer."] if _has_others(inputs) else []),
        "-- Each role that is listed here needs another password first: SET password_encryption = 'scram-sha-256';"
        " \\password ROLE",
        f"SELECT rolname AS no_scram_secret FROM pg_authid WHERE {_is_one_of(users)}"
        " AND (rolpassword LIKE 'SCRAM-SHA-256$%') IS NOT TRUE;",
        f"\\! umask 077; touch {USERLIST}",
    ]
    if inputs.auth == "auth_query":
        lines += _auth_password()
    lines += [
        'SELECT format(\'"%s" "%s"\', replace(rolname, \'"\', \'""\'), rolpassword)',
        f"FROM pg_authid WHERE {_is_one_of(names)} AND rolpassword LIKE 'SCRAM-SHA-256$%'",
    ]
    if inputs.auth == "auth_query":
        lines += [f"UNION ALL SELECT format('\"{AUTH_USER}\" \"%s\"', current_setting('pgbouncer.password'))"]
    return [*lines, f"\\g (format=unaligned tuples_only=on) {USERLIST}"]


def _is_one_of(names):
    return f"rolname IN ({', '.join(map(literal, names))})"


def _has_others(inputs):
    return inputs.auth == "userlist" and any(other.is_pooled for other in inputs.others)


def _auth_password():
    return [
        "DO $$ BEGIN",
        "    PERFORM set_config('pgbouncer.password', translate(concat(gen_random_uuid(), gen_random_uuid()),"
        " '-', ''), false);",
        f"    EXECUTE format('ALTER ROLE {AUTH_USER} PASSWORD %L', current_setting('pgbouncer.password'));",
        "END $$;",
    ]
