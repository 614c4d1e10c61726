"""Lines that connect the bus to PostgreSQL itself, for plans and for the remedies of the LISTEN check."""

from .quoting import command_word


def alt_connection_lines(modules, host, port, sslmode=None):
    """Return options of odoo.conf for bus_alt_connection.

    :param list modules: all server-wide modules; None if they stay as they are
    :param str sslmode: of Odoo, if it must change
    """
    return [
        *([f"server_wide_modules = {','.join(modules)}"] if modules else []),
        f"imdispatcher_db_host = {host}",
        f"imdispatcher_db_port = {port}",
        *([f"db_sslmode = {sslmode}"] if sslmode else []),
    ]


def service_options(host, port, sslmode=None):
    """Return the words that connect a separate gevent service."""
    return [f"--db_host={host}", f"--db_port={port}", *([f"--db_sslmode={sslmode}"] if sslmode else [])]


def service_line(words):
    """Return words as in ExecStart of a unit."""
    return " ".join(map(command_word, words))


def service_lines(user, command, bus_port, options):
    """Return the unit of a separate gevent service.

    :param list command: the words that start Odoo's gevent process
    :param list options: see `service_options`
    """
    return [
        "[Unit]",
        "Description=Odoo's bus on a database connection of its own",
        "After=network.target",
        "",
        "[Service]",
        f"User={user}",
        f"ExecStart={service_line([*command, f'--gevent-port={bus_port}', *options])}",
        "Restart=always",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]


def proxy_lines(bus_port):
    """Return nginx's location that passes websockets to the bus process."""
    return [
        "location /websocket {",
        f"    proxy_pass http://127.0.0.1:{bus_port};",
        "    proxy_http_version 1.1;",
        "    proxy_set_header Upgrade $http_upgrade;",
        # Not "upgrade" for all: Odoo never ends its answer to a plain request then.
        "    proxy_set_header Connection $http_connection;",
        "    proxy_set_header Host $http_host;",
        "    proxy_set_header X-Forwarded-Host $http_host;",
        "    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "    proxy_set_header X-Forwarded-Proto $scheme;",
        "}",
    ]
