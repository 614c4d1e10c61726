"""Who can connect to PgBouncer, and how."""

import re

from .addresses import ALL, is_local, is_public
from .findings import Finding, Unknown
from .remedies import set_pgbouncer
from .snapshot import known
from .vulnerabilities import EXPIRY, describe, vulnerabilities

# Values of client_tls_sslmode without which a client may connect in clear text.
TLS_REQUIRED = ("require", "verify-ca", "verify-full")
# With these values of auth_type, clients send their passwords in clear text.
CLEAR_TEXT = ("plain", "pam", "ldap")
# Values of client_tls_protocols and server_tls_protocols, separated by commas: "all" and "legacy" are all versions.
OLD_PROTOCOLS = {"all", "legacy", "tlsv1.0", "tlsv1.1"}
# Startup parameters that change how long a statement may take. Not "options", in which any can be: PgBouncer's
# operators for Kubernetes and Juju set it, also where no client sends it.
MEANINGFUL = {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}
# With auth_type md5, older versions keep the MD5 of a password in auth_file only, also after RELOAD: measured in 1.15.
_KEEPS_PASSWORDS_SINCE = (1, 18)


def _words(text):
    """Return the parts of a list in pgbouncer.ini, which are separated by commas or blanks."""
    return [word for word in re.split(r"[\s,]+", text) if word]


def _is_exposed(console):
    """Return whether other hosts can connect."""
    return not all(map(is_local, _words(console.text("listen_addr"))))


def vulnerable_version(console, _snapshot):
    """See `vulnerabilities`. Distributions fix them without a new version number, so this is never certain."""
    found = vulnerabilities(known(console.version or None, "setting", setting="version"), console.settings)
    if found:
        names, fixed = describe(found)
        evidence = {"version": ".".join(map(str, console.version)), "vulnerabilities": names, "fixed": fixed}
        code = "vulnerable_version_expiry" if EXPIRY in names else "vulnerable_version"
        yield Finding(code, "warning", console.key, evidence=evidence)


def authentication(console, _snapshot):
    """PgBouncer's manual, auth_type. "any": the name of the user does not matter, and everybody is an administrator of
    the console. "trust": no password is required. "plain" sends it in clear text, as do "pam" and "ldap". "md5" uses
    MD5 unless the user's secret in auth_file is a SCRAM one."""
    auth_type = console.text("auth_type")
    if auth_type == "hba":
        raise Unknown("hba")
    is_exposed = _is_exposed(console)
    is_readable = is_exposed and console.text("client_tls_sslmode") not in TLS_REQUIRED
    faults = {
        "any": ("any", "critical"),
        "trust": ("trust", "critical" if is_exposed else "warning"),
        **(dict.fromkeys(CLEAR_TEXT, ("clear_text", "warning")) if is_readable else {}),
        **({"md5": ("md5", "hint")} if is_readable else {}),
    }
    if auth_type in faults:
        code, level = faults[auth_type]
        evidence = {"auth_type": auth_type, "listen_addr": console.text("listen_addr")}
        step = set_pgbouncer(console, auth_type="scram-sha-256")
        if auth_type == "md5" and console.version < _KEEPS_PASSWORDS_SINCE:
            step = step._replace(apply="restart")
        # Users of PAM and LDAP have no secrets here that SCRAM could use.
        steps = () if auth_type in ("pam", "ldap") else (step,)
        yield Finding(f"authentication_{code}", level, console.key, (), "auth_type", evidence, steps=steps)


def clear_text_clients(console, _snapshot):
    """PgBouncer's manual, client_tls_sslmode: with "disable", the default, clients cannot use TLS; with "allow" and
    "prefer" they need not. On a private network this is common, and no finding."""
    sslmode, listen_addr = console.text("client_tls_sslmode"), console.text("listen_addr")
    if sslmode in TLS_REQUIRED:
        return
    rows = [*console.clients, *console.consoles]
    clients = sorted({row["addr"] for row in rows if is_public(row.get("addr") or "") and row.get("tls") == ""})
    addresses = [address for address in (*_words(listen_addr), console.host) if is_public(address)]
    if clients or (sslmode == "disable" and addresses):
        evidence = {"client_tls_sslmode": sslmode, "listen_addr": listen_addr}
        figures = {"clients": len(clients), "addresses": ", ".join(dict.fromkeys([*addresses, *clients[:3]]))}
        yield Finding("clear_text_clients", "warning", console.key, (), "client_tls_sslmode", evidence, figures)


def clear_text_servers(console, _snapshot):
    """PgBouncer's manual, server_tls_sslmode: with "disable" PgBouncer does not use TLS, with "allow" and "prefer" only
    if PostgreSQL has it. On a private network this is common, and no finding."""
    rows = [row for row in console.servers if is_public(row.get("addr") or "") and row.get("tls") == ""]
    if rows:
        step = set_pgbouncer(console, server_tls_sslmode="require")
        # Connections that exist stay as they are.
        step = step._replace(apply="reconnect" if step.apply == "reload" else step.apply)
        name = "server_tls_sslmode"
        evidence = {name: console.text(name)}
        figures = {"addresses": ", ".join(sorted({row["addr"] for row in rows}))}
        databases = tuple(sorted({row["database"] for row in rows}))
        yield Finding("clear_text_servers", "warning", console.key, databases, name, evidence, figures, (step,))


def exposed_port(console, _snapshot):
    """PgBouncer listens on all addresses, but all clients, this Odoo among them, are on its host."""
    listen_addr = console.text("listen_addr")
    addresses = [row.get("addr") or "" for row in (*console.clients, *console.consoles)]
    if console.consoles and set(_words(listen_addr)) & set(ALL) and all(map(is_local, addresses)):
        loopback = ["127.0.0.1", *(["::1"] if "::1" in addresses else [])]
        step = set_pgbouncer(console, listen_addr=", ".join(loopback))
        evidence = {"listen_addr": listen_addr}
        yield Finding("exposed_port", "hint", console.key, (), "listen_addr", evidence, steps=(step,))


def old_tls(console, _snapshot):
    """RFC 8996: TLS 1.0 and 1.1 must not be used. PgBouncer's manual, client_tls_protocols: "secure", the default, is
    TLS 1.2 and 1.3."""
    for side in ("client", "server"):
        name = f"{side}_tls_protocols"
        protocols = console.text(name)
        if console.text(f"{side}_tls_sslmode") != "disable" and OLD_PROTOCOLS.intersection(_words(protocols.lower())):
            evidence = {"setting": name, "protocols": protocols}
            step = set_pgbouncer(console, **{name: "secure"})
            yield Finding("old_tls", "hint", console.key, (), name, evidence, steps=(step,))


def odoo_is_admin(console, snapshot):
    """PgBouncer's manual, admin_users: they may run all commands of the console. Odoo's password is in odoo.conf, and
    known to all that runs in Odoo."""
    if not (console.here or console.is_of_odoo):
        return
    user = known(snapshot.odoo.user or None, "postgresql")
    admins = _words(console.text("admin_users"))
    if user in admins:
        settings = {"admin_users": ", ".join(name for name in admins if name != user)}
        readers = _words(console.text("stats_users"))
        if console.user == user and user not in readers:
            settings["stats_users"] = ", ".join([*readers, user])
        step = set_pgbouncer(console, **settings)
        evidence = {"user": user, "admin_users": console.text("admin_users")}
        yield Finding("odoo_is_admin", "warning", console.key, (), "admin_users", evidence, steps=(step,))


def ignored_parameters(console, _snapshot):
    """PgBouncer's manual, ignore_startup_parameters: PgBouncer does not pass them on. Drivers need
    extra_float_digits there, which changes no result."""
    names = [name for name in _words(console.text("ignore_startup_parameters").lower()) if name in MEANINGFUL]
    if names:
        evidence = {"parameters": ", ".join(names)}
        yield Finding("ignored_parameters", "hint", console.key, (), "ignore_startup_parameters", evidence)


CONSOLE_RULES = (
    vulnerable_version,
    authentication,
    clear_text_clients,
    clear_text_servers,
    exposed_port,
    old_tls,
    odoo_is_admin,
    ignored_parameters,
)
RULES = ()
