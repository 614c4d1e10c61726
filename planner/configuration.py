"""The files of a plan: PgBouncer's configuration, the secrets of its users, and the lines for Odoo, systemd and nginx.

The paths are those of Debian's packages.

The reasons of `errors`, with their figure ``text``, the value that cannot be written:

- ``unwritable_empty``; ``unwritable_control``: it has a control character; ``unwritable_surrogate``: UTF-8 cannot
  encode it; ``unwritable_blank``: it begins or ends with a blank; ``unwritable_literal``: odoo.conf reads it as unset
- of a host: ``unwritable_list``: it is a list of hosts
- of a role: ``unwritable_long``: PostgreSQL cuts it; ``unwritable_quotes``: this version of PgBouncer reads no such
  name in userlist.txt; of stats_user also ``unwritable_list``: PgBouncer takes it for several names
- of a database: ``unwritable_characters``: PgBouncer reads letters without accents, digits, and ``_.-*``;
  ``unwritable_console``: it is PgBouncer's console; ``unwritable_long``
- ``unwritable_address``: PgBouncer and PostgreSQL have the same port on the same host
- of gevent_port: ``unwritable_bus_port``: the bus needs a port that does not exist; ``unwritable_http_port``: the port
  that the gevent process or the bus needs is Odoo's HTTP port
"""

from . import bus_lines, statements
from .hosts import is_local, is_socket
from .inputs import Finding, Reason
from .quoting import database_error, host_error, literal, role_error, stats_user_error

# Settings of `settings` that a running PgBouncer does not change on RELOAD: SHOW CONFIG has changeable = no.
RESTART_SETTINGS = {"listen_addr", "listen_port", "unix_socket_dir", "pidfile"}
SOCKET_FOLDER = "/var/run/postgresql"
# Figures of a proposal that are settings of PgBouncer, and their defaults in all versions.
SIZES = {
    "max_client_conn": 100,
    "default_pool_size": 20,
    "min_pool_size": 0,
    "reserve_pool_size": 0,
    "max_db_connections": 0,
}
# The name of reserve_pool_size in [databases] before this minor version.
_RESERVE_POOL_SIZE_SINCE = 24
# Server connections of AUTH_USER, over all databases. One is enough: a login needs it for one query.
AUTH_CONNECTIONS = 1
_MOST_PORT = 65_535
_WIDE_MODULES = ("base", "rpc", "web")  # Odoo's default


def errors(inputs):
    """Return a Finding for each input that its reader would not read as it was meant."""
    version = inputs.version
    found = [
        ("db_host", inputs.db_host, host_error(inputs.db_host)),
        ("pgbouncer_host", inputs.pgbouncer_host, host_error(inputs.pgbouncer_host)),
        ("db_user", inputs.db_user, role_error(inputs.db_user, version)),
        ("stats_user", inputs.stats_user, stats_user_error(inputs.stats_user, version)),
        *(("db_names", name, database_error(name)) for name in inputs.db_names),
    ]
    if inputs.pgbouncer_port == inputs.db_port and _is_same_host(inputs):
        found.append(("pgbouncer_port", str(inputs.pgbouncer_port), "address"))
    found.append(("gevent_port", *_bus_port_error(inputs)))
    return [
        Finding("critical", field, Reason(f"unwritable_{code}", {"text": text})) for field, text, code in found if code
    ]


def _is_same_host(inputs):
    """Return whether PgBouncer and PostgreSQL run on the same host, as far as their addresses show it."""
    hosts = (inputs.db_host, inputs.pgbouncer_host)
    return hosts[0] == hosts[1] or all(map(is_local, hosts)) or direct_address(inputs)[0] != inputs.db_host


def _bus_port_error(inputs):
    """Return a port that the gevent process or the bus cannot have, and why; None for none."""
    port, http_port = bus_port(inputs), inputs.http_port
    if port == _MOST_PORT + 1:
        return str(port), "bus_port"
    ports = [port] if inputs.bus == "service" else []
    if inputs.workers:
        ports.append(inputs.gevent_port)
    return str(http_port), "http_port" if http_port in ports else None


def files(inputs, proposal):
    """Return file name -> text, in the order in which they are used.

    :raise ValueError: with the codes of `errors`; or "no_room": the proposal has no pools that fit
    """
    if found := errors(inputs):
        raise ValueError(*(finding.reason.code for finding in found))
    if _value(proposal, "default_pool_size") is None:
        raise ValueError("no_room")
    is_query = inputs.auth == "auth_query"
    texts = {
        "pgbouncer.ini": _pgbouncer(inputs, proposal),
        "roles.sql": statements.roles(inputs),
        "auth_query.sql": statements.lookup(inputs) if is_query else None,
        "userlist.sql": statements.userlist(inputs),
        "limits.conf": _limits(proposal),
        "odoo.conf": _odoo(inputs),
        "odoo-bus.service": _bus_service(inputs) if inputs.bus == "service" else None,
        "nginx.conf": _nginx(inputs) if inputs.workers or inputs.bus == "service" else None,
    }
    return {name: "\n".join([*text, ""]) for name, text in texts.items() if text}


def settings(inputs, proposal):
    """Return the settings of section [pgbouncer], as SHOW CONFIG will show them: name -> text."""
    host = inputs.pgbouncer_host
    values = {
        "logfile": "/var/log/postgresql/pgbouncer.log",
        "pidfile": f"{SOCKET_FOLDER}/pgbouncer.pid",
        **({} if is_socket(host) else {"listen_addr": host if is_local(host) else "*"}),
        "listen_port": inputs.pgbouncer_port,
        "unix_socket_dir": host if is_socket(host) else SOCKET_FOLDER,
        "auth_type": "scram-sha-256",
        "auth_file": statements.USERLIST,
        **(_auth_settings(inputs) if inputs.auth == "auth_query" else {}),
        "stats_users": inputs.stats_user,
        "pool_mode": "transaction",
    }
    sizes = {name: _value(proposal, name) for name in SIZES}
    values |= {name: size for name, size in sizes.items() if size not in (None, SIZES[name])}
    return {name: str(value) for name, value in values.items()}


def _auth_settings(inputs):
    values = {"auth_user": statements.AUTH_USER, "auth_query": statements.AUTH_QUERY}
    return values | ({"auth_dbname": "postgres"} if inputs.version >= statements.AUTH_DBNAME_SINCE else {})


def _value(proposal, name):
    return proposal.figures[name].value


def _pgbouncer(inputs, proposal):
    server = f"host={literal(inputs.db_host)} port={inputs.db_port}"
    is_query = inputs.auth == "auth_query"
    return [
        f"; /etc/pgbouncer/pgbouncer.ini of PgBouncer 1.{inputs.version}",
        "[databases]",
        "; LISTEN needs session mode: each listener keeps a server connection.",
        f"postgres = {server} {_postgres_options(inputs, proposal)}",
        *(f"{name} = {server}" for name in inputs.named_databases or ["*"]),
        *(["", "[users]", f"{statements.AUTH_USER} = max_user_connections={AUTH_CONNECTIONS}"] if is_query else []),
        "",
        "[pgbouncer]",
        *(f"{name} = {value}" for name, value in settings(inputs, proposal).items()),
    ]


def _postgres_options(inputs, proposal):
    """Return the end of the line for the database postgres. What is set for all pools must not shrink or enlarge its
    own."""
    size = _value(proposal, "postgres_pool_size")
    options = {"pool_mode": "session", "pool_size": size}
    if _value(proposal, "reserve_pool_size"):
        options["reserve_pool_size" if inputs.version >= _RESERVE_POOL_SIZE_SINCE else "reserve_pool"] = 0
    options["max_db_connections"] = size + (AUTH_CONNECTIONS if inputs.auth == "auth_query" else 0)
    return " ".join(f"{name}={value}" for name, value in options.items())


def _limits(proposal):
    limit = _value(proposal, "file_descriptors")
    return ["# /etc/systemd/system/pgbouncer.service.d/limits.conf", "[Service]", f"LimitNOFILE={limit}"]


def _odoo(inputs):
    host, port = direct_address(inputs)
    text = [
        "; Change these options in odoo.conf. Do not add a second section [options]: Odoo would not start.",
        "; PgBouncer requires a password: db_password must be set, even if PostgreSQL did not require it.",
        "[options]",
        f"db_host = {inputs.pgbouncer_host}",
        f"db_port = {inputs.pgbouncer_port}",
        f"db_user = {inputs.db_user}",
        "; The planned PgBouncer has no TLS for its clients, and Odoo cannot connect if db_sslmode requires it.",
        "db_sslmode = prefer",
    ]
    if inputs.bus == "alt":
        modules = [*_WIDE_MODULES, *(["queue_job"] if inputs.has_queue_job else []), "bus_alt_connection"]
        text += ["; Add the server-wide modules that you have.", *bus_lines.alt_connection_lines(modules, host, port)]
    if inputs.has_queue_job:
        text += ["", "[queue_job]", f"jobrunner_db_host = {host}", f"jobrunner_db_port = {port}"]
    return text


def _bus_service(inputs):
    command = ["/usr/bin/odoo", "gevent", "-c", "/etc/odoo/odoo.conf"]
    options = bus_lines.service_options(*direct_address(inputs))
    return [
        "# /etc/systemd/system/odoo-bus.service",
        *bus_lines.service_lines("odoo", command, bus_port(inputs), options),
    ]


def _nginx(inputs):
    comment = "# If nginx has a location /websocket for Odoo, only its port matters. Otherwise add this one."
    return [comment, *bus_lines.proxy_lines(bus_port(inputs))]


def bus_port(inputs):
    """Return the port of the process that serves websockets. Odoo itself occupies ``gevent_port`` if it has workers."""
    return inputs.gevent_port + (inputs.bus == "service")


def direct_address(inputs):
    """Return where Odoo reaches PostgreSQL itself: host and port."""
    is_behind = is_local(inputs.db_host) and not is_local(inputs.pgbouncer_host)
    return inputs.pgbouncer_host if is_behind else inputs.db_host, inputs.db_port
