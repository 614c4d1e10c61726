"""The texts of what the rules about security find. Imports no models."""

from odoo.tools import LazyTranslate

from .text import Text

# pylint: disable=prefer-env-translation  # no environment here: ``env._`` translates the texts when they are shown
_lt = LazyTranslate(__name__)

_VULNERABLE = Text(
    _lt("Known Vulnerabilities"),
    _lt("PgBouncer %(version)s has these, unless its package has fixed them:\n%(vulnerabilities)s"),
    _lt(
        "They are known for this version with these settings. The changelog of PgBouncer describes each. Distributions "
        "fix them without a new version number, so PgBouncer does not report whether they are fixed."
    ),
    _lt(
        "Compare the changelog of your package with this list: in Debian, "
        "/usr/share/doc/pgbouncer/changelog.Debian.gz. If it fixes all of them, accept this finding. Otherwise "
        "install a package that does, or PgBouncer %(fixed)s."
    ),
)
TEXTS = {
    "vulnerable_version": _VULNERABLE,
    "vulnerable_version_expiry": _VULNERABLE._replace(
        evidence=_lt(
            "PgBouncer %(version)s has these, unless its package has fixed them:\n%(vulnerabilities)s\n"
            "CVE-2025-2291 does not apply if auth_query checks VALID UNTIL."
        )
    ),
    "authentication_any": Text(
        _lt("No Authentication"),
        _lt("auth_type = %(auth_type)s\nlisten_addr = %(listen_addr)s"),
        _lt(
            "PgBouncer accepts every user without a password. Whoever can connect reads and writes the databases, and "
            "is an administrator of PgBouncer's console."
        ),
        _lt(
            "First store the user of each client in auth_file, with a password or a SCRAM secret, the user of this "
            "endpoint among them. Enter the passwords in odoo.conf and on the endpoint."
        ),
    ),
    "authentication_trust": Text(
        _lt("No Passwords"),
        _lt("auth_type = %(auth_type)s\nlisten_addr = %(listen_addr)s"),
        _lt(
            "PgBouncer requires no password: whoever can connect and knows the name of a user is that user. With the "
            "name of one of admin_users, this includes PgBouncer's console."
        ),
        _lt(
            "First store a password or a SCRAM secret for each user in auth_file, the user of this endpoint among "
            "them. Enter the passwords in odoo.conf and on the endpoint."
        ),
    ),
    "authentication_clear_text": Text(
        _lt("Passwords in Clear Text"),
        _lt("auth_type = %(auth_type)s\nlisten_addr = %(listen_addr)s"),
        _lt(
            "Clients on other hosts send their passwords unencrypted. Whoever can read the network can log in with "
            "them."
        ),
        _lt(
            "Use SCRAM, which never sends the password. auth_file must have the password or the SCRAM secret of each "
            "user. If you need PAM or LDAP, require TLS instead: set client_tls_key_file, client_tls_cert_file and "
            "client_tls_sslmode = require."
        ),
    ),
    "authentication_md5": Text(
        _lt("MD5 Passwords"),
        _lt("auth_type = %(auth_type)s\nlisten_addr = %(listen_addr)s"),
        _lt(
            "Users without a SCRAM secret log in with MD5 over the network. Whoever reads an MD5 secret in auth_file "
            "can log in with it, and PostgreSQL has deprecated MD5 passwords."
        ),
        _lt(
            "First set password_encryption = scram-sha-256 in PostgreSQL, give each role a new password, and copy its "
            "SCRAM secret from pg_authid.rolpassword to auth_file. With this line, users that still have an MD5 secret "
            "cannot log in."
        ),
    ),
    "clear_text_clients": Text(
        _lt("Clients without TLS on Public Addresses"),
        _lt(
            "client_tls_sslmode = %(client_tls_sslmode)s\nlisten_addr = %(listen_addr)s\nPublic addresses: "
            "%(addresses)s\nClients without TLS from public addresses: %(clients)s"
        ),
        _lt("Queries and their results cross a network that others can read and change."),
        _lt(
            "Connect over a private network. Or require TLS: set client_tls_key_file, client_tls_cert_file and "
            "client_tls_sslmode = require in pgbouncer.ini, reload PgBouncer (restart it before version 1.16), and set "
            "db_sslmode = require in odoo.conf and the SSL mode of the endpoint."
        ),
    ),
    "clear_text_servers": Text(
        _lt("Server Connections without TLS to Public Addresses"),
        _lt(
            "server_tls_sslmode = %(server_tls_sslmode)s\nServer connections without TLS to: %(addresses)s\n"
            "Databases: %(databases)s"
        ),
        _lt("PgBouncer sends queries to PostgreSQL over a network that others can read and change."),
        _lt(
            "First switch on TLS in PostgreSQL (ssl = on). With require, PgBouncer does not check PostgreSQL's "
            "certificate. With verify-full and server_tls_ca_file it does."
        ),
    ),
    "exposed_port": Text(
        _lt("Open to Other Hosts"),
        _lt("listen_addr = %(listen_addr)s\nAll clients are on PgBouncer's own host."),
        _lt("The port is open to every host that can reach this one, although none of them uses it."),
        _lt(
            "If clients on other hosts connect only now and then, accept this finding. Otherwise listen on the "
            "loopback address only."
        ),
    ),
    "old_tls": Text(
        _lt("Old TLS Versions"),
        _lt("%(setting)s = %(protocols)s"),
        _lt("TLS 1.0 and 1.1 are insecure (RFC 8996). All current programs can use 1.2 and 1.3."),
        _lt("Allow TLS 1.2 and 1.3 only."),
    ),
    "odoo_is_admin": Text(
        _lt("Odoo Is an Administrator of PgBouncer"),
        _lt("Odoo's user: %(user)s\nadmin_users = %(admin_users)s"),
        _lt(
            "With the password in odoo.conf, every addon and everybody who can read that file may pause PgBouncer, "
            "close connections, change its settings and shut it down."
        ),
        _lt(
            "Give administrators a user of their own. If the endpoint should pause or reload PgBouncer, enter that "
            "user on its form."
        ),
    ),
    "ignored_parameters": Text(
        _lt("Ignored Startup Parameters"),
        _lt("In ignore_startup_parameters: %(parameters)s"),
        _lt("What clients set this way when they connect has no effect, and they get no error."),
        _lt(
            "If no client needs these parameters, accept this finding. Otherwise set them for the role in PostgreSQL: "
            "ALTER ROLE … SET …. Do not only remove them from this list: PgBouncer rejects clients that send a "
            "parameter it does not know."
        ),
    ),
}
